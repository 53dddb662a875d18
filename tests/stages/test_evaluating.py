"""Evaluating: the vault, the contenders, and scores that anyone can work out again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)  # fmt: skip

from fettle.core.dataset import Dataset
from fettle.core.plan import Texts
from fettle.core.progress import finish
from fettle.engine.asking import nearest_mean
from fettle.engine.predict import outputs_of, taps_of
from fettle.measures.calibration import temperature
from fettle.modalities import ENCODERS
from fettle.models.network import open_network, open_saved, tokenizer_json
from fettle.stages import evaluating, rating
from fettle.store import checkpoints
from fettle.store.answers import validated
from fettle.store.registry import Registry
from fettle.tasks.making import task_of
from stories import texts_and_labels, write_rows


def evaluated(told, *, count=lambda opening: 1, **changed):
    nouns = {"dataset": told.dataset, "split": told.split, "plan": told.plan, "run": told.run}
    return finish(evaluating.evaluate(
        **{**nouns, **changed}, card=changed.pop("card", told.card), count=count
    ))


def predicted_by(told, rung):
    """Class numbers that the rung's saved network gives the test rows."""
    paths = {path.name: path for path in (told.run_folder / "rungs" / rung).iterdir()}
    network, encoder = open_saved(paths), ENCODERS["text"].load(paths)
    fields = told.dataset.fields(told.split.vault.sealed)
    outputs = finish(outputs_of(network, encoder, encoder.encode(fields), precision="fp32"))
    return outputs.argmax(axis=1)


def truth(told):
    labels = told.dataset.targets(told.split.vault.sealed)
    return np.array([told.plan.classes.index(label) for label in labels])


def test_no_row_is_augmented_where_rows_are_judged(told, monkeypatch):
    def views(self, item, rng):
        raise AssertionError("evaluating sees rows as they are")

    monkeypatch.setattr(ENCODERS["text"], "views", views)
    changing = replace(told.plan, texts=Texts(deletion=0.5))
    made, plain = evaluated(told, plan=changing), evaluated(told)
    assert made.contenders == plain.contenders


def test_no_test_row_is_read_before_the_vault_is_opened(told, monkeypatch):
    order = []
    real = Dataset.column

    def column(self, name, rows=None):
        asked = set(range(self.rows) if rows is None else rows)
        order.append("test rows" if asked & set(told.split.vault.sealed) else "learning rows")
        return real(self, name, rows)

    def count(opening):
        order.append("opened")
        return 1

    monkeypatch.setattr(Dataset, "column", column)
    evaluated(told, count=count)
    assert order.count("opened") == 1
    assert "test rows" in order
    assert order.index("opened") < order.index("test rows")


def test_an_opening_says_which_rows_and_why(told):
    openings = []
    evaluated(told, count=lambda opening: openings.append(opening) or 1)
    (opening,) = openings
    assert opening.test == told.split.vault.fingerprint
    assert told.plan.id in opening.reason


def test_a_second_look_is_counted_and_said(told, tmp_path):
    registry = Registry(tmp_path)

    def count(opening):
        return registry.count_opening(opening.test, opening.reason)

    first, second = evaluated(told, count=count), evaluated(told, count=count)
    assert (first.openings, second.openings) == (1, 2)
    assert not any("looked at" in note for note in first.notes)
    assert any("looked at 2 times" in note for note in second.notes)


def test_all_contenders_stand_side_by_side(told):
    kinds = {one.name: one.kind for one in told.evaluation.contenders}
    assert kinds == {
        "zero_shot": "before", "nearest_mean": "before", "majority": "baseline",
        "tfidf": "baseline", "features": "rung", "top": "rung", "full": "rung",
    }  # fmt: skip
    assert "training labels" in told.evaluation.contender("nearest_mean").note


def test_zero_shot_needs_a_model_that_embeds_sentences(told_of_few):
    assert not told_of_few.card.embeds_sentences
    names = {one.name for one in told_of_few.evaluation.contenders}
    assert "zero_shot" not in names
    assert {"nearest_mean", "majority", "tfidf", "features", "top", "full"} == names
    assert told_of_few.evaluation.before == "nearest_mean"


def test_zero_shot_needs_names_that_contain_words(tmp_path, tell, sentences):
    rows = [(text, str(1 + len(label))) for text, label in texts_and_labels(60)]
    told = tell(tmp_path, write_rows(tmp_path / "a.csv", rows), model=sentences,
                rungs=("features",))
    assert "zero_shot" not in {one.name for one in told.evaluation.contenders}


