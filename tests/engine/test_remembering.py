import numpy as np

from fettle.engine.remembering import probe, retention


def vectors(rows, seed=0, spread=0.3):
    rng = np.random.default_rng(seed)
    targets = np.arange(rows) % 4
    return np.eye(8)[targets] + rng.normal(size=(rows, 8)) * spread, targets


def test_nothing_is_forgotten_where_features_are_the_same():
    features, targets = vectors(200)
    found = retention("guard.csv", features, features, targets, seed=0)

    assert found.change.difference == 0
    assert found.similarity == 1
    assert (found.rows, found.base.rows) == (200, 200)
    assert found.base.value > 0.9


def test_a_direction_that_is_gone_is_forgotten_and_found_so():
    features, targets = vectors(400)
    tuned = features.copy()
    tuned[:, 2:4] = 0.0  # classes 2 and 3 can no longer be told apart
    found = retention("guard.csv", features, tuned, targets, seed=0)

    assert found.change.verdict == "worse"
    assert 0.6 < found.tuned.value < 0.85
    assert found.similarity < 0.95


def test_a_probe_is_judged_on_rows_it_has_not_seen():
    rng = np.random.default_rng(0)
    right = probe(rng.normal(size=(200, 64)), rng.integers(4, size=200), seed=0)
    assert right.mean() < 0.45  # labels of chance


def test_twins_do_not_help_the_probe():
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(100, 64)), rng.integers(4, size=100)
    right = probe(np.repeat(features, 2, axis=0), np.repeat(targets, 2), seed=0)
    assert right.mean() < 0.45
