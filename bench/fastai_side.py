"""fastai's `fine_tune` on one job of pictures; the last line printed is a JSON object.

    .peers/fastai/bin/python bench/fastai_side.py JOB.json

As fastai's documentation of vision has it: `vision_learner` on a network of timm with its weights
and fastai's own head, `aug_transforms`, and `fine_tune(epochs)`, which trains the head for one
epoch and then everything, at fastai's default rate and batch size. Pictures are brought to the
job's side by `item_tfms=Resize`. Looking at the test pictures after each epoch is off the clock;
opening the network and the pictures is on it, importing libraries is not.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from fastai.callback.core import Callback
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import IndexSplitter, Normalize
from fastai.metrics import accuracy
from fastai.vision.all import ImageBlock, Resize, aug_transforms, set_seed, vision_learner

from peer_pictures import Watch, weights_of


class Watching(Callback):  # type: ignore[misc]
    """Takes the test pictures off the clock: they are fastai's validation pictures."""

    order = -100

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def before_train(self) -> None:
        self.watch.go()

    def before_validate(self) -> None:
        self.watch.stop()

    def after_epoch(self) -> None:
        self.watch.seen(float(self.recorder.metrics[0].value))


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Train as the job says."""
    architecture, arguments, mean, std = weights_of(Path(job["model"]))
    train, test = job["train"], job["test"]
    set_seed(job["seed"])
    watch = Watch()
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock), get_x=lambda row: row[0], get_y=lambda row: str(row[1]),
        splitter=IndexSplitter(range(len(train), len(train) + len(test))),
        item_tfms=Resize(job["side"]),
        batch_tfms=[*aug_transforms(), Normalize.from_stats(mean, std)],
    )
    loaders = block.dataloaders([*train, *test], num_workers=0)
    learner = vision_learner(
        loaders, architecture, metrics=accuracy, normalize=False,
        pretrained_cfg_overlay={"file": str(Path(job["model"]) / "model.safetensors")},
        cbs=Watching(watch), **arguments,
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(job["epochs"])
    return watch.told(len(train), batch_rows=loaders.bs, threads=torch.get_num_threads())


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
