"""Adapters of peft: on the model that was tuned they give the version again."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from fettle.core.errors import ModelUnavailable, SettingError
from fettle.models.network import TextNetwork, open_network
from fettle.store import checkpoints
from leaving import SETTINGS, exported, leaving

MAPS = 3 * 6
"""Linear maps of three blocks of BERT."""


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return leaving(tmp_path_factory.mktemp("lora"), pooling="mean", rung="lora")


def test_the_adapters_are_small_and_have_the_rank_of_the_plan(version, tmp_path):
    made = exported(version, "peft", tmp_path / "out")
    assert made.holds
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 8)
    assert config["base_model_name_or_path"] == version.network.card.name
    assert len(config["target_modules"]) == MAPS
    held = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert len(held) == 2 * MAPS
    assert {value.shape[0] for name, value in held.items() if "lora_A" in name} == {4}
    assert {value.shape[1] for name, value in held.items() if "lora_B" in name} == {4}


def test_added_to_the_base_they_are_the_tuned_weights(version, tmp_path):
    exported(version, "peft", tmp_path / "out")
    held = load_file(tmp_path / "out" / "adapter_model.safetensors")
    base = open_network(version.network.card).backbone.state_dict()
    for name, value in version.network.backbone.state_dict().items():
        parts = [f"base_model.model.{name.removesuffix('.weight')}.lora_{one}.weight"
                 for one in "AB"]
        if parts[0] in held:
            down, up = (held[part] for part in parts)
            change = up @ down * SETTINGS["alpha"] / SETTINGS["rank"]
            assert change.abs().max() > 0.1
            torch.testing.assert_close(base[name] + change, value, atol=1e-5, rtol=1e-5)
        else:
            torch.testing.assert_close(base[name], value, atol=0, rtol=0)


def test_a_head_that_fits_a_class_travels_with_the_adapters(tmp_path):
    from peft import AutoPeftModelForSequenceClassification

    version = leaving(tmp_path, pooling="cls", rung="lora")
    assert exported(version, "peft", tmp_path / "out").holds
    model = AutoPeftModelForSequenceClassification.from_pretrained(
        tmp_path / "out", num_labels=3).eval()
    batch = version.encoder.collate(version.encoder.encode([("my card is lost",), ("pay",)]))
    names = ("input_ids", "attention_mask")
    with torch.inference_mode():
        found = model(**{name: batch[name] for name in names}).logits
        expected = version.network(batch) / version.temperature
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_another_rung_has_no_adapters_and_that_is_said(version, tmp_path):
    with pytest.raises(SettingError, match=r"rung 'full', which has no adapters.*--strategy lora"):
        exported(replace(version, rung="full"), "peft", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_network_that_was_cut_short_has_no_base_for_adapters(version, tmp_path):
    card = replace(version.network.card, kept_blocks=2)
    network = TextNetwork(card, version.network.backbone, version.network.head_settings)
    with pytest.raises(SettingError, match="tuned with --keep-blocks 2"):
        exported(replace(version, network=network), "peft", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_what_no_adapter_can_hold_is_named(tmp_path):
    version = leaving(tmp_path, pooling="mean", rung="lora")
    with torch.no_grad():
        version.network.backbone.embeddings.LayerNorm.bias.add_(0.1)
    with pytest.raises(SettingError, match=r"embeddings\.LayerNorm\.bias .* not as it was"):
        exported(version, "peft", tmp_path / "out")


def test_a_base_with_other_weights_is_refused(tmp_path):
    version = leaving(tmp_path, pooling="mean", rung="lora")
    path = tmp_path / "model" / "model.safetensors"
    tensors = checkpoints.read_tensors(path)
    checkpoints.write_tensors(path, {name: value + 1 for name, value in tensors.items()})
    with pytest.raises(ModelUnavailable, match="other weights than tickets@1 was tuned from"):
        exported(version, "peft", tmp_path / "out")
    assert not (tmp_path / "out").exists()
