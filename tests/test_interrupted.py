"""Interrupted: whatever stops a run, the same command continues it to the same bytes.

The process stops itself before a write that is chosen, and is let go on or killed there: no test
waits for a fixed time, and none races with a training that is sooner done.
"""

import json
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
import yaml

from patience import PATIENCE, until
from small import bert
from stories import digest, fettle_in, flip_byte, texts_and_labels, write_rows

TUNE = ("tune", "--config", "../plan.yaml", "--json")


@pytest.fixture(scope="module")
def place(tmp_path_factory, machine):
    """A model, a plan of six epochs, and a folder with rows, to be copied by each test."""
    folder = tmp_path_factory.mktemp("interrupted")
    bert(folder / "model", hidden_size=64, intermediate_size=256, num_hidden_layers=4)
    (folder / "rows").mkdir()
    write_rows(folder / "rows" / "tickets.csv", texts_and_labels(300, seed=31))
    made = fettle_in(machine, "plan", "tickets.csv", "--model", "../model", folder=folder / "rows")
    values = yaml.safe_load(made.out)
    values["rungs"] = [one for one in values["rungs"] if one["strategy"] != "top"]
    values["rungs"][1]["settings"].update(epochs=6, patience=6, batch_rows=8)
    (folder / "plan.yaml").write_text(yaml.safe_dump(values))
    return folder


@pytest.fixture(scope="module")
def whole(place, machine):
    """What the command gives when nothing stops it: its weights, and its answer."""
    shutil.copytree(place / "rows", place / "whole")
    done = fettle_in(machine, *TUNE, folder=place / "whole")
    assert done.code == 0, done.err
    return Run(place / "whole"), done.json


@pytest.fixture
def here(place, whole, request):
    """A folder of its own beside the model, with the rows."""
    folder = place / f"here-{request.node.name[:40]}-{os.urandom(3).hex()}"
    shutil.copytree(place / "rows", folder)
    return Run(folder)


class Run:
    """The one run in a folder's .fettle, by what lies there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def place(self) -> Path:
        (found,) = (self.folder / ".fettle" / "runs").iterdir()
        return found

    def weights(self) -> dict[str, str]:
        return {
            rung: digest(self.place / "rungs" / rung / "model.safetensors")
            for rung in ("features", "full")
        }

    def history(self) -> list[dict]:
        """Every epoch of `full` but its seconds: losses to the last bit, the best one's or not."""
        facts = json.loads((self.place / "rungs" / "full" / "rung.json").read_text())
        return [{**epoch, "seconds": 0} for epoch in facts["history"]]

    def lines(self) -> list[dict]:
        """Of metrics.jsonl."""
        return [json.loads(x) for x in (self.place / "metrics.jsonl").read_text().splitlines()]

    def checkpoints(self) -> list[Path]:
        return sorted(self.folder.glob(".fettle/runs/*/checkpoints/*/*.json"))


def standing(here, fettle, operation):
    """The command in a process that stands still before this operation of the store."""
    process = fettle.start(*TUNE, folder=here.folder, FETTLE_FAILPOINT=f"stop@{operation}")

    def stands():
        found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT)
        assert found is None or found.si_code == os.CLD_STOPPED, process.stderr.read()
        return found

    until(stands)
    return process


def stopped(process, number):
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def continued(here, fettle, whole, *words):
    """The same command once more; it ends like the run that nothing stopped."""
    done = fettle.fresh(*TUNE, folder=here.folder)
    assert done.code == 0, done.err
    for word in words:
        assert word in done.err, done.err
    run, answer = whole
    assert here.weights() == run.weights()
    assert here.history() == run.history()
    found = done.json
    assert found["version"] == "tickets@1"
    for key in ("rung", "test", "before"):
        assert found[key] == answer[key]
    assert [x["validation"] for x in found["rungs"]] == [x["validation"] for x in answer["rungs"]]
    assert not list(here.place.rglob("*.tmp"))
    return done


