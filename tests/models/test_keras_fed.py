"""How networks of Keras's were fed, by files and applications, and where weights come from."""

import json
import sys
import types

import numpy as np
import pytest
import torch

from fettle.core.errors import CorruptFile, ModelUnavailable, SettingError, UnknownName
from fettle.models import from_keras, keras_fed
from fettle.models.cards import card_for, card_of
from fettle.models.network import open_network
from fettle.models.pictures import PictureBackbone
from keras_models import (
    HOME,
    around,
    asked,
    features,
    holding,
    library,
    moved,
    opened,
    path,
    pixels,
    saved,
)
from pictures import own_cache

pytestmark = pytest.mark.keras

__all__ = ["own_cache", "path"]


@pytest.mark.parametrize(("name", "backwards"), [
    ("ResNet50", True), ("VGG16", True), ("InceptionV3", False), ("DenseNet121", False),
    ("EfficientNetB0", False), ("ConvNeXtTiny", False), ("MobileNetV2", False),
])
def test_an_application_is_fed_by_its_own_preprocessing(name, backwards):
    library()
    fed = keras_fed.of_application(name, side=224)
    assert fed.backwards == backwards
    own = sys.modules[keras_fed.applications()[name].__module__].preprocess_input
    batch = pixels(2, side=8)["pixels"]
    backbone = PictureBackbone(torch.nn.Conv2d(3, 1, 1), picture=fed.picture, block_names=())
    found = backbone._normalised(batch).permute(0, 2, 3, 1)
    found = found.flip(-1) if backwards else found
    np.testing.assert_allclose(found.numpy(), own(batch.numpy().astype(np.float32)), atol=3e-5)


def fed(path):
    return card_of(str(path)).picture


def test_a_file_says_in_its_first_layer_beside_it_or_by_its_name_how_it_was_fed(tmp_path):
    plain = fed(saved(around(side=32), tmp_path / "plain.keras"))
    assert (plain.mean, plain.std) == ((0.0,), (1.0,))
    assert "because nothing says otherwise" in plain.told
    raw = fed(saved(around(side=32, scale=1 / 255), tmp_path / "raw.keras"))
    assert raw.std == (1 / 255,)
    assert "'rescaling" in raw.told
    inner = around(top=False)
    inner.name = "resnet50"
    named = card_of(str(saved(holding(inner), tmp_path / "named.keras")))
    assert named.picture.mean == pytest.approx((123.68 / 255, 116.779 / 255, 103.939 / 255))
    (tmp_path / "plain.json").write_text('{"mode": "tf", "side": 64, "crop": 0.9}')
    told = fed(tmp_path / "plain.keras")
    assert (told.mean, told.std, told.side, told.crop) == ((0.5,), (0.5,), 64, 0.9)
    for text, said in (('{"mood": "tf"}', "Did you mean 'mode'"), ('{"mode": "cafe"}', "'caffe'"),
                       ('{"mean": [1, 2]}', "one for each of 3")):
        (tmp_path / "plain.json").write_text(text)
        with pytest.raises((SettingError, UnknownName), match=said):
            fed(tmp_path / "plain.keras")


def test_pictures_backwards_reach_the_network_blue_first(tmp_path):
    model = around(side=32)
    path = saved(model, tmp_path / "a.keras")
    (tmp_path / "a.json").write_text('{"mode": "caffe"}')
    batch = pixels()
    found = opened(path).taps(batch, ("own",))["own"].detach().numpy()
    from keras.src.applications.imagenet_utils import preprocess_input

    given = preprocess_input(batch["pixels"].numpy().astype(np.float32), mode="caffe")
    np.testing.assert_allclose(found, asked(features(model), given), rtol=1e-4, atol=1e-3)


# applications


@pytest.fixture
def tiny(monkeypatch):
    """An application of our own among Keras's, fifty times smaller than the least."""
    keras = library()
    from keras.src.applications import imagenet_utils
    from keras.src.utils import file_utils

    def Tiny(include_top=True, weights="imagenet", input_shape=None, pooling=None,  # noqa: N802
             name="tiny"):
        shape = imagenet_utils.obtain_input_shape(
            input_shape, default_size=160, min_size=32, data_format="channels_last",
            require_flatten=include_top, weights=weights)
        assert shape == (None, None, 3)
        model = around(top=False)
        if weights == "imagenet":
            model.load_weights(file_utils.get_file(
                "tiny_notop.weights.h5", "https://nowhere.example/tiny", cache_subdir="models",
                file_hash="0" * 32))
        return model

    module = types.ModuleType("tiny_application")
    module.preprocess_input = lambda x: x / 127.5 - 1
    Tiny.__module__ = module.__name__
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(keras.applications, "Tiny", Tiny, raising=False)


