"""Full fine-tuning of the default encoder: fettle's speed and memory against transformers' Trainer.

    FETTLE_DATA=... .venv/bin/python bench/train_speed.py [--steps 200] [--warmup-steps 20]
        [--repeats 3] [--sets sst2,banking77] [--sides fettle,default,tuned,eager] [--no-accuracy]

Throughput: rows a second over --steps optimizer steps of 32 rows after --warmup-steps, the same
rows, classes and longest text on both sides, each side in a process of its own, in turn, --repeats
times; the figures are ratios of medians, of the worse set. Tokenising is off the clock. Grouping by
length begins with long rows, so the rows on the clock are not the same on every side: the
token_speedup figures compare real (unpadded) tokens a second and do not feel that.

The Trainer: `default` as it comes (fp32, random order, SDPA), `tuned` (bf16, grouped by length),
`eager` (tuned, attention in plain products). fettle as it comes: word vectors do not learn, and
attention weights are not dropped out.

share_of_peak: 6 operations a parameter outside of the embedding tables and real token (attention's
own products are not counted), over the fastest matrix product measured right after the steps.
memory_ratio: resident memory at its highest, fettle's over the default Trainer's.

Accuracy: one run of each on the whole of sst2 and on 3,000 rows of banking77: fettle's default rate
for full fine-tuning, 3 epochs and batches of 32 on both sides, the tuned Trainer; no rows held out,
the last weights judged on the test file. The difference comes with its paired 95% interval.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jobs
from jobs import Training
from measuring import announce, data_folder, last_json, middle, report
from peers import Peer, environment_of
from sets import SETS, training

HERE = Path(__file__).resolve().parent
TRAINERS = ("default", "tuned", "eager")
SPEEDUPS = {"speedup": "rows_per_second", "token_speedup": "tokens_per_second"}
BATCH_ROWS, EPOCHS = 32, 3
FIT_ROWS = {"banking77": 3_000}
"""Rows that the run for accuracy learns from; all of them where a set is not named."""
WORSE: dict[str, Callable[[Iterable[float]], float]] = {
    **{f"{figure}_trainer_{side}": min for figure in SPEEDUPS for side in TRAINERS},
    "share_of_peak": min, "memory_ratio": max, "accuracy_difference": min,
}
"""Of two sets' figures, which is the worse one."""
Found = dict[str, list[dict[str, Any]]]
"""What each side said, once for each repeat."""


def done_by(side: str, job: Path, peer: Peer) -> dict[str, Any]:
    """What fettle, or a variant of the Trainer, made of the job."""
    if side == "fettle":
        return last_json([sys.executable, HERE / "fettle_side.py", "train", job])
    assert peer.python is not None, "sides without an environment are not asked"
    return last_json([peer.python, HERE / "trainer_side.py", side, job])


def throughput(name: str, job: Training, sides: Sequence[str], peer: Peer, repeats: int) -> Found:
    """The counted steps of every side in turn."""
    found: Found = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        path = jobs.save(Path(folder) / "job.json", job)
        for _ in range(repeats):
            for side in sides:
                one = done_by(side, path, peer)
                found[side].append(one | {
                    "rows_per_second": one["rows"] / one["seconds"],
                    "tokens_per_second": one["tokens"] / one["seconds"],
                })
                print(f"{name} {side}: {said(found[side][-1])}", flush=True)
    return found


def said(one: Mapping[str, Any]) -> str:
    """One side's steps in words."""
    return (
        f"{one['rows_per_second']:.1f} rows/s, {one['tokens_per_second']:,.0f} real tokens/s "
        f"({one['tokens'] / one['rows']:.1f} a row), {one['peak_bytes'] / 2**20:,.0f} MiB, "
        f"{one['precision']}, {one['threads']} threads, {one['versions']}"
    )


def compared(found: Found) -> dict[str, float]:
    """The figures of one set, from what each side said; only those whose sides were run."""
    figures = {
        f"{side}_{what}": middle(ones, what)
        for what in ("rows_per_second", "tokens_per_second", "peak_bytes")
        for side, ones in found.items()
    }
    ours = found.get("fettle")
    if not ours:
        return figures
    for side in TRAINERS:
        for figure, what in SPEEDUPS.items() if side in found else ():
            figures[f"{figure}_trainer_{side}"] = (
                figures[f"fettle_{what}"] / figures[f"{side}_{what}"]
            )
    shares = [{"share": one["useful_flops"] / one["seconds"] / one["peak_flops"]} for one in ours]
    figures["share_of_peak"] = middle(shares, "share")
    figures["peak_flops"] = middle(ours, "peak_flops")
    if "default" in found:
        figures["memory_ratio"] = figures["fettle_peak_bytes"] / figures["default_peak_bytes"]
    return figures


