"""Processes of their own, forked from one that has torch and fettle in memory: quick to start."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from typing import Any

from stories import FEWEST

WARM = (
    "torch", "torch.distributed", "tokenizers", "pyarrow", "fettle.stages.auditing",
    "fettle.stages.planning", "fettle.stages.reading", "fettle.stages.splitting",
    "fettle.stages.training", "sklearn.linear_model", "scipy.optimize",
)


def started(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """A process that runs this function of a test module, started and not waited for."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(WARM))
    process = context.Process(target=_with_small_stories, args=(target, *arguments), daemon=True)
    process.start()
    return process


def _with_small_stories(target: Callable[..., None], *arguments: Any) -> None:
    """As conftest has it in the process of the tests."""
    from fettle.stages import splitting

    splitting.FEWEST_FOR_VALIDATION = FEWEST
    target(*arguments)
