"""Exporting: what leaves answers as the version does, or nothing leaves."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fettle import upkeep
from fettle.core.errors import Blocked, FettleError, SettingError, StoreError, UnknownName
from fettle.core.export import Certificate, Trial
from fettle.core.progress import finish
from fettle.exporters import EXPORTERS, onnx
from fettle.stages import exporting
from fettle.store import checkpoints, failpoints, files
from foreign import NETWORKS
from leaving import CLASSES, exported, kept, leaving
from stories import flip_byte, pinned

FAMILIES = [kind for kind in NETWORKS if kind != "xlm-roberta"]
PARTS = ("t5", "bart")
"""Encoders that transformers opens only together with a decoder."""


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return leaving(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def by_means(tmp_path_factory):
    return leaving(tmp_path_factory.mktemp("means"), pooling="mean", normalise=True)


@pytest.fixture
def by_the_older(monkeypatch):
    """torch's newer ONNX exporter fails, as it does for XLNet; the older one takes no seconds."""
    real = torch.onnx.export

    def export(*given, dynamo, **asked):
        if dynamo:
            raise torch.onnx.OnnxExporterError("not this one")
        return real(*given, dynamo=False, **asked)

    monkeypatch.setattr(torch.onnx, "export", export)


def tree(folder):
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("form", ["transformers", "torch"])
@pytest.mark.parametrize("which", ["version", "by_means"])
def test_what_leaves_answers_as_the_version_does(request, form, which, tmp_path):
    version = request.getfixturevalue(which)
    made = exported(version, form, tmp_path / "out")
    assert made.holds
    assert 0 < made.tolerance < 1e-2
    assert (made.version, made.form, made.classes) == ("tickets@1", form, CLASSES)
    assert {trial.batch_rows for trial in made.trials} == {1, 3, 7, 32}
    assert min(trial.shortest for trial in made.trials) == 2  # [CLS] [SEP]
    assert max(trial.longest for trial in made.trials) == 12  # cut off
    assert kept(tmp_path / "out") == made
    assert set(made.files) == {path.relative_to(tmp_path / "out").as_posix()
                               for path in (tmp_path / "out").rglob("*")
                               if path.is_file()} - {"certificate.json"}
    assert os.listdir(tmp_path) == ["out"]


def test_onnx_answers_as_the_version_does_and_the_certificate_says_who_wrote_it(
    version, by_the_older, tmp_path
):
    made = exported(version, "onnx", tmp_path / "out")
    assert made.holds
    assert "the older one did" in made.notes[0]
    assert {"model.onnx", "answers.py", "preprocessing.json", "tokenizer.json"} <= set(made.files)


def test_a_head_with_a_hidden_layer_leaves_as_onnx_and_is_refused_elsewhere(by_the_older, tmp_path):
    version = leaving(tmp_path, head="mlp", pooling="mean")
    assert exported(version, "onnx", tmp_path / "onnx").holds
    for form in ("torch", "transformers", "peft"):
        with pytest.raises(SettingError, match=f"kind 'mlp', which {form} cannot .* can: onnx"):
            exported(version, form, tmp_path / form)
        assert not (tmp_path / form).exists()


def test_outputs_carry_the_temperature(version, tmp_path):
    exported(version, "torch", tmp_path / "out")
    head = load_file(tmp_path / "out" / "head.safetensors")
    expected = version.network.head.linear.weight.detach() / version.temperature
    torch.testing.assert_close(head["linear.weight"], expected)


def test_the_version_itself_is_not_changed_by_its_export(version, tmp_path):
    before = {name: value.clone() for name, value in version.network.state_dict().items()}
    exported(version, "transformers", tmp_path / "out")
    after = version.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_where_predict_answers_in_bf16_the_certificate_says_how_far_that_is_off(version, tmp_path):
    half = replace(version, precision="bf16")
    made = exported(half, "torch", tmp_path / "out")
    assert made.holds
    assert made.largest_difference < 1e-5
    assert made.served_precision == "bf16"
    assert 1e-4 < made.served_difference < 1.0
    assert exported(version, "torch", tmp_path / "fp32").served_difference < 1e-5


def broken(form, change):
    """That form, its files changed after they were written."""

    whole = EXPORTERS[form]

    def write(given, folder):
        notes = whole.write(given, folder)
        change(folder)
        return notes

    return replace(whole, write=write)


def move_a_weight(folder):
    """One number of thousands, in the last block."""
    path = folder / "model.safetensors"
    tensors = checkpoints.read_tensors(path)
    name = next(one for one in tensors if "layer.2.output.dense.weight" in one)
    tensors[name][0, 0] += 0.5
    checkpoints.write_tensors(path, tensors)


def other_preprocessing(folder):
    path = folder / "preprocessing.json"
    told = json.loads(path.read_text())
    files.write_json(path, {**told, "join": "?", "letters": 3})


