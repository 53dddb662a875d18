"""Ranks: two processes with half of each batch give what one gives with all of it."""

import os

import pytest
import torch

from fettle.core.errors import SettingError
from fettle.core.parts import Strategy
from fettle.core.run import Epoch, Step
from fettle.engine import ranks
from fettle.engine.loop import Loop
from fettle.engine.ranks import World, world
from fettle.models.cards import card_of
from fettle.models.network import open_network
from fettle.strategies.contrastive import Pairs
from forked import started
from patience import PATIENCE
from small import HEAD, bert, encoder, lesson, task

ROWS = 21
SETTINGS = {"epochs": 2, "batch_rows": 4, "schedule": "cosine", "warmup": 0.1, "cycles": 1,
            "weight_decay": 0.01, "clip": 1.0}  # fmt: skip


def learns(name):
    """All but what attention's shape leaves without a gradient: its rounding is not compared."""
    return "key.bias" not in name


def penalty(network):
    return 0.1 * network.head.linear.weight.square().sum()


def tuned(model):
    """(steps, epochs, weights) of a small training; dropout, which each rank draws, is off."""
    network = open_network(card_of(str(model)))
    torch.manual_seed(1)
    network.set_head({**HEAD, "dropout": 0.0})
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    read = encoder(network.card)
    strategy = Strategy(lambda blocks, epoch: (0.01,) * blocks, learns=learns, penalty=penalty)
    loop = Loop(network, read, task(), strategy=strategy, settings=SETTINGS, precision="fp32",
                seed=0)  # fmt: skip
    events = list(loop.fit(
        lesson(read, ROWS), lesson(read, 10, seed=9),
        lambda outputs, targets: float((outputs.argmax(1) == targets).mean()),
    ))  # fmt: skip
    return (
        [(e.number, e.rows, e.loss, e.gradient_norm) for e in events if isinstance(e, Step)],
        [(e.train_loss, e.validation_loss) for e in events if isinstance(e, Epoch)],
        network.state_dict(),
    )


def one_of_two(rank, model, folder):
    """What one process of two does; what it found lies in the folder afterwards."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    assert world() == World(rank, 2)
    torch.save(tuned(model), f"{folder}/rank{rank}")
    torch.distributed.barrier()  # or the first to leave may take the other down with it
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_losses_and_the_weights_of_one(tmp_path):
    bert(tmp_path / "model")
    pair = [started(one_of_two, rank, tmp_path / "model", tmp_path) for rank in (0, 1)]
    steps, epochs, weights = tuned(tmp_path / "model")
    assert min(rows for _, rows, _, _ in steps) == 1  # then the second process has none
    for process in pair:
        process.join(PATIENCE)
        assert process.exitcode == 0
    for rank in (0, 1):
        found = torch.load(tmp_path / f"rank{rank}")
        assert [one[:2] for one in found[0]] == [one[:2] for one in steps]
        for one, other in zip(found[0], steps, strict=True):
            assert one[2:] == pytest.approx(other[2:], rel=1e-5, abs=1e-6)
        for one, other in zip(found[1], epochs, strict=True):
            assert one == pytest.approx(other, rel=1e-5, abs=1e-6)
        for name, value in weights.items():
            torch.testing.assert_close(found[2][name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_rows_that_are_compared_with_each_other_are_trained_in_one_process(tmp_path, monkeypatch):
    network = open_network(bert(tmp_path / "model"))
    strategy = Strategy(lambda blocks, epoch: (0.01,) * blocks)
    given = {"strategy": strategy, "settings": SETTINGS, "precision": "fp32", "seed": 0}
    Loop(network, encoder(network.card), Pairs(), **given)
    monkeypatch.setattr(ranks, "world", lambda: World(0, 2))
    Loop(network, encoder(network.card), task(), **given)
    with pytest.raises(SettingError, match="one process: of 2"):
        Loop(network, encoder(network.card), Pairs(), **given)


def test_alone_nothing_is_exchanged():
    assert world() == World(0, 1)
    assert World().summed(1.5, 2.5) == (1.5, 2.5)
    parameter = torch.nn.Parameter(torch.ones(2))
    World().sum_gradients([parameter])
    assert parameter.grad is None
