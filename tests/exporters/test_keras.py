"""Versions of Keras networks as .keras: each answers as the version does, in TensorFlow too."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pytest
import torch

from fettle.core.errors import SettingError
from fettle.core.pictures import cell_of_bytes
from fettle.modalities.image import ImageEncoder
from fettle.models.cards import card_of
from fettle.models.network import open_network
from fettle.stages import exporting
from fettle.store import arrow
from keras_models import HOME, around, holding, in_a_row, library, moved, saved
from leaving import exported
from pictures import CLASSES, drawn, encoded, own_cache, timm_folder

pytestmark = pytest.mark.keras

__all__ = ["own_cache"]


def leaving(folder, place, *, side=32, normalise=False):
    """A version of the network in this place; its head is random, its norms learned something."""
    card = card_of(str(place))
    network = open_network(card)
    torch.manual_seed(3)
    network.set_head({"kind": "linear", "pooling": "own", "normalise": normalise, "dropout": 0.1,
                      "outputs": len(CLASSES)})
    with torch.no_grad():
        torch.nn.init.normal_(network.head.linear.weight)
        for value in network.backbone.model.state_dict().values():
            if value.is_floating_point():
                value.mul_(1.1)
    encoder = ImageEncoder({"fields": ["picture"], "side": side, "room": side + 4,
                            "interpolation": "bilinear", "augment": "none", "flip": False})
    made = folder / "version"
    made.mkdir(parents=True)
    network.eval().save(made)
    encoder.save(str(made))
    rows = [cell_of_bytes(encoded(drawn(CLASSES[at % 3], seed=at, side=40 + 5 * (at % 4)),
                                  "JPEG" if at % 2 else "PNG")) for at in range(12)]
    arrow.write(made / "certificate.arrow", pa.table({"picture": rows}))
    arrow.write(made / "rows.arrow", pa.table({
        "picture": rows, "label": ["disc"] * 12, "side": ["train"] * 12}))
    return exporting.Leaving(
        id="shapes@1", network=network, encoder=encoder, classes=CLASSES, temperature=1.7,
        unit=None,
        precision="fp32", rung="features", plan={"rungs": []},
        paths={path.name: path for path in made.iterdir()},
    )


def asked(version):
    """(pixels, what the version says to them)."""
    cells = arrow.read(version.paths["certificate.arrow"]).column("picture").to_pylist()
    batch = version.encoder.collate(version.encoder.encode([(cell,) for cell in cells]))
    with torch.inference_mode():
        return batch["pixels"].numpy(), version.network(batch).numpy() / version.temperature


@pytest.mark.parametrize(("made", "mode", "normalise"), [
    (lambda: around(side=48), "caffe", False), (lambda: holding(around(top=False)), "tf", True),
    (lambda: in_a_row(32), "torch", False), (lambda: around(side=48, channels=1), "unit", False),
    (lambda: around(scale=1 / 255), None, False),
], ids=["around", "holding", "in_a_row", "one channel", "rescaling"])
def test_what_leaves_answers_as_the_version_does(made, mode, normalise, tmp_path):
    place = saved(made(), tmp_path / "a.keras")
    if mode:
        (tmp_path / "a.json").write_text(json.dumps({"mode": mode}))
    version = leaving(tmp_path, place, normalise=normalise)
    certificate = exported(version, "keras", tmp_path / "out")
    assert certificate.holds
    assert certificate.largest_difference < 1e-4 * max(1.0, np.abs(asked(version)[1]).max())
    assert {trial.batch_rows for trial in certificate.trials} == {1, 3, 7, 32}
    assert {"model.keras", "preprocessing.json", "pixels.py", "README.md"} <= set(
        certificate.files)


def test_one_of_several_labels_leaves_with_its_thresholds(tmp_path):
    version = replace(leaving(tmp_path, saved(around(side=32), tmp_path / "a.keras")),
                      thresholds=(0.2, 0.5, 0.81))
    made = exported(version, "keras", tmp_path / "out")
    assert made.holds
    assert made.largest_probability <= made.several
    told = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    assert (told["answers"], told["thresholds"]) == ("labels", [0.2, 0.5, 0.81])


def test_a_weight_that_is_not_written_back_is_found_out(tmp_path, monkeypatch):
    from fettle.core.errors import Blocked
    from fettle.models import keras_row

    version = leaving(tmp_path, saved(around(side=32), tmp_path / "a.keras"))
    monkeypatch.setattr(keras_row._Norm, "weights", lambda self: [])
    with pytest.raises(Blocked, match="does not answer as the version does"):
        exported(version, "keras", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_was_exported_can_be_tuned_again(tmp_path):
    version = leaving(tmp_path, saved(around(side=48), tmp_path / "a.keras"))
    exported(version, "keras", tmp_path / "out")
    card = card_of(str(tmp_path / "out" / "model.keras"))
    assert card.block_names == ("part1", "part2")
    assert card.picture.std == (1 / 255,)  # it scales pixels itself
    pixels, _ = asked(version)
    with torch.inference_mode():
        before = version.network.taps({"pixels": torch.from_numpy(pixels)}, ("own",))["own"]
        after = open_network(card).taps({"pixels": torch.from_numpy(pixels)}, ("own",))["own"]
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)


def test_a_network_that_keras_did_not_make_is_refused(tmp_path):
    version = leaving(tmp_path, timm_folder(tmp_path / "model"))
    with pytest.raises(SettingError, match=r"a network of timm, and only one that Keras made"):
        exported(version, "keras", tmp_path / "out")


def test_a_torch_state_of_it_is_refused_in_words(tmp_path):
    version = leaving(tmp_path, saved(around(side=32), tmp_path / "a.keras"))
    with pytest.raises(SettingError, match=r"a network of keras, and network.py .*keras or onnx"):
        exported(version, "torch", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_page_beside_it_opens_it_as_it_says(tmp_path, monkeypatch, capsys):
    version = leaving(tmp_path, saved(around(side=48), tmp_path / "a.keras"))
    exported(version, "keras", tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    (tmp_path / "out" / "scan-17.png").write_bytes(encoded(drawn("disc", seed=1, side=40)))
    monkeypatch.chdir(tmp_path / "out")
    monkeypatch.syspath_prepend(tmp_path / "out")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip().strip("[']") in CLASSES


IN_TENSORFLOW = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from pixels import Pixels
import keras
Pixels(sys.argv[1])
model = keras.saving.load_model(sys.argv[1] + "/model.keras", compile=False)
said = model(np.load(sys.argv[2]), training=False)
np.save(sys.argv[2] + ".said.npy", keras.ops.convert_to_numpy(said))
foreign = sorted({"torch", "fettle"} & set(sys.modules))
print(json.dumps({"backend": keras.backend.backend(), "foreign": foreign}))
"""


