import shutil
from collections import namedtuple

import pytest

from fettle.core.errors import StoreError
from fettle.store import folders


def test_what_does_not_fit_is_refused_with_both_numbers(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    folders.require_room(tmp_path, free // 2)
    with pytest.raises(StoreError) as said:
        folders.require_room(tmp_path / "not" / "yet", 10**18)
    assert "1,000,000,000,000,000,000 bytes are needed" in str(said.value)
    assert "bytes are free there" in str(said.value)
    assert not (tmp_path / "not").exists()


def test_a_folder_that_is_not_there_yet_has_the_room_of_its_disk(tmp_path):
    there = folders.free(tmp_path)
    assert folders.free(tmp_path / "not" / "there") == pytest.approx(there, rel=0.01)


def test_what_fits_to_the_byte_fits(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 58, 42))
    folders.require_room(tmp_path, 42)
    with pytest.raises(StoreError, match=r"^43 bytes are needed .* 42 bytes are free"):
        folders.require_room(tmp_path, 43)


def test_a_sweep_takes_only_what_the_store_began_to_write(tmp_path):
    ours = [folders.temporary(tmp_path / "a.json"), folders.temporary(tmp_path / "sub" / ".b")]
    theirs = [tmp_path / name for name in ("a.tmp", ".a.tmp", ".a.zzzzzzzz.tmp", ".tmpQYw4BC")]
    held = folders.temporary(tmp_path / "another run" / "c")
    for path in (*ours, *theirs, held, held.parent / ".lock"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    folders.sweep(tmp_path)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in theirs)
    assert held.exists(), "another process may be at work below a lock of its own"


def test_a_sweep_does_not_follow_a_link_out_of_the_folder(tmp_path):
    outside = folders.temporary(tmp_path / "outside" / "a")
    outside.parent.mkdir()
    outside.touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(outside.parent)
    folders.sweep(tmp_path / "run")
    assert outside.exists()
