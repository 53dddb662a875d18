"""Splitting by a column of groups, and by a column of times."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.core.audit import Audit
from fettle.core.dataset import Dataset, Schema
from fettle.core.errors import SettingError, SplitError
from fettle.core.split import Split, Vault
from fettle.stages import splitting
from fettle.stages.auditing import audit
from fettle.stages.splitting import split


def rows_with(columns, labels=None, parts=None, **schema):
    rows = len(next(iter(columns.values())))
    table = {
        "text": [f"text {row}" for row in range(rows)],
        "label": labels or [f"class {row % 2}" for row in range(rows)],
        **columns,
    }
    return Dataset(
        "t.csv", pa.table({name: pa.array(cells, pa.string()) for name, cells in table.items()}),
        Schema("label", ("text",), (), **schema),
        tuple(f"t.csv:{row + 2}" for row in range(rows)), tuple(parts or [""] * rows),
    )


def split_of(dataset, seed=0):
    return split(dataset, audit(dataset), seed=seed)


def side_of(sides):
    return {
        row: side
        for side, rows in enumerate((sides.train, sides.validation, sides.vault.sealed))
        for row in rows
    }


def days(number, *, first=date(2024, 1, 1)):
    return [str(first + timedelta(days=day)) for day in range(number)]


def told(sides, *words):
    return any(all(word in note for word in words) for note in sides.notes)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), st.sampled_from("ab")), min_size=30,
             max_size=320),
    st.integers(0, 2),
)
def test_rows_of_one_group_never_part_whatever_twins_tie_together(rows, seed):
    groups, texts, labels = zip(*rows, strict=True)
    cells = [f"g{group}" if group else None for group in groups]
    # Half the texts are twins of others, so that groups hang together through them.
    said = [f"text {row}" if row % 7 else f"twin {text}" for row, text in enumerate(texts)]
    dataset = rows_with({"who": cells, "text": said}, list(labels), group="who")
    found = audit(dataset)
    try:
        sides = split(dataset, found, seed=seed)
    except SplitError:
        return

    side = side_of(sides)
    for cluster in found.twins:
        assert len({side[row] for row in cluster if row in side}) <= 1
    for group in set(cells) - {None}:
        kin = {side[row] for row in range(len(rows)) if cells[row] == group and row in side}
        assert len(kin) <= 1
    assert split(dataset, found, seed=seed) == sides


def test_groups_are_split_near_the_shares_and_counted():
    cells = [f"customer {row % 80}" for row in range(800)]
    sides = split_of(rows_with({"who": cells}, group="who"))

    assert len(sides.vault.sealed) == 100
    assert len(sides.validation) == 100
    assert told(sides, "80 groups in 800 rows")
    assert sides.groups([0, 80, 1]).tolist() == [0, 0, 1]


def test_a_group_and_twins_tie_rows_together_in_a_chain():
    cells = [f"g{row}" for row in range(60)]
    texts = [f"text {row}" for row in range(60)]
    cells[7] = cells[3]
    texts[7] = texts[11]
    sides = split_of(rows_with({"who": cells, "text": texts}, group="who"))

    assert (3, 7, 11) in sides.tied
    assert len({side_of(sides)[row] for row in (3, 7, 11)}) == 1


def test_a_learning_row_of_a_given_test_rows_group_is_left_out_and_says_why():
    cells = [f"g{row}" for row in range(60)]
    cells[5] = cells[55]
    parts = [""] * 50 + ["test"] * 10
    sides = split_of(rows_with({"who": cells}, parts=parts, group="who"))

    assert [(out.check, out.rows) for out in sides.left_out] == [("group", (5,))]
    assert sides.left_out[0].reason == "a test row has the same 'who'"


def test_rows_without_a_group_stand_alone_and_are_counted():
    cells = [None, ""] * 50 + [f"g{row % 10}" for row in range(100)]
    sides = split_of(rows_with({"who": cells}, group="who"))

    assert sides.groups(range(4)).tolist() == [0, 1, 2, 3]
    assert told(sides, "10 groups in 100 rows", "100 rows without one stand alone")


def test_too_few_groups_to_split_is_an_error_that_says_what_to_do():
    dataset = rows_with({"who": ["g"] * 300}, group="who")

    with pytest.raises(SplitError, match=r"hang together by 'who'.*--test"):
        split_of(dataset)


def test_classes_of_one_group_each_leave_none_to_judge():
    dataset = rows_with({"who": [f"g{row % 2}" for row in range(300)]}, group="who")

    with pytest.raises(SplitError, match=r"each class has all its rows in one group.*--test"):
        split_of(dataset)


def test_a_group_too_large_for_its_part_is_said():
    cells = ["big"] * 330 + [f"g{row % 4}" for row in range(70)]
    sides = split_of(rows_with({"who": cells}, group="who"))

    assert told(sides, "Whole groups", "the largest group that hangs together has 330 rows")


def test_the_target_is_no_group():
    with pytest.raises(SettingError, match="column to predict"):
        split_of(rows_with({"x": ["1"] * 40}, group="label"))


def test_the_newest_rows_judge_and_the_newest_of_the_rest_tune():
    shuffled = np.random.default_rng(0).permutation(800)
    cells = [days(800)[day] for day in shuffled]
    sides = split_of(rows_with({"when": cells}, time="when"))

    def when(rows):
        return [cells[row] for row in rows]

    assert (len(sides.train), len(sides.validation), len(sides.vault.sealed)) == (600, 100, 100)
    assert max(when(sides.train)) < min(when(sides.validation))
    assert max(when(sides.validation)) < min(when(sides.vault.sealed))
    assert told(sides, "The test part is the 100 rows that are newest by 'when', from "
                       f"{min(when(sides.vault.sealed))} on")


def test_newest_rows_tune_where_folds_would_tune_otherwise(monkeypatch):
    monkeypatch.setattr(splitting, "FEWEST_FOR_VALIDATION", 600)
    assert len(split_of(rows_with({"when": days(400)}, time="when")).validation) == 50
    assert not split_of(rows_with({"when": days(220)}, time="when")).validation


def test_a_time_split_does_not_draw():
    dataset = rows_with({"when": days(400)}, time="when")
    assert split_of(dataset, seed=0) == split_of(dataset, seed=1)


def test_an_older_twin_of_a_test_row_is_left_out_and_the_test_row_stays():
    texts = [f"text {row}" for row in range(400)]
    texts[10] = texts[399]
    sides = split_of(rows_with({"when": days(400), "text": texts}, time="when"))

    assert 399 in sides.vault.sealed
    assert [(out.check, out.rows) for out in sides.left_out] == [("leaks", (10,))]


def test_with_times_and_groups_older_rows_of_a_test_rows_group_are_left_out():
    cells = [f"g{row}" for row in range(400)]
    cells[10] = cells[399]
    sides = split_of(rows_with({"when": days(400), "who": cells}, time="when", group="who"))

    assert [(out.check, out.rows) for out in sides.left_out] == [("group", (10,))]


def test_times_that_cannot_be_read_are_named_by_row():
    cells = days(50)
    cells[3], cells[20] = "soon", None
    with pytest.raises(SplitError, match=r"2 of 50 .*t.csv:5 says 'soon'; t.csv:22 is empty"):
        split_of(rows_with({"when": cells}, time="when"))


def test_a_row_that_is_left_out_needs_no_time():
    cells, labels = days(50), [f"class {row % 2}" for row in range(50)]
    cells[3], labels[3] = "soon", None
    assert 3 not in side_of(split_of(rows_with({"when": cells}, labels, time="when")))


def test_days_and_months_that_cannot_be_told_apart_are_an_error():
    with pytest.raises(SplitError, match="day or the month"):
        split_of(rows_with({"when": ["03/04/2024", "05/06/2024"] * 20}, time="when"))


def test_one_time_for_all_rows_is_an_error():
    with pytest.raises(SplitError, match="same time"):
        split_of(rows_with({"when": ["2024-01-01"] * 40}, time="when"))


def test_given_test_rows_need_no_time_and_the_newest_of_the_rest_tune():
    cells = [*days(300), *[None] * 20]
    sides = split_of(rows_with({"when": cells}, parts=[""] * 300 + ["test"] * 20, time="when"))

    assert sides.vault.sealed == tuple(range(300, 320))
    assert sides.validation == tuple(range(257, 300))


def test_a_time_that_decides_nothing_is_an_error():
    parts = [""] * 30 + ["validation"] * 10 + ["test"] * 10
    with pytest.raises(SettingError, match="nothing to decide"):
        split_of(rows_with({"when": days(50)}, parts=parts, time="when"))


def test_classes_that_time_keeps_apart_are_said():
    labels = ["old"] * 20 + [f"class {row % 2}" for row in range(360)] + ["new"] * 20
    sides = split_of(rows_with({"when": days(400)}, labels, time="when"))

    assert told(sides, "only in the test part", "'new'")
    assert told(sides, "without a test row", "'old'")


def test_the_id_of_a_split_changes_with_any_row_of_any_side():
    one = Split((0, 1), (2,), Vault((3, 4), "f"), "d", "l")
    ids = {
        one.id, replace(one, train=(1, 0)).id, replace(one, train=(0,)).id,
        replace(one, validation=(), train=(0, 1, 2)).id, replace(one, dataset="e").id,
        replace(one, vault=Vault((3,), "f")).id,
    }
    assert len(ids) == 6
    assert one.id == replace(one, notes=("said",), learning="m").id


def test_a_cluster_of_the_audit_is_tied_without_a_named_group():
    dataset = rows_with({"x": ["1"] * 40})
    sides = split(dataset, Audit(dataset.fingerprint(), (), twins=((4, 9),)), seed=0)
    assert sides.tied == ((4, 9),)
