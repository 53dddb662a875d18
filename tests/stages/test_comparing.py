import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fettle.core.errors import InputError, StoreError
from fettle.stages.comparing import compare
from fettle.store import records
from fettle.store.answers import kept_answers
from stories import copy_of, write_rows


@pytest.fixture(scope="module")
def two(tmp_path_factory, tell, sentences, rows):
    """Two runs of one file: a frozen backbone, and a tuned one."""
    folder = tmp_path_factory.mktemp("two")
    data = write_rows(folder / "tickets.csv", rows)
    return [tell(folder, data, model=sentences, rungs=(rung,), out=str(folder / rung))
            for rung in ("features", "full")]


def test_what_changed_and_what_came_of_it_paired(two):
    first, second = two
    made = compare(first.run_folder, second.run_folder)

    changed = {one.what: (one.first, one.second) for one in made.changes}
    assert changed["rungs.full.climbed"] == ("", "yes")
    assert changed["rung that was kept"] == ("features", "full")
    assert not any(name.startswith("classes") or name == "seed" for name in changed)

    right = []
    for one in two:
        outputs, targets = kept_answers(one.run_folder)
        right.append(outputs.argmax(axis=1) == targets)
    assert made.comparison.wins == (right[1] & ~right[0]).sum()
    assert made.comparison.losses == (right[0] & ~right[1]).sum()
    assert made.comparison.rows == first.evaluation.rows
    for at, one in enumerate(two):
        kept = one.evaluation.contender(one.evaluation.kept)
        assert tuple(pair[at] for pair in made.scores) == kept.scores
    f1 = [pair[at].value for pair in made.scores if pair[0].name == "macro_f1" for at in (0, 1)]
    assert made.macro_f1.difference == pytest.approx(f1[1] - f1[0])
    assert {one.metric for one in made.classes} == set(first.plan.classes)
    assert sum(one.rows for one in made.classes) == made.comparison.rows


def test_a_run_against_itself_has_not_changed(two):
    made = compare(two[0].run_folder, two[0].run_folder)
    assert made.changes == ()
    assert made.comparison.verdict == "cannot tell"
    assert made.comparison.difference == 0


def test_runs_on_other_test_rows_cannot_be_paired(two, told_of_few):
    with pytest.raises(InputError, match="rows that differ cannot be paired"):
        compare(two[0].run_folder, told_of_few.run_folder)


def test_a_folder_without_a_finished_run_is_named(two, tmp_path):
    with pytest.raises(InputError, match=r"no evaluation.json"):
        compare(two[0].run_folder, tmp_path)
    copied = tmp_path / "copy"
    shutil.copytree(two[0].run_folder, copied)
    (copied / "test.safetensors").unlink()
    with pytest.raises(StoreError, match="no answers to the test rows"):
        compare(two[0].run_folder, copied)


def test_the_command_prints_what_changed_or_one_object(two, fettle):
    folders = [one.run_folder for one in two]
    said = fettle("compare", *folders)
    assert said.code == 0
    assert "rung that was kept" in said.out
    assert "accuracy:" in said.out
    made = fettle("compare", *folders, "--json").json
    assert made["comparison"]["rows"] == two[0].evaluation.rows
    assert json.dumps(made)


def test_rows_that_are_answered_differently_are_named_as_the_file_names_them(two):
    first, second = two
    made = compare(first.run_folder, second.run_folder)
    answers = [kept_answers(one.run_folder) for one in two]
    said = [outputs.argmax(axis=1) for outputs, _ in answers]
    differ = np.flatnonzero(said[0] != said[1])
    sealed = first.split.vault.sealed
    assert made.turned_rows == len(differ) == len(made.turned) > 0
    assert {one.id for one in made.turned} == {first.dataset.ids[sealed[row]] for row in differ}
    went_wrong = [one for one in made.turned if one.how == "went wrong"]
    assert len(went_wrong) == made.comparison.losses
    assert all(one.label == one.first != one.second for one in went_wrong)
    assert list(made.turned[: len(went_wrong)]) == went_wrong


def test_rows_are_named_by_the_version_s_own_split_whatever_a_command_has_read_since(two, tmp_path):
    """The same test rows stand elsewhere in data that was read again: a row was added above."""
    first, second = two
    copied = tmp_path / "copy"
    shutil.copytree(first.run_folder, copied)
    split = first.split
    below = replace(split, train=tuple(row + 1 for row in split.train),
                    validation=tuple(row + 1 for row in split.validation), tied=(),
                    vault=replace(split.vault, sealed=tuple(row + 1 for row in split.vault.sealed)))
    records.save(copied / "split.json", below)
    made = compare(copied, second.run_folder)
    assert made.turned == compare(first.run_folder, second.run_folder).turned


@pytest.mark.parametrize("name", ["split.json", "evaluation.json", "version.json"])
def test_a_run_that_is_being_judged_anew_is_not_compared(two, tmp_path, name):
    """Whichever of its files are of the test rows before and which of those to come."""
    first, second = two
    copied = tmp_path / "copy"
    shutil.copytree(first.run_folder, copied)
    other = {
        "split.json": replace(first.split, vault=replace(first.split.vault, fingerprint="0" * 64)),
        "evaluation.json": replace(first.evaluation, test="0" * 64),
        "version.json": replace(first.version, lineage={**first.version.lineage,
                                                        "test_rows": "0" * 64}),
    }[name]
    records.save(copied / name, other)
    with pytest.raises(InputError, match="rows that differ" if name == "evaluation.json" else
                       "copy was begun anew with other test rows"):
        compare(copied, second.run_folder)
    (copied / "version.json").unlink()
    with pytest.raises(InputError, match=r"no finished run|rows that differ"):
        compare(second.run_folder, copied)


def test_without_rows_in_the_version_their_numbers_are_named(two, tmp_path):
    copied = tmp_path / "copy"
    shutil.copytree(two[0].run_folder, copied)
    (copied / "version" / "rows.arrow").unlink()
    made = compare(copied, two[1].run_folder)
    assert made.turned[0].id.startswith("row ")


def test_the_command_writes_a_page_that_opens_offline(two, fettle, tmp_path):
    page = tmp_path / "both.html"
    said = fettle("compare", *(one.run_folder for one in two), "--out", page)
    assert said.code == 0
    assert f"The page: {page}" in said.out
    html = page.read_text()
    assert "Rows that changed" in html
    assert "rungs.full.climbed" in html
    assert "<script" not in html


def test_what_is_kept_of_the_test_rows_is_what_was_scored(told, tmp_path):
    outputs, targets = kept_answers(copy_of(told, tmp_path / "copy").run_folder)
    score = told.evaluation.contender(told.evaluation.kept).score("accuracy")
    assert np.mean(outputs.argmax(axis=1) == targets) == pytest.approx(score.value)
