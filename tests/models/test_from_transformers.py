import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from tokenizers import Tokenizer

from fettle.core.errors import CorruptFile, ModelUnavailable, UnsafeModel
from fettle.models.cards import card_of
from fettle.models.from_transformers import empty_backbone, fast_tokenizer_json, open_backbone
from fettle.models.sources import DEFAULT_TEXT_MODEL
from foreign import NETWORKS, saved

QUICK = ("bert", "deberta-v2", "albert", "t5", "gpt2")
EVERY = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in NETWORKS]
BLOCKS = {"albert": 1}
"""Weights of their own: ALBERT's 3 blocks are one, run 3 times."""


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """Each network's folder, made once."""
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = saved(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return folder


@pytest.fixture
def batch():
    """Two rows; the second has 6 tokens of its own and 3 of padding."""
    ids = torch.from_numpy(np.random.default_rng(0).integers(5, 90, size=(2, 9)))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def padded(batch, pad):
    ids = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, pad)
    return {**batch, "input_ids": ids}


def hidden(backbone, batch):
    with torch.no_grad():
        return backbone(batch)


def transformers_own(folder, batch):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    part = model.get_encoder() if model.config.is_encoder_decoder else model
    with torch.no_grad():
        return part(**batch).last_hidden_state


@pytest.mark.parametrize("kind", EVERY)
def test_every_network_gives_what_transformers_gives_and_its_blocks_are_found(
    networks, kind, batch
):
    card = card_of(str(networks(kind)))
    backbone = open_backbone(card)
    batch = padded(batch, card.pad)

    assert not backbone.training
    assert len(backbone.block_names) == card.blocks == BLOCKS.get(kind, 3)
    assert len({type(backbone.get_submodule(name)) for name in backbone.block_names}) == 1
    assert backbone.blocks_repeat == (kind == "albert")
    assert card.token_types == (kind in ("bert", "electra", "albert"))
    assert hidden(backbone, batch).shape == (2, 9, card.width)
    torch.testing.assert_close(
        hidden(backbone, batch), transformers_own(networks(kind), batch), rtol=0, atol=0
    )


@pytest.mark.parametrize("kind", EVERY)
def test_padding_does_not_change_a_row(networks, kind, batch):
    card = card_of(str(networks(kind)))
    backbone = open_backbone(card)
    alone = {name: value[1:, :6] for name, value in batch.items()}
    together = hidden(backbone, padded(batch, card.pad))[1, :6]
    torch.testing.assert_close(hidden(backbone, alone)[0], together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", EVERY)
def test_what_is_saved_and_opened_again_is_the_same_to_the_bit(networks, kind, batch, tmp_path):
    card = card_of(str(networks(kind)))
    backbone = open_backbone(card)
    batch = padded(batch, card.pad)
    safetensors.torch.save_file(backbone.state_dict(), tmp_path / "weights")

    again = open_backbone(card, weights=tmp_path / "weights")
    assert torch.equal(hidden(again, batch), hidden(backbone, batch))
    assert again.block_names == backbone.block_names

    with torch.device("meta"):  # how a saved version is opened
        empty = empty_backbone(networks(kind) / "config.json")
    state = safetensors.torch.load_file(tmp_path / "weights")
    empty.load_state_dict(state, strict=True, assign=True)
    assert torch.equal(hidden(empty, batch), hidden(backbone, batch))


@pytest.mark.parametrize("kind", EVERY)
def test_a_gradient_reaches_every_block(networks, kind, batch):
    card = card_of(str(networks(kind)))
    backbone = open_backbone(card)
    backbone(padded(batch, card.pad)).square().sum().backward()
    for name in backbone.block_names:
        block = backbone.get_submodule(name)
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())


def test_weights_outside_the_blocks_belong_to_what_ran_before_them(networks):
    places = {
        kind: open_backbone(card_of(str(networks(kind)))).block_of
        for kind in ("gpt2", "t5", "deberta-v2", "electra")
    }
    assert places["gpt2"]("model.wte.weight") == 0
    assert places["gpt2"]("model.h.1.attn.c_attn.weight") == 2
    assert places["gpt2"]("model.ln_f.weight") == 3
    assert places["t5"]("model.embed_tokens.weight") == 0
    assert places["t5"]("model.final_layer_norm.weight") == 3
    assert places["deberta-v2"]("model.encoder.rel_embeddings.weight") == 0
    assert places["deberta-v2"]("model.encoder.conv.conv.weight") == 1
    assert places["electra"]("model.embeddings_project.weight") == 0


def test_a_list_within_a_block_is_no_list_of_blocks(tmp_path):
    place = saved(tmp_path / "m", "t5", num_layers=2)  # each block is a list of 2 as well
    backbone = open_backbone(card_of(str(place)))
    assert backbone.block_names == ("model.block.0", "model.block.1")


