"""Every file in attacks/ is tried on fettle, and none of them works."""

import gzip
import importlib.util
import json
import pickle
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fettle import asking
from fettle.core.errors import CorruptFile, FettleError, InputError, StoreError, UnsafeModel
from fettle.core.plan import Reading
from fettle.models.cards import card_of
from fettle.stages import reading, serving
from fettle.store import decoding
from stories import digest

ATTACKS = Path(__file__).resolve().parents[1] / "attacks"
HARMLESS = {"chat_template", "onnx_elsewhere"}
"""What fettle never looks at."""


def folders(kind):
    return sorted(path.name for path in (ATTACKS / kind).iterdir())


@pytest.fixture(autouse=True)
def canary(tmp_path, monkeypatch):
    """The attacks stand in an empty folder; whatever lies there afterwards, one of them made."""
    stand = tmp_path / "stand"
    stand.mkdir()
    monkeypatch.chdir(stand)
    yield stand / "canary"
    assert list(stand.iterdir()) == [], "an attack worked"
    assert not Path("/tmp/canary").exists()


def made():
    spec = importlib.util.spec_from_file_location("attacks_make", ATTACKS / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plain(path):
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def test_the_files_are_the_ones_that_their_script_makes(tmp_path):
    made().make(tmp_path / "again")
    for root in ("models", "versions", "data", "pictures", "labels"):
        names = {path.relative_to(ATTACKS) for path in (ATTACKS / root).rglob("*")}
        assert names == {
            path.relative_to(tmp_path / "again") for path in (tmp_path / "again" / root).rglob("*")
        }
        for name in names:
            if (ATTACKS / name).is_file():
                assert plain(ATTACKS / name) == plain(tmp_path / "again" / name), name


def test_they_would_work_where_they_were_let(canary):
    pickle.loads((ATTACKS / "models" / "pickle" / "pytorch_model.bin").read_bytes()).close()
    assert canary.exists()
    canary.unlink()
    code = ATTACKS / "models" / "code_beside" / "modeling_evil.py"
    subprocess.run([sys.executable, str(code)], check=True)
    assert canary.exists()
    canary.unlink()
    from jinja2 import Template

    Template(made().TEMPLATE).render()
    assert canary.exists()
    canary.unlink()


@pytest.mark.parametrize("name", folders("models"))
def test_no_model_folder_is_opened(name):
    folder = ATTACKS / "models" / name
    if name in HARMLESS:
        assert card_of(str(folder)).folder
        return
    with pytest.raises(UnsafeModel):
        card_of(str(folder))


@pytest.mark.parametrize("name", folders("versions"))
def test_no_version_folder_is_opened(name, tmp_path):
    with pytest.raises(StoreError) as refused:
        serving.open_version(str(ATTACKS / "versions" / name), tmp_path / "none")
    assert isinstance(refused.value, CorruptFile)


def test_a_version_whose_weights_are_a_pickle_is_not_opened(told, tmp_path):
    shutil.copytree(told.run_folder / "version", tmp_path / "version")
    path = tmp_path / "version" / "model.safetensors"
    path.write_bytes(made().PICKLE)
    facts = json.loads((tmp_path / "version" / "version.json").read_text())
    facts["files"]["model.safetensors"] = digest(path)
    (tmp_path / "version" / "version.json").write_text(json.dumps(facts))
    with pytest.raises(CorruptFile, match="not a whole safetensors file"):
        serving.open_version(str(tmp_path / "version"), tmp_path / "none")


def test_a_version_whose_config_asks_for_foreign_code_is_not_opened(told, tmp_path):
    shutil.copytree(told.run_folder / "version", tmp_path / "version")
    path = tmp_path / "version" / "config.json"
    config = json.loads(path.read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoModel": "modeling_evil.Evil"}}
    path.write_text(json.dumps(config))
    (tmp_path / "version" / "modeling_evil.py").write_bytes(made().CODE)
    facts = json.loads((tmp_path / "version" / "version.json").read_text())
    facts["files"]["config.json"] = digest(path)
    (tmp_path / "version" / "version.json").write_text(json.dumps(facts))
    with pytest.raises(FettleError):
        serving.open_version(str(tmp_path / "version"), tmp_path / "none")


def test_a_version_whose_file_is_a_link_is_not_opened(told, tmp_path):
    shutil.copytree(told.run_folder / "version", tmp_path / "version")
    path = tmp_path / "version" / "plan.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(CorruptFile, match="is a link"):
        serving.open_version(str(tmp_path / "version"), tmp_path / "none")


@pytest.mark.parametrize("name", folders("data"))
def test_no_file_of_rows_is_unpacked_or_run(name, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError):
        reading.read(Reading(data=str(ATTACKS / "data" / name), target="label"))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400_000, f"{grown / 1000:,.0f} MB more than before"


@pytest.mark.parametrize("name", folders("pictures"))
def test_no_picture_is_decoded(name):
    content = (ATTACKS / "pictures" / name).read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for ask in (decoding.decoded, decoding.look, decoding.sides):
        with pytest.raises(InputError):
            ask(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize("name", folders("labels"))
def test_no_file_of_labels_is_taken(name):
    with pytest.raises(FettleError):
        asking.read_labels([ATTACKS / "labels" / name], target="label")


def test_no_onnx_of_anybody_is_opened(fettle, tmp_path):
    """An ONNX file is written, and read back where it was written; none is ever given."""
    path = ATTACKS / "models" / "onnx_elsewhere" / "model.onnx"
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\na,b\n")
    for command in (("predict", path, "text"), ("tune", rows, "--model", path),
                    ("serve", path), ("export", path, "--to", "torch", "--out", "out")):
        done = fettle(*command, "--registry", tmp_path / "none") if command[0] != "tune" else (
            fettle(*command))
        assert done.code == 2, (command, done.err)


def test_tables_that_pack_well_are_still_read(tmp_path):
    path = tmp_path / "rows.csv.gz"
    lines = "".join(f"a text that comes again and again {at},{'ab'[at % 2]}\n"
                    for at in range(60_000))
    path.write_bytes(gzip.compress(f"text,label\n{lines}".encode()))
    assert reading.read(Reading(data=str(path), target="label")).rows == 60_000


@pytest.mark.parametrize(
    "name", ["../evil", "..%2fevil", "..\\evil", "a\0b", "CON", "x" * 300, "‥/a"]
)
def test_a_name_from_the_shell_leads_nowhere(fettle, name, tmp_path):
    where = ("--registry", tmp_path / "stand" / "none")
    for command in (("show", name), ("versions", name), ("rollback", name), ("promote", name),
                    ("predict", name, "text")):
        assert fettle(*command, *where).code == 2
