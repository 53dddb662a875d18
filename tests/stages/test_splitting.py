from itertools import chain

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fettle.core.audit import Audit, LeftOut
from fettle.core.dataset import Dataset, Schema
from fettle.core.errors import SplitError
from fettle.stages import splitting
from fettle.stages.auditing import audit
from fettle.stages.splitting import split

USUAL = splitting.FEWEST_FOR_VALIDATION
"""Before conftest lowers it for small stories."""


def rows_of(texts, labels, parts=None):
    return Dataset(
        "t.csv",
        pa.table({"text": pa.array(texts, pa.string()), "label": pa.array(labels, pa.string())}),
        Schema("label", ("text",)),
        tuple(f"t.csv:{row + 2}" for row in range(len(texts))),
        tuple(parts or [""] * len(texts)),
    )


def plain(rows, classes=4, part=""):
    """(texts, labels, parts) without twins."""
    texts = [f"{part or 'row'} {row}" for row in range(rows)]
    return texts, [f"class {row % classes}" for row in range(rows)], [part] * rows


def beside(*blocks):
    return [list(chain(*columns)) for columns in zip(*blocks, strict=True)]


def split_of(dataset, seed=0):
    return split(dataset, audit(dataset), seed=seed)


def left_out_of(found):
    return [row for out in found.left_out for row in out.rows]


given_rows = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from(["", "train", "validation", "test"]),
    ),
    min_size=4,
    max_size=60,
)


@given(given_rows, st.integers(0, 3), st.booleans())
def test_every_row_stands_in_one_place_and_twins_stand_together(rows, seed, unsplit):
    numbers, labels, parts = zip(*rows, strict=True)
    texts = [f"text {number}" if number else "" for number in numbers]
    dataset = rows_of(texts, labels, None if unsplit else parts)
    found = audit(dataset)
    try:
        sides = split(dataset, found, seed=seed)
    except SplitError:
        return

    everywhere = [*sides.learners, *sides.vault.sealed, *left_out_of(sides)]
    assert sorted(everywhere) == list(range(len(rows)))
    side_of = {
        row: side
        for side, members in enumerate((sides.train, sides.validation, sides.vault.sealed))
        for row in members
    }
    for cluster in found.twins:
        assert len({side_of[row] for row in cluster if row in side_of}) <= 1
    given_test = {row for row, part in enumerate(dataset.parts) if part == "test" and labels[row]}
    assert not given_test or given_test == set(sides.vault.sealed)


def test_without_given_parts_the_sides_are_75_and_12_and_a_half_twice_of_each_class():
    dataset = rows_of(*plain(800, classes=2))

    sides = split_of(dataset)

    sizes = (len(sides.train), len(sides.validation), len(sides.vault.sealed))
    assert sizes == (600, 100, 100)
    assert dataset.targets(sides.vault.sealed).count("class 0") == 50
    assert dataset.targets(sides.validation).count("class 0") == 50
    assert sides.notes[0] == (
        "The test part is 100 rows drawn from 800 with seed 0, as many of each class as its share."
    )


def test_rows_are_in_ascending_order_and_fingerprints_are_of_them():
    dataset = rows_of(*plain(400))

    sides = split_of(dataset)

    for rows in (sides.train, sides.validation, sides.vault.sealed):
        assert list(rows) == sorted(rows)
    assert sides.dataset == dataset.fingerprint()
    assert sides.vault.fingerprint == dataset.fingerprint(sides.vault.sealed)


def test_the_seed_given_is_the_seed_used():
    dataset = rows_of(*plain(400))

    assert split_of(dataset, seed=1) == split_of(dataset, seed=1)
    assert split_of(dataset, seed=1).train != split_of(dataset, seed=2).train


def test_with_a_given_test_part_a_seventh_of_the_rest_validates():
    sides = split_of(rows_of(*beside(plain(700), plain(50, part="test"))))

    assert len(sides.validation) == 100
    assert sides.vault.sealed == tuple(range(700, 750))


def test_given_parts_are_kept():
    blocks = plain(30, part="train"), plain(9, part="validation"), plain(20, part="test")

    sides = split_of(rows_of(*beside(*blocks)))

    assert (sides.train, sides.validation, sides.vault.sealed) == (
        tuple(range(30)),
        tuple(range(30, 39)),
        tuple(range(39, 59)),
    )


