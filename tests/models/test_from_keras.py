"""Networks of Keras's as rows of blocks: what they say, what learns, what is saved."""


import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from fettle.engine.optim import wake
from fettle.models.cards import card_of
from fettle.models.network import open_saved
from fettle.strategies import DEFAULTS, STRATEGIES
from keras_models import (
    around,
    asked,
    features,
    holding,
    in_a_row,
    library,
    moved,
    opened,
    path,
    pixels,
    saved,
)
from pictures import own_cache

pytestmark = pytest.mark.keras

__all__ = ["own_cache", "path"]


def test_a_block_is_what_lies_between_two_places_that_carry_everything(path):
    card = card_of(str(path))
    assert card.block_names == ("part1", "part2")
    assert (card.source, card.architecture, card.width, card.modality) == (
        "keras", "around", 12, "image")
    assert (card.picture.side, card.picture.fixed, card.picture.channels) == (48, False, 3)


@pytest.mark.parametrize("made", [
    lambda: around(side=32), lambda: holding(around(top=False)), lambda: in_a_row(32),
    lambda: around(side=32, scale=1 / 127.5, offset=-1.0),
], ids=["around", "holding", "in_a_row", "rescaling"])
def test_what_comes_out_is_what_keras_says(made, tmp_path):
    model = made()
    network = opened(saved(model, tmp_path / "a.keras"))
    batch = pixels()
    given = batch["pixels"].numpy().astype(np.float32)
    has_own = any(one.name.startswith("rescaling") for one in model.layers)
    scaled = given if has_own else given / 255
    with torch.inference_mode():
        found = network.taps(batch, ("own",))["own"].numpy()
    assert found.std() > 1e-3
    np.testing.assert_allclose(found, asked(features(model), scaled), atol=2e-5)


@pytest.mark.parametrize("made", [
    lambda: around(side=32), lambda: holding(around(top=False)), lambda: in_a_row(32),
], ids=["around", "holding", "in_a_row"])
def test_replay_from_every_block_changes_nothing(made, tmp_path):
    network = opened(saved(made(), tmp_path / "a.keras"))
    assert network.blocks >= 4
    batch = pixels()
    other = {"pixels": torch.zeros_like(batch["pixels"])}  # what is below does not matter
    with torch.inference_mode():
        full = network(batch)
        for block in range(1, network.blocks - 1):
            kept = network.taps(batch, (f"block {block}",))[f"block {block}"]
            assert torch.equal(network(other, start=block, hidden=kept), full)


def test_what_is_saved_says_the_same_when_it_is_opened_without_the_file(path, tmp_path):
    network = opened(path)
    with torch.no_grad():
        for value in network.parameters():
            value.mul_(1.1)  # as if it had learned
    network.save(tmp_path)
    again = open_saved({one.name: one for one in tmp_path.iterdir()})
    batch = pixels()
    with torch.inference_mode():
        assert torch.equal(network(batch), again(batch))


def test_every_weight_learns_but_for_the_statistics_of_norms(path):
    network = opened(path)
    learn = {name.removeprefix("backbone.model.") for name, _ in network.named_parameters()}
    assert {"stem_bn.weight", "stem_bn.bias", "part1.part1_bn.bias", "stem_conv.weight",
            "part2.part2_way.bias"} < learn
    assert not [name for name in learn if "running" in name or "moving" in name]
    assert "part1.part1_bn.weight" not in learn  # scale=False
    blocks = {name: network.block_of(name) for name, _ in network.named_parameters()}
    assert blocks["backbone.model.stem_conv.weight"] == 0
    assert blocks["backbone.model.part2.part2_conv.weight"] == 2


def test_norms_hold_their_statistics_in_training_until_they_are_drawn_anew(path):
    network = opened(path)
    norms = [one for one in network.modules() if isinstance(one, _BatchNorm)]
    assert len(norms) == 3
    before = [one.running_mean.clone() for one in norms]
    network.train()
    network(pixels(4))
    assert all(torch.equal(a, b.running_mean) for a, b in zip(before, norms, strict=True))
    network = STRATEGIES["scratch"](DEFAULTS["scratch"]).prepare(network)
    assert all(one.weight is None or torch.equal(one.weight, torch.ones_like(one.weight))
               for one in norms)
    network.train()
    network(pixels(4))
    assert all(one.running_mean.abs().sum() > 0 for one in norms)


