"""Faults of training: a loss that is no number, a batch without a target, memory that runs out.

The loop stops at the step, in plain words, before a weight has changed; or it halves what runs at
once and keeps the step.
"""

import pytest
import torch

from fettle.core.errors import FettleError, NonFinite, NoTargets
from fettle.core.parts import Strategy
from fettle.core.progress import Note
from fettle.core.run import Step
from fettle.engine.batches import bucketed
from fettle.engine.loop import Loop
from fettle.store import checkpoints
from fettle.tasks.classification import Classification
from small import encoder, lesson, network, task


class SomeUnanswered(Classification):
    """Rows whose target is below zero have none."""

    def counts(self, batch):
        return {"cross_entropy": int((batch["target"] >= 0).sum())}


def begin(folder, *, learner=None, dropout=0.1):
    """A loop of three epochs over a tiny network of its own."""
    made = network(folder / "model")
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    return Loop(
        made, encoder(made.card), learner or task(),
        strategy=Strategy(lambda _, __: (0.01, 0.01, 0.01, 0.02)), precision="fp32", seed=3,
        settings={"epochs": 3, "batch_rows": 8, "schedule": "cosine", "warmup": 0.0, "cycles": 1,
                  "weight_decay": 0.01, "clip": 1.0},
    )


def steps_of(loop, rows):
    return loop.fit(lesson(loop.encoder, rows), None, None)


def weights_of(loop):
    return {name: value.clone() for name, value in loop.network.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name].nan_to_num(), second[name].nan_to_num()) for name in first)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_at_its_step_before_any_weight_changes(tmp_path, value):
    loop = begin(tmp_path)
    events = steps_of(loop, 30)
    for _ in range(3):
        next(events)
    with torch.no_grad():
        loop.network.head.linear.bias[0] = value
    before = weights_of(loop)
    with pytest.raises(NonFinite) as raised:
        next(events)
    for part in ("Step 4: ", "loss", "gradient norm", "learning rate 0.0", "rows t.csv:",
                 "lower `rate`"):
        assert part in str(raised.value)
    assert same(before, weights_of(loop))


def test_a_gradient_that_is_no_number_stops_at_its_step_too(tmp_path):
    loop = begin(tmp_path)
    loop.network.head.linear.weight.register_hook(lambda gradient: gradient * float("nan"))
    before = weights_of(loop)
    with pytest.raises(NonFinite, match="Step 1: its gradient is not a finite number"):
        next(steps_of(loop, 30))
    assert same(before, weights_of(loop))


def test_what_was_saved_before_a_run_exploded_is_finite_and_explodes_again(tmp_path):
    loop = begin(tmp_path / "a")
    loop.strategy = Strategy(lambda _, epoch: (1e30 if epoch else 0.01,) * 4)
    def to_the_end():
        for _ in steps_of(loop, 30):
            checkpoints.save(tmp_path / "c", loop.steps_done, loop.state(), {})

    with pytest.raises(NonFinite, match="Step ") as first:
        to_the_end()
    found, passed_over = checkpoints.latest(tmp_path / "c", finite=("network.",))
    assert passed_over == ()

    restored = begin(tmp_path / "b")
    restored.strategy = loop.strategy
    restored.restore(found.tensors)
    with pytest.raises(NonFinite) as second:
        list(steps_of(restored, 30))
    assert str(second.value) == str(first.value)


def test_a_batch_without_a_target_stops_at_its_step_and_names_its_rows(tmp_path):
    loop = begin(tmp_path, learner=SomeUnanswered(("no", "yes")))
    given = lesson(loop.encoder, 16)
    first, second, *_ = bucketed(
        [loop.encoder.size(item) for item in given.items], batch_rows=8, seed=3, epoch=0
    )
    given.targets[second] = -1
    events = loop.fit(given, None, None)
    assert next(events).rows == len(first)
    before = weights_of(loop)
    with pytest.raises(NoTargets) as raised:
        next(events)
    assert given.ids[second[0]] in str(raised.value)
    assert "Leave rows without an answer out" in str(raised.value)
    assert same(before, weights_of(loop))


def memory_for(loop, most, *, error=None):
    """The network's memory is too small for more rows than this at once; how many were tried."""
    real, tried = loop.network.forward, []
    error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def forward(batch, **words):
        tried.append(len(batch["target"]))
        if tried[-1] > most:
            raise error
        return real(batch, **words)

    loop.network.forward = forward
    return tried


@pytest.mark.parametrize(
    "error",
    [None, MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
    ids=["GPU", "Python", "processor"],
)
def test_memory_that_runs_out_halves_what_runs_at_once_and_keeps_the_step(tmp_path, error):
    scarce, ample = (begin(tmp_path / name, dropout=0.0) for name in "ab")
    tried = memory_for(scarce, 2, error=error)
    events, expected = list(steps_of(scarce, 32)), list(steps_of(ample, 32))
    notes = [event.sentence for event in events if isinstance(event, Note)]
    assert "Step 1: memory ran out. " in notes[0]
    for times, note in enumerate(notes, start=1):
        assert f" now run in {2**times} parts; the step stays the same." in note
    assert len([rows for rows in tried if rows > 2]) == len(notes) >= 2
    steps = [[(event.number, event.rows) for event in some if isinstance(event, Step)]
             for some in (events, expected)]
    assert steps[0] == steps[1]
    own, other = weights_of(scarce), weights_of(ample)
    for name in own:
        if not name.endswith("key.bias"):  # gradient 0 but for rounding
            torch.testing.assert_close(own[name], other[name], rtol=1e-3, atol=1e-4)


def test_a_run_that_halved_and_died_goes_on_to_the_same_bits(tmp_path):
    loop = begin(tmp_path / "a")
    memory_for(loop, 4)
    for event in steps_of(loop, 32):
        if isinstance(event, Step) and event.number == 5:  # inside the second epoch
            checkpoints.save(tmp_path / "c", loop.steps_done, loop.state(), {})
    found, _ = checkpoints.latest(tmp_path / "c")

    restored = begin(tmp_path / "b")
    restored.restore(found.tensors)
    tried = memory_for(restored, 4)
    assert not [event for event in steps_of(restored, 32) if isinstance(event, Note)]
    assert max(tried) <= 4
    assert same(weights_of(loop), weights_of(restored))


def test_another_error_is_not_taken_for_memory(tmp_path):
    loop = begin(tmp_path)
    memory_for(loop, 4, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        list(steps_of(loop, 32))


def test_memory_that_is_too_small_for_one_row_is_an_error_that_says_what_to_change(tmp_path):
    loop = begin(tmp_path)
    memory_for(loop, 0)
    with pytest.raises(FettleError, match=r"memory .* one row"):
        list(steps_of(loop, 32))
