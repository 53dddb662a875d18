"""Faults of the whole command: whatever happens, the same command ends with the same bits.

What a process leaves behind when it dies is what the disk holds, and only the store changes that: a
death before each of its operations, or within a write, is a death at any moment. The reference is a
run on the same rows that nothing stopped.
"""

import random
import shutil
from dataclasses import replace

import pytest
import yaml

from faults import SHARES, Place, every_file, new_place, number_of, nursery, operations, place
from fettle.store import checkpoints
from nursery import KILLED

__all__ = ["new_place", "nursery", "operations", "place"]


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
    shutil.rmtree(place.folder / ".fettle")
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


def test_a_second_command_on_a_run_stops_at_once_and_changes_no_byte(place):
    process = place.stopped("write 000002000000.safetensors")
    before = every_file(place.folder)
    second = place.tune()
    place.require_refused(second, f"in use by process {process} on ", " since 2")
    assert every_file(place.folder) == before
    place.require_same(place.goes_on(process))


@pytest.mark.slow
@pytest.mark.parametrize("share", range(0, SHARES, 2))
def test_a_ctrl_c_at_any_operation_is_one_sentence_and_is_continued(place, operations, share):
    done = place.tune(f"interrupt@{number_of(share, operations)}")
    assert (done.code, done.out) == (130, ""), done.err
    assert done.err.count("Interrupted.") == 1
    assert "Traceback" not in done.err
    assert not list(place.folder.rglob("*.tmp"))
    place.require_same(place.tune())


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
