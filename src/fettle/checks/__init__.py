"""The checks, in the order in which they look. To add one: write its file, add its line.

The order matters: what a check leaves out of fitting, later checks do not count.
"""

from collections.abc import Callable

from fettle.checks.answer import answer
from fettle.checks.balance import balance
from fettle.checks.conflicts import conflicts
from fettle.checks.duplicates import duplicates
from fettle.checks.evidence import Evidence, Found
from fettle.checks.leaks import leaks
from fettle.checks.missing import missing
from fettle.checks.near import near
from fettle.checks.one_class import one_class
from fettle.checks.small_classes import small_classes
from fettle.checks.unseen import unseen
from fettle.checks.variants import variants

__all__ = ["CHECKS"]

CHECKS: dict[str, Callable[[Evidence], Found]] = {
    "missing": missing,
    "variants": variants,
    "duplicates": duplicates,
    "near": near,
    "conflicts": conflicts,
    "leaks": leaks,
    "answer": answer,
    "one_class": one_class,
    "small_classes": small_classes,
    "balance": balance,
    "unseen": unseen,
}
