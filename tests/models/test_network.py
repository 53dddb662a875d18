from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fettle.core.errors import CorruptFile
from fettle.models.heads import LinearHead, pooled
from fettle.models.network import open_network, open_saved
from small import bert, encoder, network, texts

NAMES = ("model.safetensors", "head.json", "card.json", "config.json")


def saved(found, folder):
    found.save(folder)
    return {name: folder / name for name in NAMES}


@pytest.fixture
def small(tmp_path):
    return network(tmp_path / "base")


@pytest.fixture
def batch(small):
    read = encoder(small.card)
    return read.collate(read.encode(texts(6)))


def outputs(found, batch):
    with torch.no_grad():
        return found(batch)


@pytest.mark.parametrize("head", [{}, {"pooling": "cls", "normalise": True}, {"pooling": "max"}])
def test_what_is_saved_is_what_was_trained(tmp_path, batch, head):
    found = network(tmp_path / "base", head=head)
    with torch.no_grad():
        for value in found.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    opened = open_saved(saved(found, tmp_path / "saved"))
    assert torch.equal(outputs(opened, batch), outputs(found, batch))
    assert not opened.training
    assert opened.card == replace(found.card, folder="")  # no path of this machine travels
    assert all(p.requires_grad and p.device.type == "cpu" for p in opened.parameters())


def test_a_network_of_transformers_comes_back_too(tmp_path, batch):
    found = network(tmp_path / "base", hidden_act="silu")
    opened = open_saved(saved(found, tmp_path / "saved"))
    assert torch.equal(outputs(opened, batch), outputs(found, batch))


def test_a_saved_network_needs_nothing_of_the_folder_it_came_from(tmp_path, small, batch):
    paths = saved(small, tmp_path / "saved")
    expected = outputs(small, batch)
    for path in (tmp_path / "base").iterdir():
        path.unlink()
    assert torch.equal(outputs(open_saved(paths), batch), expected)


def altered(path, change):
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def spoil(name):
    def change(weights):
        weights[name].view(-1)[0] = float("nan")

    return change


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: altered(path, spoil("head.linear.bias")), "head.linear.bias holds"),
        (lambda path: altered(path, lambda w: w.pop("head.linear.bias")), "head.linear.bias"),
        (lambda path: altered(path, lambda w: w.update(x=torch.zeros(1))), '"x"'),
        (
            lambda path: altered(path, lambda w: w.update({"head.linear.bias": torch.zeros(3)})),
            "size mismatch for head.linear.bias",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "not a whole safetensors file"),
        (lambda path: path.write_bytes(b""), "not a whole safetensors file"),
        (lambda path: path.unlink(), "not a whole safetensors file"),
    ],
    ids=["nan", "missing", "unknown", "shape", "truncated", "empty", "gone"],
)
def test_weights_that_are_not_the_network_s_name_their_file(tmp_path, small, harm, words):
    paths = saved(small, tmp_path / "saved")
    harm(paths["model.safetensors"])
    with pytest.raises(CorruptFile, match=r"saved/model\.safetensors") as raised:
        open_saved(paths)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: altered(path, spoil("encoder.layer.1.output.dense.weight")), "not finite"),
        (lambda path: altered(path, lambda w: w.pop("embeddings.LayerNorm.bias")), "LayerNorm"),
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "not a whole"),
    ],
    ids=["nan", "missing", "truncated"],
)
def test_pre_trained_weights_are_checked_too(tmp_path, harm, words):
    card = bert(tmp_path)
    harm(tmp_path / "model.safetensors")
    with pytest.raises(CorruptFile, match=r"model\.safetensors") as raised:
        open_network(card)
    assert words in str(raised.value)


@pytest.mark.parametrize("act", ["gelu", "silu"], ids=["lean", "transformers"])
def test_every_parameter_is_of_one_block_and_the_head_is_the_last(tmp_path, act):
    found = network(tmp_path, hidden_act=act, num_hidden_layers=11)
    assert found.blocks == 13
    block = {name: found.block_of(name) for name, _ in found.named_parameters()}
    assert sorted(set(block.values())) == list(range(13))
    assert {number for name, number in block.items() if name.startswith("head.")} == {12}
    assert {number for name, number in block.items() if ".embeddings." in name} == {0}
    for layer in range(11):  # layer.1 is not layer.10
        inside = {number for name, number in block.items() if f".layer.{layer}." in name}
        assert inside == {layer + 1}


def test_a_copy_in_bf16_leaves_the_network_in_fp32(small, batch):
    before = {name: value.clone() for name, value in small.state_dict().items()}
    expected = outputs(small, batch)
    cast = small.in_precision("bf16")

    assert {p.dtype for p in cast.backbone.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in small.parameters()} == {torch.float32}
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())
    assert torch.equal(outputs(small, batch), expected)

    assert cast.head is small.head  # the head stays in fp32
    said = outputs(cast, batch)
    assert said.dtype == torch.float32
    assert torch.equal(said.argmax(1), expected.argmax(1))
    assert (said - expected).abs().max() < 2e-2 * expected.abs().max()
    assert small.in_precision("fp32") is small


def test_a_network_without_a_head_can_be_copied_too(tmp_path):
    found = open_network(bert(tmp_path))
    assert found.in_precision("bf16").head is None
    assert found.head is None


def test_a_copy_of_the_network_learns_alone(small, batch):
    import copy

    expected = outputs(small, batch)
    other = copy.deepcopy(small)
    with torch.no_grad():
        for value in other.parameters():
            value.zero_()
    assert torch.equal(outputs(small, batch), expected)


def test_pooling_by_hand():
    hidden = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [100.0, 100.0]], [[5.0, 6.0]] * 3])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert pooled(hidden, mask, "mean").tolist() == [[2.0, -3.0], [5.0, 6.0]]
    assert pooled(hidden, mask, "cls").tolist() == [[1.0, -4.0], [5.0, 6.0]]
    assert pooled(hidden, mask, "max").tolist() == [[3.0, -2.0], [5.0, 6.0]]


def test_a_mean_over_bf16_is_summed_in_fp32():
    hidden = torch.ones(1, 1000, 1, dtype=torch.bfloat16)
    assert pooled(hidden, torch.ones(1, 1000), "mean").item() == 1.0


def test_the_taps_are_the_pooled_tokens(small, batch):
    with torch.no_grad():
        taps = small.taps(batch, ("tokens", "mean", "cls", "max"))
    for name in ("mean", "cls", "max"):
        torch.testing.assert_close(
            taps[name], pooled(taps["tokens"], batch["attention_mask"], name)
        )
    assert taps["tokens"].shape == (*batch["input_ids"].shape, 8)


def test_a_head_normalises_only_where_it_is_told_to():
    vectors = torch.tensor([[3.0, 4.0]])
    for normalise, length in ((True, 1.0), (False, 5.0)):
        settings = {"pooling": "mean", "normalise": normalise, "dropout": 0.0, "outputs": 2}
        head = LinearHead(2, settings)
        with torch.no_grad():
            head.linear.weight.copy_(torch.eye(2))
            head.linear.bias.zero_()
            assert np.isclose(head(vectors).norm().item(), length)


def test_under_autocast_the_head_still_answers_in_fp32(small, batch):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert small(batch).dtype == torch.float32
