import dataclasses
import json
import time

import numpy as np
import pytest
import torch

from fettle.core.evaluation import Score
from fettle.core.plan import Plan, Rung
from fettle.core.progress import Note, finish
from fettle.core.run import Epoch, RungResult
from fettle.engine import climbing
from fettle.engine.climbing import Ground
from fettle.engine.linear import choose, cross_entropy, solve_path
from fettle.engine.predict import taps_of
from fettle.strategies import STRATEGIES
from fettle.strategies.full import DEFAULTS
from small import encoder, lesson, network, task

ROWS = 48
RUNG = Rung("full", {**DEFAULTS, "rate": 1e-2, "head_rate": 1e-2, "epochs": 3, "batch_rows": 8})
PLAN = Plan(
    task="classification", modality="text", model="m", weights="w", learning="l",
    classes=("no", "yes"), metric="accuracy", rungs=(RUNG,), max_tokens=12, precision="fp32",
    threads=1,
)  # fmt: skip


def accuracy(outputs, targets):
    return float((outputs.argmax(1) == targets).mean())


def folds(count):
    every = np.arange(ROWS)
    if count == 1:
        return [(every[:32], every[32:])]
    return [(every[every % count != fold], every[every % count == fold]) for fold in range(count)]


def stand(folder, *, sides=1):
    """The ground, and the head that validation chose."""
    small = network(folder / "base")
    small.head = None
    read = encoder(small.card)
    given = lesson(read, ROWS)
    vectors = finish(taps_of(small, read, given.items, names=("mean",), precision="fp32"))
    ground = Ground(
        network=small, encoder=read, task=task(), lesson=given, vectors=vectors,
        folds=folds(sides), held_out=sides == 1, score=accuracy, folder=folder / "run",
        begun=time.perf_counter(), first_batch_seconds=None,
    )  # fmt: skip
    chosen = finish(
        choose(vectors, given.targets, folds=ground.folds, classes=2, l2=(1e-1, 1e-2),
               score=accuracy)
    )  # fmt: skip
    return ground, chosen


def climb(ground, chosen, rung=RUNG):
    return climbing.tuned(ground, PLAN, rung, STRATEGIES["full"](rung.settings), chosen)


def watched(work):
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return end.value, events


def same(first, second):
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def test_vectors_are_brought_to_length_one_where_the_head_does_so(tmp_path):
    ground, _ = stand(tmp_path)
    assert climbing.ready(ground.vectors["mean"], ground) is ground.vectors["mean"]
    ground.network.card = dataclasses.replace(ground.network.card, embeds_sentences=True)
    found = climbing.ready(ground.vectors["mean"], ground)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("embeds", [False, True])
def test_a_solved_network_says_what_its_head_says_of_the_frozen_vectors(tmp_path, embeds):
    ground, chosen = stand(tmp_path)
    ground.network.card = dataclasses.replace(ground.network.card, embeds_sentences=embeds)
    climbed = climbing.solved(ground, chosen)
    vectors = climbing.ready(ground.vectors["mean"], ground)
    (head,) = solve_path(vectors, ground.lesson.targets, classes=2, l2=(chosen.l2,))
    said = climbing.outputs(climbed.network, ground, ground.lesson.items, PLAN)
    np.testing.assert_allclose(said, head.outputs(vectors), atol=1e-4)
    assert climbed.outputs is chosen.outputs  # of heads that did not see the judged rows
    assert climbed.chosen == {"pooling": "mean", "l2": chosen.l2}
    assert ground.network.head is None


def test_tuning_gives_the_network_of_the_best_epoch_and_what_it_says_of_validation(tmp_path):
    ground, chosen = stand(tmp_path)
    said = iter((0.1, 0.2, 0.9, 0.3, 0.8, 0.5))
    ground = dataclasses.replace(ground, score=lambda outputs, targets: next(said))
    wild = Rung("full", {**RUNG.settings, "rate": 0.2, "head_rate": 0.2, "epochs": 6,
                         "patience": 6})  # fmt: skip
    before = {name: value.clone() for name, value in ground.network.state_dict().items()}
    climbed, events = watched(climb(ground, chosen, wild))
    epochs = [event for event in events if isinstance(event, Epoch)]

    assert climbed.history == tuple(epochs)
    assert [epoch.validation_score for epoch in epochs] == [0.1, 0.2, 0.9, 0.3, 0.8, 0.5]
    assert climbed.chosen["epoch"] == 3
    losses = [epoch.validation_loss for epoch in epochs]
    assert len(set(losses)) == 6  # so that the loss tells which epoch it is
    found = cross_entropy(climbed.outputs, ground.lesson.targets[32:])
    assert found == pytest.approx(losses[2], rel=1e-4)
    again = climbing.outputs(climbed.network, ground, ground.lesson.items[32:], PLAN)
    assert np.array_equal(again, climbed.outputs)
    assert not climbed.network.training
    assert all(torch.equal(v, before[n]) for n, v in ground.network.state_dict().items())


