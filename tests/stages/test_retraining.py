"""What is decided, and what a new version learns from."""

import hashlib

import pyarrow as pa
import pytest

from fettle.core.drift import Drift, Estimate, Judged, State, Window
from fettle.core.errors import InputError
from fettle.core.labelling import NewLabels
from fettle.core.pictures import cell_of_bytes, cell_of_hash
from fettle.core.score import Score
from fettle.stages import retraining
from fettle.stages.retraining import Standing


def score(value, name="accuracy"):
    return Score(name, value, value - 0.03, value + 0.03, 500)


def drift(*, drifted=(), fallen=False, unsure=False):
    estimate = Estimate("accuracy", 0.7 if unsure else 0.9, 0.6, 0.95, 200, unsure)
    windows = tuple(Window("a", "b", "", 200, (), estimate) for _ in range(3))
    judged = (Judged("audit", score(0.7), 0.6, 0.8, "fallen" if fallen else "holds"),)
    return Drift("m@2", "new", 600, 500, score(0.9), estimate, windows,
                 tuple(State(name, "drift", 0) for name in drifted), judged)


OLD = Standing("m@2", age_days=90.0, previous="m@1")


@pytest.mark.parametrize(("standing", "found", "action"), [
    (OLD, None, "keep"),
    (OLD, drift(), "keep"),
    (OLD, drift(drifted=("length",)), "keep"),
    (OLD, drift(unsure=True), "keep"),
    (OLD, drift(drifted=("length",), unsure=True), "retrain"),
    (OLD, drift(drifted=("length",), fallen=True), "retrain"),
    (OLD, drift(fallen=True), "roll back"),
    (Standing("m@1", 90.0), drift(fallen=True), "retrain"),
    (Standing("m@2", 1.0, "m@1"), drift(drifted=("length",), unsure=True), "keep"),
    (Standing("m@2", 1.0, "m@1"), drift(drifted=("length",), fallen=True), "retrain"),
    (Standing("m@2", 90.0, new_labels=NewLabels(300), more_rows_gain=0.02), drift(), "retrain"),
    (Standing("m@2", 90.0, new_labels=NewLabels(300), more_rows_gain=0.001), drift(), "keep"),
    (Standing("m@2", 90.0, new_labels=NewLabels(300), more_rows_gain=0.02, has_numbers=True),
     drift(), "retrain"),
    (Standing("m@2", 90.0, new_labels=NewLabels(50), more_rows_gain=0.05), drift(), "keep"),
    (Standing("m@2", 1.0, challenger="m@3", challenger_verdict="promote"), drift(fallen=True),
     "promote"),
    (Standing("m@2", 1.0, challenger="m@3", challenger_verdict="reject"), drift(), "keep"),
    (Standing("m@2", 1.0, challenger="m@3"), drift(), "keep"),
])
def test_every_decision_has_its_reason_and_a_command(standing, found, action):
    made = retraining.decide(standing, found)
    assert made.action == action
    assert all(made.reasons)
    assert bool(made.reasons)
    assert bool(made.command) == (action != "keep")


def test_a_challenger_that_waits_is_told_of_with_what_the_gates_said():
    asked = Standing("m@2", 90.0, challenger="m@3", challenger_verdict="cannot tell")
    assert "m@3 waits, and the gates said: cannot tell." in retraining.decide(asked).reasons
    unasked = retraining.decide(Standing("m@2", 90.0, challenger="m@3"))
    assert any("fettle promote m@3 --dry-run" in reason for reason in unasked.reasons)


def test_labels_of_rows_that_a_version_has_are_not_new_and_each_counts_once():
    fields = [("A ",), ("e",), ("new",), ("NEW",), ("other",), ("blank",)]
    labels = ["x", "x", "x", "y", "y", None]
    assert retraining.unlearned([BEFORE], fields, labels, ("text",)).rows == 2
    assert retraining.unlearned([], fields, labels, ("text",)).rows == 4


def test_labels_of_one_source_count_for_no_more_than_half_and_the_decision_says_so():
    fields = [(f"new {at}",) for at in range(700)]
    people = ["client 7"] * 500 + ["ann"] * 150 + [""] * 50
    found = retraining.unlearned([BEFORE], fields, ["x"] * 700, ("text",), people)
    assert found == NewLabels(400, "client 7", 500, 300)
    made = retraining.decide(Standing("m@2", 90.0, new_labels=found, more_rows_gain=0.02))
    said = " ".join(made.reasons)
    assert "client 7 alone labelled 500 of 700 new rows, and 300 of them do not count" in said
    assert "400 reviewed rows wait" in said
    few = retraining.unlearned([BEFORE], fields, ["x"] * 700, ("text",), ["client 7"] * 699 + [""])
    assert few.rows == 201
    assert retraining.decide(Standing("m@2", 90.0, new_labels=NewLabels(100, "client 7", 9_100,
                                      9_000), more_rows_gain=0.02)).action == "keep"


def test_a_row_that_two_people_labelled_is_no_one_s_own():
    fields = [(f"new {at}",) for at in range(400)] * 2
    people = ["ann"] * 400 + ["bob"] * 400
    assert retraining.unlearned([], fields, ["x"] * 800, ("text",), people) == NewLabels(400)
    alone = retraining.unlearned([], fields[:400], ["x"] * 400, ("text",), people[:400])
    assert alone == NewLabels(400, "ann", 400)
    assert alone.sentence == "All 400 new rows were labelled by ann alone."


