"""The gates, asked about models whose answers are known."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fettle.core.errors import SettingError
from fettle.core.pictures import cell_of_bytes, cell_of_hash
from fettle.core.progress import finish
from fettle.stages import promoting
from fettle.stages.promoting import Candidate

CLASSES = ("a", "b")


def rows_of(texts, labels, sides):
    return pa.table({
        "text": texts, "label": labels, "id": [str(at) for at in range(len(texts))], "side": sides
    })


def table(number, *, learn=10, prefix="row"):
    """So many test rows after some learning rows; the labels in turns."""
    texts = [f"{prefix} {at}" for at in range(learn + number)]
    labels = [CLASSES[at % 2] for at in range(learn + number)]
    return rows_of(texts, labels, ["train"] * learn + ["test"] * number)


def candidate(id, wrong=(), rows=None, *, confidence=0.9, **given):
    """A model that is right on every row of `table` but these; rows count from the first."""
    wrong = set(wrong)

    def answers(fields):
        at = [int(field[0].split()[-1]) for field in fields]
        said = np.array([(one % 2) ^ (one in wrong) for one in at])
        found = np.full((len(at), 2), 1 - confidence)
        found[np.arange(len(at)), said] = confidence
        return found

    return Candidate(**{
        "id": id, "answers": answers, "fields": ("text",), "target": "label", "classes": CLASSES,
        "metric": "accuracy", "rows": rows, "test": "t", "bytes": 1000, "blockers": (), **given,
    })


def verdict(champion, challenger):
    return finish(promoting.promote(champion, challenger, generation=3))


def gates(found):
    return {gate.name: gate.verdict for gate in found.gates}


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    """Latency is the machine's; here every call takes the same."""
    monkeypatch.setattr(
        promoting, "_seconds", lambda *_: (np.full(50, 0.010), np.full(50, 0.010))
    )


def wrong(*numbers):
    """Test rows by number, after the ten that were learned."""
    return [10 + at for at in numbers]


def test_a_better_model_is_promoted_and_every_gate_has_its_value():
    rows = table(400)
    challenger = candidate("m@2", wrong(1), rows, confidence=0.99)
    found = verdict(candidate("m@1", wrong(*range(40)), rows), challenger)
    assert (found.decision, found.rows, found.generation) == ("promote", 400, 3)
    assert gates(found) == dict.fromkeys(
        ("accuracy", "slices", "calibration", "negative_flips", "latency", "size", "audit"), "pass"
    )
    headline = found.gates[0]
    assert headline.value == pytest.approx(39 / 400)
    assert headline.threshold == -0.01
    assert headline.low > 0
    assert "better" in headline.sentence
    assert not found.promoted


def test_twice_the_same_answers_on_many_rows_are_promoted():
    rows = table(1000)
    champion = candidate("m@1", wrong(*range(50)), rows)
    found = verdict(champion, replace(champion, id="m@2"))
    assert found.decision == "promote"
    assert found.gates[0].sentence.endswith("no worse than the margin")


def test_few_rows_tell_nothing_and_it_is_said_how_many_more_would():
    rows = table(60)
    champion = candidate("m@1", wrong(*range(6)), rows)
    found = verdict(champion, candidate("m@2", wrong(*range(5), 7), rows))
    assert (found.decision, gates(found)["accuracy"]) == ("cannot tell", "cannot tell")
    assert found.more_rows > 300
    assert f"About {found.more_rows:,} more labelled test rows would tell" in found.sentence


def test_a_worse_model_is_rejected():
    rows = table(400)
    found = verdict(candidate("m@1", (), rows), candidate("m@2", wrong(*range(40)), rows))
    assert found.decision == "reject"
    assert gates(found)["accuracy"] == "fail"
    assert found.more_rows is None
    assert "accuracy" in found.sentence


def test_a_class_that_lost_is_a_gate_of_its_own():
    """As many won elsewhere as were lost of one class."""
    rows = table(800)
    champion = candidate("m@1", wrong(*range(0, 110, 2)), rows)  # 55 of class a
    found = verdict(champion, candidate("m@2", wrong(*range(1, 101, 2)), rows))  # 50 of class b
    assert gates(found)["accuracy"] == "cannot tell"
    assert gates(found)["slices"] == "fail"
    assert found.decision == "reject"
    assert "lost: label b" in next(g for g in found.gates if g.name == "slices").sentence


def test_a_model_that_is_too_sure_of_itself_is_stopped_by_calibration_alone():
    rows = table(1000)
    mistakes = wrong(*range(100))
    found = verdict(
        candidate("m@1", mistakes, rows, confidence=0.9),
        candidate("m@2", mistakes, rows, confidence=0.999),
    )
    assert gates(found)["calibration"] == "fail"
    assert [name for name, said in gates(found).items() if said != "pass"] == ["calibration"]


