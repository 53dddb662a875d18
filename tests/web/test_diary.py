"""The thread that writes the journal: a disk that says no delays nobody and is said."""

import datetime
import time
import uuid
from dataclasses import replace

import numpy as np
import pytest

from fettle.core.journal import Answered
from fettle.store import failpoints, journal
from fettle.web.diary import Diary
from patience import until


def answered():
    return Answered(uuid.uuid4().hex, datetime.datetime.now(datetime.UTC), "m@1", "a",
                    np.array([1.0]))


@pytest.fixture
def broken():
    """A disk on which every write to the journal fails until it is mended."""
    state = {"broken": True}

    class Broken(journal.Journal):
        def write(self, batch):
            if state["broken"]:
                failpoints.arm("enospc@append")
            try:
                return super().write(batch)
            finally:
                failpoints.arm("")

    return state, Broken


def test_answers_are_written_soon_and_all_at_the_end(tmp_path):
    diary = Diary(journal.Journal(tmp_path), say=print)
    first, second = answered(), answered()
    diary.note([first])
    until(lambda: journal.answers(tmp_path).answers)
    diary.note([second])
    diary.close()
    assert [one.id for one in journal.answers(tmp_path).answers] == [first.id, second.id]


def test_what_could_not_be_written_waits_and_is_written_once_it_can(tmp_path, broken):
    state, kind = broken
    said, lost = [], []
    diary = Diary(kind(tmp_path), say=said.append, lost=lost.append, again_seconds=0.05)
    batch = [answered() for _ in range(5)]
    diary.note(batch[:3])
    until(lambda: diary.failing)
    diary.note(batch[3:])
    time.sleep(0.2)
    assert len(said) == 1, "said once, not at every try"
    assert "answering goes on" in said[0]
    state["broken"] = False
    until(lambda: len(said) == 2)
    diary.close()
    assert "written again; 0 answers are not in it" in said[1]
    assert [one.id for one in journal.answers(tmp_path).answers] == [one.id for one in batch]
    assert lost == []


def test_the_oldest_are_lost_and_counted_where_too_many_wait(tmp_path, broken):
    state, kind = broken
    said, lost = [], []
    diary = Diary(kind(tmp_path), say=said.append, lost=lost.append, most=10, again_seconds=0.05)
    diary.note([answered()])
    until(lambda: diary.failing)
    last = [answered() for _ in range(30)]
    for one in last:
        diary.note([one])
    state["broken"] = False
    until(lambda: not diary.failing)
    diary.close()
    kept = [one.id for one in journal.answers(tmp_path).answers]
    assert kept == [one.id for one in last][-len(kept):]
    assert sum(lost) == 31 - len(kept)
    assert 0 < len(kept) <= 20


def test_what_waits_is_bounded_in_bytes_too_whatever_one_answer_keeps(tmp_path, broken):
    state, kind = broken
    said, lost = [], []
    diary = Diary(kind(tmp_path), say=said.append, lost=lost.append, most_bytes=30_000,
                  again_seconds=0.05)
    diary.note([answered()])
    until(lambda: diary.failing)
    last = [replace(answered(), inputs={"picture": "x" * 10_000}) for _ in range(8)]
    for one in last:
        diary.note([one])
    state["broken"] = False
    until(lambda: not diary.failing)
    diary.close()
    kept = [one.id for one in journal.answers(tmp_path).answers]
    assert kept[-1] == last[-1].id
    assert sum(lost) == 9 - len(kept)
    assert len(kept) <= 5, "two wait, and at most three were on their way"


def test_what_cannot_be_written_at_the_end_is_lost_aloud(tmp_path, broken):
    _, kind = broken
    said, lost = [], []
    diary = Diary(kind(tmp_path), say=said.append, lost=lost.append)
    diary.note([answered(), answered()])
    diary.close()
    assert sum(lost) == 2
    assert "2 answers are lost to the journal." in said
