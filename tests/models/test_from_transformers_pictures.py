"""Vision models of transformers: small random ones, opened, replayed, saved and opened again."""

import json

import pytest
import torch
from transformers import (
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    ResNetConfig,
    ResNetModel,
    SwinConfig,
    SwinModel,
    ViTConfig,
    ViTForImageClassification,
)

from fettle.core.errors import ModelUnavailable
from fettle.models.cards import card_of
from fettle.models.network import open_network, open_saved
from pictures import own_cache

__all__ = ["own_cache"]

HEAD = {"kind": "linear", "pooling": "own", "normalise": False, "dropout": 0.0, "outputs": 3}
SMALL = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 3,
         "num_attention_heads": 2, "intermediate_size": 32}
MAKERS = {
    "vit": lambda: ViTForImageClassification(ViTConfig(**SMALL)),
    "dinov2": lambda: Dinov2Model(Dinov2Config(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2)),
    "convnext": lambda: ConvNextModel(ConvNextConfig(
        hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 2, 1], image_size=32)),
    "resnet": lambda: ResNetModel(ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 2, 1])),
    "swin": lambda: SwinModel(SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 2], num_heads=[1, 2], window_size=4)),
}
BATCH = {"pixels": torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8,
                                 generator=torch.Generator().manual_seed(0))}


def saved(folder, kind):
    torch.manual_seed(0)
    model = MAKERS[kind]()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 40},
        "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5], "resample": 2}))
    return folder


@pytest.mark.parametrize("kind", MAKERS)
def test_its_blocks_are_found_and_replay_changes_nothing(tmp_path, kind):
    card = card_of(str(saved(tmp_path, kind)))
    assert (card.modality, card.source, card.architecture) == ("image", "transformers", kind)
    assert card.blocks >= 3
    network = open_network(card)
    network.set_head(HEAD)
    network.eval()
    with torch.inference_mode():
        full = network(BATCH)
        assert full.std() > 1e-3
        for block in range(1, network.blocks - 1):
            kept = network.taps(BATCH, (f"block {block}",))[f"block {block}"]
            assert torch.equal(network(BATCH, start=block, hidden=kept), full)
    network.save(tmp_path / "again")
    again = open_saved({path.name: path for path in (tmp_path / "again").iterdir()})
    with torch.inference_mode():
        assert torch.equal(again(BATCH), full)


def test_the_vector_of_a_vit_is_its_class_token(tmp_path):
    network = open_network(card_of(str(saved(tmp_path, "vit"))))
    plain = MAKERS["vit"]().from_pretrained(tmp_path).vit.eval()
    pixels = BATCH["pixels"].permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    with torch.inference_mode():
        expected = plain((pixels - mean) / 0.5).last_hidden_state[:, 0]
        assert torch.allclose(network.taps(BATCH, ("own",))["own"], expected, atol=1e-5)


def test_the_card_says_what_its_preprocessor_says(tmp_path):
    found = card_of(str(saved(tmp_path, "vit"))).picture
    assert (found.side, found.interpolation) == (32, "bilinear")
    assert (found.fixed, found.step, found.resized) == (False, 8, True)  # patches of 8
    assert (found.crop, found.mean) == (0.8, (0.1, 0.2, 0.3))
    assert not card_of(str(saved(tmp_path / "r", "resnet"))).picture.fixed


def test_position_embeddings_are_resized_to_the_size_that_is_shown(tmp_path):
    network = open_network(card_of(str(saved(tmp_path, "vit"))))
    network.set_head(HEAD)
    network.eval()
    large = {"pixels": torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)}
    plain = MAKERS["vit"]().from_pretrained(tmp_path).vit.eval()
    pixels = large["pixels"].permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    with torch.inference_mode():
        expected = plain((pixels - mean) / 0.5, interpolate_pos_encoding=True).last_hidden_state
        assert torch.allclose(network.taps(large, ("own",))["own"], expected[:, 0], atol=1e-5)
        kept = network.taps(large, ("block 2",))["block 2"]
        assert torch.equal(network(large, start=2, hidden=kept), network(large))


def test_weights_that_are_missing_are_told(tmp_path):
    from safetensors.torch import load_file, save_file

    saved(tmp_path, "vit")
    state = load_file(tmp_path / "model.safetensors")
    state = {key: value for key, value in state.items() if "layer.1." not in key}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailable, match=r"random numbers"):
        open_network(card_of(str(tmp_path)))


@pytest.mark.parametrize("told", [
    {"do_flip_channel_order": True}, {"do_rescale": False}, {"rescale_factor": 1 / 127.5},
])
def test_another_order_or_scale_of_colors_is_refused(tmp_path, told):
    path = saved(tmp_path, "vit") / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **told}))
    with pytest.raises(ModelUnavailable, match="another order or scale"):
        card_of(str(tmp_path))


def test_where_nothing_was_normalised_nothing_is(tmp_path):
    path = saved(tmp_path, "vit") / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_normalize": False}))
    picture = card_of(str(tmp_path)).picture
    assert (picture.mean, picture.std) == ((0.0,) * 3, (1.0,) * 3)
