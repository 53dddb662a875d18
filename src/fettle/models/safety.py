"""Safety: a model's folder in, nothing out, or a refusal before anything of it is opened.

Names are listed, first bytes are read, and JSON is parsed as plain data; nothing is imported,
unpickled or run. There is no scanner that finds "good" pickles and no switch that lets one in:
pickle scanners have been fooled again and again, and so have "safe" loading modes
(CVE-2025-32434, CVE-2026-24747, CVE-2026-4372).
"""

import io
import json
import os
import pickletools
import re
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from fettle.core.errors import ModelUnavailable, UnsafeModel

__all__ = ["require_plain_config", "require_safe", "safetensors_header"]

PICKLES = frozenset(
    (".bin", ".pt", ".pth", ".pth.tar", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill", ".p")
)
KERAS = frozenset((".h5", ".hdf5"))
CODE = frozenset((".py", ".pyc", ".pyd", ".pyw", ".so", ".dll", ".dylib"))
PACKED = frozenset((".gz", ".xz", ".bz2", ".lzma", ".zst", ".z"))

FOREIGN_CODE = frozenset(
    ("auto_map", "trust_remote_code", "custom_pipelines", "custom_pipeline", "custom_generate")
)
"""Keys that send a library to code of the model's own."""
SUSPECTS = (*(key.encode() for key in FOREIGN_CODE), b"implementation", b"kernel", b"\\u")
"""A JSON file without any of these cannot hold such a key, and need not be parsed."""
VOCABULARIES = frozenset(("tokenizer.json", "vocab.json", "added_tokens.json"))
"""Files in which any word can be a key, with the word's number as its value."""

HEADER_BYTES = 100_000_000
"""The largest header that the safetensors format allows."""
JSON_BYTES = 200_000_000
DEPTH, ENTRIES = 6, 10_000
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16,
    "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
    "C64": 64,
}  # fmt: skip
OBJECT_ARRAY = re.compile(rb"'descr'.*['|<>=]O\d*'", re.DOTALL)


def require_safe(folder: Path) -> None:
    """Return if nothing in this folder can run code or lead out of it.

    Raises:
        UnsafeModel: a pickle (by name or by content), Python or native code, a config that asks
            for foreign code or kernels, a link that leaves the folder, something that is no
            plain file, or a safetensors file that is not one. The message names the file and
            what to do.
    """
    root = folder.resolve()
    fence = _fence(root)
    for path in _entries(root):
        place = path.relative_to(root)
        if path.is_symlink() and not path.resolve().is_relative_to(fence):
            raise _refused(
                folder, place, "is a link that leaves the folder", "Replace it by what it names."
            )
        if not path.exists() or (path.is_symlink() and path.is_dir()):
            continue
        if not stat.S_ISREG(path.stat().st_mode):
            raise _refused(folder, place, "is not a plain file", "Take it out of the folder.")
        _require_harmless_name(folder, path, place)
        _require_harmless_content(folder, path, place)
        if path.suffix.lower() == ".json":
            _require_harmless_json(path, place=f"{folder}: {place}")


def require_plain_config(values: Any, *, place: str) -> None:
    """Return if this JSON value, at any depth, asks for no foreign code and no foreign kernels.

    Args:
        values: what a JSON file holds.
        place: the file, in the user's words.

    Raises:
        UnsafeModel: it does; the message names the key.
    """
    is_vocabulary = place.endswith(tuple(VOCABULARIES))
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        if not isinstance(value, dict):
            continue
        for key, inner in value.items():
            if is_vocabulary and type(inner) is int:
                continue
            if (key in FOREIGN_CODE and inner) or (
                ("implementation" in key or "kernel" in key) and _names_a_repository(inner)
            ):
                raise UnsafeModel(
                    f"{place} asks for code from elsewhere ({key!r}: {str(inner)[:80]}), so "
                    "nothing of it was opened. fettle runs no model's own code. If transformers "
                    "itself knows this architecture, remove that key and the files it names from "
                    "a copy of the folder; otherwise choose another model."
                )
            waiting.append(inner)


def safetensors_header(path: Path) -> dict[str, dict[str, Any]]:
    """Each tensor's dtype, shape and place in the file; no tensor is read.

    Raises:
        UnsafeModel: the header is too long, is no JSON, or its tensors do not lie one behind the
            other up to the end of the file.
    """
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(HEADER_BYTES, size - 8):
                raise ValueError(f"its header claims {length:,} bytes of {size:,}")
            header = json.loads(stream.read(length).decode("utf-8"), object_pairs_hook=_once)
        if not isinstance(header, dict):
            raise ValueError("its header is not a table of tensors")
        tensors = {name: it for name, it in header.items() if name != "__metadata__"}
        _require_rows_of_bytes(tensors, data_bytes=size - 8 - length)
    except (ValueError, KeyError, TypeError, struct.error, RecursionError, OSError) as error:
        raise UnsafeModel(
            f"{path} is not a whole safetensors file: {error}. Nothing of it was opened. Fetch it "
            "again; if it was renamed from another format, convert it on a machine that you may "
            "lose."
        ) from error
    return tensors


