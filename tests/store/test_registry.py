import sqlite3
import subprocess
import sys

import pytest

from fettle.core.errors import CorruptFile, StoreError, UnknownName
from fettle.store import blobs, files
from fettle.store.registry import Registry


@pytest.fixture
def folder(tmp_path):
    files.write_text(tmp_path / "made" / "task.json", "{}")
    files.write_text(tmp_path / "made" / "deep" / "weights", "w")
    return tmp_path / "made"


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


def test_versions_are_numbered_from_1_and_the_first_becomes_champion(registry, folder):
    assert [registry.publish("m", folder, {"n": n})[0] for n in range(3)] == [1, 2, 3]
    assert registry.publish("other", folder, {})[0] == 1
    assert [(v["name"], v["number"], v["champion"]) for v in registry.versions()] == [
        ("m", 1, True), ("m", 2, False), ("m", 3, False), ("other", 1, True)
    ]  # fmt: skip
    assert [v["number"] for v in registry.versions("other")] == [1]


def test_a_name_is_its_champion_and_a_number_is_that_version(registry, folder):
    for n in (1, 2):
        registry.publish("m", folder, {"n": n})
    for reference in ("m", "m@", "m@1", "m@champion"):
        name, number, manifest = registry.find(reference)
        assert (name, number, manifest["n"]) == ("m", 1, 1)
    assert registry.find("m@2")[2]["n"] == 2


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("ticketz", "No model in .* is called 'ticketz'. Did you mean 'tickets'"),
        ("tickets@3", "No version of tickets is called '3'. Choose from: 1"),
        ("tickets@0", "'0'"),
        ("tickets@best", "'best'"),
        ("tickets@²", "'²'"),
        ("'; DROP TABLE versions; --", "No model"),
        ("", "No model"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(registry, folder, reference, words):
    registry.publish("tickets", folder, {})
    with pytest.raises(UnknownName, match=words):
        registry.find(reference)
    assert len(registry.versions()) == 1


def test_an_empty_registry_says_so(registry):
    with pytest.raises(UnknownName, match="none yet"):
        registry.find("m")


def test_every_file_of_a_version_is_found_by_its_path(registry, folder):
    number, held = registry.publish("m", folder, {})
    paths = registry.paths(registry.find(f"m@{number}")[2])
    assert paths.keys() == held.keys() == {"task.json", "deep/weights"}
    assert paths["deep/weights"].read_text() == "w"
    assert held["deep/weights"] == files.sha256(folder / "deep" / "weights")


def test_an_altered_blob_is_found(registry, folder):
    _, held = registry.publish("m", folder, {})
    blobs.path_of(registry.root, held["deep/weights"]).write_text("v")
    with pytest.raises(CorruptFile, match=held["deep/weights"]):
        registry.paths(registry.find("m")[2])


def test_what_was_published_is_there_for_the_next_process(registry, folder):
    registry.publish("m", folder, {"text": "größe"})
    assert Registry(registry.root).find("m")[2]["text"] == "größe"


def test_openings_are_counted_per_test(registry):
    assert [registry.count_opening("a", "evaluate") for _ in range(3)] == [1, 2, 3]
    assert registry.count_opening("b", "evaluate") == 1
    assert Registry(registry.root).count_opening("a", "again") == 4


def test_a_registry_of_a_newer_fettle_is_left_alone(registry):
    with sqlite3.connect(registry.root / "registry.db") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"newer fettle \(schema 99"):
        Registry(registry.root)


def test_what_is_no_registry_is_refused_and_not_touched(tmp_path):
    (tmp_path / "registry.db").write_text("these are my notes\n" * 100)
    with pytest.raises(StoreError, match="Could not open the registry"):
        Registry(tmp_path)
    assert (tmp_path / "registry.db").read_text() == "these are my notes\n" * 100
    with pytest.raises(StoreError, match="Could not open the registry"):
        Registry(tmp_path / "registry.db")


def test_a_version_that_breaks_off_is_not_there(registry, folder, monkeypatch):
    def full(*_):
        raise StoreError("full")

    monkeypatch.setattr(blobs, "put", full)
    with pytest.raises(StoreError, match="full"):
        registry.publish("m", folder, {})
    assert registry.versions() == []


def test_a_registry_that_may_not_be_written_to_is_a_store_error(registry, folder):
    with sqlite3.connect(registry.root / "registry.db") as database:
        database.execute("DROP TABLE events")
    with pytest.raises(StoreError, match="registry"):
        registry.publish("m", folder, {})
    assert registry.versions() == []


PUBLISHER = """
import sys
from pathlib import Path
from fettle.store.registry import Registry
sys.stdin.readline()
registry = Registry(Path(sys.argv[1]))
print(*[registry.publish("m", Path(sys.argv[2]), {})[0] for _ in range(3)])
"""


def test_eight_processes_that_publish_at_once_get_numbers_of_their_own(tmp_path, folder):
    command = [sys.executable, "-c", PUBLISHER, str(tmp_path / "registry"), str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(8)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, said
    numbers = [int(number) for out, _ in said for number in out.split()]
    assert sorted(numbers) == list(range(1, 25))
    assert sum(v["champion"] for v in Registry(tmp_path / "registry").versions()) == 1
