"""Every strategy on four text sets, same splits, three seeds: score, seconds, memory.

    FETTLE_DATA=... .venv/bin/python bench/strategies.py [NAME ...] [--rows N | --a-class N]
        [--test-rows N] [--seeds 3] [--rungs A,B] [--max-tokens N]

Runs `fettle tune --rungs ...` on banking77, sst2, sms_spam and medical_abstracts (or those named),
once a seed; training and test rows are the same for all. For each rung and set: test accuracy of
the first seed with its 95% interval, mean and spread over seeds, seconds and the highest resident
memory until then. Rungs of one run share features, so a rung's seconds are what it adds.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, pstdev

from measuring import announce, data_folder, report
from sets import SETS, Tuned, few_of, sides, some, tuned_on, written

NAMES = ("banking77", "sst2", "sms_spam", "medical_abstracts")
LEFT_OUT = ("contrastive",)
"""Made for few labels: bench/few_shot.py measures it."""
Row = dict[str, float]


def rows_of_rungs(runs: Sequence[Tuned]) -> dict[str, Row]:
    """The figures of each rung over the runs, one run a seed."""
    found = {}
    for name in (rung["name"] for rung in runs[0].run["rungs"]):
        first = runs[0].contender(name)["scores"][0]
        scores = [run.test(name) for run in runs]
        found[name] = {
            "accuracy": first["value"], "low": first["low"], "high": first["high"],
            "mean": fmean(scores), "spread": pstdev(scores),
            "seconds": fmean(float(run.rung(name)["seconds"]) for run in runs),
            "peak_mib": max(float(run.rung(name)["peak_bytes"]) for run in runs) / 2**20,
        }
    return found


def table(name: str, rows: Mapping[str, Row], seeds: int) -> str:
    """One set as a table of Markdown."""
    lines = [f"| {name} | accuracy | mean of {seeds} seeds | spread | seconds | MiB |",
             "|---|---|---|---|---|---|"]
    for rung, row in rows.items():
        lines.append(
            f"| {rung} | {row['accuracy']:.4f} [{row['low']:.4f}, {row['high']:.4f}] | "
            f"{row['mean']:.4f} | {row['spread']:.4f} | {row['seconds']:.1f} | "
            f"{row['peak_mib']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Each set in turn, then one JSON line."""
    from fettle.strategies import STRATEGIES

    usual = ",".join(name for name in STRATEGIES if name not in LEFT_OUT)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--rows", type=int, help="of the training rows; all where not given")
    parser.add_argument("--a-class", type=int, help="so many training rows of each class instead")
    parser.add_argument("--test-rows", type=int, help="all where not given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rungs", default=usual)
    parser.add_argument("--max-tokens", type=int, help="of a text; fettle's usual where not given")
    asked = parser.parse_args()
    names = asked.names or list(NAMES)
    if asked.seeds < 1 or not {*names} <= {*SETS}:
        parser.error(f"--seeds is 1 or more, and the sets are {', '.join(SETS)}")
    data = data_folder("strategies", *names)
    if data is None:
        return
    announce()
    figures: dict[str, float] = {}
    cut = () if asked.max_tokens is None else ("--max-tokens", str(asked.max_tokens))
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            learn, judge = sides(data, name)
            train = written(folder / "train.csv", (
                few_of(learn, asked.a_class, seed=0) if asked.a_class
                else some(learn, asked.rows or len(learn))))
            test = written(folder / "test.csv", some(judge, asked.test_rows or len(judge)))
            runs = [
                tuned_on(train, test, folder / str(seed), more=(
                    "--rungs", asked.rungs, "--seed", str(seed), "--no-keep-rows", *cut))
                for seed in range(asked.seeds)
            ]
        rows = rows_of_rungs(runs)
        print(f"\n{table(name, rows, asked.seeds)}", flush=True)
        figures |= {f"{name}_{rung}_{key}": value for rung, row in rows.items()
                    for key, value in row.items()}
    announce()
    report("strategies", figures)


if __name__ == "__main__":
    main()
