"""Do the intervals hold what they promise? Simulated test sets of known truth.

A population of rows with known accuracy and macro F1 is drawn from again and again; counted is how
often the 95% interval holds the truth (97% at most, 93% at least), and how often "better" is said
of a model that is just as good as the other (5% at most). Rows that hang together (customers, each
easier or harder than others) are drawn whole, for intervals by row and by group. The accuracy of a
population differs by up to 3 points from draw to draw, so that no chance fit of rows and accuracy
decides.

    python bench/coverage.py [--draws 2000] [--json FILE]
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from fettle.measures import classification, intervals, judging
from measuring import report

SIZES = (50, 200, 1000)
LEAST, MOST = 0.93, 0.97
MOST_FALSE = 0.05
JITTER = 0.03
RESAMPLES = 1000
WORLDS = {
    "2 classes, 90% right": ((0.5, 0.5), 0.90),
    "2 classes of 9 to 1, 95% right": ((0.9, 0.1), 0.95),
    "5 classes, 75% right": ((0.2,) * 5, 0.75),
    "5 uneven classes, 80% right": ((0.45, 0.25, 0.15, 0.1, 0.05), 0.80),
    "10 classes, 92% right": ((0.1,) * 10, 0.92),
}
"""Shares of the classes, and the accuracy; mistakes go to the other classes by their shares."""


CUSTOMERS = {"30 customers of 5 rows": (30, 5), "30 of 20": (30, 20), "100 of 10": (100, 10),
             "2 of 60": (2, 60), "3 of 60": (3, 60), "5 of 40": (5, 40)}
SPREAD = (6.0, 1.5)
"""Of a customer's own accuracy: a beta distribution, 80% in the mean, standard deviation 14%."""
FEWER_DRAWS = 4
"""Whole tables are resampled by group: a quarter of the draws."""


def truth_of(shares: np.ndarray, right: float) -> np.ndarray:
    """The confusion table of the population, as shares that add up to 1."""
    classes = len(shares)
    table = np.zeros((classes, classes))
    for true in range(classes):
        others = shares.copy()
        others[true] = 0
        table[true] = shares[true] * (1 - right) * others / others.sum()
        table[true, true] = shares[true] * right
    return table


def macro_f1(table: np.ndarray) -> float:
    """Of a table of shares."""
    line, column = table.sum(axis=1), table.sum(axis=0)
    return float((2 * table.diagonal() / (line + column)).mean())


def coverage(world: str, rows: int, draws: int, rng: np.random.Generator) -> dict[str, float]:
    """How often the intervals of accuracy and macro F1 hold the truth."""
    shares, right = WORLDS[world]
    held = {"accuracy": 0, "macro_f1": 0}
    for _ in range(draws):
        table = truth_of(np.array(shares), right + rng.uniform(-JITTER, JITTER))
        truth = {"accuracy": float(table.trace()), "macro_f1": macro_f1(table)}
        counts = rng.multinomial(rows, table.ravel()).reshape(table.shape)
        spans = {
            "accuracy": intervals.wilson(int(counts.trace()), rows),
            "macro_f1": intervals.confusion_interval(
                classification.macro_f1_of, counts, rng=rng, resamples=RESAMPLES
            ),
        }
        for name, (low, high) in spans.items():
            held[name] += low <= truth[name] <= high
    return {name: times / draws for name, times in held.items()}


def false_better(
    rows: int, draws: int, right: float, apart: float, rng: np.random.Generator
) -> float:
    """How often the second of two equally good models is called better.

    Args:
        right: the accuracy of both.
        apart: the share of rows on which just one of them is right.
    """
    kinds = (apart / 2, apart / 2, right - apart / 2, 1 - right - apart / 2)
    called = 0
    for _ in range(draws):
        wins, losses, both, _ = rng.multinomial(rows, kinds)
        at = np.arange(rows)
        first = (at < losses) | (at >= rows - both)
        second = ((at >= losses) & (at < losses + wins)) | (at >= rows - both)
        called += judging.compare("a", "b", first, second).verdict == "better"
    return called / draws


def grouped(world: str, draws: int, rng: np.random.Generator) -> dict[str, float]:
    """How often intervals by row and by group hold the truth; how often "better" is said falsely.

    Two classes; both models are as good, each with its own luck with every customer.
    """
    customers, each = CUSTOMERS[world]
    of = np.repeat(np.arange(customers), each)
    mean = SPREAD[0] / sum(SPREAD)
    held = {f"{name}, by {how}": 0 for name in ("accuracy", "macro_f1", "falsely better")
            for how in ("row", "group")}
    for _ in range(draws):
        first, second = (
            rng.random(len(of)) < np.repeat(rng.beta(*SPREAD, customers), each) for _ in range(2)
        )
        targets = rng.integers(2, size=len(of))
        predicted = np.where(first, targets, 1 - targets)
        for how, groups in (("row", None), ("group", of)):
            for score in judging.scores(targets, predicted, 2, rng=rng, groups=groups):
                if score.name in ("accuracy", "macro_f1"):  # of even classes, the truth is equal
                    held[f"{score.name}, by {how}"] += score.low <= mean <= score.high
            said = judging.compare("a", "b", first, second, groups).verdict
            held[f"falsely better, by {how}"] += said == "better"
    return {name: times / draws for name, times in held.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    begun = time.perf_counter()
    lines = []
    for world in WORLDS:
        for rows in SIZES:
            for name, share in coverage(world, rows, asked.draws, rng).items():
                lines.append({"what": f"{name}, {world}", "rows": rows, "share": share,
                              "holds": LEAST <= share <= MOST})
    for right, apart in ((0.9, 0.1), (0.8, 0.2), (0.95, 0.02)):
        for rows in SIZES:
            share = false_better(rows, asked.draws, right, apart, rng)
            lines.append({"what": f"falsely better, {right:.0%} right, {apart:.0%} apart",
                          "rows": rows, "share": share, "holds": share <= MOST_FALSE})
    for world in CUSTOMERS:
        for name, share in grouped(world, asked.draws // FEWER_DRAWS, rng).items():
            bounds = (0.0, MOST_FALSE) if name.startswith("falsely") else (LEAST, 1.0)
            lines.append({"what": f"{name}, {world}", "rows": int(np.prod(CUSTOMERS[world])),
                          "share": share,
                          "holds": name.endswith("row") or bounds[0] <= share <= bounds[1]})
    for line in lines:
        print(f"{line['what']:52} n {line['rows']:5} {line['share']:.3f}"
              f" {'' if line['holds'] else '  <-- out of bounds'}")
    print(f"{sum(not line['holds'] for line in lines)} of {len(lines)} out of bounds, "
          f"{asked.draws} draws each, {time.perf_counter() - begun:.0f} s")
    if asked.json:
        asked.json.write_text(json.dumps(lines, indent=1))
    report("coverage", {f"{line['what']}, n {line['rows']}": line["share"] for line in lines})


if __name__ == "__main__":
    main()
