"""A torch state of a network of pictures: safetensors, and the file that opens them as a module."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from fettle.core.errors import SettingError
from fettle.core.parts import Exportable
from fettle.exporters import beside, picture_beside
from fettle.store import checkpoints, files

__all__ = ["open_folder", "write", "write_network"]

HOW = """
`model.safetensors` holds the weights below the head under the names of {library},
`head.safetensors` the linear map on top. `network.py` opens both with torch, safetensors and
{library}; `pixels.py` needs pillow and numpy. From this folder:

```python
import torch
from network import Network
from pixels import Pixels

pixels, network = Pixels("."), Network.open(".")
outputs = network(torch.from_numpy(pixels(["picture.jpg"])))
print(pixels.answers(outputs.detach()))
```
"""


def write(given: Exportable, folder: Path) -> tuple[str, ...]:
    """The network's state, its config, and network.py.

    Raises:
        SettingError: the network's class is the user's own, or Keras's.
    """
    if given.card.source == "module":
        raise SettingError(
            f"{given.id} was tuned from {given.card.name}, whose class is your own code: no other "
            "file here could open its weights. Export it to onnx."
        )
    if given.card.source not in ("timm", "transformers"):
        raise SettingError(
            f"{given.id} was tuned from {given.card.name}, a network of {given.card.source}, and "
            "network.py opens those of timm and of transformers. Export it to "
            f"{'keras or onnx' if given.card.source == 'keras' else 'onnx'}."
        )
    write_network(given, folder)
    picture_beside.write(
        given, folder, "model.safetensors", "a torch state",
        HOW.format(library=given.card.source), library=given.card.source,
        head={**given.head, "file": "head.safetensors"},
    )
    return ()


def write_network(given: Exportable, folder: Path) -> None:
    """The weights below the head, the head, the config that they belong to, and network.py."""
    from fettle.exporters import picture_network

    assert given.config is not None, "a version holds the config that it was built from"
    checkpoints.write_tensors(folder / "model.safetensors", {
        name: value.contiguous() for name, value in given.backbone().model.state_dict().items()})
    beside.write_head(given, folder / "head.safetensors")
    config = files.read_json(given.config)
    if given.card.source == "transformers":
        model = given.backbone().model.model
        config = beside.config_of(model, architectures=[type(model).__name__])
    files.write_json(folder / "config.json", config)
    files.copy_file(Path(picture_network.__file__), folder / "network.py")


def open_folder(
    given: Exportable, folder: Path
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers from the folder alone, by its own network.py and pixels.py."""
    from fettle.exporters.picture_network import Network

    network = Network.open(folder)

    def answers(rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        with torch.inference_mode():
            found = network(torch.from_numpy(picture_beside.pixels_of(folder, rows)))
        return np.asarray(found.numpy())

    return answers
