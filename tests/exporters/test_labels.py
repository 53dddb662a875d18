"""Versions that give a row several labels, in other tools' forms: the same labels, or refused."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from fettle.core.errors import Blocked
from fettle.core.export import Certificate, Trial
from fettle.core.pictures import cell_of_bytes
from fettle.exporters import EXPORTERS, PICTURE_EXPORTERS
from fettle.exporters.pixels import Pixels
from fettle.stages import exporting
from fettle.store import files
from fettle.tasks.multi_label import MultiLabel
from leaving import CLASSES, exported, leaving
from leaving_pictures import contents, place_of
from leaving_pictures import leaving as leaving_pictures
from pictures import timm_folder
from small import texts

CUTS = (0.2, 0.5, 0.81)


def several(version):
    return replace(version, thresholds=CUTS)


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return several(leaving(tmp_path_factory.mktemp("cls"), rung="lora"))


@pytest.fixture(scope="module")
def by_means(tmp_path_factory):
    return several(leaving(tmp_path_factory.mktemp("means"), pooling="mean", normalise=True,
                           rung="lora"))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resnet")
    return several(leaving_pictures(folder, timm_folder(folder / "model")))


@pytest.fixture
def by_the_older(monkeypatch):
    """torch's older ONNX exporter takes no seconds."""
    real = torch.onnx.export

    def export(*given, dynamo, **asked):
        if dynamo:
            raise torch.onnx.OnnxExporterError("not this one")
        return real(*given, dynamo=False, **asked)

    monkeypatch.setattr(torch.onnx, "export", export)


def expected(version, rows):
    """The probabilities and the sets of labels that the version itself gives these rows."""
    task = MultiLabel(CLASSES, temperature=version.temperature, thresholds=CUTS)
    batch = version.encoder.collate(version.encoder.encode(rows))
    with torch.inference_mode():
        said = task.calibrated(version.network(batch).numpy())
    return said, [set(one) for one in task.labels(said)]


def told(folder):
    return json.loads((folder / "preprocessing.json").read_text())


def certified(version, form, folder):
    made = exported(version, form, folder)
    assert made.holds
    assert made.several == 1e-4
    assert made.largest_probability <= 1e-4
    assert "probabilities by at most" in made.sentence
    assert "no sets of labels changed" in made.sentence
    page = (folder / "README.md").read_text()
    assert "several labels, or none" in page
    said = told(folder)
    assert (said["answers"], tuple(said["thresholds"])) == ("labels", CUTS)
    assert "sigmoid" in said["how"][-1]
    assert "| 0.81 |" in page
    return made


ROWS = [*texts(30, seed=5), ("card " * 50,)]


@pytest.mark.parametrize("which", ["version", "by_means"])
def test_a_torch_state_gives_the_labels_that_the_version_gives(request, which, tmp_path):
    from fettle.exporters.torch_network import Network

    given = request.getfixturevalue(which)
    certified(given, "torch", tmp_path / "out")
    network = Network.open(tmp_path / "out")
    with torch.inference_mode():
        outputs = network(**network.batch(ROWS))
    said, labels = expected(given, ROWS)
    np.testing.assert_allclose(outputs.sigmoid().numpy(), said, atol=1e-5)
    assert [set(one) for one in network.answers(outputs)] == labels


def test_onnx_gives_probabilities_by_sigmoid_and_answers_with_labels(
    version, by_the_older, tmp_path
):
    from fettle.exporters.onnx_answers import Answers

    certified(version, "onnx", tmp_path / "out")
    answers = Answers(tmp_path / "out")
    said, labels = expected(version, ROWS)
    np.testing.assert_allclose(answers.probabilities(ROWS), said, atol=1e-5)
    assert np.abs(answers.probabilities(ROWS).sum(axis=1) - 1).max() > 0.1
    assert [set(one) for one in answers(ROWS)] == labels
    assert len(set(map(len, labels))) > 1, "rows of one and of several labels are asked"


