"""Versions of pictures in other tools' forms: each answers as the version does, or is refused."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from fettle.core.errors import Blocked, SettingError, UnknownName
from fettle.core.pictures import cell_of_bytes
from fettle.core.plan import Unit
from fettle.exporters import beside, picture_timm
from fettle.exporters.pixels import Pixels
from fettle.store import arrow, checkpoints
from leaving import exported
from leaving_pictures import TIMM, TRANSFORMERS, contents, leaving, place_of
from pictures import CLASSES, timm_folder


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resnet")
    return leaving(folder, timm_folder(folder / "model"))


@pytest.fixture
def by_the_older(monkeypatch):
    """torch's older exporter takes no seconds."""
    real = torch.onnx.export

    def export(*given, dynamo, **asked):
        if dynamo:
            raise torch.onnx.OnnxExporterError("not this one")
        return real(*given, dynamo=False, **asked)

    monkeypatch.setattr(torch.onnx, "export", export)


def certified(version, form, folder):
    made = exported(version, form, folder)
    assert made.holds
    assert (made.form, made.classes, made.unit) == (form, CLASSES, "pixels a side")
    assert {trial.batch_rows for trial in made.trials} == {1, 3, 7, 32}
    assert "pixels a side: outputs differ" in made.sentence
    assert {"pixels.py", "README.md", "preprocessing.json"} <= set(made.files)
    return made


@pytest.mark.parametrize("form", ["timm", "torch"])
def test_what_leaves_answers_as_the_version_does(resnet, form, tmp_path):
    certified(resnet, form, tmp_path / "out")


def test_one_that_answers_numbers_says_so_in_place_of_a_softmax(resnet, tmp_path):
    version = replace(resnet, unit=Unit(mean=20.0, spread=3.0))
    exported(version, "torch", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    assert told["answers"] == "numbers"
    assert "no softmax" in told["how"][-1]
    assert "answers numbers: its outputs are (rows, 1)" in (
        tmp_path / "out" / "README.md").read_text()


ALONE = """
import json, sys
from pathlib import Path

folder = sys.argv[1]
sys.path.insert(0, folder)
import onnxruntime
from pixels import Pixels

pixels = Pixels(folder)
session = onnxruntime.InferenceSession(str(Path(folder) / "model.onnx"))
(found,) = session.run(["logits"], {"pixels": pixels(sys.argv[2:])})
foreign = sorted({"torch", "torchvision", "timm", "transformers", "fettle"} & set(sys.modules))
print(json.dumps({"logits": found.tolist(), "classes": pixels.classes, "foreign": foreign}))
"""


def test_onnx_answers_in_a_process_without_torch(resnet, by_the_older, tmp_path):
    certified(resnet, "onnx", tmp_path / "out")
    paths = []
    for at, content in enumerate(contents(5)):
        paths.append(tmp_path / f"{at}.picture")
        paths[-1].write_bytes(content)
    done = subprocess.run([sys.executable, "-c", ALONE, tmp_path / "out", *paths],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["foreign"] == []
    assert tuple(told["classes"]) == CLASSES
    items = resnet.encoder.encode([(cell_of_bytes(one),) for one in contents(5)])
    with torch.inference_mode():
        expected = resnet.network(resnet.encoder.collate(items)).numpy() / resnet.temperature
    np.testing.assert_allclose(told["logits"], expected, atol=1e-4)


def test_the_pixels_beside_are_the_pixels_of_training_to_the_last_bit(resnet, tmp_path):
    exported(resnet, "torch", tmp_path / "out")
    given = contents(12)
    found = Pixels(tmp_path / "out")(given)
    items = resnet.encoder.encode([(cell_of_bytes(one),) for one in given])
    assert (found == resnet.encoder.collate(items)["pixels"].numpy()).all()


def test_timm_opens_the_folder_by_its_checkpoint_and_by_its_name(resnet, tmp_path):
    import timm

    exported(resnet, "timm", tmp_path / "out")
    by_file = timm.create_model("test_resnet", checkpoint_path=tmp_path / "out/model.safetensors",
                                num_classes=3).eval()
    by_name = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    noise = torch.rand(2, 3, 32, 32)
    assert torch.equal(by_file(noise), by_name(noise))
    fed = timm.data.resolve_model_data_config(by_name)
    assert tuple(fed["input_size"]) == (3, 32, 32)
    assert fed["crop_pct"] == pytest.approx(32 / 36)
    assert tuple(fed["mean"]) == (0.5,) * 3


ODD: set[tuple[str, str]] = set()
"""Those whose own classifier makes its vector in another way."""
FAMILIES = [("timm", one) for one in TIMM] + [("transformers", one) for one in TRANSFORMERS]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "timm", "transformers", "torch"])
@pytest.mark.parametrize(("library", "family"), FAMILIES)
def test_every_family_leaves_in_every_form_or_is_refused_in_words(
    library, family, form, tmp_path, record_property
):
    version = leaving(tmp_path, place_of(tmp_path / "model", library, family))
    refused = form in ("timm", "transformers") and (form != library or (form, family) in ODD)
    if refused:
        with pytest.raises(SettingError, match="Export it to"):
            exported(version, form, tmp_path / "out")
        return
    made = certified(version, form, tmp_path / "out")
    record_property("difference", made.largest_difference)
    record_property("notes", " ".join(made.notes))


