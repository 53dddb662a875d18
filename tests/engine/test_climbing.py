"""Climbing a rung: what it gives, what it took, and what epochs are compared by."""

import dataclasses
import time

import numpy as np
import pytest
import torch

from engine.standing import PLAN, ROWS, RUNG, climb, no_restarts, rung_of, same, stand, watched
from fettle.core.plan import Rung
from fettle.core.progress import finish
from fettle.core.run import Epoch
from fettle.engine import climbing
from fettle.engine.ground import START_L2, ready, start
from fettle.engine.linear import solve_path
from fettle.engine.predict import taps_of
from fettle.models.network import open_saved
from fettle.strategies import STRATEGIES
from small import task

__all__ = ["no_restarts"]


def test_vectors_are_brought_to_length_one_where_the_head_does_so(tmp_path):
    ground, _ = stand(tmp_path)
    assert ready(ground.vectors["mean"], ground) is ground.vectors["mean"]
    ground.network.card = dataclasses.replace(ground.network.card, embeds_sentences=True)
    found = ready(ground.vectors["mean"], ground)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("embeds", [False, True])
def test_a_solved_network_says_what_its_head_says_of_the_frozen_vectors(tmp_path, embeds):
    ground, chosen = stand(tmp_path)
    ground.network.card = dataclasses.replace(ground.network.card, embeds_sentences=embeds)
    climbed = climbing.solved(ground, chosen)
    vectors = ready(ground.vectors["mean"], ground)
    (head,) = solve_path(vectors, ground.lesson.targets, classes=2, l2=(chosen.l2,))
    said = climbing.outputs(climbed.network, ground, ground.lesson.items, PLAN)
    np.testing.assert_allclose(said, head.outputs(vectors), atol=1e-4)
    assert climbed.outputs is chosen.outputs  # of heads that did not see the judged rows
    assert climbed.chosen == {"pooling": "mean", "l2": chosen.l2}
    assert ground.network.head is None


def test_tuning_gives_the_network_of_the_best_epoch_and_what_it_says_of_validation(tmp_path):
    ground, chosen = stand(tmp_path)
    said = iter((0.1, 0.2, 0.9, 0.3, 0.6, 0.5))  # none near the best for 16 rows
    ground = dataclasses.replace(ground, score=lambda outputs, targets: next(said))
    wild = Rung("full", {**RUNG.settings, "rate": 0.03, "head_rate": 0.03, "epochs": 6,
                         "patience": 6})  # fmt: skip
    before = {name: value.clone() for name, value in ground.network.state_dict().items()}
    climbed, events = watched(climb(ground, chosen, wild))
    epochs = [event for event in events if isinstance(event, Epoch)]

    assert climbed.history == tuple(epochs)
    assert [epoch.validation_score for epoch in epochs] == [0.1, 0.2, 0.9, 0.3, 0.6, 0.5]
    assert climbed.chosen["epoch"] == 3
    losses = [epoch.validation_loss for epoch in epochs]
    assert len(set(losses)) == 6  # so that the loss tells which epoch it is
    found = task().plain_loss(climbed.outputs, ground.lesson.targets[32:])
    assert found == pytest.approx(losses[2], rel=1e-4)
    again = climbing.outputs(climbed.network, ground, ground.lesson.items[32:], PLAN)
    assert np.array_equal(again, climbed.outputs)
    assert not climbed.network.training
    assert all(torch.equal(v, before[n]) for n, v in ground.network.state_dict().items())


def test_of_epochs_with_one_score_the_one_of_the_lowest_loss_is_kept(tmp_path):
    ground, chosen = stand(tmp_path)
    ground = dataclasses.replace(ground, score=lambda outputs, targets: 0.5)
    wild = Rung("full", {**RUNG.settings, "rate": 0.03, "head_rate": 0.03, "epochs": 6,
                         "patience": 6})  # fmt: skip
    climbed, _ = watched(climb(ground, chosen, wild))
    losses = [epoch.validation_loss for epoch in climbed.history]
    assert climbed.chosen["epoch"] == 1 + losses.index(min(losses))
    found = task().plain_loss(climbed.outputs, ground.lesson.targets[32:])
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
    lowest = min(climbed.history, key=lambda epoch: epoch.validation_loss).number
    assert len(climbed.history) == climbed.chosen["epoch"] == lowest + 2 < 9


def test_training_seconds_are_those_of_the_epochs_of_every_fold(tmp_path):
    ground, chosen = stand(tmp_path, sides=2)
    begun = time.perf_counter()
    climbed, events = watched(climb(ground, chosen))
    epochs = [event.seconds for event in events if isinstance(event, Epoch)]
    assert climbed.training_seconds == pytest.approx(sum(epochs))
    assert 0 < climbed.training_seconds < time.perf_counter() - begun
    solved = climbing.solved(ground, chosen)
    assert (solved.flops, solved.training_seconds) == (0, 0)


