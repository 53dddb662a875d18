import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from fettle.core.errors import ModelUnavailable, UnsafeModel
from fettle.models.cards import card_of
from fettle.models.safety import require_safe, safetensors_header

CONFIG = {"model_type": "bert", "hidden_size": 4, "vocab_size": 9, "num_hidden_layers": 1}


class Attack:
    """What a malicious pickle is: unpickled, it touches the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return open, (str(self.canary), "w")


@pytest.fixture
def canary(tmp_path):
    """A file that exists only if an attack has run; checked after every test that asks for it."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "the attack ran"


@pytest.fixture
def folder(tmp_path):
    """A model's folder in which nothing is wrong."""
    place = tmp_path / "model"
    place.mkdir()
    (place / "config.json").write_text(json.dumps(CONFIG))
    safetensors.numpy.save_file(
        {"a": np.ones((2, 3), np.float32), "b": np.zeros(5, np.float16)},
        place / "model.safetensors",
    )
    return place


def refused(folder, *words):
    """The folder is refused with these words, and no card is made of it either."""
    with pytest.raises(UnsafeModel) as raised:
        require_safe(folder)
    for word in words:
        assert word in str(raised.value)
    with pytest.raises(UnsafeModel):
        card_of(str(folder))
    return str(raised.value)


def torch_zip(attack):
    stream = io.BytesIO()
    torch.save(attack, stream)
    return stream.getvalue()


def test_the_canary_dies_where_the_attack_is_allowed_to_run(tmp_path):
    pickle.loads(pickle.dumps(Attack(tmp_path / "canary"))).close()
    assert (tmp_path / "canary").exists()


def test_a_folder_of_plain_data_is_safe(folder):
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"auto_map": 7}}}))
    (folder / "tokenizer_config.json").write_text('{"auto_map": null, "trust_remote_code": false}')
    (folder / "README.md").write_text("(c) A model.\n")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"\x08\x07")
    (folder / "openvino").mkdir()
    (folder / "openvino" / "openvino_model.xml").write_text("<net/>")
    (folder / "openvino" / "openvino_model.bin").write_bytes(bytes(64))
    (folder / "vectors.npy").write_bytes(npy(np.zeros(3)))
    require_safe(folder)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "optimizer.pt", "rng_state.pth", "x.ckpt", "x.PKL", "x.joblib", "x.p.gz"],
)
def test_a_pickle_is_refused_by_its_name(folder, canary, name, protocol):
    content = pickle.dumps(Attack(canary), protocol=protocol)
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    refused(folder, name, "pickle", "Safetensors lie beside it")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt", "config.json", "sub/notes"])
def test_a_pickle_is_refused_by_its_bytes_whatever_it_is_called(folder, canary, name, protocol):
    (folder / "sub").mkdir()
    (folder / name).write_bytes(pickle.dumps(Attack(canary), protocol=protocol))
    refused(folder, name, "pickle")


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_is_known_by_its_first_bytes_however_long_it_is(folder, canary, protocol):
    content = pickle.dumps(["a" * 100_000, Attack(canary)], protocol=protocol)
    (folder / "vocab.txt").write_bytes(content)
    refused(folder, "vocab.txt", "pickle")


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt", "deep/in/here/weights"])
def test_torch_s_zip_is_refused_whatever_it_is_called(folder, canary, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(torch_zip(Attack(canary)))
    refused(folder, name, "pickle")


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def test_arrays_that_hold_objects_are_refused_alone_and_in_an_archive(folder, canary):
    array = np.array([Attack(canary)], dtype=object)
    (folder / "a.npy").write_bytes(npy(array))
    refused(folder, "a.npy")
    (folder / "a.npy").unlink()
    np.savez(folder / "a.npz", plain=np.zeros(2), bad=array)
    refused(folder, "a.npz")
    np.savez(folder / "a.npz", plain=np.zeros(2))
    require_safe(folder)


def test_without_safetensors_the_refusal_names_the_command_that_converts(folder, canary):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(torch_zip(Attack(canary)))
    refused(folder, "pytorch_model.bin", "save_pretrained", "python -c")


def test_a_keras_file_is_refused_with_a_word_on_keras(folder):
    (folder / "tf_model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    refused(folder, "tf_model.h5", "Keras")


@pytest.mark.parametrize("name", ["modeling_evil.py", "sub/tokenization_evil.py", "x.so", "x.pyc"])
def test_code_is_refused(folder, canary, name):
    (folder / "sub").mkdir()
    (folder / name).write_text(f"open({str(canary)!r}, 'w')")
    refused(folder, name, "code")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "processor_config.json"])
@pytest.mark.parametrize(
    "keys",
    [
        {"auto_map": {"AutoModel": "modeling_evil.Evil"}},
        {"auto_map": {"AutoConfig": "evil/repository--configuration_evil.Evil"}},
        {"trust_remote_code": True},
        {"custom_pipelines": {"evil": {"impl": "evil.Evil"}}},
        {"_attn_implementation_internal": "evil/kernel"},
        {"attn_implementation": {"": "sdpa", "text": "evil/kernel@main:attack"}},
        {"_attn_implementation": "paged|evil/kernel"},
        {"_experts_implementation": "evil/kernel"},
        {"text_config": {"deep": [{"auto_map": {"AutoModel": "modeling_evil.Evil"}}]}},
    ],
    ids=lambda keys: next(iter(keys)),
)
def test_a_config_that_asks_for_foreign_code_is_refused(folder, canary, name, keys):
    (folder / name).write_text(json.dumps({**CONFIG, **keys}))
    refused(folder, name, "code from elsewhere")


