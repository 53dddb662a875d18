"""CSV and TSV: what stays as it is, what is refused, and what stops the reading."""

import csv
import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.core.errors import FettleError, InputError, UnknownName
from fettle.formats.opening import source_of_bytes, source_of_file
from fettle.formats.separated import parse, read_csv, read_tsv


def csv_of(content, encoding=None):
    raw = content.encode() if isinstance(content, str) else content
    return read_csv(source_of_bytes(raw, name="tickets.csv"), encoding)


def tsv_of(content):
    return read_tsv(source_of_bytes(content.encode(), name="tickets.tsv"))


def test_labels_that_other_readers_damage_stay_as_they_are_written():
    odd = [
        "NA",
        "None",
        "null",
        "n/a",
        "007",
        "True",
        "1e5",
        "1234567890123456789012345",
        " x ",
        "",
    ]
    rows = csv_of("text,label\n" + "".join(f"a b,{cell}\n" for cell in odd))
    assert rows.table.column("label").to_pylist() == odd


def test_an_id_is_the_line_on_which_its_record_begins():
    rows = csv_of('text,label\n"two\nlines",a\n\nplain,b\r\n"three\n\nlines",c\nlast,d')
    assert rows.ids == ("tickets.csv:2", "tickets.csv:5", "tickets.csv:6", "tickets.csv:9")
    assert rows.table.column("text")[0].as_py() == "two\nlines"
    assert rows.refused == ()


def test_line_ends_of_old_macs_are_line_ends():
    rows = csv_of(b"text,label\rone,a\rtwo,b\r")
    assert rows.table.column("text").to_pylist() == ["one", "two"]
    assert rows.ids == ("tickets.csv:2", "tickets.csv:3")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_taken_from_the_header_and_told(separator):
    rows = csv_of(f"text{separator}label\none, two{separator}a\n")
    assert rows.table.to_pylist() == [{"text": "one, two", "label": "a"}]
    assert "separates the cells of tickets.csv" in rows.notes[0]


def test_a_separator_inside_a_quoted_name_does_not_count():
    assert csv_of('"a;b;c",label\nx,y\n').table.column_names == ["a;b;c", "label"]


def test_the_line_in_which_excel_names_the_separator_is_no_header():
    rows = csv_of("sep=;\ntext;label\none;a\n")
    assert rows.table.column_names == ["text", "label"]
    assert rows.ids == ("tickets.csv:3",)


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_seen_and_no_part_of_the_first_name(mark):
    rows = csv_of("text,label\ncafé,a\n".encode(mark))
    assert rows.table.to_pylist() == [{"text": "café", "label": "a"}]
    assert bool(rows.notes) == (mark != "utf-8-sig")
    told = csv_of("text,label\ncafé,a\n".encode(mark), mark.removesuffix("-sig"))
    assert told.table == rows.table


def test_bytes_that_are_not_utf8_name_line_byte_and_the_encoding_to_try():
    raw = "text,label\nplain,a\ncafé noir,b\n".encode("cp1252")
    with pytest.raises(InputError) as caught:
        csv_of(raw)
    message = str(caught.value)
    assert "tickets.csv, line 3: the byte 0xe9 (byte 23 of the file) is not UTF-8" in message
    assert "--encoding cp1252, which reads 'café noir,b' there" in message
    assert csv_of(raw, "cp1252").table.column("text")[1].as_py() == "café noir"


def test_bytes_that_cp1252_does_not_know_are_offered_as_latin_1():
    with pytest.raises(InputError, match=r"line 2.*--encoding latin-1"):
        csv_of(b"text,label\nx\x81\xe9,a\n")


def test_a_file_that_mixes_encodings_is_called_that():
    with pytest.raises(InputError, match=r"line 3.*mixes encodings"):
        csv_of("text,label\ncafé,a\n".encode() + b"caf\xe9,b\n")


