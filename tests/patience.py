"""Patience: how tests wait, and how they count what something costs, on a machine that is busy.

No test is told by a clock. What is waited for is an event; a limit only keeps a test that hangs
from hanging for ever, and is far beyond what any load makes of it.
"""

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

PATIENCE = 600.0
"""Seconds after which something that did not happen will not."""


def until(holds: Callable[[], object], said: Callable[[], str] = str) -> None:
    """Wait until this holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"it does not become so; {said()}"
        time.sleep(0.01)


def calls(act: Callable[[], object]) -> int:
    """How many functions this calls, Python's own and others: what it costs by a clock that no
    other process can slow down."""
    count = 0

    def called(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count
