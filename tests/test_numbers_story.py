"""A number as target: the whole story, from a file to answers in the target's own unit."""

import csv
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from fettle import pipeline, upkeep, watching
from fettle.core.errors import SettingError
from fettle.core.evaluation import CurvePoint, Forecast, LearningCurve
from fettle.core.journal import Answered, Label
from fettle.core.progress import finish
from fettle.core.score import Score
from fettle.models.sources import DEFAULT_TEXT_MODEL
from fettle.store import journal, records
from fettle.store.places import journal_folder
from pictures import encoded, timm_folder
from stories import texts_and_labels, write_rows

WORTH = {"card": 30.0, "lost": 12.0, "stolen": 18.0, "top": -9.0, "money": -14.0, "late": 5.0}


def priced(number, *, seed=0, without=()):
    """Texts, and a number that is what their words are worth, with a little chance."""
    rng = np.random.default_rng(seed)
    rows = texts_and_labels(number, seed=seed, without=without)
    return [
        (text, f"{500 + sum(WORTH.get(word, 0.0) for word in text.split()) + rng.normal():.3f}")
        for text, _ in rows
    ]


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "price"), *rows])
    return path


@pytest.fixture(scope="module")
def told_of_prices(tmp_path_factory, tell, sentences):
    folder = tmp_path_factory.mktemp("prices")
    rows = [*priced(280), ("my card", "12,50 EUR"), ("my late money", "unknown")]
    return tell(folder, write(folder / "prices.csv", rows), model=sentences, target="price",
                rungs=("features", "full"))


def test_numbers_are_recognised_split_and_planned(told_of_prices):
    told = told_of_prices
    assert told.dataset.schema.task == "regression"
    assert any("so numbers are predicted: regression" in one for one in told.plan.reasons)
    (odd,) = [one for one in told.audit.findings if one.check == "not_numbers"]
    assert odd.rows == ("prices.csv:282", "prices.csv:283")
    used = {*told.split.learners, *told.split.vault.sealed}
    assert not used & {280, 281}
    train = np.array([float(cell) for cell in told.dataset.targets(told.split.train)])
    assert told.plan.unit.mean == pytest.approx(train.mean())
    assert told.plan.unit.spread == pytest.approx(train.std())
    assert (told.plan.metric, told.plan.classes) == ("r2", ())


def test_the_model_explains_the_target_and_beats_the_mean(told_of_prices):
    made = told_of_prices.evaluation
    kept = made.contender(made.kept)
    assert [one.name for one in kept.scores] == ["mae", "rmse", "r2", "spearman"]
    assert kept.score("r2").value > 0.5
    assert made.contender("mean").versus_kept.verdict == "better"
    assert made.before == "nearest_rows"
    assert made.calibration is None
    assert made.labels == ()
    assert made.residuals.half_width > 0
    assert made.residuals.covered.rows == made.rows
    assert made.fitting.test.name == "mae"


def test_the_report_shows_residuals_and_nothing_of_classes(told_of_prices):
    page = (told_of_prices.run_folder / "report.html").read_text(encoding="utf-8")
    for word in ('id="residuals"', "answer minus truth", "mean absolute error"):
        assert word.lower() in page.lower()
    for word in ('id="confusion"', 'id="classes"', 'id="calibration"', "accuracy"):
        assert word not in page
    card = (told_of_prices.run_folder / "model-card.md").read_text(encoding="utf-8")
    assert "predicts the number price" in card


@pytest.mark.usefixtures("on_this_machine")
def test_answers_are_in_the_unit_of_the_target_with_an_interval(told_of_prices, fettle):
    told = told_of_prices
    answers, _ = pipeline.predict(told.version.folder, ["card stolen", "money top"])
    high, low = (one.value for one in answers)
    assert 400 < low < high < 600
    half = told.evaluation.residuals.half_width
    assert answers[0].interval == pytest.approx((high - half, high + half))
    done = fettle("predict", told.version.folder, "card stolen", "--json")
    assert json.loads(done.out)["value"] == pytest.approx(high)


