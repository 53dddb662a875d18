import os
import signal
import subprocess
import sys
import time

import pytest

from fettle.core.errors import LockHeld, StoreError
from fettle.store import locks

HOLDER = """
import sys, time
from pathlib import Path
from fettle.store import locks
with locks.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_told_at_once_who_holds_the_folder(tmp_path, holder):
    begun = time.monotonic()
    with pytest.raises(LockHeld, match=rf"in use by process {holder.pid} on "):
        locks.hold(tmp_path).__enter__()
    assert time.monotonic() - begun < 1


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
