import dataclasses
import json
import math
import time

import numpy as np
import pytest
import torch

from fettle.core.evaluation import Score
from fettle.core.plan import Plan, Rung
from fettle.core.progress import Note, Progress, finish
from fettle.core.run import Epoch, RungResult
from fettle.engine import climbing, costs
from fettle.engine.ground import START_L2, Ground, ready, start
from fettle.engine.linear import choose, cross_entropy, solve_path
from fettle.engine.predict import taps_of
from fettle.engine.replay import prefix
from fettle.models.bert import Bert
from fettle.models.network import open_saved
from fettle.strategies import DEFAULTS as STRATEGY_DEFAULTS
from fettle.strategies import STRATEGIES
from fettle.strategies.full import DEFAULTS
from small import encoder, lesson, network, task
from stories import flip_byte

ROWS = 48
RUNG = Rung("full", {**DEFAULTS, "rate": 1e-2, "head_rate": 1e-2, "epochs": 3, "batch_rows": 8})
PLAN = Plan(
    task="classification", modality="text", model="m", weights="w", learning="l",
    classes=("no", "yes"), metric="accuracy", rungs=(RUNG,), max_tokens=12, precision="fp32",
    threads=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_restarts(monkeypatch):
    """So small a network at such rates may well be at chance; only some tests are about that."""
    monkeypatch.setattr(climbing, "RESTARTS", 0)


def accuracy(outputs, targets):
    return float((outputs.argmax(1) == targets).mean())


def folds(count):
    every = np.arange(ROWS)
    if count == 1:
        return [(every[:32], every[32:])]
    return [(every[every % count != fold], every[every % count == fold]) for fold in range(count)]


def stand(folder, *, sides=1, blocks=2, kind=None):
    """The ground, and the head that validation chose."""
    small = network(folder / "base", num_hidden_layers=blocks)
    small.backbone.__class__ = kind or small.backbone.__class__
    small.head = None
    read = encoder(small.card)
    given = lesson(read, ROWS)
    vectors = finish(taps_of(small, read, given.items, names=("mean",), precision="fp32"))
    ground = Ground(
        network=small, encoder=read, task=task(), lesson=given, vectors=vectors,
        folds=folds(sides), held_out=sides == 1, score=accuracy, folder=folder / "run",
        begun=time.perf_counter(), first_batch_seconds=None, save_seconds=math.inf,
    )  # fmt: skip
    chosen = finish(
        choose(vectors, given.targets, folds=ground.folds, classes=2, l2=(1e-1, 1e-2),
               score=accuracy)
    )  # fmt: skip
    return ground, chosen


def climb(ground, chosen, rung=RUNG):
    strategy = STRATEGIES[rung.strategy](rung.settings)
    return climbing.tuned(ground, PLAN, rung, strategy, chosen)


def rung_of(name, **settings):
    quick = {"rate": 1e-2, "head_rate": 1e-2, "epochs": 3, "batch_rows": 8}
    return Rung(name, {**STRATEGY_DEFAULTS[name], **quick, **settings})


def with_states(ground, *blocks):
    """The ground, with what reaches these blocks."""
    kept = finish(prefix(
        ground.network, ground.encoder, ground.lesson.items, poolings=("mean",), blocks=blocks,
        precision="fp32", folder=ground.folder / "kept", limit=1 << 30,
    ))
    lesson = dataclasses.replace(ground.lesson, states=kept.states)
    return dataclasses.replace(ground, lesson=lesson)


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
    said = iter((0.1, 0.2, 0.9, 0.3, 0.8, 0.5))
    ground = dataclasses.replace(ground, score=lambda outputs, targets: next(said))
    wild = Rung("full", {**RUNG.settings, "rate": 0.03, "head_rate": 0.03, "epochs": 6,
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
    wild = Rung("full", {**RUNG.settings, "rate": 0.03, "head_rate": 0.03, "epochs": 6,
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


# Replay.


def test_replay_starts_where_the_frozen_part_ends():
    def starts(name, *, blocks=8, epochs=4, **settings):
        strategy = STRATEGIES[name]({**STRATEGY_DEFAULTS[name], **settings})
        return costs.replayed_blocks(strategy, blocks=blocks, epochs=epochs)

    assert starts("top", top_blocks=2) == (5,)  # 0 the embeddings, 1 to 6, 7 the head
    assert starts("top", top_blocks=6) == ()
    assert starts("gradual") == (3, 4, 5, 6)
    assert starts("gradual", epochs=9) == (2, 3, 4, 5, 6)  # below 2 there is nothing to gain
    assert starts("full") == starts("features") == starts("lora") == ()


def test_a_rung_on_kept_states_learns_what_it_learns_without(tmp_path):
    ground, chosen = stand(tmp_path, blocks=3)
    plain, _ = watched(climb(ground, chosen, rung_of("top", top_blocks=1)))
    kept = with_states(dataclasses.replace(ground, folder=tmp_path / "other"), 3)
    passes = []
    kept.network.backbone.encoder["layer"][0].register_forward_hook(lambda *_: passes.append(1))
    replayed, _ = watched(climb(kept, chosen, rung_of("top", top_blocks=1)))
    # the lower blocks run only to be compared with, and for the answers of the tuned network
    assert len(passes) == 4
    losses = [[epoch.train_loss for epoch in one.history] for one in (plain, replayed)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert replayed.notes[0].startswith("Replayed from block 3")
    assert plain.notes == ()


def stopped_after_an_epoch(ground, chosen, rung):
    work = climb(ground, chosen, rung)
    for event in work:
        if isinstance(event, Epoch):
            work.close()


def test_replay_that_is_lost_while_a_rung_is_stopped_is_said_and_stands_in_its_record(tmp_path):
    plain, chosen = stand(tmp_path, blocks=3)
    rung = rung_of("top", top_blocks=1)
    stopped_after_an_epoch(with_states(plain, 3), chosen, rung)
    climbed, events = watched(climb(plain, chosen, rung))
    notes = [event.sentence for event in events if isinstance(event, Note)]
    assert "began with replay from block 3, which is lost" in notes[0]
    assert notes[0] in climbed.notes


def test_a_rung_that_began_without_replay_goes_on_without_it_to_the_same_bits(tmp_path):
    plain, chosen = stand(tmp_path, blocks=3)
    rung = rung_of("top", top_blocks=1)
    whole, _ = watched(climb(dataclasses.replace(plain, folder=tmp_path / "w"), chosen, rung))
    stopped_after_an_epoch(plain, chosen, rung)
    climbed, _ = watched(climb(with_states(plain, 3), chosen, rung))
    assert same(climbed.network, whole.network)
    assert climbed.notes == ()


class Leaky(Bert):
    """Something of the first block reaches the output past all others."""

    def forward(self, batch, *, start=0, hidden=None, seen=None):
        last = super().forward(batch, start=start, hidden=hidden, seen=seen)
        return last if start else last + 0.1 * self.embeddings(batch["input_ids"], None)


def test_a_network_that_replay_does_not_follow_runs_plainly_aloud_with_the_same_result(tmp_path):
    ground, chosen = stand(tmp_path, blocks=3, kind=Leaky)
    plain, _ = watched(climb(ground, chosen, rung_of("top", top_blocks=1)))
    kept = with_states(dataclasses.replace(ground, folder=tmp_path / "other"), 3)
    climbed, events = watched(climb(kept, chosen, rung_of("top", top_blocks=1)))
    (said,) = (event.sentence for event in events if isinstance(event, Note))
    assert said.startswith("top: Replay is not used")
    assert "block 3" in climbed.notes[0]
    assert same(climbed.network, plain.network)
    assert np.array_equal(climbed.outputs, plain.outputs)
    assert climbed.flops == plain.flops


# What it took.


def test_flops_by_hand(tmp_path):
    ground, chosen = stand(tmp_path, blocks=3)
    tokens = sum(len(item) for item in ground.lesson.items[:32])
    block, head = 4 * 8 * 8 + 2 * 8 * 16, 8 * 2

    def flops(ground, name, **settings):
        folder = tmp_path / f"{name}{len(ground.lesson.states)}"
        rung = rung_of(name, patience=9, **settings)
        climbed, _ = watched(climb(dataclasses.replace(ground, folder=folder), chosen, rung))
        assert len(climbed.history) == 3
        return climbed.flops / tokens

    assert flops(ground, "full") == pytest.approx(3 * 6 * (3 * block + head))
    top = 4 * block + 6 * head  # the gradient of what came in is not needed
    assert flops(ground, "top", top_blocks=1) == pytest.approx(3 * (2 * 2 * block + top))
    kept = with_states(ground, 2, 3)
    assert flops(kept, "top", top_blocks=1) == pytest.approx(3 * top)
    gradual = [top, top + 6 * block, top + 2 * 6 * block]  # from block 3, 2, and 1: all of it
    assert flops(kept, "gradual") == pytest.approx(sum(gradual))


def test_training_seconds_are_those_of_the_epochs_of_every_fold(tmp_path):
    ground, chosen = stand(tmp_path, sides=2)
    begun = time.perf_counter()
    climbed, events = watched(climb(ground, chosen))
    epochs = [event.seconds for event in events if isinstance(event, Epoch)]
    assert climbed.training_seconds == pytest.approx(sum(epochs))
    assert 0 < climbed.training_seconds < time.perf_counter() - begun
    solved = climbing.solved(ground, chosen)
    assert (solved.flops, solved.training_seconds) == (0, 0)


# Adapters.


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


# Collapse.

WILD = {"rate": 3.0, "head_rate": 3.0, "epochs": 4, "dropout": 0.0}
"""At such rates a network of norms says the same of every row."""


def collapsing(monkeypatch, restarts):
    """A training collapses until it has begun anew so often, whatever it learns."""
    monkeypatch.setattr(climbing, "RESTARTS", 2)
    attempts = []
    real = climbing.One._trained

    def trained(self, *sides):
        attempts.append((self.attempt, self.folder.name))
        return real(self, *sides)

    def has_collapsed(history, *, over):
        return len(attempts) <= restarts and len(history) >= 2

    monkeypatch.setattr(climbing.One, "_trained", trained)
    monkeypatch.setattr(climbing.stopping, "has_collapsed", has_collapsed)
    return attempts


def test_a_training_that_collapsed_begins_anew_with_another_seed_and_half_the_rates_aloud(
    tmp_path, monkeypatch
):
    ground, chosen = stand(tmp_path)
    attempts = collapsing(monkeypatch, 1)
    climbed, events = watched(climb(ground, chosen))
    assert attempts == [(0, "full-0"), (1, "full-0-again1")]
    (said,) = (event.sentence for event in events if isinstance(event, Note))
    assert "collapsed after epoch 2" in said
    assert "another seed and 1/2 of the rates" in said
    assert said in climbed.notes
    assert len(climbed.history) == 3

    half = {name: value / 2 for name, value in RUNG.settings.items()
            if name in ("rate", "head_rate")}  # fmt: skip
    by_hand, _ = watched(climbing.tuned(
        dataclasses.replace(ground, folder=tmp_path / "by hand"),
        dataclasses.replace(PLAN, seed=PLAN.seed + climbing.OTHER_SEED),
        Rung("full", {**RUNG.settings, **half}),
        STRATEGIES["full"]({**RUNG.settings, **half}), chosen,
    ))
    assert same(climbed.network, by_hand.network)


def test_after_two_new_beginnings_the_third_attempt_stands(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    attempts = collapsing(monkeypatch, 9)
    climbed, _ = watched(climb(ground, chosen))
    assert [number for number, _ in attempts] == [0, 1, 2]
    assert len(climbed.history) == 3
    assert sum("collapsed" in note for note in climbed.notes) == 2


def test_a_run_killed_after_a_new_beginning_goes_on_with_it(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    collapsing(monkeypatch, 1)
    whole, _ = watched(climb(ground, chosen))

    again = dataclasses.replace(ground, folder=tmp_path / "killed")
    monkeypatch.undo()
    collapsing(monkeypatch, 1)
    work = climb(again, chosen)
    epochs = 0
    for event in work:
        epochs += isinstance(event, Epoch)
        if epochs == 4:  # two that collapsed, and two of the second attempt
            work.close()
    monkeypatch.undo()
    collapsing(monkeypatch, 1)
    found, events = watched(climb(again, chosen))
    assert same(found.network, whole.network)
    assert any("Going on after epoch 2 of 3" in e.sentence for e in events if isinstance(e, Note))


def test_a_network_that_says_the_same_of_every_row_is_seen(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    monkeypatch.setattr(climbing, "RESTARTS", 2)
    _, events = watched(climb(ground, chosen, rung_of("full", **WILD)))
    assert any("collapsed" in e.sentence for e in events if isinstance(e, Note))
    lines = [json.loads(one) for one in (ground.folder / "metrics.jsonl").read_text().splitlines()]
    assert [one["collapsed"] for one in lines][:2] == [True, True]


# What epochs are compared by.


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


# Strategies that make the network that is kept out of the training.


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
