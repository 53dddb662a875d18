"""Drift: how often a watch cries without drift, and how many rows it takes where there is drift.

    python bench/drift.py [--watches 500] [--rows 3000] [--peer-watches 60]

Without drift: real rows cut at random into a reference and a window, many times; a watch is one
window, and any alarm of any signal counts. sotu_party and banking77 go through versions (what a
version keeps of rows that it never learned from); electricity's columns through the rule alone.
evidently's default preset judges the same windows, in an environment of its own, on the signals
that are columns (it is not given the vectors). With drift: sotu_party by year, electricity by
time; the delay is in rows, up to the end of the window that confirms. Images wait for an image
version. FETTLE_DATA names the folder of the sets.
"""

import argparse
import csv
import gzip
import io
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from fettle import pipeline, watching
from fettle.core.drift import Arrived, Portrait
from fettle.core.plan import Reading
from fettle.core.progress import finish
from fettle.core.settings import Settings
from fettle.measures import intervals, shift
from fettle.stages import monitoring, serving
from measuring import announce, data_folder, report
from peers import environment_of

SEED = 0
REFERENCE, WINDOWS = (200, 400, 800), (120, 200, 400)
NEEDED = ("sotu_party", "banking77", "electricity")
UNTIL = 1980
Row = dict[str, str]


def rows_of(path: Path) -> list[Row]:
    """Rows of a CSV, zipped or not."""
    content = path.read_bytes()
    plain = gzip.decompress(content) if path.suffix == ".gz" else content
    return list(csv.DictReader(io.StringIO(plain.decode("utf-8"), newline="")))


def version_of(name: str, rows: list[Row], folder: Path) -> serving.Opened:
    """A version tuned on these rows, by the cheapest rung: signals are what is measured here."""
    path = folder / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        out = csv.DictWriter(stream, ["text", "label"], extrasaction="ignore")
        out.writeheader()
        out.writerows(rows)
    settings = Settings(
        reading=Reading(data=str(path), target="label", inputs=("text",)), name=name,
        rungs=("features",), registry=str(folder / ".fettle"), allow=("small_classes",),
    )
    return pipeline.open_version(finish(pipeline.build(settings)).folder)


def painted(opened: serving.Opened, rows: list[Row]) -> Portrait:
    """What the version watches of these rows."""
    before, _ = watching.reference_of(opened)
    paint = serving.painter(opened, before.kinds)
    return paint([(row["text"],) for row in rows], [row["label"] for row in rows])


def of_columns(rows: list[Row]) -> dict[str, np.ndarray]:
    """Electricity: seven columns of numbers and one of names."""
    names = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
    found = {name: np.array([float(row[name]) for row in rows]) for name in names}
    found["row of the day"] = np.round(found["period"] * 48)
    found["class"] = np.array([row["class"] for row in rows])
    return found


def alarms_of_columns(
    before: dict[str, np.ndarray], now: dict[str, np.ndarray], rng: np.random.Generator
) -> list[str]:
    """The columns that raise an alarm, by the rule of measures.shift alone."""
    found, floors = {}, {}
    for name, values in before.items():
        is_number = values.dtype.kind == "f"
        found[name] = shift.numbers(values, now[name]) if is_number else shift.categories(
            values, now[name], rng=rng)
        floors[name] = shift.FLOORS["numbers" if is_number else "categories"]
    needed = shift.rows_needed(len(before["class"]), signals=len(before))
    if needed is None or len(now["class"]) < needed:
        return []
    p = shift.adjusted([one.p for one in found.values()])
    return [name for (name, one), value in zip(found.items(), p, strict=True)
            if value <= shift.LEVEL and one.effect >= floors[name]]


def watched(reference: Portrait, current: Portrait, *, window: int | None, seed: int) -> object:
    """One watch, in memory."""
    ids = tuple(str(row) for row in range(current.rows))
    return finish(monitoring.watch("bench", reference, Arrived("rows", current, ids),
                                   metric="accuracy", window=window, seed=seed))


