"""Planted faults: how many of the demo data's known faults the audit finds, and what it adds.

Reads the data that comes with fettle, audits it with the default encoder (label errors and half of
the near duplicates show in its features alone), and compares with the key. Prints a table, then one
JSON object on a line of its own.

    python bench/planted_faults.py
"""

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from fettle.core.audit import Audit
from fettle.core.dataset import Dataset
from fettle.core.plan import Reading
from fettle.core.progress import finish
from fettle.core.settings import Settings
from measuring import report

DATA = Path(__file__).resolve().parents[1] / "src" / "fettle" / "data"
KEY = "messages_faults.csv"

LOOKED_FOR = {
    "exact_duplicate": "duplicates",
    "label_variant": "variants",
    "empty_text": "missing",
    "empty_label": "missing",
    "leak": "leaks",
    "near_duplicate": "near",
    "wrong_label": "label_errors",
}
"""The check that looks for a kind of fault. To count a new check: add its line."""


@dataclass(frozen=True, slots=True)
class Count:
    """What became of one kind of fault."""

    planted: int
    found: int
    false: int
    """Rows that the check shows for this kind of fault, and the key does not list for it."""


def planted(path: Path) -> dict[str, set[str]]:
    """The ids of the rows that carry each kind of fault."""
    ids: dict[str, set[str]] = defaultdict(set)
    with path.open(newline="", encoding="utf-8") as lines:
        for record in csv.DictReader(lines):
            ids[record["kind"]].add(f"{record['file']}:{record['line']}")
    return dict(ids)


def shown(dataset: Dataset, audit: Audit, kind: str) -> set[str]:
    """The ids of the rows that the audit shows for a kind of fault, up to 100 a Finding.

    Of near duplicates, which copy was edited from which cannot be told: both count as shown.
    """
    check = LOOKED_FOR[kind]
    if check == "near":
        return {dataset.ids[row] for cluster in audit.near for row in cluster}
    ids = {id_ for finding in audit.findings if finding.check == check for id_ in finding.rows}
    if check != "missing":
        return ids
    unanswered = {
        id_
        for id_, label in zip(dataset.ids, dataset.targets(), strict=True)
        if not (label or "").strip()
    }
    return ids & unanswered if kind == "empty_label" else ids - unanswered


def copied(path: Path) -> dict[str, set[str]]:
    """The ids of the rows that each kind of fault is a copy of."""
    ids: dict[str, set[str]] = defaultdict(set)
    with path.open(newline="", encoding="utf-8") as lines:
        for record in csv.DictReader(lines):
            ids[record["kind"]].add(record["partner"])
    return dict(ids)


def counts(
    dataset: Dataset, audit: Audit, key: dict[str, set[str]], partners: dict[str, set[str]]
) -> dict[str, Count | None]:
    """A Count for each kind in the key; None where no check looks for it."""
    found: dict[str, Count | None] = {}
    for kind, ids in key.items():
        if kind not in LOOKED_FOR:
            found[kind] = None
            continue
        rows = shown(dataset, audit, kind)
        others = partners.get(kind, set())
        found[kind] = Count(len(ids), len(ids & rows), len(rows - ids - others))
    return found


def other_checks(audit: Audit) -> list[str]:
    """Warnings and blockers of checks that no planted kind asks for, in their own words."""
    return [
        f"{finding.check}: {finding.sentence}"
        for finding in audit.findings
        if finding.check not in LOOKED_FOR.values() and finding.severity != "note"
    ]


def table(key: dict[str, set[str]], found: dict[str, Count | None]) -> str:
    """The counts as lines of text."""
    lines = [f"{'kind':<16} {'planted':>7} {'found':>6} {'false':>6}"]
    for kind, count in found.items():
        right = f"{count.found:>6} {count.false:>6}" if count else "not looked for"
        lines.append(f"{kind:<16} {len(key[kind]):>7} {right}")
    return "\n".join(lines)


def main() -> None:
    """Audit, compare, print."""
    from fettle import pipeline

    rows = Reading(data=str(DATA / "messages.csv"), test=str(DATA / "messages_test.csv"))
    dataset, audit = finish(pipeline.audit(Settings(reading=rows), deep=True))
    key = planted(DATA / KEY)
    found = counts(dataset, audit, key, copied(DATA / KEY))

    print(table(key, found))
    for line in other_checks(audit):
        print(f"also: {line}")
    figures: dict[str, int] = {}
    for kind, count in found.items():
        figures[f"{kind}_planted"] = len(key[kind])
        if count:
            figures[f"{kind}_found"] = count.found
            figures[f"{kind}_false"] = count.false
    report("planted_faults", figures)


if __name__ == "__main__":
    main()