def test_where_blocks_come_in_halves_there_are_none(tmp_path):
    sizes = {"vocab_size": 97, "emb_dim": 32, "n_layers": 3, "n_heads": 4}
    backbone = open_backbone(card_of(str(saved(tmp_path / "xlm", "xlm", **sizes))))
    assert backbone.block_names == ()
    assert backbone.block_of("model.ffns.2.lin1.weight") == 0


def test_one_block_is_found_too(tmp_path):
    for kind, name in (("bert", "model.encoder.layer.0"), ("mpnet", "model.encoder.layer.0")):
        place = saved(tmp_path / kind, kind, num_hidden_layers=1)
        assert open_backbone(card_of(str(place))).block_names == (name,)


def test_poolers_and_decoders_are_left_out(networks):
    names = [
        name
        for kind in ("bert", "roberta", "mpnet", "t5", "bart")
        for name, _ in open_backbone(card_of(str(networks(kind)))).named_parameters()
    ]
    assert not [name for name in names if "pooler" in name or "decoder" in name]


def test_token_types_reach_only_a_network_that_has_them(networks, batch):
    types = {**batch, "token_type_ids": torch.ones_like(batch["input_ids"])}
    for kind in ("bert", "roberta", "distilbert", "gpt2", "llama"):
        backbone = open_backbone(card_of(str(networks(kind))))
        is_same = torch.equal(hidden(backbone, types), hidden(backbone, batch))
        assert is_same == (kind != "bert")


@pytest.mark.parametrize(
    ("kind", "auto"),
    [
        ("bert", "AutoModelForMaskedLM"),
        ("roberta", "AutoModelForSequenceClassification"),
        ("distilbert", "AutoModelForMaskedLM"),
        ("gpt2", "AutoModelForCausalLM"),
        ("t5", "AutoModelForTextEncoding"),
        ("t5", "AutoModelForSeq2SeqLM"),
        ("electra", "AutoModelForPreTraining"),
    ],
)
def test_a_network_saved_with_another_head_is_opened(tmp_path, kind, auto, batch):
    card = card_of(str(saved(tmp_path / "m", kind, auto=auto)))
    backbone = open_backbone(card)
    state = safetensors.torch.load_file(tmp_path / "m" / "model.safetensors")
    name, value = next(reversed([*backbone.named_parameters()]))
    tail = name.removeprefix("model.")
    assert any(key.endswith(tail) and torch.equal(state[key], value) for key in state)


def test_half_precision_on_disk_is_fp32_in_memory(networks, tmp_path):
    from transformers import AutoModel

    AutoModel.from_pretrained(networks("bert"), dtype=torch.bfloat16).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    for backbone in (
        open_backbone(card_of(str(tmp_path))),
        empty_backbone(tmp_path / "config.json"),
    ):
        assert {value.dtype for value in backbone.parameters()} == {torch.float32}


def test_weights_in_several_files_are_one_network(networks, tmp_path, batch):
    from transformers import AutoModel

    AutoModel.from_pretrained(networks("bert")).save_pretrained(tmp_path, max_shard_size="20KB")
    card = card_of(str(tmp_path))
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert torch.equal(
        hidden(open_backbone(card), batch),
        hidden(open_backbone(card_of(str(networks("bert")))), batch),
    )


def changed(folder, place, *, drop=(), **values):
    """A copy of a model's folder with other weights or settings."""
    place.mkdir()
    state = safetensors.torch.load_file(folder / "model.safetensors")
    state = {name: value for name, value in state.items() if name not in drop}
    for name in [name for name in values if name in state]:
        state[name] = values.pop(name)
    safetensors.torch.save_file(state, place / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, **values}))
    return place


LOST = "encoder.layer.1.attention.self.query.weight"


def said(place, error=ModelUnavailable):
    with pytest.raises(error) as raised:
        open_backbone(card_of(str(place)))
    return str(raised.value)


def test_a_network_that_would_be_half_random_is_refused(networks, tmp_path):
    message = said(changed(networks("bert"), tmp_path / "m", drop=(LOST,)))
    assert LOST in message
    assert "lack 1 of" in message


def test_a_config_with_more_blocks_than_the_weights_is_refused(networks, tmp_path):
    message = said(changed(networks("bert"), tmp_path / "m", num_hidden_layers=4))
    assert "encoder.layer.3" in message


def test_a_missing_pooler_is_no_loss(networks, tmp_path):
    drop = ("pooler.dense.weight", "pooler.dense.bias")
    open_backbone(card_of(str(changed(networks("bert"), tmp_path / "m", drop=drop))))


def test_weights_of_another_shape_are_refused(networks, tmp_path):
    assert "m:" in said(changed(networks("bert"), tmp_path / "m", **{LOST: torch.ones(32, 31)}))


def test_weights_that_are_not_finite_are_refused(networks, tmp_path):
    value = torch.full((32, 32), float("nan"))
    assert LOST in said(changed(networks("bert"), tmp_path / "m", **{LOST: value}), CorruptFile)


