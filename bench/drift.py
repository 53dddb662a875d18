"""Drift: how often a watch cries without drift, and how many rows it takes where there is drift.

    python bench/drift.py [SET ...] [--watches 500] [--rows 3000] [--peer-watches 60]

Without drift: real rows cut at random into a reference and a window, many times; a watch is one
window, and any alarm of any signal counts. sotu_party, banking77 and cifar10_small go through
versions (what a version keeps of rows that it never learned from); electricity's columns through
the rule alone. evidently's default preset judges the first windows of each set, in an environment
of its own, on the signals that are columns (it is not given the vectors); how many of those very
windows alarmed fettle stands beside it. With drift: sotu_party by year, electricity by time,
cifar10_small half as bright; the delay is in rows, up to the end of the window that confirms. Each
set is measured by itself and takes minutes: name some, and add up what they print. FETTLE_DATA
names the folder of the sets, FETTLE_WEIGHTS that of mobilenetv2_imagenet, which reads the pictures.
"""

import argparse
import csv
import gzip
import io
import json
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fettle import pipeline, watching
from fettle.core.drift import Arrived, Drift, Portrait
from fettle.core.pictures import cell_of_bytes
from fettle.core.plan import Reading
from fettle.core.progress import finish
from fettle.core.settings import Settings
from fettle.measures import intervals, shift
from fettle.stages import monitoring, reading, serving
from measuring import announce, data_folder, report, weights_folder
from peers import environment_of

SEED = 0
REFERENCE, WINDOWS = (200, 400, 800), (120, 200, 400)
SETS = ("sotu_party", "banking77", "cifar10_small", "electricity")
UNTIL, FEWEST = 1980, 900
WINDOW = 200
MODEL = "mobilenetv2_imagenet"
"""The small network of ImageNet that reads the pictures."""
LEARNED_PICTURES, WATCHED_PICTURES, DARK_PICTURES = 600, 2000, 1000
Row = dict[str, str]
Columns = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Cut:
    """A set that is cut at random into what was before and what is now."""

    rows: int
    watch: Callable[[np.ndarray, np.ndarray, int], bool | None]
    """Of row numbers before and now, and a seed: whether anything alarms; None of too few rows."""
    columns: Callable[[np.ndarray], Columns]
    """Of row numbers: the signals that are columns, for evidently."""


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
    return tuned(Reading(data=str(path), target="label", inputs=("text",)), name, folder)


def tuned(learned: Reading, name: str, folder: Path, model: Path | None = None) -> serving.Opened:
    """A version of these rows by the cheapest rung."""
    settings = Settings(reading=learned, name=name, rungs=("features",),
                        registry=str(folder / ".fettle"), allow=("small_classes",))
    if model is not None:
        settings = replace(settings, model=str(model))
    return pipeline.open_version(finish(pipeline.build(settings)).folder)


def painted(opened: serving.Opened, rows: list[Row]) -> Portrait:
    """What the version watches of these rows."""
    return seen_by(opened, [(row["text"],) for row in rows], [row["label"] for row in rows])


def seen_by(
    opened: serving.Opened, fields: list[tuple[str, ...]], labels: list[str | None] | list[str]
) -> Portrait:
    """What the version watches of rows."""
    before, _ = watching.reference_of(opened)
    return serving.painter(opened, before.kinds)(fields, labels)


