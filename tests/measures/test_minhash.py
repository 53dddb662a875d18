import numpy as np

from fettle.measures.clusters import clusters, components
from fettle.measures.minhash import near_pairs, sketches
from fettle.measures.shingles import jaccard, of_letters


def random_texts(rows, rng, letters=60):
    return ["".join(rng.choice(list("abcdefghijklmnop "), letters)) for _ in range(rows)]


def one_letter_changed(text, rng):
    at = int(rng.integers(len(text)))
    return text[:at] + "#" + text[at + 1 :]


def test_every_pair_above_the_threshold_hangs_together_and_none_below_is_paired():
    rng = np.random.default_rng(0)
    texts = random_texts(400, rng)
    texts += [one_letter_changed(text, rng) for text in texts]
    pieces = of_letters(texts)
    every = np.array([(a, b) for a in range(800) for b in range(a + 1, 800)])
    true = every[jaccard(pieces, every) >= 0.8]

    pairs = near_pairs(pieces)

    assert len(true) > 350
    assert (jaccard(pieces, pairs) >= 0.8).all()
    label = components(800, pairs)
    assert (label[true[:, 0]] == label[true[:, 1]]).all()


def test_a_crowded_bucket_still_holds_together():
    rng = np.random.default_rng(1)
    (text,) = random_texts(1, rng, letters=400)
    texts = [one_letter_changed(text, rng) for _ in range(300)]

    assert len(clusters(components(300, near_pairs(of_letters(texts))))) == 1


def test_texts_of_one_pattern_are_compared_a_bounded_number_of_times(monkeypatch):
    from fettle.measures import minhash

    compared = []

    def counting(pieces, pairs):
        compared.append(len(pairs))
        return jaccard(pieces, pairs)

    monkeypatch.setattr(minhash, "jaccard", counting)
    rows = 20_000
    texts = [f"customer {row}: where is my order number {row}?" for row in range(rows)]
    near_pairs(of_letters(texts))

    assert sum(compared) < 60 * rows


def test_the_share_of_equal_minima_estimates_resemblance():
    rng = np.random.default_rng(2)
    (text,) = random_texts(1, rng, letters=300)
    other = text[:200] + random_texts(1, rng, letters=100)[0]
    pieces = of_letters([text, other])

    values, _ = sketches(pieces)

    assert abs((values[0] == values[1]).mean() - jaccard(pieces, np.array([[0, 1]]))[0]) < 0.15


def test_no_rows_and_one_row_have_no_pairs():
    assert near_pairs(of_letters([])).shape == (0, 2)
    assert near_pairs(of_letters(["a text"])).shape == (0, 2)


def test_components_follow_chains_to_the_lowest_row():
    label = components(7, np.array([[5, 6], [1, 2], [2, 5], [3, 4]]))

    assert label.tolist() == [0, 1, 1, 3, 3, 1, 1]
    assert clusters(label) == ((1, 2, 5, 6), (3, 4))
    assert clusters(components(3, np.zeros((0, 2), int))) == ()


def test_a_long_chain_is_one_cluster():
    rng = np.random.default_rng(3)
    order = rng.permutation(5000)
    chain = np.stack([order[:-1], order[1:]], axis=1)

    assert set(components(5000, chain).tolist()) == {0}
