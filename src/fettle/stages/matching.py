"""Matching: labels that people gave, and the answers they are about, in; a Feedback out.

A label belongs to an answer by the prediction's id alone. Giving a file twice enters it once, and
labels that contradict each other are all kept. Nothing here opens a file.
"""

import datetime
from collections import Counter
from collections.abc import Mapping

from fettle.core.dataset import Dataset
from fettle.core.journal import Answered, Feedback, Label, Labels
from fettle.core.labelling import people_of
from fettle.core.labels import unpacked

__all__ = ["match"]


def match(
    rows: Dataset, answers: Mapping[str, Answered], before: Labels, *,
    classes: Mapping[str, frozenset[str]], audit: bool, at: datetime.datetime,
    several: bool = False,
) -> Feedback:
    """What is to be entered, and what is not, and why.

    Args:
        rows: whose one input column holds ids of predictions, and whose target the labels; a
            column `person` says who gave them.
        answers: that were given, by id; at least those that the rows name.
        before: labels that were entered earlier.
        classes: that a label of an answer of this version must be one of; a version that is not
            named takes every label.
        audit: whether this is what the random audit stream was labelled with.
        at: now.
        several: whether a row may have several labels: the labels are cells of core.labels then,
            and each of them must be known.
    """
    source = "audit" if audit else "user"
    said = {(one.id, one.label, one.source, one.by) for one in before.labels}
    people = people_of(rows) or [""] * rows.rows
    entered: list[Label] = []
    unknown: dict[str, None] = {}
    unaudited: dict[str, None] = {}
    strange: Counter[str] = Counter()
    empty: list[str] = []
    known = 0
    for place, (id,), label, by in zip(
        rows.ids, rows.fields(), rows.targets(), people, strict=True
    ):
        id = id.strip()
        answer = answers.get(id)
        if not id or not label:
            empty.append(place)
        elif answer is None:
            unknown[id] = None
        elif audit and answer.stream != "audit":
            unaudited[id] = None
        elif unknown_labels := _strange(label, classes.get(answer.version), several=several):
            strange.update(unknown_labels)
        elif (id, label, source, by) in said:
            known += 1
        else:
            said.add((id, label, source, by))
            entered.append(Label(id, label, at, source, by))
    ids = {fields[0].strip() for fields in rows.fields()}
    whole = Labels((*before.labels, *entered), ())
    return Feedback(
        entered=tuple(entered), known=known, unknown=tuple(unknown), strange=dict(strange),
        unaudited=tuple(unaudited), empty=tuple(empty),
        contradicted={id: said for id, said in whole.contradicted.items() if id in ids},
    )


def _strange(label: str, known: frozenset[str] | None, *, several: bool) -> list[str]:
    """What was said that the version does not know."""
    given = unpacked(label) if several else (label,)
    return [one for one in given if known is not None and one not in known]
