"""Linear heads, solved to convergence along a path of penalties, as the task wants it.

The features do not change, so the head is a convex problem; it is solved, not trained.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from fettle.core.plan import Setting
from fettle.core.progress import Note, Progress
from fettle.core.task import Task

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = [
    "RIDGE", "SOLVERS", "Chosen", "Solved", "choose", "path_for", "ridge_path", "solve_path",
]

ITERATIONS = 200
TOLERANCE = 1e-5
"""Of the gradient's largest number."""
CHANGE = 1e-7
"""Of the loss, in a step: sums in fp32 are not surer."""
FIRST_LOOK = slice(4, 5)
"""Of the penalties, the strongest first: where poolings are compared before the best one is solved
along all of them; the first one where there are fewer."""
CHEAP = frozenset(("ridge",))
"""Solvers of which a further penalty costs next to nothing."""
RIDGE = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Penalties for ridge regression on features of some hundred columns, whose spread is 1 each: most
of what they share is along few axes, with a variance of ten to a hundred."""
STEP = 10**0.5
STRONGEST, WEAKEST = 1e5, 1e-6
"""Beyond these a head answers all rows alike, or is not held back at all."""


@dataclass(frozen=True, slots=True)
class Solved:
    """A linear head: outputs = features @ weight.T + bias."""

    l2: float
    weight: np.ndarray
    """(classes, width)."""
    bias: np.ndarray
    """(classes,)."""
    iterations: int

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """(rows, classes) from (rows, width)."""
        return features @ self.weight.T + self.bias


def solve_path(
    features: np.ndarray, targets: np.ndarray, *, classes: int, l2: Sequence[float]
) -> Iterator[Solved]:
    """One solved head for each penalty, the strongest first, each started from the one before.

    Minimised: mean cross-entropy + l2/2 * the sum of squared weights, in fp32, by L-BFGS. Features
    are centred and brought to unit variance inside; the penalty acts on weights of those, and the
    heads given back are for the features as they came.

    Args:
        features: float (rows, width).
        targets: int (rows,); each in [0, classes). Or float32 (rows, classes), 1 for yes and 0
            for no: then each output is a regression of its own.
        classes: how many outputs.
        l2: penalties, per row.
    """
    mean = features.mean(axis=0)
    spread = features.std(axis=0)
    scale = np.where(spread > 1e-6, 1.0 / np.maximum(spread, 1e-6), 0.0).astype(np.float32)
    inputs = torch.from_numpy(((features - mean) * scale).astype(np.float32))
    answers = torch.from_numpy(targets)
    weight = torch.zeros(classes, features.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    for penalty in sorted(l2, reverse=True):
        iterations = _minimise(inputs, answers, weight, bias, penalty)
        raw = weight.detach().numpy() * scale
        yield Solved(penalty, raw.copy(), bias.detach().numpy() - raw @ mean, iterations)


def _multinomial(
    features: np.ndarray, targets: np.ndarray, outputs: int, l2: Sequence[float]
) -> Iterator[Solved]:
    return solve_path(features, targets, classes=outputs, l2=l2)


def ridge_path(
    features: np.ndarray, targets: np.ndarray, outputs: int, l2: Sequence[float]
) -> Iterator[Solved]:
    """One solved head for each penalty, the strongest first, in closed form.

    Minimised: half the mean squared error + l2/2 * the sum of squared weights, of features that
    are centred and brought to unit variance inside, as in `solve_path`.

    Args:
        features: float (rows, width).
        targets: float (rows,).
        outputs: 1.
        l2: penalties, per row.

    Source: Hoerl and Kennard, "Ridge Regression", Technometrics 12, 1970.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 1e-6, 1.0 / np.maximum(spread, 1e-6), 0.0)
    inputs = (features - mean).astype(np.float64) * scale
    middle = targets.mean()
    values, axes = np.linalg.eigh(inputs.T @ inputs / len(inputs))
    along = axes.T @ (inputs.T @ (targets - middle) / len(inputs))  # (width,)
    for penalty in sorted(l2, reverse=True):
        raw = (axes @ (along / (np.maximum(values, 0.0) + penalty)) * scale)[None, :]
        bias = middle - raw @ mean.astype(np.float64)
        yield Solved(penalty, raw.astype(np.float32), bias.astype(np.float32), 1)


def _each(
    features: np.ndarray, targets: np.ndarray, outputs: int, l2: Sequence[float]
) -> Iterator[Solved]:
    return solve_path(features, targets, classes=outputs, l2=l2)


SOLVERS: dict[str, Callable[[np.ndarray, np.ndarray, int, Sequence[float]], Iterator[Solved]]] = {
    "multinomial": _multinomial,
    "ridge": ridge_path,
    "each": _each,
}
"""By the names that tasks use: (features, coded targets, outputs, penalties) to heads, the
strongest penalty first."""


