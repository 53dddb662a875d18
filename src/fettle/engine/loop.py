"""The loop: the only one. It yields every step and every epoch; whoever logs, draws, saves or
stops does so in a `for` loop.

What happens at a step is a pure function of the seed and the step's number, so a loop that is
restored at a yield goes on to the same bits. Several processes give the losses of one.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from fettle.core.errors import NonFinite, NoTargets, OutOfMemory, SettingError
from fettle.core.parts import Encoder, Item, LossPart, Network, Objective, Strategy
from fettle.core.plan import Setting
from fettle.core.progress import Note, finish
from fettle.core.run import Epoch, Step
from fettle.engine import ranks
from fettle.engine.batches import bucketed, micro_batches, shuffled
from fettle.engine.device import autocast, device_of, is_out_of_memory, placed, seeded
from fettle.engine.optim import adamw, awake_blocks, set_rates, wake
from fettle.engine.predict import loss_of, outputs_of
from fettle.engine.replay import States
from fettle.engine.schedules import share
from fettle.engine.views import Views

__all__ = ["Lesson", "Loop"]

MICRO_TOKENS = 4096
"""Tokens that run at once: more fall out of the processor's cache, and take more memory."""
VIEWED, MIXED = 11, 12
"""First of the numbers that random numbers of each kind follow from."""
Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True, slots=True)
class Lesson:
    """Rows to learn from, or to validate on: encoded, with their answers."""

    items: Sequence[Item]
    targets: np.ndarray
    ids: Sequence[str]
    """For messages: which rows a failing batch held."""
    states: Mapping[int, States] = field(default_factory=dict)
    """What reaches some blocks, kept, for as long as the blocks below are frozen."""
    views: Views = field(default_factory=Views)
    """The same of views of these rows, in place of the rows themselves where they are taught."""

    def of(self, rows: np.ndarray, *, taught: bool = False) -> "Lesson":
        """Some of these rows; where they are taught, with their views."""
        return Lesson(
            [self.items[row] for row in rows], self.targets[rows], [self.ids[row] for row in rows],
            {block: states.of(rows) for block, states in self.states.items()},
            self.views.of(rows) if taught else Views(),
        )

    def states_below(self, block: int, *, epoch: int | None = None) -> States | None:
        """The kept states that leave least to compute, if this block is the first that learned.

        Args:
            block: that one.
            epoch: of training, where views take the rows' place; None for the rows themselves.
        """
        kept = self.states if epoch is None else self.views.at(epoch) or self.states
        known = [one for one in kept if one <= block]
        return kept[max(known)] if known else None


