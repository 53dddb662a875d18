"""Folders that are whole or not there, and what is swept before them."""

import fcntl
import os

import pytest

from fettle.core.errors import SettingError, StoreError
from fettle.store import files
from fettle.store.staging import require_free, staged


def fill(place, text="new"):
    files.write_text(place / "deep" / "a", text)


def test_the_folder_gets_its_name_when_it_is_whole(tmp_path):
    with staged(tmp_path / "more" / "out") as place:
        fill(place)
        assert not (tmp_path / "more" / "out").exists()
    assert (tmp_path / "more" / "out" / "deep" / "a").read_text() == "new"
    assert os.listdir(tmp_path / "more") == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_did_not_end_well_leaves_nothing(error, tmp_path):
    def begin():
        with staged(tmp_path / "out") as place:
            fill(place)
            raise error

    with pytest.raises(error):
        begin()
    assert os.listdir(tmp_path) == []


def test_an_error_of_the_system_is_told_in_words(tmp_path):
    with pytest.raises(StoreError, match=r"Could not write .*out: No space left on device"), \
            staged(tmp_path / "out"):
        raise OSError(28, "No space left on device")


def test_somebody_who_was_quicker_is_not_overwritten(tmp_path):
    def begin():
        with staged(tmp_path / "out") as place:
            fill(place)
            fill(tmp_path / "out", "theirs")

    with pytest.raises(SettingError, match="holds 'deep'"):
        begin()
    assert (tmp_path / "out" / "deep" / "a").read_text() == "theirs"
    assert os.listdir(tmp_path) == ["out"]


def test_what_the_dead_began_is_swept_and_what_the_living_hold_is_not(tmp_path):
    dead, living = (tmp_path / f".out.{number * 8}.tmp" for number in "12")
    others = tmp_path / ".other.11111111.tmp"
    for one in (dead, living, others):
        fill(one)
    held = os.open(living, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with staged(tmp_path / "out") as place:
        fill(place)
    os.close(held)
    assert sorted(os.listdir(tmp_path)) == [others.name, living.name, "out"]


def test_a_name_with_stars_sweeps_only_its_own(tmp_path):
    other = tmp_path / ".out.11111111.tmp"
    fill(other)
    with staged(tmp_path / "o*") as place:
        fill(place)
    assert sorted(os.listdir(tmp_path)) == [other.name, "o*"]


def test_an_empty_folder_is_free_and_a_full_one_is_not(tmp_path):
    require_free(tmp_path)
    require_free(tmp_path / "not there")
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()
    with pytest.raises(SettingError, match="holds 'a' and 1 more"):
        require_free(tmp_path)
