"""Answers: what a run's kept model said of the test rows, kept for comparing with another run.

So are the targets of the rows that rungs were validated on.

Beside them, where what the frozen model made of the rows is kept: a key, and never the rows.
"""

from pathlib import Path

import numpy as np

from fettle.core.errors import StoreError
from fettle.store import checkpoints, files

__all__ = [
    "features_of", "keep_answers", "keep_targets", "kept_answers", "kept_targets", "note_features",
    "validated",
]

FILE = "test.safetensors"
TARGETS = "targets.safetensors"
FEATURES = "features.json"


def keep_answers(folder: Path, outputs: np.ndarray, targets: np.ndarray) -> Path:
    """Raw outputs (rows, classes) and class numbers (rows,) of the test rows, in their order."""
    import torch

    path = folder / FILE
    checkpoints.write_tensors(path, {
        "outputs": torch.from_numpy(np.ascontiguousarray(outputs, dtype=np.float32)),
        "targets": torch.from_numpy(np.ascontiguousarray(targets)),
    })
    return path


def kept_answers(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The outputs and targets that `keep_answers` wrote.

    Raises:
        StoreError: the run has none, as it was not finished or is older than this.
    """
    path = folder / FILE
    if not path.is_file():
        raise StoreError(
            f"{folder} holds no answers to the test rows: its run was not finished, or another "
            "version of fettle made it. Give its command once more with a fresh --out."
        )
    held = checkpoints.read_tensors(path)
    return held["outputs"].numpy(), held["targets"].numpy()


def keep_targets(folder: Path, targets: np.ndarray, places: np.ndarray) -> None:
    """The targets of the validated rows, (rows, ...), and their places among the learning rows."""
    import torch

    checkpoints.write_tensors(folder / TARGETS, {
        "validation": torch.from_numpy(targets), "learners": torch.from_numpy(places),
    })


def kept_targets(folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """What `keep_targets` wrote; no places where an older run wrote none."""
    held = checkpoints.read_tensors(folder / TARGETS)
    places = held.get("learners")
    return held["validation"].numpy(), None if places is None else places.numpy()


def validated(folder: Path, rung: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What a rung said of rows that it had not learned from, their targets, and their places.

    Args:
        folder: of the run.
        rung: its folder within that.
    """
    said = checkpoints.read_tensors(folder / rung / "outputs.safetensors")["validation"].numpy()
    return said, *kept_targets(folder)


def note_features(folder: Path, pooling: str, keys: dict[str, str]) -> None:
    """Write down under which keys the frozen features of each side are kept."""
    files.write_json(folder / FEATURES, {"pooling": pooling, "keys": keys})


def features_of(folder: Path) -> tuple[str, dict[str, str]] | None:
    """The pooling and the keys that `note_features` wrote; None where it did not."""
    path = folder / FEATURES
    if not path.is_file():
        return None
    held = files.read_json(path)
    return held["pooling"], held["keys"]
