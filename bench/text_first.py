"""fettle against transformers.Trainer as its documentation shows it, on 3,000 rows of banking77.

    FETTLE_DATA=... .venv/bin/python bench/text_first.py [--repeats 3]

The same encoder (all-MiniLM-L6-v2), the same rows, 3 epochs, the Trainer's defaults. Both are
asked for their accuracy on the 3,080 test rows as they go; that asking is off the clock. For each:
final accuracy, seconds of training until it, until 0.80, 0.90 and the other's accuracy. Each side
runs --repeats times in a process of its own, in turn; the table gives medians.
"""

import argparse
import csv
import statistics
import sys
import tempfile
from pathlib import Path

import jobs
from measuring import announce, data_folder, last_json, report
from peers import Peer, environment_of
from sets import rows_of, some, training

HERE = Path(__file__).resolve().parent
ROWS, EPOCHS, EVERY = 3_000, 3, 50
MARKS = (0.80, 0.90)
Curve = list[tuple[float, float]]
"""(seconds of training, test accuracy)."""


def fettle_side(data: Path) -> Curve:
    """The command's own story on the rows."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with (folder / "train.csv").open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, ["text", "label"])
            writer.writeheader()
            writer.writerows(some(rows_of(data / "banking77" / "train.csv"), ROWS))
        found = last_json([
            sys.executable, HERE / "fettle_side.py", "story", folder / "train.csv",
            data / "banking77" / "test.csv", folder / "run", folder / "registry",
        ])
    return [(seconds, value) for seconds, value in found["curve"]]


def trainer_side(data: Path, peer: Peer) -> Curve:
    """The Trainer as it comes, on the same rows."""
    assert peer.python is not None, "a side without an environment is not asked"
    job = training(data, "banking77", rows=ROWS, epochs=EPOCHS, ask_every=EVERY)
    with tempfile.TemporaryDirectory() as folder:
        path = jobs.save(Path(folder) / "job.json", job)
        found = last_json([peer.python, HERE / "trainer_side.py", "default", path])
    return [(seconds, value) for seconds, value in found["curve"]]


def reached(curve: Curve, mark: float) -> str:
    """Seconds until the mark, in words."""
    for seconds, value in curve:
        if value >= mark:
            return f"{seconds:.1f}"
    return f"not reached in {curve[-1][0]:.0f} s"


def middle_curve(curves: list[Curve]) -> Curve:
    """Point by point, the median over repeats: seconds and accuracy."""
    return [
        (statistics.median(c[at][0] for c in curves), statistics.median(c[at][1] for c in curves))
        for at in range(min(map(len, curves)))
    ]


def main() -> None:
    """Both sides in turn, then the table and one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    if asked.repeats < 1:
        parser.error("--repeats is 1 or more")
    data = data_folder("text_first", "banking77")
    if data is None:
        return
    announce()
    peer = environment_of("transformers")
    sides = {"fettle": lambda: fettle_side(data), "trainer": lambda: trainer_side(data, peer)}
    if peer.python is None:
        print(f"The Trainer: not run: {peer.reason}")
        del sides["trainer"]
    curves: dict[str, list[Curve]] = {side: [] for side in sides}
    for _ in range(asked.repeats):
        for side, found in curves.items():
            found.append(sides[side]())
            print(f"{side}: {found[-1][-1][1]:.4f} after {found[-1][-1][0]:.1f} s", flush=True)
    ends = {side: middle_curve(found) for side, found in curves.items()}
    figures = {f"{side}_accuracy": curve[-1][1] for side, curve in ends.items()}
    figures |= {f"{side}_seconds": curve[-1][0] for side, curve in ends.items()}
    figures["fettle_first_rung_seconds"], figures["fettle_first_rung_accuracy"] = ends["fettle"][0]
    if "trainer" in ends:
        print(table(ends["fettle"], ends["trainer"]))
    report("text_first", figures)


def table(ours: Curve, theirs: Curve) -> str:
    """Both curves side by side, as the README shows them."""
    lines = [
        "\n| | fettle | Trainer |", "|---|---|---|",
        f"| accuracy on the 3,080 test rows | {ours[-1][1]:.3f} | {theirs[-1][1]:.3f} |",
        f"| seconds of training | {ours[-1][0]:.1f} | {theirs[-1][0]:.1f} |",
        *(f"| seconds until {mark:.2f} | {reached(ours, mark)} | {reached(theirs, mark)} |"
          for mark in MARKS),
        f"| seconds until the other's accuracy | {reached(ours, theirs[-1][1])} | "
        f"{reached(theirs, ours[-1][1])} |",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
