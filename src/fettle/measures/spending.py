"""Spending: what rungs were predicted to cost against what they cost, and against the machine."""

from fettle.core.plan import Cost, Machine, Plan
from fettle.core.run import Run, RungResult, Spending, Spent

__all__ = ["FACTOR", "over", "spending"]

FACTOR = 1.5
"""Predicted from a second of measurement, a cost this many times larger or smaller still holds."""


def spending(plan: Plan, run: Run, machine: Machine | None = None) -> Spending:
    """Each rung of the plan and of the run, in the plan's order, with its ratios.

    Args:
        plan: what was predicted.
        run: what was measured.
        machine: where it was measured; without it no speed is held against a peak.

    Source of the share of the peak, there called model FLOPs utilization: Chowdhery et al.,
    "PaLM", JMLR 2023, section 4.1. The peak here is a measured one, not the maker's.
    """
    peak = (machine.flops(plan.precision) or None) if machine is not None else None
    predicted = {cost.rung: cost for cost in plan.predicted}
    measured = {rung.name: rung for rung in run.rungs}
    names = dict.fromkeys((*(rung.strategy for rung in plan.rungs), *measured))
    return Spending(
        rungs=tuple(_spent(name, predicted.get(name), measured.get(name), peak) for name in names),
        total=_total([(predicted[name], measured[name]) for name in names
                      if name in predicted and name in measured]),
        factor=FACTOR,
        peak=peak,
        calm=machine is None or machine.calm,
    )


def over(measured: float | None, reference: float | None) -> float | None:
    """The first over the second; None where either is not known, or there is nothing to hold to."""
    return measured / reference if measured is not None and reference else None


def _spent(
    name: str, cost: Cost | None, result: RungResult | None, peak: float | None
) -> Spent:
    predicted_seconds, predicted_bytes = (
        (cost.seconds, cost.peak_bytes) if cost is not None else (None, None)
    )
    seconds, peak_bytes, speed = None, None, None
    if result is not None:
        seconds, peak_bytes = result.seconds, result.peak_bytes
        speed = over(result.flops, result.training_seconds) or None
    return Spent(
        name,
        predicted_seconds, seconds, over(seconds, predicted_seconds),
        predicted_bytes, peak_bytes, over(peak_bytes, predicted_bytes),
        speed, over(speed, peak),
    )


def _total(pairs: list[tuple[Cost, RungResult]]) -> Spent | None:
    """Seconds add up, and of memory the most counts."""
    if len(pairs) < 2:
        return None
    predicted = sum(cost.seconds for cost, _ in pairs)
    seconds = sum(result.seconds for _, result in pairs)
    predicted_bytes = max(cost.peak_bytes for cost, _ in pairs)
    peak_bytes = max(result.peak_bytes for _, result in pairs)
    return Spent(
        "all climbed",
        predicted, seconds, over(seconds, predicted),
        predicted_bytes, peak_bytes, over(peak_bytes, predicted_bytes),
    )
