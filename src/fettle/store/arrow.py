"""Rows as Arrow files, which every tool can read: written whole, read with a clear error."""

from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from fettle.core.errors import CorruptFile
from fettle.store import files

__all__ = ["read", "write"]


def write(path: Path, table: pa.Table) -> Path:
    """The file with these rows, or the one before."""

    def make(temporary: Path) -> None:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
            out.write_table(table)

    return files.write_with(path, make)


def read(path: Path) -> pa.Table:
    """The rows in an Arrow file.

    Raises:
        CorruptFile: it is none.
    """
    try:
        with pa.OSFile(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptFile(f"{path} is not readable as an Arrow file: {error}.") from error
