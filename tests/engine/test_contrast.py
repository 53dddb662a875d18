"""The contrastive rung: the encoder by pairs, then a solved head."""

import dataclasses

import numpy as np
import pytest
import torch

from engine.standing import PLAN, ROWS, same, stand, watched
from fettle.core.plan import Rung
from fettle.core.progress import Note, finish
from fettle.engine import climbing, contrast
from fettle.engine.contrast import merged
from fettle.engine.linear import Chosen, solve_path
from fettle.engine.predict import taps_of
from fettle.models.network import open_saved
from fettle.strategies import STRATEGIES
from fettle.strategies.contrastive import DEFAULTS


def climb(ground, chosen, **settings):
    quick = {**DEFAULTS, "rate": 1e-2, "epochs": 3, "batch_rows": 16}
    rung = Rung("contrastive", {**quick, **settings})
    strategy = STRATEGIES["contrastive"](rung.settings)
    return contrast.tuned(ground, PLAN, rung, strategy, chosen)


def vectors_of(network, ground, rows):
    items = [ground.lesson.items[row] for row in rows]
    found = finish(taps_of(network, ground.encoder, items, names=("mean",), precision="fp32"))
    return found["mean"]


def test_texts_of_one_class_come_nearer_and_others_go_apart(tmp_path):
    ground, chosen = stand(tmp_path)
    climbed, _ = watched(climb(ground, chosen, epochs=25))
    teach = np.arange(32)
    targets = ground.lesson.targets[:32]
    gaps = []
    for network in (ground.network, climbed.network):
        found = vectors_of(network, ground, teach)
        found = found / np.linalg.norm(found, axis=1, keepdims=True)
        cosines, alike = found @ found.T, targets[:, None] == targets[None, :]
        gaps.append(cosines[alike].mean() - cosines[~alike].mean())
    assert gaps[1] > gaps[0] + 0.3
    losses = [epoch.train_loss for epoch in climbed.history]
    assert losses[-1] < 0.6 * losses[0]


def test_the_head_is_solved_on_the_tuned_encoder_by_the_rows_that_taught_alone(tmp_path):
    ground, chosen = stand(tmp_path)
    climbed, _ = watched(climb(ground, chosen))
    vectors = vectors_of(climbed.network, ground, range(32))
    (head,) = solve_path(vectors, ground.lesson.targets[:32], classes=2, l2=(chosen.l2,))
    np.testing.assert_allclose(
        climbed.network.head.linear.weight.detach().numpy(), head.weight, rtol=1e-4, atol=1e-5)
    assert climbed.outputs.shape == (16, 2)
    assert climbed.chosen == {"pooling": "mean", "l2": chosen.l2, "epoch": 4}  # over 32 rows of 48


def test_what_is_saved_is_what_was_judged(tmp_path):
    ground, chosen = stand(tmp_path)
    climbed, _ = watched(climb(ground, chosen))
    climbed.network.save(tmp_path / "saved")
    opened = open_saved({path.name: path for path in (tmp_path / "saved").iterdir()})
    said = climbing.outputs(opened, ground, ground.lesson.items[32:], PLAN)
    assert np.array_equal(said, climbed.outputs)
    assert not same(climbed.network.backbone, ground.network.backbone)


def test_over_folds_every_row_is_judged_once_by_two_networks_and_a_third_learns_from_all(tmp_path):
    ground, chosen = stand(tmp_path, sides=4)
    climbed, _ = watched(climb(ground, chosen))
    assert climbed.outputs.shape == (ROWS, 2)
    folders = sorted(path.name for path in (ground.folder / "checkpoints").iterdir())
    assert folders == ["contrastive-0", "contrastive-1", "contrastive-all"]
    vectors = vectors_of(climbed.network, ground, range(ROWS))
    (head,) = solve_path(vectors, ground.lesson.targets, classes=2, l2=(chosen.l2,))
    np.testing.assert_allclose(
        climbed.network.head.linear.weight.detach().numpy(), head.weight, rtol=1e-4, atol=1e-5)
    assert "2 networks" in climbed.notes[0]


def test_folds_are_joined_without_changing_the_order_of_the_judged_rows():
    every = np.arange(10)
    folds = [(every[every % 5 != one], every[every % 5 == one]) for one in range(5)]
    for number, sizes in ((2, [6, 4]), (3, [4, 4, 2]), (1, [6, 4]), (9, [2] * 5)):
        found = merged(folds, number)
        assert [len(judge) for _, judge in found] == sizes
        before = np.concatenate([judge for _, judge in folds])
        assert np.array_equal(np.concatenate([judge for _, judge in found]), before)
        for teach, judge in found:
            assert sorted([*teach, *judge]) == list(every)


