"""The whole story of several labels a row, on the tiny network: from cells to answers."""

import json
from pathlib import Path

import numpy as np
import pytest

from fettle import console, pipeline
from fettle.core.errors import FettleError
from fettle.core.labels import unpacked
from fettle.store import files
from labelled import NAMES, several, story
from pictures import CLASSES, drawn, encoded, timm_folder
from stories import copy_of, write_rows

__all__ = ["story"]


def test_the_plan_says_why_it_is_several_labels(story):
    assert story.plan.task == "multi-label"
    assert story.plan.classes == tuple(sorted(NAMES))
    assert story.plan.metric == "micro_f1"
    assert story.plan.reading.label_separator == "|"
    reasons = " ".join(story.plan.reasons)
    assert "several labels a row, with '|' between them" in reasons
    assert "compared by micro F1" in reasons
    assert "as many rows with each label as its share" in reasons


def test_every_label_stands_on_every_side(story):
    cells = story.dataset.targets()
    for side in (story.split.train, story.split.validation, story.split.vault.sealed):
        assert {label for row in side for label in unpacked(cells[row])} == set(NAMES)


def test_the_ladder_is_climbed_and_judged_beside_before_and_baselines(story):
    made = story.evaluation
    assert [one.name for one in story.run.rungs] == ["features", "full"]
    names = {one.name: one for one in made.contenders}
    assert {"nearest_means", "commonest_set", "tfidf", "features", "full"} <= set(names)
    assert made.contender("tfidf").score("micro_f1").value > 0.8
    assert made.contender("commonest_set").score("micro_f1").value < 0.5
    kept = names[made.kept]
    assert kept.score("micro_f1").value > 0.6
    assert {one.name for one in kept.scores} == {
        "micro_f1", "macro_f1", "row_f1", "subset_accuracy", "hamming_loss", "ranking_precision"}


def test_each_label_has_its_scores_and_its_threshold(story):
    made = story.evaluation
    assert [one.label for one in made.classes] == list(story.plan.classes)
    assert [one.label for one in made.rules] == list(story.plan.classes)
    assert all(one.own and 0.01 <= one.threshold <= 0.99 for one in made.rules)
    assert np.array(made.confusion).shape == (3, 3)
    assert made.calibration is not None
    assert made.abstention is not None


def test_the_report_shows_labels_and_no_confusion_matrix(story):
    page = Path(story.report.html).read_text(encoding="utf-8")
    assert "Label by label" in page
    assert "called from" in page
    assert "What is called in place of what" in page
    assert "Confusion matrix" not in page
    assert "micro F1" in page
    card = Path(story.report.card).read_text(encoding="utf-8")
    assert "lost card" in card
    assert "into any of 3 labels" in card
    assert "several, or none" in card
    assert "always answers with one of them" not in card


def test_differences_are_told_as_what_they_are_and_by_their_own_test(story):
    """The mean F1 of rows, by the sign test: no accuracy, no micro F1, no McNemar."""
    page = Path(story.report.html).read_text(encoding="utf-8")
    for word in ("paired difference, mean F1 of rows", "kept minus this, mean F1 of rows",
                 "a gain in the mean F1 of rows", "exact sign test", "All 3 labels"):
        assert word in page
    for word in ("McNemar", "accuracy gain", "of accuracy", "kept minus this, micro"):
        assert word not in page
    assert "after against before, row f1: " in console._evaluation(story.evaluation)


def test_too_little_or_too_much_by_heart_is_told_by_rows_with_all_labels_right(story):
    found = story.evaluation.fitting
    assert found.test.name == found.train.name == "subset_accuracy"
    assert found.test.value == story.evaluation.contender(
        story.evaluation.kept).score("subset_accuracy").value
    page = Path(story.report.html).read_text(encoding="utf-8")
    section = page.split('id="fitting"')[1].split("</section>")[0]
    assert "subset accuracy" in section
    assert "right in all labels, none besides, on" in section


def test_the_version_answers_with_the_labels_above_their_thresholds(story):
    facts = files.read_json(Path(story.version.folder) / "task.json")
    assert facts["task"] == "multi-label"
    assert facts["thresholds"] == [one.threshold for one in story.evaluation.rules]
    answers, _ = pipeline.predict(story.version.folder, ["card lost stolen pay late now", "my is"])
    assert set(answers[0].labels) <= set(NAMES)
    assert unpacked(answers[0].value) == tuple(sorted(answers[0].labels))
    cut = dict(zip(facts["classes"], facts["thresholds"], strict=True))
    for answer in answers:
        assert all(answer.probabilities[label] >= cut[label] for label in answer.labels)
        assert 0 <= answer.confidence <= 1


def test_new_rows_with_labels_are_scored_and_without_are_answered(story, tmp_path):
    new = write_rows(tmp_path / "new.csv",
                     [(text, "|".join(labels)) for text, labels in several(60, seed=5)],
                     header=("text", "labels"))
    made = pipeline.evaluate(story.version.folder, new, registry=str(story.registry))
    assert made.rows == 60
    assert made.contender(made.kept).score("micro_f1").rows == 60
    bare = write_rows(tmp_path / "bare.csv", [("my card",), ("top up",)], header=("text",))
    answers, _ = pipeline.predict(story.version.folder, str(bare))
    assert len(answers) == 2
    with pytest.raises(FettleError, match="no column"):
        pipeline.evaluate(story.version.folder, bare, registry=str(story.registry))