def version_of_pictures(data: Path, folder: Path) -> serving.Opened:
    """A version tuned on a few of the training pictures."""
    learned = folder / "pictures.zip"
    with zipfile.ZipFile(data / "cifar10_small" / "train.zip") as whole, \
            zipfile.ZipFile(learned, "w") as few:
        names = [name for name in whole.namelist() if not name.endswith("/")]
        for name in names[:: max(len(names) // LEARNED_PICTURES, 1)]:
            few.writestr(name, whole.read(name))
    return tuned(Reading(data=str(learned)), "pictures", folder, weights_folder(MODEL))


def darkened(content: bytes) -> str:
    """The cell of a picture at half its brightness."""
    with Image.open(io.BytesIO(content)) as picture:
        half = picture.convert("RGB").point(lambda value: value // 2)
    out = io.BytesIO()
    half.save(out, "PNG")
    return cell_of_bytes(out.getvalue())


def of_columns(rows: list[Row]) -> dict[str, np.ndarray]:
    """Electricity: seven columns of numbers and one of names."""
    names = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
    found = {name: np.array([float(row[name]) for row in rows]) for name in names}
    found["row of the day"] = np.round(found["period"] * 48)
    found["class"] = np.array([row["class"] for row in rows])
    return found


def alarms_of_columns(before: Columns, now: Columns, rng: np.random.Generator) -> list[str] | None:
    """The columns that raise an alarm, by the rule of measures.shift alone; None of too few rows.
    """
    found, floors = {}, {}
    for name, values in before.items():
        is_number = values.dtype.kind == "f"
        found[name] = shift.numbers(values, now[name]) if is_number else shift.categories(
            values, now[name], rng=rng)
        floors[name] = shift.FLOORS["numbers" if is_number else "categories"]
    needed = shift.rows_needed(len(before["class"]), signals=len(before))
    if needed is None or len(now["class"]) < needed:
        return None
    p = shift.adjusted([one.p for one in found.values()])
    return [name for (name, one), value in zip(found.items(), p, strict=True)
            if value <= shift.LEVEL and one.effect >= floors[name]]


def watched(reference: Portrait, current: Portrait, *, window: int | None, seed: int) -> Drift:
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


def of_portrait(portrait: Portrait) -> Cut:
    """Rows of a version, watched as `fettle watch` does."""
    def watch(before: np.ndarray, now: np.ndarray, seed: int) -> bool | None:
        drift = watched(portrait.of(before), portrait.of(now), window=len(now), seed=seed)
        (window,) = drift.windows
        if all(signal.alarm is None for signal in window.signals):
            return None
        return bool(window.alarms)

    return Cut(portrait.rows, watch, lambda rows: columns_of(portrait.of(rows)))


def of_table(columns: Columns) -> Cut:
    """Columns of numbers and names, by the rule alone."""
    def some(rows: np.ndarray) -> Columns:
        return {name: one[rows] for name, one in columns.items()}

    def watch(before: np.ndarray, now: np.ndarray, seed: int) -> bool | None:
        alarms = alarms_of_columns(some(before), some(now), np.random.default_rng(seed))
        return None if alarms is None else bool(alarms)

    return Cut(len(columns["class"]), watch, some)


def without_drift(
    name: str, cut: Cut, watches: int, kept: int, folder: Path
) -> dict[str, float]:
    """False alarms of one set, and its first windows written down for the other side."""
    rng = np.random.default_rng([SEED, SETS.index(name)])
    found = []
    for number, (before, now) in enumerate(cuts(cut.rows, watches, rng)):
        found.append(cut.watch(before, now, number))
        if number < kept:
            write(folder / f"{number}-reference.csv", cut.columns(before))
            write(folder / f"{number}-current.csv", cut.columns(now))
    alarms = found.count(True)
    print(f"{name}: {alarms} of {len(found)} watches without drift raised an alarm, "
          f"{len(found) - found.count(None)} had rows enough", flush=True)
    return {"watches": len(found), "false_alarms": alarms,
            "watches_with_rows_enough": len(found) - found.count(None),
            "false_alarms_of_the_first_windows": found[:kept].count(True)}


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
    print(f"  evidently: {found['any_column']} of the first {found['windows']} windows without "
          f"drift have a drifted column, {found['dataset_drift']} are dataset drift", flush=True)
    return {f"evidently_{name}": value for name, value in found.items()}


def delay_of(name: str, before: Portrait, arrived: Portrait) -> dict[str, float]:
    """Rows until a signal is confirmed, labels aside, and how many signals are; -1 of none.

    They are compared with rows that the version never learned from, as its test rows are.
    """
    drift = watched(before, replace(arrived, labels=()), window=WINDOW, seed=SEED)
    ends = np.cumsum([one.rows for one in drift.windows])
    delay = next((
        int(ends[number]) for number in range(len(drift.windows))
        if any(shift.confirmed([one.signal in window.alarms
                                for window in drift.windows[: number + 1]])
               for one in drift.states)
    ), -1)
    print(f"{name}: {', '.join(drift.drifted) or 'nothing'} drifted; confirmed after {delay} of "
          f"{arrived.rows} rows", flush=True)
    return {"delay_rows": delay, "drifted_signals": len(drift.drifted)}


def delay_of_columns(electricity: dict[str, np.ndarray]) -> dict[str, float]:
    """Rows behind the real shift of electricity (row 17,424) until two of three windows see it."""
    rng = np.random.default_rng(SEED)
    shifted, window = 17_424, WINDOW
    drawn = np.sort(rng.choice(shifted, 2000, replace=False))
    before = {name: one[drawn] for name, one in electricity.items()}
    alarms: list[bool | None] = []
    for start in range(shifted, shifted + 20 * window, window):
        now = {name: one[start : start + window] for name, one in electricity.items()}
        told = alarms_of_columns(before, now, rng) or []
        alarms.append(bool(set(told) & {"vicprice", "transfer"}))
        if shift.confirmed(alarms):
            delay = start + window - shifted
            print(f"electricity: confirmed {delay} rows after the shift")
            return {"delay_rows": delay}
    return {"delay_rows": -1}


def texts(name: str, data: Path, rows: int, folder: Path) -> tuple[Cut, dict[str, float]]:
    """A set of texts: rows that its version never learned from; and the delay, where time says."""
    rng = np.random.default_rng(SEED)
    late: list[Row] = []
    if name == "sotu_party":
        whole = sorted(rows_of(data / name / "sotu_party.csv.gz"), key=lambda row: row["year"])
        early = [row for row in whole if int(row["year"]) <= UNTIL]
        late = [row for row in whole if int(row["year"]) > UNTIL][:rows]
    else:
        early = rows_of(data / name / "test.csv")
    mixed = [early[at] for at in rng.permutation(len(early))[:rows]]
    learned = max(len(mixed) // 3, min(len(mixed), 300))
    opened = version_of(name, mixed[:learned], folder)
    held = painted(opened, mixed[learned:])
    delay = {} if not late else delay_of(f"{name} after {UNTIL}", held, painted(opened, late))
    return of_portrait(held), delay


def pictures(data: Path, folder: Path, many: int) -> tuple[Cut, dict[str, float]]:
    """Pictures that a version never learned from; and the delay where they come half as bright."""
    opened = version_of_pictures(data, folder)
    tests = data / "cifar10_small" / "test.zip"
    rows = reading.read_unlabelled(tests, opened.schema)
    rng = np.random.default_rng(SEED)
    some = rng.permutation(rows.rows)[: min(many, WATCHED_PICTURES)].tolist()
    held = seen_by(opened, rows.fields(some), rows.targets(some))
    with zipfile.ZipFile(tests) as whole:
        names = [name for name in whole.namelist() if not name.endswith("/")]
        dark = [(darkened(whole.read(names[at])),)
                for at in rng.permutation(len(names))[: min(many, DARK_PICTURES)]]
    delay = delay_of("cifar10_small at half the light", held, seen_by(opened, dark, []))
    return of_portrait(held), delay


def main() -> None:
    """Print what was found, and the same as one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sets", nargs="*", help=f"some of {', '.join(SETS)}; all if not given")
    parser.add_argument("--watches", type=int, default=500, help="without drift, of all sets")
    parser.add_argument("--rows", type=int, default=3000, help="of each set at most")
    parser.add_argument("--peer-watches", type=int, default=60, help="for evidently, of each set")
    given = parser.parse_args()
    if unknown := set(given.sets) - set(SETS):
        parser.error(f"no set is called {', '.join(sorted(unknown))}; choose of {', '.join(SETS)}")
    if given.rows < FEWEST:
        parser.error(f"--rows is {given.rows}; {FEWEST} are the fewest that can be cut")
    chosen = given.sets or list(SETS)
    if "cifar10_small" in chosen and weights_folder(MODEL) is None:
        print("FETTLE_WEIGHTS names no folder with mobilenetv2_imagenet: no pictures.")
        chosen = [name for name in chosen if name != "cifar10_small"]
    announce()
    data = data_folder("drift", *chosen)
    if data is None:
        return
    figures: dict[str, float] = {}
    for name in chosen:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            (folder / "windows").mkdir()
            if name == "electricity":
                table = of_columns(rows_of(data / name / "electricity.csv.gz"))
                cut, delay = of_table(table), delay_of_columns(table)
            elif name == "cifar10_small":
                cut, delay = pictures(data, folder, given.rows)
            else:
                cut, delay = texts(name, data, given.rows, folder)
            found = without_drift(name, cut, -(-given.watches // len(SETS)), given.peer_watches,
                                  folder / "windows")
            found |= evidently(folder / "windows") if given.peer_watches else {}
        figures |= {f"{name}_{key}": value for key, value in (found | delay).items()}
    for key in ("watches", "false_alarms", "watches_with_rows_enough"):
        figures[key] = sum(figures[f"{name}_{key}"] for name in chosen)
    low, high = intervals.wilson(int(figures["false_alarms"]), int(figures["watches"]))
    figures |= {"false_alarms_low": low * figures["watches"],
                "false_alarms_high": high * figures["watches"]}
    print(f"{figures['false_alarms']:.0f} of {figures['watches']:.0f} watches without drift raised "
          f"an alarm ({low:.2%} to {high:.2%})")
    report("drift", figures)


if __name__ == "__main__":
    main()