def test_before_is_the_better_of_what_the_model_could_do_as_it_came(told):
    of = told.evaluation.contender
    better = max(("zero_shot", "nearest_mean"), key=lambda n: of(n).score("accuracy").value)
    assert told.evaluation.before == better


@pytest.mark.parametrize("rung", ["features", "full"])
def test_scores_are_what_scikit_learn_says_of_the_same_predictions(told, rung):
    targets, predicted = truth(told), predicted_by(told, rung)
    precision, recall, f1, _ = precision_recall_fscore_support(
        targets, predicted, average="macro", zero_division=0
    )
    expected = {"accuracy": accuracy_score(targets, predicted), "macro_precision": precision,
                "macro_recall": recall, "macro_f1": f1}
    found = {score.name: score.value for score in told.evaluation.contender(rung).scores}
    assert found == pytest.approx(expected)


def test_every_score_has_an_interval_around_it_and_its_rows(told):
    for contender in told.evaluation.contenders:
        for score in contender.scores:
            assert 0 <= score.low <= score.value <= score.high <= 1
            assert score.rows == len(told.split.vault.sealed) == told.evaluation.rows


def test_classes_and_confusion_are_those_of_the_kept_model(told):
    targets, predicted = truth(told), predicted_by(told, told.evaluation.kept)
    made = told.evaluation
    assert np.array_equal(made.confusion, confusion_matrix(targets, predicted))
    precision, recall, f1, rows = precision_recall_fscore_support(
        targets, predicted, zero_division=0
    )
    assert [one.label for one in made.classes] == list(told.plan.classes)
    assert [one.rows for one in made.classes] == rows.tolist()
    assert [one.precision.value for one in made.classes] == pytest.approx(precision)
    assert [one.recall.value for one in made.classes] == pytest.approx(recall)
    assert [one.f1.value for one in made.classes] == pytest.approx(f1)


def test_rows_won_and_lost_against_the_kept_model_are_counted_row_by_row(told):
    targets, kept = truth(told), predicted_by(told, told.evaluation.kept)
    other = next(r for r in ("features", "full") if r != told.evaluation.kept)
    theirs = predicted_by(told, other)
    versus = told.evaluation.contender(other).versus_kept
    assert versus.wins == int(((kept == targets) & (theirs != targets)).sum())
    assert versus.losses == int(((kept != targets) & (theirs == targets)).sum())
    assert versus.difference == pytest.approx((versus.wins - versus.losses) / len(targets))
    assert told.evaluation.contender(told.evaluation.kept).versus_kept is None


def test_majority_is_the_commonest_class_of_the_learning_rows(told_of_few):
    labels = told_of_few.dataset.targets(told_of_few.split.learners)
    common = max(sorted(set(labels)), key=labels.count)
    tested = told_of_few.dataset.targets(told_of_few.split.vault.sealed)
    found = told_of_few.evaluation.contender("majority").score("accuracy").value
    shares = {tested.count(one) / len(tested) for one in set(labels)
              if labels.count(one) == labels.count(common)}  # several may be commonest
    assert found in shares


def test_nearest_mean_uses_the_frozen_models_vectors_of_learning_rows_only(told):
    network = open_network(told.card)
    encoder = ENCODERS["text"].fit(
        told.card, tokenizer_json(told.card), fields=("text",), max_tokens=told.plan.max_tokens
    )

    def vectors(rows):
        items = encoder.encode(told.dataset.fields(rows))
        work = taps_of(network, encoder, items, names=[told.card.pooling], precision="fp32")
        return finish(work)[told.card.pooling]

    learners = told.split.learners
    answers = np.array([told.plan.classes.index(x) for x in told.dataset.targets(learners)])
    said = nearest_mean(vectors(learners), answers, vectors(told.split.vault.sealed), 3)
    expected = accuracy_score(truth(told), said)
    found = told.evaluation.contender("nearest_mean").score("accuracy").value
    assert found == pytest.approx(expected)


def test_latency_is_measured_for_one_row_and_for_32(told):
    assert [one.batch for one in told.evaluation.latency] == [1, 32]
    for one in told.evaluation.latency:
        assert 0 < one.p50_seconds <= one.p95_seconds
        assert one.repeats > 2


