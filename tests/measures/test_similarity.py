import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.measures.similarity import linear_cka


def test_rotating_scaling_and_shifting_change_nothing():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 16))
    rotation, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    assert linear_cka(features, 3 * features @ rotation + 7) == pytest.approx(1)


def test_features_that_have_nothing_to_do_with_each_other_are_unlike():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(5000, 8)), rng.normal(size=(5000, 8))
    assert linear_cka(one, other) < 0.01


def test_one_shared_direction_by_hand():
    # Both have unit variance; x and z share nothing. Of (x, z) against x alone: 1 / sqrt(1 + 1).
    x, z = np.array([1.0, 1, -1, -1]), np.array([1.0, -1, 1, -1])
    assert linear_cka(np.stack([x, z], axis=1), x[:, None]) == pytest.approx(1 / np.sqrt(2))


def test_what_does_not_vary():
    still, moving = np.ones((4, 2)), np.arange(8.0).reshape(4, 2)
    assert linear_cka(still, still) == 1
    assert linear_cka(still, moving) == 0
    with pytest.raises(ShapeError):
        linear_cka(still, moving[:3])
