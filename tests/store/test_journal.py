"""The journal: lines that last, files that rotate, and a reader that survives torn ones."""

import datetime
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fettle.core.errors import StoreError
from fettle.core.journal import Answered, Label, Labels, is_audited
from fettle.store import failpoints, journal

NOW = datetime.datetime(2026, 11, 21, 16, 5, 9, tzinfo=datetime.UTC)


def answered(number: int = 0, **changes) -> Answered:
    return Answered(**{
        "id": f"{number:032x}", "at": NOW + datetime.timedelta(seconds=number),
        "version": "messages@3", "value": "größe", "probabilities": np.array([0.123456789, 0.9]),
        "embedding": np.array([0.1, -2.0, 1e-9], np.float32), **changes,
    })


def files_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_is_read_in_its_order_and_rounded_to_five_digits(tmp_path):
    writer = journal.Journal(tmp_path / "journal" / "messages")
    writer.write([answered(1, inputs={"text": "a\nb"}), answered(2, embedding=None)])
    writer.write([answered(3, stream="audit")])

    found = journal.answers(writer.folder)
    assert [one.id[-1] for one in found.answers] == ["1", "2", "3"]
    first, second, third = found.answers
    assert first.probabilities.tolist() == [0.12346, 0.9]
    np.testing.assert_array_equal(first.embedding, np.array([0.1, -2.0, 0.0], np.float32))
    assert (first.at, first.value, first.inputs) == (answered(1).at, "größe", {"text": "a\nb"})
    assert second.embedding is None
    assert second.inputs is None
    assert third.stream == "audit"
    assert found.passed_over == ()


def test_what_was_seen_of_a_picture_is_kept_and_a_line_that_says_it_otherwise_is_passed_over(
    tmp_path
):
    writer = journal.Journal(tmp_path)
    writer.write([answered(1, traits={"brightness": 0.1234567, "size": 8.0}), answered(2)])
    found = journal.answers(tmp_path).answers
    assert [one.traits for one in found] == [{"brightness": 0.12346, "size": 8.0}, {}]
    (path,) = tmp_path.iterdir()
    lines = path.read_text().splitlines()
    odd = [lines[0].replace("0.12346", wrong) for wrong in ("NaN", '"dark"')]
    odd.append(lines[0].replace('{"brightness": 0.12346, "size": 8.0}', "[1]"))
    path.write_text("\n".join([*lines, *odd]) + "\n")
    again = journal.answers(tmp_path)
    assert (len(again.answers), len(again.passed_over)) == (2, 3)


def test_a_line_holds_the_agreed_keys_and_a_file_the_second_of_its_beginning(tmp_path):
    journal.Journal(tmp_path).write([answered()])
    (path,) = tmp_path.iterdir()
    assert journal.FILE.fullmatch(path.name)
    assert path.stat().st_mode & 0o077 == 0
    line = json.loads(path.read_text())
    assert set(line) == {"id", "at", "version", "value", "probabilities", "embedding", "stream"}
    assert (line["probabilities"], line["embedding"]) == ([0.12346, 0.9], [0.1, -2.0, 0.0])
    assert len(path.read_text()) < 260, "a rounded number is short on the disk as well"


def test_torn_lines_and_lines_that_say_something_else_are_passed_over_and_said(tmp_path):
    writer = journal.Journal(tmp_path)
    writer.write([answered(1)])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b'{"id": "00", "at": "2026-')
    writer.write([answered(2)])
    with path.open("ab") as stream:
        stream.write(b'{"id": "x"}\n\xff\xfe\n[1]\n')
        stream.write(json.dumps({**json.loads(path.read_bytes().splitlines()[0]),
                                 "stream": "other"}).encode() + b"\n")
        stream.write(b'{"id": "3", "at": "2026-11-21T16:05:09", "version": "m@1", "value": "a",'
                     b' "probabilities": [1.0], "stream": "user"}\n')
        stream.write(b"[" * 100_000 + b"\n")
    found = journal.answers(tmp_path)
    assert [one.id[-1] for one in found.answers] == ["1", "2"]
    assert len(found.passed_over) == 7
    for number in (2, 4, 5, 6, 7, 8, 9):
        assert any(f"Line {number} of {path}" in one for one in found.passed_over), number


def test_a_file_that_is_large_or_old_gets_no_further_answer(tmp_path):
    now = [0.0]
    writer = journal.Journal(
        tmp_path, file_bytes=1000, file_seconds=60.0, clock=lambda: now[0]
    )
    writer.write([answered(1)])
    writer.write([answered(2)])
    assert len(files_in(tmp_path)) == 1
    writer.write([answered(number) for number in range(3, 9)])
    writer.write([answered(9)])
    assert len(files_in(tmp_path)) == 2, "the first was full"
    now[0] = 61.0
    writer.write([answered(10)])
    assert len(files_in(tmp_path)) == 3, "the second was old"
    assert [int(one.id, 16) for one in journal.answers(tmp_path).answers] == list(range(1, 11))


