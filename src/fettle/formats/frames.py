"""Frames: tables that already live in Python, as rows of text.

They are recognised by the names of their classes, so that no library is imported which the
caller has not. Categories and class labels become their names.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa

from fettle.core.columns import strings
from fettle.core.errors import InputError
from fettle.formats.cells import text_column, text_column_of_values
from fettle.formats.rows import Rows, column_names, rows_of_columns

__all__ = ["FRAMES", "rows_of_frame"]

_PLACE = "the table"
_PARTS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


def rows_of_frame(source: object) -> Rows:
    """The rows of a table in Python; their ids are row:1, row:2 and so on.

    Args:
        source: anything that FRAMES names, or a list of texts (a column called text) or of dicts.

    Raises:
        InputError: the object is no table, or has no rows, or two columns of one name.
    """
    for kind in type(source).__mro__:
        read = FRAMES.get(f"{kind.__module__.split('.')[0]}.{kind.__name__}")
        if read is not None:
            return read(source)
    raise InputError(
        f"A {type(source).__module__}.{type(source).__name__} cannot be read as rows. Give a path, "
        f"or one of: {', '.join(FRAMES)}."
    )


def _of_arrow(table: pa.Table) -> Rows:
    return _rows(table.column_names, table.columns)


def _of_batch(batch: pa.RecordBatch) -> Rows:
    return _of_arrow(pa.Table.from_batches([batch]))


def _of_pandas(frame: Any) -> Rows:
    columns = [_column_of(frame.iloc[:, i], _pandas_array) for i in range(frame.shape[1])]
    notes: tuple[str, ...] = ()
    if type(frame.index).__name__ != "RangeIndex" and frame.index.names != [None]:
        names = ", ".join(str(name) for name in frame.index.names)
        notes = (f"The index ({names}) of {_PLACE} is not read; reset_index() makes it a column.",)
    return _rows([str(name) for name in frame.columns], columns, notes)


def _of_polars(frame: Any) -> Rows:
    columns = [_column_of(series, _polars_array) for series in frame.get_columns()]
    return _rows(frame.columns, columns)


def _of_lazy_polars(frame: Any) -> Rows:
    return _of_polars(frame.collect())


def _of_datasets(dataset: Any) -> Rows:
    table = dataset.with_format("arrow")[:]  # in the order that select and shuffle left
    columns = [
        _with_label_names(table[name], dataset.features[name]) for name in table.column_names
    ]
    return _rows(table.column_names, columns)


def _of_dataset_dict(parts: Any) -> Rows:
    """Train, validation and test one after another; the rows know where they came from."""
    meant = [_PARTS.get(name) for name in parts]
    if not parts or None in meant or len(set(meant)) < len(meant):
        raise InputError(
            f"A DatasetDict may hold train, validation and test, once each, and this one holds "
            f"{', '.join(map(repr, parts)) or 'nothing'}. Give one Dataset of it, such as "
            "dataset['train']."
        )
    given = {_PARTS[name]: _of_datasets(dataset) for name, dataset in parts.items()}
    names = given[next(iter(given))].table.column_names
    for name, rows in given.items():
        if set(rows.table.column_names) != set(names):
            raise InputError(
                f"The {name} part has the columns {', '.join(rows.table.column_names)}; the others "
                f"have {', '.join(names)}. Give all parts the same columns."
            )
    order = [part for part in ("train", "validation", "test") if part in given]
    table = pa.concat_tables([given[part].table.select(names) for part in order])
    ids = tuple(f"{part}:{row}" for part in order for row in range(1, len(given[part].ids) + 1))
    named = tuple(part for part in order for _ in given[part].ids) if len(given) > 1 else ()
    notes = tuple(dict.fromkeys(note for part in order for note in given[part].notes))
    return Rows(table, ids, (), notes, named)


def _of_list(values: Sequence[Any]) -> Rows:
    """Texts, or dicts that name their cells."""
    if values and all(isinstance(value, str) for value in values):
        return _rows(["text"], [text_column_of_values(values, name="text", place=_PLACE)])
    if values and all(isinstance(value, dict) for value in values):
        keys = list(dict.fromkeys(key for value in values for key in value))
        cells = ([value.get(key) for value in values] for key in keys)
        columns = [
            text_column_of_values(column, name=str(key), place=_PLACE)
            for key, column in zip(keys, cells, strict=True)
        ]
        return _rows([str(key) for key in keys], columns)
    raise InputError(
        "A list of rows must hold texts, or dicts that name their cells; at least one."
    )


def _rows(
    found: Sequence[str], columns: Iterable[pa.ChunkedArray], notes: tuple[str, ...] = ()
) -> Rows:
    names, more = column_names(found, place=_PLACE)
    texts = [
        text_column(column, name=name, place=_PLACE)
        for name, column in zip(names, columns, strict=True)
    ]
    rows = len(texts[0]) if texts else 0
    if not rows:
        raise InputError("The table has no rows, or no columns. Check what was given.")
    ids = tuple(f"row:{row}" for row in range(1, rows + 1))
    return rows_of_columns(names, texts, place=_PLACE, ids=ids, notes=(*notes, *more))


def _column_of(series: Any, array: Callable[[Any], pa.Array]) -> pa.ChunkedArray:
    """A column as Arrow types it, or as text where its values have several types."""
    try:
        made = array(series)
    except (ValueError, TypeError, OverflowError, NotImplementedError):
        return text_column_of_values(list(series), name=str(series.name), place=_PLACE)
    return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])


def _pandas_array(series: Any) -> pa.Array:
    return pa.Array.from_pandas(series)


def _polars_array(series: Any) -> pa.Array:
    return series.to_arrow()


def _with_label_names(column: pa.ChunkedArray, feature: Any) -> pa.ChunkedArray:
    """Class numbers as their names; -1 is how datasets says that there is none."""
    names = getattr(feature, "names", None)
    if type(feature).__name__ != "ClassLabel" or not names:
        return column
    cells = [
        None if number is None or number < 0 else names[number] for number in column.to_pylist()
    ]
    return pa.chunked_array([strings(cells)], pa.string())


FRAMES: dict[str, Callable[[Any], Rows]] = {
    "pyarrow.Table": _of_arrow,
    "pyarrow.RecordBatch": _of_batch,
    "pandas.DataFrame": _of_pandas,
    "polars.DataFrame": _of_polars,
    "polars.LazyFrame": _of_lazy_polars,
    "datasets.Dataset": _of_datasets,
    "datasets.DatasetDict": _of_dataset_dict,
    "builtins.list": _of_list,
    "builtins.tuple": _of_list,
}
"""What can be read, by library and class. To add one: write its reader, add its line."""
