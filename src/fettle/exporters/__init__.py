"""The exporters, by the names that --to takes. To add one: write its file, add its line."""

from fettle.core.parts import Exporter
from fettle.exporters import (
    keras,
    onnx,
    peft,
    picture_onnx,
    picture_timm,
    picture_torch,
    picture_transformers,
    torch,
    transformers,
)

EXPORTERS: dict[str, Exporter] = {
    "onnx": Exporter(onnx.write, onnx.open_folder, heads=("linear", "mlp")),
    "transformers": Exporter(transformers.write, transformers.open_folder),
    "peft": Exporter(peft.write, peft.open_folder),
    "torch": Exporter(torch.write, torch.open_folder),
}
"""Each writes a version of texts into a folder, and opens that folder as the tool's users do."""
PICTURE_EXPORTERS: dict[str, Exporter] = {
    "onnx": Exporter(picture_onnx.write, picture_onnx.open_folder, "image", ("linear", "mlp")),
    "timm": Exporter(picture_timm.write, picture_timm.open_folder, "image"),
    "transformers": Exporter(
        picture_transformers.write, picture_transformers.open_folder, "image"),
    "torch": Exporter(picture_torch.write, picture_torch.open_folder, "image"),
    "keras": Exporter(keras.write, keras.open_folder, "image"),
}
"""The same for versions of pictures."""
