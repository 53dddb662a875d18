"""The exporters, by the names that --to takes. To add one: write its file, add its line."""

from fettle.core.parts import Exporter
from fettle.exporters import keras, onnx, peft, torch, transformers

EXPORTERS: dict[str, Exporter] = {
    "onnx": Exporter(onnx.write, onnx.open_folder, heads=("linear", "mlp")),
    "transformers": Exporter(transformers.write, transformers.open_folder),
    "peft": Exporter(peft.write, peft.open_folder),
    "torch": Exporter(torch.write, torch.open_folder),
    "keras": Exporter(keras.write, keras.open_folder, modality="image"),
}
"""Each writes a version into a folder, and opens that folder as the tool's users do."""