def path_for(
    task: Task, features: np.ndarray, targets: np.ndarray, *, l2: Sequence[float]
) -> Iterator[Solved]:
    """One solved head for each penalty, the strongest first, as the task has it solved.

    Args:
        task: whose outputs the head gives.
        features: float (rows, width).
        targets: of the task, (rows, ...).
        l2: penalties, per row.
    """
    return SOLVERS[task.solver](features, task.coded(targets), task.outputs, l2)


def _minimise(
    inputs: torch.Tensor,
    answers: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    penalty: float,
) -> int:
    """Bring weight and bias to the minimum, in place; how many iterations it took.

    By scipy's L-BFGS-B: torch's imports a compiler that nobody needs, which takes over a second.
    """
    from scipy.optimize import minimize  # late: the first batch does not wait for it

    shape = weight.shape

    def put(found: np.ndarray) -> None:
        values = torch.from_numpy(found).to(weight.dtype)
        with torch.no_grad():
            weight.copy_(values[: weight.numel()].view(shape))
            bias.copy_(values[weight.numel() :])

    def at(found: np.ndarray) -> tuple[float, np.ndarray]:
        put(found)
        weight.grad = bias.grad = None
        loss = _mean_loss(inputs @ weight.T + bias, answers)
        loss = loss + penalty / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()), _flat(weight.grad, bias.grad)

    with _pools().limit(limits=1, user_api="blas"):
        found = minimize(at, _flat(weight.detach(), bias.detach()), jac=True, method="L-BFGS-B",
                         options={"maxiter": ITERATIONS, "gtol": TOLERANCE, "ftol": CHANGE})
    put(found.x)
    return int(found.nit)


@cache
def _pools() -> "ThreadpoolController":
    """The threads of the libraries that are loaded. scipy's sums have some ten thousand numbers:
    its threads bring nothing there, and waiting for more they take the cores from torch's, which
    made heads three times as slow. With one, no sum hangs on the number of cores either."""
    import scipy.linalg  # noqa: F401 - its library is among them
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _flat(weight: torch.Tensor | None, bias: torch.Tensor | None) -> np.ndarray:
    assert weight is not None, "a backward pass leaves gradients"
    assert bias is not None
    return torch.cat([weight.flatten(), bias]).double().numpy()


def _mean_loss(outputs: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Cross-entropy a row; of yes or no (rows, outputs), binary, summed over outputs."""
    if answers.ndim == 1:
        return torch.nn.functional.cross_entropy(outputs, answers)
    return torch.nn.functional.binary_cross_entropy_with_logits(
        outputs, answers, reduction="sum") / len(answers)


@dataclass(frozen=True, slots=True)
class _Tried:
    """One setting on the judged rows."""

    rank: tuple[float, float]
    """Score, then the loss with its sign turned: more is better."""
    outputs: np.ndarray


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which pooling and penalty validation prefers, and what it was told."""

    pooling: str
    l2: float
    outputs: np.ndarray
    """Of rows that the head was not solved on, (rows, classes), in the order of the folds."""
    score: float
    trials: tuple[Mapping[str, Setting], ...]


@dataclass(slots=True)
class _Search:
    """Heads solved on each fold's first part and judged on the second, one setting at a time."""

    vectors: Mapping[str, np.ndarray]
    targets: np.ndarray
    task: Task
    partitions: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]
    score: Callable[[np.ndarray, np.ndarray], float]
    tried: dict[tuple[str, float], _Tried]
    total: int
    done: int = 0
    kept: str = ""
    """The pooling that was decided for."""

    def solve(self, pooling: str, l2: Sequence[float]) -> Generator[Progress, None, None]:
        """Try this pooling with those of the penalties that it was not tried with."""
        wanted = [one for one in l2 if (pooling, one) not in self.tried]
        found = self.vectors[pooling]
        outputs: dict[float, list[list[np.ndarray]]] = {}
        for at, partition in enumerate(self.partitions):
            for teach, judge in partition:
                yield Progress("head", self.done, self.total, "solutions")
                self.done += 1
                if not wanted:
                    continue
                for head in path_for(self.task, found[teach], self.targets[teach], l2=wanted):
                    parts = outputs.setdefault(head.l2, [[] for _ in self.partitions])
                    parts[at].append(head.outputs(found[judge]))
        judged = [self.targets[np.concatenate([judge for _, judge in one])]
                  for one in self.partitions]
        for penalty, parts in outputs.items():
            joined = [np.concatenate(one) for one in parts]
            ranks = [(self.score(said, truth), -self.task.plain_loss(said, truth))
                     for said, truth in zip(joined, judged, strict=True)]
            rank = tuple(float(np.mean(one)) for one in zip(*ranks, strict=True))
            self.tried[pooling, penalty] = _Tried((rank[0], rank[1]), joined[0])

    def best(self) -> tuple[str, float]:
        """Pooling and penalty with the highest rank; of one pooling, where that was decided."""
        among = [one for one in self.tried if self.kept in ("", one[0])]
        return max(among, key=lambda one: self.tried[one].rank)

    def keep(
        self, own: str,
        loses: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, float]],
    ) -> None:
        """Decide for this pooling, unless it loses more than its standard error to the best."""
        best = self.tried[self.best()]
        mine = self.tried[max((one for one in self.tried if one[0] == own),
                              key=lambda one: self.tried[one].rank)]
        judged = self.targets[np.concatenate([judge for _, judge in self.partitions[0]])]
        loss, error = loses(best.outputs, mine.outputs, judged)
        self.kept = own if loss <= error else self.best()[0]

    def further(self) -> float | None:
        """The penalty beyond the end of those tried, where that end is the best; None where the
        best has neighbours on both sides, or nothing beyond is worth the time."""
        pooling, penalty = self.best()
        tried = sorted(l2 for name, l2 in self.tried if name == pooling)
        if penalty == tried[-1] and penalty < STRONGEST:
            return penalty * STEP
        weaker = self.task.solver in CHEAP and penalty > WEAKEST
        return penalty / STEP if penalty == tried[0] and weaker else None

    def told(self) -> str:
        """That the end of what was tried scored best, so that something beyond might score better;
        empty where that is not so."""
        pooling, penalty = self.best()
        tried = sorted(l2 for name, l2 in self.tried if name == pooling)
        if len(tried) < 2 or penalty not in (tried[0], tried[-1]):
            return ""
        neighbour = tried[1] if penalty == tried[0] else tried[-2]
        if self.tried[pooling, neighbour].rank[0] >= self.tried[pooling, penalty].rank[0]:
            return ""
        what = "weakest" if penalty == tried[0] else "strongest"
        return (
            f"The {what} penalty that was tried for the head, {penalty:.2g}, is the best of "
            f"{len(tried)}: one beyond it may be better. --set l2=... takes others."
        )


