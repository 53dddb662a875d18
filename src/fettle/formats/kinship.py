"""Kinship: unused columns whose rows may belong together, or that say when.

Told, and not acted upon: whether new customers will ask, or the same ones again, is for a person
to say. Only learning rows are looked at.
"""

import re

import pyarrow.compute as pc

from fettle.core.columns import numbers
from fettle.core.dataset import Dataset
from fettle.formats.looks import look, present

__all__ = ["hints"]

FEWEST_GROUPS = 5
SHARED = 0.2
"""Of the rows, how many must share their cell with another row at least."""
KIN = frozenset((
    "account", "article", "author", "case", "client", "conversation", "customer", "device", "doc",
    "document", "file", "filename", "group", "household", "image", "message", "parent", "path",
    "patient", "person", "product", "recording", "school", "session", "site", "source", "speaker",
    "store", "student", "subject", "thread", "ticket", "url", "user", "video", "writer",
))
_FILE = re.compile(r"[\w ./\\-]*[\w)]\.[a-z]\w{1,4}", re.IGNORECASE)
_COUNTER = re.compile(r"[ _.-]*(?:\d+|[a-d])$", re.IGNORECASE)


def hints(dataset: Dataset) -> list[str]:
    """One sentence for each unused column that may tie rows together, or date them."""
    rows = [row for row, part in enumerate(dataset.parts) if part != "test"]
    schema = dataset.schema
    table = dataset.table.take(numbers(rows))
    found = []
    for name in schema.unused:
        if name not in table.column_names:
            continue
        cells = present(table.column(name))
        if schema.time is None and look(table.column(name)).kind == "date":
            found.append(
                f"Column {name!r} holds times. If the model will answer rows newer than those it "
                f"learns from, split by it: --time {name}."
            )
        elif schema.group is None and _has_kin_name(name) and _repeats(cells.to_pylist()):
            found.append(
                f"Column {name!r} has {pc.count_distinct(cells).as_py():,} different cells in "
                f"{len(cells):,} rows. If rows that share one are alike, and the model will meet "
                f"new ones, split by it: --group {name}. Scores may be too good otherwise."
            )
        elif schema.group is None:
            found += _stems(name, cells.to_pylist())
    return found


def _has_kin_name(name: str) -> bool:
    """customer_id, CustomerID, user: a name of what rows belong to."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = {word.lower().removesuffix("s") for word in re.split(r"[\W_]+|(?<=\D)(?=\d)", spaced)}
    return bool(words & KIN) or bool(re.fullmatch(r".+[ _-]?(?:id|ID|Id|uuid|guid)", name))


def _repeats(cells: list[str]) -> bool:
    """Whether enough rows share their cell, in enough groups."""
    times: dict[str, int] = {}
    for cell in cells:
        times[cell] = times.get(cell, 0) + 1
    shared = sum(count for count in times.values() if count > 1)
    return len(times) >= FEWEST_GROUPS and shared >= max(SHARED * len(cells), 2)


def _stems(name: str, cells: list[str]) -> list[str]:
    """Names of files that differ in a counter at their ends: patient7_1.png, patient7_2.png."""
    if not cells or not all(_FILE.fullmatch(cell.strip()) for cell in cells):
        return []
    stems = [_COUNTER.sub("", cell.strip().rpartition(".")[0]) for cell in cells]
    if not all(stems) or not _repeats(stems):
        return []
    return [
        f"The files named in column {name!r} come in {len(set(stems)):,} series ({stems[0]!r} "
        "first). If files of one series are alike, put the series into a column of its own and "
        "split by it with --group."
    ]
