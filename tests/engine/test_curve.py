import numpy as np

from fettle.core.progress import finish
from fettle.engine import curve
from fettle.engine.curve import MOST_ROWS, sizes_of, values_by_size
from fettle.tasks.classification import Classification


def blobs(rows, seed):
    rng = np.random.default_rng(seed)
    targets = np.arange(rows) % 3
    return (np.eye(6)[targets] * 1.2 + rng.normal(size=(rows, 6))).astype(np.float32), targets


def test_sizes_double_up_to_all_rows():
    assert sizes_of(1600, 2).tolist() == [100, 200, 400, 800, 1600]
    assert sizes_of(100, 2).tolist() == [25, 50, 100]
    assert sizes_of(1000, 77).tolist() == [250, 500, 1000]
    assert sizes_of(10**6, 2)[-1] == MOST_ROWS


def test_more_rows_make_better_heads_and_all_rows_make_one():
    learned, targets = blobs(800, 0)
    tested, truth = blobs(2000, 1)
    sizes = sizes_of(800, 3)
    right = finish(values_by_size(
        Classification("abc"), learned, targets, tested, truth, l2=(0.3, 0.03, 0.003),
        sizes=sizes, rng=np.random.default_rng(0),
    ))
    accuracy = right.mean(axis=(1, 2))

    assert right.shape == (len(sizes), 3, 2000)
    assert accuracy[0] < accuracy[-1] - 0.02
    assert (right[-1, 0] == right[-1, 1]).all()
    assert not (right[0, 0] == right[0, 1]).all()


def test_rows_of_one_group_are_seen_together(monkeypatch):
    """The first feature is the row's number: a head sees whole groups, but for one that is cut."""
    rows, groups = 300, np.arange(300) // 10
    learned, targets = blobs(rows, 0)
    learned[:, 0] = np.arange(rows)
    seen = []
    real = curve.path_for

    def spied(task, features, answers, *, l2):
        seen.append(features[:, 0].astype(int))
        return real(task, features, answers, l2=l2)

    monkeypatch.setattr(curve, "path_for", spied)
    finish(values_by_size(
        Classification("abc"), learned, targets, *blobs(30, 1), l2=(0.1,),
        sizes=np.array([45, 150, 300]), rng=np.random.default_rng(0), groups=groups,
    ))
    for inside in seen:
        held = np.bincount(groups[inside], minlength=30)
        assert len(inside) == len(set(inside))
        assert ((held > 0) & (held < 10)).sum() == (len(inside) % 10 > 0)
    assert not np.array_equal(np.sort(seen[0]), np.sort(seen[1])), "subsets differ"
