"""What a watch says of rows with several labels, on made-up portraits: no network, no file."""

import numpy as np
import pytest

from fettle.core.drift import Arrived, Portrait
from fettle.core.labels import packed
from fettle.core.progress import finish
from fettle.pages.watched import watched as page_of
from fettle.stages import monitoring
from fettle.store import portraits

NAMES = ("billing", "late", "rude", "lost")
CUTS = (0.5, 0.4, 0.5, 0.3)


def portrait(rows, *, seed=0, shares=(0.3, 0.2, 0.1, 0.4), right=0.9, labelled=True):
    """Rows whose labels are called as often as these shares, and whose calls are right so often."""
    rng = np.random.default_rng(seed)
    called = rng.random((rows, 4)) < np.array(shares)
    said = np.where(called, 0.9, 0.1)
    truth = np.where(rng.random((rows, 4)) < right, called, ~called)
    cells = tuple(packed(name for name, yes in zip(NAMES, row, strict=True) if yes)
                  for row in truth)
    return Portrait(
        {"text": "text"}, {"length": rng.normal(0, 1, rows)}, NAMES, said,
        embedding=rng.normal(0, 1, (rows, 6)), labels=cells if labelled else (), thresholds=CUTS,
    )


def watched(made, *, metric="micro_f1", reference=None, **more):
    ids = tuple(f"new.csv:{row + 2}" for row in range(made.rows))
    return finish(monitoring.watch(
        "m@1", reference or portrait(600), Arrived("new", made, ids, **more), metric=metric))


def states(drift):
    return {one.signal: one.state for one in drift.states}


def test_rows_like_the_reference_do_not_drift():
    drift = watched(portrait(600, seed=1))
    assert drift.severity == ""
    assert set(states(drift)) == {"embedding", "length", "predictions", "labels", "confidence"}
    assert "No drift" in drift.sentence
    assert drift.at_release.name == "row_f1"
    assert {one.verdict for one in drift.judged} == {"holds"}
    assert any("as if labels had nothing to do" in note for note in drift.notes)


def test_a_label_that_is_given_more_often_is_drift_and_named():
    drift = watched(portrait(600, seed=1, shares=(0.3, 0.2, 0.4, 0.4), labelled=False))
    assert states(drift)["predictions"] == "drift"
    assert states(drift)["length"] == "steady"
    last = next(one for one in drift.windows[-1].signals if one.name == "predictions")
    assert last.kind == "labels"
    assert last.told.startswith("'rude' 1")
    assert last.effect == pytest.approx(0.3, abs=0.1)
    by_name = {one.label: one for one in drift.labels}
    assert by_name["rude"].now - by_name["rude"].before == pytest.approx(last.effect)


def test_the_estimate_is_what_it_was_where_nothing_changed():
    before = portrait(600)
    drift = watched(portrait(600, seed=1, labelled=False), reference=before)
    assert drift.promised.metric == "micro_f1"
    assert drift.windows[-1].estimate.value == pytest.approx(drift.promised.value, abs=0.06)
    assert not drift.is_expected_to_have_fallen


def test_probabilities_nearer_to_their_thresholds_promise_less():
    unsure = portrait(600, seed=1, labelled=False)
    unsure = Portrait(unsure.kinds, unsure.traits, NAMES,
                      np.where(unsure.called, 0.55, 0.25), unsure.embedding, (), CUTS)
    drift = watched(unsure)
    assert drift.is_expected_to_have_fallen
    assert states(drift)["confidence"] == "drift"
    assert states(drift)["predictions"] == "steady"


@pytest.mark.parametrize("metric", ["micro_f1", "macro_f1"])
def test_labels_show_a_fall_that_probabilities_do_not_promise(metric):
    drift = watched(portrait(600, seed=1, right=0.6), metric=metric)
    assert drift.severity == "blocker"
    assert not drift.is_expected_to_have_fallen
    (judged,) = drift.judged
    assert judged.verdict == "fallen"
    assert judged.score.name == "row_f1"


def test_a_label_that_no_version_knew_is_told_as_new():
    made = portrait(600, seed=1)
    cells = tuple('["late","parcel"]' if row % 10 == 0 else cell
                  for row, cell in enumerate(made.labels))
    drift = watched(Portrait(made.kinds, made.traits, NAMES, made.probabilities, made.embedding,
                             cells, CUTS))
    assert states(drift)["labels: new"] == "drift"
    last = next(one for one in drift.windows[-1].signals if one.name == "labels: new")
    assert "parcel" in last.told


def test_the_page_has_every_label_and_says_by_what_rows_are_judged():
    page = page_of(watched(portrait(600, seed=1)))
    assert "Label by label" in page
    assert all(name in page for name in NAMES)
    assert "a mean F1 of rows of" in page
    assert "accuracy" not in page


def test_a_reference_keeps_its_thresholds_on_the_disk(tmp_path):
    made = portrait(40)
    path = portraits.write(tmp_path, made)
    held = portraits.read(path)
    assert held.thresholds == CUTS
    assert held.labels == made.labels
    assert (held.called == made.called).all()
    assert held.of([3, 1]).thresholds == CUTS
