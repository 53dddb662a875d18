import copy
import math
from collections import Counter

import numpy as np
import pytest
import torch

from fettle.core.errors import NonFinite, NoTargets, OutOfMemory
from fettle.core.parts import LossPart, Strategy
from fettle.core.progress import Note, finish
from fettle.core.run import Epoch, Step
from fettle.engine import loop as loops
from fettle.engine import replay
from fettle.engine.batches import bucketed
from fettle.engine.loop import Lesson, Loop
from fettle.store import checkpoints
from fettle.strategies import DEFAULTS, STRATEGIES
from fettle.tasks.classification import Classification
from small import encoder, lesson, network, task

SETTINGS = {"epochs": 2, "batch_rows": 8, "schedule": "cosine", "warmup": 0.1, "cycles": 1,
            "weight_decay": 0.01, "clip": 1.0}  # fmt: skip
RATES = (0.01, 0.01, 0.01, 0.02)
STILL = (1e-12,) * 4
"""So that weights stay as good as they were."""


@pytest.fixture
def small(tmp_path):
    return network(tmp_path)


@pytest.fixture
def read(small):
    return encoder(small.card)


def begin(small, read, *, rates=RATES, seed=0, precision="fp32", of=None, strategy=None,
          **settings):  # fmt: skip
    """A loop over a copy of the network; rates are a row, or a function of the epoch."""
    said = rates if callable(rates) else lambda epoch: rates
    return Loop(
        copy.deepcopy(small), read, of or task(),
        strategy=strategy or Strategy(lambda blocks, epoch: said(epoch)),
        settings={**SETTINGS, **settings}, precision=precision, seed=seed,
    )


def accuracy(outputs, targets):
    return float((outputs.argmax(1) == targets).mean())


def run(loop, read, rows=30, validation=None):
    return list(loop.fit(lesson(read, rows), validation, accuracy))


def steps(events):
    return [event for event in events if isinstance(event, Step)]


def weights(loop):
    return {name: value.clone() for name, value in loop.network.state_dict().items()}