def test_many_flips_stop_a_model_that_is_as_good():
    rows = table(1000)
    found = verdict(
        candidate("m@1", wrong(*range(100)), rows),
        candidate("m@2", wrong(*range(400, 490)), rows),
    )
    assert gates(found)["negative_flips"] == "fail"
    gate = next(one for one in found.gates if one.name == "negative_flips")
    assert (gate.value, gate.threshold) == (pytest.approx(0.09), pytest.approx(0.03))
    assert gate.sentence == "9.0% of rows were right and are wrong now; 3.0% may be"


def test_flips_above_the_limit_that_may_be_chance_stop_nobody():
    """35 of 1,000: Wilson's lower bound is 2.7%."""
    rows = table(1000)
    champion = candidate("m@1", wrong(*range(100)), rows)
    found = verdict(champion, candidate("m@2", wrong(*range(35, 135)), rows))
    gate = next(one for one in found.gates if one.name == "negative_flips")
    assert gate.verdict == "pass"
    assert gate.value == pytest.approx(0.035)
    assert gate.sentence.endswith("; 3.0% may be, and more may be chance")
    more = verdict(champion, candidate("m@2", wrong(*range(55, 155)), rows))
    assert gates(more)["negative_flips"] == "fail"


def test_a_model_that_is_much_better_may_flip_more_rows():
    rows = table(1000)
    champion = candidate("m@1", wrong(*range(300)), rows)
    found = verdict(champion, candidate("m@2", wrong(*range(900, 960)), rows))
    assert gates(found)["negative_flips"] == "pass"
    assert gates(found)["accuracy"] == "pass"


def test_a_slower_a_larger_and_a_blocked_model_are_each_stopped(monkeypatch):
    rows = table(1000)
    champion = candidate("m@1", (), rows)
    assert gates(verdict(champion, candidate("m@2", (), rows, bytes=1501)))["size"] == "fail"
    assert gates(verdict(champion, candidate("m@2", (), rows, bytes=1500)))["size"] == "pass"
    blocked = verdict(champion, candidate("m@2", (), rows, blockers=("one_class",)))
    assert gates(blocked)["audit"] == "fail"
    assert blocked.decision == "reject"
    unknown = verdict(champion, candidate("m@2", (), rows, blockers=None))
    assert (gates(unknown)["audit"], unknown.decision) == ("cannot tell", "cannot tell")
    times = (np.full(50, 0.010), np.full(50, 0.013))
    monkeypatch.setattr(promoting, "_seconds", lambda *_: times)
    slow = verdict(champion, candidate("m@2", (), rows))
    assert gates(slow)["latency"] == "fail"
    assert "13.0 ms against 10.0 ms" in next(g for g in slow.gates if g.name == "latency").sentence


def test_macro_f1_is_the_headline_where_the_challengers_plan_says_so():
    rows = table(400)
    found = verdict(
        candidate("m@1", wrong(0), rows), candidate("m@2", wrong(1), rows, metric="macro_f1")
    )
    assert found.gates[0].name == "macro_f1"


def test_rows_that_one_of_them_learned_from_are_left_out():
    """The champion learned the challenger's first hundred test rows, in capitals."""
    tested = table(400)
    learned = rows_of(
        [f"ROW  {at}" for at in range(10, 110)], ["a"] * 100, ["validation"] * 100
    )
    champion = candidate("m@1", (), learned, test="other")
    found = verdict(champion, candidate("m@2", (), tested))
    assert found.rows == 300
    assert "100 test rows are left out: one of the two learned from them" in found.notes[0]


def test_a_picture_learned_as_its_bytes_is_the_one_that_is_tested_by_its_hash():
    shown = [b"picture %d" % at for at in range(30)]
    learned = rows_of([cell_of_bytes(one) for one in shown[:10]], ["a"] * 10, ["train"] * 10)
    tested = rows_of([cell_of_hash(hashlib.sha256(one).hexdigest()) for one in shown],
                     ["a"] * 30, ["test"] * 30)
    found = promoting.pool(
        candidate("m@1", rows=learned, test="other"), candidate("m@2", rows=tested)
    )
    assert len(found.labels) == 20


def test_the_test_rows_of_both_are_asked_each_once():
    both = rows_of([f"row {at}" for at in range(200, 500)], ["a", "b"] * 150, ["test"] * 300)
    found = promoting.pool(
        candidate("m@1", rows=both, test="other"), candidate("m@2", rows=table(400))
    )
    assert len(found.labels) == len(set(found.first)) == 490
    assert found.first == found.second


def test_versions_without_their_rows_cannot_be_compared_and_it_is_said_what_to_do():
    with pytest.raises(SettingError, match=r"m@1 was published without its rows.*--no-keep-rows"):
        promoting.pool(candidate("m@1", test="other"), candidate("m@2", rows=table(20)))
    with pytest.raises(SettingError, match=r"m@2 .*--force --reason"):
        promoting.pool(candidate("m@1"), candidate("m@2"))
    one_copy = promoting.pool(candidate("m@1"), candidate("m@2", rows=table(20)))
    assert len(one_copy.labels) == 20, "both were tested on these very rows"


