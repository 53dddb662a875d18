"""What of Keras's files is refused before any of it is opened, and in which words."""

import json
import sys

import numpy as np
import pytest
import torch

from fettle.core.errors import CorruptFile, ModelUnavailable, UnsafeModel
from fettle.models import from_keras
from fettle.models.cards import card_of
from fettle.models.network import open_saved
from keras_models import (
    around,
    library,
    opened,
    path,
    pixels,
    rewritten,
    saved,
)
from pictures import own_cache

pytestmark = pytest.mark.keras

__all__ = ["own_cache", "path"]


@pytest.mark.parametrize(("entry", "said"), [
    ({"class_name": "Lambda", "module": "keras.layers"}, "'stem_relu' is a Lambda, which runs"),
    ({"class_name": "Swish", "module": None, "registered_name": "mine>Swish"},
     r"'stem_relu' is a class or function of its author's own \(mine>Swish\)"),
    ({"class_name": "system", "module": "os"}, r"\(os\), and fettle runs no model's own code"),
    ({"class_name": "TorchModuleWrapper", "module": "keras.layers"}, "TorchModuleWrapper"),
    ({"class_name": "TFSMLayer", "module": "keras.layers"}, "TFSMLayer"),
])
def test_code_of_a_file_is_refused_by_its_layers_name(path, tmp_path, entry, said):
    def change(layers):
        layers["stem_relu"].update({"registered_name": None, **entry})

    with pytest.raises(UnsafeModel, match=said):
        card_of(str(rewritten(path, tmp_path / "bad.keras", change)))


def test_a_lambda_that_keras_itself_wrote_is_refused(tmp_path):
    layers = library().layers
    pixels_in = library().Input((16, 16, 3))
    x = layers.Lambda(lambda x: x / 2, name="halved")(pixels_in)
    x = layers.Conv2D(4, 3)(x)
    model = library().Model(pixels_in, layers.GlobalAveragePooling2D()(x))
    with pytest.raises(UnsafeModel, match=r"'halved' is a Lambda.*keras.ops.*save the model again"):
        card_of(str(saved(model, tmp_path / "a.keras")))


def test_a_custom_function_of_a_layer_is_refused(path, tmp_path):
    def change(layers):
        layers["part1_conv"]["config"]["activation"] = {
            "module": "theirs", "class_name": "function", "config": "my", "registered_name": "my"}

    with pytest.raises(UnsafeModel, match=r"'part1_conv' is a class or function of its author's"):
        card_of(str(rewritten(path, tmp_path / "bad.keras", change)))


def test_a_layer_that_reads_a_file_of_this_machine_is_refused(path, tmp_path):
    def change(layers):
        layers["stem_relu"]["config"]["vocabulary"] = "/etc/passwd"

    with pytest.raises(UnsafeModel, match="reads the file '/etc/passwd'"):
        card_of(str(rewritten(path, tmp_path / "bad.keras", change)))


def test_a_saved_config_of_a_version_is_judged_again(path, tmp_path):
    network = opened(path)
    network.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["keras"]["config"]["layers"][1]["class_name"] = "Lambda"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsafeModel, match="Lambda"):
        open_saved({one.name: one for one in tmp_path.iterdir()})


@pytest.mark.parametrize(("content", "said"), [
    (b"no zip", "cannot be read as a .keras file"), (b"", "cannot be read as a .keras file"),
])
def test_a_torn_file_says_so(tmp_path, content, said):
    (tmp_path / "torn.keras").write_bytes(content)
    with pytest.raises(ModelUnavailable, match=said):
        card_of(str(tmp_path / "torn.keras"))
    with pytest.raises(ModelUnavailable, match="There is no file"):
        card_of(str(tmp_path / "gone.keras"))


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    model = around(side=32)
    kernel = model.get_layer("part1_conv").kernel
    kernel.assign(np.full(kernel.shape, np.nan, np.float32))
    with pytest.raises(CorruptFile, match=r"part1_conv.weight holds numbers that are not finite"):
        card_of(str(saved(model, tmp_path / "a.keras")))


def test_formats_before_keras_3_are_refused_with_what_converts_them(tmp_path):
    (tmp_path / "old.h5").write_bytes(b"\x89HDF")
    with pytest.raises(ModelUnavailable, match=r"HDF5.*load_model\('old.h5', .*'old.keras'"):
        card_of(str(tmp_path / "old.h5"))
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelUnavailable, match=r"TensorFlow SavedModel.*tf_keras.*export.keras"):
        card_of(str(tmp_path / "export"))


@pytest.mark.parametrize(("made", "said"), [
    (lambda k: k.Model([a := k.Input((8, 8, 3)), b := k.Input((8, 8, 3))], k.layers.Add()([a, b])),
     "takes 2 tensors"),
    (lambda k: k.Model(a := k.Input((9,)), k.layers.Dense(2)(a)), "square pictures"),
    (lambda k: k.Model(a := k.Input((8, 16, 3)), k.layers.Conv2D(2, 3)(a)), "square pictures"),
], ids=["two inputs", "no picture", "not square"])
def test_what_takes_no_pictures_says_so(tmp_path, made, said):
    with pytest.raises(ModelUnavailable, match=said):
        card_of(str(saved(made(library()), tmp_path / "a.keras")))


def test_another_backend_in_this_process_is_told(monkeypatch):
    monkeypatch.setattr(library().backend, "backend", lambda: "tensorflow")
    with pytest.raises(ModelUnavailable, match="KERAS_BACKEND=torch before anything imports keras"):
        from_keras.library()


def test_tensorflow_is_not_imported_here(path):
    opened(path)
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(("entry", "error"), [
    ({"module": "keras.config", "class_name": "function",
      "config": "enable_unsafe_deserialization"}, UnsafeModel),
    ({"module": "keras.saving", "class_name": "function", "config": "load_model"}, UnsafeModel),
    ({"module": "keras.layers", "class_name": ["Lambda"], "config": {}}, UnsafeModel),
    ({"module": "keras.layers", "class_name": "ReLU", "config": [1]}, ModelUnavailable),
], ids=["a switch", "a door", "no name", "no settings"])
def test_an_activation_that_is_none_is_refused_in_words(path, tmp_path, entry, error):
    def change(layers):
        layers["part1_conv"]["config"]["activation"] = {"registered_name": "function", **entry}

    with pytest.raises(error, match=r"part1_conv|could not open"):
        card_of(str(rewritten(path, tmp_path / "bad.keras", change)))


def test_a_function_of_keras_itself_is_none_of_the_authors(path, tmp_path):
    def change(layers):
        layers["part1_conv"]["config"]["activation"] = {
            "module": "builtins", "class_name": "function", "config": "relu",
            "registered_name": "function"}

    made = opened(rewritten(path, tmp_path / "same.keras", change))
    assert torch.equal(made(pixels()), opened(path)(pixels()))


def test_a_keras_with_known_holes_is_not_used(monkeypatch):
    monkeypatch.setattr(library(), "__version__", "3.13.1")
    with pytest.raises(ModelUnavailable, match=r"Keras 3.13.1 .* unsafe since; 3.15.1 or later"):
        from_keras.library()


def test_a_head_on_nothing_is_no_network(tmp_path):
    layers = library().layers
    pixels_in = library().Input((8, 8, 3))
    model = library().Model(pixels_in, layers.Dense(2)(layers.Flatten()(pixels_in)))
    with pytest.raises(ModelUnavailable, match="has no weights below its head"):
        card_of(str(saved(model, tmp_path / "a.keras")))
