import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.measures.label_noise import label_noise


def drawn(rows, classes, sharpness, rng):
    """Probabilities of a calibrated model, and labels drawn from them."""
    outputs = rng.normal(size=(rows, classes)) * sharpness
    probabilities = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    uniform = rng.random((rows, 1))
    return probabilities, (probabilities.cumsum(1) < uniform).sum(1).clip(max=classes - 1)


def flipped(labels, share, classes, rng):
    rows = rng.choice(len(labels), round(share * len(labels)), replace=False)
    wrong = labels.copy()
    wrong[rows] = (labels[rows] + rng.integers(1, classes, len(rows))) % classes
    return wrong, np.isin(np.arange(len(labels)), rows)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("classes", [2, 10])
def test_the_rate_of_planted_errors_is_found_within_its_interval(share, classes):
    rng = np.random.default_rng(0)
    probabilities, labels = drawn(8000, classes, 4.0, rng)
    labels, planted = flipped(labels, share, classes, rng)

    noise = label_noise(probabilities, labels)

    assert noise.low <= share <= noise.high
    assert noise.high - noise.low < 0.05
    truly_wrong = planted[noise.suspects].sum()
    expected = len(noise.suspects) - noise.false_flags
    assert abs(truly_wrong - expected) < 0.1 * len(noise.suspects) + 10


def test_a_doubtful_model_is_no_sign_of_wrong_labels():
    rng = np.random.default_rng(1)
    probabilities, labels = drawn(5000, 5, 1.0, rng)  # right on about half of the rows

    noise = label_noise(probabilities, labels)

    assert noise.low == 0.0
    assert len(noise.suspects) == 0
    assert noise.false_flags == 0.0


def test_right_labels_raise_the_alarm_at_most_once_in_twenty_times():
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        probabilities, labels = drawn(600, 4, 2.0, rng)
        alarms += label_noise(probabilities, labels).low > 0
    assert alarms <= 6  # 60 draws at 5%: more than 6 in 3% of cases


def test_probabilities_that_are_too_flat_are_sharpened_first():
    rng = np.random.default_rng(2)
    probabilities, labels = drawn(5000, 3, 5.0, rng)
    labels, _ = flipped(labels, 0.1, 3, rng)
    flat = probabilities**0.3
    flat /= flat.sum(1, keepdims=True)

    assert label_noise(flat, labels).rate == pytest.approx(
        label_noise(probabilities, labels).rate, abs=0.01
    )


def test_the_ranking_begins_with_the_label_the_model_believes_least():
    probabilities = np.array([[0.9, 0.1], [0.99, 0.01], [0.2, 0.8], [0.5, 0.5]])

    noise = label_noise(probabilities, np.array([0, 1, 0, 0]))

    assert noise.ranking.tolist() == [1, 2, 3, 0]
    assert noise.likely.tolist() == [1, 0, 1, 1]


def test_a_zero_probability_is_no_accident():
    noise = label_noise(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1]))
    assert np.isfinite(noise.loss)
    assert np.isfinite(noise.wrong).all()


def test_one_label_a_row_and_two_classes_are_needed():
    with pytest.raises(ShapeError, match="one label"):
        label_noise(np.ones((3, 2)) / 2, np.array([0, 1]))
    with pytest.raises(ShapeError, match="two classes"):
        label_noise(np.ones((3, 1)), np.array([0, 0, 0]))
