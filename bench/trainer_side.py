"""transformers' Trainer doing a Training job; the last line printed is a JSON object.

    .peers/transformers/bin/python bench/trainer_side.py default|tuned|eager JOB.json

default: the Trainer as it comes: fp32, rows in random order, padded to the longest of a batch,
attention by SDPA. tuned: bf16 and batches of like length. eager: tuned, with attention written out
in plain products. All drop out as the network's config says. Nothing is saved, reported or drawn.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from jobs import Training, load
from measuring import peak_bytes

TUNED: dict[str, Any] = {"bf16": True, "train_sampling_strategy": "group_by_length"}
VARIANTS: dict[str, dict[str, Any]] = {"default": {}, "tuned": TUNED, "eager": TUNED}
ASKED_ROWS = 128


class Counting:
    """A collator that writes down how many rows and real tokens each batch has."""

    def __init__(self, collate: Any) -> None:
        self.collate = collate
        self.rows: list[int] = []
        self.tokens: list[int] = []

    def __call__(self, rows: list[dict[str, Any]]) -> Any:
        batch = self.collate(rows)
        self.rows.append(len(rows))
        self.tokens.append(int(batch["attention_mask"].sum()))
        return batch


class Watching(TrainerCallback):
    """Reads the clock at the marked steps, and asks the test rows in between, off the clock."""

    def __init__(self, job: Training, ask: Any, begun: float) -> None:
        self.job, self.ask, self.begun = job, ask, begun
        self.away = 0.0
        self.marks: dict[int, float] = {}
        self.peak = 0
        self.curve: list[tuple[float, float]] = []
        self.right: list[bool] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step, job = state.global_step, self.job
        if job.steps and step in (job.warmup_steps, job.warmup_steps + job.steps):
            self.marks[step] = time.perf_counter()
            self.peak = peak_bytes()
        if not job.steps and (
            step == state.max_steps or (job.ask_every and step % job.ask_every == 0)
        ):
            self.peak = peak_bytes()
            now = time.perf_counter()
            self.right = self.ask()
            self.curve.append((now - self.begun - self.away, float(np.mean(self.right))))
            self.away += time.perf_counter() - now


def run(variant: str, job: Training) -> dict[str, Any]:
    """Train as the job says."""
    begun = time.perf_counter()
    transformers.set_seed(job.seed)
    attention = "eager" if variant == "eager" else "sdpa"
    model = AutoModelForSequenceClassification.from_pretrained(
        job.model, num_labels=job.classes, attn_implementation=attention
    )
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    collate = DataCollatorWithPadding(tokenizer)
    counting = Counting(collate)

    def encoded(texts: tuple[str, ...], targets: tuple[int, ...]) -> list[dict[str, Any]]:
        found = tokenizer(list(texts), truncation=True, max_length=job.max_tokens)
        each = zip(found["input_ids"], found["attention_mask"], targets, strict=True)
        return [{"input_ids": ids, "attention_mask": mask, "label": t} for ids, mask, t in each]

    learn = encoded(job.texts, job.targets)
    off = time.perf_counter()
    judge = encoded(job.test_texts, job.test_targets) if job.test_texts else []
    watching = Watching(job, lambda: right(model, judge, collate), begun)
    watching.away = time.perf_counter() - off
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model, args=arguments(variant, job, folder), train_dataset=learn,
            data_collator=counting, processing_class=tokenizer, callbacks=[watching],
        )
        trainer.train()
    found = {
        "peak_bytes": watching.peak, "curve": watching.curve, "threads": torch.get_num_threads(),
        "precision": "bf16" if trainer.args.bf16 else "fp32", "rate": trainer.args.learning_rate,
        "attention": model.config._attn_implementation,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    if job.steps:
        counted = slice(job.warmup_steps, job.warmup_steps + job.steps)
        first, last = watching.marks[counted.start], watching.marks[counted.stop]
        found |= {"seconds": last - first, "rows": sum(counting.rows[counted]),
                  "tokens": sum(counting.tokens[counted])}
    else:
        found |= {"seconds": watching.curve[-1][0], "right": watching.right}
    return found


def arguments(variant: str, job: Training, folder: str) -> TrainingArguments:
    """The Trainer's defaults, but for what the variant and the job say."""
    given: dict[str, Any] = dict(VARIANTS[variant])
    if job.batch_rows is not None:
        given["per_device_train_batch_size"] = job.batch_rows
    if job.rate is not None:
        given["learning_rate"] = job.rate
    if job.steps:
        given["max_steps"] = job.warmup_steps + job.steps
    return TrainingArguments(
        output_dir=folder, num_train_epochs=job.epochs, seed=job.seed, save_strategy="no",
        report_to="none", disable_tqdm=True, use_cpu=not torch.cuda.is_available(), **given,
    )


def right(model: Any, judge: list[dict[str, Any]], collate: Any) -> list[bool]:
    """Whether each row's likeliest class is its own."""
    order = sorted(range(len(judge)), key=lambda row: len(judge[row]["input_ids"]))
    found = np.zeros(len(judge), dtype=bool)
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), ASKED_ROWS):
            rows = order[start : start + ASKED_ROWS]
            batch = collate([dict(judge[row]) for row in rows]).to(model.device)
            answers = batch.pop("labels")
            found[rows] = (model(**batch).logits.argmax(-1) == answers).cpu().numpy()
    model.train()
    return found.tolist()


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], load(Path(sys.argv[2]), Training))))
