import numpy as np

from fettle.measures import closeness
from fettle.measures.closeness import centred, close_pairs, distance_to_nearest


def test_close_pairs_are_those_above_the_cosine():
    directions = np.array([[1, 0], [0.99, 0.141], [0, 1], [-1, 0], [0.995, 0.0999]], np.float32)

    assert sorted(map(tuple, close_pairs(directions).tolist())) == [(0, 1), (0, 4), (1, 4)]


def test_blocks_give_what_one_product_gives(monkeypatch):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(100, 8)).astype(np.float32)
    vectors[50:] = vectors[:50] + rng.normal(scale=0.03, size=(50, 8)).astype(np.float32)
    directions = centred(vectors)
    cosines = directions @ directions.T
    true = {(a, b) for a in range(100) for b in range(a + 1, 100) if cosines[a, b] >= 0.98}

    monkeypatch.setattr(closeness, "_BLOCK", 7)

    assert set(map(tuple, close_pairs(directions).tolist())) == true
    assert len(true) >= 50


def test_a_block_full_of_close_rows_still_connects_them(monkeypatch):
    monkeypatch.setattr(closeness, "_BLOCK", 16)
    monkeypatch.setattr(closeness, "_MOST_HITS", 10)
    directions = np.tile(np.array([[0.6, 0.8]], np.float32), (60, 1))

    from fettle.measures.clusters import components

    assert set(components(60, close_pairs(directions)).tolist()) == {0}


def test_features_that_all_point_one_way_are_not_all_close():
    rng = np.random.default_rng(1)
    vectors = (rng.normal(size=(50, 16)) + 100).astype(np.float32)  # raw cosines are above 0.999

    assert len(close_pairs(centred(vectors))) == 0


def test_rows_that_are_all_the_same_have_no_direction():
    assert not centred(np.ones((4, 3), np.float32)).any()
    assert close_pairs(centred(np.ones((4, 3), np.float32))).shape == (0, 2)


def test_distance_is_the_mean_to_the_nearest_others():
    vectors = np.array([[0.0], [1.0], [3.0], [10.0]], np.float32)

    found = distance_to_nearest(vectors, np.arange(4), neighbours=2)

    assert np.allclose(found, [2.0, 1.5, 2.5, 8.0])
    assert distance_to_nearest(vectors[:1], np.array([0])).tolist() == [0.0]
