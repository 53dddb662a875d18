"""Blobs, in a folder and in a file system that only fsspec knows."""

import os
import uuid

import pytest

from fettle.core.errors import CorruptFile, SettingError, StoreError
from fettle.store import files
from fettle.store.blobs import Blobs
from fettle.store.registry import Registry
from patience import PATIENCE


@pytest.fixture(params=["folder", "memory"])
def blobs(request, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name = uuid.uuid4().hex  # the memory of one process is one file system
    return Blobs(tmp_path / "root" if request.param == "folder" else f"memory://{name}")


def alter(blobs, digest, content=b"wrong"):
    if blobs._system is None:
        blobs.path(digest).write_bytes(content)
    else:
        blobs._system.pipe_file(blobs._at(digest), content)


def test_a_blob_lies_under_its_own_hash_and_once(blobs, tmp_path):
    for name in ("a", "b"):
        files.write_text(tmp_path / name, "same")
    first, second = (blobs.put(tmp_path / name) for name in ("a", "b"))
    assert first == second == files.sha256(tmp_path / "a")
    assert blobs.path(first).read_text() == "same"
    assert [one.digest for one in blobs.listed()] == [first]
    assert blobs.holds(first)
    assert not blobs.holds("0" * 64)


def test_a_blob_that_was_altered_is_found_and_put_right_by_the_next_put(blobs, tmp_path):
    digest = blobs.put(files.write_text(tmp_path / "a", "right"))
    assert blobs.fault(digest) is None
    alter(blobs, digest)
    assert "not the file that was written" in blobs.fault(digest)
    with pytest.raises(CorruptFile):
        blobs.path(digest, fresh=True)
    blobs.put(tmp_path / "a")
    assert blobs.path(digest, fresh=True).read_text() == "right"


def test_a_blob_that_is_gone_is_named(blobs, tmp_path):
    digest = blobs.put(files.write_text(tmp_path / "a", "here"))
    (found,) = blobs.listed()
    assert found.bytes == 4
    assert 0 <= found.seconds < PATIENCE
    blobs.remove(found)
    assert not blobs.holds(digest)
    assert digest in blobs.fault(digest)
    assert list(blobs.listed()) == []


@pytest.mark.parametrize("digest", ["../../etc/passwd", "", "A" * 64, "0" * 63, None, 7])
def test_what_is_no_hash_names_no_file(blobs, digest):
    for ask in (blobs.path, blobs.holds):
        with pytest.raises(CorruptFile, match="no sha256"):
            ask(digest)


def test_a_link_is_no_blob(tmp_path):
    blobs = Blobs(tmp_path / "root")
    digest = blobs.put(files.write_text(tmp_path / "a", "same"))
    os.replace(blobs.path(digest), tmp_path / "moved")
    (tmp_path / "root" / "sha256" / digest[:2] / digest).symlink_to(tmp_path / "moved")
    with pytest.raises(CorruptFile, match="link"):
        blobs.path(digest)


def test_other_peoples_files_in_the_place_are_not_ours(tmp_path):
    blobs = Blobs(tmp_path / "root")
    digest = blobs.put(files.write_text(tmp_path / "a", "ours"))
    beside = blobs.path(digest).parent
    for name in ("README.md", "x.tmp", f"{digest}.txt", f".{digest}"):
        files.write_text(beside / name, "theirs")
    files.write_text(beside / f".{digest}.0123abcd.tmp", "begun and left")
    assert {one.path.rpartition("/")[2]: one.digest for one in blobs.listed()} == {
        digest: digest, f".{digest}.0123abcd.tmp": None
    }


def test_a_local_copy_that_was_altered_is_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    blobs = Blobs(f"memory://{uuid.uuid4().hex}")
    digest = blobs.put(files.write_text(tmp_path / "a", "right"))
    blobs.path(digest).write_text("wrong")
    assert blobs.path(digest).read_text() == "right"


def test_a_place_that_cannot_be_is_explained():
    with pytest.raises(SettingError, match=r"--blobs is 'nonsense://x': .*fsspec"):
        Blobs("nonsense://x")


def test_a_file_in_place_of_the_folder_is_a_store_error(tmp_path):
    files.write_text(tmp_path / "root", "I am a file")
    with pytest.raises(StoreError, match="Could not write"):
        Blobs(tmp_path / "root").put(files.write_text(tmp_path / "a", "a"))


def test_a_registry_whose_files_lie_elsewhere_gives_them_back(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files.write_text(tmp_path / "made" / "weights", "w")
    place = f"memory://{uuid.uuid4().hex}"
    Registry(tmp_path / "r", blobs=place).publish("m", tmp_path / "made", {})
    registry = Registry(tmp_path / "r")
    assert registry.blobs.place == place
    assert registry.paths(registry.find("m")[2])["weights"].read_text() == "w"
    assert not (tmp_path / "r" / "blobs").exists()