def test_predict_prints_labels_and_json_lists(fettle, story):
    done = fettle("predict", story.version.folder, "card lost stolen", "--json")
    told = json.loads(done.out)
    assert isinstance(told["value"], list)
    assert set(told["value"]) <= set(NAMES)
    done = fettle("predict", story.version.folder, "my is my is")
    assert done.code == 0


def test_a_second_version_is_held_against_the_first_on_the_same_rows(story, tell, tiny, tmp_path):
    here = copy_of(story, tmp_path / "copy")
    second = tell(here.folder, Path(story.plan.reading.data), model=tiny, rungs=("features",))
    flips = second.evaluation.forgetting.flips
    first, other = (one.evaluation.contender(one.evaluation.kept).score("row_f1").value
                    for one in (story, second))
    assert flips.first == "tickets@1"
    assert flips.difference == pytest.approx(other - first)


def test_a_challenger_is_asked_at_the_gate_and_may_pass(story, fettle, tell, tiny, tmp_path):
    data = write_rows(tmp_path / "tickets.csv",
                      [(text, " | ".join(labels)) for text, labels in several(320)],
                      header=("text", "labels"))
    second = tell(tmp_path / "second", data, model=tiny, rungs=("features",), seed=1,
                  name="tickets", registry=str(story.registry))
    done = fettle("promote", second.version.id, "--registry", story.registry, "--json")
    told = json.loads(done.out)
    gates = {one["name"]: one for one in told["gates"]}
    assert {"micro_f1", "slices", "calibration", "negative_flips"} <= set(gates)
    assert gates["micro_f1"]["low"] <= gates["micro_f1"]["value"] <= gates["micro_f1"]["high"]
    assert done.code in (0, 3)


def test_a_second_version_is_compared_with_the_first_as_both_answer(story, fettle, tell, tiny):
    """Row by row, each with the thresholds that it carries."""
    second = tell(story.folder / "next", story.folder / "tickets.csv", model=tiny,
                  rungs=("features",), registry=str(story.registry))
    ours = [told.evaluation.contender(told.evaluation.kept).score("row_f1").value
            for told in (story, second)]
    flips = second.evaluation.forgetting.flips
    assert flips.difference == pytest.approx(ours[1] - ours[0])
    assert "are further from the truth now" in " ".join(second.evaluation.forgetting.sentences)
    done = fettle("compare", story.run_folder, second.run_folder, "--json")
    assert done.json["comparison"]["difference"] == pytest.approx(ours[1] - ours[0])


def test_a_version_leaves_with_its_thresholds_and_answers_alike(story, fettle, tmp_path):
    done = fettle("export", "tickets@1", "--to", "torch", "--out", tmp_path / "out",
                  "--registry", story.registry, "--json")
    assert done.code == 0, done.err
    assert done.json["changed"] == 0
    assert done.json["largest_probability"] <= done.json["several"]
    told = files.read_json(tmp_path / "out" / "preprocessing.json")
    assert told["thresholds"] == [one.threshold for one in story.evaluation.rules]
    assert told["classes"] == [one.label for one in story.evaluation.rules]


def test_pictures_may_have_several_labels_too(tmp_path, fettle, monkeypatch):
    rng = np.random.default_rng(0)
    lines = []
    for row in range(90):
        kinds = [kind for kind in CLASSES if rng.random() < 0.5]
        parts = [drawn(kind, seed=10 * row + at, side=24) for at, kind in enumerate(kinds)]
        blank = [np.full((24, 24, 3), 128, np.uint8)] * (3 - len(parts))
        (tmp_path / f"{row}.png").write_bytes(encoded(np.concatenate([*parts, *blank], axis=1)))
        lines.append((f"{row}.png", ";".join(kinds)))
    write_rows(tmp_path / "shapes.csv", lines, header=("path", "labels"))
    timm_folder(tmp_path / "model", "test_resnet", side=32)
    monkeypatch.chdir(tmp_path)
    done = fettle("tune", "shapes.csv", "--model", "model", "--rungs", "features", "--json")
    assert done.code == 0, done.err
    assert done.json["task"] == "multi-label"
    assert {"micro_f1", "ranking_precision"} <= {one["name"] for one in done.json["test"]}
    asked = fettle("predict", "shapes", "0.png", "--json")
    assert set(json.loads(asked.out)["value"]) <= set(CLASSES)


def test_columns_of_0_and_1_tell_the_same_story_as_cells(tmp_path, fettle, tiny):
    rows = [(text, *(int(name in labels) for name in NAMES)) for text, labels in several(240)]
    data = write_rows(tmp_path / "t.csv", rows, header=("text", *NAMES))
    done = fettle("plan", data, "--target", ",".join(NAMES), "--model", tiny, "--json")
    assert done.code == 0, done.err
    assert done.json["task"] == "multi-label"
    assert done.json["classes"] == sorted(NAMES)
    assert done.json["reading"]["inputs"] == ["text"]


@pytest.mark.parametrize(("asked", "says"), [
    (("--rungs", "contrastive"), "contrastive"),
    (("--loss", "adjusted"), "adjusted"),
    (("--stop-by", "accuracy"), "accuracy"),
    (("--label-separator", ";"), "No cell of column 'labels' holds ';'"),
    (("--task", "classification", "--label-separator", "|"), "Leave one of them away"),
])
def test_what_several_labels_cannot_have_is_refused(tmp_path, fettle, tiny, asked, says):
    rows = [(text, "|".join(labels)) for text, labels in several(240)]
    data = write_rows(tmp_path / "t.csv", rows, header=("text", "labels"))
    done = fettle("plan", data, "--model", tiny, *asked)
    assert done.code == 2
    assert says in done.err
