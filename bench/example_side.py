"""The image-classification example of transformers on one job; the last line is a JSON object.

    .peers/transformers_images/bin/python bench/example_side.py JOB.json

As the example's README has it: a random resized crop and a mirror image in training, the middle of
the picture in testing, and the Trainer at a learning rate of 2e-5 with batches of 8; the job says
the epochs and the side. timm's network is opened by transformers' own wrapper. Looking at the test
pictures after each epoch is off the clock; opening the network is on it, importing is not.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from torchvision import transforms
from transformers import (
    AutoModelForImageClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from peer_pictures import Watch, weights_of

RATE, BATCH_ROWS = 2e-5, 8


class Pictures(torch.utils.data.Dataset[Any]):
    """Rows of (path, class)."""

    def __init__(self, rows: list[list[Any]], transform: Any) -> None:
        self.rows, self.transform = rows, transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        path, target = self.rows[row]
        with Image.open(path) as picture:
            return {"pixel_values": self.transform(picture.convert("RGB")), "labels": int(target)}


class Watching(TrainerCallback):
    """Asks the test pictures after each epoch, off the clock."""

    def __init__(self, watch: Watch, ask: Any) -> None:
        self.watch, self.ask = watch, ask

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.watch.stop()
        self.watch.seen(self.ask())


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Train as the job says."""
    _, _, mean, std = weights_of(Path(job["model"]))
    transformers.set_seed(job["seed"])
    watch = Watch()
    last = [transforms.ToTensor(), transforms.Normalize(mean, std)]
    side = job["side"]
    train = Pictures(job["train"], transforms.Compose([
        transforms.RandomResizedCrop(side), transforms.RandomHorizontalFlip(), *last]))
    test = Pictures(job["test"], transforms.Compose([
        transforms.Resize(side), transforms.CenterCrop(side), *last]))
    model = AutoModelForImageClassification.from_pretrained(
        job["model"], num_labels=1 + max(target for _, target in job["train"]),
        ignore_mismatched_sizes=True)

    def right() -> float:
        model.eval()
        with torch.no_grad():
            said = [model(batch["pixel_values"]).logits.argmax(-1) == batch["labels"]
                    for batch in torch.utils.data.DataLoader(test, batch_size=64)]
        model.train()
        return float(np.mean(torch.cat(said).numpy()))

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model, train_dataset=train, callbacks=[Watching(watch, right)],
            args=TrainingArguments(
                output_dir=folder, num_train_epochs=job["epochs"], learning_rate=RATE,
                per_device_train_batch_size=BATCH_ROWS, seed=job["seed"], save_strategy="no",
                report_to="none", disable_tqdm=True, remove_unused_columns=False,
                use_cpu=not torch.cuda.is_available()),
        )
        trainer.train()
    return watch.told(len(train), batch_rows=BATCH_ROWS, threads=torch.get_num_threads())


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