def test_adapters_are_drawn_from_the_seed_alone_and_gone_in_the_end(tmp_path):
    ground, chosen = stand(tmp_path)
    ended = []
    for seed, plan_seed in ((1, 0), (2, 0), (1, 5)):
        torch.manual_seed(seed)  # what ran before in this process
        rung = rung_of("lora", dropout=0.0, batch_rows=64)
        folder = tmp_path / f"{seed}{plan_seed}"
        climbed, _ = watched(climbing.tuned(
            dataclasses.replace(ground, folder=folder), dataclasses.replace(PLAN, seed=plan_seed),
            rung, STRATEGIES["lora"](rung.settings), chosen,
        ))  # fmt: skip
        ended.append(climbed.network)
    assert same(ended[0], ended[1])
    assert not same(ended[0], ended[2])
    assert not [name for name, _ in ended[0].named_parameters() if "lora_" in name]
    assert ground.network.state_dict().keys() <= ended[0].state_dict().keys()


def test_over_folds_every_row_is_judged_once_and_one_network_learns_from_all(tmp_path):
    ground, chosen = stand(tmp_path, sides=3)
    climbed, _ = watched(climb(ground, chosen, rung_of("full", kept="retrained")))
    assert climbed.outputs.shape == (ROWS, 2)
    assert "all learning rows" in climbed.notes[0]
    said = climbing.outputs(climbed.network, ground, ground.lesson.items, PLAN)
    judged = np.concatenate([judge for _, judge in ground.folds])
    assert not np.allclose(said[judged], climbed.outputs)


def test_a_rung_stops_by_what_it_is_told_to(tmp_path):
    ground, chosen = stand(tmp_path)
    ground = dataclasses.replace(
        ground, scores={"macro_f1": lambda outputs, targets: -float(outputs[0, 0])})
    settings = {"rate": 0.03, "head_rate": 0.03, "epochs": 5, "patience": 9}
    found = {}
    for by in ("metric", "loss", "macro_f1"):
        here = dataclasses.replace(ground, folder=tmp_path / by)
        climbed, _ = watched(climb(here, chosen, rung_of("full", stop_by=by, **settings)))
        found[by] = climbed
    losses = [epoch.validation_loss for epoch in found["loss"].history]
    assert found["loss"].chosen["epoch"] == 1 + losses.index(min(losses))
    scores = [epoch.validation_score for epoch in found["macro_f1"].history]
    assert found["macro_f1"].chosen["epoch"] == 1 + scores.index(max(scores))
    assert scores != [epoch.validation_score for epoch in found["metric"].history]


def test_an_adjusted_head_begins_without_the_shares_that_the_loss_adds(tmp_path):
    ground, chosen = stand(tmp_path)
    teach = np.arange(32)
    heads = {}
    for loss in ("plain", "adjusted"):
        rung = rung_of("full", loss=loss)
        network = start(ground, PLAN, rung, STRATEGIES["full"](rung.settings), chosen, teach)
        heads[loss] = network.head.linear
    shares = np.bincount(ground.lesson.targets[teach]) / 32
    found = (heads["plain"].bias - heads["adjusted"].bias).detach().numpy()
    np.testing.assert_allclose(found, np.log(shares), rtol=1e-5)
    assert torch.equal(heads["plain"].weight, heads["adjusted"].weight)


def test_a_hidden_layer_begins_as_the_solved_head_and_then_learns(tmp_path):
    ground, chosen = stand(tmp_path)
    teach = np.arange(32)
    said = {}
    for head in ("linear", "mlp"):
        rung = rung_of("full", head=head)
        network = start(ground, PLAN, rung, STRATEGIES["full"](rung.settings), chosen, teach)
        said[head] = climbing.outputs(network.eval(), ground, ground.lesson.items, PLAN)
    np.testing.assert_allclose(said["linear"], said["mlp"], atol=1e-6)
    climbed, _ = watched(climb(ground, chosen, rung_of("full", head="mlp")))
    assert climbed.network.head.outer.weight.abs().max() > 0
    climbed.network.save(tmp_path / "saved")
    opened = open_saved({path.name: path for path in (tmp_path / "saved").iterdir()})
    again = climbing.outputs(opened, ground, ground.lesson.items[32:], PLAN)
    assert np.array_equal(again, climbed.outputs)


@pytest.mark.parametrize("name", ["bitfit", "l2sp", "scratch", "full"])
def test_each_strategy_climbs_and_is_saved_as_it_was_judged(tmp_path, name):
    ground, chosen = stand(tmp_path)
    settings = {"reinit_top": 1} if name == "full" else {}
    climbed, _ = watched(climb(ground, chosen, rung_of(name, **settings)))
    climbed.network.save(tmp_path / "saved")
    opened = open_saved({path.name: path for path in (tmp_path / "saved").iterdir()})
    said = climbing.outputs(opened, ground, ground.lesson.items[32:], PLAN)
    assert np.array_equal(said, climbed.outputs)


def test_where_the_network_is_reworked_the_head_is_solved_on_what_it_gives_then(tmp_path):
    ground, chosen = stand(tmp_path)
    teach = np.arange(32)
    rung = rung_of("scratch", dropout=0.0)
    network = start(ground, PLAN, rung, STRATEGIES["scratch"](rung.settings), chosen, teach)
    vectors = finish(taps_of(
        network, ground.encoder, ground.lesson.items[:32], names=("mean",), precision="fp32"))
    (head,) = solve_path(vectors["mean"], ground.lesson.targets[:32], classes=2,
                         l2=(max(chosen.l2, START_L2),))
    np.testing.assert_allclose(network.head.linear.weight.detach().numpy(), head.weight, atol=1e-5)
    assert not np.allclose(vectors["mean"], ground.vectors["mean"][:32])
