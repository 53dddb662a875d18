"""Labelling: rows and what a version makes of them in, those worth a label out; and labels back.

Nothing here decides what a label is: where people differ, the row is named and left out.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from fettle.checks.evidence import same_text
from fettle.checks.resemblance import resemblance
from fettle.core.drift import Portrait
from fettle.core.errors import InputError, SettingError
from fettle.core.labelling import Agreed, Disputed, Labelled, Review, Suggestion, Suggestions, Told
from fettle.measures.agreement import cohen_kappa
from fettle.measures.selecting import entropies, select

__all__ = ["review", "suggest"]

Fields = Sequence[tuple[str, ...]]
NO_LABEL = "[]"
"""In a cell for several labels: that the row has none; an empty cell says nothing."""


def suggest(
    version: str, target: str, names: Sequence[str], ids: Sequence[str], fields: Fields,
    portrait: Portrait, known: Fields, vectors: np.ndarray, *, many: int, seed: int = 0,
    between: str = "|",
) -> Suggestions:
    """Rows to label next: half uncertain, half diverse, and a random fifth that is flagged.

    Args:
        version: whose answers these are.
        target: the column that labels go to.
        names: of the columns that are read.
        ids: one a row.
        fields: what is read of each row.
        portrait: what the version makes of them, its vectors included.
        known: what is read of rows that are labelled already.
        vectors: of a sample of those, float (rows, width).
        many: rows that are asked for.
        seed: of the draw.
        between: what people are to put between the labels of a row, where it may have several.

    Raises:
        SettingError: fewer than five rows are asked for: no fifth of them could be random.
        InputError: every row has a twin that is labelled.
    """
    if many < 5:
        raise SettingError(f"--count is {many}; 5 rows are the fewest of which a fifth is random.")
    assert portrait.embedding is not None, "rows are suggested by their vectors"
    texts = [" ".join(same_text(cell) for cell in row) for row in (*known, *fields)]
    group = resemblance(texts).near
    labelled = set(group[: len(known)].tolist())
    among: list[int] = []
    for row, number in enumerate(group[len(known):].tolist()):
        if number not in labelled and texts[len(known) + row].strip():
            labelled.add(number)
            among.append(row)
    if not among:
        raise InputError(
            f"None of the {len(fields):,} rows is unlike those that {version} has labels of."
        )
    chosen = select(portrait.probabilities, portrait.embedding, vectors, among=among, many=many,
                    rng=np.random.default_rng(seed), doubts=None if portrait.thresholds is None
                    else entropies(portrait.probabilities))
    found = []
    for one in chosen:
        predicted, confidence, labels = _answer(portrait, one.row, between)
        about = Suggestion(
            id=ids[one.row], fields=dict(zip(names, fields[one.row], strict=True)), why=one.why,
            predicted=predicted, confidence=confidence, labels=labels,
        )
        found.append(about if one.why != "random" else replace(
            about, predicted="", confidence=None, labels=()))
    return Suggestions(
        version, target, portrait.classes, tuple(found), len(fields) - len(among),
        None if portrait.thresholds is None else between,
    )


def _answer(
    portrait: Portrait, row: int, between: str
) -> tuple[str, float, tuple[str, ...]]:
    """What the model says of a row, how sure it is, and of several labels which."""
    p = portrait.probabilities[row]
    if portrait.thresholds is None:
        return portrait.classes[int(p.argmax())], float(p.max()), ()
    called = portrait.called[row]
    labels = tuple(portrait.classes[at] for at in np.flatnonzero(called))
    return between.join(labels) or NO_LABEL, float(np.where(called, p, 1 - p).prod()), labels


def review(told: Sequence[Told]) -> Review:
    """What people said, row by row, and how far every two of them agree.

    A row of which people said different things is disputed, and has no label.

    Raises:
        InputError: nobody labelled a row; or one person said two things of one.
    """
    said: dict[str, dict[str, str]] = {}
    about: dict[str, Told] = {}
    for one in told:
        about.setdefault(one.id, one)
        people = said.setdefault(one.id, {})
        if not one.label:
            continue
        if people.setdefault(one.person, one.label) != one.label:
            raise InputError(
                f"{one.person} says both {people[one.person]!r} and {one.label!r} of {one.id}. "
                "Keep one of the two."
            )
    rows, disputed = [], []
    for id, people in said.items():
        if len(set(people.values())) > 1:
            disputed.append(Disputed(id, people))
        elif people:
            first = about[id]
            rows.append(Labelled(id, first.fields, next(iter(people.values())), first.why,
                                 tuple(sorted(people))))
    if not rows and not disputed:
        raise InputError("Nobody has labelled a row yet.")
    unlabelled = sum(not people for people in said.values())
    return Review(tuple(rows), tuple(disputed), _agreements(said), unlabelled)


def _agreements(said: dict[str, dict[str, str]]) -> tuple[Agreed, ...]:
    """Every two people who labelled a row in common."""
    people = sorted({person for one in said.values() for person in one})
    found = []
    for first, second in combinations(people, 2):
        both = [(one[first], one[second]) for one in said.values()
                if first in one and second in one]
        if both:
            one = cohen_kappa(*zip(*both, strict=True))
            known = np.isfinite(one.kappa)
            found.append(Agreed(
                first, second, one.rows, one.agreed, *(
                    (one.kappa, one.low, one.high) if known else (None, None, None)
                )))
    return tuple(found)