def test_a_wrong_encoding_that_was_told_is_not_believed():
    with pytest.raises(InputError, match=r"is not ASCII. Try --encoding utf-8"):
        csv_of("text,label\ncafé,a\n".encode(), "ascii")
    with pytest.raises(InputError, match="byte order mark of UTF-16"):
        csv_of("text,label\nx,a\n".encode("utf-16"), "cp1252")


@pytest.mark.parametrize("name", ["utf-9", "cp12522", "hex", "idna", "undefined", "\0", ""])
def test_an_unknown_encoding_is_an_error(name):
    with pytest.raises(UnknownName, match="No encoding"):
        csv_of("text,label\nx,a\n", name)


def test_the_nearest_encoding_is_offered():
    with pytest.raises(UnknownName, match="Did you mean 'utf-8'"):
        csv_of("text,label\nx,a\n", "utf8x")


def test_a_cell_of_ten_megabytes_is_read_and_pythons_own_limit_is_left_alone():
    before = csv.field_size_limit(1000)
    rows = csv_of("text,label\n" + "word " * 2_000_000 + ",a\n")
    assert len(rows.table.column("text")[0].as_py()) == 10_000_000
    assert csv.field_size_limit(before) == 1000


def test_a_nul_is_refused_with_its_line():
    with pytest.raises(InputError, match=r"tickets.csv, line 3: a NUL"):
        csv_of("text,label\na,b\nc\0,d\n")


def test_utf16_without_a_mark_is_recognised_by_its_nuls():
    with pytest.raises(InputError, match="--encoding utf-16-le"):
        csv_of("text,label\na,b\n".encode("utf-16-le"))
    assert csv_of("text,label\na,b\n".encode("utf-16-le"), "utf-16-le").ids == ("tickets.csv:2",)


def test_a_quote_that_never_closes_is_named_where_it_was_opened():
    with pytest.raises(InputError, match=r"tickets.csv, line 3: a quote is opened"):
        csv_of('text,label\na,b\n"c,d\n' + "e,f\n" * 50)


def test_a_quote_that_swallows_lines_until_the_next_quoted_cell_is_named_where_it_was_opened():
    with pytest.raises(InputError, match=r"tickets.csv, line 2: a quote is opened"):
        csv_of('text,label\n"a,b\nc,d\n"e",f\n' + "g,h\n" * 500)


def test_a_quote_that_closes_inside_a_cell_refuses_that_record_only():
    rows = csv_of('text,label\n"a" b,c\nd,e\n')
    assert [record.place for record in rows.refused] == ["tickets.csv:2"]
    assert rows.ids == ("tickets.csv:3",)


def test_a_quote_inside_a_plain_cell_is_text():
    assert csv_of('text,label\n5" pipe,a\n').table.column("text")[0].as_py() == '5" pipe'


@pytest.mark.parametrize("ragged", ["a,b,c", "a"])
def test_ragged_records_are_refused_with_line_and_counts_even_the_first_and_nothing_shifts(ragged):
    rows = csv_of(f"text,label\n{ragged}\none,x\ntwo,y\n{ragged}\n")
    found = ragged.count(",") + 1
    assert [record.place for record in rows.refused] == ["tickets.csv:2", "tickets.csv:5"]
    assert rows.refused[0].reason == f"{found} cells instead of 2"
    assert rows.table.column("label").to_pylist() == ["x", "y"]


def test_a_ragged_record_over_several_lines_asks_for_the_quote():
    rows = csv_of('text,label\n"a,b\nc,d"\none,x\n')
    assert rows.refused[0].reason.endswith("over 2 lines: is a quote left open?")


def test_two_columns_of_one_name_are_an_error_with_both_positions():
    with pytest.raises(InputError, match=r"Columns 1 and 3 of tickets.csv are both called 'text'"):
        csv_of("text,label, text\na,b,c\n")


def test_a_column_without_a_name_is_an_error_with_its_position():
    with pytest.raises(InputError, match=r"Column 1 of tickets.csv has no name"):
        csv_of(",text,label\n0,a,b\n")


