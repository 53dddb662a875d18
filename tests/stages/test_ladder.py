"""The ladder: the budget that leaves rungs out, and the rung that is kept."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.standing import watched
from fettle.core.plan import Cost
from fettle.core.run import RungResult
from fettle.core.score import Score
from fettle.engine import climbing
from fettle.stages import training
from fettle.store import checkpoints, records, seals
from fettle.tasks.making import task_of
from stages.trained import climbing_only, notes, trained

pytestmark = pytest.mark.usefixtures("on_this_machine")  # with its cache of features


def spent(told, folder, *, needs, budget=100.0):
    """(Run, what was said) where the next rung is predicted to need so many seconds."""
    laid_out(told, folder, {"features": wrong_on(told, [0, 1, 2, 3])}, seconds=95.0)
    plan = replace(
        climbing_only(told, "features", "full"), budget_seconds=budget,
        predicted=(Cost("features", 3.0, 1), Cost("full", needs, 1)),
    )
    work = training.train(told.dataset, told.split, plan, card=told.card, folder=folder)
    run, events = watched(work)
    return run, notes(events)


def test_a_rung_that_no_longer_fits_the_budget_is_left_out_aloud(told, tmp_path):
    run, said = spent(told, tmp_path, needs=5.6)
    assert [rung.name for rung in run.rungs] == ["features"]
    assert run.kept == "features"
    (sentence,) = run.left_out
    assert sentence in said
    assert sentence == (
        "full is left out: it would take about 6 s, and 5 s of the budget of 100 s are left after "
        "95 s."
    )
    assert json.loads((tmp_path / "decisions.json").read_text()) == {"full": sentence}


def test_a_rung_that_fits_to_a_tenth_is_climbed(told, tmp_path):
    run, said = spent(told, tmp_path, needs=5.4)
    assert [rung.name for rung in run.rungs] == ["features", "full"]
    assert run.left_out == ()
    assert not any("left out" in note for note in said)
    assert json.loads((tmp_path / "decisions.json").read_text()) == {"full": None}


def test_what_was_decided_by_the_clock_is_followed_when_the_clock_says_otherwise(told, tmp_path):
    for name, decided, needs in (("climb", None, 1e6), ("leave", "full is left out: so.", 0.1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "decisions.json").write_text(json.dumps({"full": decided}))
        run, said = spent(told, tmp_path / name, needs=needs)
        assert (len(run.rungs) == 2) == (name == "climb")
        assert run.left_out == (() if name == "climb" else (decided,))
        assert (decided in said) == (name == "leave")


def test_a_decision_is_written_down_before_anything_follows_from_it(told, tmp_path, monkeypatch):
    def tuned(*_):
        assert json.loads((tmp_path / "decisions.json").read_text()) == {"full": None}
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(climbing, "tuned", tuned)
    with pytest.raises(KeyboardInterrupt):
        spent(told, tmp_path, needs=1.0)


def test_the_first_rung_is_climbed_whatever_the_budget(told, tmp_path):
    plan = replace(climbing_only(told, "features"), budget_seconds=0.001,
                   predicted=(Cost("features", 3.0, 1),))  # fmt: skip
    assert trained(told, tmp_path, plan=plan).kept == "features"


def laid_out(told, folder, answers, *, seconds=1.0):
    """Finished rungs in a folder, of which each said this class number of each validation row."""
    for name, said in answers.items():
        place = folder / "rungs" / name
        outputs = torch.nn.functional.one_hot(torch.tensor(said), len(told.plan.classes)).float()
        checkpoints.write_tensors(place / "outputs.safetensors", {"validation": outputs})
        targets = truth(told)
        measured = task_of(told.plan).score(told.plan.metric)(outputs.numpy(), targets)
        score = Score(told.plan.metric, measured, 0.0, 1.0, len(targets))
        records.save(
            place / "rung.json", RungResult(name, f"rungs/{name}", score, seconds, 1)
        )
        seals.seal(place)
    return folder


def truth(told):
    labels = told.dataset.targets(told.split.validation)
    return np.array([told.plan.classes.index(label) for label in labels])


def wrong_on(told, rows):
    said = truth(told)
    said[rows] = (said[rows] + 1) % len(told.plan.classes)
    return said.tolist()


@pytest.mark.parametrize(
    ("features", "full", "kept"),
    [
        ([], [], "features"),
        ([], [0], "features"),
        ([0, 1], [], "full"),  # 2 losses of 37: 0.054, one standard error is 0.038
        ([0, 1, 2, 3], [4, 5, 6], "features"),  # 4 losses and 3 wins: 0.027 against 0.073
        ([0, 1, 2, 3, 4, 5], [6], "full"),  # 6 and 1: 0.135 against 0.068
    ],
)
def test_kept_is_the_cheapest_rung_within_one_paired_standard_error(
    told, tmp_path, features, full, kept
):
    assert len(truth(told)) == 37  # what the numbers above are worked out for
    laid_out(told, tmp_path, {"features": wrong_on(told, features), "full": wrong_on(told, full)})
    run = trained(told, tmp_path, plan=climbing_only(told, "features", "full"))
    assert run.kept == kept
    assert run.why


def test_the_sentence_about_the_cheapest_rung_speaks_of_no_cheaper_one(told, tmp_path):
    laid_out(told, tmp_path, {"features": wrong_on(told, []), "full": wrong_on(told, [0])})
    run = trained(told, tmp_path, plan=climbing_only(told, "features", "full"))
    assert "every cheaper rung" not in run.why


def test_under_imbalance_the_rung_that_finds_the_rare_class_beats_the_more_accurate_one(
    told, tmp_path
):
    targets = truth(told)
    rare = np.flatnonzero(targets == 2)
    common = np.flatnonzero(targets != 2)
    says_rare = targets.copy()
    says_rare[common[: len(rare) + 1]] = 1 - targets[common[: len(rare) + 1]]
    never_rare = targets.copy()
    never_rare[rare] = 0
    answers = {"features": never_rare.tolist(), "full": says_rare.tolist()}
    both = climbing_only(told, "features", "full")
    by_accuracy = trained(told, laid_out(told, tmp_path / "accuracy", answers), plan=both)
    assert by_accuracy.kept == "features"
    told_by_f1 = replace_plan(told, replace(both, metric="macro_f1"))
    by_f1 = trained(told_by_f1, laid_out(told_by_f1, tmp_path / "f1", answers))
    assert by_f1.kept == "full"


def replace_plan(told, plan):
    return type(told)(told.folder, {**told.nouns, "plan": plan})


@pytest.mark.parametrize(("hang_together", "kept"), [(False, "full"), (True, "features")])
def test_rows_that_hang_together_are_one_witness_where_rungs_are_compared(
    told, tmp_path, hang_together, kept
):
    # 5 losses and 2 wins of 37 rows: 0.081 against 0.071 by row, 0.133 where the 5 are one group
    laid_out(told, tmp_path, {"features": wrong_on(told, [0, 1, 2, 3, 4]),
                              "full": wrong_on(told, [5, 6])})
    five = (told.split.validation[:5],) if hang_together else ()
    split = replace(told.split, tied=five)
    work = training.train(told.dataset, split, climbing_only(told, "features", "full"),
                          card=told.card, folder=tmp_path)
    run, _ = watched(work)
    assert run.kept == kept
