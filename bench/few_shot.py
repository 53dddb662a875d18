"""Few labels: fettle's contrastive rung against SetFit, from process start to the saved model.

    FETTLE_DATA=... .venv/bin/python bench/few_shot.py [--seeds 10] [--cells sst2:8,banking77:16]
        [--most-seconds 1200]

sst2 at 8, 16 and 64 rows a class, ten fixed classes of banking77 at 8 and 16. fettle runs `tune
--strategy contrastive` once a seed; a seed draws the rows. SetFit runs in its own environment
(bench/peers.py), with its defaults for one seed and with 5 iterations for three; a cell that would
take it over 20 minutes is computed from its first steps and marked so. Its start is timed by a run
of nothing but the import, and added.

    speedup_8, speedup_16, speedup_64   SetFit's seconds with its defaults over fettle's; of the
                                        sets with such a cell, the smaller one
    behind_8, ...                       SetFit's accuracy (5 iterations, three seeds) less fettle's
                                        on the same seeds, in points; the larger one

fettle's seconds are from process start until its rung is saved, without judging the test rows.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import jobs
from jobs import Training
from measuring import announce, data_folder, last_json, report
from peers import environment_of
from sets import MOST_TOKENS, few_of, model_folder, sides, tuned_on, written

HERE = Path(__file__).resolve().parent
CELLS = ("sst2:8", "sst2:16", "sst2:64", "banking77:8", "banking77:16")
CLASSES = 10
"""Of banking77: the first ten by name."""
DEFAULT_SEEDS, SOME_SEEDS, ITERATIONS = 1, 3, 5
Rows = list[dict[str, str]]


def ten_classes(learn: Rows, judge: Rows) -> tuple[Rows, Rows]:
    """The rows of the first ten classes by name."""
    kept = set(sorted({row["label"] for row in learn})[:CLASSES])
    first, second = ([row for row in rows if row["label"] in kept] for rows in (learn, judge))
    return first, second


def job_of(learn: Rows, judge: Rows, seed: int) -> Training:
    """What SetFit is given: the rows that fettle gets."""
    labels = sorted({row["label"] for row in learn})
    return Training(
        model=model_folder(), classes=len(labels), max_tokens=MOST_TOKENS, seed=seed,
        texts=tuple(row["text"] for row in learn),
        targets=tuple(labels.index(row["label"]) for row in learn),
        test_texts=tuple(row["text"] for row in judge),
        test_targets=tuple(labels.index(row["label"]) for row in judge),
    )


def fettle_cell(learn: Rows, judge: Rows, a_class: int, seeds: int, folder: Path) -> list[Any]:
    """(accuracy, seconds to the saved model) for each seed."""
    test = written(folder / "test.csv", judge)
    found = []
    for seed in range(seeds):
        train = written(folder / "train.csv", few_of(learn, a_class, seed=seed))
        begun, out = time.time(), folder / f"f{seed}"
        run = tuned_on(train, test, out, more=(
            "--strategy", "contrastive", "--seed", str(seed), "--no-keep-rows"))
        saved = (out / "rungs" / "contrastive" / "rung.json").stat().st_mtime
        found.append((run.test("contrastive"), saved - begun))
    return found


def setfit_cell(
    python: Path, learn: Rows, judge: Rows, a_class: int, seeds: int, folder: Path,
    more: Sequence[str] = (),
) -> list[Mapping[str, Any]]:
    """What SetFit's side says for each seed, its start added to the seconds."""
    begun = time.perf_counter()
    last_json([python, "-c", "import setfit; print(0)"])
    start = time.perf_counter() - begun
    found = []
    for seed in range(seeds):
        job = jobs.save(folder / "job.json",
                        job_of(few_of(learn, a_class, seed=seed), judge, seed))
        said = last_json([python, HERE / "setfit_side.py", job, folder / f"s{seed}", *more])
        found.append({**said, "seconds": said["seconds"] + start})
    return found


def overall(by_cell: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """For each number of rows the speed-up and the gap of the set where fettle does worst."""
    found: dict[str, float] = {}
    for cell, figures in by_cell.items():
        size = cell.partition(":")[2]
        if "speedup" in figures:
            found[f"speedup_{size}"] = min(figures["speedup"],
                                           found.get(f"speedup_{size}", float("inf")))
        if "behind" in figures:
            found[f"behind_{size}"] = max(figures["behind"],
                                          found.get(f"behind_{size}", float("-inf")))
    return found


def measured(
    cell: str, data: Path, seeds: int, python: Path | None, folder: Path, most: float
) -> dict[str, float]:
    """The figures of one cell."""
    name, _, size = cell.partition(":")
    learn, judge = sides(data, name)
    if name == "banking77":
        learn, judge = ten_classes(learn, judge)
    ours = fettle_cell(learn, judge, int(size), seeds, folder)
    scores = [accuracy for accuracy, _ in ours]
    figures = {"accuracy": fmean(scores), "deviation": pstdev(scores),
               "seconds": fmean(seconds for _, seconds in ours)}
    if python is None:
        return figures
    limit = ("--most-seconds", str(most))
    (whole,) = setfit_cell(python, learn, judge, int(size), DEFAULT_SEEDS, folder, limit)
    some = setfit_cell(python, learn, judge, int(size), min(SOME_SEEDS, seeds), folder,
                       (*limit, "--iterations", str(ITERATIONS)))
    figures |= {"setfit_seconds": whole["seconds"], "setfit_computed": float(whole["computed"]),
                "speedup": whole["seconds"] / figures["seconds"]}
    ran = [at for at, one in enumerate(some) if not one["computed"]]
    if ran:
        theirs = fmean(some[at]["accuracy"] for at in ran)
        figures |= {"setfit_accuracy": theirs,
                    "behind": 100 * (theirs - fmean(scores[at] for at in ran))}
    return figures


def main() -> None:
    """Each cell in turn, then one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--most-seconds", type=float, default=1200.0,
                        help="of SetFit; what would take longer is computed from its first steps")
    parser.add_argument("--alone", action="store_true", help="leave SetFit away")
    asked = parser.parse_args()
    cells = asked.cells.split(",")
    data = data_folder("few_shot", *sorted({cell.partition(":")[0] for cell in cells}))
    if data is None:
        return
    announce()
    python = None
    if not asked.alone:
        peer = environment_of("setfit")
        python = peer.python
        if python is None:
            print(f"SetFit is not run: {peer.reason}")
    by_cell: dict[str, dict[str, float]] = {}
    for cell in cells:
        with tempfile.TemporaryDirectory() as place:
            by_cell[cell] = measured(cell, data, asked.seeds, python, Path(place),
                                     asked.most_seconds)
        said = ", ".join(f"{key} {value:.4g}" for key, value in by_cell[cell].items())
        print(f"{cell}: {said}", flush=True)
    figures = overall(by_cell)
    for cell, found in by_cell.items():
        plain = cell.replace(":", "_")
        figures |= {f"{plain}_{key}": value for key, value in found.items()}
    announce()
    report("few_shot", figures)


if __name__ == "__main__":
    main()
