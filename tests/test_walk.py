"""docs/walk.md, as it stands: every command and every Python block, in their order.

The same rules as for the README: digits stand for any number, "..." for any text.
"""

import csv
import gzip
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from fettle.store.registry import Registry
from serving import free_port
from test_readme import commands, is_shown, run

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "walk.md").read_text(encoding="utf-8")
PORT = "18642"
EVERY = 4
"""Of the rows, so that a walk takes minutes on one core."""


def steps() -> list[tuple[str, str]]:
    """(kind, text) of each block, in the order of the page."""
    return re.findall(r"^```(python|console)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, shared_data):
    """One that holds a part of the speeches, and no server when the walk is over."""
    with gzip.open(shared_data / "sotu_party" / "sotu_party.csv.gz", "rt", encoding="utf-8",
                   newline="") as stream:
        rows = list(csv.DictReader(stream))[::EVERY]
    with (tmp_path / "sotu_party.csv").open("w", encoding="utf-8", newline="") as stream:
        out = csv.DictWriter(stream, list(rows[0]))
        out.writeheader()
        out.writerows(rows)
    yield tmp_path
    if (tmp_path / "serve.pid").is_file():
        with suppress(ProcessLookupError):
            os.kill(int((tmp_path / "serve.pid").read_text()), signal.SIGKILL)


def test_the_walk_goes_round_the_whole_circle():
    shown = " ".join(text for _, text in steps())
    for verb in ("tune", "serve", "watch", "label suggest", "label read", "retrain", "promote",
                 "rollback"):
        assert f"$ fettle {verb}" in shown


@pytest.mark.slow
def test_every_step_of_the_walk_does_what_the_page_says(folder, machine):
    assert PORT in PAGE
    port = str(free_port())  # two who walk on one machine must not meet
    for kind, page in steps():
        text = page.replace(PORT, port)
        if kind == "python":
            done = subprocess.run([sys.executable, "-c", text], cwd=folder, capture_output=True,
                                  text=True, check=False)
            assert done.returncode == 0, f"{text}\n{done.stderr}"
            continue
        for one in commands(f"```console\n{text}```\n"):
            done = run(one.line, folder, XDG_CACHE_HOME=str(machine))
            assert done.returncode == 0, f"{one.line}\n{done.stdout}\n{done.stderr}"
            for line in one.shown:
                assert is_shown(line, done.stdout + done.stderr), f"{one.line}\n{done.stdout}"
    registry = Registry(folder / ".fettle")
    pointers = registry.pointers("speeches")
    assert (pointers["champion"].number, pointers["previous"].number) == (1, 2)
    page = (folder / "watched.html").read_text(encoding="utf-8")
    assert shlex.quote("speeches@1") in page
    assert "<script" not in page
    happened = [event.event for event in registry.history("speeches")]
    assert happened.count("promote") == 1
    assert happened[-1] == "rollback"
