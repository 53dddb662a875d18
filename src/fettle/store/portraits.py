"""Portraits on the disk: what a version keeps of its own test rows, to compare new rows with.

Two Arrow files that every tool can read: one line a row, and how often each token was learned.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fettle.core.columns import strings
from fettle.core.drift import Portrait
from fettle.core.errors import CorruptFile
from fettle.store import arrow

__all__ = ["REFERENCE", "TOKENS", "read", "read_counts", "write", "write_counts"]

REFERENCE, TOKENS = "reference.arrow", "tokens.arrow"
TRAIT = "trait: "


def write(folder: Path, portrait: Portrait, *, embedding: bool = True) -> Path:
    """The portrait as `reference.arrow`; without its vectors, where rows are not to be kept."""
    columns: dict[str, pa.Array] = {
        TRAIT + name: strings(values.tolist()) if values.dtype.kind == "U"
        else _plain(values, pa.float64(), np.float64)
        for name, values in portrait.traits.items()
    }
    if portrait.classes:
        columns["probabilities"] = _vectors(portrait.probabilities, pa.float32(), np.float32)
    if embedding and portrait.embedding is not None:
        limit = float(np.finfo(np.float16).max)
        columns["embedding"] = _vectors(
            np.clip(portrait.embedding, -limit, limit), pa.float16(), np.float16
        )
    if portrait.labels:
        columns["label"] = strings(list(portrait.labels))
    about: dict[str, Any] = {"kinds": dict(portrait.kinds), "classes": list(portrait.classes)}
    if portrait.thresholds is not None:
        about["thresholds"] = list(portrait.thresholds)
    table = pa.table(columns).replace_schema_metadata({"fettle": json.dumps(about)})
    return arrow.write(folder / REFERENCE, table)


def read(path: Path) -> Portrait:
    """The portrait that `write` wrote.

    Raises:
        CorruptFile: it is none.
    """
    table = arrow.read(path)
    try:
        about = json.loads((table.schema.metadata or {})[b"fettle"])
        held = {name: table.column(name).combine_chunks() for name in table.column_names}
        return Portrait(
            kinds=about["kinds"],
            traits={
                name.removeprefix(TRAIT): _values(column)
                for name, column in held.items() if name.startswith(TRAIT)
            },
            classes=tuple(about["classes"]),
            probabilities=_matrix(held["probabilities"]).astype(np.float64)
            if about["classes"] else np.empty((table.num_rows, 0)),
            embedding=_matrix(held["embedding"]).astype(np.float32)
            if "embedding" in held else None,
            labels=tuple(held["label"].to_pylist()) if "label" in held else (),
            thresholds=tuple(map(float, about["thresholds"])) if "thresholds" in about else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptFile(f"{path} holds no reference rows: {error}.") from error


def write_counts(folder: Path, counts: np.ndarray) -> Path:
    """The tokens that occur, and how often."""
    seen = np.flatnonzero(counts)
    table = pa.table({
        "token": _plain(seen, pa.int64(), np.int64),
        "times": _plain(counts[seen], pa.int64(), np.int64),
    }).replace_schema_metadata({"vocabulary": str(len(counts))})
    return arrow.write(folder / TOKENS, table)


def read_counts(path: Path) -> np.ndarray:
    """int64 (vocabulary,): how often each token was learned."""
    table = arrow.read(path)
    try:
        counts = np.zeros(int((table.schema.metadata or {})[b"vocabulary"]), dtype=np.int64)
        counts[_values(table.column("token").combine_chunks())] = _values(
            table.column("times").combine_chunks()
        )
    except (KeyError, ValueError, IndexError) as error:
        raise CorruptFile(f"{path} holds no counts of tokens: {error}.") from error
    return counts


def _plain(values: np.ndarray, kind: pa.DataType, dtype: type) -> pa.Array:
    """A column of numbers, without a missing cell."""
    held: np.ndarray = np.ascontiguousarray(values, dtype=dtype)
    return pa.Array.from_buffers(kind, len(held), [None, pa.py_buffer(held)])


def _vectors(values: np.ndarray, kind: pa.DataType, dtype: type) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(
        _plain(values.reshape(-1), kind, dtype), values.shape[1]
    )


def _values(column: pa.Array) -> np.ndarray:
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), dtype=str)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _matrix(column: pa.Array) -> np.ndarray:
    return _values(column.flatten()).reshape(len(column), -1)
