"""A folder of transformers: opened by its own tools, with the labels, and the same confidence."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fettle.core.progress import finish
from fettle.exporters import EXPORTERS
from fettle.exporters.classifiers import HEADS
from fettle.stages import exporting
from leaving import CLASSES, exported, leaving
from small import texts


def outputs(version, rows):
    """What the version says, one row at a time."""
    found = []
    for row in rows:
        with torch.inference_mode():
            batch = version.encoder.collate(version.encoder.encode([row]))
            found.append(version.network(batch).numpy() / version.temperature)
    return np.concatenate(found)


def test_a_pipeline_gives_the_labels_and_the_confidence_that_is_served(tmp_path):
    from transformers import pipeline

    version = leaving(tmp_path)
    exported(version, "transformers", tmp_path / "out")
    rows = [*texts(20), ("card " * 50,)]
    found = pipeline("text-classification", str(tmp_path / "out"), device="cpu")(
        [text for text, in rows], batch_size=7, truncation=True)
    calm = np.exp(outputs(version, rows))
    expected = calm / calm.sum(axis=1, keepdims=True)
    assert [one["label"] for one in found] == [CLASSES[best] for best in expected.argmax(axis=1)]
    np.testing.assert_allclose([one["score"] for one in found], expected.max(axis=1), atol=1e-5)


def test_the_config_names_the_class_and_the_labels_and_nothing_of_a_run(tmp_path):
    exported(leaving(tmp_path), "transformers", tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "lost card", "1": "top up", "2": "late payment"}
    assert config["label2id"] == {"lost card": 0, "top up": 1, "late payment": 2}
    assert not {"_name_or_path", "_attn_implementation", "auto_map"} & set(config)
    assert str(tmp_path) not in json.dumps(config)


@pytest.mark.parametrize("kind", sorted(HEADS.keys() - {"bert", "camembert"}))
def test_a_head_on_the_first_token_fits_the_class_of_its_family(kind, tmp_path):
    from transformers import AutoModelForSequenceClassification

    made = exported(leaving(tmp_path, kind), "transformers", tmp_path / "out")
    assert made.notes == ()
    assert made.largest_difference < 1e-4
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "out", local_files_only=True)


def test_more_classes_than_a_class_has_room_for_are_opened_the_other_way(tmp_path):
    version = leaving(tmp_path, "electra", classes=tuple(f"class {n}" for n in range(17)))
    made = exported(version, "transformers", tmp_path / "out")
    assert "32 places, and 17 classes take two each" in made.notes[0]
    assert (tmp_path / "out" / "modules.json").is_file()


@pytest.mark.parametrize(("pooling", "normalise"), [("mean", True), ("max", False), ("cls", True)])
def test_sentence_transformers_opens_a_head_that_fits_no_class(pooling, normalise, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    version = leaving(tmp_path, pooling=pooling, normalise=normalise)
    made = exported(version, "transformers", tmp_path / "out")
    assert "No AutoModelForSequenceClassification fits" in made.notes[0]
    rows = [*texts(20), ("card " * 50,)]
    found = library.SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(
        [text for text, in rows])
    np.testing.assert_allclose(found, outputs(version, rows), atol=1e-4)


def test_automodel_makes_no_weight_up(tmp_path):
    from transformers import AutoModel

    exported(leaving(tmp_path, pooling="mean"), "transformers", tmp_path / "out")
    model, found = AutoModel.from_pretrained(
        tmp_path / "out", local_files_only=True, output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    assert not model.pooler.dense.weight.any(), "what is not used is visibly nothing"


def test_what_the_network_cannot_hold_is_seen_by_the_certificate(tmp_path, monkeypatch):
    from fettle.core.errors import Blocked
    from fettle.exporters import classifiers

    monkeypatch.setattr(classifiers, "SMALL", 10.0)  # far from where tanh is straight
    with pytest.raises(Blocked):
        exported(leaving(tmp_path), "transformers", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("form", list(EXPORTERS))
def test_no_path_of_this_machine_and_no_row_leaves(form, pooling, tmp_path):
    version = leaving(tmp_path, pooling=pooling, rung="lora" if form == "peft" else "features")
    exported(version, form, tmp_path / "out")
    libraries = str(Path(torch.__file__).parents[1])
    rows = [text for text, in texts(40) if len(text) > 12]
    for path in (tmp_path / "out").rglob("*"):
        content = b"" if path.is_dir() else path.read_bytes()
        for private in (libraries, str(Path(exporting.__file__).parents[2]), *rows):
            assert private.encode() not in content, (path, private)
        if path.name != "adapter_config.json":  # which names the model that they belong on
            assert str(tmp_path).encode() not in content, path


SHOWN = [
    ("transformers", "cls", False), ("transformers", "mean", True), ("torch", "mean", True),
    ("onnx", "mean", True), ("peft", "mean", True), ("peft", "cls", False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("form", "pooling", "normalise"), SHOWN)
def test_what_the_page_beside_it_shows_runs(form, pooling, normalise, tmp_path):
    assert {one for one, _, _ in SHOWN} == set(EXPORTERS)
    version = leaving(tmp_path, pooling=pooling, normalise=normalise,
                      rung="lora" if form == "peft" else "features")
    finish(exporting.export(version, form, tmp_path / "out"))
    page = (tmp_path / "out" / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    if "sentence_transformers" in blocks[-1]:
        pytest.importorskip("sentence_transformers")
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path / "out",
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() or "model = " in blocks[0]
