import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from fettle.core.errors import CorruptFile, ModelUnavailable
from fettle.models import cards
from fettle.models.cards import card_of, weight_files
from fettle.models.sources import DEFAULT_SHA256, DEFAULT_TEXT_MODEL

BERT = {
    "model_type": "bert",
    "hidden_size": 4,
    "num_hidden_layers": 2,
    "vocab_size": 9,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}


@pytest.fixture
def make(tmp_path):
    """A model's folder of these JSON files, and its name."""

    def folder(config, **others):
        place = tmp_path / "model"
        place.mkdir(exist_ok=True)
        (place / "config.json").write_text(json.dumps(config))
        weights = {"w": np.ones((2, 3), np.float32), "ids": np.arange(7)}
        safetensors.numpy.save_file(weights, place / "model.safetensors")
        for name, values in others.items():
            path = place / (name.replace("__", "/") + ".json")
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(values))
        return place

    return folder


def said(folder, error=ModelUnavailable):
    with pytest.raises(error) as raised:
        card_of(str(folder))
    return str(raised.value)


def test_the_card_of_the_default_is_what_its_authors_published():
    card = card_of(DEFAULT_TEXT_MODEL)
    assert card.sha256 == DEFAULT_SHA256
    assert (card.architecture, card.width, card.blocks) == ("bert", 384, 6)
    assert card.parameters == 22_713_216
    assert (card.max_tokens, card.pooling, card.pad) == (256, "mean", 0)
    assert card.embeds_sentences
    assert card.token_types


def test_a_default_with_other_weights_is_corrupt(make, monkeypatch):
    place = make(BERT)
    monkeypatch.setattr(cards, "resolve", lambda name: place)
    with pytest.raises(CorruptFile, match="not the published"):
        card_of(DEFAULT_TEXT_MODEL)


