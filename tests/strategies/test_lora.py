import copy

import pytest
import torch

from fettle.core.errors import SettingError
from fettle.models.cards import card_of
from fettle.models.network import open_network, open_saved
from fettle.strategies import STRATEGIES
from fettle.strategies.lora import DEFAULTS
from foreign import saved
from small import encoder, texts
from strategies.stepping import RATES, moves, small

SETTINGS = {**DEFAULTS, **RATES, "slower": 1.0, "rank": 2, "alpha": 4, "epochs": 3}
LARGE = ("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense")


@pytest.fixture
def strategy():
    return STRATEGIES["lora"](SETTINGS)


@pytest.fixture
def adapted(tmp_path, strategy):
    return strategy.prepare(small(tmp_path / "base"))


@pytest.fixture
def batch(adapted):
    read = encoder(adapted.card)
    return read.collate(read.encode(texts(9, seed=4)))


def outputs(found, batch):
    with torch.no_grad():
        return found.eval()(batch)


def finished(strategy, found):
    return strategy.finish(found, lambda one: 0.0)


def test_beside_every_linear_map_of_every_block_stand_two_small_matrices(adapted):
    names = {name for name, _ in adapted.named_parameters() if "lora_" in name}
    assert len(names) == 4 * 6 * 2
    for layer in range(4):
        for large in LARGE:
            for one in "AB":
                assert (f"backbone.encoder.layer.{layer}.{large}.lora_{one}.default.weight"
                        .replace("query", "attention.self.query")
                        .replace("key.", "attention.self.key.")
                        .replace("value.", "attention.self.value.")) in names  # fmt: skip
    shapes = {tuple(value.shape) for name, value in adapted.named_parameters() if "lora_A" in name}
    assert shapes == {(2, 8), (2, 16)}


def test_before_it_has_learned_the_adapted_network_says_what_it_said(tmp_path, adapted, batch):
    plain = outputs(small(tmp_path / "base"), batch)
    torch.testing.assert_close(outputs(adapted, batch), plain, rtol=0, atol=1e-6)


def test_only_adapters_and_head_move_and_at_their_rates(adapted, strategy):
    first, second, _ = moves(adapted, strategy, SETTINGS)
    for name, far in first.items():
        if "lora_B" in name:
            assert far == pytest.approx(1e-2, rel=1e-2), name
        elif name.startswith("head."):
            assert far == pytest.approx(0.1, rel=1e-2), name
        else:
            assert far == 0.0, name  # lora_A too: its gradient is nothing while B is
    moved = {name for name, far in second.items() if far > 0}
    assert moved == {name for name in second if "lora_" in name or name.startswith("head.")}


def test_what_is_merged_says_the_same_and_has_no_adapter_left(tmp_path, adapted, strategy, batch):
    before = outputs(small(tmp_path / "base"), batch)
    moves(adapted, strategy, SETTINGS)
    learned = outputs(adapted, batch)
    assert (learned - before).abs().max() > 0.1
    merged = finished(strategy, copy.deepcopy(adapted))
    torch.testing.assert_close(outputs(merged, batch), learned, rtol=0, atol=1e-5)
    plain = small(tmp_path / "base")
    assert merged.state_dict().keys() == plain.state_dict().keys()
    assert [type(one) for one in merged.modules()] == [type(one) for one in plain.modules()]


def test_what_is_merged_is_saved_and_opened_as_a_plain_network(tmp_path, adapted, strategy, batch):
    moves(adapted, strategy, SETTINGS)
    merged = finished(strategy, adapted)
    merged.save(tmp_path / "saved")
    opened = open_saved({path.name: path for path in (tmp_path / "saved").iterdir()})
    assert torch.equal(outputs(opened, batch), outputs(merged, batch))


def test_a_copy_in_bf16_holds_its_adapters_too(adapted, strategy, batch):
    moves(adapted, strategy, SETTINGS)
    expected = outputs(adapted, batch)
    half = outputs(adapted.in_precision("bf16"), batch)
    assert 0 < (half - expected).abs().max() < 5e-2 * expected.abs().max()


@pytest.mark.parametrize("kind", ["deberta-v2", "t5", "llama", "xlnet"])
def test_networks_of_transformers_are_adapted_and_merged_alike(tmp_path, kind, strategy):
    found = open_network(card_of(str(saved(tmp_path, kind))))
    found.set_head({"kind": "linear", "pooling": "mean", "normalise": False, "dropout": 0.0,
                    "outputs": 2})  # fmt: skip
    ids = torch.arange(5, 25).reshape(2, 10)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    before = outputs(found, batch)
    adapted = strategy.prepare(found)
    assert torch.equal(outputs(adapted, batch), before)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.1)
    learned = outputs(adapted, batch)
    assert (learned - before).abs().max() > 1e-3
    assert adapted.blocks == 5
    assert {adapted.block_of(name) for name, _ in adapted.named_parameters()
            if "lora_" in name} <= {0, 1, 2, 3}  # fmt: skip
    merged = finished(strategy, adapted)
    torch.testing.assert_close(outputs(merged, batch), learned, rtol=1e-5, atol=1e-5)
    assert not [name for name, _ in merged.named_parameters() if "lora_" in name]


def test_a_network_without_a_linear_map_is_an_error_that_says_what_to_leave_away(
    tmp_path, strategy
):
    found = open_network(card_of(str(saved(tmp_path, "gpt2"))))  # its maps are called Conv1D
    with pytest.raises(SettingError, match="Leave the rung lora away"):
        strategy.prepare(found)


def test_attention_that_would_pass_its_adapter_by_is_refused_with_the_layers_name(
    tmp_path, strategy
):
    found = small(tmp_path / "base")
    found.backbone.encoder["layer"][1].inner = torch.nn.MultiheadAttention(8, 2)
    with pytest.raises(SettingError, match=r"its layer encoder\.layer\.1\.inner is torch's own"):
        strategy.prepare(found)
