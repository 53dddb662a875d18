"""Serving: the version answers as the trained model did, wherever and however it is opened."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fettle.core.dataset import Schema
from fettle.core.errors import (
    CorruptFile,
    FettleError,
    InputError,
    SettingError,
    UnknownName,
)
from fettle.stages import reading, serving
from fettle.store import checkpoints
from fettle.store.registry import Registry
from stories import copy_of, digest, flip_byte


def reference(told):
    """The learning rows whose outputs training kept, and those outputs."""
    kept = told.run_folder / "rungs" / told.run.kept / "outputs.safetensors"
    outputs = checkpoints.read_tensors(kept)["reference"].numpy()
    return told.split.learners[: len(outputs)], outputs


@pytest.fixture
def copied(told, tmp_path):
    return copy_of(told, tmp_path / "copy")


def texts(*given):
    return reading.read_unlabelled(list(given), Schema(None, ("text",)))


@pytest.mark.parametrize("told_by", ["name", "number", "folder"])
def test_a_fresh_process_answers_as_the_trained_model_did(told, fettle, told_by, tmp_path):
    references = {"name": "tickets", "number": "tickets@1", "folder": told.version.folder}
    rows, outputs = reference(told)
    lines = [json.dumps({"text": text}) for text in told.dataset.column("text", rows)]
    done = fettle.fresh(
        "predict", references[told_by], "--input", "-", "--json", "--registry", told.registry,
        folder=tmp_path, input="\n".join(lines) + "\n",
    )
    assert done.code == 0, done.err
    answers = [json.loads(line) for line in done.out.splitlines()]
    calm = outputs / told.evaluation.calibration.temperature
    probabilities = np.exp(calm) / np.exp(calm).sum(axis=1, keepdims=True)
    expected = [told.plan.classes[best] for best in outputs.argmax(axis=1)]
    assert [one["value"] for one in answers] == expected
    found = [one["confidence"] for one in answers]
    np.testing.assert_allclose(found, probabilities.max(axis=1), atol=1e-5)
    assert {one["version"] for one in answers} == {"tickets@1"}


def test_outputs_equal_the_trained_ones_to_the_recorded_difference(told):
    opened = serving.open_version("tickets@1", told.registry)
    rows, outputs = reference(told)
    found = opened.outputs(told.dataset.fields(rows))
    assert np.abs(found - outputs).max() <= max(told.version.largest_difference, 1e-6)


def test_one_row_alone_is_answered_as_it_is_among_others(told):
    opened = serving.open_version("tickets", told.registry)
    fields = told.dataset.fields(told.split.vault.sealed)
    together = opened.outputs(fields)
    alone = np.concatenate([opened.outputs([one]) for one in fields])
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-4)


def test_answers_stand_in_the_order_of_the_rows_with_their_ids_and_likeliest_classes(told):
    opened = serving.open_version("tickets", told.registry)
    answers = serving.predict(opened, texts("lost stolen card", "top up money " * 3, "pay late"))
    assert [one.value for one in answers] == ["lost card", "top up", "late payment"]
    assert len({one.id for one in answers}) == 3
    for one in answers:
        assert one.version == "tickets@1"
        assert max(one.probabilities, key=one.probabilities.get) == one.value
        assert one.confidence == one.probabilities[one.value]
        assert sum(one.probabilities.values()) == pytest.approx(1)


def test_a_folder_that_was_moved_still_opens(copied, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "a version"
    shutil.move(copied.run_folder / "version", elsewhere)
    shutil.rmtree(copied.folder)
    opened = serving.open_version(str(elsewhere), tmp_path / "no registry")
    assert opened.id == "tickets@1"
    assert serving.predict(opened, texts("lost card"))[0].value == "lost card"


def test_a_registry_answers_without_the_run_that_it_came_from(copied):
    shutil.rmtree(copied.registry / "runs")
    opened = serving.open_version("tickets", copied.registry)
    assert serving.predict(opened, texts("lost card"))[0].value == "lost card"


@pytest.mark.parametrize("name", ["model.safetensors", "task.json", "plan.json", "report.html"])
def test_a_flipped_byte_in_a_blob_is_found_before_anything_answers(copied, name):
    registry = Registry(copied.registry)
    _, _, manifest = registry.find("tickets")
    flip_byte(registry.paths(manifest)[name], 3)
    with pytest.raises(CorruptFile, match="not the file that was written"):
        serving.open_version("tickets", copied.registry)


@pytest.mark.parametrize("name", ["model.safetensors", "task.json"])
def test_a_flipped_byte_in_a_versions_folder_is_found(copied, name):
    flip_byte(copied.run_folder / "version" / name, 3)
    with pytest.raises(CorruptFile, match=name):
        serving.open_version(str(copied.run_folder / "version"), copied.registry)


@pytest.mark.parametrize("place", ["folder", "registry"])
@pytest.mark.parametrize("damage", ["cut", "longer", "empty", "gone"])
def test_every_damaged_file_of_a_version_is_found_and_named_before_anything_answers(
    copied, place, damage
):
    folder = copied.run_folder / "version"
    registry = Registry(copied.registry)
    _, _, manifest = registry.find("tickets")
    where = registry.paths(manifest) if place == "registry" else {
        name: folder / name for name in manifest["files"]}
    assert len(where) > 10
    for path in where.values():
        whole = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes({"cut": whole[:-1], "longer": whole + b"\0", "empty": b""}[damage])
        with pytest.raises(CorruptFile, match=path.name[:12]):
            serving.open_version("tickets" if place == "registry" else str(folder), copied.registry)
        path.write_bytes(whole)
    assert serving.open_version("tickets", copied.registry).id == "tickets@1"


def test_a_file_that_is_gone_is_named(copied):
    (copied.run_folder / "version" / "split.json").unlink()
    with pytest.raises(CorruptFile, match=r"split\.json is missing"):
        serving.open_version(str(copied.run_folder / "version"), copied.registry)


def test_a_list_of_files_that_leads_out_of_the_folder_is_not_followed(copied):
    folder = copied.run_folder / "version"
    facts = json.loads((folder / "version.json").read_text())
    facts["files"]["../../plan.json"] = "0" * 64
    (folder / "version.json").write_text(json.dumps(facts))
    with pytest.raises(CorruptFile):
        serving.open_version(str(folder), copied.registry)


@pytest.mark.parametrize("content", ["{}", "[]", '{"files": 3}', "not json", '{"files": {}}'])
def test_a_list_of_files_that_is_broken_is_named(copied, content):
    folder = copied.run_folder / "version"
    (folder / "version.json").write_text(content)
    with pytest.raises(CorruptFile, match=r"version\.json"):
        serving.open_version(str(folder), copied.registry)


def altered(folder, change):
    """The version in this folder with other weights, and the hash of those in its list."""
    path = folder / "model.safetensors"
    tensors = checkpoints.read_tensors(path)
    change(tensors)
    checkpoints.write_tensors(path, tensors)
    facts = json.loads((folder / "version.json").read_text())
    facts["files"]["model.safetensors"] = digest(path)
    (folder / "version.json").write_text(json.dumps(facts))
    return folder


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_do_not_answer(copied, value):
    def spoil(tensors):
        name = next(one for one in tensors if one.endswith("weight"))
        tensors[name].view(-1)[0] = value

    folder = altered(copied.run_folder / "version", spoil)
    with pytest.raises(CorruptFile, match=r"model\.safetensors: .*weight holds .*not finite"):
        serving.open_version(str(folder), copied.registry)


def test_weights_of_another_shape_do_not_answer(copied):
    def cut(tensors):
        name = next(one for one in tensors if one.startswith("head") and one.endswith("weight"))
        tensors[name] = tensors[name][:, :-1]

    folder = altered(copied.run_folder / "version", cut)
    with pytest.raises(FettleError):
        serving.open_version(str(folder), copied.registry)


def test_a_folder_that_is_no_version_says_so(tmp_path):
    with pytest.raises(CorruptFile, match=r"no version\.json"):
        serving.open_version(str(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("asked", "words"),
    [("ticket", "Did you mean 'tickets'"), ("tickets@7", "'7'"), ("tickets@best", "best")],
)
def test_a_version_that_is_not_there_is_answered_with_the_nearest(told, asked, words):
    with pytest.raises(UnknownName, match=words):
        serving.open_version(asked, told.registry)


def test_where_there_is_no_registry_that_is_said(tmp_path):
    with pytest.raises(SettingError, match="fettle tune"):
        serving.open_version("tickets", tmp_path / ".fettle")
    assert not (tmp_path / ".fettle").exists()


def test_rows_without_the_column_that_the_model_reads_are_refused(told):
    opened = serving.open_version("tickets", told.registry)
    rows = texts("lost card")
    table = rows.table.rename_columns(["message"])
    with pytest.raises(InputError, match="no column 'text'"):
        serving.predict(opened, replace(rows, table=table, schema=Schema(None, ("message",))))