def test_where_no_row_is_left_that_is_said():
    tested = table(20)
    learned = rows_of(tested.column("text").to_pylist(), ["a"] * 30, ["train"] * 30)
    with pytest.raises(SettingError, match=r"No test row is left.*20 test rows are left out"):
        promoting.pool(
            candidate("m@1", rows=learned, test="other"), candidate("m@2", rows=tested)
        )


def test_a_class_that_the_champion_does_not_know_counts_as_wrong():
    rows = rows_of([f"row {at}" for at in range(400)], ["a", "c"] * 200, ["test"] * 400)
    challenger = candidate("m@2", rows=rows, classes=("a", "c"))
    found = verdict(candidate("m@1", rows=rows), challenger)
    assert found.gates[0].value == pytest.approx(0.5)


def test_rows_without_a_column_that_one_of_them_reads_are_told():
    wide = rows_of(["row 401"], ["a"], ["test"]).add_column(0, "title", pa.array(["t"]))
    champion = candidate("m@1", rows=table(20), test="other")
    found = promoting.pool(champion, candidate("m@2", rows=wide, fields=("title", "text")))
    assert found.first == (("row 401",),)
    assert found.second == (("t", "row 401"),)
    assert "20 test rows are left out: they lack a column" in found.notes[0]


def test_calls_are_timed_in_turns(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(promoting, "SECONDS", math.inf)  # no busy moment ends it early
    asked = []
    champion, challenger = (
        replace(candidate(id, rows=table(10)), answers=lambda _, id=id: asked.append(id))
        for id in ("m@1", "m@2")
    )
    pool = promoting.pool(champion, challenger)
    first, second = promoting._seconds(champion, challenger, pool)
    assert len(first) == len(second) == promoting.CALLS
    assert asked[:4] == ["m@1", "m@2", "m@2", "m@1"]
    assert (first > 0).all()


def tied(rows, *, size=10):
    """Clusters of so many rows of a table that stand side by side."""
    return tuple(tuple(range(start, start + size)) for start in range(0, rows, size))


def test_rows_that_one_customer_won_do_not_make_a_champion():
    """Twenty rows won, all of one of forty customers: by rows that is better, by customers not."""
    rows = table(400)
    champion = candidate("m@1", wrong(*range(20)), rows)
    challenger = candidate("m@2", (), rows, confidence=0.97)
    alone = verdict(champion, challenger)
    assert (alone.decision, "better" in alone.gates[0].sentence) == ("promote", True)
    clusters = tied(410, size=10)
    whole = verdict(champion, replace(challenger, tied=(
        clusters[0], tuple(range(10, 30)), *clusters[3:])))
    assert (whole.decision, gates(whole)["accuracy"]) == ("cannot tell", "cannot tell")
    assert whole.gates[0].low < -0.01 < alone.gates[0].low
    assert "400 test rows hang together in 39 groups" in whole.notes[0]
    assert whole.more_rows > 0


def test_few_groups_are_said_where_the_gate_is_asked():
    rows = table(400)
    one = candidate("m@1", (), rows, tied=(tuple(range(10, 200)), tuple(range(200, 410))))
    found = verdict(one, replace(one, id="m@2"))
    assert "hang together in 2 groups" in found.notes[0]
    assert "no interval can be trusted" in found.notes[1]


def test_what_either_version_ties_hangs_together_also_by_way_of_rows_that_were_learned():
    """The champion ties test rows 0 and 1, the challenger 1 to a row it learned, and that to 2."""
    rows = table(40)
    champion = candidate("m@1", (), rows, tied=((10, 11), (4, 15)))
    challenger = candidate("m@2", (), rows, tied=((3, 11), (3, 12), (20, 21), (4, 16)))
    found = promoting.pool(champion, challenger).groups
    assert found[0] == found[1] == found[2]
    assert found[5] == found[6], "each is tied to learned row 4, by another version"
    assert found[10] == found[11]
    assert len(set(found.tolist())) == 40 - 4
    assert promoting.pool(replace(champion, tied=()), replace(challenger, tied=())).groups is None


def test_numbers_are_gated_by_groups_too():
    rows = rows_of([f"row {at}" for at in range(200)], [str(at) for at in range(200)],
                   ["test"] * 200)

    def answers(off):
        return lambda fields: np.array([[float(one[0].split()[-1]) + off(
            int(one[0].split()[-1]))] for one in fields])

    champion = candidate("m@1", (), rows, classes=(), metric="r2",
                         answers=answers(lambda at: 3 if at < 20 else 1))
    challenger = candidate("m@2", (), rows, classes=(), metric="r2", answers=answers(lambda at: 1))
    assert verdict(champion, challenger).gates[0].low > 0
    customers = tied(200, size=20)
    assert verdict(replace(champion, tied=customers), challenger).gates[0].low <= 0
