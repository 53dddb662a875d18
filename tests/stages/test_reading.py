"""Reading: what is the answer, what is read, which rows were given where, and what is refused."""

import re

import datasets
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.core.errors import FettleError, InputError, UnknownName
from fettle.core.plan import Reading
from fettle.stages.reading import read

ROWS = 40
TEXTS = [f"where is my card number {n}" for n in range(ROWS)]
LABELS = ["lost" if n % 2 else "found" for n in range(ROWS)]


def table(**columns):
    given = {"text": TEXTS, "label": LABELS} | columns
    return pa.table({name: cells for name, cells in given.items() if cells is not None})


def schema_of(target=None, inputs=(), **columns):
    return read(Reading(target=target, inputs=inputs), source=table(**columns)).schema


def write_csv(path, rows, header="text,label"):
    path.parent.mkdir(exist_ok=True)
    path.write_text(header + "\n" + "".join(f"{row}\n" for row in rows))
    return str(path)


def lines(count=ROWS, start=0):
    return [
        f"where is card {n},{'lost' if n % 2 else 'found'}" for n in range(start, start + count)
    ]


def test_a_file_becomes_rows_with_ids_parts_name_and_reasons(tmp_path):
    dataset = read(Reading(data=write_csv(tmp_path / "tickets.csv", lines())))
    assert (dataset.name, dataset.rows) == ("tickets", ROWS)
    assert dataset.ids[:2] == ("tickets.csv:2", "tickets.csv:3")
    assert set(dataset.parts) == {""}
    assert dataset.targets([0, 1]) == ["found", "lost"]
    assert dataset.fields([0]) == [("where is card 0",)]
    assert dataset.schema.reasons[0].startswith("Target: 'label', by its name")


@pytest.mark.parametrize("name", ["Label", "TARGET", "intent", "y", "Sentiment"])
def test_the_target_is_found_by_its_name_whatever_its_case(name):
    assert schema_of(label=None, **{name: LABELS}).target == name


def test_of_two_names_the_surer_one_is_the_target_and_the_other_is_told():
    schema = schema_of(category=["x", "y", "z", "x"] * 10)
    assert schema.target == "label"
    assert "'category' could be, too" in schema.reasons[0]


def test_the_only_column_with_few_cells_is_the_target():
    schema = schema_of(label=None, queue=LABELS)
    assert (schema.target, schema.inputs) == ("queue", ("text",))
    assert "few different cells (2)" in schema.reasons[0]
    assert schema_of(label=None, topic=["credit card", "bank account"] * 20).target == "topic"


def test_two_columns_that_could_be_the_target_are_asked_about():
    with pytest.raises(InputError, match=r"'queue', 'team' could be.*--target.*'text'"):
        schema_of(label=None, queue=LABELS, team=["a", "b", "b", "a"] * 10)


def test_no_column_that_could_be_the_target_is_asked_about():
    with pytest.raises(InputError, match="No column looks like labels"):
        schema_of(label=None)


def test_a_told_column_that_does_not_exist_offers_the_nearest_and_names_the_file(tmp_path):
    path = write_csv(tmp_path / "tickets.csv", lines())
    with pytest.raises(UnknownName, match=r"tickets.csv is called 'lable'. Did you mean 'label'"):
        read(Reading(data=path, target="lable"))
    with pytest.raises(UnknownName, match=r"Did you mean 'text'"):
        read(Reading(data=path, inputs=("txt",)))


