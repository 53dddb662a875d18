"""ONNX: the file answers without torch and without fettle, by what is written beside it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from fettle.core.errors import SettingError
from fettle.exporters import onnx
from leaving import exported, leaving
from small import texts

ALONE = """
import json, sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path(sys.argv[1])
told = json.loads((folder / "preprocessing.json").read_text())
tokenizer = Tokenizer.from_file(str(folder / told["tokenizer"]))
session = onnxruntime.InferenceSession(str(folder / told["network"]))
answers = []
for batch in json.load(sys.stdin):
    found = []
    for row in batch:
        text = told["join"].join(part for part in row if part)[: told["letters"]]
        found.append(tokenizer.encode(text).ids)
    longest = max(1, max(map(len, found)))
    ids = np.array([one + [told["pad"]] * (longest - len(one)) for one in found], dtype=np.int64)
    mask = np.array([[1] * max(len(one), 1) + [0] * (longest - max(len(one), 1)) for one in found],
                    dtype=np.int64)
    logits, = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
    answers += [(told["classes"][row.argmax()], row.tolist()) for row in logits]
foreign = sorted({"torch", "transformers", "fettle", "sklearn", "scipy"} & set(sys.modules))
print(json.dumps({"answers": answers, "foreign": foreign}))
"""
"""Somebody's own program, which follows the description."""


@pytest.fixture
def by_the_older(monkeypatch):
    real = torch.onnx.export

    def export(*given, dynamo, **asked):
        if dynamo:
            raise torch.onnx.OnnxExporterError("not this one")
        return real(*given, dynamo=False, **asked)

    monkeypatch.setattr(torch.onnx, "export", export)


def asked(folder, batches):
    done = subprocess.run([sys.executable, "-c", ALONE, str(folder)], input=json.dumps(batches),
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def agrees(version, folder):
    """The file and the version say the same of the same batches."""
    rows = [*texts(21, seed=5), ("",), ("card " * 50,)]
    batches = [rows[:1], rows[1:4], rows[4:11], rows[11:]]
    said = asked(folder, batches)
    assert said["foreign"] == []
    expected = []
    for batch in batches:
        with torch.inference_mode():
            given = version.encoder.collate(version.encoder.encode(batch))
            expected.append(version.network(given).numpy() / version.temperature)
    outputs = np.concatenate(expected)
    assert [name for name, _ in said["answers"]] == [
        version.classes[best] for best in outputs.argmax(axis=1)]
    np.testing.assert_allclose([row for _, row in said["answers"]], outputs, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("pooling", "normalise"), [("cls", False), ("mean", True), ("max", False)])
def test_the_solved_head_leaves_with_the_pooling_that_was_chosen(pooling, normalise, tmp_path):
    version = leaving(tmp_path, pooling=pooling, normalise=normalise)
    made = exported(version, "onnx", tmp_path / "out")
    assert made.notes == ()
    agrees(version, tmp_path / "out")


def test_a_process_without_torch_answers_alike_even_a_row_without_a_token(by_the_older, tmp_path):
    version = leaving(tmp_path, "gpt2", pooling="mean", special=False)
    assert len(version.encoder.encode([("",)])[0]) == 0
    exported(version, "onnx", tmp_path / "out")
    agrees(version, tmp_path / "out")


def test_the_file_beside_it_gives_answers_and_probabilities(by_the_older, tmp_path):
    from fettle.exporters.onnx_answers import Answers

    version = leaving(tmp_path)
    exported(version, "onnx", tmp_path / "out")
    answers = Answers(tmp_path / "out")
    rows = texts(5)
    probabilities = answers.probabilities(rows)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)
    assert answers(rows) == [version.classes[best] for best in probabilities.argmax(axis=1)]
    calm = np.exp(answers.outputs(rows))
    np.testing.assert_allclose(calm / calm.sum(axis=1, keepdims=True), probabilities, atol=1e-6)


def test_the_file_takes_any_batch_and_length_and_names_them(by_the_older, tmp_path):
    import onnxruntime

    version = leaving(tmp_path)
    exported(version, "onnx", tmp_path / "out")
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        ("input_ids", ["rows", "tokens"]), ("attention_mask", ["rows", "tokens"])]


def test_what_only_the_older_exporter_can_write_has_a_limit(by_the_older, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "ONE_FILE_BYTES", 1000)
    with pytest.raises(SettingError, match="no file above 2 GB"):
        exported(leaving(tmp_path), "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_weights_beyond_one_file_lie_beside_it_and_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "ONE_FILE_BYTES", 1000)
    version = leaving(tmp_path)
    made = exported(version, "onnx", tmp_path / "out")
    assert {name for name in made.files if name.startswith("model.onnx")} > {"model.onnx"}
    agrees(version, tmp_path / "out")


def test_the_file_holds_no_path_of_this_machine(by_the_older, tmp_path):
    exported(leaving(tmp_path), "onnx", tmp_path / "out")
    content = (tmp_path / "out" / "model.onnx").read_bytes()
    assert torch.__file__.rpartition("/")[0].encode() not in content


def test_nothing_is_printed(by_the_older, tmp_path, capfd):
    version = leaving(tmp_path)
    capfd.readouterr()
    exported(version, "onnx", tmp_path / "out")
    assert capfd.readouterr() == ("", "")
