"""Spam cut to one in a hundred: the plain loss, the weighted and the adjusted one.

    FETTLE_DATA=... .venv/bin/python bench/imbalance.py [--rows N] [--seeds 3]

Of sms_spam's training rows spam is cut to 1%; the test rows are as they came. `fettle tune
--strategy full` once a loss and seed; printed is macro F1 on the test rows with its 95% interval,
of the first seed, and the mean over seeds.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from measuring import announce, data_folder, report
from sets import sides, some, tuned_on, written

LOSSES = ("plain", "weighted", "adjusted")
RARE, SHARE = "spam", 0.01


def cut(rows: Sequence[dict[str, str]], label: str, share: float) -> list[dict[str, str]]:
    """The rows, with the first so many of this label that they are this share of all that is left.

    Args:
        rows: in random order.
        label: of the rare class.
        share: from 0 to 1.
    """
    others = [row for row in rows if row["label"] != label]
    wanted = max(round(len(others) * share / (1 - share)), 2)
    return others + [row for row in rows if row["label"] == label][:wanted]


def main() -> None:
    """Each loss in turn, then one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, help="of the training rows; all where not given")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    data = data_folder("imbalance", "sms_spam")
    if data is None:
        return
    announce()
    learn, judge = sides(data, "sms_spam")
    learn = cut(some(learn, asked.rows or len(learn)), RARE, SHARE)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        train, test = written(folder / "train.csv", learn), written(folder / "test.csv", judge)
        for loss in LOSSES:
            runs = [
                tuned_on(train, test, folder / f"{loss}{seed}", more=(
                    "--strategy", "full", "--loss", loss, "--seed", str(seed),
                    "--no-keep-rows"))
                for seed in range(asked.seeds)
            ]
            first = next(one for one in runs[0].contender("full")["scores"]
                         if one["name"] == "macro_f1")
            mean = fmean(run.test("full", "macro_f1") for run in runs)
            print(f"{loss:9} macro F1 {first['value']:.4f} [{first['low']:.4f}, "
                  f"{first['high']:.4f}] on {first['rows']:,} rows; mean of {len(runs)} seeds "
                  f"{mean:.4f}", flush=True)
            figures |= {f"{loss}_macro_f1": first["value"], f"{loss}_low": first["low"],
                        f"{loss}_high": first["high"], f"{loss}_mean": mean}
    announce()
    report("imbalance", figures)


if __name__ == "__main__":
    main()
