import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fettle.core.errors import LockHeld, StoreError
from fettle.store import checkpoints, files, locks

HOLDER = """
import sys
from pathlib import Path
from fettle.store import checkpoints, files, locks
with locks.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_told_at_once_who_holds_the_folder(tmp_path, holder):
    host, day = re.escape(socket.gethostname()), r"\d{4}-\d\d-\d\d"
    said = rf"in use by process {holder.pid} on {host} since {day} \d\d:\d\d:\d\d UTC\. Wait"
    with pytest.raises(LockHeld, match=said):  # while the holder holds on
        locks.hold(tmp_path).__enter__()
    assert holder.poll() is None


def test_a_lock_dies_with_the_process_that_holds_it(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with locks.hold(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / ".lock").read_text()


def test_a_block_that_ends_or_fails_lets_go(tmp_path):
    with pytest.raises(ZeroDivisionError), locks.hold(tmp_path / "new"):
        raise ZeroDivisionError
    with locks.hold(tmp_path / "new"), pytest.raises(LockHeld), locks.hold(tmp_path / "new"):
        pass
    with locks.hold(tmp_path / "new"), locks.hold(tmp_path / "other"):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"Could not lock .*file"):
        locks.hold(tmp_path / "file").__enter__()


def renamed(folder):
    folder.rename(folder.parent / "elsewhere")


def replaced_by_a_folder(folder):
    renamed(folder)
    shutil.copytree(folder.parent / "elsewhere", folder)


def replaced_by_a_file(folder):
    renamed(folder)
    folder.write_text("")


def without_its_lock(folder):
    (folder / ".lock").unlink()


@pytest.mark.parametrize(
    "happens", [shutil.rmtree, renamed, replaced_by_a_folder, replaced_by_a_file, without_its_lock],
    ids=lambda one: one.__name__,
)
@pytest.mark.parametrize(
    "write",
    [
        lambda folder: files.write_text(folder / "a", "new"),
        lambda folder: files.append_line(folder / "deep" / "log", "new"),
        lambda folder: files.remove_file(folder / "old"),
        lambda folder: files.remove_folder(folder / "old folder"),
        lambda folder: checkpoints.save(folder / "checkpoints", 1, {}, {}),
    ],
    ids=["write", "append", "remove", "remove folder", "save"],
)
def test_a_held_folder_that_is_gone_is_said_at_the_first_write(tmp_path, happens, write):
    folder = tmp_path / "run"
    with locks.hold(folder):
        files.write_text(folder / "old", "old")
        (folder / "old folder").mkdir()
        happens(folder)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(StoreError, match=r"Could not write .*/run is gone, or another folder"):
            write(folder)
        assert sorted(tmp_path.rglob("*")) == before
    files.write_text(tmp_path / "run 2" / "a", "nobody holds this one")


def test_what_lies_outside_of_the_held_folder_is_written_as_ever(tmp_path):
    with locks.hold(tmp_path / "run"):
        shutil.rmtree(tmp_path / "run")
        files.write_text(tmp_path / "run2" / "a", "its name only begins like that")


def test_a_folder_held_by_its_relative_path_is_the_same_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with locks.hold(Path("run")):
        shutil.rmtree("run")
        for folder in (Path("run"), tmp_path / "run"):
            with pytest.raises(StoreError, match="is gone"):
                files.write_text(folder / "a", "new")


def test_orphans_of_killed_writers_are_swept_by_the_next_holder_and_not_by_a_visitor(
    tmp_path, holder
):
    orphan = tmp_path / "sub" / ".a.json.01234567.tmp"
    files.write_text(orphan, "half")
    with pytest.raises(LockHeld):
        locks.hold(tmp_path).__enter__()
    assert orphan.exists()
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with locks.hold(tmp_path):
        assert not orphan.exists()