class Loop:
    """Fine-tunes a network, step by step.

    Args:
        network: with a head; its weights are changed in place.
        encoder, task: how items become batches and outputs a loss.
        strategy: which blocks learn, how fast.
        settings: of the rung: epochs, batch_rows, schedule, warmup, cycles, weight_decay, clip.
        precision: bf16 or fp32.
        seed: of the order of rows and of dropout.

    Raises:
        SettingError: several processes train together what compares rows with each other.
    """

    def __init__(
        self,
        network: Network,
        encoder: Encoder,
        task: Objective,
        *,
        strategy: Strategy,
        settings: Mapping[str, Setting],
        precision: str,
        seed: int,
    ) -> None:
        self.network, self.encoder, self.task = network, encoder, task
        self.strategy, self.settings = strategy, settings
        self.precision, self.seed = precision, seed
        self.world = ranks.world()
        if task.couples_rows and self.world.size > 1:
            raise SettingError(
                "Rows that are compared with each other (contrastive) are trained in one process: "
                f"of {self.world.size}, each would see the pairs of its own rows alone. Leave "
                "torchrun away, or that rung."
            )
        self.epochs = int(settings["epochs"])
        self.epoch = 0
        """The epoch that comes next, or is under way, counted from 0."""
        self.at = 0
        """Steps of this epoch that are done."""
        self.part = 0.0
        """Of its rate, what every block learned at in the last step."""
        self.halvings = 0
        """How often memory ran out: batches run in at least 2 to this power parts."""
        self._loss = 0.0
        """Summed over the rows of this epoch so far."""
        self.optimizer = adamw(
            network, strategy, epochs=self.epochs,
            weight_decay=float(settings["weight_decay"]),
        )
        learning = {id(one) for one in self.optimizer.parameters}
        self._learned = [name for name, one in network.module.named_parameters()
                         if id(one) in learning]

    @property
    def steps_done(self) -> int:
        """A number that grows with every step and with every epoch that ends."""
        return self.epoch * 1_000_000 + self.at

    def weights(self) -> dict[str, torch.Tensor]:
        """What training changes, by name: weights that learn in some epoch, and buffers; live."""
        named = dict(self.network.module.named_parameters())
        buffers = self.network.module.state_dict(keep_vars=True)
        return {
            **{name: named[name].detach() for name in self._learned},
            **{name: value for name, value in buffers.items() if name not in named},
        }

    def put_back(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Give the network what `weights` gave."""
        own = self.weights()
        with torch.no_grad():
            for name, value in weights.items():
                own[name].copy_(value)

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that the next step depends on, as named tensors; live ones, not copies."""
        found = {f"network.{name}": value for name, value in self.weights().items()}
        found.update({f"optimizer.{k}": v for k, v in self.optimizer.state().items()})
        found["loop"] = torch.tensor([self.epoch, self.at, self.halvings])
        found["loss"] = torch.tensor(self._loss, dtype=torch.float64)
        return found

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `state` gave."""
        self.epoch, self.at, self.halvings = (int(one) for one in state["loop"])
        self._loss = float(state["loss"])
        self.put_back({k.removeprefix("network."): v for k, v in state.items()
                       if k.startswith("network.")})
        self.optimizer.restore({k.removeprefix("optimizer."): v for k, v in state.items()
                                if k.startswith("optimizer.")})

    def fit(
        self, train: Lesson, validation: Lesson | None, score: Score
    ) -> Iterator[Step | Epoch | Note]:
        """Train until the epochs are over, or until nobody asks for the next yield.

        Args:
            train: the rows to learn from.
            validation: the rows to score after each epoch; None scores nothing.
            score: (outputs, targets) to the number that epochs are compared by.

        Raises:
            NonFinite: the loss of a step, or its gradient, is not a finite number.
            NoTargets: no row of a batch has a target.
            OutOfMemory: one row is too much for the memory.
        """
        sizes = [self.encoder.size(item) for item in train.items]
        lengths = [len(self._batches(sizes, epoch)) for epoch in range(self.epochs)]
        while self.epoch < self.epochs:
            begun = time.perf_counter()
            awake = wake(self.network, self.strategy, self.epoch)
            batches = self._batches(sizes, self.epoch)
            is_live = self.epoch >= self.epochs - train.views.live
            states = None if is_live else train.states_below(
                self._first_learned(), epoch=self.epoch)
            before = sum(lengths[: self.epoch])
            while self.at < len(batches):
                rows = batches[self.at]
                step = yield from self._step(
                    train, rows, sizes, states, awake, number=before + self.at,
                    steps=sum(lengths), usual_rows=len(sizes) / len(batches),
                )
                self.at += 1
                self._loss += step.loss * step.rows
                yield step
            self.network.module.eval()
            loss, value = self._validate(validation, score)
            train_loss = self._loss / len(sizes)
            self.epoch, self.at, self._loss = self.epoch + 1, 0, 0.0
            yield Epoch(self.epoch, train_loss, loss, value, time.perf_counter() - begun)

    def _batches(self, sizes: Sequence[int], epoch: int) -> list[np.ndarray]:
        batch_rows = int(self.settings["batch_rows"])
        if self.task.couples_rows:
            return shuffled(len(sizes), batch_rows=batch_rows, seed=self.seed, epoch=epoch)
        return bucketed(sizes, batch_rows=batch_rows, seed=self.seed, epoch=epoch)

    def _first_learned(self) -> int:
        """The lowest block that has learned in this epoch or before: below it all is as it came."""
        awake = [awake_blocks(self.network, self.strategy, one) for one in range(self.epoch + 1)]
        return min((one[0] for one in awake if one), default=self.network.blocks - 1)

    def _step(
        self, train: Lesson, rows: np.ndarray, sizes: Sequence[int], states: States | None,
        awake: Sequence[torch.nn.Parameter], *, number: int, steps: int, usual_rows: float,
    ) -> Generator[Note, None, Step]:
        """One optimizer step; memory that runs out halves what runs at once."""
        begun = time.perf_counter()
        rates = self.strategy.rates(self.network.blocks, self.epoch)
        self.part = self._share(number, steps)
        set_rates(self.optimizer, rates, self.part)
        while True:
            try:
                loss = self._gradients(train, rows, sizes, states, awake, number, usual_rows)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if not self._halve(len(rows)):
                    raise self._too_large(number, max(sizes[row] for row in rows)) from error
                yield Note(
                    f"Step {number + 1}: memory ran out. The {len(rows)} rows of a batch now run "
                    f"in {2**self.halvings} parts; the step stays the same."
                )
        gradients = [one.grad for one in awake if one.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._diagnosis(loss, norm, number, max(rates) * self.part,
                                  [train.ids[row] for row in rows])
        self.optimizer.step(clip=float(self.settings["clip"]), norm=norm)
        return Step(number, self.epoch, loss, norm, len(rows), time.perf_counter() - begun)

    def _share(self, number: int, steps: int) -> float:
        """Of its rate, what every block learns at in this step."""
        return share(str(self.settings["schedule"]), number, steps=steps,
                     warmup=float(self.settings["warmup"]), cycles=int(self.settings["cycles"]))

    def _gradients(
        self, train: Lesson, rows: np.ndarray, sizes: Sequence[int], states: States | None,
        awake: Sequence[torch.nn.Parameter], number: int, usual_rows: float,
    ) -> float:
        """The gradients of one batch, summed over its parts and over all ranks; the mean loss."""
        self.optimizer.zero_grad()
        own = rows[self.world.rank :: self.world.size]
        counts = self._counts(train, rows)
        parts = (
            [own] if self.task.couples_rows
            else micro_batches(own, sizes, budget=MICRO_TOKENS, least=2**self.halvings)
        )
        weight = len(rows) / usual_rows  # more rows than usual weigh more: each counts the same
        total = 0.0
        for part, micro in enumerate(parts):
            with seeded(self.seed, number, part, self.world.rank), autocast(
                self.precision, device_of(self.network.module).type
            ):
                losses, outputs = self._losses(train, micro, rows, states, number)
                loss = sum((one.sum * one.weight / counts[name] for name, one in losses.items()),
                           start=torch.zeros((), device=outputs.device))
                total += float(loss.detach())
            if awake:
                (loss * weight).backward()  # type: ignore[no-untyped-call]
        if awake and self.strategy.penalty is not None:
            penalty = self.strategy.penalty(self.network)  # once, however many parts and ranks
            (penalty * (weight / self.world.size)).backward()  # type: ignore[no-untyped-call]
        self.world.sum_gradients(awake)
        return self.world.summed(total)[0]

    def _losses(
        self, train: Lesson, part: np.ndarray, rows: np.ndarray, states: States | None, number: int
    ) -> tuple[Mapping[str, LossPart], torch.Tensor]:
        """Each part of the loss of some rows of a batch, and the network's outputs.

        Where rows are mixed, each has a partner among all rows of its batch, however these are cut
        into parts; the loss of the mixture is that of both answers, each by its share, which for
        losses that are linear in the answer, and for the gradients of squares, is that of the
        mixed answer.
        """
        batch = self._batch(train, part, states)
        if states is not None or not self.encoder.mixes or self.task.couples_rows:
            hidden = None if states is None else states.batch(part).to(batch["target"].device)
            outputs = self.network(batch, start=states.block if states else 0, hidden=hidden)
            return self.task.loss(outputs, batch), outputs
        order = np.random.default_rng((MIXED, self.seed, number, 0)).permutation(len(rows))
        partner_of = dict(zip(rows.tolist(), rows[order].tolist(), strict=True))
        partners = np.array([partner_of[row] for row in part.tolist()])
        other = self._batch(train, partners, None)
        mixture, part_of_own = self.encoder.mix(
            batch, other, np.random.default_rng((MIXED, self.seed, number, 1)))
        outputs = self.network(mixture)
        own = self.task.loss(outputs, {**mixture, "target": batch["target"]})
        foreign = self.task.loss(outputs, {**mixture, "target": other["target"]})
        return {name: dataclasses.replace(
            one, sum=part_of_own * one.sum + (1 - part_of_own) * foreign[name].sum,
        ) for name, one in own.items()}, outputs

    def _batch(
        self, train: Lesson, rows: np.ndarray, states: States | None
    ) -> dict[str, torch.Tensor]:
        """These rows with their targets: as they are where kept states take their place, else as
        training sees them in this epoch."""
        items = [train.items[row] for row in rows]
        if states is None:
            items = [self.encoder.views(
                item, np.random.default_rng((VIEWED, self.seed, self.epoch, int(row)))
            ) for item, row in zip(items, rows, strict=True)]
        device = device_of(self.network.module)
        batch: dict[str, Any] = placed(self.encoder.collate(items), device)
        batch["target"] = torch.from_numpy(train.targets[rows]).to(device)
        return batch

    def _counts(self, train: Lesson, rows: np.ndarray) -> Mapping[str, int]:
        """What each part of the loss counts in the whole batch, on all ranks."""
        counts = self.task.counts({"target": torch.from_numpy(train.targets[rows])})
        if not any(counts.values()):
            shown = ", ".join(train.ids[row] for row in rows[:5])
            raise NoTargets(
                f"No row of this batch has a target ({shown}); there is nothing to learn from. "
                "Leave rows without an answer out of the file."
            )
        return {name: max(count, 1) for name, count in counts.items()}

    def _halve(self, rows: int) -> bool:
        """Whether a batch of so many rows can run in more parts than it did."""
        self.optimizer.zero_grad()
        if self.task.couples_rows or 2**self.halvings >= rows:
            return False
        self.halvings += 1
        return True

    def _validate(
        self, rows: Lesson | None, score: Score
    ) -> tuple[float | None, float | None]:
        """Loss and score on the validation rows."""
        if rows is None or not len(rows.targets):
            return None, None
        outputs = finish(outputs_of(
            self.network, self.encoder, rows.items, precision=self.precision,
            states=rows.states_below(self._first_learned()),
        ))
        return loss_of(self.task, outputs, rows.targets), score(outputs, rows.targets)

    def _too_large(self, number: int, longest: int) -> OutOfMemory:
        """No smaller part of this batch can be tried."""
        what, key = "one row", "`max_tokens` in the plan"
        if self.task.couples_rows:
            what, key = "the rows of a batch, which this task needs together", "`batch_rows`"
        return OutOfMemory(
            f"Step {number + 1}: memory is too small for {what} (the longest has {longest:,} "
            f"tokens). Lower {key}, take a smaller --model, or free memory and give the same "
            "command again."
        )

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