def choose(
    vectors: Mapping[str, np.ndarray],
    targets: np.ndarray,
    *,
    task: Task,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    l2: Sequence[float],
    score: Callable[[np.ndarray, np.ndarray], float],
    repeats: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]] = (),
    grows: bool = False,
    own: str = "",
    loses: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, float]] | None = None,
) -> Generator[Progress | Note, None, Chosen]:
    """Which pooling, then which penalty: solved on each fold's first part, judged on the second.

    Poolings are compared at some of the penalties (at all, where those cost next to nothing), and
    the one that the encoder came with is left only for one that is better by more than a paired
    standard error; it is then solved along all of them. An end of the penalties that is chosen is
    no choice: they go on beyond it until it is not, or it is said.

    Args:
        vectors: float (rows, width) by pooling.
        targets: of the task, (rows, ...).
        task: says how a head is solved, and what its loss is.
        folds: (rows to solve on, rows to judge on); one pair where there is a validation part.
        l2: the penalties to try.
        score: (outputs, targets) to a number, more is better; equal ones are told apart by loss.
        repeats: further folds of the same rows, where they are few: choices are made by the mean
            over all; the outputs are those of the first.
        grows: whether penalties beyond these may be tried; else they were asked for.
        own: the pooling that the encoder came with.
        loses: (best outputs, other outputs, targets) to what the other loses, and its standard
            error.
    """
    partitions = (folds, *repeats)
    each = sum(map(len, partitions))
    search = _Search(vectors, targets, task, partitions, score, {}, (len(vectors) + 1) * each)
    first = sorted(l2, reverse=True)[FIRST_LOOK] or [max(l2)]
    look = l2 if task.solver in CHEAP else first
    for pooling in vectors:
        yield from search.solve(pooling, look)
    if loses is not None and own in vectors:
        search.keep(own, loses)
    yield from search.solve(search.best()[0], l2)
    while grows and (beyond := search.further()) is not None:
        search.total += each
        yield from search.solve(search.best()[0], [beyond])
    yield Progress("head", search.total, search.total, "solutions")
    if told := search.told():
        yield Note(told)
    pooling, penalty = search.best()
    best = search.tried[pooling, penalty]
    trials: tuple[Mapping[str, Setting], ...] = tuple(
        {"pooling": name, "l2": one, "score": found.rank[0], "loss": -found.rank[1]}
        for (name, one), found in sorted(search.tried.items())
    )
    return Chosen(pooling, penalty, best.outputs, best.rank[0], trials)
