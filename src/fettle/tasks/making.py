"""Making tasks: of a plan, or of what a version's file says."""

from collections.abc import Mapping
from typing import Any

from fettle.core.plan import Plan
from fettle.core.task import Task
from fettle.tasks import TASKS
from fettle.tasks.multi_label import MultiLabel

__all__ = ["opened_task", "task_of", "thresholds_of"]

ASIDE = ("task", "precision", "modality")
"""Facts of a version that are not its task's own."""


def opened_task(facts: Mapping[str, Any]) -> Task:
    """The task of a version, by what its task.json says: its name, and its `facts`.

    Raises:
        KeyError, TypeError, ValueError: these are no facts of a task.
    """
    own = {name: value for name, value in facts.items() if name not in ASIDE}
    return TASKS[facts["task"]](**own)


def thresholds_of(task: Task) -> tuple[float, ...] | None:
    """From which probability on each label is called, where a row may have several; else None."""
    return tuple(map(float, task.thresholds)) if isinstance(task, MultiLabel) else None


def task_of(plan: Plan) -> Task:
    """The task of this plan."""
    return TASKS[plan.task].of_plan(plan)
