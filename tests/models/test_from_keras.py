"""Networks of Keras's: files and applications as rows of blocks, in safe mode, fed as they were."""

import json
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from fettle.core.errors import CorruptFile, ModelUnavailable, SettingError, UnknownName, UnsafeModel
from fettle.engine.optim import wake
from fettle.models import from_keras, keras_fed
from fettle.models.cards import card_for, card_of
from fettle.models.network import open_network, open_saved
from fettle.models.pictures import PictureBackbone
from fettle.strategies import DEFAULTS, STRATEGIES
from keras_models import HOME, around, asked, holding, in_a_row, library, moved, saved
from pictures import own_cache

__all__ = ["own_cache"]

HEAD = {"kind": "linear", "pooling": "own", "normalise": False, "dropout": 0.0, "outputs": 3}


def pixels(number=3, side=32):
    made = torch.Generator().manual_seed(1)
    return {"pixels": torch.randint(0, 256, (number, side, side, 3), dtype=torch.uint8,
                                    generator=made)}


def opened(path):
    network = open_network(card_of(str(path)))
    torch.manual_seed(3)
    network.set_head(HEAD)
    return network.eval()


def features(model):
    """Keras's own graph up to what its last dense layer takes."""
    return library().Model(model.inputs[0], model.get_layer("answer").input)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return saved(around(side=48), tmp_path_factory.mktemp("around") / "around.keras")


def test_a_block_is_what_lies_between_two_places_that_carry_everything(path):
    card = card_of(str(path))
    assert card.block_names == ("part1", "part2")
    assert (card.source, card.architecture, card.width, card.modality) == (
        "keras", "around", 12, "image")
    assert (card.picture.side, card.picture.fixed, card.picture.channels) == (48, False, 3)


@pytest.mark.parametrize("made", [
    lambda: around(side=32), lambda: holding(around(top=False)), lambda: in_a_row(32),
    lambda: around(side=32, scale=1 / 127.5, offset=-1.0),
], ids=["around", "holding", "in_a_row", "rescaling"])
def test_what_comes_out_is_what_keras_says(made, tmp_path):
    model = made()
    network = opened(saved(model, tmp_path / "a.keras"))
    batch = pixels()
    given = batch["pixels"].numpy().astype(np.float32)
    has_own = any(one.name.startswith("rescaling") for one in model.layers)
    scaled = given if has_own else given / 255
    with torch.inference_mode():
        found = network.taps(batch, ("own",))["own"].numpy()
    assert found.std() > 1e-3
    np.testing.assert_allclose(found, asked(features(model), scaled), atol=2e-5)


@pytest.mark.parametrize("made", [
    lambda: around(side=32), lambda: holding(around(top=False)), lambda: in_a_row(32),
], ids=["around", "holding", "in_a_row"])
def test_replay_from_every_block_changes_nothing(made, tmp_path):
    network = opened(saved(made(), tmp_path / "a.keras"))
    assert network.blocks >= 4
    batch = pixels()
    other = {"pixels": torch.zeros_like(batch["pixels"])}  # what is below does not matter
    with torch.inference_mode():
        full = network(batch)
        for block in range(1, network.blocks - 1):
            kept = network.taps(batch, (f"block {block}",))[f"block {block}"]
            assert torch.equal(network(other, start=block, hidden=kept), full)


def test_what_is_saved_says_the_same_when_it_is_opened_without_the_file(path, tmp_path):
    network = opened(path)
    with torch.no_grad():
        for value in network.parameters():
            value.mul_(1.1)  # as if it had learned
    network.save(tmp_path)
    again = open_saved({one.name: one for one in tmp_path.iterdir()})
    batch = pixels()
    with torch.inference_mode():
        assert torch.equal(network(batch), again(batch))


def test_every_weight_learns_but_for_the_statistics_of_norms(path):
    network = opened(path)
    learn = {name.removeprefix("backbone.model.") for name, _ in network.named_parameters()}
    assert {"stem_bn.weight", "stem_bn.bias", "part1.part1_bn.bias", "stem_conv.weight",
            "part2.part2_way.bias"} < learn
    assert not [name for name in learn if "running" in name or "moving" in name]
    assert "part1.part1_bn.weight" not in learn  # scale=False
    blocks = {name: network.block_of(name) for name, _ in network.named_parameters()}
    assert blocks["backbone.model.stem_conv.weight"] == 0
    assert blocks["backbone.model.part2.part2_conv.weight"] == 2


