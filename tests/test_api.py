"""The verbs from Python: the same as on the command line, with tables and frames as data."""

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fettle
from fettle.core.errors import InputError, SettingError, UnknownName
from stories import texts_and_labels, write_rows

pytestmark = pytest.mark.usefixtures("on_this_machine", "workplace")
ROWS = texts_and_labels(60)
COLUMNS = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
TABLES = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "arrow": lambda: pa.table(COLUMNS),
}


@pytest.fixture
def tuned(tiny, workplace):
    return fettle.tune(pd.DataFrame(COLUMNS), model=str(tiny), rungs=("features",), name="mine")


def test_what_the_package_exports_is_there():
    for name in fettle.__all__:
        assert getattr(fettle, name) is not None
    with pytest.raises(AttributeError, match="tunee"):
        fettle.tunee  # noqa: B018


def test_a_frame_becomes_a_version_that_answers_texts(tuned):
    assert tuned.id == "mine@1"
    answers = fettle.predict(tuned, ["lost stolen card", "top up money"])
    assert [one.value for one in answers] == ["lost card", "top up"]
    assert [one.id for one in answers] == ["0", "1"]
    assert {one.version for one in answers} == {"mine@1"}


def test_a_version_answers_under_each_of_its_names(tuned, tmp_path):
    by_version = fettle.predict(tuned, ["lost card"])
    for reference in ("mine", "mine@1", tuned.folder):
        assert fettle.predict(reference, ["lost card"]) == by_version


@pytest.mark.parametrize("kind", TABLES)
def test_every_kind_of_table_is_planned_audited_and_answered_alike(kind, tuned, tiny):
    table = TABLES[kind]()
    assert fettle.plan(table, model=str(tiny), rungs=("features",)).id == tuned.plan
    assert isinstance(fettle.audit(table), fettle.Audit)
    answers = fettle.predict(tuned, table)
    expected = fettle.predict(tuned, COLUMNS["text"])
    assert [one.value for one in answers] == [one.value for one in expected]


def test_a_file_is_evaluated_as_on_the_command_line(tuned, tmp_path):
    new = texts_and_labels(20, seed=2, without=ROWS)
    made = fettle.evaluate(tuned, write_rows(tmp_path / "new.csv", new))
    assert made.rows == 20
    assert made.contender("mine@1").score("accuracy").rows == 20


def test_a_plan_from_python_can_be_followed(tiny):
    table = pd.DataFrame(COLUMNS)
    plan = fettle.plan(table, model=str(tiny), rungs=["features"])
    version = fettle.tune(table, model=str(tiny), plan=plan, rungs=["features"], seed=0)
    assert version.plan == plan.id
    for contradicts in ({"max_tokens": 9}, {"seed": 1}, {"rungs": ["features", "full"]}):
        with pytest.raises(SettingError, match="in the plan that is given with it"):
            fettle.tune(table, model=str(tiny), plan=plan, **contradicts)


def test_one_name_may_stand_for_a_list_of_one(tiny):
    made = fettle.plan(pd.DataFrame(COLUMNS), model=str(tiny), rungs="features", inputs="text")
    assert [rung.strategy for rung in made.rungs] == ["features"]
    assert made.reading.inputs == ("text",)


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [({"taret": "label"}, "target"), ({"rung": "full"}, "rungs"), ({"sed": 1}, "seed")],
)
def test_an_unknown_setting_is_an_error_with_the_nearest_name(asked, nearest):
    with pytest.raises(UnknownName, match=f"Did you mean '{nearest}'"):
        fettle.tune(pd.DataFrame(COLUMNS), **asked)


def test_an_unknown_column_is_an_error_with_the_nearest_name():
    with pytest.raises(UnknownName, match="Did you mean 'label'"):
        fettle.audit(pd.DataFrame(COLUMNS), target="lable")


@pytest.mark.parametrize("texts", [[""], ["lost card", "  "], [("lost", "card")], [3]])
def test_texts_that_cannot_be_answered_are_refused(tuned, texts):
    with pytest.raises((SettingError, InputError)):
        fettle.predict(tuned, texts)


def test_no_texts_at_all_are_refused(tuned):
    with pytest.raises(InputError, match="no rows"):
        fettle.predict(tuned, [])


def test_a_text_in_place_of_a_list_is_taken_for_a_file(tuned):
    with pytest.raises(InputError, match="no file"):
        fettle.predict(tuned, "lost card")


def test_every_error_is_one_that_says_what_to_do():
    with pytest.raises(fettle.FettleError):
        fettle.tune("nowhere.csv")
