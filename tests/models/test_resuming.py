"""Resuming: from any block on, a network says and learns what it does from its input."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from fettle.core.parts import Strategy
from fettle.engine.device import seeded
from fettle.engine.optim import wake
from fettle.models.cards import card_of
from fettle.models.network import open_network
from fettle.models.resuming import learned, passing
from foreign import saved

CHANGES = {"bert": {"hidden_act": "silu"}}  # or it is the lean one that is opened
KINDS = ("lean", "bert", "roberta", "distilbert", "deberta-v2", "modernbert", "mpnet", "electra",
         "xlnet", "llama", "qwen3", "gpt2", "t5")  # fmt: skip
MAKES = {"t5": {1}}
"""T5's first block makes the position bias of all others: it runs wherever one starts."""
BLOCKS = (1, 2, 3)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Each network with a head, opened once; to be copied before it learns."""
    made = {}

    def network(kind):
        if kind not in made:
            name = "bert" if kind == "lean" else kind
            place = saved(tmp_path_factory.mktemp(kind), name, **CHANGES.get(kind, {}))
            made[kind] = open_network(card_of(str(place)))
            torch.manual_seed(1)
            made[kind].set_head({"kind": "linear", "pooling": "mean", "normalise": False,
                                 "dropout": 0.1, "outputs": 3})  # fmt: skip
        return made[kind].eval()

    return network


@pytest.fixture
def batch():
    """Four rows of 9, 4, 1 and 7 tokens."""
    ids = torch.from_numpy(np.random.default_rng(0).integers(5, 90, size=(4, 9)))
    mask = (torch.arange(9) < torch.tensor([[9], [4], [1], [7]])).long()
    return {"input_ids": ids * mask, "attention_mask": mask}


def kept(network, batch, block):
    """What reaches a block, as it is kept: nothing where a row has no token."""
    with torch.no_grad():
        found = network.taps(batch, (f"block {block}",))[f"block {block}"]
    return found * batch["attention_mask"][..., None]


def tuned_from(network, block):
    """The network with this block and all above it awake; the others as training has them."""
    rates = tuple(float(number >= block) for number in range(network.blocks))
    wake(network, Strategy(lambda blocks, epoch: rates), 0)
    return network


def gradients(network, batch, **resumed):
    """Of a loss of every output, by parameter's name; None where there is none."""
    network.zero_grad(set_to_none=True)
    with seeded(3):  # the same dropout
        network(batch, **resumed).square().sum().backward()
    return {name: None if value.grad is None else value.grad.clone()
            for name, value in network.named_parameters()}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_from_every_block_the_outputs_are_the_same_to_the_bit(opened, kind, batch):
    network = opened(kind)
    assert network.resumable
    here = batch["attention_mask"].bool()
    with torch.no_grad():
        whole = network.backbone(batch)
        said = network(batch)
        for block in BLOCKS:
            hidden = kept(network, batch, block)
            assert hidden[2, 1:].abs().sum() == 0
            resumed = network.backbone(batch, start=block, hidden=hidden)
            assert torch.equal(resumed[here], whole[here]), block
            assert torch.equal(network(batch, start=block, hidden=hidden), said), block
            other = network(batch, start=block, hidden=hidden * 1.1)
            assert not torch.equal(other, said)  # what is given is what is used
        assert torch.equal(network(batch), said)  # and nothing of it stays behind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [2, 3])
def test_in_training_the_gradients_are_those_of_the_plain_pass(opened, kind, batch, block):
    network = tuned_from(copy.deepcopy(opened(kind)), block)
    plain = gradients(network, batch)
    resumed = gradients(network, batch, start=block, hidden=kept(network, batch, block))
    without_dropout = gradients(copy.deepcopy(network).eval(), batch)
    assert any(value is not None and value.abs().sum() > 0 for value in plain.values())
    for name, value in plain.items():
        if network.block_of(name) < block:
            assert value is None, name
            assert resumed[name] is None, name
        elif value is not None:
            torch.testing.assert_close(resumed[name], value, rtol=1e-5, atol=1e-6, msg=name)
    assert any(not torch.allclose(value, without_dropout[name])
               for name, value in plain.items() if value is not None)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [2, 3])
def test_below_the_start_nothing_runs_and_nothing_is_dropped_out(opened, kind, batch, block):
    network = tuned_from(copy.deepcopy(opened(kind)), block)
    hidden = kept(network, batch, block)
    ran = set()
    for name, module in network.named_modules():
        inside = any(name.startswith(f"backbone.{one}.") for one in network.block_names)
        if inside and isinstance(module, nn.Linear | nn.LayerNorm | nn.Dropout):
            module.register_forward_hook(lambda *_, name=name: ran.add(network.block_of(name)))
    with seeded(3):
        expected = network(batch, start=block, hidden=hidden)
    assert ran == {*range(block, 4), *MAKES.get(kind, set())}
    for name, module in network.named_modules():
        if isinstance(module, nn.Dropout) and network.block_of(f"{name}.") < block:
            module.p = 0.9
    with seeded(3):
        assert torch.equal(network(batch, start=block, hidden=hidden), expected)


