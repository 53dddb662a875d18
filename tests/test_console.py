"""What a person sees in a terminal while rungs are climbed, and what stands in a log."""

import io

import pytest
from rich.console import Console

from fettle import console
from fettle.core.progress import Note, Progress
from fettle.core.run import Epoch
from nouns import story


@pytest.fixture
def drawn(monkeypatch):
    made = Console(file=io.StringIO(), width=100, color_system=None, soft_wrap=True)
    monkeypatch.setattr(console, "ERRORS", made)
    return made


def frame(watcher, drawn):
    """What a terminal shows below the lines that stand, without its blanks."""
    with drawn.capture() as seen:
        drawn.print(watcher.below)
    return [" ".join(line.split()) for line in seen.get().splitlines() if line.strip()]


def test_the_rungs_stand_below_with_what_was_predicted_and_what_came(drawn):
    told = story()
    watcher = console.Watcher()
    assert frame(watcher, drawn) == []
    watcher.show(told.plan)
    first, second, *_ = told.run.rungs
    names = [cost.rung for cost in told.plan.predicted]
    assert [line.split()[0] for line in frame(watcher, drawn)] == ["rung", *names]
    assert "under way" in frame(watcher, drawn)[1]
    watcher.show(first)
    line = frame(watcher, drawn)[1]
    assert line.startswith(f"{first.name} done {first.seconds:.0f} ")
    assert str(first.validation) in line
    watcher.show(Epoch(2, 0.5, 0.4, 0.875, 3.0))
    assert "epoch 2 done" in frame(watcher, drawn)[2]
    assert "0.875 so far" in frame(watcher, drawn)[2]
    assert second.name in frame(watcher, drawn)[2]
    watcher.show(Progress("train full", 3, 10, "steps"))
    assert "3/10 steps" in frame(watcher, drawn)[-1]
    watcher.show(told.run)
    assert not any(line.startswith("features") for line in frame(watcher, drawn))


def test_a_rung_that_the_budget_left_out_is_said_to_be_and_the_next_one_is_under_way(drawn):
    told = story()
    watcher = console.Watcher()
    watcher.show(told.plan)
    first, second, third, *_ = [cost.rung for cost in told.plan.predicted]
    watcher.show(told.run.rungs[0])
    watcher.show(Note(f"{second} is left out: so.", left_out=second))
    lines = frame(watcher, drawn)[1:4]
    assert [line.split()[0] for line in lines] == [first, second, third]
    assert f"{second} left out" in lines[1]
    assert f"{third} under way" in lines[2]
    watcher.show(told.plan)
    assert f"{first} under way" in frame(watcher, drawn)[1]


def test_a_log_holds_lines_and_no_table(drawn):
    told = story()
    with console.Watcher() as watcher:
        watcher.show(told.plan)
        watcher.show(told.run.rungs[0])
    lines = drawn.file.getvalue().splitlines()
    assert len(lines) == 1 + len([r for r in told.plan.reasons if "of the budget" in r]) + 1
    assert not any("waits" in line for line in lines)
