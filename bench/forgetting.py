"""What is forgotten: tuned on medical_abstracts, what is left of banking77 and of stsb?

    FETTLE_DATA=... .venv/bin/python bench/forgetting.py [--rows N] [--rungs full,lora,l2sp,wise]
        [--picture docs/forgetting.svg]

Each strategy is tuned alone. Gain is its test accuracy less that of frozen features; retention is
what a probe on banking77 reads from the tuned encoder less what it reads from the encoder as it
came (paired, 600 rows), and the rank correlation of cosines with people's scores on stsb, before
and after. The picture shows gain against retention.
"""

import argparse
import csv
import tempfile
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np

from measuring import announce, data_folder, report
from sets import rows_of, sides, some, tuned_on, written

RUNGS = "full,lora,l2sp,wise"


def similarity(folder: Path, pairs: Path) -> float:
    """Spearman's correlation of cosines with scores, for the encoder of a rung's folder.

    Args:
        folder: of a rung: its network and its encoder.
        pairs: a CSV with sentence1, sentence2 and score.
    """
    from scipy.stats import spearmanr

    from fettle.core.progress import finish
    from fettle.engine.predict import taps_of
    from fettle.modalities import ENCODERS
    from fettle.models.network import open_saved

    paths = {path.name: path for path in folder.iterdir()}
    network, encoder = open_saved(paths), ENCODERS["text"].load(paths)
    with pairs.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    vectors = []
    for side in ("sentence1", "sentence2"):
        found = finish(taps_of(
            network, encoder, encoder.encode([(row[side],) for row in rows]), names=("mean",),
            precision="fp32",
        ))["mean"]
        vectors.append(found / np.linalg.norm(found, axis=1, keepdims=True))
    cosines = (vectors[0] * vectors[1]).sum(axis=1)
    return float(spearmanr(cosines, [float(row["score"]) for row in rows]).statistic)


def draw(figures: Mapping[str, float], names: Sequence[str], path: Path) -> None:
    """Gain against both retentions, a panel each, as a picture.

    Args:
        figures: as they are reported.
        names: of the rungs.
        path: of an SVG.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9, 4), layout="constrained")
    probe, likeness = canvas.subplots(1, 2, sharey=True)
    for name, mark in zip(names, cycle("os^Dvp"), strict=False):
        gain, change, low, high, stsb = (100 * figures[f"{name}_{key}"] for key in (
            "gain", "probe_change", "probe_low", "probe_high", "stsb_change"))
        probe.errorbar([change], [gain], xerr=[[change - low], [high - change]], fmt=mark,
                       capsize=4, alpha=0.7)
        likeness.plot([stsb], [gain], mark, alpha=0.7, markersize=8, label=name)
    likeness.legend(loc="best")
    likeness.locator_params(nbins=6)
    probe.set_ylabel("gain over frozen features\non medical_abstracts, points of accuracy")
    probe.set_xlabel("banking77 by a probe: change of accuracy, points, 95%")
    likeness.set_xlabel("stsb: change of rank correlation, points")
    for axes in (probe, likeness):
        axes.axvline(0, color="grey", linewidth=0.8)
        axes.grid(visible=True, alpha=0.3)
        axes.margins(0.15)
    canvas.savefig(path, metadata={"Date": None})


def main() -> None:
    """Each strategy in turn, then one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, help="of the training rows; all where not given")
    parser.add_argument("--rungs", default=RUNGS)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    data = data_folder("forgetting", "medical_abstracts", "banking77", "stsb")
    if data is None:
        return
    announce()
    figures: dict[str, float] = {}
    names = asked.rungs.split(",")
    learn, judge = sides(data, "medical_abstracts")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        train = written(folder / "train.csv", some(learn, asked.rows or len(learn)))
        test = written(folder / "test.csv", judge)
        guard = written(folder / "guard.csv", rows_of(data / "banking77/test.csv"))
        frozen = tuned_on(train, test, folder / "features", more=("--strategy", "features"))
        base, came = frozen.test("features"), similarity(
            folder / "features" / "rungs" / "features", data / "stsb/test.csv")
        for name in names:
            run = tuned_on(train, test, folder / name, more=(
                "--strategy", name, "--guard", str(guard), "--no-keep-rows"))
            (kept,) = run.evaluation["forgetting"]["retentions"]
            change = float(kept["change"]["difference"])
            left = similarity(folder / name / "rungs" / name, data / "stsb/test.csv")
            gain = run.test(name) - base
            print(f"{name:6} gain {gain:+.4f}, probe on banking77 {change:+.4f} "
                  f"[{kept['change']['low']:+.4f}, {kept['change']['high']:+.4f}], stsb "
                  f"{left:.4f} (was {came:.4f})", flush=True)
            figures |= {
                f"{name}_gain": gain, f"{name}_probe_change": change,
                f"{name}_probe_low": kept["change"]["low"],
                f"{name}_probe_high": kept["change"]["high"],
                f"{name}_stsb": left, f"{name}_stsb_change": left - came,
            }
    if asked.picture:
        draw(figures, names, asked.picture)
    announce()
    report("forgetting", figures)


if __name__ == "__main__":
    main()
