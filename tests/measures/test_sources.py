"""No one source of labels decides alone."""

import numpy as np
import pytest

from fettle.measures.sources import ALWAYS, counted


def of(*brought):
    return [name for name, rows in brought for _ in range(rows)]


@pytest.mark.parametrize(("brought", "rows", "loudest"), [
    ([("ann", 1000), ("bob", 300)], {"ann": 300, "bob": 300}, "ann"),
    ([("bob", 300), ("ann", 1000), ("", 100)], {"ann": 400, "bob": 300, "": 100}, "ann"),
    ([("ann", 1000), ("bob", 1)], {"ann": ALWAYS, "bob": 1}, "ann"),
    ([("ann", ALWAYS), ("bob", 1)], {"ann": ALWAYS, "bob": 1}, "ann"),
    ([("ann", 600), ("", 700)], {"ann": 600, "": 700}, "ann"),
    ([("ann", 300), ("bob", 300), ("cy", 300)], {"ann": 300, "bob": 300, "cy": 300}, "ann"),
    ([("ann", 1000)], {"ann": 1000}, "ann"),
    ([("", 1000)], {"": 1000}, ""),
    ([], {}, ""),
])
def test_of_a_source_as_many_rows_count_as_all_others_brought_or_two_hundred(
    brought, rows, loudest
):
    sources = of(*brought)
    counts, found = counted(sources, rng=np.random.default_rng(0))
    kept = [name for name, does in zip(sources, counts, strict=True) if does]
    assert {name: kept.count(name) for name in set(kept)} == rows
    assert found == loudest


def test_which_rows_of_too_many_count_is_drawn_from_all_of_them():
    sources = of(("flood", 1000), ("ann", 10))
    counts, _ = counted(sources, rng=np.random.default_rng(0))
    drawn = np.flatnonzero(counts[:1000])
    assert drawn.min() < 100
    assert drawn.max() > 900
    again, _ = counted(sources, rng=np.random.default_rng(0))
    assert (again == counts).all()
