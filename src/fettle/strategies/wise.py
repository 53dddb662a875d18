"""WiSE-FT: full fine-tuning, and then the point between the start and the end that does best."""

from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from fettle.core.parts import Network, Strategy, Validate
from fettle.core.plan import Setting
from fettle.strategies.full import full
from fettle.strategies.keeping import Keeper, Weights, copied, put
from fettle.strategies.tuning import TUNING

if TYPE_CHECKING:
    import torch

__all__ = ["DEFAULTS", "wise"]

DEFAULTS: dict[str, Setting] = dict(TUNING)
STEPS = 10
"""Of the way from the start to the end; the paper's figures take as many."""


def wise(settings: Mapping[str, Setting]) -> Strategy:
    """As `full`; then every weight is (1 - alpha) times its start plus alpha times its end.

    The start is the pre-trained network under its solved head. Of alphas that do equally well on
    validation the smallest is taken: it forgets least.

    Source: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, section 3.
    """
    line = _Line()
    return replace(full(settings), memory=line, finish=line.finish)


class _Line(Keeper):
    """Where a training began, and what was chosen between that and its end."""

    def __init__(self) -> None:
        super().__init__()
        self._start: dict[str, torch.Tensor] = {}
        self._alphas: list[float] = []

    def begin(self, weights: Weights, *, steps: int, held_out: bool = True) -> None:
        self._start = copied(weights)

    def finish(self, network: Network, validate: Validate) -> Network:
        """The network at the best point; without validation, at the median of those before."""
        end = copied({name: network.module.state_dict()[name] for name in self._start})
        if validate is None:
            alpha = median(self._alphas)
        else:
            scores = {number / STEPS: validate(self._at(network, end, number / STEPS))
                      for number in range(STEPS + 1)}
            alpha = max(scores, key=lambda one: (scores[one], -one))
            self._alphas.append(alpha)
            self.trials = tuple({"alpha": one, "score": score} for one, score in scores.items())
        self.chosen = {"alpha": alpha}
        return self._at(network, end, alpha)

    def _at(self, network: Network, end: Weights, alpha: float) -> Network:
        return put(network, {
            name: start + alpha * (end[name] - start) if start.is_floating_point() and alpha < 1.0
            else end[name]
            for name, start in self._start.items()
        })
