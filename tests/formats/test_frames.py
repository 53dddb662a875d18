"""Frames: pandas, polars, Arrow and datasets give the same rows of text."""

import subprocess
import sys

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fettle.core.errors import InputError
from fettle.formats.frames import rows_of_frame

CELLS = {"text": ["a b", None, "c"], "label": ["007", "NA", "True"]}


@pytest.mark.parametrize(
    "make",
    [pa.table, pd.DataFrame, pl.DataFrame, pl.LazyFrame, datasets.Dataset.from_dict],
    ids=["arrow", "pandas", "polars", "lazy", "datasets"],
)
def test_every_kind_of_frame_gives_the_same_rows(make):
    rows = rows_of_frame(make(CELLS))
    assert rows.table.to_pydict() == CELLS
    assert set(rows.table.schema.types) == {pa.string()}
    assert rows.ids == ("row:1", "row:2", "row:3")


def test_a_record_batch_and_a_list_of_dicts_are_frames_too():
    batch = pa.RecordBatch.from_pydict(CELLS)
    dicts = [{"text": "a b", "label": "007"}, {"label": "NA"}, {"text": "c", "label": "True"}]
    assert rows_of_frame(batch).table.to_pydict() == CELLS
    assert rows_of_frame(dicts).table.to_pydict() == CELLS
    assert rows_of_frame(["a", "b"]).table.to_pydict() == {"text": ["a", "b"]}


def test_whole_numbers_that_pandas_made_floats_for_a_gap_lose_the_point():
    frame = pd.DataFrame({"n": [7, None], "x": [0.5, 2.0], "i": pd.array([1, None], dtype="Int64")})
    assert rows_of_frame(frame).table.to_pydict() == {
        "n": ["7", None],
        "x": ["0.5", "2"],
        "i": ["1", None],
    }


def test_columns_of_several_types_become_text_value_by_value():
    frame = pd.DataFrame(
        {"v": [1, "a", None, 2.0, True, float("nan"), [1], pd.NaT, pd.NA]}, dtype=object
    )
    expected = ["1", "a", None, "2", "True", None, "[1]", None, None]
    assert rows_of_frame(frame).table.column("v").to_pylist() == expected


def test_a_number_of_25_digits_keeps_them():
    frame = pd.DataFrame({"id": [1234567890123456789012345, 1]}, dtype=object)
    assert rows_of_frame(frame).table.column("id")[0].as_py() == "1234567890123456789012345"
    wide = pl.DataFrame({"id": pl.Series([10**25], dtype=pl.Int128)})
    assert rows_of_frame(wide).table.column("id")[0].as_py() == str(10**25)


def test_categories_are_their_names():
    names = ["b", "a", None]
    assert rows_of_frame(pd.DataFrame({"c": pd.Categorical(names)})).table["c"].to_pylist() == names
    for kind in (pl.Categorical, pl.Enum(["a", "b"])):
        frame = pl.DataFrame({"c": pl.Series(names, dtype=kind)})
        assert rows_of_frame(frame).table["c"].to_pylist() == names
    numbers = pd.DataFrame({"c": pd.Categorical([3, 1])})
    assert rows_of_frame(numbers).table["c"].to_pylist() == ["3", "1"]


def labelled(texts, labels):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["ham", "spam"])}
    )
    return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)


def test_class_labels_are_their_names_and_minus_one_is_missing():
    rows = rows_of_frame(labelled(["a", "b", "c"], [1, 0, -1]))
    assert rows.table["label"].to_pylist() == ["spam", "ham", None]


def test_a_selection_of_a_dataset_is_read_in_its_order():
    assert rows_of_frame(labelled(["a", "b"], [1, 0]).select([1])).table["text"].to_pylist() == [
        "b"
    ]


def test_the_parts_of_a_dataset_dict_are_given_parts():
    parts = datasets.DatasetDict(
        test=labelled(["t"], [0]), train=labelled(["a", "b"], [0, 1]), dev=labelled(["v"], [1])
    )
    rows = rows_of_frame(parts)
    assert rows.parts == ("train", "train", "validation", "test")
    assert rows.ids == ("train:1", "train:2", "validation:1", "test:1")
    assert rows.table["text"].to_pylist() == ["a", "b", "v", "t"]


def test_a_dataset_dict_with_one_part_is_not_split_yet():
    assert rows_of_frame(datasets.DatasetDict(train=labelled(["a"], [0]))).parts == ()


def test_an_unknown_part_and_different_columns_are_errors():
    with pytest.raises(InputError, match="'unsupervised'"):
        rows_of_frame(datasets.DatasetDict(unsupervised=labelled(["a"], [0])))
    other = datasets.Dataset.from_dict({"text": ["a"]})
    with pytest.raises(InputError, match="same columns"):
        rows_of_frame(datasets.DatasetDict(train=labelled(["a"], [0]), test=other))
    with pytest.raises(InputError, match="'valid'"):
        rows_of_frame(datasets.DatasetDict(val=labelled(["a"], [0]), valid=labelled(["a"], [0])))


def test_names_are_checked_as_in_files():
    with pytest.raises(InputError, match="Columns 1 and 2 of the table are both called 'a'"):
        rows_of_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    assert rows_of_frame(pd.DataFrame([["x"]], columns=[0])).table.column_names == ["0"]


def test_an_index_with_a_name_is_told_to_be_left_out():
    frame = pd.DataFrame(CELLS, index=pd.Index([5, 6, 7], name="ticket"))
    assert "The index (ticket)" in rows_of_frame(frame).notes[0]


@pytest.mark.parametrize("source", [5, {"a": [1]}, object(), [], [1, 2], [["a"]]])
def test_what_is_no_table_is_an_error_that_says_what_is(source):
    with pytest.raises(InputError):
        rows_of_frame(source)


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"a": []}), pl.DataFrame()])
def test_a_table_without_rows_is_an_error(frame):
    with pytest.raises(InputError, match="no rows"):
        rows_of_frame(frame)


def test_half_a_surrogate_pair_is_an_error_with_its_row():
    with pytest.raises(InputError, match=r"Row 2 of the table.*'text'"):
        rows_of_frame([{"text": "a"}, {"text": "\ud800"}])


def test_reading_imports_no_library_of_frames():
    names = "('pandas', 'polars', 'datasets')"
    code = f"import sys, fettle.formats.frames; print([n for n in {names} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
