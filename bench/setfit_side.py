"""SetFit doing a Training job; the last line printed is a JSON object.

    .peers/setfit/bin/python bench/setfit_side.py JOB.json FOLDER [--iterations N]
        [--most-seconds S]

SetFit's defaults: every pair of rows is sampled (`oversampling`), one epoch, batches of 16, a
logistic head. With --iterations N, N pairs of each kind a row instead. The model is saved in
FOLDER and then asked the test rows. Where the first 20 steps say that the training would take
longer than --most-seconds, it ends there, and what it would take is computed from them.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from jobs import Training, load

TRIED = 20
BATCH = 16


def trained(job: Training, folder: Path, iterations: int | None, steps: int) -> dict[str, Any]:
    """Train, save, and ask the test rows.

    Args:
        job: whose texts and targets are learned.
        folder: where the model is saved.
        iterations: pairs of each kind for a row; None for SetFit's default.
        steps: at most; -1 for all.
    """
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    model = SetFitModel.from_pretrained(job.model)
    given: dict[str, Any] = {} if iterations is None else {"num_iterations": iterations}
    trainer = Trainer(
        model=model,
        args=TrainingArguments(batch_size=BATCH, num_epochs=1, seed=job.seed, max_steps=steps,
                               report_to="none", show_progress_bar=False, save_strategy="no",
                               **given),
        train_dataset=Dataset.from_dict({"text": list(job.texts), "label": list(job.targets)}),
    )
    begun = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - begun
    model.save_pretrained(str(folder))
    return {"training_seconds": seconds, "ended": time.time(), "model": model}


def pairs_of(targets: tuple[int, ...]) -> int:
    """Pairs of SetFit's default sampling: all pairs of the commoner kind, the rarer repeated."""
    rows = len(targets)
    every = rows * (rows + 1) // 2  # a row is a pair with itself, too
    alike = sum(
        count * (count + 1) // 2 for count in (targets.count(one) for one in set(targets))
    )
    return 2 * max(alike, every - alike)


def main() -> None:
    """The job, or its first steps; then one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--most-seconds", type=float, default=1200.0)
    asked = parser.parse_args()
    job = load(asked.job, Training)
    pairs = (pairs_of(job.targets) if asked.iterations is None
             else 2 * asked.iterations * len(job.targets))
    steps = -(-pairs // BATCH)
    if steps > TRIED:
        tried = trained(job, asked.folder, asked.iterations, TRIED)
        expected = tried["training_seconds"] * steps / TRIED
        if expected > asked.most_seconds:
            print(json.dumps({"computed": True, "seconds": expected, "steps": steps}))
            return
    begun = time.time()
    done = trained(job, asked.folder, asked.iterations, -1)
    said = done["model"].predict(list(job.test_texts)).tolist()
    right = [one == target for one, target in zip(said, job.test_targets, strict=True)]
    print(json.dumps({
        "computed": False, "seconds": done["ended"] - begun, "steps": steps,
        "accuracy": sum(right) / len(right),
    }))


if __name__ == "__main__":
    main()
