"""Comparing: two finished runs in, what changed between them and what came of it out.

Both must have been judged on the same test rows; nothing is computed anew, and no row is read.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from fettle.core.audit import Audit
from fettle.core.compared import Change, Compared, Turned
from fettle.core.errors import InputError
from fettle.core.evaluation import Evaluation
from fettle.core.plan import Plan
from fettle.core.run import Run
from fettle.core.score import Comparison
from fettle.core.split import Split
from fettle.core.task import Judge
from fettle.core.version import Version
from fettle.measures import classification, judging, paired
from fettle.measures.groups import together
from fettle.pages.compared import compared as page_of
from fettle.store import arrow, files, records
from fettle.store.answers import kept_answers
from fettle.tasks.making import task_of

__all__ = ["compare", "write"]

Noun = TypeVar("Noun")
ASIDE = frozenset(("reasons", "predicted", "name", "asked"))
"""Of a plan: what says nothing of what was done."""
SHOWN = 100
"""Rows of one kind that are named."""


def compare(first: Path, second: Path) -> Compared:
    """The second run against the first, paired by test row.

    Args:
        first, second: folders of finished runs.

    Raises:
        InputError: a folder holds no finished run, or one that is being judged anew; or the two
            were judged on different test rows.
        StoreError: a run's answers to the test rows are not there.
    """
    evaluations = [_held(folder, "evaluation.json", Evaluation) for folder in (first, second)]
    if evaluations[0].test != evaluations[1].test:
        raise InputError(
            f"{first} was judged on test rows {evaluations[0].test[:12]}..., {second} on "
            f"{evaluations[1].test[:12]}...: rows that differ cannot be paired. Give both runs the "
            "same data and seed, or the same --test file."
        )
    for folder, one in zip((first, second), evaluations, strict=True):
        _require_whole(folder, one)
    judges = [task_of(_held(folder, "plan.json", Plan)).of(made).judge
              for folder, made in zip((first, second), evaluations, strict=True)]
    if type(judges[0]) is not type(judges[1]):
        raise InputError(f"{first} and {second} answer different tasks, so nothing can be paired.")
    said, truths = zip(*(
        _answers(folder, judge) for folder, judge in zip((first, second), judges, strict=True)
    ), strict=True)
    by_row = judges[0].by_row
    names = [f"{folder.name}: {one.kept}" for folder, one in
             zip((first, second), evaluations, strict=True)]
    values = [judge.values(answers, truth) for judge, answers, truth in
              zip(judges, said, truths, strict=True)]
    scores = [one.contender(one.kept).scores for one in evaluations]
    named = [np.array(judge.named(one)) for judge, one in
             zip((*judges, judges[0]), (*said, truths[0]), strict=True)]
    has_classes = bool(evaluations[0].labels) and not evaluations[0].rules
    split = _held(first / "version", "split.json", Split)  # numbers the rows as `rows.arrow` does
    groups = together(split.groups(split.vault.sealed))
    turned = _turned(_ids(first, split), named[2], named[:2]) if has_classes else []
    return Compared(
        first=str(first),
        second=str(second),
        changes=tuple(_changes(first, second)),
        scores=tuple(zip(*scores, strict=True)),
        comparison=by_row.compare(names[0], names[1], *values, groups),
        macro_f1=_by_macro_f1(names, named[2], named[:2], values, groups)
        if has_classes else None,
        classes=_by_class(names, named[2], values, groups) if has_classes else (),
        turned=tuple(one for kind in ("went wrong", "came right", "wrong in another way")
                     for one in [row for row in turned if row.how == kind][:SHOWN]),
        turned_rows=len(turned),
        openings=max(one.openings for one in evaluations),
    )


def write(made: Compared, path: Path) -> Path:
    """Write one self-contained HTML page; it is whole or not there.

    Raises:
        StoreError: it cannot be written there.
    """
    return files.write_text(path, page_of(made))


def _require_whole(folder: Path, made: Evaluation) -> None:
    """Stop where scores, answers and rows are not of one judging: a command that judges a finished
    run anew writes its split first, then the answers, the scores, and the version."""
    split = _held(folder, "split.json", Split).vault.fingerprint
    published = _held(folder, "version.json", Version).lineage.get("test_rows")
    if not split == made.test == published:
        raise InputError(
            f"{folder} was begun anew with other test rows, and is not judged on them yet: its "
            "answers and its rows do not belong together. Give its command once more, then compare."
        )


def _ids(folder: Path, split: Split) -> list[str]:
    """Of the test rows; their numbers in the data, from 1, where the version keeps no rows."""
    path = folder / "version" / "rows.arrow"
    if not path.is_file():
        return [f"row {row + 1:,}" for row in split.vault.sealed]
    table = arrow.read(path)
    ids = table.column(table.num_columns - 2).to_pylist()  # before the last, which is the side
    return [ids[row] for row in split.vault.sealed]


def _turned(ids: list[str], truth: np.ndarray, said: list[np.ndarray]) -> list[Turned]:
    return [
        Turned(ids[row], str(truth[row]), str(said[0][row]), str(said[1][row]))
        for row in np.flatnonzero(said[0] != said[1])
    ]


def _held(folder: Path, name: str, kind: type[Noun]) -> Noun:
    path = folder / name
    if not path.is_file():
        raise InputError(
            f"{folder} holds no {name}, so no finished run lies there. Runs lie in .fettle/runs."
        )
    return records.load(path, kind)


def _answers(folder: Path, judge: Judge) -> tuple[np.ndarray, np.ndarray]:
    """The kept model's answer to each test row, and the truth."""
    outputs, truth = kept_answers(folder)
    return judge.said(outputs), truth


