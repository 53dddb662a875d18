"""Publishing: what is saved is what was trained, every file by its hash, or nothing at all."""

import shutil
from dataclasses import replace

import pyarrow as pa
import pytest

from fettle.core.errors import CorruptFile, StoreError
from fettle.stages import publishing
from fettle.store import checkpoints, files
from fettle.store.registry import Registry
from stories import copy_of, digest, flip_byte, write_rows


def published(told, registry, *, keep_rows=True):
    return publishing.publish(
        told.dataset, told.plan, told.split, told.run, told.evaluation, told.report,
        card=told.card, registry=registry, keep_rows=keep_rows,
    )


@pytest.fixture
def trained(told, tmp_path):
    """The story up to its report, in a folder of its own: nothing is published yet."""
    copied = copy_of(told, tmp_path / "copy")
    shutil.rmtree(copied.run_folder / "version")
    return copied


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


def alter(path):
    """The same network with one weight of its head pushed aside."""
    tensors = checkpoints.read_tensors(path)
    name = next(name for name in tensors if name.startswith("head") and name.endswith("bias"))
    tensors[name] = tensors[name] + 0.01
    checkpoints.write_tensors(path, tensors)


def test_every_file_of_a_version_is_recorded_with_its_hash(trained, registry):
    version = published(trained, registry)
    folder = trained.run_folder / "version"
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(version.files) == there - {"version.json"}
    assert {"model.safetensors", "plan.json", "split.json", "evaluation.json", "task.json",
            "rows.arrow", "model-card.md", "report.html"} <= there
    for name, expected in version.files.items():
        assert digest(folder / name) == expected
    assert files.read_json(folder / "version.json")["files"] == version.files
    _, _, manifest = registry.find(version.name)
    assert manifest["files"] == version.files


def test_the_weights_published_are_the_trained_ones_to_the_byte(trained, registry):
    version = published(trained, registry)
    assert version.files["model.safetensors"] == trained.weights(trained.run.kept)


def test_the_largest_difference_is_recorded(trained, registry):
    version = published(trained, registry)
    assert 0 <= version.largest_difference <= publishing.TOLERANCE
    _, _, manifest = registry.find(version.id)
    assert manifest["largest_difference"] == version.largest_difference


def test_what_a_version_was_made_of_is_recorded(trained, registry):
    lineage = published(trained, registry).lineage
    assert lineage["base_weights"] == trained.card.sha256
    assert lineage["learning_rows"] == trained.split.learning
    assert lineage["test_rows"] == trained.split.vault.fingerprint
    assert lineage["rung"] == trained.run.kept
    assert {"torch", "transformers", "tokenizers", "numpy", "python", "fettle"} <= set(lineage)


def test_weights_that_were_altered_after_training_are_refused_and_nothing_is_entered(
    trained, registry
):
    alter(trained.run_folder / "rungs" / trained.run.kept / "model.safetensors")
    with pytest.raises(CorruptFile, match=r"differ by up to 0\.0\d+.*not published"):
        published(trained, registry)
    assert registry.versions() == []
    assert not (trained.run_folder / "version" / "version.json").exists()


def test_a_tokenizer_that_was_altered_after_training_is_refused_too(trained, registry):
    folder = trained.run_folder / "rungs" / trained.run.kept
    path = next(p for p in folder.iterdir() if '"card"' in p.read_text(errors="ignore"))
    text = path.read_text()
    assert '"card"' in text
    path.write_text(text.replace('"card"', '"@@"').replace('"top"', '"card"'))
    with pytest.raises(CorruptFile, match="not published"):
        published(trained, registry)
    assert registry.versions() == []


def test_weights_that_are_torn_are_refused_and_nothing_is_entered(trained, registry):
    path = trained.run_folder / "rungs" / trained.run.kept / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError):
        published(trained, registry)
    assert registry.versions() == []


def test_the_rows_travel_with_the_version_each_with_its_id_and_side(trained, registry):
    published(trained, registry)
    with pa.ipc.open_file(trained.run_folder / "version" / "rows.arrow") as reader:
        table = reader.read_all()
    assert table.column_names == ["text", "label", "id", "side"]
    assert table.column("text").to_pylist() == trained.dataset.column("text")
    assert table.column("id").to_pylist() == list(trained.dataset.ids)
    sides = table.column("side").to_pylist()
    for side, rows in (("train", trained.split.train), ("validation", trained.split.validation),
                       ("test", trained.split.vault.sealed)):
        assert [row for row, one in enumerate(sides) if one == side] == sorted(rows)


def test_columns_that_are_called_id_and_side_are_not_lost(tmp_path, tell, tiny):
    words = ["alpha", "beta"]
    rows = [(f"{words[at % 2]} my card is {'lost ' * (at % 7)} now {'pay ' * (at // 7)}",
             f"message {at}", words[at % 2]) for at in range(40)]
    data = write_rows(tmp_path / "a.csv", rows, header=("side", "id", "label"))
    told = tell(tmp_path, data, model=tiny, rungs=("features",), target="label",
                inputs=("side", "id"))
    with pa.ipc.open_file(told.run_folder / "version" / "rows.arrow") as reader:
        assert reader.read_all().column_names == ["side", "id", "label", "_id", "_side"]


def test_without_keep_rows_no_row_is_in_the_version(trained, registry):
    version = published(trained, registry, keep_rows=False)
    assert "rows.arrow" not in version.files
    marked = trained.dataset.column("text")[0].encode()
    for path in (trained.run_folder / "version").rglob("*"):
        assert path.is_dir() or marked not in path.read_bytes(), path


def test_rows_that_an_earlier_try_left_behind_do_not_slip_in(trained, registry):
    published(trained, registry)
    version = published(trained, registry, keep_rows=False)
    assert "rows.arrow" not in version.files
    assert not (trained.run_folder / "version" / "rows.arrow").exists()


def test_a_folder_that_is_published_again_still_opens(trained, registry):
    from fettle.stages.serving import open_version

    published(trained, registry)
    second = published(trained, registry)
    assert second.id == f"{trained.plan.name}@1", "it is the same version"
    assert "version.json" not in second.files
    assert open_version(second.folder, registry.root).id == second.id


def test_a_disk_that_fails_leaves_nothing_in_the_registry(trained, registry, monkeypatch):
    from fettle.store.blobs import Blobs

    def put(*_):
        raise StoreError("the disk is full")

    monkeypatch.setattr(Blobs, "put", put)
    with pytest.raises(StoreError):
        published(trained, registry)
    assert registry.versions() == []


def test_a_blob_whose_byte_flipped_before_is_written_anew(trained, registry):
    version = published(trained, registry)
    blob = registry.paths({"files": version.files})["model.safetensors"]
    flip_byte(blob)
    again = published(trained, registry)
    assert registry.paths({"files": again.files})["model.safetensors"] == blob


def test_the_report_that_travels_is_the_one_that_was_written(trained, registry):
    version = published(trained, registry)
    assert version.files["report.html"] == digest(trained.run_folder / "report.html")
    other = replace(version, number=2)
    assert other.id == f"{version.name}@2"
