"""Pictures: fettle against a plain loop of timm and torch, fastai's `fine_tune` and the example of
transformers; same weights, same pictures.

    FETTLE_DATA=... FETTLE_WEIGHTS=... .venv/bin/python bench/image_speed.py
        [--rows 2000] [--test-rows 2000] [--epochs 6] [--repeats 3] [--sides torch,full,top,...]

MobileNetV2 with its ImageNet weights on cifar10_small at 96 pixels. Each side runs in a process of
its own, in turn, --repeats times; figures are of medians. fastai and transformers have environments
of their own (bench/peers.py); one that cannot be made is not run, which is said.

full_speedup: images a second in full fine-tuning, fettle's over the loop's (fp32, batches of 32,
random resized crops, decoding in the loop, as the tutorials of both libraries have it).
time_to_target_ratio: seconds to the loop's best accuracy minus one point on the test pictures, the
loop's over those of fettle's `top` with replay, its frozen pass included; 0 where `top` does not
reach it, which is then said. time_to_target_ratio_fastai and _transformers: the same to that same
accuracy, of the side's own recipe; 0 where either does not reach it. Accuracy is looked at after
each epoch, off the clock.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from measuring import announce, data_folder, last_json, report, weights_folder
from peers import environment_of

HERE = Path(__file__).resolve().parent
SIDES = ("torch", "full", "top", "fastai", "transformers")
PEERS = {"fastai": ("fastai", "fastai_side.py"),
         "transformers": ("transformers_images", "example_side.py")}
"""By side: the environment, and what runs in it."""
SIDE = 96


def seconds_to(epochs: list[dict[str, Any]], accuracy: float) -> float | None:
    """Seconds of training until this accuracy was first reached; None if it never was."""
    return next((one["seconds"] for one in epochs if one["accuracy"] >= accuracy), None)


def figures_of(runs: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """The figures of one measurement.

    Args:
        runs: by side, what each repeat said.
    """
    speed = {side: median([one["images_per_second"] for one in found])
             for side, found in runs.items()}
    best = median([max(one["accuracy"] for one in run["epochs"]) for run in runs["torch"]])
    target = best - 0.01
    reached = {
        side: [taken for run in found if (taken := seconds_to(run["epochs"], target)) is not None]
        for side, found in runs.items()
    }
    whole = {side: bool(taken) and len(taken) == len(runs[side])
             for side, taken in reached.items()}
    ratios = {
        side: median(reached[side]) / median(reached["top"])
        if whole[side] and whole["top"] else 0.0
        for side in runs if side not in ("full", "top")
    }
    others = {f"time_to_target_ratio_{side}": ratio for side, ratio in ratios.items()
              if side != "torch"}
    return {
        **{f"images_per_second_{side}": value for side, value in speed.items()},
        "full_speedup": speed["full"] / speed["torch"],
        "torch_accuracy": best,
        **{f"accuracy_{side}": median([max(one["accuracy"] for one in run["epochs"])
                                       for run in runs[side]]) for side in runs if side != "torch"},
        "time_to_target_ratio": ratios["torch"],
        **others,
    }


def laid_out(folder: Path, job: Mapping[str, Any], part: str, number: int) -> list[list[Any]]:
    """(path, class) of the rows that fettle's side takes, as files that any library reads."""
    from fettle.store.pictures import content_of
    from image_side import rows_of

    fields, targets = rows_of(Path(job["data"]) / f"{part}.zip", number)
    made: list[list[Any]] = []
    for row, ((cell,), target) in enumerate(zip(fields, targets.tolist(), strict=True)):
        path = folder / part / f"{row:06}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content_of(cell))
        made.append([str(path), target])
    return made


def commands(folder: Path, job: dict[str, Any], sides: Sequence[str]) -> dict[str, list[Any]]:
    """What runs each side; a peer that is not there is said and left out."""
    plain = folder / "job.json"
    plain.write_text(json.dumps(job), encoding="utf-8")
    found: dict[str, list[Any]] = {}
    for side in sides:
        if side not in PEERS:
            found[side] = [sys.executable, HERE / "image_side.py", side, plain]
            continue
        name, script = PEERS[side]
        peer = environment_of(name)
        if peer.python is None:
            print(f"{side} is not run: {peer.reason}", flush=True)
            continue
        listed = folder / "listed.json"
        if not listed.is_file():
            parts = {part: laid_out(folder, job, part, job[rows])
                     for part, rows in (("train", "rows"), ("test", "test_rows"))}
            listed.write_text(json.dumps({**job, **parts}), encoding="utf-8")
        found[side] = [peer.python, HERE / script, listed]
    return found


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser()
    for name, usual in (("rows", 2000), ("test-rows", 2000), ("epochs", 6), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--sides", default=",".join(SIDES))
    asked = parser.parse_args()
    announce()
    data = data_folder("image_speed", "cifar10_small")
    weights = weights_folder("mobilenetv2_imagenet")
    if data is None:
        return
    if weights is None:
        print("FETTLE_WEIGHTS names no folder with mobilenetv2_imagenet: not run.")
        report("image_speed", {})
        return
    with tempfile.TemporaryDirectory() as folder:
        sides = commands(Path(folder), {
            "model": str(weights), "data": str(data / "cifar10_small"), "rows": asked.rows,
            "test_rows": asked.test_rows, "side": SIDE, "epochs": asked.epochs, "seed": 0,
        }, asked.sides.split(","))
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for repeat in range(asked.repeats):
            for side, command in sides.items():
                found = last_json(command)
                runs[side].append(found)
                best = max(one["accuracy"] for one in found["epochs"])
                print(f"{repeat + 1} {side}: {found['images_per_second']:.1f} images/s, best "
                      f"accuracy {best:.3f} of {len(found['epochs'])} epochs, "
                      f"{found['epochs'][-1]['seconds']:.1f} s", flush=True)
    if not {"torch", "full", "top"} <= set(runs):
        print("The figures need the sides torch, full and top.")
        report("image_speed", {})
        return
    figures = figures_of(runs)
    for name, value in figures.items():
        if name.startswith("time_to_target_ratio") and not value:
            print(f"{name}: one of both does not reach the loop's accuracy minus one point.")
    report("image_speed", figures)


if __name__ == "__main__":
    main()