def test_norms_hold_their_statistics_in_training_until_they_are_drawn_anew(path):
    network = opened(path)
    norms = [one for one in network.modules() if isinstance(one, _BatchNorm)]
    assert len(norms) == 3
    before = [one.running_mean.clone() for one in norms]
    network.train()
    network(pixels(4))
    assert all(torch.equal(a, b.running_mean) for a, b in zip(before, norms, strict=True))
    network = STRATEGIES["scratch"](DEFAULTS["scratch"]).prepare(network)
    assert all(one.weight is None or torch.equal(one.weight, torch.ones_like(one.weight))
               for one in norms)
    network.train()
    network(pixels(4))
    assert all(one.running_mean.abs().sum() > 0 for one in norms)


def test_a_batch_normalisation_of_torch_moves_as_keras_has_it_moved(tmp_path):
    """Keras: moving = moving * 0.99 + batch * 0.01, here with the mean of four rows."""
    model = around(side=32)
    network = opened(saved(model, tmp_path / "a.keras"))
    norm = network.backbone.model.stem_bn
    x = torch.randn(4, 5, 5, 8, generator=torch.Generator().manual_seed(0))
    expected = norm.running_mean * 0.99 + x.mean(dim=(0, 1, 2)) * 0.01
    norm.train()
    norm(x)
    torch.testing.assert_close(norm.running_mean, expected)


def test_frozen_blocks_stay_and_woken_ones_learn(path):
    network = opened(path)
    wake(network, STRATEGIES["top"]({**DEFAULTS["top"], "top_blocks": 1}), 0)
    awake = {name for name, value in network.named_parameters() if value.requires_grad}
    assert awake
    assert all(network.block_of(name) >= 2 for name in awake)
    network(pixels()).square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0
               for name, value in network.named_parameters() if name in awake)


def test_what_keras_draws_by_chance_follows_torchs_seed(tmp_path):
    layers = library().layers
    pixels_in = library().Input((16, 16, 3))
    x = layers.Conv2D(8, 3, name="conv")(pixels_in)
    x = layers.SpatialDropout2D(0.5, name="maps")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = moved(library().Model(pixels_in, layers.Dense(2, name="answer")(x)))
    network = opened(saved(model, tmp_path / "a.keras")).train()
    batch = pixels(side=16)
    torch.manual_seed(5)
    first, second = network(batch), network(batch)
    torch.manual_seed(5)
    again = network(batch)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_dense_layers_can_be_adapted_by_lora_and_merged(tmp_path):
    network = opened(saved(in_a_row(32), tmp_path / "a.keras"))
    strategy = STRATEGIES["lora"]({**DEFAULTS["lora"], "rank": 2, "alpha": 4})
    network = strategy.prepare(network)
    for name, value in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.3, generator=torch.Generator().manual_seed(0))
    batch = pixels()
    with torch.inference_mode():
        adapted = network.eval()(batch)
        merged = strategy.finish(network, None)(batch)
    torch.testing.assert_close(adapted, merged, atol=1e-4, rtol=1e-4)


def test_one_that_lays_its_map_out_flat_takes_one_size(tmp_path):
    assert card_of(str(saved(in_a_row(), tmp_path / "flat.keras"))).picture.fixed


def test_a_layer_that_is_used_twice_is_learned_once(tmp_path):
    layers = library().layers
    pixels_in = library().Input((16, 16, 3))
    shared = layers.Conv2D(6, 3, padding="same", name="again")
    x = layers.Conv2D(6, 3, name="stem")(pixels_in)
    x = shared(layers.ReLU(name="between")(shared(x)))
    x = layers.Conv2D(4, 3, name="above")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = moved(library().Model(pixels_in, layers.Dense(2, name="answer")(x)))
    network = opened(saved(model, tmp_path / "a.keras"))
    assert sum("again" in name for name, _ in network.named_parameters()) == 2
    batch = pixels(side=16)
    found = network.taps(batch, ("own",))["own"].detach().numpy()
    np.testing.assert_allclose(
        found, asked(features(model), batch["pixels"].numpy().astype(np.float32) / 255), atol=2e-5)


# what is refused


def rewritten(path, to, change):
    """The file with its config changed."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(to, "w") as made:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                config = json.loads(content)
                change({one["config"]["name"]: one for one in config["config"]["layers"]})
                content = json.dumps(config).encode()
            made.writestr(name, content)
    return to


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


# how they were fed


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
