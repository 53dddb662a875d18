"""Parquet: the same text for the same value, and a clear word about a damaged file."""

import gzip

import pyarrow as pa
import pytest
from pyarrow import parquet

from fettle.core.errors import InputError
from fettle.formats.opening import source_of_file
from fettle.formats.parquet import read_parquet

TABLE = pa.table(
    {
        "text": ["a b", None, "NA"],
        "count": [7, None, 10**18],
        "gap": pa.array([7.0, None, float("nan")]),
        "share": [0.5, 1.0, 1e300],
        "flag": [True, False, None],
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        "large": pa.array(["p", "q", "r"], pa.large_string()),
        "nested": [{"a": [1]}, None, {"a": []}],
    }
)


def written(tmp_path, table=TABLE, name="tickets.parquet"):
    path = tmp_path / name
    parquet.write_table(table, path)
    return path


def test_every_column_is_text_and_rows_are_numbered_from_one(tmp_path):
    rows = read_parquet(source_of_file(written(tmp_path)))
    assert set(rows.table.schema.types) == {pa.string()}
    assert rows.ids == ("tickets.parquet:1", "tickets.parquet:2", "tickets.parquet:3")
    assert rows.table.to_pydict() == {
        "text": ["a b", None, "NA"],
        "count": ["7", None, "1000000000000000000"],
        "gap": ["7", None, None],
        "share": ["0.5", "1", "1e+300"],
        "flag": ["True", "False", None],
        "kind": ["x", "y", "x"],
        "large": ["p", "q", "r"],
        "nested": ['{"a":[1]}', None, '{"a":[]}'],
    }


def test_a_packed_file_reads_the_same(tmp_path):
    plain = written(tmp_path)
    packed = tmp_path / "tickets.parquet.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    rows = read_parquet(source_of_file(packed))
    assert rows.table == read_parquet(source_of_file(plain)).table
    assert rows.ids[0] == "tickets.parquet.gz:1"


def test_folders_named_like_partitions_add_no_column(tmp_path):
    folder = tmp_path / "split=train"
    folder.mkdir()
    assert "split" not in read_parquet(source_of_file(written(folder))).table.column_names


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "middle"])
def test_a_damaged_file_is_one_clear_error(tmp_path, damage):
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[:-10],
            "empty": b"",
            "text": b"text,label\na,b\n",
            "middle": whole[: len(whole) // 2] + b"\xff" * 400 + whole[len(whole) // 2 + 400 :],
        }[damage]
    )
    with pytest.raises(InputError, match=r"tickets.parquet cannot be read as Parquet"):
        read_parquet(source_of_file(path))


def test_a_damaged_packed_file_is_one_clear_error(tmp_path):
    path = tmp_path / "tickets.parquet.gz"
    path.write_bytes(gzip.compress(b"x" * 1000)[:-12])
    with pytest.raises(InputError, match="gzip file is damaged or cut short"):
        read_parquet(source_of_file(path))


def test_bytes_that_are_no_text_name_their_column(tmp_path):
    path = written(tmp_path, pa.table({"raw": [b"a", b"\xff"]}))
    with pytest.raises(InputError, match=r"Column 'raw' of tickets.parquet is no text"):
        read_parquet(source_of_file(path))


def test_a_file_without_rows_is_an_error(tmp_path):
    with pytest.raises(InputError, match="has no rows"):
        read_parquet(source_of_file(written(tmp_path, TABLE.slice(0, 0))))


def test_text_that_is_no_utf8_is_told_with_its_column_and_rows(tmp_path):
    path = tmp_path / "tickets.parquet"
    parquet.write_table(
        pa.table({"text": ["card lost", "late"], "label": ["a", "b"]}), path,
        compression="none", use_dictionary=False,
    )
    path.write_bytes(path.read_bytes().replace(b"card lost", b"card\x80lost"))
    with pytest.raises(InputError, match=r"tickets\.parquet, column 'text', rows 1 to 2: .*UTF8"):
        read_parquet(source_of_file(path))


BOMBS = {
    "a long value that comes again": pa.array(["x" * 50_000] * 1500),
    "the same, in the table's own words": pa.array(["x" * 50_000] * 1500).dictionary_encode(),
    "numbers that are all alike": pa.array([7] * 5_000_000),
}


@pytest.mark.parametrize("column", BOMBS.values(), ids=BOMBS)
def test_a_file_of_few_bytes_and_gigabytes_of_rows_is_refused_while_it_is_read(tmp_path, column):
    path = written(tmp_path, pa.table({"text": column, "label": column}))
    assert path.stat().st_size < 2_500_000
    with pytest.raises(InputError, match=r"would take more than 200 times as much"):
        read_parquet(source_of_file(path))


def test_many_rows_of_an_honest_file_come_in_their_order(tmp_path):
    texts = [f"text {at}" for at in range(2500)]
    path = written(tmp_path, pa.table({"text": texts, "label": ["a", "b"] * 1250}))
    assert read_parquet(source_of_file(path)).table.column("text").to_pylist() == texts
