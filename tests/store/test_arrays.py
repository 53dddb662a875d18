"""Arrays: whole or not there, found again by their bytes, inside a limit."""

import errno
import json
import os
import time

import numpy as np
import pytest

from fettle.core.errors import CorruptFile, StoreError
from fettle.store import arrays


def kept(folder, name, values, **facts):
    """This array, written."""
    one = arrays.Filling(folder, name, values.shape, str(values.dtype))
    one.values[:] = values
    one.finish(facts)
    return one


def numbers(count, seed=0):
    return np.random.default_rng(seed).random((count, 3)).astype(np.float32)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def full_disk(*_):
    raise OSError(errno.ENOSPC, "no space")


@pytest.mark.parametrize("dtype", ["float32", "uint16", "int64"])
def test_an_array_comes_back_to_the_bit_with_its_facts(tmp_path, dtype):
    values = np.arange(12).reshape(4, 3).astype(dtype)
    kept(tmp_path / "new", "a", values, starts=[0, 2, 4])
    found, facts = arrays.read(tmp_path / "new", "a")
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)
    assert facts == {"starts": [0, 2, 4]}


def test_an_array_without_a_row_comes_back_too(tmp_path):
    kept(tmp_path, "a", np.zeros((0, 3), np.float32))
    assert arrays.read(tmp_path, "a")[0].shape == (0, 3)


def test_nothing_is_there_before_the_last_byte_is(tmp_path):
    one = arrays.Filling(tmp_path, "a", (2, 3), "float32")
    one.values[:] = 1
    assert arrays.read(tmp_path, "a") is None
    one.finish({})
    assert names(tmp_path) == ["a.array", "a.json"]


def test_what_was_not_finished_leaves_nothing_behind_once_dropped(tmp_path):
    one = arrays.Filling(tmp_path, "a", (2, 3), "float32")
    one.drop()
    one.drop()
    assert names(tmp_path) == []


def test_a_process_that_was_killed_between_the_two_files_left_no_array(tmp_path):
    kept(tmp_path, "a", numbers(4))
    (tmp_path / "a.json").unlink()
    assert arrays.read(tmp_path, "a") is None


def test_what_a_reader_changes_stays_in_its_memory(tmp_path):
    values = numbers(4)
    kept(tmp_path, "a", values)
    found, _ = arrays.read(tmp_path, "a")
    found[:] = 7
    assert np.array_equal(arrays.read(tmp_path, "a")[0], values)


def spoiled_manifest(folder):
    path = folder / "a.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "shape": [3, 4]}))


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "a.array").write_bytes(
            (folder / "a.array").read_bytes()[:-1] + b"\x07"),
        lambda folder: os.truncate(folder / "a.array", 40),
        lambda folder: (folder / "a.array").write_bytes(b""),
        lambda folder: (folder / "a.json").write_text('{"shape": [4,'),
        lambda folder: (folder / "a.json").write_text("[]"),
        spoiled_manifest,
    ],
    ids=["flipped", "torn", "empty", "torn manifest", "other manifest", "altered manifest"],
)
def test_bytes_that_are_not_the_ones_that_were_written_are_found(tmp_path, harm):
    kept(tmp_path, "a", numbers(4))
    harm(tmp_path)
    with pytest.raises(CorruptFile, match=r"a\.(array|json)"):
        arrays.read(tmp_path, "a")


def test_a_file_that_is_cut_after_its_hash_was_right_is_not_mapped(tmp_path, monkeypatch):
    """A mapped file that is shorter than what is read of it kills the process."""
    kept(tmp_path, "a", numbers(4))
    real = arrays.files.require_hash

    def require_hash(path, digest):
        real(path, digest)
        os.truncate(path, 40)

    monkeypatch.setattr(arrays.files, "require_hash", require_hash)
    with pytest.raises(CorruptFile, match="has 40 bytes, and 48 were written"):
        arrays.read(tmp_path, "a")


def test_the_room_is_taken_before_anything_is_filled_in(tmp_path):
    """A mapped file with holes would kill the process when the disk turns out to be full."""
    one = arrays.Filling(tmp_path, "a", (1000, 1000), "float32")
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size == 4_000_000
    assert path.stat().st_blocks * 512 >= 4_000_000
    one.drop()


def test_a_disk_without_room_says_so_and_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", full_disk)
    with pytest.raises(StoreError, match=r"No room for 24 bytes in .*No space left"):
        arrays.Filling(tmp_path, "a", (2, 3), "float32")
    assert names(tmp_path) == []


def test_a_system_that_cannot_reserve_room_writes_it(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    values = np.arange(1_200_000, dtype=np.float32).reshape(-1, 3)
    kept(tmp_path, "a", values)
    assert (tmp_path / "a.array").stat().st_size == values.nbytes
    assert np.array_equal(arrays.read(tmp_path, "a")[0], values)


def aged(folder, *ages):
    """a, b, c, ...: 120 bytes each, read so many seconds ago."""
    for name, age in zip("abcdef", ages, strict=False):
        kept(folder, name, numbers(10))
        os.utime(folder / f"{name}.array", (time.time() - age,) * 2)


@pytest.mark.parametrize(
    ("needed", "limit", "fits", "left"),
    [
        (120, 480, True, "abc"),
        (120, 479, True, "ac"),  # b was read longest ago
        (200, 400, True, "c"),
        (360, 360, True, ""),
        (361, 360, False, "abc"),  # nothing goes where it does not help
        (1, 0, False, "abc"),
        (0, 0, True, ""),
    ],
)
def test_what_was_read_longest_ago_goes_first(tmp_path, needed, limit, fits, left):
    aged(tmp_path, 20, 30, 10)
    assert arrays.make_room(tmp_path, needed, limit) == fits
    assert names(tmp_path) == sorted(f"{one}.{kind}" for one in left for kind in ("array", "json"))


def test_an_array_that_is_read_counts_as_read_now(tmp_path):
    aged(tmp_path, 20, 30, 10)
    arrays.read(tmp_path, "b")
    arrays.make_room(tmp_path, 120, 360)
    assert [arrays.read(tmp_path, name) is not None for name in "abc"] == [False, True, True]


def test_what_is_to_stay_stays_whatever_its_age(tmp_path):
    aged(tmp_path, 20, 30, 10)
    assert arrays.make_room(tmp_path, 120, 240, keep=["b"])
    assert names(tmp_path) == ["b.array", "b.json"]
    assert not arrays.make_room(tmp_path, 121, 240, keep=["b"])


def test_leftovers_of_processes_that_are_gone_are_swept_and_those_at_work_are_not(tmp_path):
    old = arrays.Filling(tmp_path, "old", (2, 3), "float32")
    (path,) = tmp_path.iterdir()
    os.utime(path, (time.time() - 2 * arrays.FORGOTTEN_SECONDS,) * 2)
    new = arrays.Filling(tmp_path, "new", (2, 3), "float32")
    assert arrays.make_room(tmp_path, 1, 1000)
    assert [name[:4] for name in names(tmp_path)] == [".new"]
    new.finish({})
    old.drop()


def test_there_is_room_in_a_folder_that_is_not_there_yet(tmp_path):
    assert arrays.make_room(tmp_path / "not" / "there", 10, 10)
    assert names(tmp_path) == []