def test_a_test_row_of_a_class_without_a_learning_row_counts_as_wrong(tmp_path, tell, tiny):
    rows = texts_and_labels(60, seed=3)
    tested = texts_and_labels(20, seed=4, without=rows)
    strange = [*tested[:15], *((text, "never seen") for text, _ in tested[15:])]
    told = tell(
        tmp_path, write_rows(tmp_path / "a.csv", rows), model=tiny, rungs=("features",),
        test=str(write_rows(tmp_path / "b.csv", strange)), allow=("unseen",),
    )
    made = told.evaluation
    assert made.rows == 20
    assert made.labels[:-1] == told.plan.classes
    assert made.confusion[-1][-1] == 0
    assert sum(made.confusion[-1]) == 5
    right = sum(made.confusion[at][at] for at in range(3))
    assert made.contender("features").score("accuracy").value == pytest.approx(right / 20)
    assert all(one.score("accuracy").value <= 15 / 20 for one in made.contenders)
    assert any("no training row has" in note for note in made.notes)


def test_a_version_is_scored_on_new_rows_and_rows_without_an_answer_are_counted(told):
    rows = told.dataset
    outputs = np.eye(3)[[told.plan.classes.index(x) for x in rows.targets()]]
    cells = ["" if row < 4 else cell for row, cell in enumerate(rows.targets())]
    at = rows.table.column_names.index("label")
    some = replace(rows, table=rows.table.set_column(at, "label", [cells]))
    made = rating.rate(
        "t@1", outputs, some, task_of(told.plan), metric="accuracy", count=lambda opening: 3
    )
    assert any("looked at 3 times" in note for note in made.notes)
    assert made.rows == rows.rows - 4
    assert made.before is None
    assert made.contender("t@1").score("accuracy").value == 1.0
    assert any(note.startswith("4 rows without an answer") for note in made.notes)


def test_the_temperature_is_that_of_the_validation_rows_and_no_test_row_moves_it(told):
    held = checkpoints.read_tensors(
        told.run_folder / told.run.rung(told.run.kept).folder / "outputs.safetensors"
    )["validation"].numpy()
    truth = [told.plan.classes.index(x) for x in told.dataset.targets(told.split.validation)]
    found = told.evaluation.calibration

    assert found.temperature == temperature(held, np.array(truth))
    assert (found.rows, found.source) == (len(truth), "validation")
    assert found.before.nll.rows == found.after.brier.rows == told.evaluation.rows


def test_without_a_validation_part_the_temperature_is_fitted_out_of_fold(told_of_few):
    found = told_of_few.evaluation.calibration
    assert (found.rows, found.source) == (len(told_of_few.split.train), "out of fold")


def test_the_published_version_carries_the_temperature(told):
    facts = json.loads((Path(told.version.folder) / "task.json").read_text())
    assert facts["temperature"] == told.evaluation.calibration.temperature


def test_what_else_is_known_of_the_kept_model_is_all_there(told):
    made = told.evaluation
    assert [one.wanted for one in made.abstention.thresholds] == [0.90, 0.95, 0.99]
    every, score = made.abstention.curve[-1].accuracy, made.contender(made.kept).score("accuracy")
    assert every == score
    assert made.curve.points[-1].rows == len(told.split.learners)
    assert made.fitting.train.rows == min(len(told.split.train), evaluating.SAMPLE)
    assert (made.fitting.test.value, made.fitting.test.rows) == (score.value, score.rows)
    assert [block.name for block in made.blocks] == ["embeddings", "block 1", "block 2", "head"]


def test_blocks_say_what_learned_and_how_far_it_moved(told, told_of_few):
    for one in (told, told_of_few):
        blocks, kept = one.evaluation.blocks, one.run.rung(one.run.kept)
        if kept.history:
            assert [block.moved > 0 for block in blocks[1:-1]] == [
                block.first_rate > 0 for block in blocks[1:-1]]
            assert [block.first_rate > 0 for block in blocks[-2:]] == [True, True]
        else:
            assert [block.moved for block in blocks] == [0.0, 0.0, 0.0, None]
            assert [block.learned for block in blocks[:-1]] == [0, 0, 0]
        assert blocks[-1].learned == blocks[-1].parameters == 32 * 3 + 3


