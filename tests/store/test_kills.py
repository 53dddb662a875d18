"""Killed at every operation, full at every operation: the registry is old or new, never between."""

import os
import signal
import sys

import pytest

from fettle.core.errors import StoreError
from fettle.store import failpoints, files
from fettle.store.collecting import collect
from fettle.store.inspecting import inspect
from store.test_upkeep import age

MOST = 400
"""Operations of one action; more means that the failpoint is never passed."""


@pytest.fixture
def registry(place, tmp_path):
    registry = place.open()
    for number in range(1, 4):
        publish(registry, tmp_path / "made", number)
    return registry


def publish(registry, folder, number):
    files.write_text(folder / "weights", f"of {number} " * 50)
    files.write_text(folder / "deep" / "plan.json", f"plan {number}")
    return registry.publish("m", folder, {"n": number}, identity=str(number))[0]


def promote(registry, _, number):
    seen = registry.pointers("m")["champion"]
    registry.move("m", 1 + number % 3, seen=seen, event="promote", reason="better")


def roll_back(registry, _, __):
    pointers = registry.pointers("m")
    registry.move("m", pointers["previous"].number, seen=pointers["champion"], event="rollback")


def gc(registry, _, __):
    collect(registry, keep=0, grace_days=0)


def state(registry):
    """All that a reader can see."""
    return (
        registry.versions(), registry.pointers("m") if registry.versions() else {},
        [(e.event, e.detail) for e in registry.history()],
    )


def befallen(failpoint, act):
    """Run this in a process of its own in which the failpoint is armed; its exit status."""
    child = os.fork()
    if not child:
        try:
            failpoints.arm(failpoint)
            act()
        except StoreError:
            os._exit(2)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def moves(action, registry, number):
    """Something for the action to do, whatever came before."""
    if action is promote and registry.pointers("m")["champion"].number == 1 + number % 3:
        return number + 1
    if action is roll_back and "previous" not in registry.pointers("m"):
        promote(registry, None, 1)
    return number


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "kill-after", "torn", "enospc", "eio"])
@pytest.mark.parametrize("action", [publish, promote, roll_back], ids=lambda one: one.__name__)
def test_the_registry_is_old_or_new_whatever_befalls_an_operation(
    registry, tmp_path, action, kind
):
    changed = unchanged = 0
    for at in range(1, MOST):
        number = moves(action, registry, 10 + at)
        events, before = len(registry.history()), state(registry)
        code = befallen(
            f"{kind}@{at}", lambda number=number: action(registry, tmp_path / "made", number)
        )
        assert code in (0, 2, -signal.SIGKILL)
        found = inspect(registry)
        assert found.problems == (), (at, found.problems)
        added = len(registry.history()) - events
        assert added in (0, 2 if action is publish else 1), "half of what belongs together"
        if not added:
            assert state(registry) == before
        assert added or code, "it ended well and did nothing"
        changed, unchanged = changed + bool(added), unchanged + (not added)
        if code == 0:
            break
    else:
        raise AssertionError("the failpoint was never passed")
    assert unchanged > 3
    assert changed
    again = 10 + at + 1
    publish(registry, tmp_path / "made", again)
    assert publish(registry, tmp_path / "made", again) == len(registry.versions("m"))
    assert inspect(registry).problems == ()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "kill-after", "enospc", "eio"])
def test_what_is_needed_stays_whatever_befalls_gc(registry, tmp_path, kind):
    passed = 0
    for at in range(1, MOST):
        publish(registry, tmp_path / "made", 100 + 2 * at)
        publish(registry, tmp_path / "made", 101 + 2 * at)
        age(registry)
        code = befallen(f"{kind}@{at}", lambda: gc(registry, None, None))
        assert code in (0, 2, -signal.SIGKILL)
        assert inspect(registry).problems == ()
        for pointer in ("champion", "challenger"):
            assert registry.paths(registry.find(f"m@{pointer}")[2])
        if code == 0:
            break
        passed += 1
        gc(registry, None, None)
        assert inspect(registry).notes == (), "what a kill left behind is collected by the next"
    else:
        raise AssertionError("the failpoint was never passed")
    assert passed > 5
