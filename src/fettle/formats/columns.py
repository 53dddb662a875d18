"""Columns: which one is the answer and which ones are read, told or found, with a reason each."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from fettle.core.dataset import Schema
from fettle.core.errors import InputError, unknown_name
from fettle.formats.looks import Look, look

__all__ = ["TARGETS", "find_schema"]

TARGETS = ("label", "labels", "target", "class", "category", "intent", "sentiment", "y", "answer")
"""Names of the column to predict when none is told, the surest first."""


def find_schema(
    table: pa.Table, *, target: str | None, inputs: tuple[str, ...], place: str
) -> Schema:
    """Which column of a table is what.

    Args:
        table: rows that may be learned from; string columns.
        target: the column to predict, if it is told.
        inputs: the columns to read, in their order, if they are told.
        place: the file or table, for the messages.

    Raises:
        UnknownName: a told column does not exist.
        InputError: the target or the inputs cannot be found, or the target is among the inputs.
    """
    for name in (*([target] if target is not None else []), *inputs):
        if name not in table.column_names:
            raise unknown_name("column", name, table.column_names, place=place)
    looks = {name: look(table.column(name)) for name in table.column_names}
    if target is None:
        target, why = _target(looks, inputs, rows=table.num_rows, place=place)
    else:
        why = f"Target: {target!r}, as told."
    reasons = [why]

    others = {name: seen for name, seen in looks.items() if name != target}
    why_not = {name: seen.sentence for name, seen in others.items()}
    if inputs:
        _require_sensible(inputs, target)
        reasons.append(f"Inputs: {_listed(inputs)}, as told.")
        why_not = dict.fromkeys(others, "is not among the inputs that were told")
    else:
        giveaways = _giveaways(table, others, target)
        why = f"gives the answer away: each of its cells always stands with the same {target!r}"
        why_not.update(dict.fromkeys(giveaways, why))
        inputs = _inputs(others, giveaways, place=place)
        reasons.append(f"Inputs: {_listed(inputs)}, {_how(inputs, looks)}.")
    unused = tuple(name for name in others if name not in inputs)
    reasons += [f"Column {name!r} is not read: it {why_not[name]}." for name in unused]
    return Schema(target, inputs, unused, tuple(reasons))


def _target(
    looks: Mapping[str, Look], inputs: Sequence[str], *, rows: int, place: str
) -> tuple[str, str]:
    """The column to predict, and why."""
    free = {name: seen for name, seen in looks.items() if name not in inputs}
    by_name = sorted(
        (name for name in free if name.lower() in TARGETS),
        key=lambda name: TARGETS.index(name.lower()),
    )
    if by_name:
        others = f" ({_listed(by_name[1:])} could be, too)" if by_name[1:] else ""
        return by_name[0], f"Target: {by_name[0]!r}, by its name{others}; --target names another."
    few = [name for name, seen in free.items() if _could_be_labels(seen, rows)]
    if len(few) == 1 and len(looks) > 1:
        count = free[few[0]].distinct
        return few[0], f"Target: {few[0]!r}, the only column with few different cells ({count})."
    guess = f"{_listed(few)} could be." if few else "No column looks like labels."
    raise InputError(
        f"Which column of {place} is to be predicted? {guess} Name it with --target. "
        f"The columns are: {_listed(looks)}."
    )


def _could_be_labels(seen: Look, rows: int) -> bool:
    few = 2 <= seen.distinct <= max(2, rows / 5)
    return few and seen.kind != "date" and not (seen.kind == "text" and seen.words > 3)


def _require_sensible(inputs: Sequence[str], target: str) -> None:
    if target in inputs:
        raise InputError(
            f"Column {target!r} is an input that is the answer. Leave it out of --inputs, or name "
            "another --target."
        )
    if len(set(inputs)) < len(inputs):
        raise InputError(f"--inputs names a column twice: {_listed(inputs)}. Name each once.")


def _inputs(looks: Mapping[str, Look], giveaways: Sequence[str], *, place: str) -> tuple[str, ...]:
    """Every column of text; else the only one that holds letters."""
    texts = [name for name, seen in looks.items() if seen.kind == "text"]
    texts = [name for name in texts if name not in giveaways] or texts
    if texts:
        return tuple(texts)
    words = [name for name, seen in looks.items() if seen.kind == "words"]
    words = words or [name for name, seen in looks.items() if seen.kind == "id"]
    if len(words) == 1:
        return tuple(words)
    what = "; ".join(f"{name!r} {seen.sentence}" for name, seen in list(looks.items())[:20])
    raise InputError(
        f"No column of {place} reads as text{': ' + what if what else ''}. "
        "Name what to read with --inputs."
    )


def _giveaways(table: pa.Table, looks: Mapping[str, Look], target: str) -> list[str]:
    """Short texts that come back again and again, always with the same answer: its other names."""
    answers = table.column(target).to_pylist()
    found = []
    for name, seen in looks.items():
        if seen.kind != "text" or seen.words > 5 or seen.distinct * 5 > seen.filled:
            continue
        cells = table.column(name).to_pylist()
        pairs = {(cell, answer) for cell, answer in zip(cells, answers, strict=True) if cell}
        if len(pairs) == len({cell for cell, _ in pairs}):
            found.append(name)
    return found


def _how(inputs: Sequence[str], looks: Mapping[str, Look]) -> str:
    if any(looks[name].kind != "text" for name in inputs):
        return "the only column that could be text"
    return "every column of text, in file order" if len(inputs) > 1 else "the only column of text"


def _listed(names: Sequence[str] | Mapping[str, Look]) -> str:
    shown = [repr(name) for name in list(names)[:30]]
    return ", ".join(shown) + (", ..." if len(names) > 30 else "")
