"""Several labels a row, as files have them: what stands between them is found, told, or refused."""

import pyarrow as pa
import pytest

from fettle.core.dataset import Schema
from fettle.core.errors import InputError, SettingError, UnknownName
from fettle.formats.label_columns import (
    COLUMNS,
    LIST,
    composed,
    found_in,
    joined,
    listed,
    marked,
    parted,
    said,
    separator_of,
    with_labels,
)
from fettle.formats.rows import Rows


def rows(**columns: list[str | None]) -> Rows:
    table = pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})
    return Rows(table, tuple(f"t.csv:{row + 2}" for row in range(table.num_rows)))


def cells(made: Rows, name: str = "labels") -> list[str | None]:
    return made.table.column(name).to_pylist()


def of(how: str, target: str = "labels") -> Schema:
    return Schema(target, ("text",), task="multi-label", several=how)


@pytest.mark.parametrize(("given", "wanted"), [
    (["a|b", "b", "a | c", "", "c|b"], "|"),
    (["red;blue", "blue", "green;red", "green;blue"], ";"),
    (["late, card", "card", "late", "late, fee", "fee, card"], ","),
    (['["a","b"]', "[]", '["b"]'], "list"),
])
def test_what_stands_between_labels_is_found(given, wanted):
    found = found_in(given)
    assert found is not None
    assert found[0] == wanted


@pytest.mark.parametrize("given", [
    ["Sports, Outdoors", "Home, Garden", "Sports, Outdoors", "Books"],  # never parted
    ["a", "b", "c", "a"],
    ["a|b", "c", "d", "e"],  # once: it may be a name
    ["the card was lost, and then it was found again", "the card was found again, and then it was "
     "lost, and so on it went", "the card was lost, and then it was lost again"],
    [None, "", "  "],
])
def test_commas_in_names_are_not_taken_for_separators(given):
    assert found_in(given) is None


def test_cells_become_lists_of_labels_and_an_empty_one_a_row_without_a_label():
    made = listed(rows(labels=["b| a", "", None, "a||a", "c"]), of("|"), place="t.csv")
    assert cells(made) == ['["a","b"]', "[]", None, '["a"]', '["c"]']
    assert made.notes == ("1 row of t.csv without a label: a valid answer.",)


def test_json_lists_are_read_and_numbers_in_them_keep_their_digits():
    made = listed(rows(labels=['["b", "a"]', "[]", "[1, 2.50]", "", None]), of("list"), place="t")
    assert cells(made) == ['["a","b"]', "[]", '["1","2.50"]', None, None]


@pytest.mark.parametrize("cell", ["a, b", '{"a": 1}', '[["a"]]', '["a"'])
def test_a_cell_that_is_no_list_is_named_by_its_row(cell):
    with pytest.raises(InputError, match=r"t\.csv:3, column 'labels': .* is no JSON list"):
        listed(rows(labels=['["a"]', cell]), of("list"), place="t.csv")


def test_columns_of_0_and_1_become_one_with_their_names_as_labels():
    given = rows(text=["x", "y", "z", "w"], late=["1", "0", "True", ""], card=["0", "no", "1", "1"])
    made = composed(given, "late,card", place="t.csv")
    assert made.table.column_names == ["text", "late,card"]
    assert cells(made, "late,card") == ['["late"]', "[]", '["card","late"]', None]
    assert made.label_column == "late,card"
    assert "1 row of t.csv with an empty cell" in made.notes[1]


def test_a_target_without_commas_or_a_column_called_so_stays():
    given = rows(**{"text": ["x"], "a,b": ["1"]})
    assert composed(given, "a,b", place="t.csv") is given
    assert composed(given, "text", place="t.csv") is given
    assert composed(given, None, place="t.csv") is given


def test_what_is_neither_1_nor_0_is_named_with_its_row_and_column():
    with pytest.raises(InputError, match=r"t\.csv:3, column 'b': 'maybe' is neither 1 nor 0"):
        composed(rows(a=["1", "0"], b=["0", "maybe"]), "a,b", place="t.csv")
    with pytest.raises(UnknownName, match="'c'"):
        composed(rows(a=["1"], b=["0"]), "a,c", place="t.csv")
    with pytest.raises(InputError, match="twice"):
        composed(rows(a=["1"], b=["0"]), "a,b,a", place="t.csv")


