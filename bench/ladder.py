"""The ladder on five text sets: what each rung costs and brings, against a full fine-tuning that
replays nothing; and what replay saves an epoch, and the next run.

    FETTLE_DATA=... .venv/bin/python bench/ladder.py [NAME ...] [--rungs features,top,full]
        [--repeats 1] [--rows N]

Runs `fettle tune` on banking77, sst2, sms_spam, medical_abstracts and sotu_party (or those named),
with nothing set but the files and the rungs, in a home of its own: no cache of an earlier run is
used, and the machine is calibrated anew. For each rung: validation (by the plan's metric), test
accuracy, seconds, the plan's predicted seconds and their ratio; then seconds and test accuracy as
shares and differences of a full fine-tuning alone with --cache-limit 0. Then

    predicted_over_measured   of all rungs and sets, the one that is farthest from 1
    top_epoch_speedup         median seconds of an epoch of `top` without replay over with it
    second_run_prefix_seconds from the plan until the frozen prefix is there, in a run into another
                              folder after a first one; beside it what the first one took

Where fettle has no --cache-limit 0, `full` of the ladder stands in for the plain run, and
top_epoch_speedup is not run. A rung's seconds are its own: those of the rungs below are not in it.
Every set takes minutes; a repeat runs all of it again, and the figures are medians. With --rows, so
many of the training rows in a fixed random order, and the same test rows for every run: those of
the set's own file, else every fifth row.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measuring import announce, data_folder, last_json, middle, report
from sets import SETS, Tuned, sides, some, tuned_on, written

HERE = Path(__file__).resolve().parent
PLAIN = ("--cache-limit", "0")
Row = dict[str, float]
"""One rung's figures."""


def can_run_plain() -> bool:
    """Whether this fettle can be told to replay nothing."""
    command = [str(Path(sys.executable).with_name("fettle")), "tune", "--help"]
    wide = {**os.environ, "COLUMNS": "200"}
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=wide).stdout
    return PLAIN[0] in said


@contextmanager
def own_home() -> Iterator[Path]:
    """A folder in which everything that fettle keeps between runs is made anew."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        try:
            yield Path(folder)
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def predicted(plan: Mapping[str, Any]) -> dict[str, float]:
    """The plan's seconds for each rung."""
    return {cost["rung"]: float(cost["seconds"]) for cost in plan["predicted"]}


def epoch_seconds(rung: Mapping[str, Any]) -> list[float]:
    """Seconds of each epoch of a rung."""
    return [float(epoch["seconds"]) for epoch in rung["history"]]


def rows_of_ladder(climbed: Tuned) -> dict[str, Row]:
    """The figures of each rung of one run."""
    expected = predicted(climbed.plan)
    return {
        rung["name"]: {
            "validation": float(rung["validation"]["value"]),
            "test": climbed.test(rung["name"]),
            "seconds": float(rung["seconds"]),
            "predicted_seconds": expected[rung["name"]],
            "predicted_over_measured": expected[rung["name"]] / float(rung["seconds"]),
        }
        for rung in climbed.run["rungs"]
    }


def against(rows: Mapping[str, Row], seconds: float, test: float) -> dict[str, Row]:
    """Each rung's figures beside those of the plain full fine-tuning."""
    return {
        name: {**row, "share_of_plain_full_seconds": row["seconds"] / seconds,
               "test_minus_plain_full": row["test"] - test}
        for name, row in rows.items()
    }


def farthest(ratios: Sequence[float]) -> float:
    """The ratio that is farthest from 1, above or below."""
    return max(ratios, key=lambda one: max(one, 1 / one))


@dataclass(frozen=True, slots=True)
class Files:
    """What one set is learned from."""

    train: Path
    test: Path | None
    inputs: str = "text"

    def tuned(self, out: Path, *more: str) -> Tuned:
        """`fettle tune` on these files, with nothing set but them and `more`."""
        return tuned_on(self.train, self.test, out, more=("--inputs", self.inputs, *more))


def files_of(data: Path, name: str, rows: int | None, folder: Path) -> Files:
    """The set's own files, or files in this folder with so many of its training rows."""
    own = SETS[name]
    if rows is None:
        test = data / name / own.test if own.test else None
        return Files(data / name / own.train, test, own.inputs or "text")
    learn, judge = sides(data, name)
    return Files(
        written(folder / f"{name}.csv", some(learn, rows)),
        written(folder / f"{name}.test.csv", judge),
    )


