"""Many seeds on few rows: fettle's worst, mean and spread against the Trainer's defaults.

    FETTLE_DATA=... .venv/bin/python bench/stability.py [--seeds 25] [--rows 500]

The same rows of sst2 for all; a seed decides order, dropout and, for fettle, the folds that judge.
The Trainer runs as it comes, in its own environment (bench/peers.py), for as many seeds.

    worst_minus_trainer_mean   fettle's worst test accuracy less the Trainer's mean: 0 or more
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, pstdev

import jobs
from measuring import announce, data_folder, last_json, report
from peers import environment_of
from sets import rows_of, some, training, tuned_on, written

HERE = Path(__file__).resolve().parent


def spread(scores: Sequence[float]) -> dict[str, float]:
    """Worst, mean, best and standard deviation."""
    return {"worst": min(scores), "mean": fmean(scores), "best": max(scores),
            "deviation": pstdev(scores)}


def trainer(data: Path, folder: Path, rows: int, seeds: int) -> list[float] | str:
    """The Trainer's test accuracy for each seed; or why it was not run."""
    peer = environment_of("transformers")
    if peer.python is None:
        return peer.reason
    found = []
    for seed in range(seeds):
        job = jobs.save(folder / "job.json", training(data, "sst2", rows=rows, seed=seed))
        said = last_json([peer.python, HERE / "trainer_side.py", "default", job])
        found.append(fmean(said["right"]))
    return found


def main() -> None:
    """Both sides, then one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--rows", type=int, default=500)
    asked = parser.parse_args()
    data = data_folder("stability", "sst2")
    if data is None:
        return
    announce()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        train = written(folder / "train.csv", some(rows_of(data / "sst2/train.csv"), asked.rows))
        scores = []
        for seed in range(asked.seeds):
            run = tuned_on(train, data / "sst2/test.csv", folder / str(seed),
                           more=("--seed", str(seed), "--no-keep-rows"))
            scores.append(run.test(run.result["rung"]))
        peer = trainer(data, folder, asked.rows, asked.seeds)
    ours = spread(scores)
    figures = {f"fettle_{key}": value for key, value in ours.items()}
    print(f"fettle   {ours}")
    if isinstance(peer, str):
        print(f"The Trainer is not run: {peer}")
    else:
        theirs = spread(peer)
        print(f"Trainer  {theirs}")
        figures |= {f"trainer_{key}": value for key, value in theirs.items()}
        figures["worst_minus_trainer_mean"] = ours["worst"] - theirs["mean"]
    announce()
    report("stability", figures)


if __name__ == "__main__":
    main()
