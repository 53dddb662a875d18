"""A small set of pictures by folds: every picture is judged once, by a model that never saw it.

    FETTLE_DATA=... FETTLE_WEIGHTS=... .venv/bin/python bench/picture_folds.py
        [--folds 5] [--rungs features,top,full,scratch] [--seed 0]

All 400 pictures of brain_mri_small, its two sides thrown together and dealt anew class by class;
copies of one file stay together. `fettle tune` with MobileNetV2 once a fold, on the other folds, of
which a seventh validates: left to itself it would judge each rung by folds of its own, which takes
four times as long.
What it keeps is compared, picture by picture over all folds, with logistic regression on the pixels
and with every rung, the network trained from random weights among them: accuracy, the difference
with its 95% interval, and the exact p of McNemar's test. Those of all folds share training
pictures, so intervals are of these models and not of the method on other pictures.

The set says that it holds slices of brains; what it holds are grey photographs of food.
"""

import argparse
import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fettle.measures.intervals import wilson
from fettle.measures.paired import mcnemar, newcombe
from measuring import announce, data_folder, report, weights_folder
from sets import Tuned, tuned_on

NAME = "brain_mri_small"
NEVER_KEPT = ("majority",)
VALIDATING = 7
"""One of so many of the pictures that are not judged by."""


def dealt(pictures: Sequence[tuple[Path, str]], folds: int, seed: int) -> np.ndarray:
    """The fold of each picture, (pictures,): class by class, copies of one file together."""
    rng = np.random.default_rng(seed)
    copies: dict[str, list[int]] = {}
    for at, (path, _) in enumerate(pictures):
        copies.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), []).append(at)
    found = np.empty(len(pictures), dtype=int)
    groups = list(copies.values())
    next_of: Counter[str] = Counter()
    for group in (groups[at] for at in rng.permutation(len(groups))):
        label = pictures[group[0]][1]
        found[group] = next_of[label] % folds
        next_of[label] += 1
    return found


def laid_out(pictures: Sequence[tuple[Path, str]], folder: Path) -> Path:
    """A folder of class folders with these pictures."""
    for at, (path, label) in enumerate(pictures):
        place = folder / label / f"{at:05d}{path.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return folder


def counted(runs: Sequence[Tuned], name: str) -> dict[str, float]:
    """One contender over all folds: right answers, and what the kept ones win and lose to it."""
    total: Counter[str] = Counter()
    for run in runs:
        kept = run.result["rung"]
        rows = run.evaluation["rows"]
        right, ours = (round(run.test(one) * rows) for one in (name, kept))
        against = None if name == kept else run.contender(name)["versus_kept"]
        wins, losses = (against["wins"], against["losses"]) if against else (0, 0)
        assert ours - right == wins - losses, (name, ours, right, wins, losses)
        total.update(rows=rows, right=right, wins=wins, losses=losses, both=right - losses)
    neither = total["rows"] - total["both"] - total["wins"] - total["losses"]
    gain, low, high = newcombe(total["wins"], total["losses"], total["both"], neither)
    return {
        "accuracy": total["right"] / total["rows"], "rows": total["rows"], "right": total["right"],
        "gain": gain, "gain_low": low, "gain_high": high, "wins": total["wins"],
        "losses": total["losses"], "p": mcnemar(total["wins"], total["losses"]),
    }


def main() -> None:
    """A run a fold, then a line for each contender."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rungs", default="features,top,full,scratch")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    data, model = data_folder("picture_folds", NAME), weights_folder("mobilenetv2_imagenet")
    if data is None:
        return
    if model is None:
        print("FETTLE_WEIGHTS names no folder with mobilenetv2_imagenet: not run.")
        report("picture_folds", {})
        return
    announce()
    pictures = [(path, path.parent.name) for path in sorted((data / NAME).glob("*/*/*"))]
    fold_of, runs = dealt(pictures, asked.folds, asked.seed), []
    with tempfile.TemporaryDirectory() as place:
        for fold in range(asked.folds):
            folder = Path(place) / f"fold{fold}"
            rest = [one for one, at in zip(pictures, fold_of, strict=True) if at != fold]
            of_rest = dealt(rest, VALIDATING, asked.seed)
            learn, validate, judge = (laid_out(some, folder / side) for side, some in (
                ("learn", [one for one, at in zip(rest, of_rest, strict=True) if at]),
                ("validate", [one for one, at in zip(rest, of_rest, strict=True) if not at]),
                ("judge", [one for one, at in zip(pictures, fold_of, strict=True) if at == fold]),
            ))
            run = tuned_on(learn, judge, folder / "run", more=(
                "--validation", str(validate),
                "--model", str(model), "--rungs", asked.rungs, "--seed", str(asked.seed),
                "--no-keep-rows"))
            runs.append(run)
            print(f"fold {fold}: kept {run.result['rung']}, "
                  f"{run.test(run.result['rung']):.3f} on {run.evaluation['rows']} pictures, "
                  f"{run.seconds:.0f} s", flush=True)
    figures: dict[str, float] = {"seconds": sum(run.seconds for run in runs)}
    right = sum(round(run.test(run.result["rung"]) * run.evaluation["rows"]) for run in runs)
    rows = sum(run.evaluation["rows"] for run in runs)
    low, high = wilson(right, rows)
    figures |= {"kept_accuracy": right / rows, "kept_low": low, "kept_high": high, "rows": rows}
    print(f"kept: {right / rows:.3f} [{low:.3f}, {high:.3f}] on {rows} pictures")
    for contender in runs[0].evaluation["contenders"]:
        name = contender["name"]
        if name in NEVER_KEPT:
            continue
        one = counted(runs, name)
        print(f"{name:12} {one['accuracy']:.3f}   kept less it {one['gain']:+.3f} "
              f"[{one['gain_low']:+.3f}, {one['gain_high']:+.3f}], {one['wins']:.0f} won, "
              f"{one['losses']:.0f} lost, p {one['p']:.2g}", flush=True)
        figures |= {f"{name}_{key}": value for key, value in one.items()}
    announce()
    report("picture_folds", figures)


if __name__ == "__main__":
    main()