@pytest.mark.parametrize("damage", ["missing", "extra", "shape", "nan", "cut", "pickle"])
def test_our_own_weights_must_all_be_there_and_fit(networks, tmp_path, damage):
    card = card_of(str(networks("bert")))
    state = open_backbone(card).state_dict()
    name = f"model.{LOST}"
    if damage == "missing":
        del state[name]
    if damage == "extra":
        state["more"] = torch.ones(1)
    if damage == "shape":
        state[name] = torch.ones(3)
    if damage == "nan":
        state[name] = torch.full_like(state[name], float("nan"))
    path = tmp_path / "weights"
    safetensors.torch.save_file(state, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    if damage == "pickle":
        torch.save(state, path)
    with pytest.raises(CorruptFile, match="weights"):
        open_backbone(card, weights=path)


def test_an_architecture_that_transformers_lacks_is_named_with_the_nearest(networks, tmp_path):
    message = said(changed(networks("bert"), tmp_path / "m", model_type="modernbertt"))
    assert "Did you mean 'modernbert'?" in message
    assert "transformers 5" in message


def test_a_config_that_asks_for_foreign_code_is_refused_here_too(tmp_path):
    config = {"model_type": "bert", "_attn_implementation_internal": "evil/kernel"}
    (tmp_path / "blob").write_text(json.dumps(config))
    with pytest.raises(UnsafeModel, match="evil/kernel"):
        empty_backbone(tmp_path / "blob")


def test_a_config_cannot_send_us_to_other_weights(networks, tmp_path, batch):
    place = changed(
        networks("bert"),
        tmp_path / "m",
        transformers_weights="other.safetensors",
        output_attentions=True,
    )
    safetensors.torch.save_file({"x": torch.ones(1)}, place / "other.safetensors")
    whole = open_backbone(card_of(str(networks("bert"))))
    assert torch.equal(hidden(open_backbone(card_of(str(place))), batch), hidden(whole, batch))


def test_an_adapter_beside_the_weights_is_not_followed(networks, tmp_path, batch):
    place = changed(networks("bert"), tmp_path / "m")
    elsewhere = {"base_model_name_or_path": str(networks("roberta")), "peft_type": "LORA"}
    (place / "adapter_config.json").write_text(json.dumps(elsewhere))
    whole = open_backbone(card_of(str(networks("bert"))))
    assert torch.equal(hidden(open_backbone(card_of(str(place))), batch), hidden(whole, batch))


def test_opening_draws_no_random_number_and_prints_nothing(networks, tmp_path, capfd):
    drop = ("pooler.dense.weight", "pooler.dense.bias")  # which transformers then draws
    card = card_of(str(changed(networks("bert"), tmp_path / "m", drop=drop)))
    before = torch.random.get_rng_state()
    open_backbone(card)
    empty_backbone(networks("bert") / "config.json")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_importing_this_file_does_not_import_transformers():
    code = "import sys, fettle.models.from_transformers; print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_real_default_tells_near_texts_from_far_ones():
    card = card_of(DEFAULT_TEXT_MODEL)
    backbone = open_backbone(card)
    tokenizer = Tokenizer.from_str(fast_tokenizer_json(card))
    texts = ["A man is eating food.", "A man eats something.", "The sky is full of stars."]
    rows = tokenizer.encode_batch(texts)
    ids = torch.tensor([row.ids for row in rows])
    mask = torch.tensor([row.attention_mask for row in rows])
    batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    vectors = (hidden(backbone, batch) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    near, far = (torch.cosine_similarity(vectors[0], vectors[n], dim=0) for n in (1, 2))
    assert len(backbone.block_names) == 6
    assert near > 0.7
    assert far < 0.2


def test_a_real_causal_model_is_opened(shared_weights, batch):
    card = card_of(str(shared_weights / "stories260k"))
    backbone = open_backbone(card)
    assert backbone.block_names == tuple(f"model.layers.{n}" for n in range(5))
    own = transformers_own(shared_weights / "stories260k", batch)
    assert torch.equal(hidden(backbone, batch), own)
    assert Tokenizer.from_str(fast_tokenizer_json(card)).get_vocab_size() == 512


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "##ly"]


def test_a_vocabulary_without_tokenizer_json_is_converted(networks, tmp_path):
    place = changed(networks("bert"), tmp_path / "m")
    (place / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (place / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    tokenizer = Tokenizer.from_str(fast_tokenizer_json(card_of(str(place))))
    assert tokenizer.encode("Good badly").tokens == ["[CLS]", "good", "bad", "##ly", "[SEP]"]


def test_a_tokenizer_that_cannot_be_converted_says_how_to_make_one(networks, tmp_path):
    place = changed(networks("bert"), tmp_path / "m")
    with pytest.raises(ModelUnavailable, match="no vocabulary"):
        fast_tokenizer_json(card_of(str(place)))
    (place / "spiece.model").write_bytes(b"nonsense")
    (place / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer"}')
    with pytest.raises(ModelUnavailable, match="AutoTokenizer"):
        fast_tokenizer_json(card_of(str(place)))
