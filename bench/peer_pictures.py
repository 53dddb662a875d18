"""What the sides of other libraries share in bench/image_speed.py: a clock, and the network's card.

Only the standard library: their environments hold no fettle.
"""

import json
import time
from pathlib import Path
from typing import Any

__all__ = ["Watch", "weights_of"]


class Watch:
    """Seconds on the clock, and the accuracy after each epoch. It runs from the start."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since: float | None = time.perf_counter()
        self._before = 0.0
        self.epochs: list[dict[str, float]] = []

    def stop(self) -> None:
        """What follows is off the clock; nothing where it is off already."""
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None

    def go(self) -> None:
        """What follows is on it; nothing where it is on already."""
        if self._since is None:
            self._since = time.perf_counter()

    def seen(self, accuracy: float) -> None:
        """An epoch is over, and the test pictures were looked at."""
        self.stop()
        self.epochs.append({"seconds": self.seconds, "epoch_seconds": self.seconds - self._before,
                            "accuracy": accuracy})
        self._before = self.seconds
        self.go()

    def told(self, rows: int, **more: Any) -> dict[str, Any]:
        """What is printed: the epochs, and pictures a second in the fastest that tunes all."""
        fastest = min(one["epoch_seconds"] for one in self.epochs[-1:] + self.epochs[1:])
        return {"epochs": self.epochs, "images_per_second": rows / fastest, **more}


def weights_of(folder: Path) -> tuple[str, dict[str, Any], list[float], list[float]]:
    """Name, arguments, mean and spread of a network that timm wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    known = config["pretrained_cfg"]
    return config["architecture"], config.get("model_args", {}), known["mean"], known["std"]
