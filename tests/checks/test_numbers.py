"""Checks of a target that is a number."""

from dataclasses import replace

import numpy as np
import pytest

from fettle.checks.disagreements import disagreements
from fettle.checks.evidence import look
from fettle.checks.extremes import extremes
from fettle.checks.foretold import foretold
from fettle.core.audit import Severity

from .given import dataset

NUMBERS = [f"{one:.2f}" for one in np.random.default_rng(0).normal(100, 10, size=200)]


def evidence(numbers, texts=None, *, read=(), **more):
    """Rows whose target is a number; of the further columns, those in `read` are inputs."""
    given = dataset(numbers, texts, **more)
    unused = tuple(name for name in more if name not in read)
    schema = replace(given.schema, inputs=("text", *read), unused=unused, task="regression")
    return look(replace(given, schema=schema))


def test_a_number_far_beyond_all_others_is_named():
    (found,) = extremes(evidence([*NUMBERS, "9999"])).findings
    assert (found.severity, found.count) == (Severity.WARN, 1)
    assert found.rows == ("t.csv:202",)
    assert "t.csv:202 (9999)" in found.sentence
    assert "Mend slips" in found.remedy


def test_numbers_that_lean_to_one_side_are_no_slips():
    prices = np.random.default_rng(1).lognormal(3, 1.2, size=600)
    (found,) = extremes(evidence([f"{one:.2f}" for one in prices])).findings
    assert found.count > 6
    assert "logarithm" in found.remedy
    assert "slips of the unit" not in found.remedy
    both = np.random.default_rng(2).standard_t(1.5, size=600)
    for centre, why in ((0, "some lie below zero"), (100_000, "they lie on both sides")):
        (found,) = extremes(evidence([f"{one + centre:.2f}" for one in both])).findings
        assert "slips of the unit" in found.remedy, why


def test_numbers_without_a_spread_or_too_few_have_no_extremes():
    assert extremes(evidence(["5"] * 60 + ["900"])).findings == ()
    assert extremes(evidence(["1", "2", "900"])).findings == ()
    assert extremes(evidence(NUMBERS)).findings == ()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_column_that_follows_the_target_stops_where_it_is_read_and_is_told_where_not(sign):
    cents = [f"{sign * 100 * float(one):.0f}" for one in NUMBERS]
    (found,) = foretold(evidence(NUMBERS, cents=cents, read=("cents",))).findings
    assert (found.check, found.severity, found.count) == ("foretold", Severity.BLOCKER, 200)
    assert ("rises and falls with" if sign > 0 else "falls where the target rises") in (
        found.sentence)
    (found,) = foretold(evidence(NUMBERS, cents=cents)).findings
    assert found.severity is Severity.NOTE


def test_a_column_that_says_something_of_the_target_is_no_leak():
    rng = np.random.default_rng(3)
    near = [f"{float(one) + rng.normal(0, 5):.2f}" for one in NUMBERS]
    assert foretold(evidence(NUMBERS, near=near, read=("near",))).findings == ()
    few = [one if row < 49 else "" for row, one in enumerate(NUMBERS)]
    assert foretold(evidence(NUMBERS, few=few)).findings == ()


def test_texts_with_numbers_far_apart_are_a_warning_and_close_ones_a_note():
    texts = [f"text {row // 2}" for row in range(200)]
    same = [NUMBERS[2 * (row // 2)] for row in range(200)]
    assert disagreements(evidence(same, texts)).findings == ()
    close = [*same[:-1], f"{float(same[-1]) + 0.5:.2f}"]
    (found,) = disagreements(evidence(close, texts)).findings
    assert (found.severity, found.count) == (Severity.NOTE, 2)
    far = [*same[:-1], f"{float(same[-1]) + 50:.2f}"]
    (found,) = disagreements(evidence(far, texts)).findings
    assert found.severity is Severity.WARN
    assert "1 text with more than one number, in 2 rows" in found.sentence
