"""Every operation of the store fails once, in each way that it can.

After a death, what is read in another process is what was there before or what was to be there,
never something between; after an error, it is what was there before.
"""

import errno
import os
import shutil
import subprocess
import sys

import pytest
import torch

from fettle.core.errors import SettingError, StoreError
from fettle.store import arrays, checkpoints, failpoints, files, locks
from fettle.store.blobs import Blobs
from nursery import Nursery
from store import deeds

ERRORS = ("enospc", "eio", "erofs", "edquot", "efbig", "eacces")


@pytest.fixture(scope="module")
def nursery():
    made = Nursery(["store.deeds"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def nursery_with_torch():
    made = Nursery(["torch", "store.deeds"])
    yield made
    made.close()


@pytest.fixture
def armed():
    """Fail in this process, for one test."""
    yield failpoints.arm
    failpoints.arm("")


@pytest.fixture
def place(tmp_path):
    """(make again, folder): a folder that can be put back as it was when it was first asked for."""
    folder, kept = tmp_path / "place", tmp_path / "kept"
    folder.mkdir()

    def again():
        if not kept.exists():
            shutil.copytree(folder, kept)
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)

    return again, folder


def names(folder):
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*"))


def is_checkpoint(found, number):
    expected = deeds.tensors(number)
    return (
        (found.number, found.facts) == (number, {"at": number})
        and found.tensors.keys() == expected.keys()
        and all(torch.equal(found.tensors[name], expected[name]) for name in expected)
    )


def failing(armed, again, act, *given):
    """Fail act's N-th operation for N = 1, 2, ... by every error, each time on the same folder."""
    for error in ERRORS:
        number = 0
        while True:
            number += 1
            again()
            armed(f"{error}@{number}")
            try:
                act(*given)
            except StoreError as said:
                armed("")
                yield f"{error}@{number}", str(said)
            else:
                break
        assert number > 1, f"{error} was never reached"


def test_a_save_that_is_killed_anywhere_leaves_a_whole_checkpoint_and_can_be_done_again(
    place, nursery_with_torch
):
    again, folder = place
    for number in (1, 2):
        deeds.save(folder, number)
    seen = set()
    for _, death in nursery_with_torch.deaths(again, "store.deeds:save", folder, 3):
        found, passed_over = checkpoints.latest(folder)
        assert passed_over == (), death
        assert is_checkpoint(found, 2) or is_checkpoint(found, 3), death
        seen.add(found.number)

        with locks.hold(folder):
            deeds.save(folder, 3)
        found, _ = checkpoints.latest(folder)
        assert is_checkpoint(found, 3), death
        left = [f"{one:012d}.{kind}" for one in (2, 3) for kind in ("json", "safetensors")]
        assert names(folder) == [".lock", *left], death
    assert seen == {2, 3}


def test_the_first_of_several_saves_may_be_killed_too(place, nursery_with_torch):
    again, folder = place
    for _, death in nursery_with_torch.deaths(again, "store.deeds:save_three", folder):
        found, passed_over = checkpoints.latest(folder)
        assert passed_over == (), death
        assert found is None or is_checkpoint(found, found.number), death


def test_a_save_writes_the_manifest_last_and_removes_nothing_before(place, nursery_with_torch):
    _, folder = place
    for number in (1, 2):
        deeds.save(folder, number)
    weights, manifest = "000000000003.safetensors", "000000000003.json"
    assert nursery_with_torch.operations("store.deeds:save", folder, 3) == [
        f"write {weights}", f"flush {weights}", f"rename {weights}", "flush place",
        f"write {manifest}", f"flush {manifest}", f"rename {manifest}", "flush place",
        "unlink 000000000001.json", "unlink 000000000001.safetensors",
    ]  # fmt: skip


def test_a_file_whose_writer_is_killed_anywhere_is_the_old_or_the_new_one(place, nursery):
    again, folder = place
    files.write_json(folder / "a.json", deeds.OLD)
    seen = []
    for _, death in nursery.deaths(again, "store.deeds:write_json", folder):
        found = files.read_json(folder / "a.json")
        assert found in (deeds.OLD, deeds.NEW), death
        seen.append(found["answer"])
    assert set(seen) == {"old", "new"}


def test_a_file_in_new_folders_is_whole_or_not_there(place, nursery):
    again, folder = place
    for _, death in nursery.deaths(again, "store.deeds:write_below", folder):
        path = folder / "deep" / "deeper" / "a.json"
        assert not path.exists() or files.read_json(path) == deeds.NEW, death
        deeds.write_below(folder)


def test_a_new_folder_is_flushed_in_the_one_above_it_before_anything_lies_in_it(place, nursery):
    _, folder = place
    listed = nursery.operations("store.deeds:write_below", folder)
    assert listed[:5] == [
        "mkdir deep", "flush place", "mkdir deeper", "flush deep", "write a.json"
    ]


@pytest.mark.parametrize("before", ["", '{"line": 1}\n', '{"line": 1}\n{"li'], ids=len)
def test_a_killed_append_loses_no_line_before_it_nor_any_after_it(place, nursery, before):
    again, folder = place
    log = folder / "log"
    log.write_text(before)
    again()
    old = [{"line": 1}] if before else []
    new = {"line": 2, "text": "größe"}
    for _, death in nursery.deaths(again, "store.deeds:append", folder):
        found, _ = files.read_lines(log)
        assert found in (old, [*old, new]), death
        files.append_line(log, '{"line": 3}')
        after, passed_over = files.read_lines(log)
        assert after == [*found, {"line": 3}], death
        assert len(passed_over) <= before.count("li") - len(old) + 1, death


def test_a_killed_blob_is_not_there_or_whole(place, nursery):
    again, folder = place
    (folder / "source").write_bytes(b"weights" * 1000)
    digest = files.sha256(folder / "source")
    for _, death in nursery.deaths(again, "store.deeds:put", folder):
        path = folder / "sha256" / digest[:2] / digest
        assert not path.exists() or files.sha256(path) == digest, death
        assert Blobs(folder).put(folder / "source") == digest, death
        assert files.sha256(path) == digest, death


def test_a_killed_copy_is_the_old_file_or_the_whole_new_one(place, nursery):
    again, folder = place
    (folder / "source").write_bytes(b"weights" * 1000)
    (folder / "a.json").write_bytes(b"old")
    for _, death in nursery.deaths(again, "store.deeds:copy", folder):
        assert (folder / "a.json").read_bytes() in (b"old", b"weights" * 1000), death


def is_filled(found):
    values, facts = found
    return values.shape == (5, 7) and (values == 3.0).all() and facts == {"of": "a"}


def test_a_killed_array_is_not_there_or_whole_and_can_be_filled_again(place, nursery):
    again, folder = place
    seen = []
    for _, death in nursery.deaths(again, "store.deeds:fill", folder):
        found = arrays.read(folder, "a")
        assert found is None or is_filled(found), death
        seen.append(found is None)
        deeds.fill(folder)
        assert is_filled(arrays.read(folder, "a")), death
    assert set(seen) == {True, False}


def test_an_array_that_is_killed_while_it_makes_room_is_gone_or_whole(place, nursery):
    again, folder = place
    deeds.fill(folder)
    for _, death in nursery.deaths(again, "store.deeds:make_room", folder):
        found = arrays.read(folder, "a")
        assert found is None or is_filled(found), death


def test_an_error_while_an_array_is_filled_is_a_store_error_and_leaves_no_litter(place, armed):
    again, folder = place
    for failure, _ in failing(armed, again, deeds.fill, folder):
        found = arrays.read(folder, "a")
        assert found is None or is_filled(found), failure
        assert set(names(folder)) <= {"a.array", "a.json"}, failure


def test_a_folder_whose_remover_is_killed_can_be_removed_again(place, nursery):
    again, folder = place
    files.write_text(folder / "sub" / "a", "text")
    for _, death in nursery.deaths(again, "store.deeds:remove", folder):
        deeds.remove(folder)
        assert names(folder) == [], death


def test_a_killed_holder_hinders_nobody_and_what_it_began_is_swept(place, nursery):
    again, folder = place
    files.write_json(folder / "a.json", deeds.OLD)
    (folder / ".b.json.0123abcd.tmp").write_text("half")  # of an earlier one
    for _, death in nursery.deaths(again, "store.deeds:hold", folder):
        with locks.hold(folder):
            assert files.read_json(folder / "a.json") in (deeds.OLD, deeds.NEW), death
            assert names(folder) == [".lock", "a.json"], death


@pytest.mark.parametrize(
    "act", [deeds.write_json, deeds.write_below, deeds.append, deeds.copy, deeds.remove],
    ids=lambda one: one.__name__,
)
def test_an_error_at_any_operation_is_a_store_error_that_leaves_no_litter(place, armed, act):
    again, folder = place
    files.write_json(folder / "a.json", deeds.OLD)
    files.append_line(folder / "log", '{"line": 1}')
    (folder / "source").write_bytes(b"weights" * 1000)
    (folder / "sub").mkdir()
    for failure, said in failing(armed, again, act, folder):
        assert said.startswith("Could not write "), failure
        code = getattr(errno, failure.split("@")[0].upper())
        assert os.strerror(code) in said, failure
        assert not [one for one in names(folder) if one.endswith(".tmp")], failure


def test_an_error_before_the_rename_leaves_the_old_file_and_one_after_it_the_new(place, armed):
    again, folder = place
    files.write_json(folder / "a.json", deeds.OLD)
    found = []
    for _ in failing(armed, again, deeds.write_json, folder):
        found.append(files.read_json(folder / "a.json")["answer"])
    assert found == ["old", "old", "old", "new"] * len(ERRORS)


def test_a_ctrl_c_at_any_operation_leaves_no_litter(place, armed):
    again, folder = place
    files.write_json(folder / "a.json", deeds.OLD)
    files.append_line(folder / "log", '{"line": 1}')
    for act in (deeds.write_json, deeds.append):
        for number in (1, 2, 3):
            again()
            armed(f"interrupt@{number}")
            if (act, number) == (deeds.append, 3):
                act(folder)  # it has only two
                continue
            with pytest.raises(KeyboardInterrupt):
                act(folder)
            assert files.read_json(folder / "a.json") == deeds.OLD
            assert (folder / "log").read_text() == '{"line": 1}\n'
            assert names(folder) == ["a.json", "log"]


def test_a_line_that_could_not_be_written_or_flushed_is_taken_back(place, armed):
    again, folder = place
    files.append_line(folder / "log", '{"line": 1}')
    for failure, _ in failing(armed, again, deeds.append, folder):
        assert (folder / "log").read_text() == '{"line": 1}\n', failure


def test_an_error_at_any_operation_of_a_save_leaves_a_whole_checkpoint(place, armed):
    again, folder = place
    for number in (1, 2):
        deeds.save(folder, number)
    for failure, _ in failing(armed, again, deeds.save, folder, 3):
        found, passed_over = checkpoints.latest(folder)
        assert passed_over == (), failure
        assert is_checkpoint(found, 2) or is_checkpoint(found, 3), failure


def test_a_folder_that_cannot_be_locked_for_want_of_room_says_so(place, armed):
    _, folder = place
    for number in (1, 2, 3):
        armed(f"enospc@{number}")
        with pytest.raises(StoreError, match=r"Could not lock .*new: No space left .* Make room"):
            locks.hold(folder / "new").__enter__()
        shutil.rmtree(folder / "new", ignore_errors=True)


def test_a_failed_flush_is_not_tried_again(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a", "old")
    flushes = []

    def fails_once(descriptor):
        flushes.append(descriptor)
        if len(flushes) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fails_once)
    with pytest.raises(StoreError, match=r"Could not write .*a: Input/output error. The disk"):
        files.write_text(tmp_path / "a", "new")
    assert len(flushes) == 1
    assert (tmp_path / "a").read_text() == "old"


def test_the_message_of_a_full_disk_says_how_many_bytes_it_needs_and_how_many_there_are(
    tmp_path, armed
):
    armed("enospc@write")
    with pytest.raises(StoreError, match=r"It needs 5,000 bytes, and [\d,]+ bytes are free there"):
        files.write_bytes(tmp_path / "a", b"x" * 5000)


def test_the_variable_is_read_when_the_process_starts(tmp_path):
    code = "import pathlib, fettle.store.files as f; f.write_text(pathlib.Path('a'), 'new')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=False,
        env={**os.environ, "FETTLE_FAILPOINT": "torn@write a"},
    )
    assert done.returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.read_text() == "n"


@pytest.mark.parametrize("text", ["kill", "kill@", "die@3", "@3", "enospace@1"])
def test_a_failpoint_that_means_nothing_is_refused(text, armed):
    with pytest.raises(SettingError, match="KIND@N is what it takes"):
        armed(text)


def test_without_the_variable_an_operation_is_the_same_empty_block():
    failpoints.arm("")
    assert failpoints.operation("write") is failpoints.operation("rename")


def test_a_point_can_be_reached_by_its_name(armed):
    armed("eio@commit")
    failpoints.reach("begin")
    with pytest.raises(OSError, match="Input/output"):
        failpoints.reach("commit")
    failpoints.reach("commit")  # it fails once
