"""JSON Lines: cells keep what was written, and a bad line is refused with its number."""

import pytest

from fettle.core.errors import InputError
from fettle.formats.json_lines import parse, read_json_lines
from fettle.formats.opening import source_of_bytes


def rows_of(*lines):
    return parse([line + "\n" for line in lines], name="tickets.jsonl")


def cells_of(line):
    return rows_of(line).table.to_pylist()[0]


@pytest.mark.parametrize(
    ("written", "cell"),
    [
        ("1234567890123456789012345", "1234567890123456789012345"),
        ("1.10", "1.10"),
        ("-0", "-0"),
        ("1e400", "1e400"),
        ("9" * 5000, "9" * 5000),
        ("true", "true"),
        ("false", "false"),
        ("null", None),
        ("NaN", None),
        ("Infinity", "Infinity"),
        ('"007"', "007"),
        ('"NA"', "NA"),
        ('""', ""),
        (r'"caf\u00e9 \ud83d\ude00"', "café 😀"),
        ('{"a": [1.50, "é", null, true]}', '{"a":[1.50,"é",null,true]}'),
    ],
)
def test_a_value_is_kept_as_it_is_written(written, cell):
    assert cells_of('{"v": ' + written + "}") == {"v": cell}


def test_a_key_that_a_line_lacks_is_a_missing_cell():
    rows = rows_of('{"a": "1"}', '{"b": "2", "a": "3"}')
    assert rows.table.to_pylist() == [{"a": "1", "b": None}, {"a": "3", "b": "2"}]


def test_keys_that_appear_after_many_rows_are_columns_all_the_same():
    rows = rows_of(*['{"a": "1"}'] * 50_001, '{"b": "2"}')
    assert rows.table.num_rows == 50_002
    assert rows.table.column("b").null_count == 50_001
    assert rows.table.column("b")[-1].as_py() == "2"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1, 2]", "a JSON list instead of an object"),
        ('"text"', "a JSON string instead of an object"),
        ("5", "a JSON number instead of an object"),
        ("null", "a JSON null instead of an object"),
        ('{"a": ', "not JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (r'{"a": "\u0000"}', "a NUL character"),
        (r'{"a": "\ud800"}', "half a surrogate pair"),
        (r'{"\udc00": "a"}', "half a surrogate pair"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_line_that_is_no_object_of_text_is_refused_with_its_number(line, reason):
    rows = rows_of('{"a": "x"}', "", line, '{"a": "y"}')
    assert rows.ids == ("tickets.jsonl:1", "tickets.jsonl:4")
    assert [record.place for record in rows.refused] == ["tickets.jsonl:3"]
    assert reason in rows.refused[0].reason


@pytest.mark.parametrize("lines", [["[", '{"a": 1}', "]"], ["{", '"a": 1', "}"], ['[{"a": 1}]']])
def test_json_over_several_lines_is_called_that(lines):
    if lines[0] == "[":
        assert len(rows_of(*lines).refused) == 2
        return
    with pytest.raises(InputError, match="not JSON Lines"):
        rows_of(*lines)


def test_a_file_of_other_things_names_the_first():
    with pytest.raises(InputError, match=r"tickets.jsonl:1: not JSON"):
        rows_of("text,label", "a,b")


def test_an_empty_file_is_an_error():
    with pytest.raises(InputError, match=r"tickets.jsonl is empty"):
        rows_of("", "  ")


def test_more_keys_than_columns_can_be_is_an_error():
    with pytest.raises(InputError, match="10,001 different keys"):
        rows_of(*(f'{{"key{n}": 1}}' for n in range(10_001)))


def test_five_thousand_columns_are_read():
    line = "{" + ",".join(f'"c{n}": {n}' for n in range(5_000)) + "}"
    assert rows_of(line, line).table.num_columns == 5_000


def test_a_mark_and_an_encoding_are_seen_as_in_csv():
    content = '{"text": "café"}\n'
    assert read_json_lines(source_of_bytes(content.encode("utf-16"), name="x")).ids == ("x:1",)
    with pytest.raises(InputError, match="--encoding cp1252"):
        read_json_lines(source_of_bytes(content.encode("cp1252"), name="x"))