def test_a_batch_normalisation_of_torch_moves_as_keras_has_it_moved(tmp_path):
    """Keras: moving = moving * 0.99 + batch * 0.01, the batch's variance over n. By hand: of 0, 2,
    4 and 6 the mean is 3 and the variance 5 (over n - 1 it were 6.67)."""
    model = around(side=32)
    norm = opened(saved(model, tmp_path / "a.keras")).backbone.model.stem_bn
    x = torch.arange(0.0, 8, 2).reshape(4, 1, 1, 1).expand(4, 1, 1, 8).clone().requires_grad_()
    with torch.no_grad():
        norm.running_mean.fill_(1.0)
        norm.running_var.fill_(2.0)
    norm.train()
    said = norm(x)
    torch.testing.assert_close(norm.running_mean, torch.full((8,), 1 * 0.99 + 3 * 0.01))
    torch.testing.assert_close(norm.running_var, torch.full((8,), 2 * 0.99 + 5 * 0.01))
    said.square().sum().backward()  # what was kept may change in between: micro-batches do that
    layer = model.get_layer("stem_bn")
    layer.moving_mean.assign(np.ones(8))
    layer.moving_variance.assign(np.full(8, 2.0))
    theirs = layer(x.detach(), training=True)
    torch.testing.assert_close(said, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm.running_var, layer.moving_variance.value.detach())


def test_frozen_blocks_stay_and_woken_ones_learn(path):
    network = opened(path)
    wake(network, STRATEGIES["top"]({**DEFAULTS["top"], "top_blocks": 1}), 0)
    awake = {name for name, value in network.named_parameters() if value.requires_grad}
    assert awake
    assert all(network.block_of(name) >= 2 for name in awake)
    network(pixels()).square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0
               for name, value in network.named_parameters() if name in awake)


def test_what_keras_draws_by_chance_follows_torchs_seed(tmp_path):
    layers = library().layers
    pixels_in = library().Input((16, 16, 3))
    x = layers.Conv2D(8, 3, name="conv")(pixels_in)
    x = layers.SpatialDropout2D(0.5, name="maps")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = moved(library().Model(pixels_in, layers.Dense(2, name="answer")(x)))
    network = opened(saved(model, tmp_path / "a.keras")).train()
    batch = pixels(side=16)
    torch.manual_seed(5)
    first, second = network(batch), network(batch)
    torch.manual_seed(5)
    again = network(batch)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_dense_layers_can_be_adapted_by_lora_and_merged(tmp_path):
    network = opened(saved(in_a_row(32), tmp_path / "a.keras"))
    strategy = STRATEGIES["lora"]({**DEFAULTS["lora"], "rank": 2, "alpha": 4})
    network = strategy.prepare(network)
    for name, value in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.3, generator=torch.Generator().manual_seed(0))
    batch = pixels()
    with torch.inference_mode():
        adapted = network.eval()(batch)
        merged = strategy.finish(network, None)(batch)
    torch.testing.assert_close(adapted, merged, atol=1e-4, rtol=1e-4)


def test_one_that_lays_its_map_out_flat_takes_one_size(tmp_path):
    assert card_of(str(saved(in_a_row(), tmp_path / "flat.keras"))).picture.fixed


def test_a_layer_that_is_used_twice_is_learned_once(tmp_path):
    layers = library().layers
    pixels_in = library().Input((16, 16, 3))
    shared = layers.Conv2D(6, 3, padding="same", name="again")
    x = layers.Conv2D(6, 3, name="stem")(pixels_in)
    x = shared(layers.ReLU(name="between")(shared(x)))
    x = layers.Conv2D(4, 3, name="above")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = moved(library().Model(pixels_in, layers.Dense(2, name="answer")(x)))
    network = opened(saved(model, tmp_path / "a.keras"))
    assert sum("again" in name for name, _ in network.named_parameters()) == 2
    batch = pixels(side=16)
    found = network.taps(batch, ("own",))["own"].detach().numpy()
    np.testing.assert_allclose(
        found, asked(features(model), batch["pixels"].numpy().astype(np.float32) / 255), atol=2e-5)


@pytest.mark.parametrize("made", [
    lambda inner: library().Model(a := library().Input((32, 32, 3)), inner(a)),
    lambda inner: library().Sequential([library().Input((32, 32, 3)), inner]),
], ids=["functional", "sequential"])
def test_the_head_of_a_model_that_is_a_layer_is_taken_off_as_well(made, tmp_path):
    inner = around(side=32)
    network = opened(saved(made(inner), tmp_path / "a.keras"))
    assert network.card.width == 12  # not the five classes of its head
    batch = pixels()
    found = network.taps(batch, ("own",))["own"].detach().numpy()
    np.testing.assert_allclose(
        found, asked(features(inner), batch["pixels"].numpy().astype(np.float32) / 255), atol=2e-5)


def test_a_file_of_mixed_precision_computes_in_fp32(tmp_path):
    plain = around(side=32)
    library().config.set_dtype_policy("mixed_float16")
    try:
        mixed = around(side=32)
    finally:
        library().config.set_dtype_policy("float32")
    one, other = (opened(saved(model, tmp_path / f"{name}.keras"))
                  for name, model in (("plain", plain), ("mixed", mixed)))
    batch = pixels()
    with torch.inference_mode():
        assert torch.equal(one(batch), other(batch))
