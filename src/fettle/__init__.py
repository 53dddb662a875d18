"""fettle: from a pre-trained model and labelled rows to a model that is fit for that job.

The verbs and their nouns, resolved only when they are used, so that importing fettle is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fettle.api import (
        audit,
        collect,
        evaluate,
        history,
        plan,
        predict,
        promote,
        retrain,
        rollback,
        tune,
        verify,
        versions,
        watch,
    )
    from fettle.core.audit import Audit, Finding
    from fettle.core.dataset import Dataset
    from fettle.core.drift import Drift
    from fettle.core.errors import FettleError
    from fettle.core.evaluation import Evaluation
    from fettle.core.plan import Plan
    from fettle.core.rebuilt import Rebuilt
    from fettle.core.score import Score
    from fettle.core.version import Prediction, Verdict, Version

__all__ = [
    "Audit",
    "Dataset",
    "Drift",
    "Evaluation",
    "FettleError",
    "Finding",
    "Plan",
    "Prediction",
    "Rebuilt",
    "Score",
    "Verdict",
    "Version",
    "audit",
    "collect",
    "evaluate",
    "history",
    "plan",
    "predict",
    "promote",
    "retrain",
    "rollback",
    "tune",
    "verify",
    "versions",
    "watch",
]

_HOMES = {
    "fettle.api": (
        "audit", "collect", "evaluate", "history", "plan", "predict", "promote", "retrain",
        "rollback", "tune", "verify", "versions", "watch",
    ),
    "fettle.core.audit": ("Audit", "Finding"),
    "fettle.core.dataset": ("Dataset",),
    "fettle.core.drift": ("Drift",),
    "fettle.core.errors": ("FettleError",),
    "fettle.core.evaluation": ("Evaluation", "Score"),
    "fettle.core.plan": ("Plan",),
    "fettle.core.rebuilt": ("Rebuilt",),
    "fettle.core.version": ("Prediction", "Verdict", "Version"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"fettle has no {name!r}")
