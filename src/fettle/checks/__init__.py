"""The checks, in the order in which they look. To add one: write its file, add its line.

The order matters: what a check leaves out of fitting, later checks do not count.
"""

from collections.abc import Callable

from fettle.checks.answer import answer
from fettle.checks.balance import balance
from fettle.checks.characters import characters
from fettle.checks.company import company
from fettle.checks.conflicts import conflicts
from fettle.checks.coverage import coverage
from fettle.checks.disagreements import disagreements
from fettle.checks.duplicates import duplicates
from fettle.checks.evidence import Evidence, Found
from fettle.checks.extremes import extremes
from fettle.checks.foretold import foretold
from fettle.checks.label_errors import label_errors
from fettle.checks.leaks import leaks
from fettle.checks.lengths import lengths
from fettle.checks.looks import looks
from fettle.checks.missing import missing
from fettle.checks.near import near
from fettle.checks.near_features import near_features
from fettle.checks.not_numbers import not_numbers
from fettle.checks.one_class import one_class
from fettle.checks.order import order
from fettle.checks.outliers import outliers
from fettle.checks.small_classes import small_classes
from fettle.checks.surprising import surprising
from fettle.checks.telltales import telltales
from fettle.checks.unseen import unseen
from fettle.checks.variants import variants

__all__ = ["AFTERWARDS", "CHECKS", "CHECKS_OF", "DEEP_CHECKS", "NOT_FOR"]

CHECKS: dict[str, Callable[[Evidence], Found]] = {
    "not_numbers": not_numbers,
    "missing": missing,
    "variants": variants,
    "duplicates": duplicates,
    "near": near,
    "conflicts": conflicts,
    "disagreements": disagreements,
    "leaks": leaks,
    "answer": answer,
    "foretold": foretold,
    "telltales": telltales,
    "extremes": extremes,
    "one_class": one_class,
    "small_classes": small_classes,
    "balance": balance,
    "company": company,
    "unseen": unseen,
    "coverage": coverage,
    "order": order,
    "characters": characters,
    "lengths": lengths,
}

OF_TEXTS = ("answer", "telltales", "characters", "lengths")
"""Those that read words."""

CHECKS_OF: dict[str, dict[str, Callable[[Evidence], Found]]] = {
    "text": CHECKS,
    "image": {
        **{name: check for name, check in CHECKS.items() if name not in OF_TEXTS},
        "looks": looks,
    },
}
"""By what the inputs hold."""
NOT_FOR: dict[str, frozenset[str]] = {
    "classification": frozenset((
        "not_numbers", "disagreements", "foretold", "extremes", "surprising",
    )),
    "multi-label": frozenset((
        "not_numbers", "disagreements", "foretold", "extremes", "surprising", "label_errors",
    )),
    "regression": frozenset((
        "company", "variants", "conflicts", "answer", "one_class", "small_classes", "balance",
        "unseen", "coverage", "label_errors",
    )),
}
"""By task: checks that make no sense for it."""

DEEP_CHECKS: dict[str, Callable[[Evidence], Found]] = {
    "label_errors": label_errors,
    "surprising": surprising,
    "outliers": outliers,
}
"""What needs the features of a frozen encoder."""

AFTERWARDS: dict[str, Callable[[Evidence], Found]] = {
    "near_features": near_features,
    **DEEP_CHECKS,
}
"""What looks once a run has computed the features of its rows; none of it stops anything."""
