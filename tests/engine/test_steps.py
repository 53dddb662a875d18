"""What a step is made of, and what is said of it: parts, memory, and the weight of a row."""

import copy
import math

import pytest
import torch

from engine.looping import STILL, Narrow, accuracy, begin, dropped, read, run, small, steps
from fettle.core.errors import OutOfMemory
from fettle.core.parts import Strategy
from fettle.core.progress import Note
from fettle.core.run import Step
from fettle.engine import loop as loops
from fettle.engine.batches import bucketed
from small import lesson

__all__ = ["read", "small"]


def gradients(loop):
    return {name: value.grad.clone() for name, value in loop.network.named_parameters()}


@pytest.fixture
def still(small):
    """Without dropout, whose numbers are drawn part by part."""
    return dropped(small, 0.0)


ONE_BATCH = {"epochs": 1, "batch_rows": 64, "clip": 1e9, "rates": STILL}


def close(first, second, most=1e-6):
    return max(float((first[name] - second[name]).abs().max()) for name in first) < most


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


def test_a_gradient_is_cut_to_its_length(small, read):
    loop = begin(small, read, clip=0.001, epochs=1, batch_rows=64)
    (step, _) = run(loop, read)
    assert step.gradient_norm > 0.001  # as it came
    first = [one for name, one in loop.optimizer.state().items() if name.endswith(".exp_avg")]
    length = math.sqrt(sum(value.square().sum().item() for value in first))
    assert length == pytest.approx(0.1 * 0.001, rel=1e-2)  # (1 - beta_1) of the gradient


def test_a_step_says_what_happened(still, read):
    found = steps(run(begin(still, read), read))
    sizes = [read.size(item) for item in lesson(read, 30).items]
    drawn = [(epoch, len(rows)) for epoch in (0, 1)
             for rows in bucketed(sizes, batch_rows=8, seed=0, epoch=epoch)]  # fmt: skip
    assert [(step.epoch, step.rows) for step in found] == drawn
    assert [step.number for step in found] == list(range(len(drawn)))
