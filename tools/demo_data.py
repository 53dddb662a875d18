"""The demo data: hand-written messages in, rows with known faults and the key to them out.

Reads `tools/messages/`, one file a class with one message a line, and writes the csv files and
the README of `src/fettle/data`, or of the folder that is named. The same messages and the same
seed give the same bytes. A row carries one fault at most, and no row that is part of a
duplicate or of a leak carries another.

    python tools/demo_data.py [FOLDER]
"""

import csv
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
MESSAGES = HERE / "messages"
PACKAGE = HERE.parent / "src" / "fettle" / "data"

SEED = 20
TEST_SHARE = 0.2
TRAIN, TEST, KEY = "messages.csv", "messages_test.csv", "messages_faults.csv"
COLUMNS = ("kind", "file", "line", "row_text_or_value", "original", "partner")
FEWEST_WORDS = 5
"""Shorter messages are sent twice by chance; only longer ones are planted as copies."""

CONFUSABLE = {
    "account": ("billing", "cancellation"),
    "billing": ("returns", "cancellation"),
    "business": ("product_question", "billing"),
    "cancellation": ("delivery", "billing"),
    "delivery": ("cancellation", "installation"),
    "feedback": ("product_question", "malfunction"),
    "installation": ("delivery", "malfunction"),
    "malfunction": ("product_question", "returns"),
    "product_question": ("malfunction", "feedback"),
    "returns": ("billing", "delivery"),
}
"""The wrong labels that a tired person would give, by hand; each is given twice."""

VARIANTS = (
    ("billing", "Billing", 3),
    ("billing", "billing ", 3),
    ("billing", "biling", 2),
    ("product_question", "product question", 4),
    ("returns", "RETURNS", 3),
)
"""Label, another spelling of it, and on how many rows that stands."""


def other_end(text: str) -> str:
    """Without its final stop, or with one if it had none."""
    plain = text.rstrip(".!?")
    return plain if plain != text else text + "."


EXACT_COPIES: tuple[tuple[int, Callable[[str], str]], ...] = (
    (10, str),
    (4, str.lower),
    (3, str.upper),
    (2, lambda text: text.replace(" ", "  ", 2)),
    (2, lambda text: f" {text} "),
    (4, other_end),
)
LEAKS: tuple[tuple[int, Callable[[str], str]], ...] = (
    (5, str),
    (3, str.lower),
    (2, lambda text: text.replace(" ", "  ", 1)),
)
"""How many rows are copied, and how the copy is written."""

EMPTY_TEXTS, EMPTY_LABELS = 8, 6