def test_a_folder_of_transformers_says_that_labels_are_many_and_its_pipeline_takes_sigmoids(
    version, tmp_path
):
    from transformers import pipeline

    certified(version, "transformers", tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    ask = pipeline("text-classification", str(tmp_path / "out"), top_k=None)
    said, _ = expected(version, ROWS[:4])
    for row, (text,) in enumerate(ROWS[:4]):
        (answer,) = ask([text], truncation=True)
        scores = {one["label"]: one["score"] for one in answer}
        np.testing.assert_allclose([scores[name] for name in CLASSES], said[row], atol=1e-5)


def test_adapters_of_peft_leave_with_their_thresholds(version, by_means, tmp_path):
    certified(version, "peft", tmp_path / "cls")
    assert 'problem_type="multi_label_classification"' in (
        tmp_path / "cls" / "README.md").read_text()
    certified(by_means, "peft", tmp_path / "means")


def test_one_class_a_row_is_said_as_before(version, tmp_path):
    made = exported(replace(version, thresholds=None), "transformers", tmp_path / "out")
    assert made.several is None
    assert "probabilities" not in made.sentence
    assert "no answers changed" in made.sentence
    assert told(tmp_path / "out")["answers"] == "classes"
    assert "thresholds" not in told(tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["problem_type"] == "single_label_classification"


@pytest.mark.parametrize("form", ["timm", "torch", "onnx"])
def test_pictures_leave_with_their_thresholds(resnet, by_the_older, form, tmp_path):
    made = exported(resnet, form, tmp_path / "out")
    assert made.holds
    assert made.largest_probability <= 1e-4
    said = told(tmp_path / "out")
    assert (said["answers"], tuple(said["thresholds"])) == ("labels", CUTS)
    answers = PICTURE_EXPORTERS[form].open(exporting._exportable(resnet), tmp_path / "out")
    rows = [(cell_of_bytes(one),) for one in contents(9)]
    batch = resnet.encoder.collate(resnet.encoder.encode(rows))
    with torch.inference_mode():
        outputs = resnet.network(batch).numpy()
    task = MultiLabel(resnet.classes, temperature=resnet.temperature, thresholds=CUTS)
    labels = [set(one) for one in task.labels(task.calibrated(outputs))]
    found = Pixels(tmp_path / "out").answers(answers(rows))
    assert [set(one) for one in found] == labels


@pytest.mark.slow
def test_a_vision_network_of_transformers_leaves_as_one_of_several_labels(tmp_path):
    given = several(leaving_pictures(
        tmp_path, place_of(tmp_path / "model", "transformers", "ViT")))
    assert exported(given, "transformers", tmp_path / "out").holds
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"


def spoiled(form, change):
    """That form, its preprocessing.json changed after it was written."""
    whole = EXPORTERS[form]

    def write(given, folder):
        notes = whole.write(given, folder)
        path = folder / "preprocessing.json"
        files.write_json(path, change(files.read_json(path)))
        return notes

    return replace(whole, write=write)


@pytest.mark.parametrize("change", [
    lambda held: {**held, "thresholds": [*held["thresholds"][1:], held["thresholds"][0]]},
    lambda held: {**held, "thresholds": held["thresholds"][:2]},
    lambda held: {name: one for name, one in held.items() if name != "thresholds"},
], ids=["in another order", "too few", "none"])
def test_thresholds_that_say_other_labels_are_refused(version, change, tmp_path, monkeypatch):
    monkeypatch.setitem(EXPORTERS, "torch", spoiled("torch", change))
    with pytest.raises(Blocked, match=r"sets of labels changed.*Nothing was left"):
        exported(version, "torch", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_call_at_its_threshold_is_left_to_rounding_and_told(version, tmp_path):
    """The threshold of a label stands on the probability of a row, to the last digit but some."""
    with torch.inference_mode():
        batch = version.encoder.collate(version.encoder.encode(ROWS[:1]))
        said = MultiLabel(CLASSES, temperature=version.temperature).calibrated(
            version.network(batch).numpy())
    asked = exporting._Asked(version, exporting._exportable(version),
                             lambda rows: np.zeros((1, 3)), np.array(CUTS))
    asked._own = said[0] * np.array([1.0, 0.5, 0.5]) + np.array([1e-7, 0.0, 0.0])
    asked._written = asked._own
    outputs = np.log(said / (1 - said))
    over = outputs + np.array([[1e-6 / (said[0, 0] * (1 - said[0, 0])), 0, 0]])
    assert asked._changed(over, outputs) == 0
    assert "where rounding decides: 1." in asked.remarks()[0]
    far = outputs - np.array([[0.0, 30.0, 0.0]])
    assert asked._changed(far, outputs) == 1
    assert asked._changed(outputs[:, :2], outputs) == 1


def test_a_probability_that_is_off_is_refused_though_no_answer_changed():
    trial = Trial(1, 10, 2, 5, difference=1e-6, changed=0, probability=2e-4)
    whole = Certificate(
        version="a@1", made_of={}, form="torch", classes=("x",), rows_from="", trials=(trial,),
        tolerance=1.0, served_precision="fp32", served_difference=0.0, served_changed=0,
        made_with={}, notes=(), files={}, several=1e-4,
    )
    assert not whole.holds
    assert replace(whole, trials=(replace(trial, probability=9e-5),)).holds
    assert replace(whole, several=None).holds


@pytest.mark.slow
@pytest.mark.parametrize(("form", "which"), [
    ("transformers", "version"), ("transformers", "by_means"), ("torch", "version"),
    ("onnx", "version"), ("peft", "by_means"), ("peft", "version"),
])
def test_what_the_page_beside_it_shows_runs(request, form, which, tmp_path):
    exported(request.getfixturevalue(which), form, tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    if "sentence_transformers" in blocks[-1]:
        pytest.importorskip("sentence_transformers")
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path / "out",
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
