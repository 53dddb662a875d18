"""A rung that was stopped goes on to the same bits, and its log holds each line once."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from engine.standing import (
    PLAN,
    accuracy,
    climb,
    no_restarts,
    rung_of,
    same,
    stand,
    watched,
    with_states,
)
from fettle.core.progress import Note, Progress
from fettle.core.run import Epoch, RungResult
from fettle.core.score import Score
from fettle.engine import climbing
from stories import flip_byte

__all__ = ["no_restarts"]


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


@pytest.mark.parametrize("name", ["gradual", "lora"])
@pytest.mark.parametrize("at", [0, 4, 9, 16])
def test_a_rung_killed_at_any_step_goes_on_to_the_same_bits(tmp_path, name, at):
    ground, chosen = stand(tmp_path, blocks=3)
    ground = with_states(dataclasses.replace(ground, save_seconds=0.0), 2, 3)
    whole, _ = watched(climb(ground, chosen, rung_of(name)))

    again = dataclasses.replace(ground, folder=tmp_path / "killed")
    work = climb(again, chosen, rung_of(name))
    for number, _ in enumerate(work):
        if number == at:
            work.close()
    torch.rand(7)  # another process has drawn other numbers
    found, events = watched(climb(again, chosen, rung_of(name)))
    going_on = [e.sentence for e in events if isinstance(e, Note)]
    assert len(going_on) == (at > 0)  # at 0 nothing was saved
    assert same(found.network, whole.network)
    assert np.array_equal(found.outputs, whole.outputs)
    assert found.chosen == whole.chosen


def test_inside_an_epoch_it_says_after_how_many_steps_it_goes_on(tmp_path):
    ground, chosen = stand(tmp_path)
    ground = dataclasses.replace(ground, save_seconds=0.0)
    work = climb(ground, chosen)
    epochs = 0
    while epochs < 1:
        epochs += isinstance(next(work), Epoch)
    next(work), next(work), next(work)  # each is saved when the next is asked for
    work.close()
    _, events = watched(climb(ground, chosen))
    assert "Going on after epoch 1 of 3, 2 steps into the next." in [
        e.sentence for e in events if isinstance(e, Note)
    ]


def test_between_epochs_nothing_is_saved_before_it_is_time(tmp_path):
    ground, chosen = stand(tmp_path)
    watched(climb(ground, chosen))
    numbers = [int(path.stem) for path in ground.folder.glob("checkpoints/*/*.json")]
    assert sorted(numbers) == [2_000_000, 3_000_000]


def test_a_checkpoint_that_is_not_whole_is_passed_over_aloud_and_the_bits_are_the_same(tmp_path):
    ground, chosen = stand(tmp_path)
    whole, _ = watched(climb(ground, chosen))
    again = dataclasses.replace(ground, folder=tmp_path / "killed")
    work = climb(again, chosen)
    for event in work:
        if isinstance(event, Epoch) and event.number == 2:
            work.close()
    flip_byte(max(again.folder.glob("checkpoints/*/*.safetensors")))
    found, events = watched(climb(again, chosen))
    notes = [e.sentence for e in events if isinstance(e, Note)]
    assert "is not whole and is passed over" in notes[0]
    assert notes[1] == "Going on after epoch 1 of 3."
    assert same(found.network, whole.network)


def test_a_rung_that_is_done_is_not_trained_again_but_judged(tmp_path):
    ground, chosen = stand(tmp_path)
    whole, _ = watched(climb(ground, chosen))
    again, events = watched(climb(ground, chosen))
    assert not [event for event in events if isinstance(event, Epoch | Progress)]
    assert same(again.network, whole.network)
    assert again.history == whole.history
    assert again.flops == whole.flops


def test_every_epoch_is_a_line_of_the_run_s_metrics(tmp_path):
    ground, chosen = stand(tmp_path)
    climbed, _ = watched(climb(ground, chosen))
    lines = [json.loads(one) for one in (ground.folder / "metrics.jsonl").read_text().splitlines()]
    assert [one["number"] for one in lines] == [epoch.number for epoch in climbed.history]
    assert lines[0]["train_loss"] == climbed.history[0].train_loss


def test_an_epoch_that_a_kill_makes_come_again_is_one_line_all_the_same(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    real, saves = climbing.One._save, []

    def dies(self, *given, **more):
        saves.append(1)
        if len(saves) == 2:
            raise KeyboardInterrupt
        real(self, *given, **more)

    monkeypatch.setattr(climbing.One, "_save", dies)
    with pytest.raises(KeyboardInterrupt):
        watched(climb(ground, chosen))
    log = ground.folder / "metrics.jsonl"
    other = json.dumps({"rung_part": "top-0", "attempt": 0, "number": 9})
    log.write_text(f"{log.read_text()}{other}\n" + '{"rung_part": "full-0", "num')
    climbed, _ = watched(climb(ground, chosen))
    lines = [json.loads(one) for one in log.read_text().splitlines()]
    assert [one["number"] for one in lines if one["rung_part"] == "full-0"] == [1, 2, 3]
    assert len(climbed.history) == 3
    assert json.loads(other) in lines


def test_a_rung_is_one_line_of_json():
    result = RungResult("full", "rungs/full", Score("accuracy", 0.5, 0.1, 0.9, 8), 1.0, 2,
                        (Epoch(1, 0.5, None, None, 0.1),), {"l2": 0.1}, ({"l2": 0.1},))  # fmt: skip
    text = climbing.line(result)
    assert "\n" not in text
    assert json.loads(text)["rung"]["history"][0]["train_loss"] == 0.5


@pytest.mark.parametrize("name", ["wise", "ema", "soup"])
@pytest.mark.parametrize("sides", [1, 2], ids=["held out", "folds"])
def test_what_is_kept_is_what_was_judged_and_a_kill_changes_no_bit(tmp_path, name, sides):
    ground, chosen = stand(tmp_path, sides=sides)
    ground = dataclasses.replace(ground, save_seconds=0.0)
    rung = rung_of(name, rate=0.03, head_rate=0.03, epochs=4)
    whole, _ = watched(climb(ground, chosen, rung))
    if sides == 1:
        said = climbing.outputs(whole.network, ground, ground.lesson.items[32:], PLAN)
        assert np.array_equal(said, whole.outputs)
        best = max(one["score"] for one in whole.trials)
        assert accuracy(whole.outputs, ground.lesson.targets[32:]) == best

    again = dataclasses.replace(ground, folder=tmp_path / "killed")
    work = climb(again, chosen, rung)
    for number, _ in enumerate(work):
        if number == 11:
            work.close()
    found, events = watched(climb(again, chosen, rung))
    assert any("Going on" in e.sentence for e in events if isinstance(e, Note))
    assert same(found.network, whole.network)
    assert np.array_equal(found.outputs, whole.outputs)
    assert found.chosen == whole.chosen