@pytest.mark.usefixtures("on_this_machine")
def test_a_version_is_evaluated_and_watched_on_new_rows(told_of_prices, tmp_path):
    told = told_of_prices
    new = write(tmp_path / "new.csv", priced(60, seed=9))
    made = pipeline.evaluate("prices", new, registry=str(told.registry))
    assert made.contenders[0].score("mae").value < made.contenders[0].score("rmse").value
    drift = finish(watching.watch("prices", new, registry=str(told.registry)))
    assert drift.at_release.name == "mae"
    assert drift.promised is None
    assert "prediction" in {one.signal for one in drift.states}
    assert "labels" in {one.signal for one in drift.states}


@pytest.mark.usefixtures("on_this_machine")
@pytest.mark.parametrize("keeps", [True, False])
def test_what_it_answered_is_watched_from_the_journal(told_of_prices, keeps, tmp_path):
    told, rows = told_of_prices, priced(60, seed=9)
    registry = shutil.copytree(told.registry, tmp_path / "registry")
    answers, _ = pipeline.predict(told.version.folder, [text for text, _ in rows])
    batch = [
        Answered(f"{at:032x}", datetime(2026, 1, 1, tzinfo=UTC), "prices@1", repr(one.value),
                 np.zeros(0), inputs={"text": text} if keeps else None)
        for at, (one, (text, _)) in enumerate(zip(answers, rows, strict=True))
    ]
    folder = journal_folder(str(registry), "prices")
    journal.Journal(folder).write(batch)
    journal.add_labels(folder, [Label(one.id, cell, one.at, "audit")
                                for one, (_, cell) in zip(batch, rows, strict=True)])
    drift = finish(watching.watch("prices", registry=str(registry), journal=True))
    assert "prediction" in {one.signal for one in drift.states}
    errors = [abs(one.value - float(cell)) for one, (_, cell) in zip(answers, rows, strict=True)]
    (judged,) = (one for one in drift.judged if one.stream == "audit")
    assert judged.score.value == pytest.approx(np.mean(errors))


def test_a_second_version_is_compared_with_the_first_to_the_last_digit(
    told_of_prices, tell, sentences, tmp_path, fettle
):
    told = told_of_prices
    second = tell(tmp_path, told.folder / "prices.csv", model=sentences,
                  target="price", rungs=("features",), asked={"l2": "0.3"},
                  registry=str(shutil.copytree(told.registry, tmp_path / "registry")))
    errors = [one.evaluation.contender(one.evaluation.kept).score("mae").value
              for one in (told, second)]
    gain = pytest.approx(errors[0] - errors[1], rel=1e-9, abs=1e-9)
    assert second.evaluation.forgetting.flips.difference == gain
    done = fettle("compare", told.run_folder, second.run_folder)
    assert "mae:" in done.out
    assert "recall" not in done.out


@pytest.mark.usefixtures("on_this_machine")
def test_a_curve_of_errors_promises_a_share_of_the_error(told_of_prices, tmp_path):
    curve = LearningCurve(
        (CurvePoint(100, Score("mae", 50.0, 40.0, 60.0, 30)),), None,
        (Forecast(400, 5.0, 4.0, 6.0),), "")
    path = records.save(tmp_path / "evaluation.json",
                        replace(told_of_prices.evaluation, curve=curve))

    class Held:
        def paths(self, manifest):
            return {"evaluation.json": path}

    promised = watching._promised_gain(Held(), {"files": {"evaluation.json": "hash"}}, 400)
    assert promised == pytest.approx(4 / 50)


@pytest.mark.usefixtures("on_this_machine")
def test_what_is_exported_answers_in_the_same_unit(told_of_prices, tmp_path):
    told = told_of_prices
    made = finish(upkeep.export(told.version.folder, "torch", tmp_path / "out"))
    assert made.holds
    facts = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    assert (facts["answers"], facts["classes"]) == ("numbers", ["price"])


def test_a_strategy_that_needs_classes_is_refused_with_the_reason(
    told_of_prices, tmp_path, tell, sentences
):
    data = write(tmp_path / "p.csv", priced(40))
    with pytest.raises(SettingError, match=r"contrastive cannot learn regression: it learns which"):
        tell(tmp_path / "a", data, model=sentences, target="price", rungs=("contrastive",))
    with pytest.raises(SettingError, match=r"loss weighted makes no sense for regression"):
        tell(tmp_path / "b", data, model=sentences, target="price", rungs=("full",),
             asked={"loss": "weighted"})


def test_numbers_beyond_what_can_be_squared_are_refused_in_words(tmp_path, fettle, sentences):
    data = write(tmp_path / "huge.csv", [(text, f"{cell}e300") for text, cell in priced(60)])
    done = fettle("plan", data, "--model", sentences, "--target", "price", "--task", "regression")
    assert done.code == 2
    assert "none is larger than 1e+100" in done.err


def test_pictures_may_have_a_number_too(tmp_path, fettle, monkeypatch):
    lines = []
    for row in range(190):
        light = np.random.default_rng(row).uniform(20, 235)
        (tmp_path / f"{row}.png").write_bytes(encoded(np.full((24, 24, 3), light, np.uint8)))
        lines.append((f"{row}.png", f"{1e6 + 1000 * light:.1f}"))
    with (tmp_path / "lights.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "light"), *lines])
    timm_folder(tmp_path / "model", "test_resnet", side=32)
    monkeypatch.chdir(tmp_path)
    done = fettle("tune", "lights.csv", "--model", "model", "--rungs", "features",
                  "--target", "light", "--json")
    assert done.code == 0, done.err
    assert done.json["task"] == "regression"
    asked = fettle("predict", "lights", "0.png", "--json")
    value = json.loads(asked.out)["value"]
    assert 0.9e6 < value < 1.4e6
    assert fettle("predict", "lights", "0.png").out.startswith(f"{value:.0f}  (")
    assert fettle("evaluate", "lights", "lights.csv").code == 0
    assert fettle("watch", "lights", "lights.csv", "--json").code == 0


@pytest.mark.slow
def test_pairs_of_sentences_with_a_score_are_learned_and_judged(tmp_path, tell, shared_data):
    with (shared_data / "stsb" / "train.csv").open(encoding="utf-8", newline="") as stream:
        header, *rows = list(csv.reader(stream))
    data = tmp_path / "stsb.csv"
    with data.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows[::19]])
    told = tell(tmp_path, data, model=DEFAULT_TEXT_MODEL, target="score", rungs=("features",))
    made = told.evaluation
    assert told.dataset.schema.inputs == ("sentence1", "sentence2")
    assert made.contender("mean").score("r2").value < 0.05
    assert made.residuals.half_width < 2.6  # the mean alone would need about that
    assert {one.by for one in made.slices} <= {"genre", "length", "cluster"}


def test_a_picture_may_have_a_number_too(tmp_path, fettle, monkeypatch):
    rng = np.random.default_rng(0)
    lines = []
    for row in range(90):
        light = int(rng.integers(20, 200))
        picture = np.clip(light + rng.integers(-20, 21, (24, 24, 3)), 0, 255).astype(np.uint8)
        (tmp_path / f"{row}.png").write_bytes(encoded(picture))
        lines.append((f"{row}.png", f"{light / 7:.3f}"))
    write_rows(tmp_path / "light.csv", lines, header=("path", "lux"))
    timm_folder(tmp_path / "model", "test_resnet", side=32)
    monkeypatch.chdir(tmp_path)
    done = fettle("tune", "light.csv", "--target", "lux", "--model", "model", "--rungs", "features",
                  "--json")
    assert done.code == 0, done.err
    assert done.json["task"] == "regression"
    assert {one["name"] for one in done.json["test"]} == {"mae", "rmse", "r2", "spearman"}
    asked = fettle("predict", "light", "0.png", "--json")
    assert 0 < json.loads(asked.out)["value"] < 200 / 7 + 10
