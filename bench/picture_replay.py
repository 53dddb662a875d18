"""Replay on pictures, by architecture: what an epoch of `top` takes with it and without.

    FETTLE_DATA=... .venv/bin/python bench/picture_replay.py [--only resnet50,keras:VGG16]
        [--rows 300] [--test-rows 60] [--epochs 4]

Networks of timm, torchvision and keras.applications at their real size, weights random (no hub is
asked), pictures of cifar10_small at 96 pixels (Inception 128), of which every seventh validates.
`fettle tune --rungs top` twice each, with --cache-limit 0 and as it comes, in one home. Printed are
the median seconds of an epoch of both, those of the whole rung with the frozen pass, and what the
run itself found of replay's exactness. Weights are random, so scores say nothing and are not shown.
"""

import argparse
import json
import os
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
    "torchvision:vgg16": {"init_weights": False}, "torchvision:swin_t": {},
    "torchvision:inception_v3": {"aux_logits": False, "init_weights": False},
    "keras:ResNet50": {}, "keras:VGG16": {}, "keras:InceptionV3": {"side": 128},
}
"""timm's names or those of others, and what each needs to read pictures of this size."""
SIDE = 96
FACTORY = """import torch
import torchvision


def network():
    torch.manual_seed(0)
    return torchvision.models.{name}(weights=None, num_classes=10, **{arguments!r})
"""


def network_of(folder: Path, name: str, **arguments: Any) -> str:
    """A random network, and what `--model` calls it.

    Args:
        folder: that it may be written in; on the path that modules are imported from.
        name: of timm's; torchvision:NAME or keras:NAME.
        arguments: to make it with.
    """
    library, _, own = name.rpartition(":")
    if library == "torchvision":
        (folder / f"{own}_of_torchvision.py").write_text(
            FACTORY.format(name=own, arguments=arguments))
        return f"{own}_of_torchvision:network"
    if library == "keras":
        os.environ["KERAS_BACKEND"] = "torch"
        import keras

        keras.utils.set_random_seed(0)
        side = arguments.pop("side", SIDE)
        made = getattr(keras.applications, own)(
            weights=None, classes=10, input_shape=(side, side, 3), **arguments)
        made.save(folder / f"{own}.keras")
        return str(folder / f"{own}.keras")
    return str(timm_network(folder / name, name, **arguments))


def timm_network(folder: Path, name: str, *, side: int = SIDE, **arguments: Any) -> Path:
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


def every_seventh(learn: Path, folder: Path) -> Path:
    """So many of the pictures, taken out of there: they validate."""
    for path in sorted(path for path in learn.rglob("*") if path.is_file())[::7]:
        place = folder / path.relative_to(learn)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
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
        validate = every_seventh(learn, folder / "validate")
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
        for name in asked.only.split(","):
            model = network_of(folder, name, **ARCHITECTURES[name])
            runs = [
                tuned_on(learn, judge, home / f"{name.replace(':', '-')}-{number}", more=(
                    "--model", model, "--rungs", "top", "--set", f"epochs={asked.epochs}",
                    "--validation", str(validate), "--no-keep-rows", *more))
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
