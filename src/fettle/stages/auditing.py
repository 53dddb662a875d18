"""Auditing: a Dataset in, an Audit out.

Every check looks at the rows; what one leaves out of fitting, the next does not count. Nothing
here changes a row, or lets a test row say more than that it is a twin or of an unknown class.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fettle.checks import AFTERWARDS, CHECKS_OF, DEEP_CHECKS, NOT_FOR
from fettle.checks.evidence import Doubts, Evidence, Found, Sizes, Surprises, look, look_again
from fettle.checks.near_features import near_twins
from fettle.core.audit import Audit, Finding, LeftOut, Severity
from fettle.core.dataset import Dataset
from fettle.core.errors import InputError, ShapeError
from fettle.core.fixes import Proposal
from fettle.core.split import Split
from fettle.measures.folds import stratified_folds
from fettle.measures.label_noise import label_noise

if TYPE_CHECKING:
    from fettle.engine.linear import Solved

__all__ = ["LIMIT", "MOST_PAIRED", "afterwards", "audit", "held_out"]

LIMIT = 256
"""Tokens that are read of a row at most, where the model reads as many."""
_TOKENS_A_LETTER = 0.25
_SHOWN = 100
FOLDS = 5
PENALTIES = (0.3, 0.1, 0.03, 0.01, 0.003)
"""Of the probe, per row, the strongest first; a weaker one is tried while it explains more."""
_MOST_TAUGHT = 20_000
"""Rows a probe learns from at most, taken evenly."""
_MOST_CHOOSING = 5_000
"""Of more rows, one fold chooses the penalty for all: a fifth of them is enough for that."""
_FEWEST_JUDGED = 50
MOST_PAIRED = 30_000
"""Rows of a run that are paired by their features: the time grows with their square."""


def audit(
    dataset: Dataset,
    *,
    features: np.ndarray | None = None,
    sizes: Sizes | None = None,
    seed: int = 0,
) -> Audit:
    """What is wrong with the rows, which of them say the same, and which are left out of fitting.

    A row is left out once, by the first check that says so.

    Args:
        dataset: rows with a target.
        features: float32 (rows, width) of a frozen encoder, one row a row of the Dataset; None
            to look at the rows alone, which takes seconds and leaves out the label errors.
        sizes: tokens a row and the model's limit; None to estimate them from the letters.
        seed: of the folds and shuffles.

    Raises:
        InputError: the Dataset has no rows, or no column of answers.
        ShapeError: there is not one row of features for each row.
    """
    _require_rows(dataset, features)
    evidence = look(dataset, features)
    if dataset.schema.modality == "text":
        evidence = replace(evidence, sizes=sizes or _estimated(dataset))
    gathered = _Gathered(evidence, _refused(dataset) + _fixed(dataset), _moved(dataset))
    gathered.ask(CHECKS_OF[dataset.schema.modality])
    if features is not None:
        gathered.evidence = _probed(gathered.evidence, np.random.default_rng(seed))
        gathered.ask(DEEP_CHECKS)
    return Audit(
        dataset=dataset.fingerprint(),
        findings=tuple(gathered.findings),
        twins=evidence.alike.clusters,
        near=evidence.alike.near_clusters,
        left_out=tuple(gathered.left_out),
        proposals=tuple(gathered.proposals.values()),
    )


def afterwards(
    dataset: Dataset, found: Audit, split: Split, features: np.ndarray, *, seed: int = 0
) -> Audit:
    """The Audit with what a run's frozen features show of its rows: a second set of findings.

    Nothing in the run follows from them: the rows have been split, and learned from. No answer of
    a test row is doubted.

    Args:
        dataset, found, split: of one story.
        features: float32 (learning and test rows, width), in the order of the split.
        seed: of the folds.

    Raises:
        ShapeError: there is not one row of features for each row on a side.
    """
    rows = len(split.learners) + len(split.vault.sealed)
    if len(features) != rows:
        raise ShapeError(
            f"{len(features)} rows of features for {rows} rows on the sides of the split: each row "
            "needs its own."
        )
    evidence = look_again(dataset, split, features, found.twins, pairs=rows <= MOST_PAIRED)
    evidence = _probed(evidence, np.random.default_rng(seed))
    gathered = _Gathered(evidence, [], [])
    gathered.ask(AFTERWARDS)
    known = {proposal.row for proposal in found.proposals}
    return replace(
        found,
        afterwards=tuple(gathered.findings),
        near_twins=near_twins(evidence),
        proposals=(*found.proposals, *(one for row, one in gathered.proposals.items()
                                       if row not in known)),
    )


class _Gathered:
    """What the checks have said so far, and the Evidence that the next one looks at."""

    def __init__(
        self, evidence: Evidence, findings: list[Finding], left_out: list[LeftOut]
    ) -> None:
        self.evidence = evidence
        self.findings = findings
        self.left_out = left_out
        self.proposals: dict[int, Proposal] = {}

    def ask(self, checks: Mapping[str, Callable[[Evidence], Found]]) -> None:
        """Let each of the checks look, in their order."""
        left_out = NOT_FOR[self.evidence.dataset.schema.task]
        for check in (check for name, check in checks.items() if name not in left_out):
            found = check(self.evidence)
            self.findings += found.findings
            for proposal in found.proposals:
                self.proposals.setdefault(proposal.row, proposal)
            used = self.evidence.used.copy()
            for out in found.left_out:
                rows = tuple(row for row in out.rows if used[row])
                used[list(rows)] = False
                if rows:
                    self.left_out.append(replace(out, rows=rows))
            self.evidence = replace(self.evidence, used=used)


def held_out(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, rng: np.random.Generator
) -> np.ndarray:
    """What linear probes say of rows that they did not learn from: float (rows, classes).

    Each of 5 stratified folds is answered by a probe solved on the other four; rows of one group
    are held out together. Of several penalties, the one that explains the labels best counts,
    wrong ones among them allowed for.

    Args:
        features: float32 (rows, width).
        labels: int (rows,), from 0, each class in at least 5 groups.
        groups: int (rows,); rows of one number stay together.
        rng: chooses the folds.
    """
    from fettle.engine.linear import solve_path

    classes = int(labels.max()) + 1
    fold = stratified_folds(labels, groups, FOLDS, rng)

    def path(number: int, penalties: tuple[float, ...]) -> "Iterator[Solved]":
        taught = np.flatnonzero(fold != number)
        taught = taught[np.unique(np.linspace(0, len(taught) - 1, _MOST_TAUGHT).astype(int))]
        return solve_path(features[taught], labels[taught], classes=classes, l2=penalties)

    asking = range(FOLDS) if len(labels) <= _MOST_CHOOSING else range(1)
    judged = fold < len(asking)
    paths = [path(number, PENALTIES) for number in asking]
    best, chosen, lowest = np.zeros((len(labels), classes)), PENALTIES[0], np.inf
    for penalty in PENALTIES:
        found = np.zeros((len(labels), classes))
        for number, heads in zip(asking, paths, strict=True):
            found[fold == number] = _answers(next(heads), features[fold == number])
        loss = label_noise(found[judged], labels[judged]).loss
        if loss >= lowest:
            break
        best, chosen, lowest = found, penalty, loss
    for number in range(len(asking), FOLDS):
        head = next(path(number, (chosen,)))
        best[fold == number] = _answers(head, features[fold == number])
    return best


def _probed(evidence: Evidence, rng: np.random.Generator) -> Evidence:
    """The Evidence with what probes say of rows that they did not learn from."""
    if evidence.dataset.schema.task == "regression":
        return replace(evidence, surprises=_surprises(evidence, rng))
    return replace(evidence, doubts=_doubts(evidence, rng))


def _surprises(evidence: Evidence, rng: np.random.Generator) -> Surprises | None:
    """What ridge regressions say of the numbers of the rows that may be learned from."""
    from fettle.engine.linear import RIDGE, ridge_path

    assert evidence.features is not None
    rows = np.array(sorted(evidence.train_rows + evidence.validation_rows), dtype=int)
    if len(rows) < _FEWEST_JUDGED:
        return None
    given, features = evidence.numbers(rows.tolist()), evidence.features[rows]
    fold = stratified_folds(evidence.codes(rows.tolist()), evidence.alike.near[rows], FOLDS, rng)
    said = {penalty: np.zeros(len(rows)) for penalty in RIDGE}
    spread = float(given.std()) or 1.0
    for number in range(FOLDS):
        taught, asked = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(asked) or not len(taught):
            continue
        for head in ridge_path(features[taught], given[taught] / spread, 1, RIDGE):
            said[head.l2][asked] = head.outputs(features[asked])[:, 0] * spread
    best = min(RIDGE, key=lambda penalty: float(np.square(said[penalty] - given).mean()))
    return Surprises(rows, said[best], given)


def _doubts(evidence: Evidence, rng: np.random.Generator) -> Doubts | None:
    """What probes say about the labels of the rows that may be learned from or chosen by.

    None where a row may have several: a probe is asked for one.
    """
    if evidence.several:
        return None
    assert evidence.features is not None
    rows = np.array(sorted(evidence.train_rows + evidence.validation_rows), dtype=int)
    given = np.array([evidence.labels[row] for row in rows], dtype=str)
    names, labels = np.unique(given, return_inverse=True)
    groups = evidence.alike.near[rows]
    pairs = np.unique(np.stack([labels, groups], axis=1), axis=0)
    enough = np.bincount(pairs[:, 0], minlength=len(names)) >= FOLDS
    judged = enough[labels]
    rows, groups = rows[judged], groups[judged]
    if len(rows) < _FEWEST_JUDGED or enough.sum() < 2:
        return None
    numbers = (np.cumsum(enough) - 1)[labels[judged]]
    found = held_out(evidence.features[rows], numbers, groups, rng=rng)
    noise = label_noise(found, numbers)
    return Doubts(rows, tuple(names[enough].tolist()), noise, tuple(names[~enough].tolist()))


def _answers(head: "Solved", features: np.ndarray) -> np.ndarray:
    """What the head says of these rows: probabilities, (rows, classes)."""
    outputs = head.outputs(features)
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _estimated(dataset: Dataset) -> Sizes:
    """About how many tokens each row has, by its letters."""
    letters = np.array([sum(map(len, fields)) for fields in dataset.fields()])
    return Sizes((letters * _TOKENS_A_LETTER).astype(int) + 2, LIMIT, estimated=True)


def _require_rows(dataset: Dataset, features: np.ndarray | None) -> None:
    if dataset.schema.target is None:
        raise InputError(
            f"{dataset.name} has no column of answers to audit. Name it with --target."
        )
    if dataset.rows == 0:
        raise InputError(f"{dataset.name} has no rows. Give a file with at least one.")
    if features is not None and len(features) != dataset.rows:
        raise ShapeError(
            f"{len(features)} rows of features for {dataset.rows} rows of {dataset.name}: each "
            "row needs its own."
        )


def _refused(dataset: Dataset) -> list[Finding]:
    """A warning on the records that could not become rows."""
    refused = dataset.refused
    if not refused:
        return []
    number = len(refused)
    what = "1 record" if number == 1 else f"{number:,} records"
    return [
        Finding(
            check="ragged",
            severity=Severity.WARN,
            count=number,
            rows=tuple(record.place for record in refused[:_SHOWN]),
            sentence=(
                f"{what} of {dataset.name} could not be read as a row; the first is "
                f"{refused[0].place}: {refused[0].reason}"
            ),
            remedy="They are not used. Mend the file to use them.",
        )
    ]


def _fixed(dataset: Dataset) -> list[Finding]:
    """A note on what a person's fixes did before the audit looked."""
    fixes = dataset.fixes
    if fixes is None:
        return []
    done = ", ".join(f"{number:,} {action}" for action, number in fixes.counts.items()) or "no row"
    sentence = f"{fixes.path} (sha256 {fixes.sha256[:12]}...) was applied: {done}."
    remedy = "Everything else here is about the rows after it."
    rows = tuple(record.place for record in dataset.dropped[:_SHOWN])
    count = sum(fixes.counts.values())
    return [Finding("fixes", Severity.NOTE, count, rows, sentence, remedy)]


def _moved(dataset: Dataset) -> list[LeftOut]:
    """The rows that the fixes moved out of training."""
    rows = tuple(row for row, part in enumerate(dataset.parts) if part == "out")
    return [LeftOut("fixes", "a person moved it out of training", rows)] if rows else []
