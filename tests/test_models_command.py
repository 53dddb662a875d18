"""`fettle models`: a short choice, what lies here, and what would fetch the rest."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from fettle.models.known import KNOWN
from fettle.models.sources import DEFAULT_MODELS
from pictures import timm_folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The hub's cache, empty."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fetched(folder: Path, cache: Path, name: str) -> None:
    """A folder as the hub's client keeps it."""
    place = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / "1f")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("1f")


def test_the_choice_says_size_licence_and_how_to_fetch(fettle):
    said = fettle("models")
    assert said.code == 0
    for one in KNOWN:
        assert one.name in said.out
        assert one.licence in said.out
    assert "hf download timm/resnet50.a1_in1k" in said.out
    assert "https://huggingface.co/timm/resnet50.a1_in1k" in said.out
    assert "package.module:factory" in said.out
    assert "transformers' vision models" in said.out
    assert "one label a row, to several, and to a number" in said.out


def test_as_json_each_says_whether_it_lies_here(fettle):
    said = fettle("models", "--json").json
    assert {one["name"] for one in said} == {one.name for one in KNOWN}
    assert all(isinstance(one["here"], bool) for one in said)
    assert all(one["source"].startswith("https://") and one["fetch"] for one in said)


def test_the_defaults_are_among_them():
    assert set(DEFAULT_MODELS.values()) <= {one.name for one in KNOWN}


def test_what_else_lies_in_the_hubs_cache_is_listed_if_it_can_be_tuned(fettle, cache, tmp_path,
                                                                       tiny):
    fetched(timm_folder(tmp_path / "pictures"), cache, "ann/scans-2")
    fetched(tiny, cache, "ann/words")
    (tmp_path / "sounds").mkdir()
    shutil.copy(tmp_path / "pictures" / "model.safetensors", tmp_path / "sounds")
    (tmp_path / "sounds" / "config.json").write_text(
        json.dumps({"model_type": "wav2vec2", "conv_dim": [8], "vocab_size": 32, "hidden_size": 8}))
    fetched(tmp_path / "sounds", cache, "ann/sounds")
    (cache / "models--ann--half" / "snapshots" / "1f").mkdir(parents=True)
    found = fettle("models", "--json").json[len(KNOWN):]
    assert [(one["name"], one["reads"], one["here"]) for one in found] == [
        ("ann/scans-2", "pictures", True), ("ann/words", "texts", True)]
    assert found[0]["source"] == "https://huggingface.co/ann/scans-2"
    assert 0 < found[0]["parameters"] < 5
    said = fettle("models").out
    assert "ann/words" in said
    assert "ann/sounds" not in said
