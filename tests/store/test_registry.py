"""The registry, on SQLite and on PostgreSQL alike."""

import subprocess
import sys

import pytest

from fettle.core.errors import CorruptFile, PointerMoved, SettingError, StoreError, UnknownName
from fettle.core.upkeep import Pointer
from fettle.store import blobs, files
from fettle.store.inspecting import inspect
from fettle.store.places import runs_folder
from fettle.store.registry import Registry
from patience import PATIENCE


@pytest.fixture
def folder(tmp_path):
    files.write_text(tmp_path / "made" / "task.json", "{}")
    files.write_text(tmp_path / "made" / "deep" / "weights", "w")
    return tmp_path / "made"


@pytest.fixture
def registry(place):
    return place.open(actor="ann@here")


@pytest.fixture
def three(registry, folder):
    for n in (1, 2, 3):
        registry.publish("m", folder, {"n": n})
    return registry


def told(registry, name=None):
    return [(one.name, one.event, one.detail.get("number")) for one in registry.history(name)]


def test_versions_are_numbered_from_1_and_the_first_becomes_champion(registry, folder):
    assert [registry.publish("m", folder, {"n": n})[0] for n in range(3)] == [1, 2, 3]
    assert registry.publish("other", folder, {})[0] == 1
    assert [(v["name"], v["number"], v["champion"]) for v in registry.versions()] == [
        ("m", 1, True), ("m", 2, False), ("m", 3, False), ("other", 1, True)
    ]  # fmt: skip
    assert [v["number"] for v in registry.versions("other")] == [1]


def test_a_name_is_its_champion_and_a_number_is_that_version(three):
    for reference in ("m", "m@", "m@1", "m@champion"):
        name, number, manifest = three.find(reference)
        assert (name, number, manifest["n"]) == ("m", 1, 1)
    assert three.find("m@2")[2]["n"] == 2
    assert three.find("m@challenger")[1] == 3


def test_a_later_version_is_the_challenger_and_knows_its_parent(three):
    assert three.pointers("m") == {"champion": Pointer(1, 1), "challenger": Pointer(3, 2)}
    parents = [version["manifest"]["parent"] for version in three.versions("m")]
    assert parents == [None, "m@1", "m@1"]


def test_the_same_content_is_entered_once(registry, folder):
    assert registry.publish("m", folder, {}, identity="a")[0] == 1
    assert registry.publish("m", folder, {}, identity="a")[0] == 1
    assert registry.publish("m", folder, {}, identity="b")[0] == 2
    assert registry.publish("other", folder, {}, identity="a")[0] == 1
    assert len(registry.versions()) == 3


def test_what_is_promoted_is_champion_and_what_was_is_previous(three):
    moved = three.move("m", 3, seen=Pointer(1, 1), event="promote", reason="better")
    assert moved == Pointer(3, 2)
    assert three.pointers("m") == {"champion": Pointer(3, 2), "previous": Pointer(1, 1)}
    assert three.find("m")[1] == 3
    assert three.find("m@previous")[1] == 1
    back = three.move("m", 1, seen=moved, event="rollback")
    assert three.pointers("m") == {"champion": back, "previous": Pointer(3, 2)}


def test_who_saw_an_older_generation_is_refused_and_told_who_was_quicker(three):
    seen = three.pointers("m")["champion"]
    three.move("m", 2, seen=seen, event="promote")
    with pytest.raises(PointerMoved, match=r"m@2 \(generation 2\).*promote by ann@here") as refused:
        three.move("m", 3, seen=seen, event="promote")
    assert refused.value.exit_code == 3
    assert three.find("m")[1] == 2
    assert told(three, "m")[-1] == ("m", "promote", 2)


def test_a_pointer_that_came_back_to_the_same_version_has_moved_all_the_same(three):
    seen = three.pointers("m")["champion"]
    there = three.move("m", 2, seen=seen, event="promote")
    three.move("m", seen.number, seen=there, event="rollback")
    with pytest.raises(PointerMoved):
        three.move("m", 3, seen=seen, event="promote")


def test_a_version_that_is_not_there_is_not_pointed_to(three):
    with pytest.raises(StoreError, match="m@9 is not there"):
        three.move("m", 9, seen=Pointer(1, 1), event="promote")
    assert three.pointers("m")["champion"] == Pointer(1, 1)


def test_the_log_tells_what_happened_who_did_it_and_why(three):
    three.move("m", 2, seen=Pointer(1, 1), event="promote", reason="größer ist besser")
    three.log("m", "gate", detail={"decision": "reject"})
    assert told(three, "m") == [
        ("m", "publish", 1), ("m", "champion", 1), ("m", "publish", 2), ("m", "challenger", 2),
        ("m", "publish", 3), ("m", "challenger", 3), ("m", "promote", 2), ("m", "gate", None),
    ]  # fmt: skip
    promoted = three.history("m")[6]
    assert (promoted.actor, promoted.reason) == ("ann@here", "größer ist besser")
    assert [one.id for one in three.history()] == list(range(1, 9))
    assert all(a.hash == b.previous for a, b in zip(three.history()[:-1], three.history()[1:],
                                                    strict=True))


