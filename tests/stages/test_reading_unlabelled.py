"""Reading rows that are to be answered: no target is needed, and what cannot be read is told."""

import hashlib
import io
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

from fettle.core.dataset import Schema
from fettle.core.errors import InputError, UnknownName
from fettle.core.pictures import cell_of_bytes, cell_of_hash
from fettle.stages.reading import read_unlabelled
from pictures import drawn, encoded

SCHEMA = Schema("label", ("text",))


def write_csv(path, rows, header):
    path.write_text(header + "\n" + "".join(f"{row}\n" for row in rows))
    return str(path)


def test_rows_to_be_answered_need_no_target(tmp_path):
    dataset = read_unlabelled(
        write_csv(tmp_path / "new.csv", ["1,where", "2,how"], "id,text"), SCHEMA
    )
    assert dataset.schema.target is None
    assert dataset.schema.unused == ("id",)
    assert dataset.fields() == [("where",), ("how",)]
    assert dataset.name == "new"


def test_rows_to_be_answered_keep_a_target_that_is_there(tmp_path):
    path = tmp_path / "new.parquet"
    parquet.write_table(pa.table({"text": ["where"], "label": ["lost"]}), path)
    assert read_unlabelled(path, SCHEMA).schema.target == "label"


def test_a_missing_input_offers_the_nearest_column(tmp_path):
    path = write_csv(tmp_path / "new.csv", ["1,where"], "id,texts")
    with pytest.raises(UnknownName, match=r"new.csv is called 'text'. Did you mean 'texts'"):
        read_unlabelled(path, SCHEMA)


def test_the_only_column_is_the_only_input_whatever_its_name(tmp_path):
    dataset = read_unlabelled(write_csv(tmp_path / "new.csv", ["where"], "question"), SCHEMA)
    assert dataset.fields() == [("where",)]
    assert "'question', is 'text'" in dataset.schema.reasons[0]


def test_refused_rows_are_kept_however_many(tmp_path):
    path = write_csv(tmp_path / "new.csv", ["1,where", "2", "3,a,b"], "id,text")
    dataset = read_unlabelled(path, SCHEMA)
    assert dataset.ids == ("new.csv:2",)
    assert [record.place for record in dataset.refused] == ["new.csv:3", "new.csv:4"]
    with pytest.raises(InputError, match=r"No row of new.csv can be read. new.csv:2: 1 cells"):
        read_unlabelled(write_csv(tmp_path / "new.csv", ["1"], "id,text"), SCHEMA)


def test_texts_come_from_a_text_file_a_list_and_a_pipe(tmp_path, monkeypatch):
    (tmp_path / "new.txt").write_text("where, how\nwhen\n")
    expected = [("where, how",), ("when",)]
    other = Schema("label", ("question",))
    assert read_unlabelled(tmp_path / "new.txt", other).fields() == expected
    assert read_unlabelled(["where, how", "when"], other).fields() == expected
    for raw in (b"where, how\nwhen\n", b'{"question": "where, how"}\n{"question": "when"}\n'):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        dataset = read_unlabelled("-", other)
        assert dataset.fields() == expected
        assert dataset.ids == ("stdin:1", "stdin:2")


@pytest.mark.usefixtures("on_this_machine")
def test_pictures_in_the_cells_of_a_csv_are_read_where_the_model_reads_pictures(tmp_path):
    content = encoded(drawn("disc", seed=0))
    path = write_csv(tmp_path / "back.csv", [f'"{cell_of_bytes(content)}",disc'], "picture,label")
    found = read_unlabelled(path, Schema("label", ("picture",), modality="image"))
    assert found.fields() == [(cell_of_hash(hashlib.sha256(content).hexdigest()),)]
    assert found.targets() == ["disc"]
    again = write_csv(tmp_path / "hash.csv", [f"{found.fields()[0][0]},disc"], "picture,label")
    assert read_unlabelled(again, found.schema).fields() == found.fields()
    with pytest.raises(InputError, match=r"texts.csv holds no pictures"):
        read_unlabelled(write_csv(tmp_path / "texts.csv", ["a,disc"], "picture,label"),
                        found.schema)
