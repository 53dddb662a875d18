"""Soup: full fine-tuning, and then the average of those of its epochs that do well together."""

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

__all__ = ["DEFAULTS", "soup"]

DEFAULTS: dict[str, Setting] = {**TUNING, "ingredients": 3}
"""The best so many epochs are tried; AutoGluon takes as many."""


def soup(settings: Mapping[str, Setting]) -> Strategy:
    """As `full`; then the best epochs, the best first, join the average where it gets no worse.

    Source: Wortsman et al., "Model soups", ICML 2022, recipe 1 (greedy soup), over the epochs of
    one training instead of several trainings.
    """
    pot = _Pot(int(settings["ingredients"]))
    return replace(full(settings), memory=pot, finish=pot.finish)


class _Pot(Keeper):
    """The best epochs of one training, the best first."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.copies = most
        self._epochs: list[tuple[float, dict[str, torch.Tensor]]] = []
        self._done = 0
        self._used: list[int] = []

    def begin(self, weights: Weights, *, steps: int) -> None:
        self._epochs, self._done = [], 0

    def epoch(self, weights: Weights, score: float | None) -> None:
        self._done += 1
        rank = float(self._done) if score is None else score  # the newest, where nothing is judged
        self._epochs.append((rank, copied(weights)))
        self._epochs.sort(key=lambda one: -one[0])
        del self._epochs[self.copies :]

    def state(self) -> "dict[str, torch.Tensor]":
        import torch

        ranks = torch.tensor([rank for rank, _ in self._epochs], dtype=torch.float64)
        return {"done": torch.tensor(self._done), "ranks": ranks, **{
            f"{number}.{name}": value
            for number, (_, weights) in enumerate(self._epochs) for name, value in weights.items()
        }}

    def restore(self, state: Weights) -> None:
        self._done = int(state["done"])
        self._epochs = [
            (rank, {name.removeprefix(f"{number}."): value.clone() for name, value in state.items()
                    if name.startswith(f"{number}.")})
            for number, rank in enumerate(state["ranks"].tolist())
        ]

    def finish(self, network: Network, validate: Validate) -> Network:
        """The soup; without validation, of so many of the newest epochs as soups before it had."""
        if validate is None:
            many = min(round(median(self._used)), len(self._epochs))
            self.chosen = {"ingredients": many}
            return put(network, _mean([weights for _, weights in self._epochs[:many]]))
        taken = [self._epochs[0][1]]
        best = validate(put(network, taken[0]))
        tried: list[Mapping[str, Setting]] = [{"ingredients": 1, "score": best}]
        for _, weights in self._epochs[1:]:
            score = validate(put(network, _mean([*taken, weights])))
            tried.append({"ingredients": len(taken) + 1, "score": score})
            if score >= best:
                taken, best = [*taken, weights], score
        self._used.append(len(taken))
        self.trials, self.chosen = tuple(tried), {"ingredients": len(taken)}
        return put(network, _mean(taken))


def _mean(several: "list[dict[str, torch.Tensor]]") -> "dict[str, torch.Tensor]":
    """The mean of each weight; of what is no real number, the first."""
    return {
        name: sum((one[name] for one in several[1:]), start=value) / len(several)
        if value.is_floating_point() and len(several) > 1 else value
        for name, value in several[0].items()
    }
