"""The same pipeline as a BentoML service with its adaptive batching.

    python bench/bentoml_side.py PORT MODEL_FOLDER BATCH

One worker. BentoML's own limit on how long a request may take is set far above the measurement's.
"""

import os
import sys
from pathlib import Path

import bentoml
import torch
from transformers import pipeline

BATCH = int(os.environ.get("SIDE_BATCH", "32"))


@bentoml.service(workers=1, traffic={"timeout": 60})
class Classifier:
    """The pipeline, asked with lists of texts."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.model = pipeline("text-classification", model=os.environ["SIDE_MODEL"])

    @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=30_000)
    def predict(self, rows: list[str]) -> list[dict]:
        """One label a text."""
        return self.model(rows, batch_size=len(rows), truncation=True, max_length=256)


def main() -> None:
    """Become BentoML's own server."""
    port, folder, batch = sys.argv[1:]
    here = Path(__file__).resolve()
    home = Path.cwd() / "bentoml-home"
    os.environ.update(
        SIDE_MODEL=folder, SIDE_BATCH=batch, BENTOML_DO_NOT_TRACK="True", BENTOML_HOME=str(home)
    )
    os.execv(sys.executable, [
        sys.executable, "-m", "bentoml", "serve", f"{here.stem}:Classifier",
        "--working-dir", str(here.parent), "--host", "127.0.0.1", "--port", port,
    ])


if __name__ == "__main__":
    main()
