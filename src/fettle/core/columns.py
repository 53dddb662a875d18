"""Arrow columns from Python's values, without waking pandas.

`pyarrow.array` imports pandas wherever it is installed, to ask whether it was given a Series; that
takes half a second, more than reading most files.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

__all__ = ["numbers", "strings"]


def strings(cells: Iterable[str | None]) -> pa.Array:
    """A string column; None is a missing cell."""
    builder = pa.lib.StringBuilder()
    builder.append_values(cells if isinstance(cells, list) else list(cells))
    return builder.finish()


def numbers(rows: Sequence[int] | np.ndarray) -> pa.Array:
    """An int64 column, such as the row numbers that `take` wants."""
    values = np.asarray(rows, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])