def test_an_application_is_opened_from_kerass_cache_alone(tiny, tmp_path, monkeypatch):
    with pytest.raises(ModelUnavailable, match=r"nothing is fetched unasked.*scratch") as told:
        card_of("keras:Tiny")
    assert str(told.value).endswith('keras.applications.Tiny(include_top=False)"')
    (models := tmp_path / "models").mkdir()
    monkeypatch.setattr("keras.src.backend.config.keras_home", lambda: str(tmp_path))
    moved(around(top=False), seed=8).save_weights(models / "tiny_notop.weights.h5")
    with pytest.raises(CorruptFile, match="not the file that Keras publishes"):
        card_of("keras:Tiny")
    monkeypatch.setattr(from_keras, "_digest", lambda path, kind: "0" * 32)
    card = card_of("keras:Tiny")
    assert (card.picture.side, card.picture.mean[0]) == (160, pytest.approx(0.5))
    kernel = open_network(card).backbone.model.stem_conv.weight
    expected = moved(around(top=False), seed=8).get_layer("stem_conv").kernel
    assert kernel.detach().permute(2, 3, 1, 0).numpy() == pytest.approx(np.array(expected))


def test_with_scratch_alone_weights_are_drawn_and_are_always_the_same(tiny):
    card = card_for("keras:Tiny", "image", data="scans", random=True)
    assert card.name == "keras:Tiny@random"
    assert card.sha256 == card_of("keras:Tiny@random").sha256
    assert torch.equal(open_network(card).backbone.model.stem_conv.weight,
                       open_network(card).backbone.model.stem_conv.weight)


def test_an_unknown_application_gets_the_nearest_name():
    library()
    with pytest.raises(UnknownName, match="Did you mean 'ResNet50'"):
        card_of("keras:ResNet5")


def test_keras_writes_nothing_outside_of_these_tests(path):
    from keras.src.backend import config

    assert config.keras_home() == HOME


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side", "least"), [
    ("ResNet50", 64, 16), ("VGG16", 64, 12), ("InceptionV3", 96, 14),
])
def test_the_large_ones_are_rows_of_blocks_and_replay_exactly(name, side, least, tmp_path):
    model = getattr(library().applications, name)(weights=None, include_top=False, pooling="avg")
    path = saved(moved(model, seed=2) if name == "VGG16" else model, tmp_path / f"{name}.keras")
    network = opened(path)
    assert network.blocks - 2 >= least, network.block_names
    batch = pixels(2, side=side)
    fed = keras_fed.of_application(name, side=side)
    assert network.card.picture.mean == fed.picture.mean
    own = sys.modules[keras_fed.applications()[name].__module__].preprocess_input
    with torch.inference_mode():
        vectors = network.taps(batch, ("own",))["own"].numpy()
        expected = asked(model, own(batch["pixels"].numpy().astype(np.float32)))
        np.testing.assert_allclose(vectors, expected, atol=1e-3 * np.abs(expected).max())
        full = network(batch)
        for block in range(1, network.blocks - 1):
            kept = network.taps(batch, (f"block {block}",))[f"block {block}"]
            assert torch.equal(network(batch, start=block, hidden=kept), full)


def scaled(first):
    """A network whose graph begins with what `first` makes of pixels."""
    pixels_in = library().Input((32, 32, 3))
    x = around(top=False)(first(pixels_in))
    return library().Model(pixels_in, library().layers.Dense(2, name="answer")(x))


@pytest.mark.parametrize(("first", "white"), [
    (lambda x: library().applications.mobilenet_v2.preprocess_input(x), 255.0),
    (lambda x: library().applications.resnet.preprocess_input(x), 255.0),
    (lambda x: x / 255.0, 255.0),
    (lambda x: x * 2.0 - 1.0, 1.0),
    (lambda x: library().layers.Normalization(mean=[110.0] * 3, variance=[4000.0] * 3)(x), 255.0),
    (lambda x: library().layers.Normalization(mean=[0.4] * 3, variance=[0.05] * 3)(x), 1.0),
    (lambda x: holding_rescaling()(x), 255.0),
], ids=["tf", "caffe", "divided", "of 0 to 1", "normalised", "normalised of 0 to 1", "inside"])
def test_what_the_graph_does_to_pixels_before_its_first_kernel_is_not_done_twice(
    first, white, tmp_path
):
    picture = fed(saved(scaled(first), tmp_path / "a.keras"))
    assert (picture.mean, picture.std) == ((0.0,), (pytest.approx(1 / white),))
    assert "its layer" in picture.told


def holding_rescaling():
    pixels_in = library().Input((32, 32, 3))
    return library().Model(pixels_in, library().layers.Rescaling(1 / 255)(pixels_in))


@pytest.mark.parametrize(("told", "said"), [
    ({"side": "abc"}, "'abc' as side; a whole number"), ({"side": 0}, "0 as side"),
    ({"side": 64.5}, "64.5 as side"), ({"crop": 0}, "0 as crop; a number above 0"),
    ({"crop": "x"}, "'x' as crop"), ({"std": 0}, "0 as std; .* above 0"),
    ({"std": [1, float("nan"), 1]}, "as std"), ({"backwards": "false"}, "'false' as backwards"),
    ({"interpolation": "bicubical"}, "Did you mean 'bicubic'"),
])
def test_what_stands_beside_a_file_and_cannot_be_is_refused_by_its_name(path, tmp_path, told, said):
    (tmp_path / "a.keras").write_bytes(path.read_bytes())
    (tmp_path / "a.json").write_text(json.dumps(told))
    with pytest.raises((SettingError, UnknownName), match=said):
        fed(tmp_path / "a.keras")
