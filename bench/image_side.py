"""One side of bench/image_speed.py: fettle, or a plain loop of timm and torch, on one job.

    python bench/image_side.py full|top|torch JOB.json

The last line of its output is what it did: images a second in training, and after each epoch the
seconds that training had taken by then with the accuracy on the test pictures. Looking at those is
off the clock; everything else is on it: opening pictures, the frozen pass, solving the head. Trying
how the network is fastest here, which fettle does once while it plans, is off the clock too; how
long that took is told.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fettle.core.dataset import Schema
from fettle.stages.reading import read_unlabelled

Rows = tuple[list[tuple[str, ...]], np.ndarray]


def rows_of(path: Path, number: int) -> Rows:
    """So many rows, evenly taken, with their class numbers."""
    found = read_unlabelled(path, Schema("label", ("picture",), modality="image"))
    some = np.unique(np.linspace(0, found.rows - 1, number).astype(int)).tolist()
    _, targets = np.unique(found.targets(), return_inverse=True)
    return found.fields(some), targets[some]


class Clock:
    """Seconds that were on it."""

    def __init__(self) -> None:
        self.seconds, self._since = 0.0, time.perf_counter()

    def stop(self) -> float:
        """What follows is off the clock."""
        self.seconds += time.perf_counter() - self._since
        return self.seconds

    def go(self) -> None:
        """What follows is on it."""
        self._since = time.perf_counter()


def by_fettle(rung: str, job: dict[str, Any], train: Rows, test: Rows) -> Iterator[dict[str, Any]]:
    """A rung of fettle as the plan sets it, at the job's size."""
    import tempfile

    from fettle import pipeline
    from fettle.core.plan import Pictures
    from fettle.core.progress import finish
    from fettle.core.run import Epoch
    from fettle.engine import costs
    from fettle.engine.device import set_threads
    from fettle.engine.linear import solve_path
    from fettle.engine.loop import Lesson, Loop
    from fettle.engine.predict import outputs_of
    from fettle.engine.replay import prefix
    from fettle.engine.trying import tried
    from fettle.modalities.image import ImageEncoder
    from fettle.models.cards import card_of
    from fettle.models.network import open_network
    from fettle.stages.planning import settings_of
    from fettle.strategies import STRATEGIES
    from fettle.tasks.classification import Classification

    machine = pipeline.this_machine()
    set_threads(machine.threads)
    card = card_of(job["model"])
    encoder = ImageEncoder.fit(card, fields=("picture",),
                               pictures=Pictures(job["side"], "light", True))
    judged = encoder.encode(test[0])
    begun = time.perf_counter()
    way = tried(open_network(card), encoder.collate(judged[:8]), bf16=machine.bf16)
    precision = way.precision
    print(f"{way.sentence} ({time.perf_counter() - begun:.1f} s)")
    settings = {**settings_of(rung, card), "epochs": job["epochs"]}
    strategy = STRATEGIES[rung](settings)
    classes = int(train[1].max()) + 1
    task = Classification([str(one) for one in range(classes)])
    clock = Clock()
    network = open_network(card)
    network.run_on(Pictures(job["side"], layout=way.layout, folded=way.folded))
    items = encoder.encode(train[0])
    blocks = costs.replayed_blocks(strategy, blocks=network.blocks, epochs=job["epochs"])
    with tempfile.TemporaryDirectory() as folder:
        kept = finish(prefix(network, encoder, items, poolings=("own",), blocks=blocks,
                             precision=precision, folder=Path(folder), limit=8 << 30))
        head = next(iter(solve_path(kept.vectors["own"], train[1], classes=classes, l2=(3e-2,))))
        network.set_head(task.head(card, "own", float(settings["dropout"])))
        with torch.no_grad():
            network.head.linear.weight.copy_(torch.from_numpy(head.weight))
            network.head.linear.bias.copy_(torch.from_numpy(head.bias))
        loop = Loop(network, encoder, task, strategy=strategy, settings=settings,
                    precision=precision, seed=job["seed"])
        lesson = Lesson(items, train[1], [str(row) for row in range(len(items))], kept.states)
        for event in loop.fit(lesson, None, lambda *_: 0.0):
            if not isinstance(event, Epoch):
                continue
            taken = clock.stop()
            said = finish(outputs_of(network.eval(), encoder, judged, precision=precision))
            yield {"seconds": taken, "epoch_seconds": event.seconds,
                   "accuracy": float((said.argmax(axis=1) == test[1]).mean())}
            clock.go()


def by_torch(job: dict[str, Any], train: Rows, test: Rows) -> Iterator[dict[str, Any]]:
    """timm's model and torchvision's transforms in the loop of torch's own tutorial, fp32."""
    import io

    import timm
    from PIL import Image
    from torchvision import transforms

    from fettle.store.pictures import content_of

    model = timm.create_model(f"local-dir:{job['model']}", pretrained=True,
                              num_classes=int(train[1].max()) + 1)
    config = timm.data.resolve_model_data_config(model)
    side = job["side"]
    plain = [transforms.ToTensor(), transforms.Normalize(config["mean"], config["std"])]
    augmented = transforms.Compose([
        transforms.RandomResizedCrop(side, scale=(0.35, 1.0)), transforms.RandomHorizontalFlip(),
        *plain])
    seen = transforms.Compose([
        transforms.Resize(round(side / config["crop_pct"])), transforms.CenterCrop(side), *plain])

    class Folder(torch.utils.data.Dataset[Any]):
        def __init__(self, rows: Rows, transform: Any) -> None:
            self.rows, self.transform = rows, transform

        def __len__(self) -> int:
            return len(self.rows[1])

        def __getitem__(self, row: int) -> Any:
            picture = Image.open(io.BytesIO(content_of(self.rows[0][row][0]))).convert("RGB")
            return self.transform(picture), int(self.rows[1][row])

    torch.manual_seed(job["seed"])
    load = torch.utils.data.DataLoader
    clock = Clock()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.01)
    batches = load(Folder(train, augmented), batch_size=32, shuffle=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-4, total_steps=job["epochs"] * len(batches))
    for _ in range(job["epochs"]):
        begun = time.perf_counter()
        model.train()
        for pixels, targets in batches:
            loss = torch.nn.functional.cross_entropy(model(pixels), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        seconds, taken = time.perf_counter() - begun, clock.stop()
        model.eval()
        with torch.inference_mode():
            right = [(model(pixels).argmax(dim=1) == targets).sum().item()
                     for pixels, targets in load(Folder(test, seen), batch_size=64)]
        yield {"seconds": taken, "epoch_seconds": seconds, "accuracy": sum(right) / len(test[1])}
        clock.go()


def main(arguments: Sequence[str]) -> None:
    """Run one side."""
    side, path = arguments
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    train = rows_of(Path(job["data"]) / "train.zip", job["rows"])
    test = rows_of(Path(job["data"]) / "test.zip", job["test_rows"])
    epochs = list(by_torch(job, train, test) if side == "torch"
                  else by_fettle(side, job, train, test))
    fastest = min(one["epoch_seconds"] for one in epochs)
    print(json.dumps({"epochs": epochs, "images_per_second": len(train[1]) / fastest}))


if __name__ == "__main__":
    main(sys.argv[1:])
