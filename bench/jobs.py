"""Jobs: what the sides of a comparison are given. One JSON file, the same for every side.

Only the standard library: a peer's environment reads these too.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["Encoding", "Training", "load", "save"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Fine-tune a network to tell classes apart: counted steps of it, or all epochs."""

    model: str
    """The folder of the pre-trained network."""
    texts: tuple[str, ...]
    targets: tuple[int, ...]
    """The class of each text, from 0 to classes - 1."""
    classes: int
    test_texts: tuple[str, ...] = ()
    test_targets: tuple[int, ...] = ()
    max_tokens: int
    batch_rows: int | None = None
    """None leaves it at the side's own default; so does None for the rate."""
    rate: float | None = None
    epochs: int = 3
    warmup_steps: int = 0
    """Steps before the clock starts."""
    steps: int = 0
    """Steps on the clock, after which the side stops; 0 trains all epochs."""
    ask_every: int = 0
    """Steps between two looks at the test rows, off the clock; 0 looks at the end."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """Turn texts into vectors: the mean over tokens, brought to length 1."""

    model: str
    texts: tuple[str, ...]
    vectors: str
    """The .npy file to leave them in, float (texts, width)."""


Job = TypeVar("Job", Training, Encoding)


def save(path: Path, job: Training | Encoding) -> Path:
    """Write the job down."""
    path.write_text(json.dumps(asdict(job)), encoding="utf-8")
    return path


def load(path: Path, kind: type[Job]) -> Job:
    """The job that `save` wrote."""
    return kind(**json.loads(path.read_text(encoding="utf-8")))
