"""Several labels a row, from file to split: found, told, refused; and spread evenly."""

import json
from pathlib import Path

import numpy as np
import pytest

from fettle.core.errors import InputError, SettingError, SplitError
from fettle.core.fixes import Fixes
from fettle.core.labels import indicators, unpacked
from fettle.core.plan import Reading
from fettle.stages.auditing import audit
from fettle.stages.reading import read, read_unlabelled
from fettle.stages.splitting import split

LABELS = ("card", "fee", "late", "loan")


def sets(number: int, seed: int = 0) -> list[tuple[str, ...]]:
    rng = np.random.default_rng(seed)
    chance = np.array([0.5, 0.3, 0.15, 0.05])
    return [tuple(np.array(LABELS)[rng.random(4) < chance].tolist()) for _ in range(number)]


def text(row: int) -> str:
    rng = np.random.default_rng(row)
    return f"message {row} says " + " ".join(
        "".join(rng.choice(list("abcdefghij"), 6)) for _ in range(6))


def csv(path: Path, number: int = 240, between: str = "|") -> Path:
    lines = [f'{text(row)},"{between.join(labels)}"' for row, labels in enumerate(sets(number))]
    path.write_text("text,labels\n" + "\n".join(lines) + "\n")
    return path


def jsonl(path: Path, number: int = 240) -> Path:
    lines = [json.dumps({"text": text(row), "labels": list(labels)})
             for row, labels in enumerate(sets(number))]
    path.write_text("\n".join(lines))
    return path


def columns(path: Path, number: int = 240) -> Path:
    lines = [",".join([text(row), *(str(int(one in labels)) for one in LABELS)])
             for row, labels in enumerate(sets(number))]
    path.write_text(f"text,{','.join(LABELS)}\n" + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("made", "target", "how"), [
    (csv, None, "|"),
    (lambda path: csv(path, between="; "), None, ";"),
    (lambda path: csv(path, between=","), None, ","),
    (columns, ",".join(LABELS), "columns"),
])
def test_every_form_gives_the_same_labels(tmp_path, made, target, how):
    found = read(Reading(data=str(made(tmp_path / "t.csv")), target=target))
    assert (found.schema.task, found.schema.several) == ("multi-label", how)
    assert [unpacked(cell) for cell in found.targets()] == sets(240)
    assert found.schema.inputs == ("text",)
    told = " ".join(found.schema.reasons)
    assert "without a label: a valid answer" in told
    if how != "columns":
        assert "several labels a row" in told
        assert "--task classification reads each cell as one label" in told


def test_lists_in_json_and_parquet_are_read(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    found = read(Reading(data=str(jsonl(tmp_path / "t.jsonl"))))
    assert (found.schema.several, [unpacked(cell) for cell in found.targets()]) == (
        "list", sets(240))
    table = pa.table({"text": [text(row) for row in range(240)],
                      "labels": pa.array([list(one) for one in sets(240)],
                                         pa.list_(pa.string()))})
    parquet.write_table(table, tmp_path / "t.parquet")
    again = read(Reading(data=str(tmp_path / "t.parquet")))
    assert again.targets() == found.targets()


def test_a_task_that_is_told_beats_what_is_found(tmp_path):
    data = str(csv(tmp_path / "t.csv"))
    assert read(Reading(data=data), task="classification").schema.several is None
    assert read(Reading(data=data), task="multi-label").schema.several == "|"


def test_several_labels_where_no_cell_holds_them_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"{text(r)},{'ab'[r % 2]}\n" for r in range(40)))
    with pytest.raises(InputError, match="--label-separator, or columns of 0 and 1"):
        read(Reading(data=str(path)), task="multi-label")
    with pytest.raises(InputError, match=r"No cell of column 'label' holds '\+'"):
        read(Reading(data=str(path), label_separator="+"))
    with pytest.raises(SettingError, match="Leave one of them away"):
        read(Reading(data=str(path), label_separator="|"), task="classification")
    with pytest.raises(SettingError, match="--target a,b,c"):
        read(Reading(data=str(path), label_separator="columns"))


def test_test_and_validation_files_are_read_in_the_same_way(tmp_path):
    data, test = csv(tmp_path / "t.csv"), csv(tmp_path / "test.csv", 30)
    found = read(Reading(data=str(data), test=str(test)))
    assert [unpacked(cell) for cell in found.targets()] == sets(240) + sets(30)


def test_new_rows_are_read_as_the_schema_has_labels(tmp_path):
    schema = read(Reading(data=str(csv(tmp_path / "t.csv")))).schema
    new = read_unlabelled(csv(tmp_path / "new.csv", 20), schema)
    assert [unpacked(cell) for cell in new.targets()] == sets(20)
    (tmp_path / "bare.csv").write_text("text\nhello\n")
    assert read_unlabelled(tmp_path / "bare.csv", schema).schema.target is None


def test_a_fix_gives_a_row_another_list_and_nothing_else(tmp_path):
    data = csv(tmp_path / "t.csv")
    old = read(Reading(data=str(data))).targets()[0]
    fixes = tmp_path / "fixes.csv"
    quoted = str(old).replace('"', '""')
    fixes.write_text(f'row,action,old,new\nt.csv:2,relabel,"{quoted}","[""new"",""card""]"\n')
    found = read(Reading(data=str(data), fixes=Fixes(str(fixes))))
    assert found.targets()[0] == '["card","new"]'
    fixes.write_text(f'row,action,old,new\nt.csv:2,relabel,"{quoted}",new\n')
    with pytest.raises(InputError, match=r"column 'new'.*no list of labels"):
        read(Reading(data=str(data), fixes=Fixes(str(fixes))))


def test_each_label_stands_on_each_side_by_its_share(tmp_path):
    found = read(Reading(data=str(csv(tmp_path / "t.csv", 800))))
    made = split(found, audit(found), seed=0)
    truth = indicators(found.targets(), LABELS)
    held = truth[list(made.vault.sealed)].sum(axis=0)
    assert len(made.vault.sealed) == 100
    assert np.abs(held - truth.sum(axis=0) / 8).max() <= 2
    tuned = truth[list(made.validation)].sum(axis=0)
    assert np.abs(tuned - truth.sum(axis=0) / 8).max() <= 2
    assert any("as many rows with each label" in note for note in made.notes)


def test_labels_that_groups_keep_from_a_side_are_named_one_by_one(tmp_path):
    path = tmp_path / "t.csv"
    lines = [f"{text(row)},{'loan|late' if row % 4 == 0 else 'late|fee' if row % 2 else 'fee'},"
             f"{'bank' if row % 4 == 0 else row % 9}" for row in range(200)]
    path.write_text("text,labels,who\n" + "\n".join(lines))
    found = read(Reading(data=str(path), group="who", label_separator="|"))
    made = split(found, audit(found), seed=0)
    assert any("'loan'" in note and "without a test row" in note for note in made.notes)


def test_the_audit_counts_labels(tmp_path):
    found = audit(read(Reading(data=str(csv(tmp_path / "t.csv")))))
    checks = {one.check: one for one in found.findings}
    assert "4 labels" in checks["company"].sentence
    assert "4 labels" in checks["balance"].sentence
    with pytest.raises(SplitError):
        split(read(Reading(data=str(csv(tmp_path / "u.csv", 100)))), found, seed=0)