def gradients(loop):
    return {name: value.grad.clone() for name, value in loop.network.named_parameters()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def close(first, second, most=1e-6):
    return max(float((first[name] - second[name]).abs().max()) for name in first) < most


def dropped(small, share):
    """The network with this dropout everywhere."""
    for module in small.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
    return small


def test_only_blocks_with_a_rate_change(small, read):
    loop = begin(small, read, rates=(0.0, 0.01, 0.0, 0.01))
    before = weights(loop)
    run(loop, read)
    changed = {small.block_of(name) for name, value in weights(loop).items()
               if not torch.equal(value, before[name])}  # fmt: skip
    assert changed == {1, 3}


def test_an_epoch_at_rate_zero_changes_nothing(small, read):
    loop = begin(small, read, rates=lambda epoch: RATES if epoch == 0 else (0.0,) * 4)
    after = [weights(loop) for event in loop.fit(lesson(read, 30), None, accuracy)
             if isinstance(event, Epoch)]  # fmt: skip
    assert same(after[0], after[1])
    assert not same(after[0], small.state_dict())


def test_the_same_seed_gives_the_same_bits_and_another_gives_others(small, read):
    ended = []
    for seed in (3, 3, 4):
        torch.rand(seed)  # whatever the global generator did before
        loop = begin(small, read, seed=seed)
        run(loop, read)
        ended.append(weights(loop))
    assert same(ended[0], ended[1])
    assert not same(ended[0], ended[2])


def test_torch_s_own_generator_is_left_as_it_was(small, read):
    before = torch.get_rng_state()
    run(begin(small, read), read)
    assert torch.equal(torch.get_rng_state(), before)


# Stopped at any yield and restored: gradual unfreezing over four blocks, one more in each epoch.

GRADUAL = {**DEFAULTS["gradual"], "rate": 1e-2, "head_rate": 1e-2, "epochs": 4, "batch_rows": 8,
           "dropout": 0.1}  # fmt: skip


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A network of four blocks, its encoder, and rows with what reaches its blocks."""
    folder = tmp_path_factory.mktemp("deep")
    found = network(folder / "base", num_hidden_layers=4)
    read = encoder(found.card)
    given, held = lesson(read, 14), lesson(read, 10, seed=9)
    kept = [finish(replay.prefix(
        found, read, one.items, poolings=("mean",), blocks=(2, 3, 4), precision="fp32",
        folder=folder / "kept", limit=1 << 30,
    )).states for one in (given, held)]  # fmt: skip
    with_states = [Lesson(one.items, one.targets, one.ids, states)
                   for one, states in zip((given, held), kept, strict=True)]  # fmt: skip
    return found, read, {"plain": (given, held), "replayed": tuple(with_states)}


def thawing(deep, **changes):
    found, read, _ = deep
    settings = {**GRADUAL, **changes}
    return begin(found, read, strategy=STRATEGIES["gradual"](settings), **settings)


def bare(events):
    """Everything that was yielded but its seconds."""
    return [
        (e.number, e.epoch, e.loss, e.gradient_norm, e.rows) if isinstance(e, Step)
        else (e.number, e.train_loss, e.validation_loss, e.validation_score)
        for e in events
    ]


@pytest.mark.parametrize("way", ["plain", "replayed"])
def test_a_loop_restored_at_any_yield_goes_on_to_the_same_bits(deep, tmp_path, way):
    train, held = deep[2][way]
    whole = thawing(deep)
    expected = list(whole.fit(train, held, accuracy))
    kinds = Counter(type(event) for event in expected)
    assert kinds[Epoch] == 4
    assert kinds[Step] >= 8
    for at in range(len(expected)):
        stopped = thawing(deep)
        for number, _ in enumerate(stopped.fit(train, held, accuracy)):
            if number == at:
                checkpoints.save(tmp_path / str(at), at, stopped.state(), {})
                break
        torch.rand(at)  # another process has drawn other numbers
        again = thawing(deep)
        again.restore(checkpoints.latest(tmp_path / str(at))[0].tensors)
        assert bare(again.fit(train, held, accuracy)) == bare(expected)[at + 1 :]
        assert same(again.state(), whole.state()), at


def test_a_loop_goes_on_from_a_state_that_was_saved_with_other_halvings(small, read):
    stopped = begin(small, read, of=Narrow(3))
    for event in stopped.fit(lesson(read, 30), None, accuracy):
        if isinstance(event, Epoch):
            break
    again = begin(small, read, of=Narrow(3))
    again.restore(stopped.state())
    assert again.halvings == stopped.halvings == 2
    assert not [event for event in run(again, read) if isinstance(event, Note)]


def test_replayed_and_plain_training_learn_the_same(deep):
    losses = {}
    for way, (train, held) in deep[2].items():
        events = list(thawing(deep).fit(train, held, accuracy))
        losses[way] = [e.loss if isinstance(e, Step) else e.validation_loss for e in events]
    assert losses["replayed"] != losses["plain"]  # or it was not replayed
    assert losses["replayed"] == pytest.approx(losses["plain"], rel=1e-3)


@pytest.mark.parametrize(
    ("epoch", "block"), [(0, 4), (1, 3), (2, 2), (3, None)], ids=["4", "3", "2", "from the input"]
)
def test_replay_starts_at_the_first_block_that_has_learned(deep, epoch, block):
    train, held = deep[2]["replayed"]
    loop = thawing(deep)
    starts = []
    loop.network.backbone.register_forward_pre_hook(
        lambda module, args, kwargs: starts.append((loop.epoch, kwargs["start"])), with_kwargs=True)
    list(loop.fit(train, held, accuracy))
    assert {start for at, start in starts if at == epoch} == {block or 0}


def test_a_block_that_has_learned_and_sleeps_again_is_not_replayed(deep):
    """What was kept is of the block as it came."""
    found, read, _ = deep
    train, held = deep[2]["replayed"]
    rates = [(0, 0, 0.01, 0.01, 0.01, 0.01), (0, 0, 0, 0, 0.01, 0.01)]
    loop = begin(found, read, rates=lambda epoch: rates[epoch])
    starts = set()
    loop.network.backbone.register_forward_pre_hook(
        lambda module, args, kwargs: starts.add((loop.epoch, kwargs["start"])), with_kwargs=True)
    list(loop.fit(train, held, accuracy))
    assert starts == {(0, 2), (1, 2)}


@pytest.mark.parametrize("way", ["plain", "replayed"])
def test_frozen_blocks_drop_nothing_out(deep, way):
    train, held = deep[2][way]
    losses = []
    for share in (0.0, 0.9):
        loop = thawing(deep, epochs=1)
        dropped(loop.network, 0.0)
        for name, module in loop.network.named_modules():
            if isinstance(module, torch.nn.Dropout) and loop.network.block_of(f"{name}.") < 4:
                module.p = share
        losses.append([step.loss for step in steps(loop.fit(train, held, accuracy))])
    assert losses[0] == losses[1]


def test_dropout_is_at_work_in_a_step_and_follows_from_the_step_s_number(small, read):
    dropped(small, 0.5)
    losses = [step.loss for step in steps(run(begin(small, read, rates=STILL), read, rows=1))]
    assert losses[0] != pytest.approx(losses[1], abs=1e-4)


# What a step is made of: parts, memory, and the weight of a row.


@pytest.fixture
def still(small):
    """Without dropout, whose numbers are drawn part by part."""
    return dropped(small, 0.0)


ONE_BATCH = {"epochs": 1, "batch_rows": 64, "clip": 1e9, "rates": STILL}


@pytest.mark.parametrize("tokens", [1, 13, 60])
def test_a_batch_in_parts_gives_the_gradient_of_the_batch(still, read, monkeypatch, tokens):
    whole = begin(still, read, **ONE_BATCH)
    (expected, _) = run(whole, read)
    monkeypatch.setattr(loops, "MICRO_TOKENS", tokens)
    parted = begin(still, read, **ONE_BATCH)
    passes = []
    parted.network.register_forward_hook(lambda *_: passes.append(1))
    (found, _) = run(parted, read)
    assert len(passes) > 2
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)
    assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-5)
    assert close(gradients(parted), gradients(whole))


def test_the_gradient_is_that_of_the_mean_loss(still, read):
    loop = begin(still, read, **ONE_BATCH)
    (step, _) = run(loop, read)
    assert step.rows == 30
    given = lesson(read, 30)
    plain = copy.deepcopy(still)
    outputs = plain(read.collate(given.items))
    loss = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(given.targets))
    loss.backward()
    assert step.loss == pytest.approx(loss.item(), rel=1e-6)
    assert close(gradients(loop), {n: v.grad for n, v in plain.named_parameters()})


def test_over_an_epoch_every_row_weighs_the_same_whatever_batch_it_came_in(still, read):
    loop = begin(still, read, rates=STILL, epochs=1, clip=1e9)
    total, sizes = {}, []
    for event in loop.fit(lesson(read, 30), None, accuracy):
        if isinstance(event, Step):
            sizes.append(event.rows)
            for name, value in gradients(loop).items():
                total[name] = total.get(name, 0) + value
    assert len(set(sizes)) > 1
    once = begin(still, read, **ONE_BATCH)
    run(once, read)
    mean = {name: value / len(sizes) for name, value in total.items()}
    assert close(mean, gradients(once), most=1e-5)


def test_a_penalty_counts_once_however_many_parts_a_batch_has(still, read, monkeypatch):
    def penalty(net):
        return 0.5 * net.head.linear.bias.sub(3.0).square().sum()

    strategy = Strategy(lambda blocks, epoch: STILL, penalty=penalty)
    plain = begin(still, read, **ONE_BATCH)
    run(plain, read)
    for tokens in (10_000, 13):
        monkeypatch.setattr(loops, "MICRO_TOKENS", tokens)
        pulled = begin(still, read, **{**ONE_BATCH, "strategy": strategy})
        run(pulled, read)
        difference = gradients(pulled)["head.linear.bias"] - gradients(plain)["head.linear.bias"]
        expected = still.head.linear.bias.detach() - 3.0
        torch.testing.assert_close(difference, expected, atol=1e-5, rtol=1e-5)


class Narrow(Classification):
    """A task for which memory holds only so many rows at once."""

    def __init__(self, most, error=None):
        super().__init__(("no", "yes"))
        self.most = most
        self.error = error or torch.OutOfMemoryError("of 8 GiB, 3 are free")

    def loss(self, outputs, batch):
        if len(outputs) > self.most:
            raise self.error
        return super().loss(outputs, batch)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_memory_that_runs_out_halves_the_parts_and_keeps_the_step(still, read, error):
    whole = begin(still, read, **ONE_BATCH)
    run(whole, read)
    halved = begin(still, read, of=Narrow(8, error), **ONE_BATCH)
    *notes, step, _ = run(halved, read)
    assert [note.sentence.split(".")[0] for note in notes] == ["Step 1: memory ran out"] * 2
    assert "The 30 rows of a batch now run in 4 parts" in notes[-1].sentence
    assert step.rows == 30
    assert close(gradients(halved), gradients(whole))


def test_once_halved_later_batches_run_in_parts_at_once(still, read):
    events = run(begin(still, read, of=Narrow(4), rates=STILL), read)
    notes = [at for at, event in enumerate(events) if isinstance(event, Note)]
    assert 1 <= len(notes) <= 3
    assert len(steps(events)) > 2 * len(notes)


def test_where_not_even_one_row_fits_it_ends_in_the_error(still, read):
    loop = begin(still, read, of=Narrow(0))
    notes = []
    with pytest.raises(OutOfMemory):
        notes.extend(loop.fit(lesson(read, 30), None, accuracy))
    assert all(isinstance(note, Note) for note in notes)


def test_rows_that_belong_together_are_not_parted(still, read, monkeypatch):
    monkeypatch.setattr(loops, "MICRO_TOKENS", 1)
    together = Narrow(30)
    together.couples_rows = True
    run(begin(still, read, of=together, **ONE_BATCH), read)
    together.most = 29
    with pytest.raises(OutOfMemory):
        run(begin(still, read, of=together, **ONE_BATCH), read)


def test_an_error_that_is_no_lack_of_memory_is_not_tried_again(still, read):
    broken = Narrow(1, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        next(begin(still, read, of=broken).fit(lesson(read, 30), None, accuracy))


# What is said of a step and of an epoch.


def test_a_step_says_what_happened(still, read):
    found = steps(run(begin(still, read), read))
    sizes = [read.size(item) for item in lesson(read, 30).items]
    drawn = [(epoch, len(rows)) for epoch in (0, 1)
             for rows in bucketed(sizes, batch_rows=8, seed=0, epoch=epoch)]  # fmt: skip
    assert [(step.epoch, step.rows) for step in found] == drawn
    assert [step.number for step in found] == list(range(len(drawn)))


def test_an_epoch_s_training_loss_is_the_mean_over_rows_and_not_over_batches(small, read):
    *found, epoch = run(begin(small, read, epochs=1), read)
    assert epoch.number == 1
    assert epoch.train_loss == pytest.approx(sum(s.loss * s.rows for s in found) / 30)


def test_validation_is_of_the_network_without_dropout_after_the_epoch(small, read):
    held = lesson(read, 20, seed=9)
    loop = begin(small, read)
    for event in loop.fit(lesson(read, 30), held, accuracy):
        if isinstance(event, Epoch):
            with torch.no_grad():
                outputs = loop.network(read.collate(held.items))
            loss = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(held.targets))
            assert not loop.network.training
            assert event.validation_loss == pytest.approx(loss.item(), rel=1e-4)
            assert event.validation_score == accuracy(outputs.numpy(), held.targets)


@pytest.mark.parametrize("none", [None, Lesson([], np.zeros(0, np.int64), [])])
def test_without_validation_rows_an_epoch_has_no_score(small, read, none):
    epoch = run(begin(small, read), read, validation=none)[-1]
    assert (epoch.validation_loss, epoch.validation_score) == (None, None)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_can_be_learned_is_learned_and_weights_stay_in_fp32(small, read, precision):
    loop = begin(small, read, epochs=8, precision=precision)
    held = lesson(read, 40, seed=9)
    epochs = [e for e in run(loop, read, 160, held) if isinstance(e, Epoch)]
    assert epochs[-1].train_loss < epochs[0].train_loss / 2
    assert epochs[-1].validation_score > 0.9  # class 0 alone has 0.7
    assert {p.dtype for p in loop.network.parameters()} == {torch.float32}


def test_a_gradient_is_cut_to_its_length(small, read):
    loop = begin(small, read, clip=0.001, epochs=1, batch_rows=64)
    (step, _) = run(loop, read)
    assert step.gradient_norm > 0.001  # as it came
    first = [one for name, one in loop.optimizer.state().items() if name.endswith(".exp_avg")]
    length = math.sqrt(sum(value.square().sum().item() for value in first))
    assert length == pytest.approx(0.1 * 0.001, rel=1e-2)  # (1 - beta_1) of the gradient


# What stops a run.


def rows_of_step(read, number):
    """Ids of the rows of a step of the first epoch."""
    given = lesson(read, 30)
    sizes = [read.size(item) for item in given.items]
    rows = bucketed(sizes, batch_rows=8, seed=0, epoch=0)[number]
    return [given.ids[row] for row in rows]


def poisoned(small, how):
    with torch.no_grad():
        how(small)
    return small


@pytest.mark.parametrize(
    "how",
    [
        lambda net: net.head.linear.bias.fill_(math.nan),
        lambda net: net.head.linear.bias[0].fill_(math.inf),
    ],
)
def test_a_loss_that_is_no_number_stops_at_its_step_and_names_everything(small, read, how):
    loop = begin(poisoned(small, how), read)
    before = weights(loop)
    with pytest.raises(NonFinite, match="Step 1: ") as raised:
        run(loop, read)
    said = str(raised.value)
    assert "the loss itself is not a finite number" in said
    assert "loss nan, gradient norm nan" in said
    assert "learning rate 0.02" in said  # of the head, the highest
    assert f"rows {', '.join(rows_of_step(read, 0))})" in said
    assert "`rate`" in said
    assert "`head_rate`" in said
    after = weights(loop)
    assert all(torch.equal(after[n].nan_to_num(), before[n].nan_to_num()) for n in before)


class Steep(Classification):
    """A task whose loss is a number and whose gradient is none."""

    def loss(self, outputs, batch):
        (part,) = super().loss(outputs, batch).values()
        return {"steep": LossPart(part.sum + (outputs * 0).abs().sqrt().sum(), part.count)}

    def counts(self, batch):
        return {"steep": len(batch["target"])}


def test_a_gradient_that_is_no_number_stops_before_the_weights_are_touched(small, read):
    loop = begin(small, read, of=Steep(("no", "yes")))
    before = weights(loop)
    with pytest.raises(NonFinite, match=r"its gradient is not.*\(loss \d\.\d+, gradient norm nan"):
        run(loop, read)
    assert same(weights(loop), before)


def test_a_step_that_goes_wrong_later_is_named_by_its_number_and_its_rows(small, read):
    loop = begin(small, read)
    events = loop.fit(lesson(read, 30), None, accuracy)
    assert [next(events).number for _ in range(3)] == [0, 1, 2]
    poisoned(loop.network, lambda net: net.head.linear.bias.fill_(math.nan))
    with pytest.raises(NonFinite, match=r"Step 4: ") as raised:
        next(events)
    assert f"rows {', '.join(rows_of_step(read, 3)[:5])})" in str(raised.value)


class Untold(Classification):
    """A task that counts only rows of class 1."""

    def counts(self, batch):
        return {"cross_entropy": int((batch["target"] == 1).sum())}


def test_a_batch_without_a_single_target_stops_and_names_its_rows(small, read):
    given = lesson(read, 4)
    blank = Lesson(given.items, np.zeros(4, np.int64), given.ids)
    with pytest.raises(NoTargets, match=r"No row of this batch has a target \(t\.csv:\d") as raised:
        next(begin(small, read, of=Untold(("no", "yes"))).fit(blank, None, accuracy))
    assert "Leave rows without an answer out" in str(raised.value)


def test_a_batch_where_some_rows_have_a_target_goes_on(small, read):
    given = lesson(read, 30)
    assert 0 < given.targets.sum() < 30
    loop = begin(small, read, of=Untold(("no", "yes")), epochs=1, batch_rows=64)
    assert len(steps(run(loop, read))) == 1
