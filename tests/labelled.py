"""Rows with several labels, and a version of the tiny network that learned from them."""

import numpy as np
import pytest

from stories import OWN, write_rows

__all__ = ["NAMES", "several", "story"]

NAMES = tuple(OWN)


def several(number: int, *, seed: int = 0) -> list[tuple[str, tuple[str, ...]]]:
    """Texts of the words of none, one or two labels."""
    rng = np.random.default_rng(seed)
    rows: dict[str, tuple[str, ...]] = {}
    while len(rows) < number:
        labels = rng.choice(NAMES, rng.integers(0, 3), replace=False).tolist()
        words = [word for label in labels for word in rng.choice(OWN[label], 4).tolist()]
        words += rng.choice(["my", "is"], rng.integers(2, 6)).tolist()
        rows.setdefault(" ".join(rng.permutation(words)), tuple(sorted(labels)))
    return list(rows.items())


@pytest.fixture(scope="module")
def story(tmp_path_factory, tell, tiny):
    folder = tmp_path_factory.mktemp("several")
    data = write_rows(folder / "tickets.csv",
                      [(text, " | ".join(labels)) for text, labels in several(320)],
                      header=("text", "labels"))
    return tell(folder, data, model=tiny, rungs=("features", "full"), asked={"epochs": 4})