def test_a_frozen_backbone_forgets_nothing_and_a_tuned_one_is_probed(tmp_path, tell, sentences,
                                                                    rows):
    data = write_rows(tmp_path / "tickets.csv", rows)
    guard = write_rows(tmp_path / "guard.csv", [
        (f"{text} {'again' if at % 2 else 'once'}", "more" if at % 2 else "less")
        for at, (text, _) in enumerate(texts_and_labels(80, seed=5))])
    frozen = tell(tmp_path / "a", data, model=sentences, rungs=("features",))
    tuned = tell(tmp_path / "b", data, model=sentences, rungs=("full",), guard=(str(guard),))

    assert frozen.evaluation.forgetting.similarity == 1.0
    assert frozen.evaluation.forgetting.retentions == ()
    (kept,) = tuned.evaluation.forgetting.retentions
    assert (kept.data, kept.rows) == ("guard", 80)
    assert kept.base.rows == kept.tuned.rows == kept.change.rows == 80
    assert 0 < tuned.evaluation.forgetting.similarity < 1


def test_the_version_before_is_compared_row_by_row_where_it_saw_none_of_the_test_rows(
    tmp_path, tell, sentences, rows
):
    data = write_rows(tmp_path / "tickets.csv", rows)
    first = tell(tmp_path, data, model=sentences, rungs=("features",), out=str(tmp_path / "1"))
    second = tell(tmp_path, data, model=sentences, rungs=("full",), out=str(tmp_path / "2"))
    third = tell(tmp_path, data, model=sentences, rungs=("features",), seed=1,
                 out=str(tmp_path / "3"))

    assert first.evaluation.forgetting.flips is None
    flips = second.evaluation.forgetting.flips
    assert flips.first == "tickets@1"
    before, after = predicted_by(first, "features"), predicted_by(second, "full")
    wrong = (before == truth(first)) & (after != truth(first))
    assert flips.losses == wrong.sum()
    assert third.evaluation.forgetting.flips is None
    assert any("may have learned from these" in note for note in third.notes)


def test_a_named_column_is_judged_apart(tmp_path, tell, sentences):
    rows = [(text, label, "ab"[at % 2]) for at, (text, label) in enumerate(texts_and_labels(900))]
    data = write_rows(tmp_path / "a.csv", rows, header=("text", "label", "site"))
    told = tell(tmp_path, data, model=sentences, rungs=("features",), slices=("site",))
    sites = {one.value: one for one in told.evaluation.slices if one.by == "site"}

    assert set(sites) == {"a", "b"}
    assert sum(one.score.rows for one in sites.values()) == told.evaluation.rows
    assert "site" not in told.plan.reading.inputs


def test_rows_that_hang_together_count_whole_in_all_that_is_said_of_test_rows(told):
    """Test rows are tied four by four, learning rows two by two."""
    rows, learners = told.split.vault.sealed, told.split.learners
    ties = (
        *(tuple(sorted(rows[at : at + 4])) for at in range(0, len(rows), 4)),
        *(tuple(sorted(learners[at : at + 2])) for at in range(0, len(learners), 2)),
    )
    made = evaluated(told, split=replace(told.split, tied=ties))
    alone = evaluated(told, split=replace(told.split, tied=()))
    assert (made.groups, alone.groups) == (-(-len(rows) // 4), None)
    for one, other in ((made.calibration.after.nll, alone.calibration.after.nll),
                       (made.abstention.area, alone.abstention.area),
                       (made.curve.points[0].score, alone.curve.points[0].score)):
        assert one != other
    assert made.calibration.temperature == alone.calibration.temperature
    assert alone.calibration.low < alone.calibration.temperature < alone.calibration.high
    assert (made.calibration.low, made.calibration.high) != (
        alone.calibration.low, alone.calibration.high)
    assert made.smallest_gain != alone.smallest_gain
    few = replace(told.split, tied=(rows[: len(rows) // 2], rows[len(rows) // 2 :]))
    assert any("no interval can be trusted" in note for note in evaluated(told, split=few).notes)


def test_out_of_fold_it_is_known_which_rows_were_judged(told_of_few):
    learners = told_of_few.split.learners
    said, truth, places = validated(
        told_of_few.run_folder, told_of_few.run.rung(told_of_few.run.kept).folder)
    labels = told_of_few.dataset.targets([learners[at] for at in places])
    assert sorted(places.tolist()) == list(range(len(learners)))
    assert [told_of_few.plan.classes[at] for at in truth] == labels
    assert len(said) == len(labels)
