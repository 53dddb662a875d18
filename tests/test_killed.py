"""Killed: wherever a training is killed, the same command ends it at the same bits.

Each try is a process of its own that trains one small network with gradual unfreezing, saving after
every step, and is killed at a random moment of a part of the run that it has reached; the same is
then run to its end. Beside test_interrupted.py, which stops the whole command at chosen places,
this asks for any place at all.
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
from patience import PATIENCE, until
from small import bert
from stories import digest, texts_and_labels, write_rows

MACHINE = Machine("a processor", 1, 2**34, None, False, 1e11, 1e11)
EPOCHS = 5
"""Four blocks wake one after the other, and then there is one epoch of all."""
PARTS = (
    "before any rung", "features", *(f"epoch {number}" for number in range(1, EPOCHS + 1)),
    "the end",
)


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
    begun = time.monotonic()
    process = started(train, place, place / "whole")
    process.join(PATIENCE)
    assert process.exitcode == 0
    return ended_at(place / "whole"), time.monotonic() - begun


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


def part(folder):
    """The number of the part that a run has come to; -1 while there is no file of it."""
    saved = sorted((folder / "run").glob("checkpoints/*/*.json"))
    if (folder / "run" / "rungs" / "gradual").exists():
        return PARTS.index("the end")
    if saved:
        return PARTS.index("epoch 1") + int(saved[-1].stem) // 1_000_000
    if (folder / "run" / "rungs").exists():
        return PARTS.index("features")
    return 0 if folder.exists() else -1


def killed(place, folder, number, seconds):
    """Train, and kill it so long after it has come to this part; False where it ended before."""
    process = started(train, place, folder)
    until(lambda: part(folder) >= number or not process.is_alive())
    process.join(seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -9)
    return process.exitcode == -9


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_a_run_killed_at_a_random_moment_ends_at_the_same_bits(place, whole, capsys, kills):
    expected, seconds = whole
    assert len(expected["history"]) == EPOCHS
    rng = np.random.default_rng(kills)
    latest = PARTS.index(f"epoch {EPOCHS - 1}")  # from there on it might end before it is killed
    wanted = [number * latest // (kills - 1) for number in range(kills)]
    stages: Counter[str] = Counter()
    same = tries = 0
    while stages.total() < kills:
        tries += 1
        folder = place / f"{kills}-{tries}"
        number = wanted[stages.total()]
        if not killed(place, folder, number, rng.uniform(0, seconds / len(PARTS))):
            continue
        assert part(folder) >= number
        stages[PARTS[part(folder)]] += 1
        process = started(train, place, folder)
        process.join(PATIENCE)
        assert process.exitcode == 0
        same += ended_at(folder) == expected
    with capsys.disabled():
        where = ", ".join(f"{count} in {name}" for name, count in sorted(stages.items()))
        print(f"\n{kills} kills ({where}): {same} ended at the same bits")
    assert same == kills