def no_numbers(folder):
    path = folder / "head.safetensors"
    checkpoints.write_tensors(path, {
        name: value * float("nan") for name, value in checkpoints.read_tensors(path).items()})


@pytest.mark.parametrize("change", [move_a_weight, other_preprocessing, no_numbers])
def test_an_export_that_answers_otherwise_is_refused_and_nothing_is_left(
    version, change, tmp_path, monkeypatch
):
    monkeypatch.setitem(EXPORTERS, "torch", broken("torch", change))
    with pytest.raises(Blocked, match=r"does not answer as the version does.*Nothing was left"):
        exported(version, "torch", tmp_path / "out")
    assert not list(tmp_path.iterdir())
    assert Blocked.exit_code == 3


def test_a_small_difference_that_changes_an_answer_is_refused_too():
    trial = Trial(1, 10, 2, 5, difference=1e-6, changed=1)
    whole = Certificate(
        version="a@1", made_of={}, form="torch", classes=("x",), rows_from="", trials=(trial,),
        tolerance=1.0, served_precision="fp32", served_difference=0.0, served_changed=0,
        made_with={}, notes=(), files={},
    )
    assert not whole.holds
    assert replace(whole, trials=(replace(trial, changed=0),)).holds
    for far in (1.01, float("nan"), float("inf")):
        assert not replace(whole, trials=(replace(trial, changed=0, difference=far),)).holds
    with pytest.raises(ValueError, match="what was asked"):
        replace(whole, trials=())