def _require_rows_of_bytes(tensors: Mapping[str, Mapping[str, Any]], *, data_bytes: int) -> None:
    """Tensors lie one behind the other, without holes, up to the end."""
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: tuple(item[1]["data_offsets"])):
        start, stop = tensor["data_offsets"]
        numbers = (start, stop, *tensor["shape"])
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError(f"{name!r} has a shape or a place that is not a count")
        if start != end or stop < start or stop > data_bytes:
            raise ValueError(f"{name!r} lies at {start}-{stop}, where {end} was next")
        bits = BITS.get(tensor["dtype"])
        if bits is not None and prod(tensor["shape"]) * bits != (stop - start) * 8:
            raise ValueError(f"{name!r} has {stop - start} bytes, which its shape does not fill")
        end = stop
    if end != data_bytes:
        raise ValueError(f"its tensors take {end:,} bytes, the file has {data_bytes:,}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are all different."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("its header names a tensor twice")
    return table


def _fence(root: Path) -> Path:
    """Where links may lead: the folder, or the one model's part of a hub cache it lies in."""
    holder = root.parent.parent
    in_cache = root.parent.name == "snapshots" and holder.name.startswith("models--")
    return holder if in_cache else root


def _entries(root: Path) -> Iterator[Path]:
    """Everything in the folder but plain folders; git's own store is never opened by anyone."""
    count = 0
    for place, folders, names in os.walk(root):
        here = Path(place)
        folders[:] = [name for name in folders if name != ".git"]
        linked = [name for name in folders if (here / name).is_symlink()]
        deep = len(here.relative_to(root).parts)
        if deep > DEPTH or (count := count + len(names) + len(folders)) > ENTRIES:
            raise UnsafeModel(
                f"{root} is more than {DEPTH} folders deep or has more than {ENTRIES:,} files, "
                "which no model has. Give the folder that holds the model and nothing else."
            )
        yield from (here / name for name in (*names, *linked))


def _require_harmless_name(folder: Path, path: Path, place: Path) -> None:
    """No pickle and no code by its suffix."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    is_openvino = last == ".bin" and path.with_suffix(".xml").is_file()
    if last in CODE:
        raise _refused(
            folder,
            place,
            "is code, and fettle runs no model's own code",
            "If transformers itself knows this architecture, give a copy of the folder without "
            "it; otherwise choose another model.",
        )
    if last in KERAS:
        raise _refused(
            folder,
            place,
            "is a Keras file in HDF5, which can hold code",
            "Give a copy of the folder without it, or save it with Keras 3 as .keras or with "
            "transformers' save_pretrained on a machine that you may lose.",
        )
    if (last in PICKLES or path.name.lower().endswith(".pth.tar")) and not is_openvino:
        raise _pickle(folder, place)


def _require_harmless_content(folder: Path, path: Path, place: Path) -> None:
    """No pickle by its bytes, whatever it is called; a safetensors file is a whole one."""
    try:
        with path.open("rb") as stream:
            head = stream.read(65_536)
    except OSError as error:
        raise ModelUnavailable(
            f"{folder}: {place} cannot be read: {error.strerror}. Check who may read it."
        ) from error
    is_named_safetensors = path.suffix.lower() == ".safetensors"
    # a short header's length can begin with a pickle's two bytes; then the '{' tells them apart
    if not (is_named_safetensors and head[8:9] == b"{") and _is_pickle(head):
        raise _pickle(folder, place)
    if head[:6] == b"\x93NUMPY" and OBJECT_ARRAY.search(head[:4096]):
        raise _pickle(folder, place)
    if _is_zip_of_pickles(path):
        raise _pickle(folder, place)
    if is_named_safetensors:
        safetensors_header(path)


def _is_pickle(head: bytes) -> bool:
    """A pickle of protocol 2 to 5, or a whole old one that names something to call."""
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return True
    calls = False
    try:
        for code, _, _ in pickletools.genops(io.BytesIO(head)):  # reads, never runs
            calls = calls or code.name in ("GLOBAL", "INST", "STACK_GLOBAL")
    except (ValueError, IndexError, struct.error, OverflowError):
        return False
    return calls


def _is_zip_of_pickles(path: Path) -> bool:
    """torch.save's format, or an archive of arrays that hold objects."""
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if Path(member).suffix.lower() in PICKLES:
                    return True
                if member.endswith(".npy"):
                    with archive.open(member) as stream:
                        if OBJECT_ARRAY.search(stream.read(4096)):
                            return True
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError):
        return False
    return False


def _require_harmless_json(path: Path, *, place: str) -> None:
    """No key that asks for foreign code. What is no JSON cannot be read as a config either."""
    if path.stat().st_size > JSON_BYTES:
        raise UnsafeModel(f"{place} is too large to be judged. Take it out of the folder.")
    raw = path.read_bytes()
    if not any(word in raw for word in SUSPECTS):
        return
    try:
        values = json.loads(raw.decode("utf-8"))
    except RecursionError as error:
        raise UnsafeModel(
            f"{place} is nested too deeply to be judged. Take it out of the folder."
        ) from error
    except ValueError:
        return
    require_plain_config(values, place=place)


def _names_a_repository(value: Any) -> bool:
    """Whether any text in it has the form of a hub kernel, org/name."""
    if isinstance(value, dict):
        return any(_names_a_repository(inner) for inner in value.values())
    if isinstance(value, list):
        return any(_names_a_repository(inner) for inner in value)
    return isinstance(value, str) and "/" in value


def _pickle(folder: Path, place: Path) -> UnsafeModel:
    """The refusal of a pickle, with the command that converts it elsewhere."""
    has_safe_weights = any(path.name != place.name for path in folder.glob("*.safetensors"))
    remedy = (
        "Safetensors lie beside it: give a copy of the folder without it."
        if has_safe_weights
        else 'On a machine that you may lose, run: python -c "import transformers as t; '
        f"[c.from_pretrained('{folder.name}').save_pretrained('safe') for c in "
        '(t.AutoModel, t.AutoTokenizer)]" and give fettle the folder safe.'
    )
    return _refused(folder, place, "is a pickle, which runs code when it is opened", remedy)


def _refused(folder: Path, place: Path, why: str, remedy: str) -> UnsafeModel:
    return UnsafeModel(f"{folder}: {place} {why}, so nothing of the folder was opened. {remedy}")
