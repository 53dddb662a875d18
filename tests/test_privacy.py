"""What leaves with a report, and what a process may reach: no secrets, no paths, no network."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fettle.store.registry import Registry

SECRET = "hf_TheTokenThatMustNotTravel"
NO_SOCKETS = """
import os, socket
def refuse(*given, **more):
    os.write(2, b"A SOCKET WAS OPENED\\n")
    os._exit(99)
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
socket.create_connection = socket.gethostbyname = refuse
"""


@pytest.fixture
def bare():
    """fettle in a process with no more of an environment than is said."""
    def run(*arguments, folder, environment, before=None):
        code = f"{NO_SOCKETS}\nfrom fettle.cli import main; main()"
        source = str(Path(__file__).resolve().parents[1] / "src")
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], cwd=folder, text=True,
            preexec_fn=before,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": source, **environment},
            capture_output=True, check=False, errors="replace",
        )

    return run


def test_neither_tokens_nor_the_home_nor_rows_are_in_report_card_or_log(told, bare, tmp_path):
    home = tmp_path / "home" / "ann-of-cardiology"
    home.mkdir(parents=True)
    shutil.copy(told.folder / "tickets.csv", tmp_path)
    environment = {"HOME": str(home), "HF_TOKEN": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET,
                   "LANG": "C.UTF-8"}
    done = bare("tune", "tickets.csv", "--model", told.plan.model, "--rungs", "features", "--json",
                folder=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    run = tmp_path / json.loads(done.stdout)["run"]
    held = [path for path in (tmp_path / ".fettle").rglob("*") if path.is_file()]
    assert len(held) > 20
    for path in held:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert home.name.encode() not in content, path
    texts = [text.encode() for text in told.dataset.column("text")]
    for name in ("report.html", "model-card.md", "metrics.jsonl", "evaluation.json", "run.json"):
        content = (run / name).read_bytes()
        shown = [text for text in texts if text in content]
        assert not shown, (name, shown[:3])
    log = json.dumps([event.detail for event in Registry(tmp_path / ".fettle").history()])
    assert SECRET not in done.stderr + done.stdout + log


@pytest.mark.parametrize("environment", [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii:backslashreplace"},
    {"HOME": "/nowhere", "LANG": "C.UTF-8"},
], ids=["C locale", "ascii output", "a home that is not there"])  # fmt: skip
def test_without_home_locale_or_network_it_works(told, bare, tmp_path, environment):
    done = bare("predict", "tickets", "größe lost card", "--registry", told.registry, "--json",
                folder=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["version"] == "tickets@1"
    done = bare("verify", "--registry", told.registry, folder=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr


def nothing_may_be_written():
    """For the new process: no file may grow, but for the few bytes by which Python looks for a
    folder that it may write to."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))


def test_where_nothing_may_be_written_it_answers_or_says_so_in_a_line(told, bare, tmp_path):
    shutil.copytree(told.run_folder / "version", tmp_path / "version")
    shutil.copy(told.folder / "tickets.csv", tmp_path)
    environment = {"LANG": "C.UTF-8", "HOME": "/nowhere"}
    done = bare("predict", "version", "lost card", "--json", folder=tmp_path,
                environment=environment, before=nothing_may_be_written)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["value"] == "lost card"
    done = bare("tune", "tickets.csv", "--model", told.plan.model, folder=tmp_path,
                environment=environment, before=nothing_may_be_written)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("fettle: ") == 1