def test_more_than_the_limit_is_not_kept_the_oldest_go_and_feedback_stays(tmp_path):
    journal.add_labels(tmp_path, [Label("0" * 32, "lost card", NOW, "user")])
    writer = journal.Journal(tmp_path, file_bytes=1, all_bytes=700)
    said = [sentence for number in range(12) for sentence in writer.write([answered(number)])]
    left = journal.answers(tmp_path).answers
    assert 1 <= len(left) < 12
    assert left[-1].id == answered(11).id
    assert len(said) == 12 - len(left)
    assert "at most 700 bytes" in said[0]
    assert len(journal.labels(tmp_path).labels) == 1


def test_what_was_just_written_stays_however_small_the_limit_is(tmp_path):
    writer = journal.Journal(tmp_path, all_bytes=0)
    assert writer.write([answered(1)]) == ()
    assert len(journal.answers(tmp_path).answers) == 1


def test_writers_of_one_folder_never_share_a_file(tmp_path):
    writers = [journal.Journal(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: pair[1].write([answered(pair[0])]), enumerate(writers)))
    assert len(files_in(tmp_path)) == 8
    assert len(journal.answers(tmp_path).answers) == 8


def test_a_full_disk_leaves_the_lines_before_and_the_next_write_goes_on(tmp_path):
    writer = journal.Journal(tmp_path)
    writer.write([answered(1)])
    failpoints.arm("enospc@append")
    try:
        with pytest.raises(StoreError, match="bytes are free"):
            writer.write([answered(2), answered(3)])
    finally:
        failpoints.arm("")
    writer.write([answered(4)])
    found = journal.answers(tmp_path)
    assert [one.id[-1] for one in found.answers] == ["1", "4"]
    assert found.passed_over == ()


def test_a_file_that_was_taken_away_is_followed_by_a_new_one(tmp_path):
    writer = journal.Journal(tmp_path / "deep")
    writer.write([answered(1)])
    for path in (tmp_path / "deep").iterdir():
        path.unlink()
    (tmp_path / "deep").rmdir()
    writer.write([answered(2)])
    assert [one.id[-1] for one in journal.answers(tmp_path / "deep").answers] == ["2"]


def test_times_the_newest_and_a_version_choose_what_is_read(tmp_path):
    writer = journal.Journal(tmp_path, file_bytes=1)
    for number in range(6):
        writer.write([answered(number, version=f"messages@{1 + number % 2}")])
    seconds = [answered(number).at for number in range(6)]

    def read(**asked) -> list[int]:
        return [int(one.id, 16) for one in journal.answers(tmp_path, **asked).answers]

    assert read(since=seconds[2], until=seconds[4]) == [2, 3]
    assert read(last=2) == [4, 5]
    assert read(last=2, keep=lambda one: one.version == "messages@1") == [2, 4]
    assert read(last=0) == []
    assert journal.answers(tmp_path / "none").answers == ()


def test_an_answer_that_is_no_number_is_not_made():
    with pytest.raises(ValueError, match="finite"):
        answered(probabilities=np.array([np.nan]))
    with pytest.raises(ValueError, match="stream"):
        answered(stream="audits")


def test_labels_are_kept_all_and_a_contradicted_one_settles_nothing(tmp_path):
    said = [("a", "x", "user"), ("b", "x", "audit"), ("a", "y", "audit"), ("b", "x", "user")]
    journal.add_labels(tmp_path, [Label(id, label, NOW, source) for id, label, source in said])
    found = journal.labels(tmp_path)
    assert [(one.id, one.label, one.source) for one in found.labels] == said
    assert found.contradicted == {"a": ("x", "y")}
    assert found.settled() == {"b": "x"}
    assert found.settled("audit") == {"a": "y", "b": "x"}  # nobody else takes rows out of it
    assert Labels((), ()).settled() == {}


def test_answers_and_labels_are_read_by_their_owner_alone_and_say_who_gave_them(tmp_path):
    journal.Journal(tmp_path).write([answered()])
    given = [Label("a", "x", NOW, "audit", "ann"), Label("a", "x", NOW, "audit"),
             Label("b", "x", NOW, "audit", "ann"), Label("b", "x", NOW, "user", "bob")]
    journal.add_labels(tmp_path, given)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    found = journal.labels(tmp_path)
    assert list(found.labels) == given
    assert found.people("audit") == {"a": "", "b": "ann"}


def test_a_torn_label_is_passed_over(tmp_path):
    journal.add_labels(tmp_path, [Label("a", "x", NOW, "user")])
    path = tmp_path / journal.FEEDBACK
    path.write_text(path.read_text() + '{"id": 7, "label": "x"}\n{"id": "b"')
    found = journal.labels(tmp_path)
    assert len(found.labels) == 1
    assert len(found.passed_over) == 2


def test_the_audit_stream_is_a_random_share_of_the_ids():
    ids = [uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128).hex
           for number in range(20_000)]
    share = sum(is_audited(id, 0.01) for id in ids) / len(ids)
    assert 0.007 < share < 0.013
    assert not any(is_audited(id, 0.0) for id in ids)
    assert all(is_audited(id, 1.0) for id in ids)
