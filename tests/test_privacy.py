"""What leaves with a report, and what a process may reach: no secrets, no paths, no network."""

import json
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

from fettle.store import files
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
def bare(told, tmp_path):
    """fettle in a process with no more of an environment than is said."""
    import subprocess
    import sys

    machine = tmp_path / "machine"

    def run(*arguments, folder, environment, user=None):
        code = f"{NO_SOCKETS}\nfrom fettle.cli import main; main()"
        source = str(Path(__file__).resolve().parents[1] / "src")
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], cwd=folder, text=True, user=user,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": source, **environment},
            capture_output=True, check=False, errors="replace",
        )

    machine.mkdir()
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
        assert len(shown) <= 0, (name, shown[:3])
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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody without rights")
def test_where_nothing_may_be_written_it_answers_or_says_so_in_a_line(told, bare):
    nobody = pwd.getpwnam("nobody").pw_uid
    with tempfile.TemporaryDirectory(prefix="fettle-read-only-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        shutil.copytree(told.run_folder / "version", place / "version")
        for path in place.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        if not os.access(Path(__file__), os.R_OK):
            pytest.skip("the checkout is readable by its owner alone")
        environment = {"LANG": "C.UTF-8"}
        done = bare("predict", "version", "lost card", "--json", folder=place,
                    environment=environment, user=nobody)
        if "No module named" in done.stderr or done.returncode == 126:
            pytest.skip("the environment is readable by its owner alone")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["value"] == "lost card"
        files.write_text(place / "rows.csv", "text,label\n" + "a,b\nc,d\n" * 20)
        (place / "rows.csv").chmod(0o644)
        done = bare("tune", "rows.csv", "--model", "version", folder=place,
                    environment=environment, user=nobody)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stderr.count("fettle: ") == 1
