"""Networks of pictures: their blocks, replay from each of them, freezing, saving, opening."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fettle.core.errors import CorruptFile, ModelUnavailable, UnsafeModel
from fettle.core.parts import PictureInput
from fettle.core.pictures import cell_of_bytes
from fettle.core.progress import finish
from fettle.engine.faithful import compare
from fettle.engine.optim import wake
from fettle.engine.replay import prefix
from fettle.modalities.image import ImageEncoder
from fettle.models.cards import card_of
from fettle.models.network import open_network, open_saved
from fettle.models.pictures import PictureBackbone
from fettle.strategies import DEFAULTS, STRATEGIES
from pictures import CLASSES, card, drawn, encoded, own_cache, timm_folder

__all__ = ["own_cache"]

HEAD = {"kind": "linear", "pooling": "own", "normalise": False, "dropout": 0.0, "outputs": 3}
ARCHITECTURES = ("test_resnet", "test_vit", "test_convnext", "test_efficientnet", "test_byobnet",
                 "test_nfnet", "test_mambaout", "test_maxvit")
LARGE = ("resnet50", "vgg16", "inception_v3", "convnext_atto", "efficientnet_b0", "densenet121",
         "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "mobilenetv2_100", "regnety_002")


def opened(folder, architecture="test_resnet", **arguments):
    network = open_network(card(folder, architecture, **arguments))
    torch.manual_seed(3)
    network.set_head(HEAD)
    return network.eval()


def rows(number=6, side=32):
    return [(cell_of_bytes(encoded(drawn(CLASSES[at % 3], seed=at, side=side))),)
            for at in range(number)]


def pixels(number=3, side=32):
    made = torch.Generator().manual_seed(1)
    return {"pixels": torch.randint(0, 256, (number, side, side, 3), dtype=torch.uint8,
                                    generator=made)}


def largest_difference(network, batch):
    with torch.inference_mode():
        full = network(batch)
        names = [f"block {one}" for one in range(1, network.blocks - 1)]
        kept = network.taps(batch, names)
        other = {"pixels": torch.zeros_like(batch["pixels"])}  # what is below does not matter
        said = [network(other, start=int(name.split()[1]), hidden=kept[name]) for name in names]
    assert full.std() > 1e-3, "a network that says nothing proves nothing"
    return max(float((one - full).abs().max()) for one in said)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_replay_from_every_block_changes_nothing(tmp_path, architecture):
    side = 64 if architecture in ("test_vit", "test_maxvit") else 32
    arguments = {"img_size": side} if side == 64 else {}
    network = opened(tmp_path, architecture, side=side, **arguments)
    assert network.resumable
    assert network.blocks >= 5
    assert largest_difference(network, pixels(side=side)) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("architecture", LARGE)
def test_replay_from_every_block_of_a_known_network_changes_nothing(tmp_path, architecture):
    side = 299 if architecture == "inception_v3" else 224
    network = opened(tmp_path, architecture, side=side)
    assert network.blocks >= 8
    assert largest_difference(network, pixels(2, side=side)) == 0.0


def test_the_card_says_how_the_network_was_fed(tmp_path):
    found = card(tmp_path)
    assert (found.modality, found.source, found.architecture) == ("image", "timm", "test_resnet")
    assert found.picture.side == 32
    assert found.picture.mean == (0.5, 0.5, 0.5)
    assert len(found.operations) == len(found.crossing) == found.blocks + 1
    assert found.pooling == "own"
    assert found.blocks == len(found.block_names)


def test_every_parameter_has_its_block_and_the_stem_is_block_0(tmp_path):
    network = opened(tmp_path)
    held = {network.block_of(name) for name, _ in network.named_parameters()}
    assert held == set(range(network.blocks))
    assert network.block_of("backbone.model.conv1.0.weight") == 0
    assert network.block_of("head.linear.weight") == network.blocks - 1
    first = network.card.block_names[0]
    assert network.block_of(f"backbone.model.{first}.conv1.weight") == 1


def test_what_is_kept_of_pictures_is_trusted_only_after_it_was_compared(tmp_path):
    network = opened(tmp_path)
    encoder = ImageEncoder.fit(network.card, fields=("picture",))
    items = encoder.encode(rows(40))
    kept = finish(prefix(network, encoder, items, poolings=("own",), blocks=(2, 3),
                         precision="fp32", folder=tmp_path / "replay", limit=1 << 30))
    assert kept.vectors["own"].shape == (40, network.card.width)
    for block in (2, 3):
        found = compare(network, encoder, items, kept.states[block], precision="fp32")
        assert found.same_batch == 0.0
        assert found.holds
    wrong = replace(kept.states[3], values=kept.states[3].values + 1)
    assert not compare(network, encoder, items, wrong, precision="fp32").holds


def test_the_pixels_are_scaled_as_the_card_says(tmp_path):
    network = opened(tmp_path)
    seen = []
    network.backbone.model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    white = {"pixels": torch.full((1, 32, 32, 3), 255, dtype=torch.uint8)}
    with torch.inference_mode():
        network(white)
    assert torch.allclose(seen[0], torch.full((1, 3, 32, 32), 2.0))  # (1 - 0.5) / 0.25


def step(network, batch, name="full", **settings):
    wake(network, STRATEGIES[name]({**DEFAULTS[name], **settings}), 0)
    network(batch).square().mean().backward()


def statistics(network):
    return {name: value.clone() for name, value in network.named_buffers() if "running" in name}


def test_batch_normalisation_keeps_its_statistics_while_its_scale_learns(tmp_path):
    network = opened(tmp_path)
    before = statistics(network)
    step(network, pixels(2))
    assert before
    assert all(torch.equal(value, before[name]) for name, value in statistics(network).items())
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    assert all(one.weight.grad is not None for one in norms)


def test_a_row_does_not_hang_on_the_others_of_its_batch_in_training(tmp_path):
    network = opened(tmp_path)
    wake(network, STRATEGIES["full"]({**DEFAULTS["full"], "dropout": 0.0}), 0)
    network.set_dropout(0.0)
    batch = pixels(4)
    whole = network(batch)
    alone = network({"pixels": batch["pixels"][:1]})
    assert torch.allclose(whole[:1], alone, atol=1e-4)


def test_a_network_from_nothing_may_learn_statistics(tmp_path):
    network = STRATEGIES["scratch"](DEFAULTS["scratch"]).prepare(opened(tmp_path))
    before = statistics(network)
    for name, value in before.items():  # nothing is left of what the pictures before were like
        if name.endswith(("running_mean", "running_var")):
            assert torch.equal(value, torch.full_like(value, float(name.endswith("var")))), name
    step(network, pixels(4))
    assert not all(torch.equal(value, before[name])
                   for name, value in statistics(network).items())


def test_replay_is_exact_where_stages_share_a_module():
    network = open_network(card_of("own_networks:shares"))
    torch.manual_seed(3)
    network.set_head(HEAD)
    network.eval()
    assert network.resumable
    assert largest_difference(network, pixels()) == 0.0


def test_frozen_blocks_take_no_gradient(tmp_path):
    network = opened(tmp_path)
    step(network, pixels(2), "top", top_blocks=2)
    for name, value in network.named_parameters():
        assert (value.grad is not None) == (network.block_of(name) >= network.blocks - 3), name


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "test_convnext"])
def test_what_is_saved_says_the_same_when_it_is_opened(tmp_path, architecture):
    arguments = {"img_size": 64} if architecture == "test_vit" else {}
    network = opened(tmp_path / "m", architecture, side=64, **arguments)
    network.save(tmp_path / "saved")
    again = open_saved({path.name: path for path in (tmp_path / "saved").iterdir()})
    with torch.inference_mode():
        assert torch.equal(network(pixels(side=64)), again(pixels(side=64)))


def test_position_embeddings_are_resized_to_the_size_that_is_shown(tmp_path):
    def of(folder, *, is_fixed):
        place = timm_folder(folder, "test_vit", side=64, img_size=64)
        config = json.loads((place / "config.json").read_text())
        config["pretrained_cfg"]["fixed_input_size"] = is_fixed
        (place / "config.json").write_text(json.dumps(config))
        network = open_network(card_of(str(place)))
        torch.manual_seed(3)
        network.set_head(HEAD)
        return network.eval()

    network, plain = of(tmp_path / "a", is_fixed=True), of(tmp_path / "b", is_fixed=False)
    found = network.card.picture
    assert (found.fixed, found.step, found.resized) == (False, 16, True)
    with torch.inference_mode():
        assert torch.equal(network(pixels(side=64)), plain(pixels(side=64)))
    assert largest_difference(network, pixels(side=96)) == 0.0


def test_a_copy_in_bf16_says_nearly_the_same(tmp_path):
    network = opened(tmp_path)
    with torch.inference_mode():
        one, other = network(pixels()), network.in_precision("bf16")(pixels())
    assert float((one - other).abs().max()) < 0.05 * float(one.abs().max())


def test_weights_that_are_missing_are_told(tmp_path):
    from safetensors.torch import load_file, save_file

    timm_folder(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    name = sorted(state)[0]
    state.pop(name)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(CorruptFile, match="Missing key"):
        open_network(card_of(str(tmp_path)))


def change(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return str(folder)


def test_an_unknown_architecture_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(ModelUnavailable, match="test_resnet"):
        card_of(change(timm_folder(tmp_path), architecture="test_resnett"))


@pytest.mark.parametrize("name", ["hf-hub:someone/model", "local-dir:/tmp"])
def test_an_architecture_is_a_name_and_never_a_place(tmp_path, name):
    with pytest.raises(ModelUnavailable, match="No architecture"):
        card_of(change(timm_folder(tmp_path), architecture=name))


@pytest.mark.parametrize("arguments", [
    {"checkpoint_path": "/tmp/x.pt"}, {"pretrained": True}, {"pretrained_cfg": {"url": "http://x"}},
    {"drop_rate": {"a": 1}},
])  # fmt: skip
def test_a_config_may_not_ask_for_files(tmp_path, arguments):
    with pytest.raises(ModelUnavailable, match="model_args"):
        card_of(change(timm_folder(tmp_path), model_args=arguments))


def test_a_pickle_beside_the_weights_is_refused(tmp_path):
    (timm_folder(tmp_path) / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(UnsafeModel):
        card_of(str(tmp_path))


def test_grey_networks_take_pictures_in_color():
    grey = PictureInput(side=32, channels=1, mean=(0.5,), std=(0.25,))
    flat = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    backbone = PictureBackbone(flat, picture=grey, block_names=())
    batch = pixels()
    mean = batch["pixels"].float().mean(dim=3, keepdim=True).permute(0, 3, 1, 2)
    with torch.inference_mode():
        assert torch.allclose(backbone(batch), flat((mean / 255 - 0.5) / 0.25), atol=1e-5)


def test_the_real_mobilenet_knows_photographs_by_its_own_card(shared_weights):
    pytest.importorskip("timm")
    found = card_of(str(shared_weights / "mobilenetv2_imagenet"))
    assert (found.width, found.blocks, found.picture.side) == (1280, 18, 224)
    assert 0.55e9 < sum(found.operations) < 0.65e9  # 0.3 billion multiply-adds, as published
    network = open_network(found)
    network.set_head({**HEAD, "outputs": 4})
    assert largest_difference(network.eval(), pixels(2, side=96)) == 0.0
    assert np.isfinite(found.operations).all()
