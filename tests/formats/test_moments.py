from datetime import UTC, datetime

import numpy as np
import pytest

from fettle.formats.moments import seconds


def at(*when):
    return datetime(*when, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2024-03-31", "2024-04-01T14:05:00"], [at(2024, 3, 31), at(2024, 4, 1, 14, 5)]),
        (["2024-03-31T02:00:00+02:00", "2024-03-31Z"[:10]], [at(2024, 3, 31), at(2024, 3, 31)]),
        (["31.03.2024", "1.4.2024 14:05"], [at(2024, 3, 31), at(2024, 4, 1, 14, 5)]),
        (["31 Mar 2024", "Mar 31, 2024"], [at(2024, 3, 31), at(2024, 3, 31)]),
        (["Sun, 31 Mar 2024 14:05:00 +0200"], [at(2024, 3, 31, 12, 5)]),
        (["1999", "2001.5", "-3"], [1999, 2001.5, -3]),
        (["2024-03", "2024-04"], [at(2024, 3, 1), at(2024, 4, 1)]),
    ],
)
def test_dates_are_read_in_the_ways_that_people_write_them(cells, expected):
    when, is_ambiguous = seconds(cells)
    assert when.tolist() == expected
    assert not is_ambiguous


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["03/04/2024", "31/03/2024"], [at(2024, 4, 3), at(2024, 3, 31)]),
        (["03/04/2024", "03/31/2024"], [at(2024, 3, 4), at(2024, 3, 31)]),
    ],
)
def test_one_cell_that_settles_it_decides_day_or_month_for_the_column(cells, expected):
    when, is_ambiguous = seconds(cells)
    assert when.tolist() == expected
    assert not is_ambiguous


def test_days_and_months_that_cannot_be_told_apart_are_said():
    assert seconds(["03/04/2024", "05/06/2024"])[1]
    assert not seconds(["04/04/2024", "05/05/2024"])[1]  # both ways are the same day


def test_a_cell_that_cannot_be_read_like_the_others_is_nan():
    when, _ = seconds(["2024-03-31", "soon", "", None, "2024-04-01", "nan", "2024-13-01"])
    assert np.isnan(when).tolist() == [False, True, True, True, False, True, True]