def cuts(rows: int, watches: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
    """Row numbers of a reference and a window, drawn at random, of sizes in turns."""
    pairs = [(a, b) for a in REFERENCE for b in WINDOWS if a + b <= rows]
    for number in range(watches):
        before, now = pairs[number % len(pairs)]
        drawn = rng.permutation(rows)
        yield drawn[:before], drawn[before : before + now]


def columns_of(portrait: Portrait) -> dict[str, np.ndarray]:
    """The signals of a portrait that are columns, for evidently."""
    return {
        **portrait.traits,
        "predictions": np.array(portrait.classes)[portrait.probabilities.argmax(axis=1)],
        "confidence": portrait.probabilities.max(axis=1),
    }


def write(path: Path, columns: dict[str, np.ndarray]) -> None:
    """A CSV of these columns."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(columns)
        out.writerows(zip(*(one.tolist() for one in columns.values()), strict=True))


def without_drift(
    portraits: dict[str, Portrait], electricity: dict[str, np.ndarray], watches: int, kept: int,
    folder: Path,
) -> dict[str, float]:
    """False alarms, and the first windows written down for the other side."""
    rng = np.random.default_rng(SEED)
    each = -(-watches // (len(portraits) + 1))
    alarms = enough = total = written = 0
    for name, portrait in portraits.items():
        for number, (before, now) in enumerate(cuts(portrait.rows, each, rng)):
            one = watched(portrait.of(before), portrait.of(now), window=len(now), seed=number)
            (window,) = one.windows
            total += 1
            alarms += bool(window.alarms)
            enough += any(signal.alarm is not None for signal in window.signals)
            if number < kept:
                write(folder / f"{written}-reference.csv", columns_of(portrait.of(before)))
                write(folder / f"{written}-current.csv", columns_of(portrait.of(now)))
                written += 1
        print(f"{name}: {total} watches so far, {alarms} with an alarm", flush=True)
    size = len(electricity["class"])
    for number, (before, now) in enumerate(cuts(size, each, rng)):
        sides = [{name: one[rows] for name, one in electricity.items()} for rows in (before, now)]
        total += 1
        enough += 1
        alarms += bool(alarms_of_columns(sides[0], sides[1], rng))
        if number < kept:
            write(folder / f"{written}-reference.csv", sides[0])
            write(folder / f"{written}-current.csv", sides[1])
            written += 1
    low, high = intervals.wilson(alarms, total)
    print(f"{alarms} of {total} watches without drift raised an alarm "
          f"({low:.2%} to {high:.2%}); {enough} had rows enough")
    return {"watches": total, "false_alarms": alarms, "false_alarms_low": low * total,
            "false_alarms_high": high * total, "watches_with_rows_enough": enough}


def evidently(folder: Path) -> dict[str, float]:
    """The same windows through evidently's default preset."""
    peer = environment_of("evidently")
    if peer.python is None:
        print(f"evidently is not there: {peer.reason}")
        return {}
    side = Path(__file__).with_name("evidently_side.py")
    done = subprocess.run([str(peer.python), str(side), str(folder)], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        print(f"evidently failed: {done.stderr.strip()[-400:]}")
        return {}
    found = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"evidently: {found['any_column']} of {found['windows']} windows without drift have a "
          f"drifted column, {found['dataset_drift']} are dataset drift")
    return {f"evidently_{name}": value for name, value in found.items()}


def delay_of_texts(opened: serving.Opened, later: list[Row]) -> dict[str, float]:
    """Rows of later years until a signal is confirmed, and which ones are."""
    before, _ = watching.reference_of(opened)
    current = replace(painted(opened, later), labels=())
    drift = watched(before, current, window=200, seed=SEED)
    ends = np.cumsum([one.rows for one in drift.windows])
    delay = next((
        int(ends[number]) for number in range(len(drift.windows))
        if any(shift.confirmed([bool(set(window.alarms) & {one.signal})
                                for window in drift.windows[: number + 1]])
               for one in drift.states)
    ), -1)
    print(f"sotu_party after {UNTIL}: {', '.join(drift.drifted) or 'nothing'} drifted; confirmed "
          f"after {delay} of {current.rows} rows")
    return {"sotu_delay_rows": delay, "sotu_drifted_signals": len(drift.drifted)}


def delay_of_columns(electricity: dict[str, np.ndarray]) -> dict[str, float]:
    """Rows behind the real shift of electricity (row 17,424) until two of three windows see it."""
    rng = np.random.default_rng(SEED)
    shifted, window = 17_424, 200
    drawn = np.sort(rng.choice(shifted, 2000, replace=False))
    before = {name: one[drawn] for name, one in electricity.items()}
    alarms = []
    for start in range(shifted, shifted + 20 * window, window):
        now = {name: one[start : start + window] for name, one in electricity.items()}
        alarms.append(bool(set(alarms_of_columns(before, now, rng)) & {"vicprice", "transfer"}))
        if shift.confirmed(alarms):
            delay = start + window - shifted
            print(f"electricity: confirmed {delay} rows after the shift")
            return {"electricity_delay_rows": delay}
    return {"electricity_delay_rows": -1}


def main() -> None:
    """Print what was found, and the same as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watches", type=int, default=500, help="without drift")
    parser.add_argument("--rows", type=int, default=3000, help="of each text set at most")
    parser.add_argument("--peer-watches", type=int, default=60, help="for evidently, of each set")
    given = parser.parse_args()
    announce()
    data = data_folder("drift", *NEEDED)
    if data is None:
        return
    rng = np.random.default_rng(SEED)
    sotu = rows_of(data / "sotu_party" / "sotu_party.csv.gz")
    early = [row for row in sotu if int(row["year"]) <= UNTIL]
    late = [row for row in sotu if int(row["year"]) > UNTIL]
    banking = rows_of(data / "banking77" / "test.csv")
    electricity = of_columns(rows_of(data / "electricity" / "electricity.csv.gz"))
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        portraits, opened = {}, {}
        for name, rows in (("sotu", early), ("banking", banking)):
            mixed = [rows[at] for at in rng.permutation(len(rows))[: given.rows]]
            learned = max(len(mixed) // 3, min(len(mixed), 300))
            opened[name] = version_of(name, mixed[:learned], folder)
            portraits[name] = painted(opened[name], mixed[learned:])
        windows = folder / "windows"
        windows.mkdir()
        figures |= without_drift(portraits, electricity, given.watches, given.peer_watches,
                                 windows)
        figures |= evidently(windows)
        figures |= delay_of_texts(opened["sotu"], late[: given.rows])
    figures |= delay_of_columns(electricity)
    report("drift", figures)


if __name__ == "__main__":
    main()
