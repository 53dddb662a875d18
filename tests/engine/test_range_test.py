"""The range test: its curve, its valley, and that nothing of it is left in the training."""

import json

import numpy as np
import pytest
import torch

from engine.standing import PLAN, RUNG, rung_of, same, stand, watched
from fettle.core.plan import Rung
from fettle.core.progress import Note
from fettle.core.run import Step
from fettle.engine import climbing, range_test
from fettle.engine.range_test import valley
from fettle.strategies import STRATEGIES


@pytest.fixture(autouse=True)
def no_restarts(monkeypatch):
    monkeypatch.setattr(climbing, "RESTARTS", 0)


def curve(losses):
    return [(float(number), loss) for number, loss in enumerate(losses)]


def test_the_valley_is_in_the_middle_of_the_longest_fall_by_hand():
    # 35 points: the first 3 and the last 5 say nothing; then a fall of 13 points, 10 to 22
    losses = [1.0] * 10 + [1.0 - 0.05 * n for n in range(13)] + [3.0] * 12
    # inside: the fall begins at 7 and ends at 19, where it is 13 long; 19 - 13 + 4 + 2 = 12
    assert valley(curve(losses)) == 15.0


def test_a_fall_may_have_others_between():
    smooth = [1.0] * 10 + [1.0 - 0.05 * n for n in range(13)] + [3.0] * 12
    rough = list(smooth)
    rough[14] = 0.99
    assert valley(curve(rough)) == pytest.approx(valley(curve(smooth)), abs=1)


@pytest.mark.parametrize("losses", [[], [1.0] * 3, [1.0] * 40, list(np.linspace(1, 2, 40))])
def test_a_loss_that_never_falls_has_no_valley(losses):
    assert valley(curve(losses)) is None


def finding(**settings):
    return Rung("full", {**RUNG.settings, "rate_by": "find", **settings})


def climb(ground, chosen, rung):
    return climbing.tuned(ground, PLAN, rung, STRATEGIES["full"](rung.settings), chosen)


def test_the_run_after_it_is_the_run_without_it_at_the_found_rates(tmp_path):
    ground, chosen = stand(tmp_path)
    before = torch.get_rng_state()
    found, events = watched(climb(ground, chosen, finding()))
    assert torch.equal(torch.get_rng_state(), before)
    factor = valley([(rate / RUNG.settings["rate"], loss) for rate, loss in found.range_test])
    assert found.chosen["rate"] == pytest.approx(RUNG.settings["rate"] * factor)
    assert any("the range test found" in e.sentence for e in events if isinstance(e, Note))

    other, other_chosen = stand(tmp_path / "plain")
    # the factor is applied to the strategy's rates, as the plan's own rates would be
    slower = climbing.slowed(STRATEGIES["full"](RUNG.settings), valley(
        json.loads((ground.folder / "range-tests" / "full.json").read_text())))
    plain, _ = watched(climbing.tuned(other, PLAN, RUNG, slower, other_chosen))
    assert same(found.network, plain.network)
    assert np.array_equal(found.outputs, plain.outputs)
    assert plain.range_test == ()


def test_where_it_finds_what_the_plan_says_the_run_is_the_run_without_it(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    monkeypatch.setattr(range_test, "valley", lambda curve: 1.0)
    found, _ = watched(climb(ground, chosen, finding()))
    other, other_chosen = stand(tmp_path / "plain")
    plain, _ = watched(climb(other, other_chosen, RUNG))
    assert same(found.network, plain.network)


def test_rates_rise_by_one_factor_until_it_falls_apart(tmp_path):
    ground, chosen = stand(tmp_path)
    found, _ = watched(climb(ground, chosen, finding()))
    rates = np.array([rate for rate, _ in found.range_test])
    steps = rates[1:] / rates[:-1]
    assert rates[0] == pytest.approx(1e-3 * RUNG.settings["rate"])
    assert steps == pytest.approx(np.full(len(steps), steps[0]))
    assert 1 < steps[0] < 1.2
    losses = [loss for _, loss in found.range_test]
    assert all(loss <= 4 * min(losses[: n + 1]) for n, loss in enumerate(losses[:-1]))


def test_losses_are_smoothed_and_the_bias_of_the_beginning_is_taken_out(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)

    def fit(self, *_):
        for number, loss in enumerate((2.0, 1.0, 1.0)):
            self.part = 10.0**number
            yield Step(number, 0, loss, 0.0, 1, 0.0)

    monkeypatch.setattr(range_test.Loop, "fit", fit)
    rung = finding()
    strategy = STRATEGIES["full"](rung.settings)
    _, by_rate, _ = watched(range_test.found(ground, PLAN, rung, strategy, chosen))[0]
    # means with weights 0.98^k: 2; (0.98*2 + 1) / 1.98; ...
    expected = [2.0, (0.98 * 2 + 1) / 1.98, (0.98**2 * 2 + 0.98 + 1) / (0.98**2 + 1.98)]
    assert [loss for _, loss in by_rate] == pytest.approx(expected)
    assert [rate for rate, _ in by_rate] == pytest.approx([1e-2, 1e-1, 1.0])


def test_where_the_loss_never_falls_the_plan_s_rate_stays_aloud(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    monkeypatch.setattr(range_test, "valley", lambda curve: None)
    found, events = watched(climb(ground, chosen, finding()))
    assert found.chosen["rate"] == RUNG.settings["rate"]
    assert any("never falls" in e.sentence for e in events if isinstance(e, Note))


def test_a_run_that_goes_on_reads_the_curve_that_it_has(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    whole, _ = watched(climb(ground, chosen, finding()))
    monkeypatch.setattr(range_test, "curve_of", lambda *_, **__: 1 / 0)
    again, _ = watched(climb(ground, chosen, finding()))
    assert again.range_test == whole.range_test
    assert same(again.network, whole.network)


def test_a_rung_that_does_not_ask_is_not_tested(tmp_path):
    ground, chosen = stand(tmp_path)
    climbed, _ = watched(climb(ground, chosen, rung_of("full")))
    assert climbed.range_test == ()
    assert "rate" not in climbed.chosen
    assert not (ground.folder / "range-tests").exists()