@pytest.mark.parametrize("reason", ["a\x00b", "\x1b[2J", "x" * 2001, "\ud800"])
def test_a_reason_that_no_log_can_hold_is_refused_and_nothing_moves(three, reason):
    with pytest.raises(SettingError, match="--reason"):
        three.move("m", 2, seen=Pointer(1, 1), event="promote", reason=reason)
    assert three.pointers("m")["champion"] == Pointer(1, 1)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("ticketz", "No model in .* is called 'ticketz'. Did you mean 'tickets'"),
        ("tickets@3", "No version of tickets is called '3'. Choose from: 1"),
        ("tickets@0", "'0'"),
        ("tickets@best", "'best'"),
        ("tickets@previous", "'previous'"),
        ("tickets@²", "'²'"),
        ("'; DROP TABLE versions; --", "No model"),
        ("tickets\x00", "No model"),
        ("", "No model"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(registry, folder, reference, words):
    registry.publish("tickets", folder, {})
    with pytest.raises(UnknownName, match=words):
        registry.find(reference)
    assert len(registry.versions()) == 1


def test_an_empty_registry_says_so(registry):
    for ask in (registry.find, registry.versions, registry.history):
        with pytest.raises(UnknownName, match="none yet"):
            ask("m")


@pytest.mark.parametrize("name", ["../../out", "a/b", "a@2", "", ".hidden", "CON", "nul.txt",
                                  "a\x00b", "x" * 101, "a\\b", "end.", "‥", "e\u0301"])
def test_a_name_that_could_be_another_path_is_refused_before_anything_is_written(
    registry, folder, name
):
    with pytest.raises(SettingError, match="The name is"):
        registry.publish(name, folder, {})
    assert registry.versions() == []
    assert list(registry.blobs.listed()) == []


def test_every_file_of_a_version_is_found_by_its_path(registry, folder):
    number, held = registry.publish("m", folder, {})
    manifest = registry.find(f"m@{number}")[2]
    paths = registry.paths(manifest)
    assert paths.keys() == held.keys() == {"task.json", "deep/weights"}
    assert paths["deep/weights"].read_text() == "w"
    assert held["deep/weights"] == files.sha256(folder / "deep" / "weights")
    assert manifest["bytes"] == {"task.json": 2, "deep/weights": 1}


def test_an_altered_blob_is_found(registry, folder):
    _, held = registry.publish("m", folder, {})
    registry.blobs.path(held["deep/weights"]).write_text("v")
    with pytest.raises(CorruptFile, match=held["deep/weights"]):
        registry.paths(registry.find("m")[2])


def test_what_was_published_is_there_for_the_next_process(place, registry, folder):
    registry.publish("m", folder, {"text": "größe", "nul": "a\x00b"})
    found = place.open(create=False).find("m")[2]
    assert (found["text"], found["nul"]) == ("größe", "a\x00b")


def test_openings_are_counted_per_test(place, registry):
    assert [registry.count_opening("a", "evaluate") for _ in range(3)] == [1, 2, 3]
    assert registry.count_opening("b", "evaluate") == 1
    assert place.open().count_opening("a", "again") == 4


def test_a_version_that_breaks_off_is_not_there(registry, folder, monkeypatch):
    def full(*_):
        raise StoreError("full")

    monkeypatch.setattr(blobs.Blobs, "put", full)
    with pytest.raises(StoreError, match="full"):
        registry.publish("m", folder, {})
    assert registry.versions() == []


def test_where_there_is_none_and_none_is_to_be_made_that_is_said(place, tmp_path):
    with pytest.raises(SettingError, match=r"There is no registry in .*fettle tune"):
        place.open(create=False)
    assert not list(tmp_path.iterdir())


def test_a_reader_waits_for_no_writer_and_sees_the_moment_before(place, three):
    with three.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM pointers")
        other = place.open()
        assert other.find("m")[1] == 1
        assert len(other.versions("m")) == 3
        assert len(other.history("m")) == 6


def test_the_place_of_the_files_is_written_down_once(postgres, tmp_path, folder):
    url = postgres()
    with pytest.raises(SettingError, match="--blobs"):
        Registry(url)
    Registry(url, blobs=str(tmp_path / "a")).publish("m", folder, {})
    held = Registry(url)
    assert held.blobs.place == str(tmp_path / "a")
    assert held.paths(held.find("m")[2])
    with pytest.raises(SettingError, match=f"lie in {tmp_path / 'a'}, and --blobs names"):
        Registry(url, blobs=str(tmp_path / "b"))


def test_a_folder_keeps_its_files_inside_and_can_be_moved(tmp_path, folder):
    Registry(tmp_path / "a").publish("m", folder, {})
    (tmp_path / "a").rename(tmp_path / "b")
    moved = Registry(tmp_path / "b")
    assert moved.paths(moved.find("m")[2])
    with pytest.raises(SettingError, match="--blobs names"):
        Registry(tmp_path / "b", blobs=str(tmp_path / "elsewhere"))


def test_a_password_is_never_shown():
    with pytest.raises(StoreError) as refused:
        Registry("postgresql://ann:secret@127.0.0.1:1/none", blobs="memory://x")
    assert "secret" not in str(refused.value)
    assert "ann:***@127.0.0.1" in str(refused.value)


@pytest.mark.parametrize("url", ["mysql://here/db", "sqlite:///x.db", "://", "postgresql://h:x/d"])
def test_a_url_of_something_else_is_explained(url):
    with pytest.raises(SettingError, match=r"--registry .*postgresql://USER@HOST/DATABASE"):
        Registry(url)


def test_runs_lie_beside_a_folder_and_here_where_there_is_none(tmp_path):
    assert runs_folder(str(tmp_path)) == tmp_path / "runs"
    assert str(runs_folder("postgresql://host/db")) == ".fettle/runs"


CROWD = """
import os, sys
from pathlib import Path
from fettle.core.errors import PointerMoved
from fettle.store import database
from fettle.store.registry import Registry

database.PATIENCE_SECONDS = 600.0  # fifty at once, on a machine that is busy
place, blobs, folder, what, crowd = sys.argv[1:]

def publish(number):
    return Registry(place, blobs=blobs).publish("m", Path(folder), {"n": number})[0]

def move(number):
    registry = Registry(place, blobs=blobs)
    event = "promote" if number % 2 else "rollback"
    return registry.move("m", 2 + number, seen=SEEN[number], event=event).generation

SEEN = [Registry(place, blobs=blobs).pointers("m").get("champion")] * int(crowd)
if what == "move":  # half of them look once more: they may win, or not
    SEEN[::2] = [None] * len(SEEN[::2])
hold, go = os.pipe()
children = []
for number in range(int(crowd)):
    child = os.fork()
    if not child:
        os.close(go)
        os.read(hold, 1)  # until the parent closes its end
        try:
            if what == "move" and SEEN[number] is None:
                SEEN[number] = Registry(place, blobs=blobs).pointers("m")["champion"]
            print({"publish": publish, "move": move}[what](number), flush=True)
        except PointerMoved as error:
            os._exit(error.exit_code)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
os.close(go)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print("codes", *codes)
"""


def at_once(what, number, place, folder):
    """This many processes, all there before the first may go: what they said, and exit codes."""
    given = [sys.executable, "-c", CROWD, place.registry, str(place.blobs), str(folder), what]
    done = subprocess.run([*given, str(number)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    *said, codes = done.stdout.splitlines()
    return [int(one) for one in said], [int(code) for code in codes.split()[1:]]


@pytest.mark.slow
def test_fifty_that_publish_at_once_and_twenty_that_move_the_champion(place, folder):
    numbers, codes = at_once("publish", 50, place, folder)
    assert codes == [0] * 50
    assert sorted(numbers) == list(range(1, 51))
    registry = place.open()
    assert registry.pointers("m")["champion"] == Pointer(1, 1)
    assert inspect(registry).problems == ()

    won, codes = at_once("move", 20, place, folder)
    assert len(won) == codes.count(0) >= 1
    assert codes.count(0) + codes.count(3) == 20
    assert sorted(won) == list(range(2, 2 + len(won))), "a generation that two won, or nobody"
    assert registry.pointers("m")["champion"].generation == 1 + len(won)
    moves = [one for one in registry.history("m") if one.event in ("promote", "rollback")]
    assert [one.detail["generation"] for one in moves] == list(range(2, 2 + len(won)))
    assert inspect(registry).problems == ()


def test_of_eight_that_saw_the_same_champion_one_moves_it(place, three, monkeypatch):
    import threading

    monkeypatch.setattr("fettle.store.database.PATIENCE_SECONDS", PATIENCE)
    seen, said = three.pointers("m")["champion"], []
    ready = threading.Barrier(8)

    def move():
        registry = place.open()
        ready.wait()
        try:
            said.append(registry.move("m", 2, seen=seen, event="promote"))
        except PointerMoved:
            said.append(None)

    threads = [threading.Thread(target=move) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(said, key=lambda one: one is None) == [Pointer(2, 2), *[None] * 7]
