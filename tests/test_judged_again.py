"""Other test rows, and a finished run that is asked for more: judged anew, and nothing trained."""

from dataclasses import replace
from itertools import pairwise

import pytest

from fettle import pipeline
from fettle.core.errors import InputError
from fettle.core.evaluation import Evaluation
from fettle.core.plan import Plan, Reading
from fettle.core.progress import Note
from fettle.core.run import Run
from fettle.core.settings import Settings
from fettle.stages import training
from fettle.store import records
from stories import asked, copy_of, texts_and_labels, write_rows


@pytest.fixture(scope="module")
def judged(tmp_path_factory, tell, tiny):
    """One file of learning rows, and two stories of it that differ in the test file alone."""
    folder = tmp_path_factory.mktemp("judged")
    rows = texts_and_labels(240, seed=5)
    data = write_rows(folder / "learn.csv", rows)
    tested = texts_and_labels(30, seed=6, without=rows)
    turned = [(text + " my my", label) for (text, _), (_, label)
              in pairwise(tested[:21])]
    write_rows(folder / "a.csv", tested)
    write_rows(folder / "b.csv", turned)
    return folder, [
        tell(folder / name, data, model=tiny, test=str(folder / f"{name}.csv")) for name in "ab"
    ]


def test_another_test_file_changes_neither_the_plan_nor_a_trained_byte(judged):
    _, (a, b) = judged
    assert a.split.vault.fingerprint != b.split.vault.fingerprint
    assert a.plan.id == b.plan.id
    plans = [replace(one.plan, reading=Reading(), reasons=()) for one in (a, b)]
    assert plans[0] == plans[1]
    for rung in ("features", "full"):
        assert a.weights(rung) == b.weights(rung)
        assert a.run.rung(rung).chosen == b.run.rung(rung).chosen
        assert a.run.rung(rung).validation == b.run.rung(rung).validation
    assert a.run.kept == b.run.kept
    assert a.evaluation.test != b.evaluation.test


def test_other_test_rows_in_the_same_folder_are_judged_anew_by_what_is_trained_already(
    judged, tell, tiny, monkeypatch
):
    folder, (a, b) = judged
    monkeypatch.setattr(training.climbing, "tuned", None)  # would fail if anything were trained
    again = tell(a.folder, folder / "learn.csv", model=tiny, test=str(folder / "b.csv"))
    assert again.version.number == 2
    assert again.evaluation.test == b.evaluation.test
    assert again.weights("full") == a.weights("full")
    assert records.load(again.run_folder / "version" / "plan.json", Plan).reading.test == str(
        folder / "b.csv")
    opened = pipeline.open_version(again.version.folder)
    assert opened.id == "learn@2"


@pytest.mark.usefixtures("on_this_machine")
def test_a_run_that_is_stopped_before_other_test_rows_have_judged_it_is_not_taken_for_finished(
    judged, tmp_path
):
    folder, (a, b) = judged
    here = copy_of(b, tmp_path / "copy")
    reading = replace(b.plan.reading, test=str(folder / "a.csv"))
    settings = asked(here, reading=reading, out=str(here.run_folder))
    work = pipeline.build(settings)
    for event in work:
        if isinstance(event, Note) and "judged once more" in event.sentence:
            work.close()
    with pytest.raises(InputError, match="begun anew with other test rows"):
        pipeline.compare(b.run_folder, here.run_folder)
    events = list(pipeline.build(settings))
    (made,) = [one for one in events if isinstance(one, Evaluation)]
    assert made.test == a.evaluation.test
    assert events[-1].lineage["test_rows"] == a.split.vault.fingerprint


def test_a_test_set_that_is_looked_at_by_a_second_plan_says_so(judged, tell, tiny):
    folder, (_, b) = judged
    second = tell(b.folder, folder / "learn.csv", model=tiny, test=str(folder / "b.csv"),
                  rungs=("features",))
    assert (b.evaluation.openings, second.evaluation.openings) == (1, 2)
    assert any("looked at 2 times" in note for note in second.evaluation.notes)
    assert "looked at 2 times" in (second.run_folder / "report.html").read_text()