def test_a_picture_is_the_same_whether_its_bytes_or_their_hash_stand_in_the_cell():
    content = b"\x89PNG of a disc"
    held, served = cell_of_hash(hashlib.sha256(content).hexdigest()), cell_of_bytes(content)
    before = pa.table({"picture": [held], "label": ["disc"], "id": ["0"], "side": ["test"]})
    assert retraining.unlearned([before], [(served,)], ["disc"], ("picture",)).rows == 0
    others = [cell_of_bytes(b"\x89PNG of another %d" % at) for at in range(10)]
    new = pa.table({"picture": [served, *others], "label": ["disc"] * 11,
                    "id": [str(at) for at in range(11)]})
    made, _ = retraining.assemble(before, new, inputs=("picture",), target="label", seed=0)
    assert served not in made.column("picture").to_pylist()  # it judges, so nothing learns from it
    assert made.num_rows == 11


def old(*rows):
    text, label, side = zip(*rows, strict=True)
    return pa.table({"text": list(text), "label": list(label),
                     "id": [f"o:{at}" for at in range(len(rows))], "side": list(side)})


def new(*rows):
    text, label = zip(*rows, strict=True)
    return pa.table({"text": list(text), "label": list(label),
                     "row id": [f"n:{at}" for at in range(len(rows))]})


BEFORE = old(("a", "x", "train"), ("b", "y", "train"), ("c", "x", "validation"),
             ("d", "y", "test"), ("e", "x", "left out"))


def assembled(*rows, seed=0):
    return retraining.assemble(BEFORE, new(*rows), inputs=("text",), target="label", seed=seed)


def test_old_rows_stand_where_they_stood_and_a_share_of_the_new_ones_judges():
    table, notes = assembled(*((f"new {at}", "xy"[at % 2]) for at in range(100)))
    rows = table.to_pylist()
    assert [(one["text"], one["split"]) for one in rows[:4]] == [
        ("a", "train"), ("b", "train"), ("c", "validation"), ("d", "test")]
    assert rows[0]["row id"] == "o:0"
    fresh = [one["split"] for one in rows[4:]]
    assert (fresh.count("test"), fresh.count("validation")) == (20, 12)
    tests = [one["label"] for one in rows[4:] if one["split"] == "test"]
    assert tests.count("x") == 10
    assert any("vault of their own" in note for note in notes)


def test_of_the_new_rows_no_one_person_brings_more_than_half():
    rows = [(f"new {at}", "xy"[at % 2]) for at in range(900)]
    people = ["flood"] * 600 + ["ann"] * 200 + ["bob"] * 50 + [""] * 50
    table, notes = retraining.assemble(BEFORE, new(*rows), inputs=("text",), target="label",
                                       seed=0, people=people)
    of_flood = {text for text, _ in rows[:600]}
    taken = [text for text in table.column("text").to_pylist() if text.startswith("new")]
    assert len(taken) == 600
    assert len(of_flood & set(taken)) == 300
    said = " ".join(notes)
    assert "flood alone labelled 600 of 900 new rows, and 300 of them do not count" in said
    assert "leave the column 'person' away" in said
    again, _ = retraining.assemble(BEFORE, new(*rows), inputs=("text",), target="label", seed=0,
                                   people=people)
    assert again.equals(table)


def test_rows_of_one_person_alone_are_all_taken_and_it_is_said():
    rows = [(f"new {at}", "xy"[at % 2]) for at in range(300)]
    table, notes = retraining.assemble(BEFORE, new(*rows), inputs=("text",), target="label",
                                       seed=0, people=["ann"] * 300)
    assert table.num_rows == 4 + 300
    assert "All 300 new rows were labelled by ann alone." in notes


def test_no_frozen_test_row_is_learned_from_whoever_sends_it():
    table, notes = assembled(("D ", "y"), ("a", "y"), ("new", "x"), ("new", "x"), ("other", "y"),
                             ("blank", ""))
    texts = table.column("text").to_pylist()
    assert texts[4:] == ["new", "other"]
    told = " ".join(notes)
    assert "1 new rows have no label" in told
    assert "3 new rows repeat" in told


def test_the_same_seed_draws_the_same_vault_and_nothing_new_is_an_error():
    rows = [(f"new {at}", "xy"[at % 2]) for at in range(40)]
    assert assembled(*rows, seed=1)[0].equals(assembled(*rows, seed=1)[0])
    assert not assembled(*rows, seed=1)[0].equals(assembled(*rows, seed=2)[0])
    with pytest.raises(InputError, match="0 of 2 new rows"):
        assembled(("a", "x"), ("d", "y"))


def test_each_version_brought_the_test_rows_that_no_older_one_has():
    later = old(("d", "y", "test"), ("f", "x", "test"), ("a", "x", "train"))
    found = retraining.vault_rows([("m@1", BEFORE), ("m@2", later), ("m@3", later)], ("text",),
                                  "label")
    assert found == {"m@1": ([("d",)], ["y"]), "m@2": ([("f",)], ["x"])}


def test_of_numbers_the_same_share_of_new_rows_judges_and_what_is_no_number_is_left_out():
    rows = [(f"new {at}", f"{at * 0.37:.2f}") for at in range(100)]
    table, notes = retraining.assemble(
        BEFORE, new(*rows, ("odd", "unknown")), inputs=("text",), target="label", seed=0,
        task="regression")
    judging = [float(one["label"]) for one in table.to_pylist()
               if one["split"] == "test" and one["text"].startswith("new")]
    assert len(judging) == 20
    assert min(judging) < 5
    assert max(judging) > 32
    assert "1 new rows have no label and are left out." in notes
