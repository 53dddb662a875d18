import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fettle.models.bert import Bert, can_open
from fettle.models.cards import card_of
from fettle.models.heads import pooled
from fettle.models.network import open_network, tokenizer_json
from fettle.models.sources import DEFAULT_TEXT_MODEL
from small import CONFIG, bert, config_of

CONFIGS = [
    {},
    {"hidden_act": "gelu_new", "layer_norm_eps": 1e-3},
    {"hidden_act": "gelu_pytorch_tanh", "num_attention_heads": 1, "num_hidden_layers": 1},
    {"hidden_act": "relu", "type_vocab_size": 1, "num_attention_heads": 8},
    {"type_vocab_size": 5, "layer_norm_eps": 0.1, "intermediate_size": 3},
]
LENGTHS = (9, 1, 5, 20)


def pair(folder, **changes):
    """Ours and transformers' own, on the same weights."""
    from transformers import BertModel

    ours = open_network(bert(folder, **changes)).backbone
    assert isinstance(ours, Bert)
    return ours, BertModel.from_pretrained(folder, attn_implementation="eager").eval()


def padded(lengths=LENGTHS, *, longest=None, types=1):
    longest = longest or max(lengths)
    torch.manual_seed(2)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    batch = {"input_ids": torch.randint(4, 16, mask.shape) * mask, "attention_mask": mask}
    if types > 1:
        batch["token_type_ids"] = torch.randint(types, mask.shape)
    return batch


def told_full(batch):
    return {**batch, "full": torch.ones(1)}


def hidden(model, batch):
    with torch.no_grad():
        return model(**batch).last_hidden_state


@pytest.mark.parametrize("grad", [False, True], ids=["fused", "plain"])
@pytest.mark.parametrize("changes", CONFIGS, ids=str)
def test_the_lean_bert_is_transformers_bert(tmp_path, changes, grad):
    ours, theirs = pair(tmp_path, **changes)
    types = changes.get("type_vocab_size", 2)
    some, whole = padded(types=types), padded((7, 7), types=types)

    for batch, given in ((some, some), (whole, whole), (whole, told_full(whole))):
        expected = hidden(theirs, batch)
        here = batch["attention_mask"].bool()
        with torch.set_grad_enabled(grad):
            found = ours(given)
        assert found.requires_grad == grad
        torch.testing.assert_close(found[here], expected[here], atol=1e-5, rtol=1e-5)


def test_what_is_joined_once_gives_the_same_bits_and_is_no_weight_of_its_own(tmp_path):
    ours, _ = pair(tmp_path)
    batch = padded()
    names = list(ours.state_dict())
    with torch.inference_mode():
        before = ours(batch)
        ours.settle()
        assert torch.equal(ours(batch), before)
        ours.encoder["layer"][0].attention["self"].joined_weight.zero_()
        assert not torch.equal(ours(batch), before), "it is what the pass takes"
    assert list(ours.state_dict()) == names


def test_a_type_that_is_not_given_is_type_0(tmp_path):
    ours, theirs = pair(tmp_path)
    batch = padded()
    zeros = {**batch, "token_type_ids": torch.zeros_like(batch["input_ids"])}
    with torch.no_grad():
        torch.testing.assert_close(ours(batch), ours(zeros))
    torch.testing.assert_close(hidden(theirs, batch), hidden(theirs, zeros))


def test_in_training_the_gradients_are_transformers_too(tmp_path):
    changes = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    ours, theirs = pair(tmp_path, **changes)
    batch = padded()
    here = batch["attention_mask"].bool()
    ours.train()(batch)[here].square().sum().backward()
    theirs.train()(**batch).last_hidden_state[here].square().sum().backward()
    expected = {name: value.grad for name, value in theirs.named_parameters()}
    largest = max(value.abs().max().item() for value in expected.values() if value is not None)
    for name, value in ours.named_parameters():
        torch.testing.assert_close(value.grad, expected[name], atol=1e-6 * largest, rtol=1e-4)


def test_in_training_padding_goes_through_attention_alone(tmp_path):
    ours, _ = pair(tmp_path)
    seen = []
    ours.encoder["layer"][0].intermediate["dense"].register_forward_hook(
        lambda _module, given, _found: seen.append(given[0].shape[:-1].numel()))

    batch = padded()
    assert ours(batch).shape[:2] == batch["input_ids"].shape
    ours(padded((20, 20, 19)))
    with torch.no_grad():
        ours(batch)
    ours.math_below = 0  # the fused kernel
    ours(batch)
    assert seen == [sum(LENGTHS), 3 * 20, len(LENGTHS) * max(LENGTHS), sum(LENGTHS)]


@pytest.mark.parametrize("math_below", [0, 512])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_from_kept_states_padding_changes_no_gradient(tmp_path, monkeypatch, math_below, pooling):
    ours, _ = pair(tmp_path, hidden_dropout_prob=0.0)
    ours.math_below = math_below
    batch = padded()
    width = len(ours.embeddings.LayerNorm.bias)
    states = torch.randn(*batch["input_ids"].shape, width, requires_grad=True)

    def learned(packed_below):
        monkeypatch.setattr("fettle.models.bert.PACKED_BELOW", packed_below)
        ours.zero_grad()
        states.grad = None
        found = pooled(ours(batch, start=1, hidden=states), batch["attention_mask"], pooling)
        found.square().sum().backward()
        return [found.detach(), states.grad[batch["attention_mask"] == 1],
                *(one.grad for one in ours.encoder.parameters() if one.grad is not None)]

    for packed, not_packed in zip(learned(0.95), learned(0.0), strict=True):
        torch.testing.assert_close(packed, not_packed, atol=1e-5, rtol=1e-4)


