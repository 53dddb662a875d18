"""Killed: wherever a training is killed, the same command ends it at the same bits.

Each try is a process of its own that trains one small network with gradual unfreezing, saving after
every step, and is killed at a random moment; the same is then run to its end. Beside
test_interrupted.py, which stops the whole command at chosen places, this asks for any place at all.
"""

import json
import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fettle.core.plan import Machine, Reading, Rung
from fettle.core.progress import finish
from fettle.core.settings import Settings
from forked import started
from small import bert
from stories import digest, texts_and_labels, write_rows

MACHINE = Machine("a processor", 1, 2**34, None, False, 1e11, 1e11)
EPOCHS = 5
"""Four blocks wake one after the other, and then there is one epoch of all."""
PATIENCE = 120.0


def train(place: Path, folder: Path) -> None:
    """The same command each time: from the rows to a Run in this folder, one thread."""
    from fettle.models.cards import card_of
    from fettle.stages import auditing, planning, reading, splitting, training

    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    dataset = reading.read(
        Reading(data=str(place / "tickets.csv"), target="label", inputs=("text",)))
    split = splitting.split(dataset, auditing.audit(dataset), seed=0)
    card = card_of(str(place / "model"))
    asked = Settings(rungs=("features", "gradual"))
    plan = planning.plan(dataset, split, card, MACHINE, asked)
    settings = {**plan.rungs[1].settings, "epochs": EPOCHS, "patience": EPOCHS, "rate": 1e-3}
    plan = replace(plan, rungs=(plan.rungs[0], Rung("gradual", settings)))
    finish(training.train(dataset, split, plan, card=card, folder=folder / "run", save_seconds=0.0))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, and rows enough for a validation part."""
    folder = tmp_path_factory.mktemp("killed")
    bert(folder / "model", hidden_size=16, num_hidden_layers=4)
    write_rows(folder / "tickets.csv", texts_and_labels(300, seed=3))
    return folder


@pytest.fixture(scope="module")
def whole(place):
    """What nothing stopped: what it ended at, and how long it took from its first file on."""
    process = started(train, place, place / "whole")
    begun = first_file(process, place / "whole")
    process.join(PATIENCE)
    assert process.exitcode == 0
    return ended_at(place / "whole"), time.monotonic() - begun


def first_file(process, folder):
    """When the first file of a run was there."""
    while not folder.exists() and process.is_alive():
        time.sleep(0.001)
    return time.monotonic()


def ended_at(folder):
    """Every bit that a run ends at: weights, what they say, and the history but its seconds."""
    rungs = folder / "run" / "rungs"
    facts = {name: json.loads((rungs / name / "rung.json").read_text())
             for name in ("features", "gradual")}  # fmt: skip
    return {
        "weights": {name: digest(rungs / name / "model.safetensors") for name in facts},
        "outputs": {name: digest(rungs / name / "outputs.safetensors") for name in facts},
        "history": [{**epoch, "seconds": 0} for epoch in facts["gradual"]["history"]],
        "scores": {name: fact["validation"] for name, fact in facts.items()},
    }


def stage(folder):
    """How far a run had come when it was killed."""
    saved = sorted((folder / "run").glob("checkpoints/*/*.json"))
    if saved:
        return f"epoch {int(saved[-1].stem) // 1_000_000 + 1}"
    return "features" if (folder / "run" / "rungs").exists() else "before any rung"


def killed(place, folder, seconds):
    """Train, and kill it so long after its first file; False where it had ended before."""
    process = started(train, place, folder)
    until = first_file(process, folder) + seconds
    process.join(max(until - time.monotonic(), 0))
    process.kill()
    process.join()
    assert process.exitcode in (0, -9)
    return process.exitcode == -9


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_a_run_killed_at_a_random_moment_ends_at_the_same_bits(place, whole, capsys, kills):
    expected, seconds = whole
    assert len(expected["history"]) == EPOCHS
    rng = np.random.default_rng(kills)
    stages: Counter[str] = Counter()
    same = tries = 0
    while stages.total() < kills:
        tries += 1
        folder = place / f"{kills}-{tries}"
        if not killed(place, folder, rng.uniform(0, seconds)):
            continue
        stages[stage(folder)] += 1
        process = started(train, place, folder)
        process.join(PATIENCE)
        assert process.exitcode == 0
        same += ended_at(folder) == expected
    with capsys.disabled():
        where = ", ".join(f"{count} in {name}" for name, count in sorted(stages.items()))
        print(f"\n{kills} kills ({where}): {same} ended at the same bits")
    assert same == kills
    assert len(stages) >= min(kills, 5) - 1  # or the kills all came at one place
