from dataclasses import replace

import pytest

from fettle.core.plan import Cost, Machine, Plan, Rung
from fettle.core.run import Run, RungResult, Spent
from fettle.core.score import Score
from fettle.measures.spending import over, spending

MACHINE = Machine("p", 2, 2**34, None, True, flops_fp32=1e11, flops_bf16=4e11)


def climbed(name: str, seconds: float, peak_bytes: int, **more: float) -> RungResult:
    score = Score("accuracy", 0.9, 0.8, 1.0, 100)
    return RungResult(name, f"rungs/{name}", score, seconds, peak_bytes, **more)


def planned(*costs: Cost, rungs: tuple[str, ...] = ("features", "full")) -> Plan:
    return Plan(
        task="classification", modality="text", model="m", weights="w", learning="l",
        classes=("a", "b"), metric="accuracy", rungs=tuple(Rung(name) for name in rungs),
        max_tokens=64, precision="bf16", threads=2, predicted=costs,
    )


def ran(*rungs: RungResult) -> Run:
    return Run("id", "run", rungs, rungs[-1].name if rungs else "", "")


PLAN = planned(Cost("features", 4.0, 1000), Cost("full", 50.0, 2000))
RUN = ran(climbed("features", 6.0, 900),
          climbed("full", 40.0, 3000, flops=6e12, training_seconds=30.0))


def test_ratios_are_measured_over_predicted():
    features, full = spending(PLAN, RUN, MACHINE).rungs
    assert features == Spent("features", 4.0, 6.0, 1.5, 1000, 900, 0.9)
    assert (full.seconds_ratio, full.bytes_ratio) == (0.8, 1.5)


def test_the_share_of_the_peak_is_of_the_precision_that_the_plan_trains_in():
    full = spending(PLAN, RUN, MACHINE).rungs[1]
    assert full.flops_per_second == 2e11                   # 6e12 in 30 s
    assert full.share_of_peak == 0.5                       # of 4e11
    slower = spending(replace(PLAN, precision="fp32"), RUN, MACHINE)
    assert slower.peak == 1e11
    assert slower.rungs[1].share_of_peak == 2.0


def test_the_total_adds_seconds_and_takes_the_most_memory():
    total = spending(PLAN, RUN, MACHINE).total
    assert (total.predicted_seconds, total.seconds) == (54.0, 46.0)
    assert total.seconds_ratio == pytest.approx(46 / 54)
    assert (total.predicted_bytes, total.peak_bytes, total.bytes_ratio) == (2000, 3000, 1.5)
    assert total.flops_per_second is total.share_of_peak is None


def test_a_rung_that_was_not_climbed_or_not_predicted_has_no_ratio():
    plan = planned(Cost("full", 50.0, 2000), Cost("lora", 9.0, 5), rungs=("full", "lora"))
    run = ran(climbed("full", 40.0, 3000), climbed("other", 1.0, 1))
    made = spending(plan, run, MACHINE)
    full, lora, other = made.rungs
    assert full.seconds_ratio == 0.8
    assert (lora.rung, lora.predicted_seconds, lora.seconds, lora.seconds_ratio) == (
        "lora", 9.0, None, None)
    assert (other.rung, other.predicted_seconds, other.seconds, other.bytes_ratio) == (
        "other", None, 1.0, None)
    assert made.total is None                              # one rung is its own total


@pytest.mark.parametrize("more", [
    {}, {"flops": 1e12}, {"training_seconds": 3.0}, {"flops": 0.0, "training_seconds": 3.0},
])
def test_what_was_not_counted_or_not_timed_has_no_speed(more):
    (full,) = spending(planned(rungs=("full",)), ran(climbed("full", 1.0, 1, **more)),
                       MACHINE).rungs
    assert full.flops_per_second is full.share_of_peak is None


@pytest.mark.parametrize("machine", [None, replace(MACHINE, flops_bf16=0.0)])
def test_without_a_measured_peak_there_is_a_speed_and_no_share(machine):
    made = spending(PLAN, RUN, machine)
    assert made.peak is None
    assert made.rungs[1].flops_per_second == 2e11
    assert made.rungs[1].share_of_peak is None


def test_whether_the_peak_was_measured_in_calm_is_handed_on():
    assert spending(PLAN, RUN, MACHINE).calm
    assert not spending(PLAN, RUN, replace(MACHINE, calm=False)).calm


def test_a_prediction_holds_within_a_factor_of_one_and_a_half_either_way():
    holds = spending(PLAN, RUN).holds
    assert [holds(ratio) for ratio in (None, 0.66, 0.67, 1.5, 1.51)] == [
        True, False, True, True, False]


def test_nothing_is_held_against_nothing():
    assert over(6.0, 4.0) == 1.5
    assert over(None, 4.0) is over(6.0, None) is over(6.0, 0.0) is None
