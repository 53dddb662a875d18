import csv

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.core.dataset import Dataset, Schema
from fettle.core.errors import InputError, UnknownName
from fettle.core.fixes import Action, Proposal
from fettle.formats.fixes import as_text, fixed, read_fixes

HEADER = "row,action,old,new,why,check,text\n"


def dataset(labels=("a", "b", None), texts=("one", "two", "three"), parts=("", "train", "test")):
    return Dataset(
        "t",
        pa.table({"text": pa.array(texts, pa.string()), "label": pa.array(labels, pa.string())}),
        Schema("label", ("text",)),
        tuple(f"t.csv:{row + 2}" for row in range(len(labels))),
        tuple(parts),
    )


def approved(folder, *lines, header=HEADER):
    path = folder / "fixes.csv"
    path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return read_fixes(path)


def test_every_action_does_what_it_says_and_nothing_else(tmp_path):
    given = dataset(("a", "b", "c", "d"), ("1", "2", "3", "4"), ("", "", "train", "test"))
    found = fixed(given, approved(
        tmp_path,
        "t.csv:2,relabel,a,z,,,1",
        "t.csv:3,drop,b,,it says nothing,,2",
        "t.csv:4,move-out-of-training,c,,,,3",
        "t.csv:5,merge-label,d,z,,,4",
    ))

    assert found.ids == ("t.csv:2", "t.csv:4", "t.csv:5")
    assert found.targets() == ["z", "c", "z"]
    assert found.parts == ("", "out", "test")
    assert [(one.place, one.reason) for one in found.dropped] == [
        ("t.csv:3", "dropped by fixes.csv: it says nothing")
    ]
    assert found.fixes.counts == {
        "drop": 1, "merge-label": 1, "move-out-of-training": 1, "relabel": 1
    }
    assert len(found.fixes.sha256) == 64
    assert given.targets() == ["a", "b", "c", "d"]


def test_what_is_proposed_reads_back_as_it_was(tmp_path):
    given = dataset(("=1+1", "'=x", None), ("-2 degrees\nor  less", "@home, \"quoted\"", ""))
    proposals = [
        Proposal(0, Action.RELABEL, "+plus", "because, of 'this'", "label_errors"),
        Proposal(1, Action.MERGE, "x", "", "variants"),
        Proposal(2, Action.DROP, "", "there is nothing to read", "missing"),
    ]
    path = tmp_path / "fixes.csv"
    path.write_text(as_text(given, proposals), encoding="utf-8", newline="")

    fixes = [fix for _, fix in read_fixes(path).lines]

    assert [(fix.row, fix.old, fix.new) for fix in fixes] == [
        ("t.csv:2", "=1+1", "+plus"), ("t.csv:3", "'=x", "x"), ("t.csv:4", "", "")
    ]
    assert fixes[0].text == "-2 degrees or less"
    assert fixed(given, read_fixes(path)).targets() == ["+plus", "x"]


@settings(max_examples=200)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
                min_size=3, max_size=3))
def test_no_label_is_changed_on_its_way_and_none_begins_like_a_formula(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("fixes") / "fixes.csv"
    given = dataset(labels)
    text = as_text(given, [Proposal(row, Action.DROP, "", "", "x") for row in range(3)])
    path.write_text(text, encoding="utf-8", newline="")

    assert [fix.old for _, fix in read_fixes(path).lines] == [label or "" for label in labels]
    cells = [cell for line in csv.reader(text.lstrip("\ufeff").splitlines(True)) for cell in line]
    assert not any(cell.lstrip(" \t\r\n").startswith(("=", "+", "-", "@")) for cell in cells)


def test_a_spreadsheet_that_saves_with_semicolons_is_understood(tmp_path):
    header = HEADER.replace(",", ";")
    found = approved(tmp_path, "t.csv:2;relabel;a;b;;;one", header=header)
    assert fixed(dataset(), found).targets()[0] == "b"


def test_an_empty_file_of_fixes_changes_nothing_and_says_so(tmp_path):
    given = dataset()
    found = fixed(given, approved(tmp_path))
    assert found.targets() == given.targets()
    assert found.fixes.counts == {}
    assert as_text(given, []).splitlines() == ["\ufeff" + HEADER.strip()]


WRONG = {
    "a row that is not there": ("t.csv:9,drop,a,,,,", ["fixes.csv:2", "'row'", "t.csv:9"]),
    "an answer that has changed": ("t.csv:2,relabel,x,b,,,", ["'old'", "'x'", "'a'"]),
    "an answer where none is": ("t.csv:4,drop,x,,,,", ["'old'", "''"]),
    "a text that has changed": ("t.csv:2,drop,a,,,,two", ["'text'", "moved"]),
    "an unknown action": ("t.csv:2,drp,a,,,,", ["fixes.csv:2", "'action'", "Did you mean 'drop'"]),
    "no new answer": ("t.csv:2,relabel,a,,,,", ["fixes.csv:2", "'new'", "empty"]),
    "the old answer again": ("t.csv:2,merge-label,a,a,,,", ["'new'"]),
    "a new answer for none": ("t.csv:2,drop,a,b,,,", ["'new'", "drop gives no answer"]),
    "a test row out of training": ("t.csv:4,move-out-of-training,,,,,", ["'action'", "test row"]),
    "a cell too few": ("t.csv:2,drop,a", ["fixes.csv:2", "3 cells instead of 7"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_line_that_does_not_fit_is_an_error_with_line_and_column(case, tmp_path):
    line, words = WRONG[case]
    with pytest.raises((InputError, UnknownName)) as error:
        fixed(dataset(), approved(tmp_path, line))
    for word in words:
        assert word in str(error.value), str(error.value)


def test_two_lines_for_one_row_are_an_error_that_names_both(tmp_path):
    with pytest.raises(InputError, match=r"fixes.csv:3.*also on fixes.csv:2"):
        fixed(dataset(), approved(tmp_path, "t.csv:2,drop,a,,,,", "t.csv:2,relabel,a,b,,,"))


def test_columns_are_known_and_needed(tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'action'"):
        approved(tmp_path, "t.csv:2,drop,a,", header="row,acton,old,new\n")
    with pytest.raises(UnknownName, match="'new'"):
        approved(tmp_path, "t.csv:2,drop,a", header="row,action,old\n")
    assert approved(tmp_path, "t.csv:2,drop,a,", header="row,action,old,new\n").lines
