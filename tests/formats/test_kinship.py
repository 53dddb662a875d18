import pyarrow as pa
import pytest

from fettle.core.dataset import Dataset, Schema
from fettle.formats.kinship import hints


def dataset_with(name, cells, *, parts=None, **schema):
    rows = len(cells)
    table = pa.table({
        "text": pa.array([f"text {row}" for row in range(rows)]),
        "label": pa.array(["ab"[row % 2] for row in range(rows)]),
        name: pa.array(cells, pa.string()),
    })
    return Dataset("t.csv", table, Schema("label", ("text",), (name,), **schema),
                   tuple(map(str, range(rows))), tuple(parts or [""] * rows))


@pytest.mark.parametrize("name", ["customer_id", "CustomerID", "patient", "speaker", "Users"])
def test_a_column_of_what_rows_belong_to_is_told_with_its_remedy(name):
    (hint,) = hints(dataset_with(name, [f"c{row % 12}" for row in range(60)]))
    assert f"--group {name}" in hint
    assert "12 different cells in 60 rows" in hint


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("ticket_id", [f"c{row}" for row in range(60)]),  # an id of the row itself
        ("genre", [f"c{row % 12}" for row in range(60)]),  # nothing that rows belong to
        ("source", ["web", "mail"] * 30),  # too few to be kin
        ("idea", [f"c{row % 12}" for row in range(60)]),
    ],
)
def test_other_columns_are_not(name, cells):
    assert hints(dataset_with(name, cells)) == []


def test_a_column_of_dates_is_told_with_its_remedy():
    (hint,) = hints(dataset_with("created", [f"2024-03-{1 + row % 28:02}" for row in range(60)]))
    assert "--time created" in hint


def test_files_that_differ_in_a_counter_are_told():
    (hint,) = hints(dataset_with("scan", [f"p{row // 4}_{row % 4}.png" for row in range(60)]))
    assert "15 series" in hint
    assert "--group" in hint


def test_nothing_is_told_of_what_was_named_already():
    cells = [f"c{row % 12}" for row in range(60)]
    assert hints(dataset_with("customer", cells, group="other")) == []


def test_test_rows_have_no_say():
    cells = [f"c{row}" for row in range(30)] + [f"c{row % 5}" for row in range(90)]
    assert hints(dataset_with("customer", cells, parts=[""] * 30 + ["test"] * 90)) == []