def test_of_epochs_with_one_score_the_one_of_the_lowest_loss_is_kept(tmp_path):
    ground, chosen = stand(tmp_path)
    ground = dataclasses.replace(ground, score=lambda outputs, targets: 0.5)
    wild = Rung("full", {**RUNG.settings, "rate": 0.2, "head_rate": 0.2, "epochs": 6,
                         "patience": 6})  # fmt: skip
    climbed, _ = watched(climb(ground, chosen, wild))
    losses = [epoch.validation_loss for epoch in climbed.history]
    assert climbed.chosen["epoch"] == 1 + losses.index(min(losses))
    found = cross_entropy(climbed.outputs, ground.lesson.targets[32:])
    assert found == pytest.approx(min(losses), rel=1e-4)


def test_what_learns_does_not_see_the_answers_it_is_judged_by(tmp_path):
    ground, chosen = stand(tmp_path)
    losses = []
    for name, answers in (("a", ground.lesson.targets), ("b", ground.lesson.targets.copy())):
        if name == "b":
            answers[32:] = 1 - answers[32:]
        other = dataclasses.replace(ground.lesson, targets=answers)
        climbed, _ = watched(
            climb(dataclasses.replace(ground, lesson=other, folder=tmp_path / name), chosen)
        )
        losses.append(climbed.history[0].train_loss)
    assert losses[0] == losses[1]


def test_patience_ends_the_rung_when_nothing_gets_better(tmp_path):
    ground, chosen = stand(tmp_path)
    still = Rung("full", {**RUNG.settings, "rate": 1e-12, "head_rate": 1e-12, "epochs": 9,
                          "patience": 2})  # fmt: skip
    climbed, _ = watched(climb(ground, chosen, still))
    scores = {epoch.validation_score for epoch in climbed.history}
    assert len(scores) == 1
    assert len(climbed.history) == climbed.chosen["epoch"] + 2 < 9


@pytest.mark.parametrize("sides", [1, 2], ids=["held out", "folds"])
def test_a_rung_that_was_killed_goes_on_to_the_same_bits(tmp_path, sides):
    ground, chosen = stand(tmp_path, sides=sides)
    whole, _ = watched(climb(ground, chosen))

    again = dataclasses.replace(ground, folder=tmp_path / "killed")
    work = climb(again, chosen)
    for event in work:
        if isinstance(event, Epoch) and event.number == 2:
            work.close()
    found, events = watched(climb(again, chosen))
    assert any("Going on after epoch 2 of 3" in e.sentence for e in events if isinstance(e, Note))
    assert same(found.network, whole.network)
    assert np.array_equal(found.outputs, whole.outputs)
    assert found.chosen == whole.chosen

    def bare(climbed):
        return [(e.number, e.train_loss, e.validation_score) for e in climbed.history]

    assert bare(found) == bare(whole)


def test_over_folds_every_row_is_judged_once_and_one_network_learns_from_all(tmp_path):
    ground, chosen = stand(tmp_path, sides=3)
    climbed, _ = watched(climb(ground, chosen))
    assert climbed.outputs.shape == (ROWS, 2)
    assert "all learning rows" in climbed.notes[0]
    said = climbing.outputs(climbed.network, ground, ground.lesson.items, PLAN)
    judged = np.concatenate([judge for _, judge in ground.folds])
    assert not np.allclose(said[judged], climbed.outputs)


def test_every_epoch_is_a_line_of_the_run_s_metrics(tmp_path):
    ground, chosen = stand(tmp_path)
    climbed, _ = watched(climb(ground, chosen))
    lines = [json.loads(one) for one in (ground.folder / "metrics.jsonl").read_text().splitlines()]
    assert [one["number"] for one in lines] == [epoch.number for epoch in climbed.history]
    assert lines[0]["train_loss"] == climbed.history[0].train_loss


def test_a_rung_is_one_line_of_json():
    result = RungResult("full", "rungs/full", Score("accuracy", 0.5, 0.1, 0.9, 8), 1.0, 2,
                        (Epoch(1, 0.5, None, None, 0.1),), {"l2": 0.1}, ({"l2": 0.1},))  # fmt: skip
    text = climbing.line(result)
    assert "\n" not in text
    assert json.loads(text)["rung"]["history"][0]["train_loss"] == 0.5
