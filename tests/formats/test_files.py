"""Files and pipes: the right reader, or a word on what can be read."""

import gzip

import pytest

from fettle.core.errors import InputError
from fettle.formats import FORMATS, TEXT_FORMATS
from fettle.formats.files import rows_of_file, rows_of_stream, stem


def read(path, formats=FORMATS):
    return rows_of_file(path, formats=formats)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "text,label\na,b\n"),
        ("t.TSV", "text\tlabel\na\tb\n"),
        ("t.jsonl", '{"text": "a", "label": "b"}\n'),
    ],
)
def test_the_ending_chooses_the_reader_packed_or_not(tmp_path, name, content, packed):
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    rows = read(path)
    assert rows.table.to_pylist() == [{"text": "a", "label": "b"}]
    assert rows.ids[0].startswith(path.name + ":")


@pytest.mark.parametrize("name", ["t.xlsx", "t.json", "t", "t.csv.zip", ".gz", "t.txt", "t.pkl"])
def test_an_unknown_ending_lists_what_can_be_read(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(
        InputError, match=r"\.csv, \.tsv, \.jsonl or \.parquet, each also with \.gz"
    ):
        read(tmp_path / name)


def test_a_missing_file_offers_the_nearest(tmp_path):
    (tmp_path / "tickets.csv").write_text("x")
    with pytest.raises(InputError, match=r"Did you mean '.*tickets\.csv'"):
        read(tmp_path / "tikets.csv")
    with pytest.raises(InputError, match="There is no folder"):
        read(tmp_path / "nowhere" / "tickets.csv")
    with pytest.raises(InputError, match="There is no file"):
        read(tmp_path / "unlike")


@pytest.mark.parametrize("name", ["a\0b.csv", "x" * 5000 + ".csv"])
def test_a_path_that_no_disk_takes_is_an_error(tmp_path, name):
    with pytest.raises(InputError):
        read(tmp_path / name)


def test_a_folder_is_an_error_that_names_its_files(tmp_path):
    (tmp_path / "tickets.csv").write_text("x")
    with pytest.raises(InputError, match=r"is a folder.*tickets\.csv"):
        read(tmp_path)


def test_plain_lines_are_texts_where_they_are_allowed(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("one, two\n\nthree\n")
    rows = read(path, TEXT_FORMATS)
    assert rows.table.to_pydict() == {"text": ["one, two", "three"]}
    assert rows.ids == ("notes.txt:1", "notes.txt:3")
    assert rows.notes == ("1 blank line of notes.txt left out.",)


def test_a_pipe_gives_json_lines_or_plain_lines():
    objects = rows_of_stream(b'\n{"text": "a"}\n{"text": "b"}\n', name="stdin")
    assert objects.table.to_pydict() == {"text": ["a", "b"]}
    assert objects.ids == ("stdin:2", "stdin:3")
    texts = rows_of_stream(b"{curly} text\nb\n", name="stdin")
    assert texts.table.to_pydict() == {"text": ["{curly} text", "b"]}
    with pytest.raises(InputError, match="stdin is empty"):
        rows_of_stream(b"", name="stdin")


def test_a_name_is_the_stem_or_the_folder_of_train_and_data(tmp_path):
    assert stem(tmp_path / "tickets.csv.gz") == "tickets"
    assert stem(tmp_path / "tickets.2024.csv") == "tickets.2024"
    assert stem(tmp_path / "bank" / "train.csv") == "bank"
    assert stem(tmp_path / "bank" / "data.parquet.gz") == "bank"
