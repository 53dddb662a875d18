"""What a watch says of rows that arrived, on made-up portraits: no network, no file."""

import numpy as np
import pytest

from fettle.core.drift import Arrived, Portrait
from fettle.core.errors import InputError
from fettle.core.progress import finish
from fettle.stages import monitoring

CLASSES = ("no", "yes")


def portrait(rows, *, seed=0, moved=0.0, sure=0.9, labelled=True, right=None):
    """Rows of a length, a number and a vector; the model is as sure as it says."""
    rng = np.random.default_rng(seed)
    said = rng.integers(2, size=rows)
    p = np.full((rows, 2), 1 - sure)
    p[np.arange(rows), said] = sure
    hits = rng.random(rows) < (sure if right is None else right)
    labels = tuple(CLASSES[one if hit else 1 - one] for one, hit in zip(said, hits, strict=True))
    return Portrait(
        kinds={"text": "text"},
        traits={"length": rng.normal(moved, 1, rows), "filled": np.full(rows, "text")},
        classes=CLASSES, probabilities=p, embedding=rng.normal(moved, 1, (rows, 6)),
        labels=labels if labelled else (),
    )


def arrived(made, **more):
    return Arrived("new", made, tuple(f"new.csv:{row + 2}" for row in range(made.rows)), **more)


def watched(made, *, reference=None, **more):
    before = reference or portrait(600)
    given = {key: more.pop(key) for key in ("streams", "at") if key in more}
    return finish(monitoring.watch(
        "m@1", before, arrived(made, **given), metric=more.pop("metric", "accuracy"), **more
    ))


def states(drift):
    return {one.signal: one.state for one in drift.states}


def joined(*parts):
    return Portrait(
        parts[0].kinds,
        {name: np.concatenate([one.traits[name] for one in parts]) for name in parts[0].traits},
        CLASSES, np.concatenate([one.probabilities for one in parts]),
        np.concatenate([one.embedding for one in parts]),
        tuple(label for one in parts for label in one.labels),
    )


def test_rows_like_the_reference_do_not_drift():
    drift = watched(portrait(600, seed=1))
    assert drift.severity == ""
    assert len(drift.windows) == 3
    assert set(states(drift).values()) == {"steady"}
    assert "No drift" in drift.sentence


def test_rows_that_moved_are_drift_from_the_window_in_which_it_began():
    calm = portrait(600, seed=1, labelled=False)
    moved = portrait(600, seed=2, moved=1, labelled=False)
    drift = watched(joined(calm, moved))
    assert set(drift.drifted) == {"length", "embedding"}
    assert states(drift)["filled"] == "steady"
    begun = {one.signal: one.since for one in drift.states}
    assert begun["length"] == 3
    assert drift.windows[3].first == "new.csv:602"
    assert drift.severity == "warn"


def test_one_window_alone_is_a_suspicion():
    drift = watched(portrait(200, seed=2, moved=1))
    assert drift.drifted == ()
    assert set(drift.suspected) == {"length", "embedding"}
    assert drift.severity == "note"


def test_too_few_rows_are_no_verdict_and_the_rows_that_would_be_enough_are_said():
    drift = watched(portrait(40, seed=2, moved=3))
    assert set(states(drift).values()) == {"not enough"}
    assert drift.severity == ""
    assert "Not enough" in drift.sentence
    needed = {one.needed for one in drift.windows[0].signals}
    assert min(needed) > 40
    again = watched(portrait(max(needed), seed=2, moved=3), window=max(needed))
    assert again.suspected


def test_a_reference_that_is_too_small_for_any_window_says_so():
    drift = watched(portrait(900, seed=2, moved=3), reference=portrait(50))
    assert {one.needed for window in drift.windows for one in window.signals} == {None}
    assert set(states(drift).values()) == {"not enough"}
    with pytest.raises(InputError, match="20 of each"):
        watched(portrait(10))


def test_a_model_that_is_less_sure_is_expected_to_do_worse():
    drift = watched(portrait(600, seed=3, sure=0.7, labelled=False))
    assert drift.is_expected_to_have_fallen
    assert drift.windows[-1].estimate.value == pytest.approx(0.7, abs=0.05)
    assert not drift.has_fallen
    assert any("blind" in note for note in drift.notes)


def test_an_estimate_is_moved_by_what_the_probabilities_were_wrong_by_on_the_test_rows():
    before = portrait(900, sure=0.9, right=0.8)
    drift = watched(portrait(900, seed=1, labelled=False), reference=before)
    assert drift.promised.value == pytest.approx(drift.at_release.value)
    assert drift.windows[0].estimate.value == pytest.approx(0.8, abs=0.03)
    assert drift.severity == ""


def test_labels_show_a_change_of_meaning_that_nothing_else_does():
    drift = watched(portrait(600, seed=4, right=0.6))
    (judged,) = drift.judged
    assert (judged.stream, judged.verdict) == ("all", "fallen")
    assert judged.score.low < 0.6 < judged.score.high
    assert drift.severity == "blocker"
    assert not drift.is_expected_to_have_fallen


def test_no_alarm_hangs_on_labels_of_users_and_few_labels_say_nothing():
    half = ("user",) * 300 + ("audit",) * 300
    worse = joined(portrait(300, seed=5, right=0.2), portrait(300, seed=6))
    drift = watched(worse, streams=half)
    verdicts = {one.stream: one.verdict for one in drift.judged}
    assert verdicts == {"audit": "holds", "user": "fallen"}
    assert not drift.has_fallen
    assert "labels" in states(drift)
    assert any("no alarm hangs on them" in note for note in drift.notes)
    few = watched(portrait(600, seed=7, right=0.1), streams=("audit",) * 30 + ("x",) * 570)
    assert few.judged[0].verdict == "not enough"


def test_what_arrives_without_vectors_or_inputs_is_named_as_not_watched():
    bare = portrait(400, seed=8, labelled=False)
    bare = Portrait({}, {}, CLASSES, bare.probabilities)
    drift = watched(bare)
    assert set(states(drift)) == {"predictions", "confidence"}
    told = " ".join(drift.notes)
    assert "length" in told
    assert "no vectors" in told


def test_a_category_that_was_never_seen_is_a_signal_of_its_own():
    made = portrait(400, seed=9)
    value = np.where(np.arange(400) % 4 == 0, "video", "text")
    made = Portrait(made.kinds, {**made.traits, "filled": value}, CLASSES, made.probabilities,
                    made.embedding, made.labels)
    drift = watched(made)
    assert states(drift)["filled: new"] == "drift"
    (signal,) = [one for one in drift.windows[-1].signals if one.name == "filled: new"]
    assert "'video'" in signal.told


def test_the_same_seed_gives_the_same_drift():
    assert watched(portrait(300, seed=1), seed=3) == watched(portrait(300, seed=1), seed=3)


def test_macro_f1_is_estimated_where_it_is_the_metric():
    drift = watched(portrait(600, seed=1), metric="macro_f1")
    assert drift.windows[0].estimate.metric == "macro_f1"
    assert drift.promised.value == pytest.approx(drift.at_release.value, abs=0.02)