def _by_macro_f1(
    names: list[str], truth: np.ndarray, said: list[np.ndarray], right: list[np.ndarray],
    groups: np.ndarray | None,
) -> Comparison:
    _, numbers = np.unique(np.concatenate([truth, *said]), return_inverse=True)
    targets, one, other = np.split(numbers, 3)
    difference, low, high = paired.paired_interval(
        classification.macro_f1_of, targets, one, other, rng=np.random.default_rng(0),
        groups=groups,
    )
    counted = judging.compare(names[0], names[1], right[0], right[1], groups)
    return Comparison(names[0], names[1], "macro_f1", difference, low, high, counted.wins,
                      counted.losses, counted.p, counted.rows, counted.groups)


def _by_class(
    names: list[str], truth: np.ndarray, right: list[np.ndarray], groups: np.ndarray | None
) -> tuple[Comparison, ...]:
    """Recall class by class, the largest loss first."""
    from scipy.stats import false_discovery_control

    labels = np.unique(truth)
    found = [
        replace(judging.compare(names[0], names[1], right[0][truth == label],
                                right[1][truth == label],
                                None if groups is None else groups[truth == label]),
                metric=str(label))
        for label in labels
    ]
    adjusted = false_discovery_control([one.p for one in found])
    found = [replace(one, p=float(p)) for one, p in zip(found, adjusted, strict=True)]
    return tuple(sorted(found, key=lambda one: (one.difference, one.metric)))


def _changes(first: Path, second: Path) -> list[Change]:
    """What differs in plan, data, split, kept rung and cost."""
    plans = [asdict(_held(folder, "plan.json", Plan)) for folder in (first, second)]
    splits = [_held(folder, "split.json", Split) for folder in (first, second)]
    runs = [_held(folder, "run.json", Run) for folder in (first, second)]
    flat = [_flat({k: v for k, v in plan.items() if k not in ASIDE}) for plan in plans]
    changes = [
        Change(name, flat[0].get(name, ""), flat[1].get(name, ""))
        for name in dict.fromkeys((*flat[0], *flat[1]))
        if flat[0].get(name) != flat[1].get(name)
    ]
    audits = [_held(folder, "audit.json", Audit) for folder in (first, second)]
    found = [{one.check: one.count for one in (*audit.findings, *audit.afterwards)}
             for audit in audits]
    for what, values in (
        ("the data (fingerprint)", [one.dataset[:12] for one in splits]),
        ("rows to learn from", [f"{len(one.learners):,}" for one in splits]),
        ("rows left out of fitting", [
            f"{len({row for out in one.left_out for row in out.rows}):,}" for one in splits]),
        *((f"finding: {check}", [f"{one.get(check, 0):,}" for one in found])
          for check in dict.fromkeys((*found[0], *found[1]))),
        ("rung that was kept", [one.kept for one in runs]),
        ("seconds of training", [f"{sum(r.seconds for r in one.rungs):.1f}" for one in runs]),
    ):
        if values[0] != values[1]:
            changes.append(Change(what, *values))
    return changes


def _flat(values: Mapping[str, object], before: str = "") -> dict[str, str]:
    """Nested values as lines: rungs.full.epochs is 6."""
    found: dict[str, str] = {}
    for name, value in values.items():
        place = f"{before}{name}"
        if name == "rungs" and isinstance(value, list | tuple):
            for rung in value:
                found |= _flat({"climbed": "yes", **rung["settings"]},
                               f"rungs.{rung['strategy']}.")
        elif isinstance(value, Mapping):
            found |= _flat(value, f"{place}.")
        else:
            found[place] = ", ".join(map(str, value)) if isinstance(value, list | tuple) \
                else "" if value is None else str(value)
    return found
