"""Inspecting and collecting: every altered byte is found; what is needed is never removed."""

import os
import time

import numpy as np
import pytest

from fettle.core.errors import FettleError, StoreError
from fettle.core.upkeep import Pointer
from fettle.store import files
from fettle.store.collecting import collect
from fettle.store.inspecting import inspect

DAY = 86_400


@pytest.fixture
def registry(place):
    return place.open()


def publish(registry, folder, number, name="m"):
    """A version whose weights are its own, beside a file that all share."""
    files.write_text(folder / "weights", f"of {name} {number}")
    files.write_text(folder / "shared", "the same in each")
    return registry.publish(name, folder, {})[0]


def age(registry, days=40):
    """All that lies there was written so long ago."""
    for one in registry.blobs.listed():
        os.utime(one.path, (time.time() - days * DAY,) * 2)
    with registry.database.writing() as connection:
        connection.exec_driver_sql("UPDATE versions SET at = '2020-01-01T00:00:00+00:00'")


def test_a_registry_in_order(registry, tmp_path):
    for number in (1, 2):
        publish(registry, tmp_path / "made", number)
    found = inspect(registry)
    assert (found.versions, found.files, found.events) == (2, 3, 4)
    assert found.bytes == len("of m 1") + len("of m 2") + len("the same in each")
    assert found.problems == found.notes == ()


def test_every_byte_of_a_version_that_flips_is_found(registry, tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "made"
    for name, size in (("model.safetensors", 5000), ("deep/plan.json", 300), ("empty", 0)):
        files.write_bytes(folder / name, rng.bytes(size))
    registry.publish("m", folder, {})
    manifest = registry.find("m")[2]
    for name, path in registry.paths(manifest).items():
        content = path.read_bytes()
        places = {0, len(content) - 1, *rng.integers(0, max(len(content), 1), 25).tolist()}
        for at in sorted(places) if content else ():
            changed = bytearray(content)
            changed[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(bytes(changed))
            (problem,) = inspect(registry).problems
            assert f"m@1: {name}: " in problem
            with pytest.raises(StoreError, match=path.name):
                registry.paths(manifest)
        for other in (content[:-1], content + b"\0", b""):
            if other != content:
                path.write_bytes(other)
                assert inspect(registry).problems
        path.write_bytes(content)
        assert inspect(registry).problems == ()
        path.unlink()
        assert "is missing" in inspect(registry).problems[0]
        path.write_bytes(content)


def test_files_that_no_version_needs_are_noted_and_collected(registry, tmp_path):
    publish(registry, tmp_path / "made", 1)
    left = registry.blobs.put(files.write_text(tmp_path / "left", "left behind"))
    torn = registry.blobs.path(left).with_name(f".{left}.0123abcd.tmp")
    files.write_text(torn, "to")
    assert "2 files (13 bytes) belong to no version" in inspect(registry).notes[0]

    assert collect(registry).kept_back == 2, "they are too young to go"
    age(registry)
    asked = collect(registry, dry=True)
    assert (asked.files, asked.bytes, asked.dry) == (2, 13, True)
    assert torn.exists()
    done = collect(registry)
    assert (done.files, done.bytes, done.dry, done.versions) == (2, 13, False, ())
    assert inspect(registry).problems == inspect(registry).notes == ()
    assert collect(registry).files == 0


def test_old_versions_are_given_up_but_never_one_that_is_pointed_to(registry, tmp_path):
    for number in range(1, 8):
        publish(registry, tmp_path / "made", number)
    publish(registry, tmp_path / "made", 1, name="other")
    seen = registry.move("m", 3, seen=Pointer(1, 1), event="promote")
    registry.move("m", 2, seen=seen, event="promote")  # champion 2, previous 3, challenger 7
    assert collect(registry, keep=1).versions == (), "all are too young"
    age(registry)
    asked = collect(registry, keep=1, dry=True)
    assert asked.versions == ("m@6", "m@5", "m@4", "m@1")
    assert registry.paths(registry.find("m@4")[2])
    done = collect(registry, keep=1, reason="room")
    assert (done.versions, done.files) == (asked.versions, 4)
    assert inspect(registry).problems == ()
    for kept in ("m@2", "m@3", "m@7", "other@1"):
        assert registry.paths(registry.find(kept)[2])
    with pytest.raises(StoreError, match="m@4 was given up by `fettle gc`"):
        registry.find("m@4")
    with pytest.raises(StoreError, match="m@4 is not there any more"):
        registry.move("m", 4, seen=registry.pointers("m")["champion"], event="rollback")
    last = registry.history("m")[-1]
    assert (last.event, last.reason) == ("collect", "room")
    assert [v["number"] for v in registry.versions("m") if v["collected"]] == [1, 4, 5, 6]
    assert publish(registry, tmp_path / "made", 8) == 8, "numbers are not given again"


def test_nothing_goes_while_everything_is_kept(registry, tmp_path):
    for number in (1, 2, 3):
        publish(registry, tmp_path / "made", number)
    age(registry)
    assert collect(registry).versions == ()
    assert collect(registry, keep=3).versions == ()


def test_a_publish_whose_files_are_collected_under_it_puts_them_again(
    registry, tmp_path, monkeypatch
):
    publish(registry, tmp_path / "made", 1)
    real = registry.database.writing

    def collected_first():
        monkeypatch.setattr(registry.database, "writing", real)
        age(registry)
        assert collect(registry).files == 1
        return real()

    monkeypatch.setattr(registry.database, "writing", collected_first)
    assert publish(registry, tmp_path / "made", 2) == 2
    assert inspect(registry).problems == ()


def test_a_list_of_files_that_leads_out_of_the_registry_is_not_followed(registry, tmp_path):
    files.write_text(tmp_path / "secret", "secret")
    publish(registry, tmp_path / "made", 1)
    for path, digest in (("../../secret", "0" * 64), ("weights", "../../../secret")):
        with pytest.raises(FettleError):
            registry.paths({"files": {path: digest}})
