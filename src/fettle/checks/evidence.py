"""Evidence: what every check looks at, and the Found that it hands back.

The normalised texts, the labels and what is alike are worked out once and shared. Nothing here
judges a row.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fettle.checks.near_pictures import near_pictures
from fettle.checks.resemblance import Alike, resemblance, resemblance_seen
from fettle.core.audit import Finding, LeftOut, Severity
from fettle.core.dataset import Dataset
from fettle.core.fixes import Proposal
from fettle.core.labels import unpacked
from fettle.core.split import Split
from fettle.measures.closeness import centred
from fettle.measures.label_noise import LabelNoise
from fettle.measures.order import slices
from fettle.measures.traits import in_numbers

__all__ = [
    "Doubts",
    "Evidence",
    "Found",
    "Sizes",
    "Surprises",
    "counted",
    "finding",
    "listed",
    "look",
    "look_again",
    "quoted",
    "same_text",
]

_SHOWN_IDS = 100
_TWENTIETHS = 20
_OPENING = "'\"“”‘’«»¿¡ "
_CLOSING = "'\"“”‘’«».,!?… "


@dataclass(frozen=True, slots=True)
class Found:
    """What one check has to say."""

    findings: tuple[Finding, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    """Rows that must not be fitted on. Given test rows only where they cannot be scored."""
    proposals: tuple[Proposal, ...] = ()
    """What could be done about single rows; of two checks, the first one's proposal counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Doubts:
    """What probes that never saw a row say about its label."""

    rows: np.ndarray
    """int (judged,): the rows that were judged."""
    classes: tuple[str, ...]
    """What the class numbers of `noise` stand for."""
    noise: LabelNoise
    unjudged: tuple[str, ...] = ()
    """Classes with too few rows to be held out in turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Surprises:
    """What probes that never saw a row say of its number."""

    rows: np.ndarray
    """int (judged,): the rows that were judged."""
    said: np.ndarray
    """float (judged,), in the target's unit."""
    given: np.ndarray
    """float (judged,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """How long each row is for the model."""

    tokens: np.ndarray
    """int (rows,), before anything is cut."""
    limit: int
    """The most tokens that the model reads of a row."""
    estimated: bool = False
    """From the letters, not from the model's tokenizer."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A Dataset as the checks see it."""

    dataset: Dataset
    labels: Sequence[str | None]
    """The target cells, untouched; None where blank. Of numbers: all that are equal written alike;
    None where a cell is no finite number."""
    texts: Sequence[str]
    """The inputs of each row, normalised; rows of one text say the same; "" is a blank row. Of a
    picture, a hash of its pixels."""
    alike: Alike = field(repr=False)
    train: np.ndarray = field(repr=False)
    """bool (rows,): rows given for learning, part "" or "train"."""
    validation: np.ndarray = field(repr=False)
    """bool (rows,)."""
    test: np.ndarray = field(repr=False)
    """bool (rows,)."""
    used: np.ndarray = field(repr=False)
    """bool (rows,): rows that no check before this one has left out."""
    features: np.ndarray | None = field(default=None, repr=False)
    """float32 (rows, width) of a frozen encoder."""
    doubts: Doubts | None = field(default=None, repr=False)
    surprises: Surprises | None = field(default=None, repr=False)
    sizes: Sizes | None = field(default=None, repr=False)
    several: bool = False
    """Whether a row may have several labels, or none."""

    def labels_of(self, row: int) -> tuple[str, ...]:
        """The labels of this row: one, none where it has no answer, or any number of `several`."""
        label = self.labels[row]
        return unpacked(label) if self.several else (() if label is None else (label,))

    def classes(self, number: int) -> str:
        """So many classes, or labels where a row may have several, in words."""
        return counted(number, "label") if self.several else counted(number, "class", "classes")

    @property
    def train_rows(self) -> list[int]:
        """The numbers of the rows that will be learned from."""
        return [int(row) for row in np.flatnonzero(self.train & self.used)]

    @property
    def validation_rows(self) -> list[int]:
        """The numbers of the given validation rows still in use."""
        return [int(row) for row in np.flatnonzero(self.validation & self.used)]

    @property
    def test_rows(self) -> list[int]:
        """The numbers of the given test rows that can be scored."""
        return [int(row) for row in np.flatnonzero(self.test & self.used)]

    def numbers(self, rows: Sequence[int]) -> np.ndarray:
        """The targets of these rows, float (rows,), where they are numbers."""
        return in_numbers([self.labels[row] for row in rows])

    def codes(self, rows: Sequence[int]) -> np.ndarray:
        """A number for each label, int (rows,); of numbers the twentieth that each lies in."""
        if self.dataset.schema.task == "regression":
            found = self.numbers(rows)
            ranks = slices(found, min(_TWENTIETHS, max(len(found) // 10, 1)))
            return np.unique(ranks, return_inverse=True)[1]
        return np.unique([self.labels[row] or "" for row in rows], return_inverse=True)[1]

    def class_counts(self, rows: Iterable[int]) -> Counter[str]:
        """How many of these rows each label has, in order of first appearance."""
        return Counter(label for row in rows for label in self.labels_of(row))


def look(dataset: Dataset, features: np.ndarray | None = None) -> Evidence:
    """The Evidence of a Dataset that has a target, with every row still in use.

    Args:
        dataset: rows with a target.
        features: float32 (rows, width) of a frozen encoder, or None where there are none.
    """
    cells = dataset.targets()
    parts = np.asarray(dataset.parts, dtype=str)
    texts = [_said(dataset, row) for row in dataset.fields()]
    return Evidence(
        dataset=dataset,
        labels=_labels(cells, dataset.schema.task),
        texts=texts,
        alike=resemblance(texts, features, nearly=_nearly(dataset)),
        train=(parts == "") | (parts == "train"),
        validation=parts == "validation",
        test=parts == "test",
        used=parts != "out",
        features=features,
        several=dataset.schema.several is not None,
    )


def look_again(
    dataset: Dataset, split: Split, features: np.ndarray, twins: Sequence[Sequence[int]], *,
    pairs: bool,
) -> Evidence:
    """The Evidence of rows that stand on their sides, once a frozen encoder has seen them.

    Args:
        dataset: rows with a target.
        split: of them; rows on no side are not in use.
        features: float32 (learning and test rows, width), in the order of the split.
        twins: clusters of rows that their letters tie.
        pairs: whether rows are paired by their features, too: the time grows with their square.
    """
    rows = np.array(split.learners + split.vault.sealed, dtype=int)
    whole = np.zeros((dataset.rows, features.shape[1]), dtype=np.float32)
    whole[rows] = features
    texts = [_said(dataset, row) for row in dataset.fields()]
    directions = centred(features) if pairs else np.zeros((len(rows), 0), dtype=np.float32)
    train, validation, test = (
        np.isin(np.arange(dataset.rows), side)
        for side in (split.train, split.validation, split.vault.sealed)
    )
    return Evidence(
        dataset=dataset,
        labels=_labels(dataset.targets(), dataset.schema.task),
        texts=texts,
        alike=resemblance_seen(texts, rows, directions, twins),
        train=train, validation=validation, test=test, used=train | validation | test,
        features=whole,
        several=dataset.schema.several is not None,
    )


def _labels(cells: Sequence[str | None], task: str) -> list[str | None]:
    """As `Evidence.labels`."""
    if task != "regression":
        return [None if cell is None or not cell.strip() else cell for cell in cells]
    return [repr(one) if np.isfinite(one) else None for one in in_numbers(cells).tolist()]


def _nearly(dataset: Dataset) -> Callable[[np.ndarray], np.ndarray] | None:
    """How pictures are compared; None for texts, which are compared by their pieces."""
    if dataset.schema.modality != "image":
        return None
    cells = [fields[0] for fields in dataset.fields()]

    def pairs(rows: np.ndarray) -> np.ndarray:
        return near_pictures([dataset.looks[cells[int(row)]] for row in rows])

    return pairs


def _said(dataset: Dataset, fields: tuple[str, ...]) -> str:
    """What tells rows apart that do not say the same: the words, or a picture's pixels."""
    if dataset.schema.modality != "image":
        return _text(fields)
    return "\x1f".join(dataset.looks[cell].pixels if cell in dataset.looks else cell
                       for cell in fields)


def _text(fields: Sequence[str]) -> str:
    """The normalised fields of a row as one text, "" where none holds anything."""
    plain = [same_text(cell) for cell in fields]
    return "\x1f".join(plain) if any(plain) else ""


def same_text(text: str) -> str:
    """A form that texts share which differ only in case, spaces, Unicode form or final stops.

    Punctuation is taken off the ends alone, and never what draws a face: ":)" is not ":(".
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    plain = " ".join(text.casefold().split())
    return plain.lstrip(_OPENING).rstrip(_CLOSING) or plain


def finding(
    evidence: Evidence,
    check: str,
    severity: Severity,
    rows: Sequence[int],
    said: tuple[str, str],
    *,
    count: int | None = None,
) -> Finding:
    """A Finding with the ids of up to 100 of its rows.

    Args:
        evidence: knows the ids.
        check: who found it.
        severity: how much it matters.
        rows: the numbers of all rows that show it.
        said: the sentence and the remedy.
        count: what is counted, where that is not the rows.
    """
    sentence, remedy = said
    return Finding(
        check=check,
        severity=severity,
        count=len(rows) if count is None else count,
        rows=tuple(evidence.dataset.ids[row] for row in rows[:_SHOWN_IDS]),
        sentence=sentence,
        remedy=remedy,
    )


def counted(number: int, thing: str, plural: str | None = None) -> str:
    """'1 row', '2,310 rows', '2 classes'."""
    return f"{number:,} {thing if number == 1 else plural or thing + 's'}"


def quoted(text: str, *, most: int = 60) -> str:
    """A value in quotes, cut where it is long."""
    return repr(text if len(text) <= most else text[: most - 3] + "...")


def listed(items: Sequence[str], *, most: int = 10) -> str:
    """Up to ten items with commas, and how many more there are."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more:,} more" if more > 0 else "")