def test_every_column_of_text_is_read_in_file_order_and_every_other_is_listed_with_a_reason():
    schema = schema_of(
        body=[f"please help me with it {n}" for n in range(ROWS)],
        id=[f"T-{n}" for n in range(ROWS)],
        name=[f"Ticket {n}" for n in range(ROWS)],
        day=[f"2024-01-{n % 28 + 1:02}" for n in range(ROWS)],
        at=[f"12 Mar 2024 10:{n}" for n in range(10, 10 + ROWS)],
        amount=[f"{n}.50" for n in range(ROWS)],
        mail=[f"a{n}@b.example" for n in range(ROWS)],
        source=["web form"] * ROWS,
        gap=pa.nulls(ROWS, pa.string()),
        queue=["q1", "q2", "q3", "q4"] * 10,
    )
    assert schema.inputs == ("text", "body")
    assert schema.unused == ("id", "name", "day", "at", "amount", "mail", "source", "gap", "queue")
    why = dict(re.findall(r"Column '(\w+)' is not read: it ([^.]*)\.", " ".join(schema.reasons)))
    assert why == {
        "id": "looks like an id",
        "name": "looks like an id",
        "day": "holds dates",
        "at": "holds dates",
        "amount": "holds numbers",
        "mail": "looks like an id",
        "source": "says the same in every row",
        "gap": "is empty in every row",
        "queue": "holds single words",
    }


def test_told_inputs_keep_their_order_whatever_they_look_like():
    schema = schema_of(inputs=("amount", "text"), amount=[str(n) for n in range(ROWS)])
    assert schema.inputs == ("amount", "text")


def test_a_short_text_that_always_stands_with_the_same_answer_is_not_read_unless_told():
    names = ["lost card" if label == "lost" else "found card" for label in LABELS]
    schema = schema_of(label_text=names)
    assert schema.inputs == ("text",)
    assert "gives the answer away" in schema.reasons[-1]
    assert schema_of(inputs=("text", "label_text"), label_text=names).inputs[1] == "label_text"


def test_texts_that_repeat_are_read_when_there_is_nothing_else():
    assert schema_of(text=[f"a {label} card" for label in LABELS]).inputs == ("text",)


def test_single_words_are_text_when_no_other_column_could_be():
    assert schema_of(text=[f"w{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(ROWS)]).inputs


def test_languages_without_blanks_between_words_are_text():
    chinese = [f"我的银行卡在哪里{chr(0x4E00 + n)}" for n in range(ROWS)]
    schema = schema_of(text=chinese, queue=["a", "b", "c", "d"] * 10)
    assert schema.inputs == ("text",)


def test_no_column_of_text_is_an_error_that_says_what_each_column_is():
    with pytest.raises(InputError, match=r"'n' holds numbers.*--inputs"):
        schema_of(text=None, n=[str(n) for n in range(ROWS)])
    with pytest.raises(InputError, match="--inputs"):
        schema_of(text=None)
    with pytest.raises(InputError, match="'text' is empty in every row"):
        schema_of(text=[""] * ROWS)


def test_the_target_as_an_input_is_an_input_that_is_the_answer():
    with pytest.raises(InputError, match="an input that is the answer"):
        schema_of(target="label", inputs=("text", "label"))
    with pytest.raises(InputError, match="twice"):
        schema_of(inputs=("text", "text"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [str(n) for n in range(ROWS)]}, "looks like an id; name the label column"),
        ({"label": ["lost"] * ROWS}, r"says 'lost' in every row, and a choice needs two classes"),
        ({"label": [""] * ROWS}, "'label' of the table is empty in every row"),
        ({"label": pa.nulls(ROWS, pa.string())}, "'label' of the table is empty in every row"),
        ({"label": ["a", "b"] + [""] * (ROWS - 2)}, "2 rows with an answer .* 8 are the fewest"),
    ],
)
def test_answers_that_cannot_teach_are_an_error(columns, message):
    with pytest.raises(InputError, match=message):
        schema_of(**columns)


def test_texts_that_are_all_empty_are_an_error_even_when_told():
    with pytest.raises(InputError, match="'text' of the table: empty in every row"):
        schema_of(inputs=("text",), text=[" ", ""] * 20)


def test_three_rows_are_too_few(tmp_path):
    with pytest.raises(InputError, match="3 rows with an answer"):
        read(Reading(data=write_csv(tmp_path / "t.csv", lines(3))))


