"""Pictures: fettle against a plain fine-tuning loop of timm and torch, same weights, same pictures.

    FETTLE_DATA=... FETTLE_WEIGHTS=... .venv/bin/python bench/image_speed.py
        [--rows 2000] [--test-rows 2000] [--epochs 6] [--repeats 3]

MobileNetV2 with its ImageNet weights on cifar10_small at 96 pixels. Each side runs in a process of
its own, in turn, --repeats times; figures are of medians.

full_speedup: images a second in full fine-tuning, fettle's over the loop's (fp32, batches of 32,
random resized crops, decoding in the loop, as the tutorials of both libraries have it).
time_to_target_ratio: seconds to the loop's best accuracy minus one point on the test pictures, the
loop's over those of fettle's `top` with replay, its frozen pass included; 0 where `top` does not
reach it, which is then said. Accuracy is looked at after each epoch, off the clock.

Not here: fastai's fine_tune and the image-classification example of transformers.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import announce, data_folder, last_json, middle, report

HERE = Path(__file__).resolve().parent
SIDES = ("torch", "full", "top")
SIDE = 96


def seconds_to(epochs: list[dict[str, Any]], accuracy: float) -> float | None:
    """Seconds of training until this accuracy was first reached; None if it never was."""
    return next((one["seconds"] for one in epochs if one["accuracy"] >= accuracy), None)


def figures_of(runs: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """The figures of one measurement.

    Args:
        runs: by side, what each repeat said.
    """
    speed = {side: middle([one["images_per_second"] for one in found])
             for side, found in runs.items()}
    best = middle([max(one["accuracy"] for one in run["epochs"]) for run in runs["torch"]])
    target = best - 0.01
    reached = {
        side: [taken for run in found if (taken := seconds_to(run["epochs"], target)) is not None]
        for side, found in runs.items()
    }
    whole = len(reached["top"]) == len(runs["top"]) and reached["torch"]
    return {
        **{f"images_per_second_{side}": value for side, value in speed.items()},
        "full_speedup": speed["full"] / speed["torch"],
        "torch_accuracy": best,
        **{f"accuracy_{side}": middle([max(one["accuracy"] for one in run["epochs"])
                                       for run in runs[side]]) for side in ("full", "top")},
        "time_to_target_ratio":
            middle(reached["torch"]) / middle(reached["top"]) if whole else 0.0,
    }


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser()
    for name, usual in (("rows", 2000), ("test-rows", 2000), ("epochs", 6), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    asked = parser.parse_args()
    announce()
    data = data_folder("image_speed", "cifar10_small")
    weights = Path(os.environ.get("FETTLE_WEIGHTS", "")) / "mobilenetv2_imagenet"
    if data is None:
        return
    if "FETTLE_WEIGHTS" not in os.environ or not weights.is_dir():
        print("FETTLE_WEIGHTS names no folder with mobilenetv2_imagenet: not run.")
        report("image_speed", {})
        return
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        job.write_text(json.dumps({
            "model": str(weights), "data": str(data / "cifar10_small"), "rows": asked.rows,
            "test_rows": asked.test_rows, "side": SIDE, "epochs": asked.epochs, "seed": 0,
        }), encoding="utf-8")
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for repeat in range(asked.repeats):
            for side in SIDES:
                found = last_json([sys.executable, HERE / "image_side.py", side, job])
                runs[side].append(found)
                best = max(one["accuracy"] for one in found["epochs"])
                print(f"{repeat + 1} {side}: {found['images_per_second']:.1f} images/s, best "
                      f"accuracy {best:.3f} of {len(found['epochs'])} epochs, "
                      f"{found['epochs'][-1]['seconds']:.1f} s", flush=True)
    figures = figures_of(runs)
    if not figures["time_to_target_ratio"]:
        print("top does not reach the loop's accuracy minus one point: no ratio of times.")
    report("image_speed", figures)


if __name__ == "__main__":
    main()
