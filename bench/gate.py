"""How often the gate promotes, by simulation: equal models, one a point worse, one two better, and
one that is as good and errs on other rows.

Beside it the gate that most people write: promote what scores at least as well. Two models are
right or wrong together on most rows; on a share of the rows they differ, as two trainings of one
recipe do. Every draw is a test set of its own. Nothing is trained.
"""

import argparse
import json
import os
import platform
from collections import Counter

import numpy as np

from fettle.measures import answer_gating, gating

ACCURACY = 0.90
DIFFERING = 0.06
"""Of the rows, on how many one of two equally good models is right and the other wrong."""
CHALLENGERS = {
    "equal": (0.0, DIFFERING), "one point worse": (-0.01, DIFFERING),
    "two points better": (0.02, DIFFERING), "as good, errs elsewhere": (0.0, 2 * DIFFERING),
    "better, errs elsewhere": (0.02, 2 * DIFFERING),
}
"""By name: how much more of the rows it gets right, and on how many it differs beside."""
ROWS = (200, 500, 2000)
LABELS, SEED = 8, 0


def draw(
    rows: int, gain: float, differing: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Whether champion and challenger are right, bool (rows,) each."""
    differing += abs(gain)
    wins, losses = (differing + gain) / 2, (differing - gain) / 2
    both = ACCURACY - losses
    kind = rng.choice(4, size=rows, p=[both, wins, losses, 1 - both - wins - losses])
    return (kind == 0) | (kind == 2), (kind == 0) | (kind == 1)


def headline(first: np.ndarray, second: np.ndarray) -> str:
    """What the gate on the headline alone says."""
    _, low, high = gating.accuracy_change(first, second)
    return "pass" if low > -answer_gating.MARGIN else "fail" if high < 0 else "cannot tell"


def whole(
    first: np.ndarray, second: np.ndarray, gain: float, rng: np.random.Generator
) -> dict[str, str]:
    """What each gate that hangs on answers says: slices, calibration and flips with the headline.
    """
    rows = len(first)
    labels = np.array([f"label {at}" for at in range(LABELS)], dtype=object)[
        rng.integers(LABELS, size=rows)
    ]
    said = tuple(np.where(right, labels, "wrong") for right in (first, second))
    first_sure, second_sure = (  # each as sure on the average as it is right
        rng.beta(mean / (1 - mean), 1, size=rows) for mean in (ACCURACY, ACCURACY + gain)
    )
    fields = [("x" * int(length),) for length in rng.integers(5, 200, size=rows)]
    gates, _ = answer_gating.compare_answers(
        labels, said, (first_sure, second_sure), fields, metric="accuracy", rng=rng
    )
    return {gate.name: gate.verdict for gate in gates}


def decision(verdicts: dict[str, str]) -> str:
    """What comes of all of them."""
    said = set(verdicts.values())
    return "fail" if "fail" in said else "cannot tell" if "cannot tell" in said else "pass"


def figures(draws: int, whole_draws: int) -> list[dict[str, object]]:
    """One line for each size of test set and each kind of challenger."""
    found = []
    for rows in ROWS:
        for number, (name, (gain, differing)) in enumerate(CHALLENGERS.items()):
            rng = np.random.default_rng([SEED, rows, number])
            pairs = [draw(rows, gain, differing, rng) for _ in range(draws)]
            alone = [headline(*pair) for pair in pairs]
            said = [whole(*pair, gain, rng) for pair in pairs[:whole_draws]]
            every = [decision(one) for one in said]
            held = Counter(gate for one in said for gate, verdict in one.items()
                           if verdict != "pass")
            points = [second.sum() >= first.sum() for first, second in pairs]
            found.append({
                "rows": rows, "challenger": name,
                "point_estimates": float(np.mean(points)),
                "headline": alone.count("pass") / draws,
                "headline_rejects": alone.count("fail") / draws,
                "all_gates": every.count("pass") / whole_draws,
                "all_gates_reject": every.count("fail") / whole_draws,
                "held_back_by": {gate: count / whole_draws for gate, count in held.items()},
            })
    return found


def main() -> None:
    """Print the table, and the same as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4000, help="test sets for each line")
    parser.add_argument("--whole-draws", type=int, default=300, help="of them, for all gates")
    given = parser.parse_args()
    lines = figures(given.draws, given.whole_draws)
    print(f"Share of {given.draws:,} simulated test sets on which each gate promotes; equally good")
    print(f"models differ in being right on {DIFFERING:.0%} of rows; accuracy {ACCURACY:.0%}.")
    print(f"{'rows':>6} {'challenger':24} {'points':>8} {'paired':>8} {'rejects':>8} "
          f"{'all gates':>10} {'reject':>8}  held back by")
    for one in lines:
        held = ", ".join(f"{gate} {share:.2f}" for gate, share in one["held_back_by"].items())
        print(f"{one['rows']:>6} {one['challenger']:24} {one['point_estimates']:>8.3f} "
              f"{one['headline']:>8.3f} {one['headline_rejects']:>8.3f} {one['all_gates']:>10.3f} "
              f"{one['all_gates_reject']:>8.3f}  {held}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(json.dumps({"bench": "gate", "machine": machine, "figures": lines}))


if __name__ == "__main__":
    main()