def test_rows_without_an_answer_or_a_text_are_kept():
    labels = [None, "", *LABELS[2:]]
    assert read(Reading(), source=table(label=labels)).targets([0, 1]) == [None, ""]


def test_files_for_validation_and_test_give_their_rows_a_part(tmp_path):
    dataset = read(
        Reading(
            data=write_csv(tmp_path / "bank" / "train.csv", lines()),
            validation=write_csv(tmp_path / "bank" / "dev.csv", lines(2, 100)),
            test=write_csv(tmp_path / "bank" / "test.csv", lines(3, 200)),
        )
    )
    assert dataset.name == "bank"
    assert dataset.parts == ("",) * ROWS + ("validation",) * 2 + ("test",) * 3
    assert dataset.ids[ROWS] == "dev.csv:2"
    assert dataset.ids[-1] == "test.csv:4"


def test_files_of_one_name_have_different_ids(tmp_path):
    data = write_csv(tmp_path / "a" / "rows.csv", lines())
    test = write_csv(tmp_path / "b" / "rows.csv", lines(3))
    dataset = read(Reading(data=data, test=test))
    assert len(set(dataset.ids)) == dataset.rows


def test_one_file_for_two_parts_is_an_error(tmp_path):
    path = write_csv(tmp_path / "t.csv", lines())
    with pytest.raises(InputError, match="given twice"):
        read(Reading(data=path, test=path))


def test_a_test_file_without_the_target_names_the_file_and_the_nearest_column(tmp_path):
    data = write_csv(tmp_path / "train.csv", lines())
    test = write_csv(tmp_path / "test.csv", lines(3), header="text,Label")
    with pytest.raises(UnknownName, match=r"test.csv is called 'label'. Did you mean 'Label'"):
        read(Reading(data=data, test=test))


def test_columns_that_only_some_files_have_are_kept_and_told(tmp_path):
    data = write_csv(tmp_path / "train.csv", [f"{n},{row}" for n, row in enumerate(lines())],
                     header="id,text,label")  # fmt: skip
    test = write_csv(tmp_path / "test.csv", [f"{row},x" for row in lines(3)],
                     header="text,label,note")  # fmt: skip
    dataset = read(Reading(data=data, test=test))
    assert dataset.schema.unused == ("id", "note")
    assert dataset.column("id", [0, ROWS]) == ["0", None]
    assert dataset.column("note", [0, ROWS]) == [None, "x"]
    assert "train.csv has no column 'note'" in " ".join(dataset.schema.reasons)


def test_a_test_file_without_an_answer_is_an_error(tmp_path):
    data = write_csv(tmp_path / "train.csv", lines())
    test = write_csv(tmp_path / "test.csv", ["where is it,"] * 3)
    with pytest.raises(InputError, match=r"None of the 3 test rows, test.csv:2 first"):
        read(Reading(data=data, test=test))


@pytest.mark.parametrize("name", ["split", "Set", "fold", "part"])
def test_a_column_that_says_the_part_is_believed_and_not_read(name):
    said = ["train"] * (ROWS - 6) + ["dev", "VAL", "valid", "test", "test", "Test "]
    dataset = read(Reading(), source=table(**{name: said}))
    assert dataset.parts[-7:] == ("train", *["validation"] * 3, *["test"] * 3)
    assert name in dataset.schema.unused
    assert f"Column {name!r} says which part a row belongs to." in dataset.schema.reasons


@pytest.mark.parametrize("said", ["train", "other"])
def test_a_column_called_split_that_divides_nothing_or_says_something_else_is_no_split(said):
    cells = ["train"] * (ROWS - 1) + [said]
    assert set(read(Reading(), source=table(split=cells)).parts) == {""}


def test_nothing_is_found_out_from_test_rows():
    """The label of the test rows would make two classes of one."""
    labels = ["lost"] * (ROWS - 4) + ["found"] * 4
    said = ["train"] * (ROWS - 4) + ["test"] * 4
    with pytest.raises(InputError, match="'lost' in every row"):
        read(Reading(), source=table(label=labels, split=said))


