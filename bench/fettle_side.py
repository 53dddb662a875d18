"""fettle's side of every comparison, in one place; the last line printed is a JSON object.

    python bench/fettle_side.py train JOB.json       the loop, on a Training job
    python bench/fettle_side.py encode JOB.json      the feature pass, on an Encoding job
    python bench/fettle_side.py story TRAIN TEST OUT REGISTRY
                                                     the whole story: accuracy over seconds
    python bench/fettle_side.py prefix DATA TARGET INPUTS RUNGS OUT REGISTRY
                                                     seconds until the frozen prefix is there

`train` is full fine-tuning as fettle does it by default: from a head solved on the frozen features,
word vectors frozen, precision as the machine's probe has it. The features are off the clock.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fettle import pipeline
from fettle.core.evaluation import Evaluation
from fettle.core.parts import Card
from fettle.core.plan import Machine, Reading
from fettle.core.progress import Progress, finish
from fettle.core.run import RungResult, Step
from fettle.core.settings import Settings
from fettle.engine.device import set_threads
from fettle.engine.linear import solve_path
from fettle.engine.loop import Lesson, Loop
from fettle.engine.predict import outputs_of, taps_of
from fettle.modalities import ENCODERS
from fettle.modalities.text import TextEncoder
from fettle.models.cards import card_of
from fettle.models.network import TextNetwork, open_network, tokenizer_json
from fettle.strategies.full import DEFAULTS, full
from fettle.tasks import TASKS
from jobs import Encoding, Training, load
from measuring import peak_bytes

POOLING, L2 = "mean", 3e-2
"""Of the head that training starts from."""
PREFIX = ("features", "prefix", "replay")
"""How the Progress of the frozen prefix begins to say what it does."""
WARM = 64
PEAK_SQUARES = (1024, 2048)
PEAK_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Mark:
    """The clock, and what has been learned from so far."""

    seconds: float
    rows: int
    tokens: int


class Counting:
    """An encoder that counts the rows and real tokens of the batches it makes."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.rows = self.tokens = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def collate(self, items: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        self.rows += len(items)
        self.tokens += sum(map(self._encoder.size, items))
        return self._encoder.collate(items)


def ready(model: str) -> tuple[Card, Machine, str]:
    """The card, the machine as it was measured, and the precision that fettle takes on it."""
    machine = pipeline.this_machine()
    set_threads(machine.cores)
    return card_of(model), machine, "bf16" if machine.bf16 else "fp32"


def opened(card: Card, max_tokens: int) -> tuple[TextNetwork, TextEncoder]:
    """The network without a head, and its encoder."""
    encoder = ENCODERS["text"].fit(
        card, tokenizer_json(card), fields=("text",), max_tokens=max_tokens
    )
    return open_network(card), encoder