def test_an_empty_column_behind_a_trailing_separator_is_left_out_and_told():
    rows = csv_of("text,label,\na,b,\nc,d, \n")
    assert rows.table.column_names == ["text", "label"]
    assert "Column 3" in rows.notes[0]


def test_blanks_around_a_name_are_removed_and_told():
    rows = csv_of("text, label \na,b\n")
    assert rows.table.column_names == ["text", "label"]
    assert "' label '" in rows.notes[0]


@pytest.mark.parametrize("content", ["", "\n\n", "  \n"])
def test_an_empty_file_is_an_error(content):
    with pytest.raises(InputError, match=r"tickets.csv is empty"):
        csv_of(content)


def test_a_header_without_rows_is_an_error():
    with pytest.raises(InputError, match="has a header and no rows"):
        csv_of("text,label\n\n")


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08\x00", b"PK\x03\x04rest", b"PAR1rest"])
def test_another_format_under_the_name_of_csv_is_called_by_its_own(content):
    with pytest.raises(InputError, match="whatever its name says"):
        csv_of(content)


def test_a_gzip_file_that_is_cut_short_says_after_which_line(tmp_path):
    whole = gzip.compress(("text,label\n" + "".join(f"{n},a\n" for n in range(50_000))).encode())
    path = tmp_path / "tickets.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"tickets.csv.gz, after line \d+: the gzip file"):
        read_csv(source_of_file(path))
    path.write_bytes(b"not gzip at all")
    with pytest.raises(InputError, match=r"tickets.csv.gz: the gzip file is damaged"):
        read_csv(source_of_file(path))
    path.write_bytes(whole[:200] + b"\xff" * 50 + whole[250:])
    with pytest.raises(InputError, match="gzip file is damaged"):
        read_csv(source_of_file(path))


def test_a_tab_file_with_quotes_that_do_not_pair_up_is_read_with_quotes_as_text():
    rows = tsv_of('text\tlabel\n"open\ta\nsay "x"\tb\n"y" z\tc\n')
    assert rows.table.column("text").to_pylist() == ['"open', 'say "x"', '"y" z']
    assert rows.ids == ("tickets.tsv:2", "tickets.tsv:3", "tickets.tsv:4")
    assert "do not pair up" in rows.notes[0]


def test_a_tab_file_with_proper_quotes_loses_them():
    rows = tsv_of('text\tlabel\n"a\tb"\tc\n')
    assert rows.table.to_pylist() == [{"text": "a\tb", "label": "c"}]


def test_records_can_come_from_any_lines():
    assert parse(["text,label\n", "a,b\n"], name="list").ids == ("list:2",)


BASE = ("text,label\n" + "".join(f'"mark{n:04} é, ""x""",{n % 3}\n' for n in range(150))).encode()
BYTES = [
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b";",
    b"\t",
    b"",
    b'""',
]


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, len(BASE)), st.integers(0, 3), st.sampled_from(BYTES)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([None, None, "cp1252", "utf-16"]),
)
def test_no_mutation_of_a_csv_loses_a_record_or_escapes_as_another_exception(mutations, encoding):
    raw = BASE
    for place, removed, added in mutations:
        raw = raw[:place] + added + raw[place + removed :]
    try:
        rows = csv_of(raw, encoding)
    except FettleError:
        return
    lines = (
        raw.decode(encoding or "utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    )
    cells = {
        int(id_.split(":")[1]): " ".join(str(cell) for cell in row.values())
        for id_, row in zip(rows.ids, rows.table.to_pylist(), strict=True)
    }
    refused = {int(record.place.split(":")[1]) for record in rows.refused}
    starts = sorted(cells | dict.fromkeys(refused))
    assert len(starts) == len(rows.ids) + len(rows.refused)
    for number, line in enumerate(lines, 1):
        for mark in (word for word in line.replace('"', " ").split() if word.startswith("mark")):
            begun = [start for start in starts if start <= number]
            if begun and begun[-1] in cells:  # every word of a line stands in the record around it
                assert mark.strip(",;") in cells[begun[-1]].replace('"', " ")
