"""Replay on pictures, by architecture: what an epoch of `top` takes with it and without.

    FETTLE_DATA=... .venv/bin/python bench/picture_replay.py [--only resnet50,vgg11_bn]
        [--rows 300] [--test-rows 60] [--epochs 4]

Networks of timm at their real size, weights random (no hub is asked), pictures of cifar10_small at
96 pixels (Inception 128). `fettle tune --rungs top` twice each, with --cache-limit 0 and as it
comes, in one home. Printed are the median seconds of an epoch of both, those of the whole rung with
the frozen pass, and what the run itself found of replay's exactness. Weights are random, so scores
say nothing and are not shown.
"""

import argparse
import json
import re
import tempfile
import zipfile
from pathlib import Path
from statistics import median
from typing import Any

from ladder import PLAIN, epoch_seconds, own_home
from measuring import announce, data_folder, report
from sets import Tuned, tuned_on

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "resnet18": {}, "resnet50": {}, "mobilenetv2_100": {}, "efficientnet_b0": {}, "vgg11_bn": {},
    "inception_v3": {"side": 128}, "densenet121": {}, "convnext_tiny": {},
    "vit_tiny_patch16_224": {"img_size": 96}, "swin_tiny_patch4_window7_224": {"img_size": 96},
}
"""timm's names, and what each needs to read pictures of this size."""
SIDE = 96


def network_of(folder: Path, name: str, *, side: int = SIDE, **arguments: Any) -> Path:
    """A random network of timm's on the disk; norms moved, so that no block is idle."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=10, **arguments)
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 1:
                value.add_(torch.randn_like(value) * 0.05)
    folder.mkdir(parents=True)
    save_file({key: one.contiguous() for key, one in model.state_dict().items()},
              folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({
        "architecture": name, "num_classes": 10, "model_args": arguments,
        "pretrained_cfg": {"input_size": [3, side, side], "crop_pct": 0.9, "mean": [0.5] * 3,
                           "std": [0.25] * 3, "interpolation": "bilinear"},
    }))
    return folder


def some_of(whole: Path, folder: Path, number: int) -> Path:
    """So many pictures of a zip of class folders, evenly taken."""
    with zipfile.ZipFile(whole) as held:
        names = [name for name in held.namelist() if not name.endswith("/")]
        for at in range(number):
            held.extract(names[at * len(names) // number], folder)
    return folder


def figures_of(plain: Tuned, replayed: Tuned) -> dict[str, float]:
    """Seconds of both, and how they compare."""
    slow, fast = plain.rung("top"), replayed.rung("top")
    said = " ".join(fast["notes"])
    different = re.search(r"largest difference ([0-9.e+-]+) in the same batch in fp32, "
                          r"([0-9.e+-]+) of the largest output", said)
    found = {
        "epoch_seconds_plain": median(epoch_seconds(slow)),
        "epoch_seconds": median(epoch_seconds(fast)),
        "rung_seconds_plain": float(slow["seconds"]), "rung_seconds": float(fast["seconds"]),
        "replayed": float("Replayed from" in said),
    }
    found["top_epoch_speedup"] = found["epoch_seconds_plain"] / found["epoch_seconds"]
    found["top_rung_speedup"] = found["rung_seconds_plain"] / found["rung_seconds"]
    if different is not None:
        found |= {"same_batch": float(different[1]), "other_batches": float(different[2])}
    return found


def main() -> None:
    """Two runs an architecture, a line each, then all of it as one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default=",".join(ARCHITECTURES))
    for name, usual in (("rows", 300), ("test-rows", 60), ("epochs", 4)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    asked = parser.parse_args()
    data = data_folder("picture_replay", "cifar10_small")
    if data is None:
        return
    announce()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place, own_home() as home:
        folder = Path(place)
        learn = some_of(data / "cifar10_small" / "train.zip", folder / "learn", asked.rows)
        judge = some_of(data / "cifar10_small" / "test.zip", folder / "judge", asked.test_rows)
        for name in asked.only.split(","):
            model = network_of(folder / name, name, **ARCHITECTURES[name])
            runs = [
                tuned_on(learn, judge, home / f"{name}-{number}", more=(
                    "--model", str(model), "--rungs", "top", "--set", f"epochs={asked.epochs}",
                    "--no-keep-rows", *more))
                for number, more in enumerate((PLAIN, ()))
            ]
            found = figures_of(*runs)
            notes = runs[1].rung("top")["notes"]
            print(f"{name}: an epoch {found['epoch_seconds_plain']:.2f} s without replay, "
                  f"{found['epoch_seconds']:.2f} s with it, {found['top_epoch_speedup']:.1f} times;"
                  f" the rung {found['rung_seconds_plain']:.1f} s and {found['rung_seconds']:.1f} s"
                  f". {' '.join(notes)}", flush=True)
            figures |= {f"{name}_{key}": value for key, value in found.items()}
    announce()
    report("picture_replay", figures)


if __name__ == "__main__":
    main()
