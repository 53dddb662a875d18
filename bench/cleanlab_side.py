"""cleanlab's side: its ranking and its list of label errors on probabilities that are handed in.

    python bench/cleanlab_side.py FOLDER

Runs in cleanlab's own environment. Every .npz in the folder holds `probabilities`, `labels` and
`planted`; printed is one JSON object from file name to figures.
"""

import json
import sys
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import average_precision_score

METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
"""All of its scores; the first is its default."""


def figures(path: Path) -> dict[str, object]:
    """What cleanlab makes of one file."""
    held = np.load(path)
    labels, planted = held["labels"], held["planted"]
    probabilities = held["probabilities"].astype(float)
    listed = find_label_issues(labels, probabilities, return_indices_ranked_by=METHODS[0])
    scores = {
        method: get_label_quality_scores(labels, probabilities, method=method)
        for method in METHODS
    }
    return {
        "listed": len(listed),
        "right": int(planted[listed].sum()),
        "average_precision": {
            method: float(average_precision_score(planted, -score)) if planted.any() else None
            for method, score in scores.items()
        },
    }


if __name__ == "__main__":
    found = sorted(Path(sys.argv[1]).glob("*.npz"))
    print(json.dumps({path.stem: figures(path) for path in found}))
