"""Training: what it never sees, what makes its bytes, and which rung it keeps."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from engine.standing import watched
from fettle.core.dataset import Dataset
from fettle.core.errors import CorruptFile
from fettle.core.plan import Cost, Rung
from fettle.core.progress import finish
from fettle.core.run import RungResult
from fettle.engine import climbing, linear
from fettle.engine.predict import taps_of
from fettle.modalities import ENCODERS
from fettle.models.network import open_saved
from fettle.stages import training
from fettle.strategies import DEFAULTS
from stages.trained import climbing_only, notes, rung_of, trained
from stories import digest

pytestmark = pytest.mark.usefixtures("on_this_machine")  # with its cache of features
RUNGS = ("features", "top", "full")


def with_other_test_rows(dataset, split, cell):
    """The same rows, with this in every cell of the test rows."""
    sealed = set(split.vault.sealed)
    table = pa.table({
        name: pa.array(
            [cell if row in sealed else had for row, had in enumerate(dataset.column(name))],
            pa.string(),
        )
        for name in dataset.table.column_names
    })
    return replace(dataset, table=table)


def weights(folder, rung):
    return digest(folder / "rungs" / rung / "model.safetensors")


@pytest.mark.parametrize("cell", ["nothing of the kind", None])
def test_what_stands_in_test_rows_changes_no_trained_byte(told, tmp_path, cell):
    run = trained(told, tmp_path, dataset=with_other_test_rows(told.dataset, told.split, cell))
    for rung in RUNGS:
        assert weights(tmp_path, rung) == told.weights(rung)
        assert run.rung(rung).chosen == told.run.rung(rung).chosen
        assert run.rung(rung).validation == told.run.rung(rung).validation


def test_training_asks_for_no_cell_of_a_test_row(told, tmp_path, monkeypatch):
    asked = []
    real = Dataset.column

    def column(self, name, rows=None):
        asked.extend(range(self.rows) if rows is None else rows)
        return real(self, name, rows)

    monkeypatch.setattr(Dataset, "column", column)
    trained(told, tmp_path)
    assert set(asked) == set(told.split.learners)


def test_another_seed_gives_other_bytes_where_something_is_drawn(told, tmp_path):
    trained(told, tmp_path, plan=replace(told.plan, seed=told.plan.seed + 1))
    assert weights(tmp_path, "full") != told.weights("full")
    assert weights(tmp_path, "top") != told.weights("top")
    assert weights(tmp_path, "features") == told.weights("features")


def test_few_rows_are_all_judged_once_by_networks_that_did_not_learn_from_them(
    told_of_few, tmp_path, monkeypatch
):
    seen = {}

    def choose(vectors, targets, *, folds, **_):
        seen["folds"], seen["rows"] = folds, len(targets)
        raise CorruptFile("seen enough")
        yield

    monkeypatch.setattr(training, "choose", choose)
    with pytest.raises(CorruptFile):
        trained(told_of_few, tmp_path)
    judged = np.concatenate([judge for _, judge in seen["folds"]])
    assert len(seen["folds"]) > 1
    assert sorted(judged) == list(range(seen["rows"]))
    for teach, judge in seen["folds"]:
        assert not set(teach) & set(judge)
        assert len(teach) + len(judge) == seen["rows"]


def test_few_rows_climb_every_rung_and_each_is_scored_on_all_learning_rows(told_of_few):
    assert told_of_few.split.validation == ()
    assert tuple(rung.name for rung in told_of_few.run.rungs) == RUNGS
    learners = len(told_of_few.split.learners)
    assert {rung.validation.rows for rung in told_of_few.run.rungs} == {learners}


@pytest.mark.parametrize("fixture", ["told", "told_of_few"])
def test_the_final_head_is_the_one_that_all_learning_rows_give(fixture, request):
    told = request.getfixturevalue(fixture)
    rung = told.run.rung("features")
    paths = {path.name: path for path in (told.run_folder / rung.folder).iterdir()}
    network, encoder = open_saved(paths), ENCODERS["text"].load(paths)
    learners = told.split.learners
    pooling = rung.chosen["pooling"]
    vectors = finish(taps_of(
        network, encoder, encoder.encode(told.dataset.fields(learners)), names=[pooling],
        precision="fp32",
    ))[pooling]
    if told.card.embeds_sentences:
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    targets = np.array([told.plan.classes.index(x) for x in told.dataset.targets(learners)])
    (head,) = linear.solve_path(
        vectors, targets, classes=len(told.plan.classes), l2=(rung.chosen["l2"],)
    )
    found = network.head.linear.weight.detach().numpy()
    np.testing.assert_allclose(found, head.weight, rtol=2e-2, atol=2e-2 * np.abs(found).max())


def test_the_final_network_of_few_rows_is_the_mean_of_those_that_judged_them(told_of_few):
    lines = (told_of_few.run_folder / "metrics.jsonl").read_text().splitlines()
    parts = [one["rung_part"] for one in map(json.loads, lines) if "rung_part" in one]
    assert {one for one in parts if one.startswith("full-")} == {
        f"full-{number}" for number in range(training.FOLDS)}
    assert any(one.startswith("Kept is the mean") for one in told_of_few.run.rung("full").notes)


def test_a_rung_that_is_finished_is_not_climbed_again(told, tmp_path, monkeypatch):
    first = trained(told, tmp_path)

    def choose(*_, **__):
        raise AssertionError("a finished rung was climbed")

    monkeypatch.setattr(training, "choose", choose)
    again = trained(told, tmp_path)
    assert again.rungs == first.rungs
    assert again.kept == first.kept


def test_of_a_ladder_that_was_stopped_only_the_rungs_that_were_not_finished_are_climbed(
    told, tmp_path, monkeypatch
):
    work = training.train(
        told.dataset, told.split, told.plan, card=told.card, folder=tmp_path)
    for event in work:
        if isinstance(event, RungResult) and event.name == "top":
            work.close()
    assert not (tmp_path / "rungs" / "full").exists()

    climbed = []
    real = climbing.tuned

    def tuned(ground, plan, rung, *others):
        climbed.append(rung.strategy)
        return real(ground, plan, rung, *others)

    monkeypatch.setattr(climbing, "tuned", tuned)
    run = trained(told, tmp_path)
    assert climbed == ["full"]
    assert tuple(rung.name for rung in run.rungs) == RUNGS
    for rung in RUNGS:
        assert weights(tmp_path, rung) == told.weights(rung)
    assert run.kept == told.run.kept


def test_a_finished_rung_is_one_line_of_the_metrics_whatever_was_killed(told, tmp_path):
    plan = climbing_only(told, "features")
    log = tmp_path / "metrics.jsonl"

    def rungs():
        return [json.loads(line)["rung"]["name"] for line in log.read_text().splitlines()]

    trained(told, tmp_path, plan=plan)
    whole = log.read_text()
    assert rungs() == ["features"]
    log.unlink()  # killed between the rung and its line
    trained(told, tmp_path, plan=plan)
    assert log.read_text() == whole
    (tmp_path / "rungs" / "features" / "rung.json").write_text("{")
    trained(told, tmp_path, plan=plan)  # climbed again
    assert rungs() == ["features"]


def test_one_named_rung_climbs_alone_and_starts_from_a_solved_head_all_the_same(told, tmp_path):
    run = trained(told, tmp_path, plan=climbing_only(told, "full"))
    assert [rung.name for rung in run.rungs] == ["full"]
    assert run.kept == "full"
    assert not (tmp_path / "rungs" / "features").exists()
    assert weights(tmp_path, "full") == told.weights("full")


def test_a_rung_with_a_frozen_part_starts_from_kept_states_and_says_so(told, machine):
    assert told.run.rung("top").notes[0].startswith("Replayed from block 2")
    assert not any("eplay" in note for note in told.run.rung("full").notes)
    assert list((machine / "fettle" / "replay").glob("*-block2.array"))


def test_without_room_for_states_every_rung_is_climbed_plainly(told, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = trained(told, tmp_path / "run", plan=replace(told.plan, cache_limit=0))
    assert run.rung("top").notes == ()
    assert not list((tmp_path / "cache").rglob("*-block*.array"))
    assert weights(tmp_path / "run", "full") == told.weights("full")
    found = [epoch.train_loss for epoch in run.rung("top").history]
    expected = [epoch.train_loss for epoch in told.run.rung("top").history]
    assert found == pytest.approx(expected, rel=1e-3)
    assert run.rung("top").flops > told.run.rung("top").flops


def test_states_that_do_not_fit_are_said_and_done_without(told, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = training.train(
        told.dataset, told.split, replace(climbing_only(told, "top"), cache_limit=10),
        card=told.card, folder=tmp_path / "run")
    run, events = watched(work)
    assert any("Without replay from block 2" in note for note in notes(events))
    assert run.rung("top").notes == ()


def test_what_each_rung_took_is_told(told):
    features, top, full = told.run.rungs
    assert (features.flops, features.training_seconds) == (0.0, 0.0)
    assert 0 < top.flops / len(top.history) < full.flops / len(full.history)
    for rung in (top, full):
        assert 0 < rung.training_seconds < rung.seconds
        assert rung.training_seconds == pytest.approx(sum(e.seconds for e in rung.history))


def test_a_rung_whose_record_is_torn_is_climbed_again(told, tmp_path):
    plan = climbing_only(told, "features")
    trained(told, tmp_path, plan=plan)
    (tmp_path / "rungs" / "features" / "rung.json").write_text('{"name": "fea')
    run = trained(told, tmp_path, plan=plan)
    assert run.kept == "features"
    assert weights(tmp_path, "features") == told.weights("features")


def replace_rung(rung, **settings):
    return Rung(rung.strategy, {**rung.settings, **settings})


def test_settings_of_the_plan_are_the_ones_that_train(told, tmp_path):
    features = replace_rung(rung_of(told, "features"), poolings="cls", l2="1e-1")
    run = trained(told, tmp_path, plan=replace(told.plan, rungs=(features,)))
    assert run.rung("features").chosen == {"pooling": "cls", "l2": 0.1}
    assert run.poolings == ("cls",)


def test_where_pairs_alone_are_learned_only_the_encoder_s_own_pooling_is_looked_at(told, tmp_path):
    pairs = Rung("contrastive", {**DEFAULTS["contrastive"], "epochs": 1})
    run = trained(told, tmp_path / "a", plan=replace(told.plan, rungs=(pairs,)))
    assert run.poolings == (told.card.pooling,)
    both = (rung_of(told, "features"), pairs)
    run = trained(told, tmp_path / "b", plan=replace(
        told.plan, rungs=both, predicted=(*told.plan.predicted, Cost("contrastive", 1.0, 1))))
    assert run.poolings == ("mean", "cls", "max")


def test_rows_of_one_group_stand_on_one_side_of_every_fold(told_of_few):
    few = told_of_few.split
    tied = tuple(tuple(few.learners[at : at + 4]) for at in range(0, len(few.learners), 4))
    split = replace(few, tied=tied)
    targets = np.arange(len(split.learners)) % 2
    for teach, judge in training._folds(told_of_few.dataset, split, told_of_few.plan, targets):
        for cluster in tied:
            rows = {split.learners.index(row) for row in cluster}
            assert rows <= set(teach.tolist()) or rows <= set(judge.tolist())


def test_fewer_cores_than_the_plan_has_threads_are_said(told, tmp_path, monkeypatch):
    plan = replace(climbing_only(told, "features"), threads=2)

    def said(cores, folder):
        monkeypatch.setattr(training, "cores", lambda: cores)
        monkeypatch.setattr(training, "set_threads", lambda threads: None)
        work = training.train(told.dataset, told.split, plan, card=told.card, folder=folder)
        return [one for one in notes(watched(work)[1]) if "threads" in one]

    (sentence,) = said(1, tmp_path / "fewer")
    assert sentence == (
        "The plan was made for 2 threads, and this process may use 1 of the machine's cores now: "
        "it is slower, and gives the same bits."
    )
    assert said(2, tmp_path / "enough") == []
