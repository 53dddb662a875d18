"""The whole story of a Keras file: class folders in, a version, an answer, a .keras file out."""

import json

import numpy as np
import pytest

from exporters.test_keras import in_tensorflow
from keras_models import around, saved
from pictures import CLASSES, class_folders

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras-story")
    class_folders(folder / "shapes" / "train", 24)
    class_folders(folder / "shapes" / "test", 8, seed=500)
    saved(around(side=64), folder / "around.keras")
    (folder / "around.json").write_text('{"mode": "caffe"}')
    return folder


@pytest.mark.slow
def test_from_a_keras_file_to_an_answer_in_tensorflow(place, fettle, monkeypatch):
    monkeypatch.chdir(place)
    tuned = fettle("tune", "shapes", "--model", "around.keras", "--rungs", "features,top,full",
                   "--json")
    assert tuned.code == 0, tuned.err
    run = place / tuned.json["run"]
    plan = json.loads((run / "plan.json").read_text())
    assert plan["model"] == "around.keras"
    assert any("as around.json beside it says" in one for one in plan["reasons"])
    top = json.loads((run / "rungs" / "top" / "rung.json").read_text())
    assert any("difference 0 in the same batch" in note for note in top["notes"])

    (place / "around.keras").rename(place / "moved.keras")  # the version needs it no more
    answered = fettle("predict", "shapes", "shapes/test/disc/000.png", "--json")
    (place / "moved.keras").rename(place / "around.keras")
    assert answered.code == 0, answered.err
    assert json.loads(answered.out.splitlines()[0])["value"] in CLASSES

    left = fettle("export", "shapes", "--to", "keras", "--out", "out", "--json")
    assert left.code == 0, left.err
    from fettle import pipeline

    opened = pipeline.open_version(str(run / "version"))
    rows = [(cell,) for cell, in opened.encoder.samples()]
    items = opened.encoder.collate(opened.encoder.encode(rows))["pixels"].numpy()
    expected = opened.outputs(rows) / opened.temperature
    found = in_tensorflow(place / "out", items, place / "pixels.npy")
    assert np.abs(found - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())


@pytest.mark.slow
def test_what_is_refused_ends_with_2_and_what_to_do(place, fettle, monkeypatch):
    monkeypatch.chdir(place)
    gone = fettle("tune", "shapes", "--model", "keras:ResNet50")
    assert gone.code == 2
    assert "keras.applications.ResNet50(include_top=False)" in gone.err.replace("\n", "")
    (place / "old.h5").write_bytes(b"\x89HDF")
    assert fettle("tune", "shapes", "--model", "old.h5").code == 2