def climb(files: Files, rungs: Sequence[str], *, plain: bool) -> dict[str, Row]:
    """One repeat of one set: each rung's figures, and under "run" those of the whole."""
    whole: Row = {}
    full: tuple[float, float] | None = None
    with own_home() as home:
        climbed = files.tuned(home / "ladder", "--rungs", ",".join(rungs))
        rows = rows_of_ladder(climbed)
        whole["command_seconds"] = climbed.seconds
        if plain:
            alone = files.tuned(home / "plain", "--rungs", "full", *PLAIN)
            full = float(alone.result["seconds"]), alone.test("full")
        elif "full" in rows:
            full = rows["full"]["seconds"], rows["full"]["test"]
        if plain and "top" in rungs:
            slow = files.tuned(home / "top", "--rungs", "top", *PLAIN)
            whole["top_epoch_seconds"] = median(epoch_seconds(climbed.rung("top")))
            whole["top_epoch_seconds_plain"] = median(epoch_seconds(slow.rung("top")))
            whole["top_epoch_speedup"] = (
                whole["top_epoch_seconds_plain"] / whole["top_epoch_seconds"]
            )
    if full is not None:
        whole |= {"plain_full_seconds": full[0], "plain_full_test": full[1]}
        rows = against(rows, *full)
    return {**rows, "run": {**whole, **prefix_twice(files, rungs)}}


def prefix_twice(files: Files, rungs: Sequence[str]) -> Row:
    """Seconds until the frozen prefix is there, in a first run and in one after it."""
    with own_home() as home:
        seconds = [
            float(last_json([
                sys.executable, HERE / "fettle_side.py", "prefix", files.train,
                "label", files.inputs, ",".join(rungs), home / out, home / "registry",
            ])["prefix_seconds"])
            for out in ("first", "second")
        ]
    return {"first_run_prefix_seconds": seconds[0], "second_run_prefix_seconds": seconds[1]}


def medians(repeats: Sequence[Mapping[str, Row]]) -> dict[str, Row]:
    """Figure by figure the median over repeats."""
    return {
        part: {key: middle([one[part] for one in repeats], key) for key in row}
        for part, row in repeats[0].items()
    }


def table(name: str, rows: Mapping[str, Row]) -> str:
    """One set's rungs and its other figures as lines of text."""
    columns = list(dict.fromkeys(key for part, row in rows.items() if part != "run" for key in row))
    heads = {key: key.replace("_", " ") for key in columns}
    lines = [f"| {name} | " + " | ".join(heads.values()) + " |", "|---" * (len(heads) + 1) + "|"]
    for part, row in rows.items():
        if part != "run":
            lines.append(f"| {part} | " + " | ".join(f"{row[key]:.4g}" for key in columns) + " |")
    lines += [f"{key}: {value:.4g}" for key, value in rows["run"].items()]
    return "\n".join(lines)


def overall(by_set: Mapping[str, Mapping[str, Row]]) -> dict[str, float]:
    """The figures that have a target, each of the set in which fettle does worst."""
    ratios = [row["predicted_over_measured"] for rows in by_set.values()
              for part, row in rows.items() if part != "run"]
    wholes = [rows["run"] for rows in by_set.values()]
    found = {"predicted_over_measured": farthest(ratios)}
    speedups = [one["top_epoch_speedup"] for one in wholes if "top_epoch_speedup" in one]
    if speedups:
        found["top_epoch_speedup"] = min(speedups)
    slowest = max(wholes, key=lambda one: one["second_run_prefix_seconds"])
    return found | {key: slowest[key] for key in ("first_run_prefix_seconds",
                                                   "second_run_prefix_seconds")}


def main() -> None:
    """Each set in turn, then one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="sets; all where none is named")
    parser.add_argument("--rungs", default="features,top,full")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--rows", type=int, help="of the training rows; all where not given")
    asked = parser.parse_args()
    names = asked.names or list(SETS)
    if asked.repeats < 1 or not {*names} <= {*SETS}:
        parser.error(f"--repeats is 1 or more, and the sets are {', '.join(SETS)}")
    data = data_folder("ladder", *names)
    if data is None:
        return
    announce()
    plain = can_run_plain()
    if not plain:
        print(f"fettle tune has no {PLAIN[0]}: `full` of the ladder stands in for the plain run, "
              "and "
              "top_epoch_speedup is not run.")
    by_set: dict[str, dict[str, Row]] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            files = files_of(data, name, asked.rows, Path(folder))
            repeats = [climb(files, asked.rungs.split(","), plain=plain)
                       for _ in range(asked.repeats)]
        by_set[name] = medians(repeats)
        print(f"\n{table(name, by_set[name])}", flush=True)
    figures = overall(by_set)
    print()
    for figure, value in figures.items():
        print(f"{figure:28} {value:.4g}")
    announce()
    report("ladder", figures | {
        f"{name}_{part}_{key}": value for name, rows in by_set.items()
        for part, row in rows.items() for key, value in row.items()
    })


if __name__ == "__main__":
    main()