def train(job: Training) -> dict[str, Any]:
    """Full fine-tuning: throughput over the counted steps, or the test rows after all epochs."""
    card, machine, precision = ready(job.model)
    network, encoder = opened(card, job.max_tokens)
    network.attend_plainly(below=machine.math_below(precision))  # as a plan has it
    task = TASKS["classification"]([str(number) for number in range(job.classes)])
    items, targets = encoder.encode([(text,) for text in job.texts]), np.array(job.targets)
    asked = {"epochs": job.epochs, "batch_rows": job.batch_rows, "rate": job.rate}
    settings = {**DEFAULTS, **{key: value for key, value in asked.items() if value is not None}}
    if job.steps:
        wanted = (job.warmup_steps + job.steps) * int(settings["batch_rows"])
        settings["epochs"] = -(-wanted // len(items)) + 1
    vectors = finish(taps_of(network, encoder, items, names=(POOLING,), precision=precision))
    put_head_on(network, task, vectors[POOLING], targets)
    counting = Counting(encoder)
    loop = Loop(network, counting, task, strategy=full(settings), settings=settings,
                precision=precision, seed=job.seed)
    lesson = Lesson(items, targets, [str(number) for number in range(len(items))])
    found: dict[str, Any] = {
        "precision": precision, "threads": torch.get_num_threads(), "rate": settings["rate"],
        "versions": {"torch": torch.__version__},
    }
    if job.steps:
        return found | counted(job, loop, lesson, counting, precision)
    begun = time.perf_counter()
    for _ in loop.fit(lesson, None, no_score):
        pass
    found |= {"seconds": time.perf_counter() - begun, "peak_bytes": peak_bytes()}
    judged = encoder.encode([(text,) for text in job.test_texts])
    outputs = finish(outputs_of(network.eval(), encoder, judged, precision=precision))
    return found | {"right": (outputs.argmax(axis=1) == np.array(job.test_targets)).tolist()}


def put_head_on(network: TextNetwork, task: Any, vectors: np.ndarray, targets: np.ndarray) -> None:
    """The head that full fine-tuning starts from, solved on the frozen features."""
    dropout = float(DEFAULTS["dropout"])
    settings = task.head(network.card, POOLING, dropout)
    inputs = unit(vectors) if settings["normalise"] else vectors
    head = next(iter(solve_path(inputs, targets, classes=len(task.classes), l2=(L2,))))
    network.set_head(settings)
    with torch.no_grad():
        network.head.linear.weight.copy_(torch.from_numpy(head.weight))
        network.head.linear.bias.copy_(torch.from_numpy(head.bias))
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout


def counted(
    job: Training, loop: Loop, lesson: Lesson, counting: Counting, precision: str
) -> dict[str, Any]:
    """Seconds, rows and tokens of the steps on the clock, and what the machine could have done."""
    first, last = job.warmup_steps, job.warmup_steps + job.steps
    marks: dict[int, Mark] = {}
    steps = rows = 0
    for event in loop.fit(lesson, None, no_score):
        if not isinstance(event, Step):
            continue
        steps, rows = steps + 1, rows + event.rows
        if steps in (first, last):
            marks[steps] = Mark(time.perf_counter(), rows, counting.tokens)
            if counting.rows != rows:
                raise AssertionError("batches are no longer made in their step: count elsewhere")
        if steps == last:
            break
    peak = peak_bytes()
    module = loop.network.module
    inside = sum(one.numel() for one in module.parameters()) - in_tables(module)
    tokens = marks[last].tokens - marks[first].tokens
    return {
        "seconds": marks[last].seconds - marks[first].seconds,
        "rows": marks[last].rows - marks[first].rows,
        "tokens": tokens,
        "peak_bytes": peak,
        "useful_flops": 6 * inside * tokens,
        "peak_flops": matrix_peak(module, round(tokens / job.steps), precision),
    }


def in_tables(module: torch.nn.Module) -> int:
    """Parameters that are looked up and not multiplied with: words, positions, types."""
    tables = {
        id(parameter): parameter.numel()
        for one in module.modules() if isinstance(one, torch.nn.Embedding)
        for parameter in one.parameters()
    }
    return sum(tables.values())


def matrix_peak(module: torch.nn.Module, tokens: int, precision: str) -> float:
    """Floating-point operations a second of the fastest matrix product: of those that the network
    makes with a batch of this many tokens, and of square ones."""
    shapes = {
        (tokens, one.in_features, one.out_features)
        for one in module.modules() if isinstance(one, torch.nn.Linear)
    }
    shapes |= {(side, side, side) for side in PEAK_SQUARES}
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    best = 0.0
    for rows, inner, columns in sorted(shapes):
        left, right = torch.ones(rows, inner, dtype=dtype), torch.ones(columns, inner, dtype=dtype)
        begun = time.perf_counter()
        with torch.inference_mode():
            while time.perf_counter() - begun < PEAK_SECONDS:
                start = time.perf_counter()
                torch.nn.functional.linear(left, right)
                seconds = time.perf_counter() - start
                best = max(best, 2 * rows * inner * columns / seconds)
    return best


def encode(job: Encoding) -> dict[str, Any]:
    """The feature pass over the texts, tokenising on the clock; the vectors left in a file."""
    card, _, precision = ready(job.model)
    network, encoder = opened(card, card.max_tokens)

    def vectors_of(texts: Sequence[str]) -> np.ndarray:
        items = encoder.encode([(text,) for text in texts])
        work = taps_of(network, encoder, items, names=(POOLING,), precision=precision)
        return unit(finish(work)[POOLING])

    vectors_of(job.texts[:WARM])
    begun = time.perf_counter()
    vectors = vectors_of(job.texts)
    seconds = time.perf_counter() - begun
    np.save(job.vectors, vectors)
    return {
        "seconds": seconds, "peak_bytes": peak_bytes(), "threads": torch.get_num_threads(),
        "precision": precision, "versions": {"torch": torch.__version__},
    }


def story(train: str, test: str, out: str, registry: str) -> dict[str, Any]:
    """[seconds, test accuracy] at the end of each rung, and of the kept one when all are done.

    The machine was calibrated before; a rung's test accuracy is asked after it, off the clock.
    """
    pipeline.this_machine()
    settings = Settings(
        reading=Reading(data=train, test=test, target="label"), out=out, registry=registry
    )
    begun = time.perf_counter()
    ends: dict[str, float] = {}
    for event in pipeline.build(settings):
        if isinstance(event, RungResult):
            ends[event.name] = time.perf_counter() - begun
        if isinstance(event, Evaluation):
            scores = {name: event.contender(name).score("accuracy").value for name in ends}
            kept = event.kept
    curve = [(ends[name], scores[name]) for name in ends]
    return {"curve": [*curve, (max(ends.values()), scores[kept])]}


def prefix(
    data: str, target: str, inputs: str, rungs: str, out: str, registry: str
) -> dict[str, Any]:
    """Seconds that the story spends on the frozen prefix of these rungs; it stops right after."""
    settings = Settings(
        reading=Reading(data=data, target=target, inputs=tuple(inputs.split(","))),
        rungs=tuple(rungs.split(",")), out=out, registry=registry,
    )
    return {"prefix_seconds": seconds_of(pipeline.build(settings), is_prefix)}


def is_prefix(event: object) -> bool:
    """Whether the story says here that the frozen prefix has come further."""
    return isinstance(event, Progress) and event.what.startswith(PREFIX)


def seconds_of(story: Any, wanted: Callable[[object], bool]) -> float:
    """Seconds that passed before each wanted event, up to the first other one after them.

    Raises:
        AssertionError: the story ended without one.
    """
    total, seen = 0.0, False
    before = time.perf_counter()
    for event in story:
        now = time.perf_counter()
        if wanted(event):
            total, seen = total + now - before, True
        elif seen:
            return total
        before = time.perf_counter()
    assert seen, "no event said that the prefix ran: has its Progress another name now?"
    return total


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors, each brought to length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def no_score(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Nothing is validated here."""
    return 0.0


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    if what == "train":
        print(json.dumps(train(load(Path(given[0]), Training))))
    elif what == "encode":
        print(json.dumps(encode(load(Path(given[0]), Encoding))))
    else:
        print(json.dumps({"story": story, "prefix": prefix}[what](*given)))
