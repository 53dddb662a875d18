"""Variants: labels that look like another spelling of a commoner label.

Two labels are one when they differ only in Unicode form, case, spaces, hyphens, underscores or
punctuation at the ends; or by at most two letters where one is rare. Nothing is merged: the
rows of the rarer spelling are left out of fitting until somebody says which is meant.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import LeftOut, Severity
from fettle.core.fixes import Action, Proposal
from fettle.core.labels import packed

__all__ = ["variants"]

_FEWER_ROWS = 5
_SMALLER_SHARE = 0.1
_LETTERS = 5
_EDITS = 2
_BUCKETS = 64
_MOST_PAIRS = 2_000_000
"""A target with more pairs of rare and common labels is no set of classes; seconds' work."""
_JOINTS = re.compile(r"(?<=\w)[\s_\-]+(?=\w)|_+")
_ENDS = " \t\n\r.,;:!?'\"`“”‘’()[]"
_OPPOSITES = (
    *(("", prefix) for prefix in ("a", "ab", "an", "de", "il", "im", "in", "ir", "no", "un")),
    ("in", "de"), ("in", "ex"), ("im", "ex"), ("as", "des"), ("hyper", "hypo"),
    ("inter", "intra"), ("macro", "micro"), ("ma", "pa"), ("up", "un"), ("pre", "re"),
)  # fmt: skip
"""Beginnings that turn a word into another of a different meaning within two letters."""


def variants(evidence: Evidence) -> Found:
    """One warning that lists every rarer spelling, its rows, and the spelling to use."""
    learning = [*evidence.train_rows, *evidence.validation_rows]
    here = evidence.class_counts([*learning, *evidence.test_rows])
    taught = evidence.class_counts(evidence.train_rows)
    usual = _usual_spellings(list(here), taught, evidence.class_counts(learning))
    if not usual:
        return Found()
    rows_of: dict[str, list[int]] = {label: [] for label in usual}
    for row in learning:
        label = next((one for one in evidence.labels_of(row) if one in usual), None)
        if label is not None:
            rows_of[label].append(row)
    tests = [row for row in evidence.test_rows
             if any(one in usual for one in evidence.labels_of(row))]
    left = [row for rows in rows_of.values() for row in rows]
    why = {
        label: f"the label {quoted(label)} may be another spelling of {quoted(commoner)}"
        for label, commoner in usual.items()
    }
    labels = {row: next(one for one in evidence.labels_of(row) if one in usual)
              for row in left + tests}
    said = _said(usual, here, left, tests)
    return Found(
        (finding(evidence, "variants", Severity.WARN, left + tests, said),),
        tuple(
            LeftOut("variants", why[label], tuple(rows)) for label, rows in rows_of.items() if rows
        ),
        tuple(
            Proposal(row, Action.MERGE, _mended(evidence, row, usual), why[label], "variants")
            for row, label in labels.items()
        ),
    )


def _mended(evidence: Evidence, row: int, usual: Mapping[str, str]) -> str:
    """The answer of a row with every label in its usual spelling."""
    labels = [usual.get(one, one) for one in evidence.labels_of(row)]
    return packed(labels) if evidence.several else labels[0]


def _said(
    usual: dict[str, str], here: Counter[str], left: list[int], tests: list[int]
) -> tuple[str, str]:
    named = [
        f"{quoted(label)} ({here[label]:,}) for {quoted(commoner)} ({here[commoner]:,})"
        for label, commoner in usual.items()
    ]
    sentence = (
        f"{counted(len(usual), 'label looks', 'labels look')} like another spelling of a "
        f"commoner one: {listed(named)}."
    )
    where = f"{counted(len(left), 'row')} left out of fitting"
    if tests:
        where += f", and {counted(len(tests), 'test row')} left as given"
    change = [f"{quoted(label)} to {quoted(commoner)}" for label, commoner in usual.items()]
    remedy = (
        f"{where}. If they mean the same, change {listed(change, most=5)}; if not, "
        "give them names that differ more."
    )
    return sentence, remedy


def _usual_spellings(
    labels: list[str], taught: Counter[str], learning: Counter[str]
) -> dict[str, str]:
    """From each label that looks like a commoner one to that one.

    The usual spelling is the one with the most training rows, so that no test row has a say.
    """
    families: dict[str, list[str]] = {}
    for label in labels:
        families.setdefault(_folded(label), []).append(label)
    usual: dict[str, str] = {}
    heads: dict[str, str] = {}
    for form, family in families.items():
        head = max(family, key=lambda label: (taught[label], label))
        if taught[head]:
            heads[form] = head
            usual.update({label: head for label in family if label != head})
    for rare, form in _typos(heads, taught, learning):
        usual[heads[rare]] = heads[form]
    # A spelling of a spelling points at the end of the chain.
    return {label: usual.get(head, head) for label, head in usual.items()}


def _folded(label: str) -> str:
    """A form that spellings of one label share; never empty, and signs of numbers stay."""
    plain = unicodedata.normalize("NFKC", label).casefold()
    joined = " ".join(_JOINTS.sub(" ", plain).split())
    return joined.strip(_ENDS) or joined or label


def _typos(
    heads: dict[str, str], taught: Counter[str], learning: Counter[str]
) -> Iterator[tuple[str, str]]:
    """(rare form, common form) within two letters; each rare form once, with its commonest."""
    forms = [form for form in heads if len(form) >= _LETTERS]
    rows = {form: taught[heads[form]] for form in forms}
    rares = [form for form in forms if learning[heads[form]] < _FEWER_ROWS]
    commons = [form for form in forms if _SMALLER_SHARE * rows[form] >= 1]
    if not rares or not commons or len(rares) * len(commons) > _MOST_PAIRS:
        return
    letters = np.stack([_letters(form) for form in commons])  # (labels, buckets)
    for rare in rares:
        near = np.abs(letters - _letters(rare)).sum(1) <= 2 * _EDITS
        close = [
            commons[number]
            for number in np.flatnonzero(near)
            if rows[rare] <= _SMALLER_SHARE * rows[commons[number]]
        ]
        close = [form for form in close if _is_typo(rare, form)]
        if close:
            yield rare, max(close, key=lambda form: (rows[form], form))


def _letters(form: str) -> np.ndarray:
    """How often each letter occurs, in 64 buckets: one edit changes at most two of them by 1."""
    codes = np.frombuffer(form.encode("utf-32-le"), dtype=np.uint32) % _BUCKETS
    return np.bincount(codes, minlength=_BUCKETS)


def _is_typo(one: str, other: str) -> bool:
    """Two letters apart at most, with the same digits, and not opposites such as a- or un-."""
    if re.sub(r"\D", "", one) != re.sub(r"\D", "", other):
        return False
    words = list(zip(one.split(), other.split(), strict=False))
    if any(_opposite(a, b) or _opposite(b, a) for a, b in words):
        return False
    return _edits(one, other) <= _EDITS


def _opposite(one: str, other: str) -> bool:
    return one != other and any(
        one.startswith(first)
        and other.startswith(second)
        and one[len(first) :] == other[len(second) :]
        for first, second in _OPPOSITES
    )


def _edits(one: str, other: str) -> int:
    """The Levenshtein distance: letters put in, taken out or changed."""
    line = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        above, line[0] = line[0], row
        for column, against in enumerate(other, start=1):
            cost = min(line[column] + 1, line[column - 1] + 1, above + (letter != against))
            above, line[column] = line[column], cost
    return line[-1]