@pytest.mark.slow
def test_a_vision_network_of_transformers_leaves_as_its_own_classifier(tmp_path):
    from transformers import AutoModelForImageClassification

    version = leaving(tmp_path, place_of(tmp_path / "model", "transformers", "ViT"))
    certified(version, "transformers", tmp_path / "out")
    opened = AutoModelForImageClassification.from_pretrained(tmp_path / "out")
    assert opened.config.id2label == dict(enumerate(CLASSES))


def test_forms_that_cannot_be_are_refused_with_a_reason(resnet, tmp_path):
    for form, sentence in (
        ("peft", "reads pictures, and peft is no form"),
        ("transformers", "no network of transformers"),
    ):
        with pytest.raises(SettingError, match=sentence):
            exported(resnet, form, tmp_path / "out")
    with pytest.raises(UnknownName, match="Did you mean 'timm'"):
        exported(resnet, "tim", tmp_path / "out")
    hidden = leaving(tmp_path / "mlp", timm_folder(tmp_path / "model"), head="mlp")
    with pytest.raises(SettingError, match=r"kind 'mlp', which timm cannot hold.*onnx"):
        exported(hidden, "timm", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_that_answers_otherwise_leaves_nothing(resnet, monkeypatch, tmp_path):
    real = picture_timm.write

    def off(given, folder):
        notes = real(given, folder)
        path = folder / "model.safetensors"
        state = checkpoints.read_tensors(path)
        state["fc.bias"] = state["fc.bias"] + torch.tensor([0.0, 0.5, 0.0])
        checkpoints.write_tensors(path, state)
        return notes

    from fettle.core.parts import Exporter
    from fettle.exporters import PICTURE_EXPORTERS

    monkeypatch.setitem(PICTURE_EXPORTERS, "timm", Exporter(off, picture_timm.open_folder, "image"))
    with pytest.raises(Blocked, match="does not answer as the version does"):
        exported(resnet, "timm", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_gone_are_replaced_by_those_it_was_proved_by(resnet, tmp_path):
    from dataclasses import replace

    gone = pa.table({"picture": [f"sha256:{at:064x}" for at in range(5)], "label": ["disc"] * 5,
                     "id": list("abcde"), "side": ["train"] * 5})
    proved = pa.table({"picture": [cell for cell, in resnet.encoder.samples()]})
    paths = {**resnet.paths, "rows.arrow": arrow.write(tmp_path / "rows.arrow", gone),
             "certificate.arrow": arrow.write(tmp_path / "certificate.arrow", proved)}
    made = exported(replace(resnet, paths=paths), "torch", tmp_path / "out")
    assert made.holds
    assert "not where they were" in made.rows_from


@pytest.mark.parametrize(("name", "shown"), [
    (r"C:\Users\me\scans.keras", "scans.keras"), ("../private/scans.keras", "scans.keras"),
    ("/home/me/net", "net"), ("timm/resnet50.a1_in1k", "timm/resnet50.a1_in1k"),
    ("keras:ResNet50", "keras:ResNet50"),
])
def test_a_page_names_a_model_and_no_folder_of_the_machine(resnet, name, shown, tmp_path):
    card = replace(resnet.network.card, name=name)
    given = SimpleNamespace(id="shapes@1", card=card, encoder={"fields": ["picture"]},
                            numbers=False, thresholds=None)
    beside.write_readme(given, tmp_path, "ONNX", "how")
    assert f"Tuned from `{shown}`." in (tmp_path / "README.md").read_text()


def test_fractions_without_a_scale_are_refused_as_the_version_refuses_them(resnet, tmp_path):
    exported(resnet, "torch", tmp_path / "out")
    Image.fromarray(np.full((40, 40), 0.5, np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ValueError, match="fractions without a scale"):
        Pixels(tmp_path / "out")([tmp_path / "f.tif"])


@pytest.mark.parametrize("beyond", [-1, 65_536])
def test_numbers_beyond_16_bits_are_refused_as_the_version_refuses_them(resnet, tmp_path, beyond):
    exported(resnet, "torch", tmp_path / "out")
    values = np.full((40, 40), 1000, np.int32)
    values[3, 4] = beyond
    Image.fromarray(values).save(tmp_path / "i.tif")
    with pytest.raises(ValueError, match="whole ones from 0 to 65,535 can be read"):
        Pixels(tmp_path / "out")([tmp_path / "i.tif"])