def test_a_form_that_is_not_there_is_answered_with_the_nearest(version, tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'onnx'"):
        exported(version, "onx", tmp_path / "out")


def test_without_the_libraries_onnx_says_what_to_install(version, tmp_path, monkeypatch):
    real = onnx.importlib.util.find_spec
    monkeypatch.setattr(onnx.importlib.util, "find_spec",
                        lambda name: None if name == "onnxruntime" else real(name))
    with pytest.raises(SettingError, match=r"needs onnxruntime.*fettle\[onnx\]"):
        exported(version, "onnx", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_same_command_again_gives_the_stored_certificate_and_checks_the_files(
    version, tmp_path
):
    made = exported(version, "torch", tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert exported(version, "torch", tmp_path / "out") == made
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    flip_byte(tmp_path / "out" / "head.safetensors")
    with pytest.raises(SettingError, match=r"holds 'README\.md'"):
        exported(version, "torch", tmp_path / "out")


def test_the_export_of_another_version_is_not_replaced(version, by_means, tmp_path):
    made = exported(version, "torch", tmp_path / "out")
    for other, form in ((by_means, "torch"), (version, "transformers")):
        with pytest.raises(SettingError, match="Nothing of it was touched"):
            exported(other, form, tmp_path / "out")
    assert kept(tmp_path / "out") == made


def test_a_version_without_its_rows_is_asked_its_neutral_sentences(version, tmp_path):
    from fettle.store import arrow

    table = arrow.read(version.paths["rows.arrow"]).select(["text"]).slice(0, 4)
    paths = {name: path for name, path in version.paths.items() if name != "rows.arrow"}
    paths["certificate.arrow"] = arrow.write(tmp_path / "asked.arrow", table)
    made = exported(replace(version, paths=paths), "torch", tmp_path / "out")
    assert "fettle's own sentences" in made.rows_from
    assert made.trials[0].rows == 4


@pytest.mark.parametrize("stands", ["file", "link", "link to nothing", "foreign files"])
def test_what_stands_under_the_name_is_not_touched(version, stands, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if stands == "file":
        out.write_text("mine")
    elif stands == "foreign files":
        out.mkdir()
        (out / "thesis.tex").write_text("mine")
    else:
        out.symlink_to(elsewhere if stands == "link" else tmp_path / "nowhere")
    before = tree(tmp_path)
    with pytest.raises(SettingError, match=r"out is a (file|link)|thesis\.tex"):
        exported(version, "torch", out)
    assert tree(tmp_path) == before


def test_a_certificate_of_somebody_else_is_a_foreign_file(version, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "certificate.json").write_text('{"form": "torch"}')
    with pytest.raises(SettingError, match=r"certificate\.json"):
        exported(version, "torch", tmp_path / "out")


@pytest.mark.parametrize("at", ["write model.safetensors", "write network.py", "rename out"])
def test_a_full_disk_leaves_nothing_and_says_what_to_do(version, at, tmp_path):
    failpoints.arm(f"enospc@{at}")
    try:
        with pytest.raises(StoreError, match="Make room and give the same command again"):
            exported(version, "torch", tmp_path / "out")
    finally:
        failpoints.arm("")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("stands", [False, True])
def test_a_full_disk_at_any_write_leaves_nothing(version, stands, tmp_path):
    out, said = tmp_path / "out", []
    for at in range(1, 100):
        if stands:
            out.mkdir(exist_ok=True)
        failpoints.arm(f"enospc@{at}")
        try:
            exported(version, "torch", out)
            break
        except StoreError as error:
            said.append(str(error))
        finally:
            failpoints.arm("")
        if out.exists() and tree(out):
            assert kept(out).holds, "only the flush of the folder above failed"
            shutil.rmtree(out)
        assert tree(tmp_path) == (["out"] if stands and out.exists() else [])
    assert len(said) == at - 1 > 8
    assert all("Make room" in sentence for sentence in said)
    assert kept(out).holds


@pytest.fixture
def registry(told, tmp_path):
    shutil.copytree(told.registry, tmp_path / ".fettle",
                    ignore=shutil.ignore_patterns("runs", "cache"))
    return tmp_path / ".fettle"


def test_from_the_shell_with_one_object_on_standard_output(told, fettle, registry, tmp_path):
    asked = ("export", "tickets", "--to", "torch", "--out", tmp_path / "o", "--registry", registry)
    done = fettle(*asked, "--json")
    assert done.code == 0, done.err
    assert done.json["version"] == "tickets@1"
    assert done.json["changed"] == 0
    assert done.json["largest_difference"] <= done.json["tolerance"]
    again = fettle(*asked)
    assert again.code == 0
    assert "no answers changed" in again.out


def test_from_the_shell_a_refusal_ends_with_3(fettle, registry, tmp_path, monkeypatch):
    monkeypatch.setitem(EXPORTERS, "torch", broken("torch", no_numbers))
    done = fettle("export", "tickets", "--to", "torch", "--out", tmp_path / "o",
                  "--registry", registry)
    assert (done.code, done.out) == (3, "")
    assert "Nothing was left behind" in done.err
    assert not (tmp_path / "o").exists()


def test_a_registry_that_may_only_be_read_is_enough_and_nothing_is_written_to_it(
    registry, machine, tmp_path
):
    before = {path: path.read_bytes() for path in registry.rglob("*") if path.is_file()}
    with pinned(machine):
        finish(upkeep.export("tickets@1", "torch", tmp_path / "o", registry=str(registry)))
    assert {path: path.read_bytes() for path in registry.rglob("*") if path.is_file()
            if path in before} == before


@pytest.mark.slow
def test_a_kill_at_any_write_leaves_nothing_or_the_whole(told, tmp_path):
    from nursery import Nursery

    source = Path(told.version.folder)
    place, out = tmp_path / "place", tmp_path / "place" / "out"

    def again():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()

    nursery = Nursery(("fettle.upkeep", "fettle.stages.exporting", "fettle.stages.serving",
                       "transformers", "transformers.models.bert.modeling_bert"))
    try:
        seen = set()
        for operation, _ in nursery.deaths(again, "leaving:export_again", source, out):
            seen.add(out.exists())
            if out.exists():
                assert operation.split()[0] == "flush"
                assert kept(out).holds
            assert nursery.exit_code("leaving:export_again", source, out) == 0
            assert os.listdir(place) == ["out"], "what a kill left is swept by the next"
            assert kept(out).holds
        assert seen == {False, True}
    finally:
        nursery.close()


@pytest.mark.slow
@pytest.mark.parametrize("form", list(EXPORTERS))
@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize(("pooling", "normalise"), [("cls", False), ("mean", True), ("max", False)])
def test_every_family_leaves_in_every_form(
    kind, form, pooling, normalise, tmp_path, record_property
):
    if (kind, form) == ("gpt2", "peft"):
        pytest.skip("GPT-2 has no linear maps that adapters could stand beside")
    version = leaving(tmp_path, kind, pooling=pooling, normalise=normalise,
                      rung="lora" if form == "peft" else "features")
    if kind in PARTS and form in ("transformers", "peft"):
        with pytest.raises(SettingError, match="together with a decoder"):
            exported(version, form, tmp_path / "out")
        return
    made = exported(version, form, tmp_path / "out")
    assert made.holds
    record_property("difference", made.largest_difference)  # pytest --junitxml tells it
    record_property("tolerance", made.tolerance)
    record_property("notes", " ".join(made.notes))


def test_rows_are_spread_over_all_lengths():
    rows = [("x" * length,) for length in range(1000)]
    taken = exporting._spread(rows, 5)
    assert [len(text) for text, in taken] == [0, 250, 500, 749, 999]
    assert exporting._spread(rows[:3], 5) == rows[:3]


def test_a_wrong_shape_is_infinitely_far_off_and_every_answer_another():
    found, expected = np.zeros((3, 2)), np.zeros((3, 4))
    assert exporting._apart(found, expected) == float("inf")
    assert exporting._changed(found, expected) == 3


def test_every_form_says_in_words_what_it_cannot_hold(version, tmp_path):
    with pytest.raises(FettleError, match="rung 'features', which has no adapters"):
        exported(version, "peft", tmp_path / "out")
    assert not list(tmp_path.iterdir())
