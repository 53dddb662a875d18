"""Answers: what a run's kept model said of the test rows, kept for comparing with another run."""

from pathlib import Path

import numpy as np

from fettle.core.errors import StoreError
from fettle.store import checkpoints

__all__ = ["keep_answers", "kept_answers"]

FILE = "test.safetensors"


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
