"""ONNX of a network of pictures: pixels in, logits and probabilities out, normalisation inside."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fettle.core.parts import Exportable
from fettle.exporters import picture_beside
from fettle.exporters.onnx import (
    NETWORK,
    OUTPUTS,
    probabilities,
    require_libraries,
    write_graph,
)

__all__ = ["open_folder", "write"]

ROWS = 2
"""Of the batch that is traced: a size of 1 would be taken for a constant."""
HOW = """
`model.onnx` takes `pixels`, uint8 (rows, side, side, 3), any number of rows, and gives `logits` and
`probabilities` (rows, classes). It needs onnxruntime; `pixels.py` needs pillow and numpy. From this
folder:

```python
import onnxruntime
from pixels import Pixels

pixels = Pixels(".")
session = onnxruntime.InferenceSession("model.onnx")
(logits,) = session.run(["logits"], {"pixels": pixels(["picture.jpg"])})
print(pixels.answers(logits))
```
"""


class _Graph(nn.Module):
    """What the file computes."""

    def __init__(self, given: Exportable) -> None:
        super().__init__()
        self.network = given.network
        self.several = given.answers == "labels"

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = self.network({"pixels": pixels})
        return outputs, probabilities(outputs, several=self.several)


def write(given: Exportable, folder: Path) -> tuple[str, ...]:
    """The graph, what must be done to a picture before it, and a file that does it.

    Raises:
        SettingError: a library of the extra `onnx` is not installed.
    """
    require_libraries()
    side = int(given.encoder["side"])
    noise = torch.Generator().manual_seed(0)
    batch = torch.randint(256, (ROWS, side, side, 3), dtype=torch.uint8, generator=noise)
    notes = write_graph(
        _Graph(given).eval(), (batch,), folder / NETWORK, names=["pixels"], free={0: "rows"}
    )
    picture_beside.write(given, folder, NETWORK, "ONNX", HOW)
    return notes


def open_folder(
    given: Exportable, folder: Path
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers from the folder alone, by onnxruntime and its own pixels.py."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        str(folder / NETWORK), options, providers=["CPUExecutionProvider"]
    )

    def answers(rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        found = session.run(OUTPUTS[:1], {"pixels": picture_beside.pixels_of(folder, rows)})
        return np.asarray(found[0])

    return answers
