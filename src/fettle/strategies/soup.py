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
_Epoch = tuple[float, "dict[str, torch.Tensor]"]
"""Its rank, the highest first, and its weights."""


def soup(settings: Mapping[str, Setting]) -> Strategy:
    """As `full`; then the best epochs, the best first, join the average where it gets no worse.

    Where folds judge, it is the best epoch and those right before it, up to the first that makes
    the average worse: of a training on all rows, which ends at the best epoch, only such a row of
    epochs can be taken.

    Source: Wortsman et al., "Model soups", ICML 2022, recipe 1 (greedy soup), over the epochs of
    one training instead of several trainings.
    """
    pot = _Pot(int(settings["ingredients"]))
    return replace(full(settings), memory=pot, finish=pot.finish)


class _Pot(Keeper):
    """Epochs of one training: the best, the best first; where folds judge, the best and those
    right before it."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._in_folds = False
        self._epochs: list[_Epoch] = []
        self._newest: list[_Epoch] = []
        """Where folds judge: those that come right before one that may be the best."""
        self._done = 0
        self._used: list[int] = []

    def copies(self, *, held_out: bool) -> int:
        return self._most if held_out else 2 * self._most - 1

    def begin(self, weights: Weights, *, steps: int, held_out: bool = True) -> None:
        self._in_folds = not held_out
        self._epochs, self._newest, self._done = [], [], 0

    def epoch(self, weights: Weights, score: float | None, *, is_best: bool = False) -> None:
        self._done += 1
        if self._in_folds:
            self._newest = [(float(self._done), copied(weights)), *self._newest][: self._most]
            self._epochs = list(self._newest) if is_best else self._epochs
            return
        rank = float(self._done) if score is None else score  # the newest, where nothing is judged
        self._epochs.append((rank, copied(weights)))
        self._epochs.sort(key=lambda one: -one[0])
        del self._epochs[self._most :]

    def state(self) -> "dict[str, torch.Tensor]":
        import torch

        known = {id(weights): f"best {number}" for number, (_, weights) in enumerate(self._epochs)}
        known |= {id(weights): f"newest {number}" for number, (_, weights) in
                  enumerate(self._newest) if id(weights) not in known}
        every = {known[id(weights)]: weights for _, weights in (*self._epochs, *self._newest)}
        ranks, newest = (
            torch.tensor([rank for rank, _ in some], dtype=torch.float64)
            for some in (self._epochs, self._newest)
        )
        return {"done": torch.tensor(self._done), "ranks": ranks, "newest": newest, **{
            f"{place}.{name}": value
            for place, weights in every.items() for name, value in weights.items()
        }}

    def restore(self, state: Weights) -> None:
        self._done = int(state["done"])
        self._epochs = [(rank, _under(f"best {number}.", state))
                        for number, rank in enumerate(state["ranks"].tolist())]
        best = dict(self._epochs)  # where folds judge, each rank is an epoch's number
        self._newest = [(rank, best[rank] if rank in best else _under(f"newest {number}.", state))
                        for number, rank in enumerate(state["newest"].tolist())]

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
            elif self._in_folds:
                break
        self._used.append(len(taken))
        self.trials, self.chosen = tuple(tried), {"ingredients": len(taken)}
        return put(network, _mean(taken))


def _under(place: str, state: Weights) -> "dict[str, torch.Tensor]":
    """The weights whose names begin with this."""
    return {name.removeprefix(place): value.clone() for name, value in state.items()
            if name.startswith(place)}


def _mean(several: "list[dict[str, torch.Tensor]]") -> "dict[str, torch.Tensor]":
    """The mean of each weight; of what is no real number, the first."""
    return {
        name: sum((one[name] for one in several[1:]), start=value) / len(several)
        if value.is_floating_point() and len(several) > 1 else value
        for name, value in several[0].items()
    }