def in_tensorflow(folder, pixels, at):
    """What the exported file says in another process, whose Keras stands on TensorFlow."""
    if find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed here (pip install tensorflow-cpu), so nobody saw "
                    "whether it says the same")
    np.save(at, pixels)
    done = subprocess.run(
        [sys.executable, "-c", IN_TENSORFLOW, str(folder), str(at)], capture_output=True, text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "KERAS_HOME": HOME,
             "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"backend": "tensorflow", "foreign": []}
    return np.load(f"{at}.said.npy")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["caffe", "tf"])
def test_tensorflow_says_the_same(mode, tmp_path):
    place = saved(holding(around(top=False)), tmp_path / "a.keras")
    (tmp_path / "a.json").write_text(json.dumps({"mode": mode}))
    version = leaving(tmp_path, place)
    exported(version, "keras", tmp_path / "out")
    pixels, expected = asked(version)
    found = in_tensorflow(tmp_path / "out", pixels, tmp_path / "pixels.npy")
    assert expected.std() > 1e-2
    assert np.abs(found - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), [("ResNet50", 64), ("VGG16", 64), ("InceptionV3", 96)])
def test_tensorflow_says_the_same_of_the_large_ones(name, side, tmp_path):
    model = getattr(library().applications, name)(weights=None, include_top=False, pooling="avg")
    for norm in model.layers:  # statistics as if they had seen pictures
        if type(norm).__name__ == "BatchNormalization":
            moved(norm, seed=4)
    # vectors of length 1: what random weights make of pictures would be of any size
    version = leaving(tmp_path, saved(model, tmp_path / "a.keras"), side=side, normalise=True)
    exported(version, "keras", tmp_path / "out")
    pixels, expected = asked(version)
    found = in_tensorflow(tmp_path / "out", pixels, tmp_path / "pixels.npy")
    difference = float(np.abs(found - expected).max())
    print(f"{name}: {difference:.2g} apart, of outputs up to {np.abs(expected).max():.2g}")
    assert expected.std() > 1e-3
    assert difference < 1e-4
