"""Affording: what the rest of the budget leaves out, decided once and written down.

It hangs on the clock, so nothing follows from it before it stands in decisions.json: a run that
goes on after a stop reads it there.
"""

from collections.abc import Sequence
from pathlib import Path

from fettle.core.plan import Plan
from fettle.store import files

__all__ = ["left_out"]

SLACK = 1.1
"""A prediction that is off by a tenth leaves nothing out."""


def left_out(
    what: str, needed: float, taken: Sequence[float], plan: Plan, folder: Path
) -> str | None:
    """Why something is left out, in a sentence; None where it fits, or where there is no budget.

    Args:
        what: is to be done.
        needed: seconds that it is predicted to take.
        taken: seconds of all that was done so far.
        plan: with the budget.
        folder: of the run.
    """
    if plan.budget_seconds is None:
        return None
    path = folder / "decisions.json"
    decided: dict[str, str | None] = files.read_json(path) if path.is_file() else {}
    if what in decided:
        return decided[what]
    spent = sum(taken)
    left = max(plan.budget_seconds - spent, 0)
    decided[what] = None if needed <= left * SLACK else (
        f"{what} is left out: it would take about {needed:.0f} s, and {left:.0f} s "
        f"of the budget of {plan.budget_seconds:.0f} s are left after {spent:.0f} s."
    )
    files.write_json(path, decided)
    return decided[what]