def test_with_a_given_validation_part_an_eighth_of_the_rest_is_the_test():
    sides = split_of(rows_of(*beside(plain(320, part="train"), plain(40, part="validation"))))

    assert sides.validation == tuple(range(320, 360))
    assert (len(sides.train), len(sides.vault.sealed)) == (280, 40)


def test_under_600_learning_rows_no_validation_part_is_carved_off(monkeypatch):
    monkeypatch.setattr(splitting, "FEWEST_FOR_VALIDATION", USUAL)
    few = split_of(rows_of(*beside(plain(599), plain(20, part="test"))))
    enough = split_of(rows_of(*beside(plain(600), plain(20, part="test"))))

    assert few.validation == ()
    assert len(few.train) == 599
    assert any("out of fold" in note for note in few.notes)
    assert len(enough.validation) == 86  # 600 / 7 is 85.7


def test_the_learning_rows_do_not_depend_on_what_the_test_rows_say():
    learning = beside(plain(350), plain(30, part="train"))
    one = split_of(rows_of(*beside(learning, plain(40, part="test"))))
    texts, labels, parts = plain(90, part="test")
    other = split_of(rows_of(*beside((texts[::-1], labels[::-1], parts), learning)))

    assert [row + 90 for row in one.train] == list(other.train)
    assert [row + 90 for row in one.validation] == list(other.validation)
    assert one.learning == other.learning


def test_a_learning_row_that_is_a_twin_of_a_test_row_is_left_out_and_test_rows_stay():
    texts, labels, parts = beside(plain(40), plain(10, part="test"))
    texts[3] = texts[45].upper()

    sides = split_of(rows_of(texts, labels, parts))

    assert left_out_of(sides) == [3]
    assert sides.left_out[0].check == "leaks"
    assert sides.vault.sealed == tuple(range(40, 50))


def test_a_cluster_found_in_another_way_does_not_cross_given_parts_either():
    dataset = rows_of(*beside(plain(40), plain(5, part="validation"), plain(10, part="test")))
    found = Audit(dataset.fingerprint(), (), twins=((0, 41, 50), (1, 42)))

    sides = split(dataset, found, seed=0)

    assert sorted(left_out_of(sides)) == [0, 1, 41]


def test_a_test_row_without_an_answer_is_left_out_and_listed():
    texts, labels, parts = beside(plain(40), plain(10, part="test"))
    labels[44] = None

    sides = split_of(rows_of(texts, labels, parts))

    assert 44 not in sides.vault.sealed
    assert sides.left_out == (LeftOut("missing", "nothing stands in 'label'", (44,)),)


def test_an_audit_cannot_take_a_test_row_that_can_be_scored():
    dataset = rows_of(*beside(plain(40), plain(10, part="test")))
    found = Audit(dataset.fingerprint(), (), left_out=(LeftOut("odd", "odd", (2, 44)),))

    sides = split(dataset, found, seed=0)

    assert 44 in sides.vault.sealed
    assert left_out_of(sides) == [2]


def test_the_audit_of_another_dataset_is_refused():
    with pytest.raises(SplitError, match="another dataset"):
        split(rows_of(*plain(20)), audit(rows_of(*plain(21))), seed=0)


def test_a_split_without_a_row_to_learn_from_is_refused():
    dataset = rows_of(*plain(8, part="test"))

    with pytest.raises(SplitError, match="No row is left to learn from"):
        split(dataset, Audit(dataset.fingerprint(), ()), seed=0)


def test_the_learning_rows_are_known_by_their_sides_too():
    first, second = plain(300), plain(60, part="validation")
    moved = [[*one, *other[:10]] for one, other in zip(first, second, strict=True)]
    moved[2] = [*first[2], *["train"] * 10]
    rest = [other[10:] for other in second]
    one = split_of(rows_of(*beside(first, second, plain(40, part="test"))))
    other = split_of(rows_of(*beside(moved, rest, plain(40, part="test"))))
    assert len(one.train) + 10 == len(other.train)
    assert one.learning != other.learning
