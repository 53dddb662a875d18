"""Mixing in the loop: the loss is that of soft answers, and nothing of it hangs on the parts."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from fettle.core.parts import Strategy
from fettle.core.plan import Pictures, Unit
from fettle.core.run import Step
from fettle.engine import loop as loops
from fettle.engine.loop import MIXED, VIEWED, Lesson, Loop
from fettle.modalities.image import ImageEncoder
from fettle.models.network import open_network
from fettle.tasks.classification import Classification
from fettle.tasks.multi_label import MultiLabel
from fettle.tasks.regression import Regression
from pictures import CLASSES, card, drawn, own_cache

__all__ = ["own_cache"]

HEAD = {"kind": "linear", "pooling": "own", "normalise": False, "dropout": 0.0, "outputs": 3}
SETTINGS = {"epochs": 2, "batch_rows": 6, "schedule": "constant", "warmup": 0.0, "cycles": 1,
            "weight_decay": 0.0, "clip": 0.0}
ROWS = 6


@pytest.fixture
def network(tmp_path):
    made = open_network(card(tmp_path))
    made.set_head(HEAD)
    return made


def encoder_of(network, **changes):
    return ImageEncoder.fit(network.card, fields=("picture",),
                            pictures=Pictures(32, "light", **changes))


def lesson(number=ROWS):
    items = [drawn(CLASSES[at % 3], seed=at, side=36) for at in range(number)]
    return Lesson(items, np.arange(number) % 3, [str(at) for at in range(number)])


def begun(network, encoder, **more):
    return Loop(copy.deepcopy(network), encoder, more.pop("task", Classification(CLASSES)),
                strategy=Strategy(lambda blocks, epoch: (0.01,) * blocks),
                settings={**SETTINGS, **more}, precision="fp32", seed=3)


def steps(loop, rows=None):
    return [one for one in loop.fit(rows or lesson(), None, lambda *_: 0.0)
            if isinstance(one, Step)]


def mixed_by_hand(network, task, given, answers):
    """The first step of the loop; what the network said before it of its pictures, mixed by hand;
    and the mixed answers."""
    encoder = encoder_of(network, mixup=0.8)
    loop = begun(network, encoder, task=task)
    rows = loop._batches([1] * ROWS, 0)[0]
    found = steps(loop, given)[0]
    seen = {row: encoder.views(given.items[row], np.random.default_rng((VIEWED, 3, 0, row)))
            for row in range(ROWS)}
    order = np.random.default_rng((MIXED, 3, 0, 0)).permutation(ROWS)
    share = np.random.default_rng((MIXED, 3, 0, 1)).beta(0.8, 0.8)
    assert 0.02 < share < 0.98
    one, other = (encoder.collate([seen[row] for row in rows[at]])["pixels"].float()
                  for at in (np.arange(ROWS), order))
    soft = share * answers[rows] + (1 - share) * answers[rows[order]]
    outputs = network.train()({"pixels": share * one + (1 - share) * other})
    return found, outputs, torch.from_numpy(soft).float()


@pytest.mark.parametrize("task", [
    Classification(CLASSES), Classification(CLASSES, label_smoothing=0.2),
    Classification(CLASSES, weights=np.array([1.0, 2.0, 3.0])),
], ids=["plain", "smoothed", "weighted"])
def test_the_loss_is_the_task_s_own_on_soft_answers(network, task):
    """Cross-entropy with probabilities as targets, by torch, over pictures mixed by hand."""
    given = lesson()
    found, outputs, soft = mixed_by_hand(network, task, given, np.eye(3)[given.targets])
    weights = None if task.weights is None else torch.from_numpy(task.weights).float()
    expected = torch.nn.functional.cross_entropy(
        outputs, soft, weight=weights, reduction="sum",
        label_smoothing=task.label_smoothing) / ROWS
    assert found.loss == pytest.approx(float(expected.detach()), rel=1e-4)


def test_several_labels_a_picture_are_mixed_as_soft_labels(network):
    has = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 1], [1, 0, 0]], bool)
    given = dataclasses.replace(lesson(), targets=has)
    found, outputs, soft = mixed_by_hand(network, MultiLabel(CLASSES), given, has)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        outputs, soft, reduction="sum") / ROWS
    assert found.loss == pytest.approx(float(expected.detach()), rel=1e-4)


def test_mixed_numbers_teach_what_the_mixed_number_teaches(network):
    network.set_head({**HEAD, "outputs": 1})
    given = dataclasses.replace(lesson(), targets=np.linspace(-1.0, 4.0, ROWS))
    task = Regression(Unit(1.0, 2.0))
    found, outputs, soft = mixed_by_hand(network, task, given, given.targets)
    error = torch.nn.functional.mse_loss(outputs[:, 0], (soft - 1.0) / 2.0)
    gradients = torch.autograd.grad(error, list(network.parameters()), allow_unused=True)
    norm = torch.nn.utils.get_total_norm([one for one in gradients if one is not None])
    assert found.gradient_norm == pytest.approx(float(norm), rel=1e-3)


@pytest.mark.parametrize("mixes", [{"mixup": 0.8}, {"cutmix": 1.0}])
def test_the_step_is_the_same_however_its_rows_are_cut_into_parts(network, mixes, monkeypatch):
    encoder = encoder_of(network, **mixes)
    whole = steps(begun(network, encoder))
    monkeypatch.setattr(loops, "MICRO_TOKENS", 8)  # two rows of four squares
    parts = steps(begun(network, encoder))
    for one, other in zip(whole, parts, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-4)
        assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-3)


def test_stopped_after_any_step_it_goes_on_to_the_same_bits(network):
    encoder = encoder_of(network, mixup=0.4, cutmix=1.0, erasing=0.5)
    whole = begun(network, encoder, batch_rows=2)
    losses = [one.loss for one in steps(whole)]
    stopped = begun(network, encoder, batch_rows=2)
    running = stopped.fit(lesson(), None, lambda *_: 0.0)
    for _ in range(2):
        next(running)
    again = begun(network, encoder, batch_rows=2)
    again.restore({name: value.clone() for name, value in stopped.state().items()})
    assert [one.loss for one in steps(again)] == losses[2:]
    for one, other in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_row_is_seen_anew_in_each_epoch_and_alike_in_batches_of_any_size(network):
    shown = {}

    class Spy(ImageEncoder):
        def views(self, item, rng):
            made = super().views(item, rng)
            shown.setdefault(size, []).append((item.tobytes(), made.tobytes()))
            return made

    for size in (2, 3):
        steps(begun(network, Spy(encoder_of(network).settings), batch_rows=size))
    assert sorted(shown[2]) == sorted(shown[3])
    assert len(set(shown[2])) == 2 * ROWS


def test_without_mixing_the_network_runs_once_and_on_whole_bytes(network):
    encoder = encoder_of(network)
    assert not encoder.mixes
    loop = begun(network, encoder)
    kinds = []
    loop.network.register_forward_pre_hook(lambda _, args: kinds.append(args[0]["pixels"].dtype))
    steps(loop)
    assert kinds == [torch.uint8] * 2


def test_words_are_changed_where_rows_are_taught_and_nowhere_else(tmp_path):
    """Rows that validate, and rows whose frozen blocks are replayed, are read as they are."""
    import small
    from fettle.core.plan import Texts
    from fettle.core.progress import finish
    from fettle.engine import replay
    from fettle.modalities.text import TextEncoder
    from fettle.models.network import tokenizer_json

    network = small.network(tmp_path / "base", num_hidden_layers=4)
    read = TextEncoder.fit(network.card, tokenizer_json(network.card), fields=("text",),
                           max_tokens=12, texts=Texts(deletion=0.5))
    given, held = small.lesson(read, 20), small.lesson(read, 10, seed=9)
    states = finish(replay.prefix(network, read, given.items, poolings=("mean",), blocks=(3,),
                                  precision="fp32", folder=tmp_path / "kept", limit=1 << 30)).states
    seen = []
    real = read.rewording
    read.rewording = lambda item, rng: seen.append(item.tobytes()) or real(item, rng)

    def learn(rows, lowest):
        made = Loop(copy.deepcopy(network), read, small.task(),
                    strategy=Strategy(lambda blocks, epoch: tuple(
                        0.01 if block >= lowest else 0.0 for block in range(blocks))),
                    settings={**SETTINGS, "batch_rows": 8}, precision="fp32", seed=0)
        list(made.fit(rows, held, lambda *_: 0.0))

    learn(given, 0)
    assert set(seen) == {item.tobytes() for item in given.items}
    seen.clear()
    learn(Lesson(given.items, given.targets, given.ids, states), 3)
    assert seen == []
