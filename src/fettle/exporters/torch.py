"""A torch state: safetensors of the tuned network, and the file that opens them as a module."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fettle.core.parts import Exportable
from fettle.exporters import beside
from fettle.exporters.transformers import is_part
from fettle.store import checkpoints, files

__all__ = ["open_folder", "write"]

HOW = """
`model.safetensors` holds the weights below the head under transformers' names, `head.safetensors`
the linear map on top. `network.py` opens both; it needs torch, transformers, safetensors and
tokenizers, and not fettle. From this folder:

```python
from network import Network

network = Network.open(".")
rows = [("where is my parcel",)]
outputs = network(**network.batch(rows))
print(network.answers(outputs))
```
"""


def write(given: Exportable, folder: Path) -> tuple[str, ...]:
    """The network's state, its config and tokenizer, and network.py."""
    from fettle.exporters import torch_network

    backbone = given.backbone()
    checkpoints.write_tensors(folder / "model.safetensors", backbone.model.state_dict())
    beside.write_head(given, folder / "head.safetensors")
    files.write_json(folder / "config.json", beside.config_of(
        backbone.model, architectures=[backbone.architecture]))
    head = {**given.head, "file": "head.safetensors"}
    part = "encoder" if is_part(backbone) else "all"
    beside.write_preprocessing(given, folder, "model.safetensors", part=part, head=head)
    files.copy_file(Path(torch_network.__file__), folder / "network.py")
    beside.write_readme(given, folder, "a torch state", HOW)
    return ()


def open_folder(
    given: Exportable, folder: Path
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers from the folder alone, by its own network.py."""
    import torch

    from fettle.exporters.torch_network import Network

    network = Network.open(folder)

    def answers(rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        with torch.inference_mode():
            return network(**network.batch(rows)).numpy()

    return answers
