"""The story: its order, its folders, what it repeats and what it does not."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from fettle import pipeline
from fettle.core.audit import Audit
from fettle.core.errors import LockHeld, SettingError, UnknownName
from fettle.core.evaluation import Evaluation
from fettle.core.plan import Plan, Reading, Rung
from fettle.core.progress import Note
from fettle.core.run import Run
from fettle.core.settings import Settings
from fettle.stages import planning, training
from fettle.store import locks, records, runs
from fettle.store.registry import Registry
from fettle.strategies import DEFAULTS
from stories import NAMES, copy_of, texts_and_labels, write_rows


def asked(told, **changed):
    given = {"reading": told.plan.reading, "model": told.plan.model,
             "registry": str(told.registry), **changed}
    return Settings(**given)


def last_of(story):
    return list(story)[-1]


def test_the_nouns_come_in_the_order_of_the_story(told):
    assert list(told.nouns) == [
        "dataset", "audit", "split", "card", "plan", "rungresult", "run", "evaluation", "report",
        "version",
    ]  # fmt: skip


def test_a_run_folder_holds_what_the_design_lists(told):
    there = {path.name for path in told.run_folder.iterdir()}
    assert {"plan.json", "audit.json", "split.json", "metrics.jsonl", "evaluation.json",
            "report.html", "model-card.md", "checkpoints", "version"} <= there
    assert told.run_folder == told.registry / "runs" / f"tickets-{told.plan.id}"
    for path in told.run_folder.glob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    assert not list(told.run_folder.rglob("*.tmp"))


@pytest.mark.usefixtures("on_this_machine")
def test_a_finished_run_is_told_from_its_folder_without_training(told, monkeypatch):
    def train(*_, **__):
        raise AssertionError("a finished run was trained again")

    monkeypatch.setattr(training, "train", train)
    assert last_of(pipeline.build(asked(told))) == told.version
    assert [one["number"] for one in Registry(told.registry).versions()] == [1]


@pytest.mark.usefixtures("on_this_machine")
def test_a_finished_run_that_was_moved_says_where_it_is_now(told, tmp_path):
    moved = copy_of(told, tmp_path / "moved")
    version = last_of(pipeline.build(asked(moved, out=str(moved.run_folder))))
    assert version.folder == str(moved.run_folder / "version")
    assert version.report.html == str(moved.run_folder / "report.html")


def test_two_stories_of_one_plan_and_seed_train_the_same_bytes(told, tmp_path, tell, rows):
    again = tell(tmp_path, write_rows(tmp_path / "tickets.csv", rows), model=told.plan.model)
    assert again.plan.id == told.plan.id
    for rung in ("features", "full"):
        assert again.weights(rung) == told.weights(rung)
    assert again.run.kept == told.run.kept
    assert again.version.files["model.safetensors"] == told.version.files["model.safetensors"]


def test_another_seed_is_another_plan_in_another_folder(told, tmp_path, tell, rows):
    other = tell(tmp_path, write_rows(tmp_path / "tickets.csv", rows), model=told.plan.model,
                 seed=1)
    assert other.plan.id != told.plan.id
    assert other.split.vault != told.split.vault
    assert other.weights("full") != told.weights("full")


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
    opened = pipeline.open_version(again.version.folder)
    assert opened.id == "learn@2"


def test_a_test_set_that_is_looked_at_by_a_second_plan_says_so(judged, tell, tiny):
    folder, (_, b) = judged
    second = tell(b.folder, folder / "learn.csv", model=tiny, test=str(folder / "b.csv"),
                  rungs=("features",))
    assert (b.evaluation.openings, second.evaluation.openings) == (1, 2)
    assert any("looked at 2 times" in note for note in second.evaluation.notes)
    assert "looked at 2 times" in (second.run_folder / "report.html").read_text()


@pytest.mark.usefixtures("on_this_machine")
def test_each_evaluation_of_a_version_is_counted_on_its_rows(told, tmp_path, rows):
    new = texts_and_labels(12, seed=8, without=rows)
    data = write_rows(tmp_path / "new.csv", new)
    registry = str(copy_of(told, tmp_path / "copy").registry)
    first = pipeline.evaluate("tickets", data, registry=registry)
    second = pipeline.evaluate("tickets@1", data, registry=registry)
    assert (first.openings, second.openings) == (1, 2)
    assert any("looked at 2 times" in note for note in second.notes)
    assert first.rows == 12
    assert first.before is None


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


@pytest.mark.usefixtures("on_this_machine")
def test_rows_without_the_answers_column_cannot_be_evaluated(told, tmp_path):
    data = write_rows(tmp_path / "new.csv", [["lost card"]], header=["text"])
    with pytest.raises(SettingError, match=r"no column 'label'.*fettle predict"):
        pipeline.evaluate("tickets", data, registry=str(told.registry))


# The audit of the features, which training computed anyway.


@pytest.mark.usefixtures("on_this_machine")
def test_a_story_audits_the_features_of_its_rows_and_its_version_says_so(told):
    made = told.audit
    assert made.dataset == told.dataset.fingerprint()
    assert made == records.load(told.run_folder / "version" / "audit.json", Audit)
    features = encoding_of(told)
    assert features.shape == (len(told.split.learners) + told.evaluation.rows, 32)


def encoding_of(told):
    from fettle.stages import encoding

    return encoding.kept(told.run_folder)


@pytest.mark.usefixtures("on_this_machine")
def test_wrong_labels_are_found_by_tune_without_another_pass(
    tmp_path, tell, sentences, rows, monkeypatch
):
    from fettle.engine import replay
    from fettle.stages import evaluating

    wrong = [(text, NAMES[(NAMES.index(label) + 1) % 3] if at % 7 == 0 else label)
             for at, (text, label) in enumerate(rows)]
    passes, after = [], []
    real, judged = replay.taps_by_batch, evaluating.evaluate

    def counted(network, encoder, items, **more):
        passes.append(len(items))
        return real(network, encoder, items, **more)

    def evaluate(*given, **more):
        made = yield from judged(*given, **more)
        after.append(len(passes))
        return made

    monkeypatch.setattr(replay, "taps_by_batch", counted)
    monkeypatch.setattr(evaluating, "evaluate", evaluate)
    told = tell(tmp_path, write_rows(tmp_path / "wrong.csv", wrong), model=sentences,
                rungs=("features",))
    assert passes
    assert after == [len(passes)]  # nothing went through the network afterwards
    (doubted,) = [one for one in told.audit.afterwards if one.check == "label_errors"]
    planted = {told.dataset.ids[row] for row in range(0, len(rows), 7)}
    assert len(planted & set(doubted.rows)) >= 0.6 * len(doubted.rows)
    assert "label_errors" in (told.run_folder / "report.html").read_text()
    assert "label_errors" in (told.run_folder / "version" / "audit.json").read_text()
    assert not any(one.check == "label_errors" for one in told.audit.findings)


def test_where_the_features_were_not_kept_that_is_said(tmp_path, tell, tiny, monkeypatch):
    from fettle.stages import encoding

    monkeypatch.setattr(encoding, "remembered", lambda *_: None)
    told = tell(tmp_path, write_rows(tmp_path / "a.csv", texts_and_labels(60)), model=tiny,
                rungs=("features",))
    assert any("the features were not kept" in note for note in told.notes)
    assert told.audit.afterwards == ()


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

    for asked in ({}, {"slices": ("site",)}, {"guard": (str(guard),)}):
        evaluations, said, _ = again(**asked)
        assert evaluations == []
        assert "This run is finished" in said
    write_rows(guard, [("lost card", "more"), ("top up", "less")] * 20)
    assert again(guard=(str(guard),))[0][0].openings == 4
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


# Plans that a person hands back.


@pytest.mark.usefixtures("on_this_machine")
def test_an_unchanged_plan_is_the_same_run(told, monkeypatch):
    monkeypatch.setattr(training, "train", None)
    made = pipeline.plan(asked(told))
    assert last_of(pipeline.build(asked(told), given=made)) == told.version


@pytest.mark.usefixtures("on_this_machine")
def test_an_edited_plan_is_followed_to_the_letter(told, tmp_path):
    made = pipeline.plan(asked(told))
    given = replace(made, rungs=(Rung("features", {**made.rungs[0].settings, "poolings": "cls"}),))
    version = last_of(pipeline.build(asked(told, registry=str(tmp_path)), given=given))
    held = records.load(tmp_path / "runs" / f"tickets-{given.id}" / "plan.json", Plan)
    assert held == given
    assert version.plan == given.id != made.id


@pytest.mark.usefixtures("on_this_machine")
def test_a_plan_is_refused_for_other_rows(told, tmp_path, rows):
    made = pipeline.plan(asked(told))
    data = write_rows(tmp_path / "tickets.csv", rows[:-1])
    given = replace(made, reading=replace(made.reading, data=str(data)))
    with pytest.raises(SettingError, match="other rows"):
        last_of(pipeline.build(asked(told, registry=str(tmp_path / "r")), given=given))
    assert not (tmp_path / "r").exists()


def planned_by(settings, monkeypatch, **versions):
    """The plan of a run that is stopped as soon as it has begun, and what was said before it."""
    real, notes, made = runs.version, [], None
    with monkeypatch.context() as patch:
        patch.setattr(runs, "version", lambda name: versions.get(name) or real(name))
        work = pipeline.build(settings)
        for event in work:
            if made is not None:
                work.close()
            elif isinstance(event, Plan):
                made = event
            elif isinstance(event, Note):
                notes.append(event.sentence)
    return made, notes


@pytest.mark.parametrize("versions", [{}, {"fettle": "0.0.1"}, {"torch": "1.0"}])
@pytest.mark.usefixtures("on_this_machine")
def test_a_run_goes_on_with_its_plan_whatever_would_be_planned_today_and_says_who_made_it(
    told, tmp_path, monkeypatch, versions
):
    settings = asked(told, registry=str(tmp_path / "r"))
    before, _ = planned_by(settings, monkeypatch, **versions)
    monkeypatch.setattr(planning, "MOST_TOKENS", before.max_tokens - 1)  # as a new default would
    assert pipeline.plan(settings).id != before.id
    made, notes = planned_by(settings, monkeypatch)
    assert made.id == before.id
    said = [note for note in notes if note.startswith(f"Going on with plan {before.id}, made with")]
    assert len(said) == len(versions)
    for name, number in versions.items():
        assert f"{name} {number} (now " in said[0]


@pytest.mark.usefixtures("on_this_machine")
def test_a_plan_that_this_fettle_cannot_follow_is_made_anew_aloud(told, tmp_path, monkeypatch):
    settings = asked(told, registry=str(tmp_path / "r"), rungs=("features",))
    before, _ = planned_by(settings, monkeypatch, fettle="0.0.1")
    monkeypatch.setitem(DEFAULTS["features"], "of_later", 1)
    made, notes = planned_by(settings, monkeypatch)
    assert made.id != before.id
    assert any("begins anew" in note and "'of_later'" in note for note in notes)


# Folders.


@pytest.mark.usefixtures("on_this_machine")
def test_a_folder_with_another_plans_run_is_left_as_it_is(told):
    before = {path: path.stat().st_mtime_ns for path in told.run_folder.rglob("*.json")}
    with pytest.raises(SettingError, match=rf"{told.plan.id}.*--out"):
        last_of(pipeline.build(asked(told, rungs=("features",), out=str(told.run_folder))))
    assert {p: p.stat().st_mtime_ns for p in told.run_folder.rglob("*.json")} == before


@pytest.mark.usefixtures("on_this_machine")
def test_a_folder_with_something_else_is_left_as_it_is(told, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingError, match=r"thesis\.txt.*--out"):
        last_of(pipeline.build(asked(told, out=str(tmp_path))))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.usefixtures("on_this_machine")
def test_a_folder_that_is_in_use_is_not_entered(told):
    with locks.hold(told.run_folder), pytest.raises(LockHeld, match=r"in use by process \d+"):
        last_of(pipeline.build(asked(told)))


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", "a@2", "", "-rf", ".hidden", "a\nb"])
@pytest.mark.usefixtures("on_this_machine")
def test_a_name_is_never_a_path(told, tmp_path, name):
    with pytest.raises(SettingError, match="--name"):
        last_of(pipeline.build(asked(told, name=name, registry=str(tmp_path / "a" / "b"))))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("on_this_machine")
def test_a_files_stem_becomes_a_name_that_can_be_asked_for(tmp_path, tiny):
    data = write_rows(tmp_path / "tickets@may.csv", texts_and_labels(60))
    assert pipeline.plan(Settings(reading=Reading(data=str(data)), model=str(tiny))).name == (
        "tickets-may"
    )


@pytest.mark.usefixtures("on_this_machine")
def test_a_check_that_does_not_exist_cannot_be_allowed(told):
    with pytest.raises(UnknownName, match="Did you mean 'small_classes'"):
        last_of(pipeline.build(asked(told, allow=("smal_classes",))))
