"""EMA: full fine-tuning, whose weights are averaged over its last steps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fettle.core.parts import Network, Strategy, Validate
from fettle.core.plan import Setting
from fettle.strategies.full import full
from fettle.strategies.keeping import Keeper, Weights, copied, put
from fettle.strategies.tuning import TUNING

if TYPE_CHECKING:
    import torch

__all__ = ["DEFAULTS", "ema"]

DEFAULTS: dict[str, Setting] = {**TUNING, "window": 0.1}
"""The window is the share of all steps that the average looks back, roughly."""


def ema(settings: Mapping[str, Setting]) -> Strategy:
    """As `full`, with a moving average of the weights; validation takes it or the best epoch.

    Judged is the average at the end. Where folds judge, it is the average at the best epoch: there
    the training on all rows ends.

    After step t the average keeps min(1 - 1 / (window * steps), (1 + t) / (10 + t)) of itself.

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; the
    exponential average as in Tarvainen and Valpola, "Mean teachers are better role models",
    NeurIPS 2017, section 2; the warm-up of the decay is TensorFlow's.
    """
    average = _Average(float(settings["window"]))
    return replace(full(settings), memory=average, finish=average.finish)


class _Average(Keeper):
    """A moving average of the weights of one training."""

    def __init__(self, window: float) -> None:
        super().__init__()
        self._window = window
        self._decay, self._steps = 0.0, 0
        self._mean: dict[str, torch.Tensor] = {}
        self._at_best: dict[str, torch.Tensor] | None = None
        """As it was after the best epoch, where folds judge."""
        self._votes: list[bool] = []

    def copies(self, *, held_out: bool) -> int:
        return 1 if held_out else 2

    def begin(self, weights: Weights, *, steps: int, held_out: bool = True) -> None:
        self._decay = 1 - 1 / max(self._window * steps, 1.0)
        self._steps, self._mean = 0, copied(weights)
        self._at_best = None if held_out else copied(weights)

    def step(self, weights: Weights) -> None:
        self._steps += 1
        kept = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for name, value in weights.items():
            if value.is_floating_point():
                self._mean[name].lerp_(value, 1 - kept)
            else:
                self._mean[name].copy_(value)

    def epoch(self, weights: Weights, score: float | None, *, is_best: bool = False) -> None:
        if is_best and self._at_best is not None:
            self._at_best = copied(self._mean)

    def state(self) -> "dict[str, torch.Tensor]":
        import torch

        return {**{f"mean.{name}": value for name, value in self._mean.items()},
                **{f"at best.{name}": value for name, value in (self._at_best or {}).items()},
                "steps": torch.tensor(self._steps)}

    def restore(self, state: Weights) -> None:
        self._steps = int(state["steps"])
        self._mean, at_best = ({
            name.removeprefix(part): value.clone() for name, value in state.items()
            if name.startswith(part)
        } for part in ("mean.", "at best."))
        self._at_best = None if self._at_best is None else at_best

    def finish(self, network: Network, validate: Validate) -> Network:
        """The average, where it does no worse than the best epoch; without validation, where it
        was taken more often than not."""
        mean = self._mean if self._at_best is None else self._at_best
        best = copied({name: network.module.state_dict()[name] for name in mean})
        if validate is None:
            take = 2 * sum(self._votes) >= len(self._votes)
        else:
            plain = validate(network)
            averaged = validate(put(network, mean))
            take = averaged >= plain
            self._votes.append(take)
            self.trials = ({"weights": "best epoch", "score": plain},
                           {"weights": "average", "score": averaged})
        self.chosen = {"weights": "average" if take else "best epoch"}
        return put(network, mean if take else best)