EVERY_KIND = {
    "wrong_label": "the label is one of the nine others, of a class that is easily confused",
    "exact_duplicate": "the same text stands in another training row, to the letter or but for "
    "case, spaces or the punctuation at the end",
    "near_duplicate": "another training row with the same message, edited by hand",
    "label_variant": "another spelling of a label",
    "empty_text": "nothing stands in `text`",
    "empty_label": "nothing stands in `label`",
    "leak": "the same text stands in a test row, to the letter or but for case or spaces",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A message and its class."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one training row. Rows are numbered from 0, before they are shuffled."""

    kind: str
    row: int
    value: str
    """The cell as it stands in the file."""
    original: str
    """The cell as it should be; of a copy, the text that was copied."""
    partner: tuple[str, int] | None = None
    """The file and the row that was copied."""


def read_messages(folder: Path) -> list[Row]:
    """Every message, class by class."""
    return [
        Row(text, path.stem)
        for path in sorted(folder.glob("*.txt"))
        for text in path.read_text(encoding="utf-8").splitlines()
    ]


def read_near_copies(folder: Path) -> dict[str, str]:
    """From a message to the same message, edited by hand."""
    with (folder / "near_copies.csv").open(newline="", encoding="utf-8") as lines:
        return {record["original"]: record["copy"] for record in csv.DictReader(lines)}


def held_out(
    messages: Sequence[Row], *, kept: Iterable[str], rng: np.random.Generator
) -> tuple[list[Row], list[Row]]:
    """Train and test, with a fifth of each class in the test; texts in `kept` stay in train."""
    kept = set(kept)
    unknown = kept - {row.text for row in messages}
    if unknown:
        raise ValueError(f"near_copies.csv names no message: {sorted(unknown)[0]!r}")
    rows_of: dict[str, list[Row]] = defaultdict(list)
    for row in messages:
        rows_of[row.label].append(row)
    test = []
    for rows in rows_of.values():
        free = [row for row in rows if row.text not in kept]
        chosen = rng.permutation(len(free))[: round(TEST_SHARE * len(rows))]
        test += [free[number] for number in sorted(chosen)]
    tested = set(test)
    return [row for row in messages if row not in tested], test


class Planter:
    """Training rows that faults are planted into, each row once."""

    def __init__(self, train: Sequence[Row], rng: np.random.Generator) -> None:
        """A copy of the rows; `rng` says in which order they are taken."""
        self.train = list(train)
        self.faults: list[Fault] = []
        self._free = [int(row) for row in rng.permutation(len(self.train))]

    def take(self, wanted: Callable[[Row], bool]) -> int:
        """The next untouched row that is wanted; no other fault will have it."""
        number = next(row for row in self._free if wanted(self.train[row]))
        self._free.remove(number)
        return number

    def relabel(self, kind: str, row: int, label: str) -> None:
        """Another label on the row."""
        right = self.train[row]
        self.train[row] = replace(right, label=label)
        self.faults.append(Fault(kind, row, label, right.label))

    def blank(self, row: int) -> None:
        """No text in the row."""
        full = self.train[row]
        self.train[row] = replace(full, text="")
        self.faults.append(Fault("empty_text", row, "", full.text))

    def copy(self, kind: str, source: Row, text: str, partner: tuple[str, int]) -> None:
        """A further row that says what another says."""
        self.faults.append(Fault(kind, len(self.train), text, source.text, partner))
        self.train.append(replace(source, text=text))


def plant(
    train: Sequence[Row], test: Sequence[Row], near: dict[str, str], rng: np.random.Generator
) -> tuple[list[Row], list[Fault]]:
    """The training rows with every fault in them, and the faults."""
    planter = Planter(train, rng)
    for original, copy in near.items():
        row = planter.take(partial(says, original))
        planter.copy("near_duplicate", train[row], copy, (TRAIN, row))
    for rewrite in ways(EXACT_COPIES):
        row = planter.take(partial(can_be_copied, rewrite))
        planter.copy("exact_duplicate", train[row], rewrite(train[row].text), (TRAIN, row))

    untouched = iter(rng.permutation(len(test)))
    for rewrite in ways(LEAKS):
        row = next(int(row) for row in untouched if can_be_copied(rewrite, test[row]))
        planter.copy("leak", test[row], rewrite(test[row].text), (TEST, row))

    for label, wrong_labels in CONFUSABLE.items():
        for wrong in wrong_labels * 2:
            row = planter.take(partial(is_labelled, label))
            planter.relabel("wrong_label", row, wrong)
    for label, spelling, times in VARIANTS:
        for _ in range(times):
            row = planter.take(partial(is_labelled, label))
            planter.relabel("label_variant", row, spelling)
    for _ in range(EMPTY_LABELS):
        planter.relabel("empty_label", planter.take(lambda row: True), "")
    for _ in range(EMPTY_TEXTS):
        planter.blank(planter.take(lambda row: True))
    return planter.train, planter.faults


def ways(counted: Iterable[tuple[int, Callable[[str], str]]]) -> Iterator[Callable[[str], str]]:
    """Each way of copying as often as it is wanted."""
    return (way for times, way in counted for _ in range(times))


def says(text: str, row: Row) -> bool:
    """The row's text is this one."""
    return row.text == text


def is_labelled(label: str, row: Row) -> bool:
    """The row is of this class."""
    return row.label == label


def can_be_copied(rewrite: Callable[[str], str], row: Row) -> bool:
    """Long enough, and changed by the rewriting, if that is to change anything."""
    long_enough = len(row.text.split()) >= FEWEST_WORDS
    return long_enough and (rewrite is str or rewrite(row.text) != row.text)


def shuffled(rows: int, after: Iterable[tuple[int, int]], rng: np.random.Generator) -> list[int]:
    """From a row's number to its place; of each (copy, source), the copy comes after."""
    places = [int(place) for place in rng.permutation(rows)]
    for copy, source in after:
        early, late = sorted((places[copy], places[source]))
        places[source], places[copy] = early, late
    return places


def csv_text(header: Sequence[str], records: Iterable[Sequence[str]]) -> str:
    """RFC 4180, but that lines end as they do on the machines that read it here."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(records)
    return lines.getvalue()


def rows_text(rows: Sequence[Row], places: Sequence[int]) -> str:
    """The rows in the order of their places."""
    ordered = sorted(zip(places, rows, strict=True), key=lambda pair: pair[0])
    return csv_text(("text", "label"), [(row.text, row.label) for _, row in ordered])


def key_text(faults: Sequence[Fault], places: dict[str, list[int]]) -> str:
    """The key: kinds in their order, and lines in theirs."""

    def line(file: str, row: int) -> int:
        return places[file][row] + 2  # the header is line 1

    records = []
    for kind in EVERY_KIND:
        of_kind = [fault for fault in faults if fault.kind == kind]
        for fault in sorted(of_kind, key=lambda fault: line(TRAIN, fault.row)):
            partner = ""
            if fault.partner:
                file, row = fault.partner
                partner = f"{file}:{line(file, row)}"
            at = str(line(TRAIN, fault.row))
            records.append((kind, TRAIN, at, fault.value, fault.original, partner))
    return csv_text(COLUMNS, records)


def build(
    messages: Sequence[Row], near: dict[str, str], rng: np.random.Generator
) -> dict[str, str]:
    """The text of every file, by its name."""
    train, test = held_out(messages, kept=near, rng=rng)
    train, faults = plant(train, test, near, rng)
    copies = [
        (fault.row, fault.partner[1])
        for fault in faults
        if fault.partner and fault.partner[0] == TRAIN
    ]
    places = {TRAIN: shuffled(len(train), copies, rng), TEST: shuffled(len(test), (), rng)}
    return {
        TRAIN: rows_text(train, places[TRAIN]),
        TEST: rows_text(test, places[TEST]),
        KEY: key_text(faults, places),
        "README.md": readme(messages, train, test, faults),
    }


def readme(
    messages: Sequence[Row], train: Sequence[Row], test: Sequence[Row], faults: Sequence[Fault]
) -> str:
    """The README with today's counts."""
    template = (HERE / "demo_data.md").read_text(encoding="utf-8")
    written, tested = (Counter(row.label for row in rows) for rows in (messages, test))
    kinds = Counter(fault.kind for fault in faults)
    meanings = dict(
        line.split("\t")
        for line in (MESSAGES / "classes.tsv").read_text(encoding="utf-8").splitlines()
    )
    return template.format(
        messages=f"{len(messages):,}",
        train=f"{len(train):,}",
        test=f"{len(test):,}",
        rows=f"{len(train) + len(test):,}",
        classes=len(written),
        faults=len(faults),
        class_table="\n".join(
            f"| `{label}` | {meanings[label]} | {written[label]} | {tested[label]} |"
            for label in written
        ),
        fault_table="\n".join(
            f"| `{kind}` | {kinds[kind]} | {meaning} |" for kind, meaning in EVERY_KIND.items()
        ),
    )


def main(arguments: Sequence[str]) -> None:
    """Write every file."""
    folder = Path(next(islice(arguments, 1), PACKAGE))
    rng = np.random.default_rng(SEED)
    files = build(read_messages(MESSAGES), read_near_copies(MESSAGES), rng)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode("utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
