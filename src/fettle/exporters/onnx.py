"""ONNX: the whole network as one graph, which onnxruntime runs without torch and without fettle.

torch's newer exporter writes it; where that cannot, the older one does, and the certificate says
so.
"""

import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fettle.core.errors import SettingError
from fettle.core.parts import Exportable
from fettle.exporters import beside
from fettle.store import failpoints, files

__all__ = ["NETWORK", "OUTPUTS", "open_folder", "probabilities", "require_libraries", "write",
           "write_graph"]

NETWORK = "model.onnx"
ROWS, TOKENS = 2, 7
"""Of the batch that is traced: a size of 1 would be taken for a constant."""
ONE_FILE_BYTES = 1_800_000_000
"""protobuf ends at 2 GB; larger weights go into model.onnx.data."""
OPSET = 18
NAMES, OUTPUTS = ["input_ids", "attention_mask"], ["logits", "probabilities"]
HOW = """
`model.onnx` takes `input_ids` and `attention_mask`, int64 (rows, tokens) of any size up to
`max_tokens`, and gives `logits` and `probabilities` (rows, classes). `answers.py` is the whole way
from text to answer; it needs onnxruntime, tokenizers and numpy. From this folder:

```python
from answers import Answers

answers = Answers(".")
print(answers([("where is my parcel",)]))
```
"""


class _Graph(nn.Module):
    """What the file computes."""

    def __init__(self, given: Exportable) -> None:
        super().__init__()
        self.network = given.network
        self.several = given.answers == "labels"

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = self.network({"input_ids": input_ids, "attention_mask": attention_mask})
        return outputs, probabilities(outputs, several=self.several)


def probabilities(outputs: torch.Tensor, *, several: bool) -> torch.Tensor:
    """Of classes, by softmax, each row summing to 1; of several labels, each by its own sigmoid."""
    return outputs.sigmoid() if several else outputs.softmax(-1)


def write(given: Exportable, folder: Path) -> tuple[str, ...]:
    """The graph, what must be done to a row before it, and a file that does it.

    Raises:
        SettingError: a library of the extra `onnx` is not installed.
    """
    require_libraries()
    from fettle.exporters import onnx_answers

    ids = torch.full((ROWS, TOKENS), given.encoder["pad"], dtype=torch.long)
    ids[:] = torch.arange(TOKENS) + 1
    mask = torch.ones_like(ids)
    mask[1, -2:] = 0
    notes = write_graph(
        _Graph(given).eval(), (ids, mask), folder / NETWORK, names=NAMES,
        free={0: "rows", 1: "tokens"},
    )
    beside.write_preprocessing(given, folder, NETWORK)
    files.copy_file(Path(onnx_answers.__file__), folder / "answers.py")
    beside.write_readme(given, folder, "ONNX", HOW)
    return notes


def open_folder(
    given: Exportable, folder: Path
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers from the folder alone, by its own answers.py."""
    from fettle.exporters.onnx_answers import Answers

    return Answers(folder, threads=torch.get_num_threads()).outputs


def write_graph(
    graph: nn.Module, batch: tuple[torch.Tensor, ...], path: Path, *, names: list[str],
    free: dict[int, str],
) -> tuple[str, ...]:
    """A graph as an ONNX file; sentences that a person should know.

    Args:
        graph: gives logits and probabilities.
        batch: that is traced.
        path: of the file.
        names: of its inputs.
        free: axes of the inputs that may have any length, by number.

    Raises:
        SettingError: the network is too large for the exporter that could write it.
    """
    size = sum(value.numel() * value.element_size() for value in graph.parameters())
    with _silent(), torch.no_grad(), failpoints.operation("write", path, into=path):
        return _traced(graph, batch, path, names, free, large=size > ONE_FILE_BYTES)


def _traced(
    graph: nn.Module, batch: tuple[torch.Tensor, ...], path: Path, names: list[str],
    free: dict[int, str], *, large: bool,
) -> tuple[str, ...]:
    try:
        program = torch.onnx.export(
            graph, batch, dynamo=True, input_names=names, output_names=OUTPUTS, opset_version=OPSET,
            dynamic_shapes=dict.fromkeys(names, free), verbose=False, optimize=True,
        )
        assert program is not None
        _without_traces(program.model)
        program.save(str(path), external_data=large)
        return ()
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        why = type(error).__name__
    if large:
        raise SettingError(
            f"torch's newer exporter could not write this network ({why}), and the older one "
            "writes no file above 2 GB. Export it to torch."
        )
    axes = dict.fromkeys(names, free) | {name: {0: "rows"} for name in OUTPUTS}
    torch.onnx.export(
        graph, batch, str(path), dynamo=False, input_names=names, output_names=OUTPUTS,
        dynamic_axes=axes, opset_version=OPSET - 1,
    )
    return (f"torch's newer exporter could not write this network ({why}); the older one did.",)


def _without_traces(model: Any) -> None:
    """Every node tells where it comes from, with paths of this machine: nobody else's business."""
    parts = [model.graph, *model.functions.values()]
    for part in (model, *parts):
        part.metadata_props.clear()
    for node in (node for part in parts for node in part.all_nodes()):
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()


def require_libraries() -> None:
    """Return if all that ONNX needs is installed.

    Raises:
        SettingError: a library of the extra `onnx` is not.
    """
    for name in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            raise SettingError(
                f"ONNX needs {name}, which is not installed. Install it with: "
                "pip install 'fettle[onnx]'."
            )


@contextmanager
def _silent() -> Iterator[None]:
    """The exporters talk to their own developers; what matters is in the certificate."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