def test_a_network_whose_block_runs_many_times_says_that_it_cannot(opened):
    assert not opened("albert").resumable


def test_a_network_without_blocks_says_that_it_cannot(tmp_path):
    sizes = {"vocab_size": 97, "emb_dim": 32, "n_layers": 3, "n_heads": 4}
    assert not open_network(card_of(str(saved(tmp_path / "xlm", "xlm", **sizes)))).resumable


def test_learning_what_crosses_draws_no_random_number_and_changes_nothing(opened, batch):
    network = copy.deepcopy(opened("gpt2"))
    network.backbone._crossings = None
    network.train()
    before = torch.get_rng_state()
    assert network.resumable
    assert torch.equal(torch.get_rng_state(), before)
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_a_pass_that_fails_leaves_the_network_as_it_was(opened, batch):
    network = copy.deepcopy(opened("gpt2"))
    with torch.no_grad():
        expected = network(batch)
        with pytest.raises(RuntimeError):
            network(batch, start=3, hidden=torch.zeros(4, 9, 5))
        assert torch.equal(network(batch), expected)
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert not any("forward" in vars(module) for module in network.modules())


def test_a_copy_in_bf16_starts_at_a_block_too(opened, batch):
    for kind in ("lean", "gpt2"):
        cast = opened(kind).in_precision("bf16")
        hidden = kept(cast, batch, 2)
        assert hidden.dtype == torch.bfloat16
        with torch.no_grad():
            assert torch.equal(cast(batch, start=2, hidden=hidden), cast(batch))


class Block(nn.Module):
    """Adds 1; hands on what else the row of blocks needs in one of several ways."""

    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, hidden, *, mask=None, memory=None):
        made = hidden + 1
        return {
            "alone": made,
            "tuple": (made,),
            "list": [made, mask],
            "passed": (made, memory),
            "nothing": (made, None),
            "made": (made, mask * 2),
        }[self.way]


def row_of(way):
    """(blocks, forward) of three blocks that hand on in this way."""
    blocks = [Block(way) for _ in range(3)]

    def forward(ids, mask):
        hidden = torch.zeros(*ids.shape, 2)
        memory = torch.arange(3.0)
        for block in blocks:
            given = block(hidden, mask=mask, memory=memory)
            hidden = given if isinstance(given, torch.Tensor) else given[0]
            if way in ("passed", "list"):
                assert given[1] is (memory if way == "passed" else mask)
        return hidden

    return blocks, forward


@pytest.mark.parametrize("way", ["alone", "tuple", "list", "passed", "nothing", "made"])
def test_a_stub_hands_on_what_the_block_would(way):
    blocks, forward = row_of(way)
    crossings = learned(blocks, forward, device=torch.device("cpu"))
    assert [one.makes for one in crossings] == [way == "made"] * 3
    assert {one.kind for one in crossings} == {
        {"alone": torch.Tensor, "list": list}.get(way, tuple)}
    ids = mask = torch.ones(2, 4, dtype=torch.long)
    seen = {3: None}
    with passing(blocks, crossings, start=3, hidden=torch.full((2, 4, 2), 10.0), seen=seen):
        assert forward(ids, mask).unique().tolist() == [11.0]
    assert seen[3].unique().tolist() == [10.0]
    assert forward(ids, mask).unique().tolist() == [3.0]


@pytest.mark.parametrize(
    "block",
    [lambda hidden: hidden.sum(-1), lambda hidden: {"hidden": hidden}, lambda hidden: (),
     lambda hidden: (None, hidden)],
    ids=["another shape", "a dict", "nothing", "elsewhere"],
)  # fmt: skip
def test_where_hidden_states_are_not_found_there_are_no_crossings(block):
    class Odd(nn.Module):
        def forward(self, hidden):
            return block(hidden)

    odd = Odd()
    found = learned([odd], lambda ids, mask: odd(torch.zeros(*ids.shape, 2)),
                    device=torch.device("cpu"))  # fmt: skip
    assert not found


def test_tokens_may_come_first():
    class Turned(nn.Module):
        def forward(self, index, hidden):
            return (hidden + index,)

    blocks = [Turned(), Turned()]

    def forward(ids, mask):
        hidden = torch.zeros(ids.shape[1], ids.shape[0], 2)
        for block in blocks:
            (hidden,) = block(1.0, hidden)
        return hidden.transpose(0, 1)

    crossings = learned(blocks, forward, device=torch.device("cpu"))
    assert [(one.place, one.tokens_first) for one in crossings] == [(1, True)] * 2
    hidden = torch.arange(16.0).reshape(2, 4, 2)
    ids = torch.ones(2, 4, dtype=torch.long)
    with passing(blocks, crossings, start=2, hidden=hidden, seen=None):
        assert torch.equal(forward(ids, ids), hidden + 1)
