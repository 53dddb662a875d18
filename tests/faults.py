"""A story that the whole command tells in a folder; for tests of faults."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from nursery import COMMAND, STOPPED, Command, Nursery
from stories import Told, digest

SHARES = 24
"""Of the operations of a run, so many are tried, evenly spread, with the first and the last."""


@pytest.fixture(scope="module")
def nursery():
    made = Nursery(COMMAND)
    yield made
    made.close()


class Place:
    """A folder with the rows of a story that was told, and the command that tells it there."""

    def __init__(self, folder: Path, told: Told, tune: Command) -> None:
        self.folder, self.told, self.tune = folder, told, tune

    @property
    def run(self) -> Path:
        (found,) = (self.folder / ".fettle" / "runs").iterdir()
        return found

    def checkpoints(self) -> list[Path]:
        """Their manifests, the oldest first, of the first fold that is tuned."""
        return sorted((self.run / "checkpoints" / "top-0").glob("*.json"))

    def stopped(self, failpoint: str) -> int:
        """A process that waits before this operation."""
        process = self.tune.start(f"stop@{failpoint}")
        done = self.tune.ended(process)
        assert done.code == STOPPED, done.err
        return process

    def goes_on(self, process: int):
        os.kill(process, signal.SIGCONT)
        return self.tune.ended(process)

    def require_same(self, done, *words: str) -> None:
        """What the command came to is what nothing stopped, to the last bit; and it says this."""
        assert done.code == 0, done.err
        for word in words:
            assert word in done.err, done.err
        rungs = [rung.name for rung in self.told.run.rungs]
        for rung in rungs:
            weights = self.run / "rungs" / rung / "model.safetensors"
            assert digest(weights) == self.told.weights(rung), rung
        for name in (*(f"rungs/{rung}/rung.json" for rung in rungs), "evaluation.json"):
            found = json.loads((self.run / name).read_text())
            assert lasting(found) == lasting(json.loads((self.told.run_folder / name).read_text()))
        assert done.json["version"] == f"{Path(self.tune.words[1]).stem}@1"
        assert not list(self.run.rglob("*.tmp"))

    def require_refused(self, done, *words: str) -> None:
        """It ended with 2 and one sentence, which says this."""
        assert (done.code, done.out) == (2, ""), done.err
        assert done.err.count("fettle: ") == 1, done.err
        assert "Traceback" not in done.err
        for word in words:
            assert word in done.err, done.err


def lasting(facts):
    """Without what a clock and the memory say.

    Nor how often the test rows were looked at: a command that dies after its look looks again, and
    both are counted, since nobody knows who saw the first.
    """
    passing = ("seconds", "training_seconds", "peak_bytes", "latency", "openings")
    if isinstance(facts, dict):
        return {key: lasting(value) for key, value in facts.items() if key not in passing}
    if isinstance(facts, list):
        return [lasting(one) for one in facts if "looked at" not in str(one)]
    return facts


@pytest.fixture(scope="module")
def new_place(tmp_path_factory, machine, nursery):
    """new_place(story, model): a folder with the rows of this story, and nothing else.

    Checkpoints come after every epoch, and nothing hangs on the clock; or after every step.
    """

    def make(told: Told, model: Path, *, save_every: str = "9h") -> Place:
        folder = tmp_path_factory.mktemp("place") / "here"
        # A blob lies in a folder named by two digits of its hash; some hashes hang on the clock:
        # where all the folders stand already, every run has the same operations.
        for number in range(256):
            (folder / f".fettle/blobs/sha256/{number:02x}").mkdir(parents=True)
        data = Path(told.plan.reading.data)
        shutil.copy(data, folder)
        home = shutil.copytree(  # what other runs kept of these rows is not there
            machine, folder.parent / "cache", ignore=shutil.ignore_patterns("replay")
        )
        words = ("tune", data.name, "--model", model, "--json", "--save-every", save_every)
        return Place(folder, told, Command(nursery, home, words, folder))

    return make


@pytest.fixture
def place(new_place, told, sentences):
    return new_place(told, sentences)


@pytest.fixture(scope="module")
def operations(new_place, told, sentences):
    """Every operation of a run that nothing stops: "rename plan.json"."""
    place = new_place(told, sentences)
    listed = place.folder / "operations"
    place.require_same(place.tune(f"list@{listed}"))
    return listed.read_text().splitlines()


def number_of(share: int, operations: list[str]) -> int:
    return 1 + share * (len(operations) - 1) // (SHARES - 1)


def every_file(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All that lies there: bytes, and when they were written."""
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }
