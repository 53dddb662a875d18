"""Several labels a row as a task: targets, loss, what is called, and how it is judged."""

import numpy as np
import pytest
import torch

from fettle.core.errors import InputError, ShapeError
from fettle.core.labels import indicators, packed, unpacked
from fettle.engine.linear import path_for
from fettle.measures import label_calibration
from fettle.tasks.multi_label import MultiLabel

LABELS = ("card", "fee", "late")
CELLS = ['["card","late"]', "[]", '["fee"]', '["late"]']


def task() -> MultiLabel:
    return MultiLabel(LABELS)


def rows_of(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and labels that each hang on one of their numbers; the last label is rare."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(number, 6)).astype(np.float32)
    return vectors, vectors[:, :3] > (0.0, 0.5, 1.4)


def test_equal_sets_are_equal_cells_and_come_back():
    assert packed(("b", "a", "b")) == packed(["a", "b"]) == '["a","b"]'
    assert unpacked('["a","b"]') == ("a", "b")
    assert unpacked("[]") == unpacked("") == unpacked(None) == ()
    with pytest.raises(InputError, match="no list of labels"):
        unpacked("a|b")
    assert indicators(['["a","x"]'], ("a", "b")).tolist() == [[True, False]]


def test_targets_are_yes_or_no_for_each_label():
    assert task().targets(CELLS).astype(int).tolist() == [
        [1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1]]
    with pytest.raises(InputError, match="'loan'"):
        task().targets(['["loan"]'])
    assert not task().targets(['["loan"]'], unseen=True).any()


def test_the_loss_is_binary_cross_entropy_summed_over_labels():
    outputs = torch.tensor([[0.0, 2.0, -1.0], [1.0, 0.0, 0.0]])
    batch = {"target": torch.tensor([[True, True, False], [False, False, True]])}
    part = task().loss(outputs, batch)["cross_entropy"]
    by_hand = -label_calibration.log_likelihood(outputs.numpy(), batch["target"].numpy()).sum()
    assert part.count == 2
    assert float(part.sum) == pytest.approx(by_hand)
    assert task().plain_loss(outputs.numpy(), batch["target"].numpy()) == pytest.approx(by_hand / 2)


def test_a_weighted_loss_counts_yes_as_much_as_all_no_together():
    targets = np.array([[True, False, False]] + [[False, True, False]] * 3)
    weighted = task().taught(targets, loss="weighted", label_smoothing=0.0)
    assert weighted.weights.tolist() == pytest.approx([3.0, 1 / 3, 3.0])
    zeros = torch.zeros(4, 3)
    # 12 decisions at log 2; the yes of the first label counts 3, each of the second a third
    part = weighted.loss(zeros, {"target": torch.from_numpy(targets)})["cross_entropy"]
    assert float(part.sum) == pytest.approx(np.log(2) * (8 + 3 + 3 / 3))


def test_smoothing_gives_a_share_of_each_yes_and_no_to_the_other():
    smooth = task().taught(np.eye(3, dtype=bool), loss="plain", label_smoothing=0.2)
    sure = torch.tensor([[20.0, -20.0, -20.0]])
    part = smooth.loss(sure, {"target": torch.tensor([[True, False, False]])})["cross_entropy"]
    assert float(part.sum) == pytest.approx(3 * 0.1 * 20, rel=1e-3)


def test_a_solved_head_is_a_regression_for_each_label():
    from sklearn.linear_model import LogisticRegression

    vectors, truth = rows_of(300)
    truth ^= np.random.default_rng(1).random(truth.shape) < 0.1
    (head,) = path_for(task(), vectors, truth, l2=(0.01,))
    scale = vectors.std(axis=0)
    for label in range(3):
        known = LogisticRegression(C=1 / (0.01 * 300), tol=1e-8, max_iter=1000).fit(
            (vectors - vectors.mean(axis=0)) / scale, truth[:, label])
        np.testing.assert_allclose(head.weight[label] * scale, known.coef_[0], atol=2e-3)


def test_what_is_fitted_on_held_out_rows_travels_as_facts():
    vectors, truth = rows_of(400)
    outputs = 6 * (vectors[:, :3] - (0.4, 0.9, 1.8))  # too sure, and too shy
    fitted = task().fitted(outputs, truth)
    again = MultiLabel(**fitted.facts())
    assert again.facts() == fitted.facts()
    assert again.called(outputs).tolist() == fitted.called(outputs).tolist()
    plain = [float((one.called(outputs) == truth).mean()) for one in (task(), fitted)]
    assert plain[1] > plain[0] + 0.05
    assert set(fitted.facts()) == {"classes", "temperature", "thresholds", "own"}


def test_rungs_are_scored_by_the_best_single_threshold():
    vectors, truth = rows_of(400)
    shy = vectors[:, :3] - (2.0, 2.5, 3.4)
    assert task().score("micro_f1")(shy, truth) == pytest.approx(
        task().score("micro_f1")(shy + 1.5, truth), abs=0.02)
    assert task().score("micro_f1")(shy, truth) > 0.95
    for metric in task().stops:
        assert 0 <= task().score(metric)(shy, truth) <= 1
        assert 0 <= task().score(metric)(shy[:0], truth[:0]) <= 1
    found = task().interval("macro_f1", shy, truth, seed=0)
    assert found.low <= found.value <= found.high
    loss, error = task().paired_loss("micro_f1", shy, shy * 0.0 + vectors[:, 3:], truth, seed=0)
    assert loss > 5 * error > 0


def test_the_plan_says_why_it_is_several_labels_and_by_what_rungs_are_compared():
    found, metric, why = MultiLabel.proposed([*CELLS, '["late"]'], CELLS)
    assert (found.classes, metric) == (LABELS, "micro_f1")
    assert "1.00 of 3 labels" in why
    rare = [*['["late","card"]'] * 40, '["fee"]']
    assert MultiLabel.proposed(rare, rare)[1] == "macro_f1"


def test_a_column_of_one_label_is_no_choice():
    with pytest.raises(InputError, match="the label 'late' alone"):
        MultiLabel.require_teachable(['["late"]', "[]"], column="Column 'labels'", next_="")
    with pytest.raises(InputError, match="no label in any row"):
        MultiLabel.require_teachable(["[]", "[]"], column="Column 'labels'", next_="")


def test_a_row_is_dealt_to_folds_by_its_rarest_label():
    targets = task().targets([*CELLS, '["late"]', '["late"]'])
    assert task().strata(targets).tolist() == [0, 3, 1, 2, 2, 2]


def test_chance_says_the_shares_and_flat_outputs_are_seen():
    targets = task().targets(CELLS * 5)
    nothing, shares = task().constants(targets)
    assert nothing.tolist() == [0, 0, 0]
    assert label_calibration.probabilities(shares) == pytest.approx([0.262, 0.262, 0.5], abs=0.01)
    flat = np.tile(shares, (20, 1)) - 1
    assert task().is_flat(flat, targets)
    flat[0] = 5
    assert not task().is_flat(flat, targets)
    assert not task().is_flat(flat[1:], targets[:1].repeat(19, axis=0))


def test_predictions_are_the_labels_that_are_called_with_how_sure_that_is():
    cuts = MultiLabel(LABELS, thresholds=(0.5, 0.9, 0.2))
    outputs = np.log(np.array([[0.8 / 0.2, 0.8 / 0.2, 0.3 / 0.7], [0.1 / 0.9] * 3]))
    first, second = cuts.predictions(outputs, ("r1", "r2"), "m@1")
    assert (first.labels, first.value) == (("card", "late"), '["card","late"]')
    assert first.confidence == pytest.approx(0.8 * 0.2 * 0.3)
    assert first.probabilities == pytest.approx({"card": 0.8, "fee": 0.8, "late": 0.3})
    assert (second.labels, second.value) == ((), "[]")
    assert second.confidence == pytest.approx(0.9**3)


def test_thresholds_are_one_a_label():
    with pytest.raises(ShapeError, match="2 thresholds for 3 labels"):
        MultiLabel(LABELS, thresholds=(0.5, 0.5))


def test_a_label_that_no_learning_row_has_counts_as_missed():
    judge = task().judge
    truth = judge.truth(['["card","loan"]', '["card"]'])
    said = judge.said(np.array([[5.0, -5.0, -5.0]] * 2))
    assert judge.values(said, truth).tolist() == pytest.approx([2 / 3, 1.0])
    assert judge.named(truth) == ["card, (a label unseen in training)", "card"]
    assert judge.named(judge.said(np.full((1, 3), -5.0))) == ["(no label)"]
    assert "counts as missed" in judge.remarks(truth)[-1]
    details = judge.details(np.array([[5.0, -5.0, -5.0]] * 2), truth, validation=None,
                            source="the version", seed=0)
    assert [one.label for one in details["classes"]][-1] == "(a label unseen in training)"
    assert details["classes"][-1].recall.value == 0.0


def test_an_evaluation_gives_the_thresholds_back():
    vectors, truth = rows_of(400)
    noise = np.random.default_rng(2).normal(size=(400, 3))
    outputs = 4 * (vectors[:, :3] - (0.3, 0.8, 1.7) + 0.5 * noise)
    fitted = task().fitted(outputs[:200], truth[:200])
    details = fitted.judge.details(
        outputs[200:], truth[200:], validation=(outputs[:200], truth[:200]), source="validation",
        seed=0,
    )

    class Found:
        calibration, rules = details["calibration"], details["rules"]

    assert task().of(Found).facts() == fitted.facts()
    assert [one.rows for one in details["rules"]] == truth[:200].sum(axis=0).tolist()
    assert details["calibration"].after.ece < details["calibration"].before.ece
    assert 0 < details["abstention"].area.value < 1
