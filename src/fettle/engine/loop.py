"""The loop: the only one. It yields every step and every epoch; whoever logs, draws, saves or
stops does so in a `for` loop.

What happens at a step is a pure function of the seed and the step's number, so a loop that is
restored at a yield goes on to the same bits.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fettle.core.errors import NonFinite
from fettle.core.parts import Encoder, Item, Network, Strategy, Task
from fettle.core.plan import Setting
from fettle.core.progress import finish
from fettle.core.run import Epoch, Step
from fettle.engine.batches import bucketed
from fettle.engine.device import autocast, seeded
from fettle.engine.optim import adamw, set_rates
from fettle.engine.predict import outputs_of
from fettle.engine.schedules import warmup_cosine

__all__ = ["Lesson", "Loop"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """Rows to learn from, or to validate on: encoded, with their answers."""

    items: Sequence[Item]
    targets: np.ndarray
    ids: Sequence[str]
    """For messages: which rows a failing batch held."""


class Loop:
    """Fine-tunes a network, step by step.

    Args:
        network: with a head; its weights are changed in place.
        encoder, task: how items become batches and outputs a loss.
        strategy: which blocks learn, how fast.
        settings: of the rung: epochs, batch_rows, warmup, weight_decay, clip.
        precision: bf16 or fp32.
        seed: of the order of rows and of dropout.
    """

    def __init__(
        self,
        network: Network,
        encoder: Encoder,
        task: Task,
        *,
        strategy: Strategy,
        settings: Mapping[str, Setting],
        precision: str,
        seed: int,
    ) -> None:
        self.network, self.encoder, self.task = network, encoder, task
        self.strategy, self.settings = strategy, settings
        self.precision, self.seed = precision, seed
        self.epochs = int(settings["epochs"])
        self.epoch = 0
        """The epoch that comes next, counted from 0."""
        self.optimizer = adamw(
            network,
            strategy.rates(network.blocks, 0),
            learns=strategy.learns,
            weight_decay=float(settings["weight_decay"]),
        )

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that the next epoch depends on, as named tensors; copies, not live ones."""
        found = {f"network.{k}": v for k, v in self.network.module.state_dict().items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            found.update({f"optimizer.{number}.{k}": v for k, v in moments.items()})
        found["epoch"] = torch.tensor(self.epoch)
        return {name: value.detach().clone() for name, value in found.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `state` gave."""
        self.epoch = int(state["epoch"])
        own = {k.removeprefix("network."): v for k, v in state.items() if k.startswith("network.")}
        self.network.module.load_state_dict(own)
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in state.items():
            if key.startswith("optimizer."):
                _, number, name = key.split(".")
                moments.setdefault(int(number), {})[name] = value.clone()
        plain = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**plain, "state": moments})

    def fit(
        self,
        train: Lesson,
        validation: Lesson | None,
        score: Callable[[np.ndarray, np.ndarray], float],
    ) -> Iterator[Step | Epoch]:
        """Train until the epochs are over, or until nobody asks for the next yield.

        Args:
            train: the rows to learn from.
            validation: the rows to score after each epoch; None scores nothing.
            score: (outputs, targets) to the number that epochs are compared by.

        Raises:
            NonFinite: the loss of a step, or its gradient, is not a finite number.
        """
        sizes = [self.encoder.size(item) for item in train.items]
        batch_rows = int(self.settings["batch_rows"])
        per_epoch = math.ceil(len(sizes) / batch_rows)
        while self.epoch < self.epochs:
            begun = time.perf_counter()
            rng = np.random.default_rng((self.seed, self.epoch))
            total = 0.0
            self.network.module.train()
            for at, rows in enumerate(bucketed(sizes, batch_rows=batch_rows, rng=rng)):
                step = self._step(train, rows, number=self.epoch * per_epoch + at,
                                  steps=per_epoch * self.epochs)
                total += step.loss * step.rows
                yield step
            self.network.module.eval()
            loss, value = self._validate(validation, score)
            self.epoch += 1
            seconds = time.perf_counter() - begun
            yield Epoch(self.epoch, total / len(sizes), loss, value, seconds)

    def _step(self, train: Lesson, rows: np.ndarray, *, number: int, steps: int) -> Step:
        """One optimizer step."""
        begun = time.perf_counter()
        rng = np.random.default_rng((self.seed, number, 1))
        items = [self.encoder.views(train.items[row], rng) for row in rows]
        batch: dict[str, Any] = self.encoder.collate(items)
        batch["target"] = torch.from_numpy(train.targets[rows])
        rates = self.strategy.rates(self.network.blocks, self.epoch)
        share = warmup_cosine(number, steps=steps, warmup=float(self.settings["warmup"]))
        set_rates(self.optimizer, rates, share)
        with seeded(self.seed, number), autocast(self.precision):
            parts = self.task.loss(self.network(batch), batch)
            loss = sum(
                (part.sum * part.weight / part.count for part in parts.values()),
                start=torch.zeros(()),
            )
            if self.strategy.penalty is not None:
                loss = loss + self.strategy.penalty(self.network)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(learning, float(self.settings["clip"]))
        if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
            raise self._diagnosis(loss.item(), norm.item(), number, max(rates) * share,
                                  [train.ids[row] for row in rows])
        self.optimizer.step()
        return Step(number, self.epoch, loss.item(), norm.item(), len(rows),
                    time.perf_counter() - begun)

    def _validate(
        self, rows: Lesson | None, score: Callable[[np.ndarray, np.ndarray], float]
    ) -> tuple[float | None, float | None]:
        """Loss and score on the validation rows."""
        if rows is None or not len(rows.targets):
            return None, None
        outputs = finish(
            outputs_of(self.network, self.encoder, rows.items, precision=self.precision)
        )
        batch = {"target": torch.from_numpy(rows.targets)}
        parts = self.task.loss(torch.from_numpy(outputs), batch)
        loss = sum(float(part.sum) * part.weight / part.count for part in parts.values())
        return loss, score(outputs, rows.targets)

    def _diagnosis(
        self, loss: float, norm: float, number: int, rate: float, ids: Sequence[str]
    ) -> NonFinite:
        """What went wrong at this step, in plain words."""
        cause = "the loss itself" if not math.isfinite(loss) else "its gradient"
        return NonFinite(
            f"Step {number + 1}: {cause} is not a finite number (loss {loss}, gradient norm "
            f"{norm}, learning rate {rate:g}, rows {', '.join(ids[:5])}). Most often the learning "
            "rate is too high: lower `rate` and `head_rate` of this rung in the plan. The best "
            "model so far is kept."
        )