def worst(by_set: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The figures that have a target, each of the set in which fettle does worse."""
    found = {}
    for name, worse in WORSE.items():
        values = [figures[name] for figures in by_set.values() if name in figures]
        if values:
            found[name] = worse(values)
    return found


def accuracy(name: str, job: Training, peer: Peer) -> dict[str, float]:
    """Both sides' accuracy on the test file after all epochs, and fettle's minus the Trainer's."""
    from fettle.measures.paired import newcombe

    with tempfile.TemporaryDirectory() as folder:
        path = jobs.save(Path(folder) / "job.json", job)
        ours = done_by("fettle", path, peer)["right"]
        theirs = done_by("tuned", path, peer)["right"]
    pairs = list(zip(ours, theirs, strict=True))
    difference, low, high = newcombe(
        pairs.count((True, False)), pairs.count((False, True)),
        pairs.count((True, True)), pairs.count((False, False)),
    )
    figures = {
        "fettle_accuracy": sum(ours) / len(ours), "tuned_accuracy": sum(theirs) / len(theirs),
        "accuracy_difference": difference, "accuracy_difference_low": low,
        "accuracy_difference_high": high,
    }
    print(f"{name}, {len(job.texts):,} rows, {job.epochs} epochs, rate {job.rate:g}: fettle "
          f"{figures['fettle_accuracy']:.4f}, the tuned Trainer {figures['tuned_accuracy']:.4f}, "
          f"difference {difference:+.4f} [{low:+.4f}, {high:+.4f}] on {len(ours):,} test rows",
          flush=True)
    return figures


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=200, help="optimizer steps on the clock")
    parser.add_argument("--warmup-steps", type=int, default=20, help="steps before them")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sets", default="sst2,banking77")
    parser.add_argument("--sides", default=",".join(("fettle", *TRAINERS)))
    parser.add_argument("--accuracy", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    if min(asked.steps, asked.warmup_steps, asked.repeats) < 1:
        parser.error("--steps, --warmup-steps and --repeats are 1 or more")
    asked.sets, asked.sides = asked.sets.split(","), asked.sides.split(",")
    judged = {name for name, files in SETS.items() if files.test is not None}
    unknown = sorted({*asked.sides} - {"fettle", *TRAINERS}) + sorted({*asked.sets} - judged)
    if unknown:
        parser.error(f"no side, and no set with a test file, is called {', '.join(unknown)}")
    return asked


def main() -> None:
    """Every set in turn, then the table and one JSON line."""
    asked = options()
    names, sides = asked.sets, asked.sides
    data = data_folder("train_speed", *names)
    if data is None:
        return
    announce()
    peer = environment_of("transformers")
    if peer.python is None:
        print(f"The Trainer: not run: {peer.reason}")
        sides = [side for side in sides if side == "fettle"]
    by_set: dict[str, dict[str, float]] = {}
    for name in names:
        job = training(data, name, batch_rows=BATCH_ROWS,
                       warmup_steps=asked.warmup_steps, steps=asked.steps)
        by_set[name] = compared(throughput(name, job, sides, peer, asked.repeats))
    if asked.accuracy and {"fettle", "tuned"} <= {*sides}:
        from fettle.strategies.full import DEFAULTS

        for name in names:
            job = training(data, name, rows=FIT_ROWS.get(name), batch_rows=BATCH_ROWS,
                           epochs=EPOCHS, rate=float(DEFAULTS["rate"]))
            by_set[name] |= accuracy(name, job, peer)
    figures = worst(by_set)
    for name, value in figures.items():
        each = ", ".join(f"{one} {found[name]:.3f}" for one, found in by_set.items()
                         if name in found)
        print(f"{name:26} {value:.3f}   ({each})")
    announce()
    report("train_speed", figures | {
        f"{one}_{name}": value for one, found in by_set.items() for name, value in found.items()
    })


if __name__ == "__main__":
    main()
