import pyarrow as pa
import pytest

from fettle.core.dataset import Schema
from fettle.core.errors import InputError
from fettle.formats.targets import with_task


def kind(cells, *, told=None):
    found = with_task(Schema("y", ("text",)), pa.table({"y": [str(one) for one in cells]}),
                      told=told)
    return found.task, " ".join(found.reasons)


@pytest.mark.parametrize(("cells", "task", "why"), [
    (["yes", "no"] * 20, "classification", ""),
    ([1, 2, 3, 4, 5] * 20, "classification", "5 different whole numbers"),
    ([0.5 * (at % 9) for at in range(90)], "classification", "9 different numbers"),
    ([at % 60 for at in range(1200)], "classification", "without a gap"),
    ([18 + at % 60 for at in range(1200)], "regression", "60 different ones, 18 to 77"),
    ([at * 0.37 for at in range(100)], "regression", "regression"),
    (range(1, 101), "classification", ""),  # it counts the rows
    ([*(at * 0.37 for at in range(200)), "unknown"], "regression", "regression"),
    ([*(at * 0.37 for at in range(20)), "unknown"], "classification", ""),
    ([*(at * 0.37 for at in range(90)), "NaN", "inf", "-inf"], "regression", "90 different ones"),
    (["NaN"] * 9, "classification", ""),
    (["1e120", "2e120"] * 20, "classification", ""),  # larger than can be squared
])
def test_the_rule_says_what_the_target_is_and_why(cells, task, why):
    found, told = kind(cells)
    assert found == task
    assert why in told


def test_what_is_told_beats_the_rule():
    assert kind([1, 2, 3] * 9, told="regression")[0] == "regression"
    assert kind([0.37 * at for at in range(99)], told="classification")[0] == "classification"


@pytest.mark.parametrize("write", [
    lambda at: f"{at},5", lambda at: f"{at + 1},200", lambda at: f"1,{at + 200},000.75",
])
def test_numbers_with_commas_are_neither_labels_nor_names_unless_a_person_says_so(write):
    cells = [write(at) for at in range(60)]
    with pytest.raises(InputError, match=r"Column 'y' holds numbers with commas in 60 of 60"):
        kind(cells)
    assert kind(cells, told="classification")[0] == "classification"
    assert kind([f"{at % 7},{at % 5},{at % 3}" for at in range(60)])[0] == "multi-label"
