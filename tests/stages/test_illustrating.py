"""Illustrating: what a map of a picture says of its answer."""

import numpy as np
import pytest

from fettle.stages import illustrating


@pytest.mark.parametrize(("said", "expected"), [
    ([[1.0, 3.0], [1.0, 2.0], [9.0, 3.5], [0.0, 3.0]], [1.0, 0.0, 0.0]),
    ([[2.0], [1.5], [2.75], [2.0]], [0.5, 0.75, 0.0]),
], ids=["a class: only what falls", "a number: what changes"])
def test_a_square_counts_by_what_the_answer_loses_without_it(said, expected):
    """By hand: the answer is the second class, 3.0; or the number 2.0."""
    assert illustrating._hung(np.array(said)).tolist() == expected
