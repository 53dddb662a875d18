"""Faults of the whole command: whatever happens, the same command ends with the same bits.

What a process leaves behind when it dies is what the disk holds, and only the store changes that: a
death before each of its operations, or within a write, is a death at any moment. The reference is a
run on the same rows that nothing stopped.
"""

import json
import os
import random
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fettle.store import checkpoints
from nursery import COMMAND, KILLED, STOPPED, Command, Nursery
from stories import Told, digest, flip_byte

SHARES = 24
"""Of the operations of a run, so many are tried, evenly spread, with the first and the last."""
FULL_DISK = ("enospc", "edquot", "efbig")


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
        folder.mkdir()
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


@pytest.fixture(scope="module")
def third(operations):
    """The file of the third checkpoint: where its writing begins, two stand."""
    numbers = [one.split()[1] for one in operations if re.fullmatch(r"write \d+\.safetensors", one)]
    return numbers[2]


OF_THE_CACHE = re.compile(r"\b(replay|\w{16}-(mean|cls|max|block\d+)\.(array|json))$")


def number_of(share: int, operations: list[str]) -> int:
    return 1 + share * (len(operations) - 1) // (SHARES - 1)


def every_file(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All that lies there: bytes, and when they were written."""
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


# Killed (1).


def test_a_kill_within_a_checkpoint_is_continued_to_the_same_bits(place):
    done = place.tune("torn@write 000003000000.safetensors")
    assert done.code == KILLED
    assert [path.stem for path in place.checkpoints()] == ["000001000000", "000002000000"]
    assert list(place.run.rglob("*.tmp"))
    place.require_same(place.tune(), "Going on after")


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_a_kill_at_any_operation_is_continued_to_the_same_bits(place, operations, share):
    number = number_of(share, operations)
    assert place.tune(f"{'torn' if share % 2 else 'kill'}@{number}").code == KILLED
    place.require_same(place.tune())


@pytest.mark.slow
@pytest.mark.parametrize("share", range(0, SHARES, 4))
def test_a_kill_inside_an_epoch_is_continued_to_the_same_bits(new_place, told, sentences, share):
    place = new_place(told, sentences, save_every="0.000001s")
    listed = place.folder / "operations"
    place.require_same(place.tune(f"list@{listed}"))
    number = number_of(share, listed.read_text().splitlines())
    shutil.rmtree(place.folder / ".fettle")
    assert place.tune(f"kill@{number}").code == KILLED
    place.require_same(place.tune())


@pytest.mark.slow
@pytest.mark.parametrize(
    "operation",
    ["mkdir .fettle", "write plan.json", "write split.json", "append metrics.jsonl",
     "write rung.json", "write version.json", "write result.json", "rename result.json"],
)
@pytest.mark.parametrize("death", ["kill", "torn", "kill-after"])
def test_a_kill_at_a_seam_of_the_story_is_continued_to_the_same_bits(place, operation, death):
    assert place.tune(f"{death}@{operation}").code == KILLED
    place.require_same(place.tune())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_command_that_is_killed_again_and_again_ends_with_the_same_bits(place, operations, seed):
    chance = random.Random(seed)
    for _ in range(6):
        death = chance.choice(["kill", "torn"])
        assert place.tune(f"{death}@{chance.randint(1, len(operations) // 2)}").code in (KILLED, 0)
    place.require_same(place.tune())


@pytest.mark.slow
@pytest.mark.parametrize("share", range(0, SHARES, 3))
def test_a_kill_is_continued_where_every_choice_is_made_out_of_fold(
    new_place, told_of_few, tiny, share
):
    place = new_place(told_of_few, tiny)
    listed = place.folder / "operations"
    place.require_same(place.tune(f"list@{listed}"))
    number = number_of(share, listed.read_text().splitlines())
    shutil.rmtree(place.folder / ".fettle")
    assert place.tune(f"kill@{number}").code == KILLED
    place.require_same(place.tune())


# No more room (3), and a disk that fails (4).


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


# Checkpoints whose bytes are not the ones that were written (5).


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


# A folder that is gone (6).


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


# Two at once (7).


def test_a_second_command_on_a_run_stops_at_once_and_changes_no_byte(place):
    process = place.stopped("write 000002000000.safetensors")
    before = every_file(place.folder)
    second = place.tune()
    place.require_refused(second, f"in use by process {process} on ", " since 2")
    assert every_file(place.folder) == before
    place.require_same(place.goes_on(process))


# Ctrl-C.


@pytest.mark.slow
@pytest.mark.parametrize("share", range(0, SHARES, 2))
def test_a_ctrl_c_at_any_operation_is_one_sentence_and_is_continued(place, operations, share):
    done = place.tune(f"interrupt@{number_of(share, operations)}")
    assert (done.code, done.out) == (130, ""), done.err
    assert done.err.count("Interrupted.") == 1
    assert "Traceback" not in done.err
    assert not list(place.folder.rglob("*.tmp"))
    place.require_same(place.tune())


# A loss that is no number (17); what the loop does at a step is in test_training_faults.


@pytest.fixture(scope="module")
def exploding(new_place, told, sentences):
    """A command whose only rung has a rate that no network stands."""
    place = new_place(told, sentences)
    values = yaml.safe_load((told.run_folder / "plan.yaml").read_text())
    values["rungs"] = [one for one in values["rungs"] if one["strategy"] in ("features", "full")]
    values["rungs"][-1]["settings"].update(rate=1e30, head_rate=1e30, warmup=0.9)
    (place.folder / "plan.yaml").write_text(yaml.safe_dump(values))
    words = ("tune", "--config", "plan.yaml", "--json")
    return Place(place.folder, told, replace(place.tune, words=words))


@pytest.mark.slow
def test_a_run_that_explodes_ends_with_2_keeps_what_is_finite_and_does_so_again(exploding):
    first = exploding.tune()
    exploding.require_refused(first, "Step ", "is not a finite number", "tickets.csv:")
    assert (exploding.run / "rungs" / "features" / "rung.json").is_file()
    assert not (exploding.run / "rungs" / "full" / "rung.json").exists()
    folder = exploding.run / "checkpoints" / "top-0"
    assert checkpoints.latest(folder) == checkpoints.latest(folder, finite=("",))
    again = exploding.tune()
    assert again.err.splitlines()[-1] == first.err.splitlines()[-1]