def test_escapes_do_not_hide_a_key(folder):
    escaped = json.dumps({**CONFIG, "auto_map": {"AutoModel": "evil.Evil"}})
    (folder / "config.json").write_text(escaped.replace('"auto_map"', '"\\u0061uto_m\\u0061p"'))
    refused(folder, "auto_map")


def test_plain_names_of_attention_are_safe(folder):
    (folder / "config.json").write_text(json.dumps({**CONFIG, "attn_implementation": "sdpa"}))
    require_safe(folder)


def test_a_config_nested_without_end_is_refused_and_not_a_traceback(folder):
    (folder / "x.json").write_text("[" * 200_000 + '"auto_map"')
    refused(folder, "x.json", "deeply")


def test_a_link_that_leaves_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "vocab.txt").symlink_to("../secret.txt")
    refused(folder, "vocab.txt", "leaves the folder")
    (folder / "vocab.txt").unlink()
    (folder / "sub").symlink_to(tmp_path, target_is_directory=True)
    refused(folder, "sub", "leaves the folder")
    (folder / "sub").unlink()
    (folder / "same.json").symlink_to("config.json")
    require_safe(folder)


def hub_snapshot(tmp_path, folder):
    """The folder as the hub cache lays it out: links to blobs."""
    holder = tmp_path / "hub" / "models--org--name"
    snapshot = holder / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (holder / "blobs").mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(holder / "blobs" / f"{number}")
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    return snapshot


def test_links_of_the_hub_cache_are_safe_within_their_own_model_only(folder, tmp_path):
    snapshot = hub_snapshot(tmp_path, folder)
    require_safe(snapshot)
    assert card_of(str(snapshot)).revision == "abc123"

    other = tmp_path / "hub" / "models--org--other" / "blobs"
    other.mkdir(parents=True)
    (other / "0").write_text("{}")
    (snapshot / "vocab.json").symlink_to("../../../models--org--other/blobs/0")
    refused(snapshot, "vocab.json", "leaves the folder")


def test_a_pickle_behind_a_link_of_the_hub_cache_is_refused(folder, tmp_path, canary):
    (folder / "vocab.txt").write_bytes(pickle.dumps(Attack(canary)))
    refused(hub_snapshot(tmp_path, folder), "vocab.txt", "pickle")


def test_what_is_no_plain_file_is_refused_and_not_waited_for(folder):
    os.mkfifo(folder / "vocab.txt")
    refused(folder, "vocab.txt", "plain file")


def test_a_folder_that_goes_too_deep_is_refused(folder):
    (folder / "/".join("abcdefgh")).mkdir(parents=True)
    refused(folder, "folders deep")


def safetensors_bytes(header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(start, stop, shape=None, dtype="F32"):
    shape = [(stop - start) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    "content",
    {
        "empty": b"",
        "seven bytes": b"1234567",
        "a header beyond the file": safetensors_bytes({}, length=1000),
        "a header over 100 MB": safetensors_bytes({}, length=100_000_001),
        "a header of 2**64-1": safetensors_bytes({}, length=2**64 - 1),
        "not JSON": safetensors_bytes(b"{nonsense"),
        "not UTF-8": safetensors_bytes(b'{"\xff": 1}'),
        "a list": safetensors_bytes([1, 2]),
        "nested without end": safetensors_bytes(b'{"a":' * 100_000),
        "offsets out of the file": safetensors_bytes({"a": tensor(0, 8)}, b"1234"),
        "overlapping": safetensors_bytes({"a": tensor(0, 8), "b": tensor(4, 12)}, bytes(12)),
        "a hole": safetensors_bytes({"a": tensor(0, 4), "b": tensor(8, 12)}, bytes(12)),
        "bytes after the end": safetensors_bytes({"a": tensor(0, 4)}, bytes(9)),
        "cut short": safetensors_bytes({"a": tensor(0, 400)}, bytes(300)),
        "negative": safetensors_bytes({"a": tensor(-4, 4)}, bytes(4)),
        "a shape that is larger": safetensors_bytes({"a": tensor(0, 4, [9, 9])}, bytes(4)),
        "a shape of texts": safetensors_bytes({"a": tensor(0, 4, ["1"])}, bytes(4)),
        "no offsets": safetensors_bytes({"a": {"dtype": "F32", "shape": []}}),
        "a tensor that is a number": safetensors_bytes({"a": 3}),
        "a name twice": safetensors_bytes(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
            b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            bytes(4),
        ),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_safetensors_file_that_is_none_is_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content[1])
    refused(folder, "model.safetensors", "not a whole safetensors file")


def test_a_header_whose_length_looks_like_a_pickle_is_not_one(folder):
    raw = json.dumps({"a": tensor(0, 4)}).encode()
    padded = raw + b" " * (0x0480 - len(raw))  # the file begins with 80 04, as a pickle does
    content = safetensors_bytes(padded, bytes(4))
    assert content[:2] == b"\x80\x04"
    (folder / "model.safetensors").write_bytes(content)
    require_safe(folder)
    assert safetensors_header(folder / "model.safetensors")["a"]["shape"] == [1]


def test_a_zip_of_plain_data_is_safe(folder):
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    require_safe(folder)


def test_judging_a_folder_imports_no_library_that_could_run_it(folder):
    code = (
        "import sys; from fettle.models.safety import require_safe; from pathlib import Path; "
        f"require_safe(Path({str(folder)!r})); "
        "print([m for m in ('torch', 'transformers', 'pickle5', 'joblib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(folder):
    (folder / "vocab.txt").write_text("a")
    (folder / "vocab.txt").chmod(0)
    with pytest.raises(ModelUnavailable, match=r"vocab\.txt cannot be read"):
        require_safe(folder)