def test_a_dataset_dict_keeps_its_parts():
    part = datasets.Dataset.from_dict({"text": TEXTS, "label": LABELS})
    both = datasets.DatasetDict(train=part, test=part.select(range(5)))
    dataset = read(Reading(), source=both, name="cards")
    assert dataset.name == "cards"
    assert dataset.parts == ("train",) * ROWS + ("test",) * 5


def test_a_table_can_be_joined_by_a_test_file(tmp_path):
    test = write_csv(tmp_path / "test.csv", lines(3))
    dataset = read(Reading(test=test), source=pd.DataFrame({"text": TEXTS, "label": LABELS}))
    assert dataset.ids[ROWS - 1 : ROWS + 1] == ("row:40", "test.csv:2")
    assert dataset.name == "table"


def test_few_refused_records_are_left_out_and_told(tmp_path):
    rows = [*lines(200), "too,many,cells"]
    dataset = read(Reading(data=write_csv(tmp_path / "t.csv", rows)))
    assert dataset.rows + len(dataset.refused) == 201
    assert dataset.refused[0].place == "t.csv:202"
    assert "1 record of t.csv cannot be read" in dataset.schema.reasons[-1]


def test_many_refused_records_end_the_reading_and_the_first_are_listed(tmp_path):
    rows = ["too,many,cells", *lines(50), "one"]
    with pytest.raises(InputError, match=r"2 of the 52 records.*t.csv:2: 3 cells instead of 2"):
        read(Reading(data=write_csv(tmp_path / "t.csv", rows)))


def test_how_a_file_was_read_stands_among_the_reasons(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text;label\n" + "".join(f"{row.replace(',', ';')}\n" for row in lines()),
                    encoding="utf-16")  # fmt: skip
    reasons = " ".join(read(Reading(data=str(path))).schema.reasons)
    assert "read as UTF-16" in reasons
    assert "';' separates" in reasons


def test_an_encoding_that_is_told_is_used_for_every_file(tmp_path):
    for name in ("a.csv", "b.csv"):
        rows = "".join(f"{row}\n" for row in lines())
        (tmp_path / name).write_text("text,label\ncafé,lost\n" + rows, encoding="cp1252")
    reading = Reading(data=str(tmp_path / "a.csv"), test=str(tmp_path / "b.csv"), encoding="cp1252")
    assert read(reading).fields([0, ROWS + 1]) == [("café",), ("café",)]


def test_no_data_is_an_error_and_a_text_file_is_not_for_learning(tmp_path):
    with pytest.raises(InputError, match="No data was named"):
        read(Reading())
    (tmp_path / "t.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match=r"ends in \.txt"):
        read(Reading(data=str(tmp_path / "t.txt")))


BASE = ("text,label\n" + "\n".join(lines(120)) + "\n").encode()


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.integers(0, len(BASE)), st.integers(0, 30), st.binary(max_size=3)),
        max_size=3,
    )
)
def test_whatever_the_bytes_there_is_a_dataset_or_one_clear_error(tmp_path_factory, mutations):
    raw = BASE
    for place, removed, added in mutations:
        raw = raw[:place] + added + raw[place + removed :]
    path = tmp_path_factory.mktemp("fuzz") / "t.csv"
    path.write_bytes(raw)
    try:
        dataset = read(Reading(data=str(path)))
    except FettleError:
        return
    places = {*dataset.ids, *(record.place for record in dataset.refused)}
    assert len(places) == dataset.rows + len(dataset.refused)


def test_a_task_that_is_none_is_answered_with_the_nearest(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "where is it,lost\nit is here,found\n" * 5)
    with pytest.raises(UnknownName, match="Did you mean 'classification'"):
        read(Reading(data=str(tmp_path / "a.csv")), task="clasification")
