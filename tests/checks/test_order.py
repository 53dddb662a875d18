from dataclasses import replace

import numpy as np

from fettle.checks.order import order
from fettle.checks.telltales import telltales
from fettle.core.audit import Severity

from .given import evidence


def shuffled(labels, seed=0):
    return list(np.random.default_rng(seed).permutation(labels))


def test_rows_sorted_by_their_answer_are_a_note():
    (finding,) = order(evidence(["a"] * 40 + ["b"] * 30 + ["c"] * 30)).findings

    assert finding.severity is Severity.NOTE
    assert finding.sentence == (
        "The 100 learning rows are sorted by their answer: 3 runs of equal answers, where a "
        "random order has about 67."
    )


def test_rows_in_blocks_are_a_note_and_rows_in_random_order_are_none():
    blocks = [label for _ in range(10) for label in ["a"] * 10 + ["b"] * 10]

    assert "blocks of one answer" in order(evidence(blocks)).findings[0].sentence
    for seed in range(20):
        assert order(evidence(shuffled(["a"] * 100 + ["b"] * 100, seed))).findings == ()


def test_answers_in_turns_are_no_blocks():
    assert order(evidence(["a", "b"] * 50)).findings == ()
    assert order(evidence(["a"] * 50)).findings == ()


def columns(labels, **more):
    """Evidence whose further columns are not read."""
    given = evidence(labels, **more)
    schema = type(given.dataset.schema)("label", ("text",), tuple(more))
    dataset = type(given.dataset)(
        given.dataset.name, given.dataset.table, schema, given.dataset.ids, given.dataset.parts
    )
    return type(given)(**{
        field: getattr(given, field) for field in given.__dataclass_fields__
    } | {"dataset": dataset})


SORTED = ["a"] * 150 + ["b"] * 150
RANDOM = shuffled(SORTED)
IDS = [f"IMG_{row:05d}.png" for row in range(300)]
DAYS = [f"2024-{1 + row // 28:02d}-{1 + row % 28:02d}" for row in range(300)]


def test_ids_that_foretell_the_answer_are_a_note_where_not_read_and_a_warning_where_read():
    (finding,) = telltales(columns(SORTED, id=IDS)).findings
    assert finding.severity is Severity.NOTE
    assert "'id' holds ids that foretell the answer" in finding.sentence
    assert telltales(evidence(SORTED, id=IDS)).findings[0].severity is Severity.WARN


def test_dates_that_foretell_the_answer_are_found_in_many_forms():
    forms = {
        "iso": DAYS,
        "with a clock": [f"{day}T12:30:00" for day in DAYS],
        "german": [".".join(reversed(day.split("-"))) for day in DAYS],
        "american": [f"{day[5:7]}/{day[8:]}/{day[:4]} 3:15 PM" for day in DAYS],
        "compact": [day.replace("-", "") for day in DAYS],
        "mail": [f"{int(day[8:])} Mar 20{10 + int(day[5:7]):02d}" for day in DAYS],
    }
    for form, cells in forms.items():
        findings = telltales(columns(SORTED, when=cells)).findings
        assert findings, form
        assert "'when' holds dates" in findings[0].sentence, form


def test_ids_and_dates_that_know_nothing_are_not_named():
    for seed in range(10):
        labels = shuffled(SORTED, seed)
        assert telltales(columns(labels, id=IDS, when=DAYS)).findings == ()


def test_what_repeats_is_no_id_and_what_is_text_is_neither():
    few = [str(row // 100) for row in range(300)]
    texts = [f"the text of row {row} is this" for row in range(300)]

    assert telltales(columns(SORTED, group=few, note=texts)).findings == ()


def test_a_column_with_gaps_is_judged_by_what_stands_in_it():
    gaps = [None if row % 3 == 0 else cell for row, cell in enumerate(IDS)]
    assert telltales(columns(SORTED, id=gaps)).findings
    assert telltales(columns(SORTED, id=[None] * 300)).findings == ()


def test_the_column_that_the_split_is_made_by_is_no_telltale():
    """"Split by time" is no remedy where it is split by time."""
    given = columns(SORTED, when=DAYS)
    assert telltales(given).findings
    schema = replace(given.dataset.schema, time="when")
    assert telltales(replace(given, dataset=replace(given.dataset, schema=schema))).findings == ()
    read = evidence(SORTED, when=DAYS)
    schema = replace(read.dataset.schema, time="when")
    (warned,) = telltales(replace(read, dataset=replace(read.dataset, schema=schema))).findings
    assert warned.severity is Severity.WARN, "the model still reads it"