def test_columns_and_a_separator_cannot_both_be_told():
    made = composed(rows(a=["1"], b=["0"]), "a,b", place="t.csv")
    assert separator_of(made, None) == "columns"
    assert separator_of(made, "columns") == "columns"
    with pytest.raises(SettingError, match="Give one of the two"):
        separator_of(made, "|")
    with pytest.raises(SettingError, match="--target a,b,c"):
        separator_of(rows(labels=["a"]), "columns")


def test_rows_to_be_answered_may_carry_labels_or_not():
    bare = rows(text=["x"])
    assert with_labels(bare, of("|"), place="t") is bare
    assert with_labels(bare, of("columns", "a,b"), place="t") is bare
    assert cells(with_labels(rows(labels=["b|a"]), of("|"), place="t")) == ['["a","b"]']
    both = with_labels(rows(a=["1"], b=["1"]), of("columns", "a,b"), place="t")
    assert cells(both, "a,b") == ['["a","b"]']
    with pytest.raises(UnknownName):
        with_labels(rows(a=["1"]), of("columns", "a,b"), place="t")


KNOWN = ("late", "billing", "lost card")


@pytest.mark.parametrize(("given", "more", "wanted"), [
    (["late|billing", "late"], {"usual": "|"}, ['["billing","late"]', '["late"]']),
    (["late; billing", "lost card"], {"usual": "|"}, ['["billing","late"]', '["lost card"]']),
    (["late, lost card"], {"usual": "list"}, ['["late","lost card"]']),
    (['["late"]', "[]", "", " "], {"usual": "|"}, ['["late"]', "[]", None, None]),
    (["late|parcel"], {"usual": "|"}, ['["late","parcel"]']),
    (["late+billing"], {"told": "+"}, ['["billing","late"]']),
    (["late"], {}, ['["late"]']),
])
def test_what_people_said_is_read_by_the_labels_that_are_known(given, more, wanted):
    ids = [f"f.csv:{row + 2}" for row in range(len(given))]
    assert said(given, ids, column="label", known=KNOWN, **more) == wanted


@pytest.mark.parametrize(("told", "says"), [("+", "No cell"), (LIST, "no JSON list")])
def test_a_separator_that_is_nowhere_and_a_cell_that_is_no_list_are_refused(told, says):
    with pytest.raises(InputError, match=says):
        said(["late|billing"], ["f.csv:2"], column="label", known=KNOWN, told=told)


def test_columns_of_0_and_1_need_one_for_each_label_and_an_empty_cell_says_nothing():
    given = rows(late=["1", "0", ""], billing=["0", "no", "1"])
    assert marked(given.table, ("late", "billing"), given.ids, place="f.csv") == [
        '["late"]', "[]", None]
    assert marked(given.table, ("top up",), given.ids, place="f.csv") is None
    with pytest.raises(InputError, match="none called 'lost card'"):
        marked(given.table, KNOWN, given.ids, place="f.csv")


@pytest.mark.parametrize("how", ["|", "; ", LIST, COLUMNS])
def test_lists_become_what_a_file_had_and_lists_again(how):
    target = "late,billing" if how == COLUMNS else "labels"
    cells_ = ['["billing","late"]', "[]", None, '["late"]']
    table = joined(rows(text=["a"] * 4, **{target: cells_}).table, target, how)
    held = {"|": ["billing|late", "", None, "late"], "; ": ["billing; late", "", None, "late"],
            LIST: cells_, COLUMNS: ["1", "0", None, "1"]}[how]
    assert table.column("late" if how == COLUMNS else target).to_pylist() == held
    made = with_labels(Rows(table, ("1", "2", "3", "4")), of(how, target), place="f.csv")
    assert cells(made, target) == cells_


def test_a_json_list_is_one_beside_any_sign():
    given = rows(text=["a"] * 3, labels=['["late","lost card"]', "late|billing", "[]"])
    made = listed(given, of("|"), place="f.csv")
    assert cells(made) == ['["late","lost card"]', '["billing","late"]', "[]"]
    assert parted("[late", "|") == '["[late"]'
