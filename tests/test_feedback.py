"""`fettle feedback`: labels find their answers by id, twice is once, and nothing is dropped."""

import datetime
import json

import numpy as np
import pytest

from fettle.core.journal import Answered
from fettle.store import journal
from patience import PATIENCE
from serving import copy_of_registry
from stories import write_rows

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
FOLDER = ".fettle/journal/tickets"


@pytest.fixture
def place(two_versions, workplace):
    """A registry with tickets@1, and a journal of six answers: the last three audited."""
    copy_of_registry(two_versions, workplace)
    journal.Journal(workplace / FOLDER).write(
        Answered(f"{number:032x}", NOW, "tickets@1", "top up", np.array([0.2, 0.3, 0.5]),
                 stream="audit" if number >= 3 else "user")
        for number in range(6)
    )
    return workplace


def give(fettle, place, rows, *arguments):
    write_rows(place / "labels.csv", rows, header=("id", "label"))
    return fettle("feedback", "tickets", "labels.csv", *arguments)


def id_of(number: int) -> str:
    return f"{number:032x}"


def entered(place):
    return [(int(one.id, 16), one.label, one.source) for one in
            journal.labels(place / FOLDER).labels]


def test_labels_are_entered_once_however_often_they_are_given(fettle, place):
    rows = [(id_of(0), "top up"), (id_of(1), "lost card"), (id_of(0), "top up")]
    done = give(fettle, place, rows)
    assert done.code == 0, done.err
    assert "2 labels entered as user feedback on tickets; 1 were known" in done.out
    assert "0 labels entered" in give(fettle, place, rows).out
    assert entered(place) == [(0, "top up", "user"), (1, "lost card", "user")]


def test_who_says_it_is_kept_and_what_two_people_say_is_said_twice(fettle, place):
    rows = [(id_of(0), "top up", "ann"), (id_of(0), "top up", "bob"), (id_of(1), "top up", "ann"),
            (id_of(2), "top up", ""), (id_of(1), "top up", "ann")]
    write_rows(place / "labels.csv", rows, header=("id", "label", "person"))
    done = fettle("feedback", "tickets", "labels.csv")
    assert "4 labels entered as user feedback on tickets; 1 were known" in done.out, done.err
    found = journal.labels(place / FOLDER)
    assert [(int(one.id, 16), one.by) for one in found.labels] == [
        (0, "ann"), (0, "bob"), (1, "ann"), (2, "")]
    assert found.people("user") == {id_of(0): "", id_of(1): "ann", id_of(2): ""}
    assert not found.contradicted
    assert "0 labels entered" in fettle("feedback", "tickets", "labels.csv").out


def test_ids_that_nobody_was_given_are_listed_and_not_entered(fettle, place):
    done = give(fettle, place, [("f" * 32, "top up"), ("../etc", "top up"), (id_of(2), "top up")])
    assert "1 labels entered" in done.out
    assert "2 ids are not in the journal" in done.out
    assert "f" * 32 in done.out
    assert entered(place) == [(2, "top up", "user")]


def test_labels_that_contradict_each_other_are_all_kept_and_none_counts(fettle, place):
    give(fettle, place, [(id_of(0), "top up")])
    done = give(fettle, place, [(id_of(0), "lost card")])
    assert "contradict each other" in done.out
    assert f"{id_of(0)}: top up, lost card" in done.out
    found = journal.labels(place / FOLDER)
    assert len(found.labels) == 2
    assert found.settled() == {}


def test_the_audit_takes_only_ids_of_the_audit_stream(fettle, place):
    done = give(fettle, place, [(id_of(0), "top up"), (id_of(4), "top up")], "--audit")
    assert "1 labels entered as audit feedback" in done.out
    assert "1 ids are not of the audit stream" in done.out
    assert entered(place) == [(4, "top up", "audit")]


def test_a_label_that_is_no_class_is_not_entered_unless_asked_for(fettle, place):
    rows = [(id_of(0), "topup"), (id_of(1), "topup"), (id_of(2), "top up")]
    done = give(fettle, place, rows)
    assert "topup (2 rows)" in done.out
    assert entered(place) == [(2, "top up", "user")]
    give(fettle, place, rows, "--new-labels")
    assert (0, "topup", "user") in entered(place)


def test_rows_without_id_or_label_are_listed(fettle, place):
    done = give(fettle, place, [("", "top up"), (id_of(1), ""), (id_of(2), "top up")])
    assert "2 rows have no id or no label" in done.out
    assert "labels.csv:2" in done.out


def test_json_says_the_same(fettle, place):
    done = give(fettle, place, [(id_of(0), "top up"), ("f" * 32, "x")], "--json")
    told = done.json
    assert told["entered"] == 1
    assert told["unknown"] == ["f" * 32]


def test_feedback_that_is_given_by_two_at_once_is_all_entered(fettle, machine, place):
    from stories import _started

    for number in range(3):
        write_rows(place / f"{number}.csv", [(id_of(number), "top up")], header=("id", "label"))
    running = [
        _started(machine, ["feedback", "tickets", f"{number}.csv"], place, False, None, {})
        for number in range(3)
    ]
    codes = []
    for process in running:
        out, err = process.communicate(timeout=PATIENCE)
        codes.append((process.returncode, out + err))
    taken = sum(code == 0 for code, _ in codes)
    assert len(entered(place)) == taken
    for code, said in codes:
        assert code == 0 or (code == 2 and "in use by" in said), said


@pytest.mark.parametrize(("header", "sentence"), [
    (("id", "lable"), "has no column 'label'"), (("key", "label"), "'id'"),
])
def test_a_file_without_its_columns_is_refused(fettle, place, header, sentence):
    write_rows(place / "labels.csv", [(id_of(0), "top up")], header=header)
    done = fettle("feedback", "tickets", "labels.csv")
    assert (done.code, sentence in done.err) == (2, True), done.err
    assert entered(place) == []


def test_feedback_before_any_answer_is_told(fettle, workplace):
    (workplace / "labels.csv").write_text("id,label\na,b\n")
    done = fettle("feedback", "tickets", "labels.csv")
    assert done.code == 2
    assert "Nothing was answered as tickets yet" in done.err
    assert fettle("feedback", "../tickets", "labels.csv").code == 2


def test_torn_lines_of_the_journal_are_said(fettle, place):
    (path,) = (place / FOLDER).glob("2*.jsonl")
    path.write_bytes(path.read_bytes() + json.dumps({"id": "x"}).encode() + b"\n{")
    done = give(fettle, place, [(id_of(0), "top up")])
    assert done.code == 0
    assert done.err.count("passed over") == 2
