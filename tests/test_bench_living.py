"""What the measurements of a version in production compute, without measuring anything."""

from contextlib import contextmanager

import numpy as np
import pytest

import drift
import serve


class Holds:
    """A side that holds so many requests a second."""

    name = "fettle"

    def __init__(self, most):
        self.most, self.asked = most, []

    @contextmanager
    def running(self, folder):
        yield self

    def load(self, rate, seconds):
        self.asked.append(rate)
        late = rate > self.most
        return {"statuses": {"200": 9} if rate <= 2 * self.most else {"200": 8, "503": 1},
                "p50": 0.01, "p95": 1.0 if late else 0.05, "p99": 1.0, "answered_a_second": rate,
                "processor_ms": 5.0}


def test_the_highest_rate_that_holds_is_found_to_six_hundredths():
    for most in (25, 137, 400):
        rate, found = serve.highest(Holds(most), 0.1, 1.0)
        assert most * (1 - 1 / 16) <= rate <= most
        assert found["p95"] == 0.05
    assert serve.highest(Holds(0.5), 0.1, 1.0)[1] == {}


def test_the_figures_of_a_side_are_those_of_its_middle_search(tmp_path):
    found = serve.rates([Holds(137)], tmp_path, 0.1, 1.0, 3)
    assert 128 <= found["fettle_requests_a_second"] <= 137
    assert found["fettle_p95_seconds"] == 0.05
    assert serve.rates([Holds(0.5)], tmp_path, 0.1, 1.0, 1) == {"fettle_requests_a_second": 0.0}


def test_fettle_is_held_against_the_best_of_the_others_once_both_are_measured():
    figures = {"fettle_requests_a_second": 300.0}
    assert serve.compared(figures) == {}
    figures |= {"pipeline_requests_a_second": 50.0, "pipeline_batched_requests_a_second": 75.0}
    assert serve.compared(figures) == {"throughput_ratio": 4.0}
    assert serve.compared({**figures, "fettle_requests_a_second": 0.0}) == {}


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return {"a": rng.normal(size=2000), "class": rng.choice(["up", "down"], 2000)}


def test_windows_without_drift_are_counted_and_the_first_are_written_for_the_other_side(
    table, tmp_path
):
    found = drift.without_drift("electricity", drift.of_table(table), 9, 2, tmp_path)
    assert (found["watches"], found["watches_with_rows_enough"]) == (9, 9)
    assert found["false_alarms"] <= 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["0-current.csv", "0-reference.csv", "1-current.csv", "1-reference.csv"]
    lines = (tmp_path / "0-current.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == ("a,class", 1 + drift.WINDOWS[0])


def test_a_table_that_has_moved_alarms_and_one_too_short_says_nothing(table):
    moved = {**table, "a": np.where(np.arange(2000) < 1000, table["a"], table["a"] + 2)}
    cut = drift.of_table(moved)
    before, after = np.arange(1000), np.arange(1000, 2000)
    assert cut.watch(before, after, 0) is True
    assert cut.watch(before, after[:20], 0) is None