@pytest.mark.slow
def test_an_interrupt_during_features_is_continued_to_the_same_bytes(here, fettle, whole):
    process = standing(here, fettle, "write targets.safetensors")
    code, out, err = stopped(process, signal.SIGINT)
    assert (code, out) == (130, "")
    assert "The same command continues" in err
    assert "Traceback" not in err
    assert not list(here.place.glob("rungs/full"))
    continued(here, fettle, whole)


def test_an_interrupt_during_an_epoch_is_continued_to_the_same_bytes(here, fettle, whole):
    process = standing(here, fettle, "write 000002000000.safetensors")
    code, out, err = stopped(process, signal.SIGINT)
    assert (code, out) == (130, "")
    assert "The same command continues" in err
    assert "Traceback" not in err
    assert not (here.place / "rungs" / "full").exists()
    continued(here, fettle, whole, "Going on after epoch")


@pytest.mark.slow
def test_a_kill_after_an_epoch_is_continued_to_the_same_bytes(here, fettle, whole):
    process = standing(here, fettle, "write 000002000000.safetensors")
    code, _, _ = stopped(process, signal.SIGKILL)
    assert code == -signal.SIGKILL
    continued(here, fettle, whole, "Going on after epoch")


@pytest.mark.slow
def test_a_torn_newest_checkpoint_is_passed_over_aloud(here, fettle, whole):
    stopped(standing(here, fettle, "write 000003000000.safetensors"), signal.SIGKILL)
    newest = here.checkpoints()[-1]
    flip_byte(newest.with_suffix(".safetensors"))
    number = int(here.checkpoints()[-2].stem) // 1_000_000
    continued(here, fettle, whole, f"Checkpoint {newest.stem} is not whole and is passed over",
              f"Going on after epoch {number} ")


@pytest.mark.slow
def test_kept_features_that_were_altered_are_computed_again_aloud(here, fettle, whole, machine):
    stopped(standing(here, fettle, "write 000002000000.safetensors"), signal.SIGKILL)
    kept = list(machine.glob("fettle/replay/*-mean.array"))
    assert kept
    for path in kept:
        flip_byte(path)
    altered = {path: path.read_bytes() for path in kept}
    continued(here, fettle, whole, "computed again")
    for path in kept:  # what other stories kept is theirs, and whole again
        if path.read_bytes() == altered[path]:
            flip_byte(path)


def test_a_finished_run_only_prints_what_is_stored(whole, place, fettle):
    run, answer = whole
    before = run.weights()
    lines = len(run.lines())
    done = fettle.fresh(*TUNE, folder=run.folder)
    assert done.json == answer
    assert "This run is finished" in done.err
    assert (run.weights(), len(run.lines())) == (before, lines)


def largest_file(most):
    """For the new process: no file may grow beyond this; as where the disk is full."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    return limit


@pytest.mark.parametrize(
    "at",
    [pytest.param("plan", marks=pytest.mark.slow), pytest.param("weights", marks=pytest.mark.slow),
     "checkpoint"],
)
def test_a_full_disk_ends_with_2_and_one_message_and_is_continued(here, fettle, whole, at):
    size = (whole[0].place / "rungs" / "full" / "model.safetensors").stat().st_size
    most = {"plan": 100, "weights": size - 1, "checkpoint": 2 * size}[at]
    done = fettle.fresh(*TUNE, folder=here.folder, before=largest_file(most))
    assert (done.code, done.out) == (2, ""), done.err
    assert "Traceback" not in done.err
    assert done.err.count("fettle: ") == 1
    assert "Could not write" in done.err
    assert "Make room" in done.err
    assert not list(here.place.rglob("*.tmp"))
    held = {path: path.read_bytes() for path in here.place.rglob("*.safetensors")}
    if at == "checkpoint":
        assert (here.place / "rungs" / "features" / "rung.json").is_file()
        assert held
    continued(here, fettle, whole)
    for path, content in held.items():
        assert not path.is_file() or "checkpoints" in path.parts or path.read_bytes() == content


@pytest.mark.slow
def test_two_processes_do_not_work_in_one_folder(here, fettle, whole):
    process = standing(here, fettle, "write targets.safetensors")
    second = fettle.fresh(*TUNE, folder=here.folder)
    assert second.code == 2
    assert f"in use by process {process.pid}" in second.err
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert here.weights() == whole[0].weights()