def test_a_card_imports_neither_torch_nor_transformers():
    code = (
        "import sys; from fettle.models.cards import card_of; "
        f"card_of({DEFAULT_TEXT_MODEL!r}); print([m for m in "
        "('torch', 'transformers', 'huggingface_hub', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_parameters_are_the_numbers_that_could_be_trained(make):
    assert card_of(str(make(BERT))).parameters == 6


def test_a_single_file_has_its_own_hash_and_several_that_of_theirs_in_order(make):
    place = make(BERT)
    alone = hashlib.sha256((place / "model.safetensors").read_bytes()).hexdigest()
    assert card_of(str(place)).sha256 == alone

    (place / "model.safetensors").rename(place / "b.safetensors")
    safetensors.numpy.save_file({"v": np.ones(2, np.float32)}, place / "a.safetensors")
    index = {"weight_map": {"w": "b.safetensors", "ids": "b.safetensors", "v": "a.safetensors"}}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    first = hashlib.sha256((place / "a.safetensors").read_bytes()).hexdigest()
    assert card_of(str(place)).sha256 == hashlib.sha256(f"{first}\n{alone}".encode()).hexdigest()
    assert card_of(str(place)).parameters == 8
    assert [path.name for path in weight_files(place)] == ["a.safetensors", "b.safetensors"]


@pytest.mark.parametrize("part", ["../secret.safetensors", "/etc/passwd", "gone.safetensors", 3])
def test_an_index_names_files_of_its_own_folder_only(make, part):
    place = make(BERT)
    (place / "model.safetensors").unlink()
    (place.parent / "secret.safetensors").write_bytes(b"")
    index = {"weight_map": {"w": part}}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "again" in said(place)


@pytest.mark.parametrize(
    ("config", "others", "tokens"),
    [
        ({}, {}, 64),
        ({}, {"sentence_bert_config": {"max_seq_length": 20}}, 20),
        ({}, {"sentence_bert_config": {"max_seq_length": None}}, 64),
        ({}, {"tokenizer_config": {"model_max_length": 32}}, 32),
        ({}, {"tokenizer_config": {"model_max_length": int(1e30)}}, 64),
        ({}, {"tokenizer_config": {"model_max_length": 1e30}}, 64),
        ({"model_type": "roberta", "pad_token_id": 1}, {}, 62),
        ({"model_type": "mpnet", "pad_token_id": 1}, {}, 62),
        ({"model_type": "t5", "max_position_embeddings": None}, {}, 512),
        ({"model_type": "gpt2", "max_position_embeddings": None, "n_positions": 48}, {}, 48),
    ],
)
def test_the_most_tokens_are_the_least_that_anything_allows(make, config, others, tokens):
    assert card_of(str(make({**BERT, **config}, **others))).max_tokens == tokens


def test_the_names_of_other_architectures_are_read(make):
    plain = {"vocab_size": 9}
    distil = {**plain, "model_type": "distilbert", "dim": 8, "n_layers": 5}
    t5 = {**plain, "model_type": "t5", "d_model": 6, "num_layers": 7, "num_decoder_layers": 9}
    gpt2 = {**plain, "model_type": "gpt2", "n_embd": 10, "n_layer": 3}
    albert = {**BERT, "model_type": "albert", "num_hidden_layers": 12, "num_hidden_groups": 1}
    made = [card_of(str(make(config))) for config in (distil, t5, gpt2, albert)]
    assert [(card.width, card.blocks) for card in made] == [(8, 5), (6, 7), (10, 3), (4, 1)]


def test_padding_is_the_config_s_else_the_tokenizer_s_else_0(make):
    assert card_of(str(make({**BERT, "pad_token_id": 5}))).pad == 5
    unsaid = {**BERT, "pad_token_id": None}
    assert card_of(str(make(unsaid))).pad == 0
    assert card_of(str(make({**BERT, "pad_token_id": -1}))).pad == 0
    tokenizer = {"added_tokens": [{"id": 3, "content": "<pad>"}]}
    named = {"pad_token": {"content": "<pad>"}}
    assert card_of(str(make(unsaid, tokenizer=tokenizer, tokenizer_config=named))).pad == 3


def test_token_types_need_two_types_and_a_tokenizer_that_makes_them(make):
    assert card_of(str(make(BERT))).token_types
    assert not card_of(str(make({**BERT, "type_vocab_size": 1}))).token_types
    assert not card_of(
        str(make({**BERT, "model_type": "distilbert", "type_vocab_size": 0}))
    ).token_types
    inputs = {"model_input_names": ["input_ids", "attention_mask"]}
    assert not card_of(str(make(BERT, tokenizer_config=inputs))).token_types


def modules(*kinds):
    return [{"path": "" if not n else f"{n}_{k}", "type": f"st.{k}"} for n, k in enumerate(kinds)]


@pytest.mark.parametrize(
    ("others", "pooling", "embeds"),
    [
        ({}, "mean", False),
        ({"sentence_bert_config": {}}, "mean", True),
        ({"modules": modules("Transformer", "Pooling", "Normalize"),
          "1_Pooling__config": {"pooling_mode_cls_token": True}}, "cls", True),
        ({"modules": modules("Transformer", "Pooling"),
          "1_Pooling__config": {"pooling_mode_max_tokens": True,
                                "pooling_mode_mean_tokens": False}}, "max", True),
        ({"modules": modules("Transformer", "Pooling"),
          "1_Pooling__config": {"pooling_mode": "mean"}}, "mean", True),
        ({"modules": modules("Transformer", "Pooling"),
          "1_Pooling__config": {"pooling_mode_lasttoken": True}}, "mean", False),
        ({"modules": modules("Transformer", "Pooling"),
          "1_Pooling__config": {"pooling_mode_cls_token": True,
                                "pooling_mode_mean_tokens": True}}, "mean", False),
        ({"modules": modules("Transformer", "Pooling", "Dense")}, "mean", False),
        ({"modules": [{"path": "../../x", "type": "st.Pooling"}]}, "mean", True),
    ],
)  # fmt: skip
def test_a_sentence_encoder_is_one_whose_vectors_we_can_make(make, others, pooling, embeds):
    card = card_of(str(make(BERT, **others)))
    assert (card.pooling, card.embeds_sentences) == (pooling, embeds)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "clip", "vision_config": {}, "text_config": {}}, "clip model for images"),
        ({**BERT, "model_type": "wav2vec2", "conv_dim": [4]}, "for sounds"),
        ({"model_type": "bert", "vocab_size": 9}, "no hidden_size"),
        ({**BERT, "hidden_size": "4"}, "no hidden_size"),
        ({**BERT, "hidden_size": True}, "no hidden_size"),
        ({"hidden_size": 4}, "no model_type"),
        ({**BERT, "quantization_config": {"bits": 4}}, "quantized"),
        ([1], "table of settings"),
    ],
)
def test_what_is_no_text_encoder_is_named(make, config, words):
    assert words in said(make(config))


def test_a_broken_config_is_named_with_its_place(make):
    place = make(BERT)
    (place / "config.json").write_text('{"model_type": "bert",')
    assert "line 1" in said(place)
    (place / "config.json").write_bytes(b"\xff\xfe\x00")
    assert "config.json cannot be read" in said(place)


def test_a_folder_without_weights_says_what_writes_them(make):
    place = make(BERT)
    (place / "model.safetensors").unlink()
    assert "save_pretrained" in said(place)


def test_a_real_causal_model_has_a_card(shared_weights):
    card = card_of(str(shared_weights / "stories260k"))
    assert (card.architecture, card.width, card.blocks) == ("llama", 64, 5)
    assert (card.parameters, card.max_tokens) == (260_032, 512)
    assert not card.embeds_sentences


def test_weights_of_another_kind_have_none(shared_weights):
    assert "config.json" in said(shared_weights / "squeezenet_imagenet")
