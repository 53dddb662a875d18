"""Versions of pictures that are ready to be exported, of small random networks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from fettle.core.pictures import cell_of_bytes
from fettle.modalities.image import ImageEncoder
from fettle.models.cards import card_of
from fettle.models.network import open_network
from fettle.stages import exporting
from fettle.store import arrow
from pictures import CLASSES, drawn, encoded, timm_folder

TIMM = {
    "ResNet": "test_resnet", "ViT": "test_vit",
    "EfficientNet": "test_efficientnet", "ConvNeXt": "test_convnext", "RepVGG": "test_byobnet",
    "NFNet": "test_nfnet", "MambaOut": "test_mambaout",
}
"""Narrow networks of timm's own, made to be tested."""
SMALL = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 3,
         "num_attention_heads": 2}
TRANSFORMERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT": ("vit", {**SMALL, "intermediate_size": 32}),
    "DINOv2": ("dinov2", SMALL),
    "ConvNeXt": ("convnext", {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 2, 1],
                              "image_size": 32}),
    "ResNet": ("resnet", {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 16],
                          "depths": [1, 1, 2, 1]}),
    "Swin": ("swin", {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 2],
                      "num_heads": [1, 2], "window_size": 4}),
}


def place_of(folder: Path, library: str, family: str) -> Path:
    """A small random network of this family on the disk."""
    if library == "timm":
        sized = {"img_size": 32} if family == "ViT" else {}
        return timm_folder(folder, TIMM[family], side=32, **sized)
    import transformers

    kind, settings = TRANSFORMERS[family]
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(transformers.CONFIG_MAPPING[kind](**settings))
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 36},
        "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5], "resample": 2}))
    return folder


def contents(rows: int) -> list[bytes]:
    """Pictures of several formats, sizes and shapes, as files hold them."""
    found = []
    for at in range(rows):
        pixels = drawn(CLASSES[at % 3], seed=at, side=40 + 3 * (at % 5))
        if at % 4 == 1:
            pixels = pixels[: 30 + at % 7]
        if at % 4 == 2:
            pixels = pixels[:, :, 0]
        found.append(encoded(pixels, "JPEG" if at % 3 == 0 else "PNG"))
    found[1] = encoded(np.dstack([drawn("disc", seed=9), np.full((40, 40), 90, np.uint8)]))
    return found


def leaving(
    folder: Path, place: Path, *, head: str = "linear", rows: int = 36, normalise: bool = False,
    side: int = 32,
) -> exporting.Leaving:
    """A version of a random network in this folder, its head random as well."""
    card = card_of(str(place))
    network = open_network(card)
    torch.manual_seed(3)
    network.set_head({"kind": head, "pooling": "own", "normalise": normalise, "dropout": 0.1,
                      "outputs": len(CLASSES)})
    torch.nn.init.normal_(network.head.linear.weight)
    encoder = ImageEncoder({"fields": ["picture"], "side": side, "room": side + 4,
                            "interpolation": card.picture.interpolation, "augment": "none",
                            "flip": False})
    made = folder / "version"
    made.mkdir(parents=True)
    network.eval().save(made)
    encoder.save(str(made))
    table = pa.table({"picture": [cell_of_bytes(one) for one in contents(rows)],
                      "label": ["disc"] * rows, "id": [str(at) for at in range(rows)],
                      "side": ["train"] * rows})
    arrow.write(made / "rows.arrow", table)
    return exporting.Leaving(
        id="shapes@1", network=network, encoder=encoder, classes=CLASSES, temperature=1.7,
        unit=None,
        precision="fp32", rung="features", plan={"rungs": []},
        paths={path.name: path for path in made.iterdir()},
    )