@pytest.mark.usefixtures("on_this_machine")
def test_evaluating_on_the_storys_own_test_rows_is_a_second_look(judged, tmp_path):
    folder, (a, _) = judged
    registry = str(copy_of(a, tmp_path / "copy").registry)
    made = pipeline.evaluate("learn@1", folder / "a.csv", registry=registry)
    assert made.test == a.evaluation.test
    assert made.openings == 2
    kept = a.evaluation.contender(a.evaluation.kept)
    expected = {score.name: score.value for score in kept.scores}
    found = {score.name: score.value for score in made.contenders[0].scores}
    assert found == pytest.approx(expected)


# A finished run that is asked for more.


@pytest.fixture(scope="module")
def sited(tmp_path_factory, tell, sentences):
    """A finished run of a tuned backbone, on rows with a column that nobody asked about."""
    folder = tmp_path_factory.mktemp("sited")
    rows = [(text, label, f"{at % 25}")
            for at, (text, label) in enumerate(texts_and_labels(520, seed=9))]
    data = write_rows(folder / "sited.csv", rows, header=("text", "label", "site"))
    guard = write_rows(folder / "guard.csv", [
        (f"{text} {'again' if at % 2 else 'once'}", "more" if at % 2 else "less")
        for at, (text, _) in enumerate(texts_and_labels(60, seed=5))])
    return data, guard, tell(folder, data, model=sentences, rungs=("full",),
                             asked={"epochs": 1})


@pytest.mark.usefixtures("on_this_machine")
def test_slices_and_guards_asked_of_a_finished_run_are_judged_and_nothing_is_trained(
    sited, tmp_path, monkeypatch
):
    data, guard, first = sited
    here = copy_of(first, tmp_path / "copy")
    monkeypatch.setattr(training.climbing, "tuned", None)  # would fail if anything were trained
    weights = here.weights("full")

    def again(**asked):
        reading = replace(first.plan.reading, data=str(data), slices=asked.pop("slices", ()))
        settings = Settings(reading=reading, model=first.plan.model, rungs=("full",),
                            registry=str(here.registry), out=str(here.run_folder),
                            asked={"epochs": 1}, **asked)
        events = list(pipeline.build(settings))
        return ([one for one in events if isinstance(one, Evaluation)],
                " ".join(one.sentence for one in events if isinstance(one, Note)), events[-1])

    (made,), said, version = again(slices=("site",))
    assert "judged once more, and nothing is trained" in said
    assert made.openings == 2
    assert records.load(here.run_folder / "plan.json", Plan).reading.slices == ("site",)
    assert version.number == 1
    assert pipeline.open_version(str(here.run_folder / "version")).id == "sited@1"

    (made,), _, _ = again(guard=(str(guard),))
    assert [one.data for one in made.forgetting.retentions] == ["guard"]
    assert records.load(here.run_folder / "plan.json", Plan).reading.slices == ("site",)

    for same in ({}, {"slices": ("site",)}, {"guard": (str(guard),)}):
        evaluations, said, _ = again(**same)
        assert evaluations == []
        assert "This run is finished" in said
    write_rows(guard, [("lost card", "more"), ("top up", "less")] * 20)
    assert again(guard=(str(guard),))[0][0].openings == 4
    write_rows(guard, [("card lost", "more"), ("money", "less")] * 20)
    assert again()[0] == []  # who does not ask for the guard takes no look for its sake
    assert here.weights("full") == weights


@pytest.mark.usefixtures("on_this_machine")
def test_a_guard_of_a_finished_run_with_a_frozen_backbone_costs_no_look(told, tmp_path):
    here = copy_of(told, tmp_path / "copy")
    run = records.load(here.run_folder / "run.json", Run)
    frozen = replace(run, kept="features", folder=str(here.run_folder))
    records.save(here.run_folder / "run.json", frozen)
    events = list(pipeline.build(asked(here, guard=("elsewhere.csv",), out=str(here.run_folder))))
    said = [one.sentence for one in events if isinstance(one, Note)]
    assert any("--guard elsewhere.csv is not read" in one for one in said)
    assert not any(isinstance(one, Evaluation) for one in events)
