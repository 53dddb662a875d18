"""evidently's side of bench/drift.py: its default preset on the same windows. Knows no fettle.

    python evidently_side.py FOLDER

FOLDER holds N-reference.csv and N-current.csv; the last line is one JSON object: of how many
windows, how many had any drifted column, and how many were "dataset drift".
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

__all__ = ["judged"]


def judged(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[int, float]:
    """Columns that drifted, and their share."""
    found = Report([DataDriftPreset()]).run(current, reference).dict()
    value = next(one["value"] for one in found["metrics"] if isinstance(one["value"], dict)
                 and {"count", "share"} <= set(one["value"]))
    return int(value["count"]), float(value["share"])


def main(folder: Path) -> None:
    """Every window in the folder."""
    warnings.filterwarnings("ignore")
    counts, shares = [], []
    for path in sorted(folder.glob("*-reference.csv")):
        other = path.with_name(path.name.replace("-reference", "-current"))
        count, share = judged(pd.read_csv(path), pd.read_csv(other))
        counts.append(count)
        shares.append(share)
    print(json.dumps({
        "windows": len(counts), "any_column": int((np.array(counts) > 0).sum()),
        "dataset_drift": int((np.array(shares) >= 0.5).sum()),
    }))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