def test_what_learns_does_not_see_the_rows_it_is_judged_by(tmp_path):
    ground, chosen = stand(tmp_path)
    answers = ground.lesson.targets.copy()
    answers[32:] = 1 - answers[32:]
    other = dataclasses.replace(
        ground, lesson=dataclasses.replace(ground.lesson, targets=answers), folder=tmp_path / "b")
    first, _ = watched(climb(ground, chosen))
    second, _ = watched(climb(other, chosen))
    assert same(first.network, second.network)


def test_pairs_are_drawn_together_by_the_pooling_that_the_encoder_came_with(tmp_path):
    ground, _ = stand(tmp_path)
    both = finish(taps_of(ground.network, ground.encoder, ground.lesson.items,
                          names=("mean", "max"), precision="fp32"))
    wide = dataclasses.replace(ground, vectors=both)
    trials = ({"pooling": "max", "l2": 1.0, "score": 0.9, "loss": 0.1},
              {"pooling": "mean", "l2": 0.5, "score": 0.6, "loss": 0.4},
              {"pooling": "mean", "l2": 0.25, "score": 0.6, "loss": 0.3})
    other = Chosen("max", 1.0, np.zeros((16, 2)), 0.9, trials)
    climbed, _ = watched(climb(wide, other))
    assert (climbed.chosen["pooling"], climbed.chosen["l2"]) == ("mean", 0.25)
    assert climbed.network.head.pooling == "mean"
    alone = dataclasses.replace(ground, vectors={"max": both["max"]}, folder=tmp_path / "b")
    climbed, _ = watched(climb(alone, other))
    assert climbed.network.head.pooling == "max"


def test_an_epoch_with_a_loss_that_is_enough_is_the_last(tmp_path):
    ground, chosen = stand(tmp_path)
    whole, _ = watched(climb(ground, chosen, epochs=25, enough=0.0))
    losses = [epoch.train_loss for epoch in whole.history]
    assert len(losses) == 38  # 25 over all rows
    enough = 0.7 * losses[0]
    other = dataclasses.replace(ground, folder=tmp_path / "b")
    stopped, _ = watched(climb(other, chosen, epochs=25, enough=enough))
    first = next(number for number, loss in enumerate(losses) if loss < enough)
    assert [epoch.train_loss for epoch in stopped.history] == losses[: first + 1]
    assert stopped.chosen["epoch"] == first + 1


def test_templates_say_the_names_of_the_classes(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    seen = {}
    real = contrast.One.tuned

    def tuned(self, teach, judge):
        seen["ids"] = [self.ground.lesson.ids[row] for row in teach]
        seen["targets"] = self.ground.lesson.targets[teach]
        return real(self, teach, judge)

    monkeypatch.setattr(contrast.One, "tuned", tuned)
    read = []
    encode = type(ground.encoder).encode
    monkeypatch.setattr(type(ground.encoder), "encode",
                        lambda self, rows: (read.extend(rows), encode(self, rows))[1])
    watched(climb(ground, chosen, templates=2))
    assert read == [("This sentence is no",)] * 2 + [("This sentence is yes",)] * 2
    assert seen["ids"][32:] == [f"template {number}" for number in (1, 2, 3, 4)]
    assert seen["targets"][32:].tolist() == [0, 0, 1, 1]
    watched(climb(dataclasses.replace(ground, folder=tmp_path / "b"), chosen))
    assert len(seen["ids"]) == 32


@pytest.mark.parametrize("at", [3, 8])
def test_a_rung_killed_at_any_step_goes_on_to_the_same_bits(tmp_path, at):
    ground, chosen = stand(tmp_path, sides=2)
    ground = dataclasses.replace(ground, save_seconds=0.0)
    whole, _ = watched(climb(ground, chosen))
    again = dataclasses.replace(ground, folder=tmp_path / "killed")
    work = climb(again, chosen)
    for number, _ in enumerate(work):
        if number == at:
            work.close()
    torch.rand(7)
    found, events = watched(climb(again, chosen))
    assert any("Going on" in e.sentence for e in events if isinstance(e, Note))
    assert same(found.network, whole.network)
    assert np.array_equal(found.outputs, whole.outputs)
