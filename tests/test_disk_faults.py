"""Faults of the disk: no room, errors, harmed files, a folder that is gone."""

import re
import shutil
from pathlib import Path

import pytest

from faults import SHARES, every_file, new_place, number_of, nursery, operations, place
from nursery import KILLED
from stories import flip_byte

__all__ = ["new_place", "nursery", "operations", "place"]


FULL_DISK = ("enospc", "edquot", "efbig")


@pytest.fixture(scope="module")
def third(operations):
    """The file of the third checkpoint: where its writing begins, two stand."""
    numbers = [one.split()[1] for one in operations if re.fullmatch(r"write \d+\.safetensors", one)]
    return numbers[2]


OF_THE_CACHE = re.compile(r"\b(replay|\w{16}-(mean|cls|max|block\d+)\.(array|json))$")


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_an_error_of_the_disk_at_any_operation_is_said_once_and_continued(
    place, operations, share
):
    error = (*FULL_DISK, "eio", "erofs", "eacces")[share % 6]
    number = number_of(share, operations)
    done = place.tune(f"{error}@{number}")
    if OF_THE_CACHE.search(operations[number - 1]):  # it costs the next run time, and no run
        assert done.code == 0, done.err
        assert "not kept" in done.err
        return
    place.require_refused(done, "Make room" if error in FULL_DISK else "Could not ")
    assert not list(place.folder.rglob("*.tmp"))
    place.require_same(place.tune())


@pytest.mark.slow
def test_a_file_that_may_not_grow_ends_the_command_within_a_checkpoint(place):
    assert place.tune("kill@mkdir full-0").code == KILLED
    largest = 2 * (place.told.run_folder / "rungs/full/model.safetensors").stat().st_size
    done = place.tune(limit=largest)
    place.require_refused(done, "full-0/000001000000.safetensors: File too large", "Make room")
    place.require_same(place.tune())


@pytest.mark.slow
def test_a_file_that_may_not_grow_ends_the_command_within_the_report(place):
    assert place.tune("kill@write run.json").code == KILLED
    largest = (place.told.run_folder / "report.html").stat().st_size - 1
    done = place.tune(limit=largest)
    place.require_refused(done, "report.html: File too large", "Make room")
    place.require_same(place.tune())


@pytest.mark.slow
def test_a_full_disk_ends_the_command_within_the_log(place):
    assert place.tune("kill@append metrics.jsonl").code == KILLED
    log = place.run / "metrics.jsonl"
    log.unlink(missing_ok=True)
    log.symlink_to("/dev/full")
    place.require_refused(place.tune(), "metrics.jsonl: No space left on device. It needs")
    log.unlink()
    place.require_same(place.tune())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def appended(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.slow
@pytest.mark.parametrize("harm", [flip_byte, cut, appended, emptied, Path.unlink])
@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_harmed_checkpoint_is_passed_over_aloud_for_the_one_before(place, third, harm, suffix):
    assert place.tune(f"kill@write {third}").code == KILLED
    newest = place.checkpoints()[-1]
    harm(newest.with_suffix(suffix))
    said = () if (harm, suffix) == (Path.unlink, ".json") else (f"{newest.stem} is not whole",)
    place.require_same(place.tune(), *said, "Going on after")


@pytest.mark.slow
def test_where_no_checkpoint_is_whole_the_rung_is_climbed_anew(place, third):
    assert place.tune(f"kill@write {third}").code == KILLED
    assert len(place.checkpoints()) == 2
    said = [f"Checkpoint {manifest.stem} is not whole" for manifest in place.checkpoints()]
    for manifest in place.checkpoints():
        flip_byte(manifest.with_suffix(".safetensors"))
    done = place.tune()
    place.require_same(done, *said)
    assert "Going on after" not in done.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "outputs.safetensors", "head.json"])
@pytest.mark.parametrize("rung", ["features", "full"])
def test_a_finished_rung_that_was_altered_is_climbed_again_aloud(place, rung, name):
    assert place.tune("kill@write run.json").code == KILLED
    flip_byte(place.run / "rungs" / rung / name)
    place.require_same(place.tune(), f"{rung} is climbed again", name)


def renamed(folder: Path) -> None:
    folder.rename(folder.parent.parent.parent / "elsewhere")


def replaced_by_a_file(folder: Path) -> None:
    renamed(folder)
    folder.write_text("")


def replaced_by_a_folder(folder: Path) -> None:
    renamed(folder)
    shutil.copytree(folder.parent.parent.parent / "elsewhere", folder)


def test_a_folder_that_is_gone_is_said_at_the_first_save_and_can_be_brought_back(place):
    process = place.stopped("write 000002000000.safetensors")
    folder = place.run
    replaced_by_a_file(folder)
    done = place.goes_on(process)
    place.require_refused(done, "Could not write", f"{folder.name} is gone, or another folder")
    assert "epoch 3" not in done.err
    folder.unlink()
    (place.folder / "elsewhere").rename(folder)
    place.require_same(place.tune(), "Going on after")


@pytest.mark.slow
@pytest.mark.parametrize("happens", [renamed, replaced_by_a_folder, shutil.rmtree])
@pytest.mark.parametrize("operation", ["append metrics.jsonl", "write report.html"])
def test_a_folder_that_is_gone_is_said_wherever_the_command_is(place, happens, operation):
    process = place.stopped(operation)
    folder = place.run
    happens(folder)
    before = every_file(place.folder / ".fettle" / "runs")
    done = place.goes_on(process)
    place.require_refused(done)
    assert every_file(place.folder / ".fettle" / "runs") == before
    shutil.rmtree(folder, ignore_errors=True)
    place.require_same(place.tune())