def test_dropout_is_where_the_config_puts_it_and_only_in_training(tmp_path):
    ours, _ = pair(tmp_path, hidden_dropout_prob=0.5)
    batch = padded()
    with torch.no_grad():
        assert torch.equal(ours(batch), ours(batch))
        assert not torch.equal(ours.train()(batch), ours(batch))


@pytest.mark.parametrize("grad", [False, True], ids=["fused", "plain"])
def test_a_padded_row_is_the_row_alone(tmp_path, grad):
    ours, _ = pair(tmp_path)
    batch = padded()
    with torch.set_grad_enabled(grad):
        together = ours(batch)
        for row, length in enumerate(LENGTHS):
            ids = batch["input_ids"][row : row + 1, :length]
            alone = ours(told_full({"input_ids": ids, "attention_mask": torch.ones_like(ids)}))
            torch.testing.assert_close(together[row, :length], alone[0], atol=1e-6, rtol=1e-5)


def test_what_stands_in_the_padding_does_not_matter(tmp_path):
    ours, _ = pair(tmp_path)
    batch = padded()
    here = batch["attention_mask"].bool()
    noise = torch.where(here, batch["input_ids"], 7)
    with torch.no_grad():
        assert torch.equal(ours(batch)[here], ours({**batch, "input_ids": noise})[here])


def test_a_copy_in_bf16_says_the_same(tmp_path):
    network = open_network(bert(tmp_path, hidden_size=32, num_attention_heads=4))
    batch = padded()
    with torch.inference_mode():
        full = network.taps(batch, ("mean",))["mean"]
        half = network.in_precision("bf16").taps(batch, ("mean",))["mean"]
    assert half.dtype == torch.float32  # pooled in fp32
    assert 0 < (full - half).abs().max() < 2e-2 * full.abs().max()


@pytest.mark.parametrize(
    "renamed",
    [
        lambda name: "bert." + name,
        lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ),
    ],
    ids=["bert.", "gamma"],
)
def test_weights_under_older_names_are_found(tmp_path, renamed):
    card = bert(tmp_path)
    batch = padded()
    with torch.no_grad():
        expected = open_network(card).backbone(batch)
    path = tmp_path / "model.safetensors"
    weights = {renamed(name): value for name, value in load_file(path).items()}
    weights["cls.predictions.bias"] = torch.zeros(3)
    weights["embeddings.position_ids"] = torch.arange(20)
    save_file(weights, path, metadata={"format": "pt"})
    network = open_network(card_of(str(tmp_path)))
    assert isinstance(network.backbone, Bert)
    with torch.no_grad():
        assert torch.equal(network.backbone(batch), expected)


def test_weights_in_half_precision_are_opened_in_fp32(tmp_path):
    card = bert(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file({k: v.half() for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
    assert {p.dtype for p in open_network(card).parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "roberta"},
        {"position_embedding_type": "relative_key"},
        {"hidden_act": "silu"},
        {"is_decoder": True},
        {"add_cross_attention": True},
    ],
    ids=str,
)
def test_what_would_be_another_network_is_not_opened_as_this_one(changes):
    plain = {**CONFIG, "model_type": "bert"}
    assert can_open(plain)
    assert not can_open({**plain, **changes})


def test_a_bert_that_is_another_network_is_opened_by_transformers(tmp_path):
    network = open_network(bert(tmp_path, hidden_act="silu"))
    assert not isinstance(network.backbone, Bert)


def test_block_names_are_those_of_the_parameters(tmp_path):
    config = json.loads(config_of().to_json_string())
    model = Bert(config)
    names = [name for name, _ in model.named_parameters()]
    for block in model.block_names:
        assert sum(name.startswith(block + ".") for name in names) == 16


SENTENCES = ["A man is eating food.", "Someone eats a meal.", "My card was stolen!", "größe", ""]


def test_the_default_model_is_transformers_own_on_real_sentences():
    from tokenizers import Tokenizer
    from transformers import AutoModel

    card = card_of(DEFAULT_TEXT_MODEL)
    read = Tokenizer.from_str(tokenizer_json(card))
    read.enable_padding(length=None)
    found = read.encode_batch(SENTENCES)
    batch = {
        "input_ids": torch.tensor([one.ids for one in found]),
        "attention_mask": torch.tensor([one.attention_mask for one in found]),
    }
    network = open_network(card)
    assert isinstance(network.backbone, Bert)
    theirs = AutoModel.from_pretrained(Path(card.folder)).eval()
    with torch.inference_mode():
        ours = network.taps(batch, ("mean",))["mean"]
        hidden = theirs(**batch).last_hidden_state
    weights = batch["attention_mask"][..., None].float()
    expected = (hidden * weights).sum(1) / weights.sum(1)  # its model card's mean pooling
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
    near = torch.nn.functional.cosine_similarity(ours, expected)
    assert near.min() > 0.9999
    like = torch.nn.functional.normalize(ours, dim=-1)
    assert like[0] @ like[1] > 0.6 > 0.2 > like[0] @ like[2]
