"""A folder that transformers opens: as AutoModelForSequenceClassification where the head fits.

Where it fits no such class (means over tokens, vectors of length 1), AutoModel opens the network,
and sentence-transformers the whole: pooling and linear map are modules of its own.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fettle.core.errors import SettingError
from fettle.core.parts import Exportable
from fettle.exporters import beside
from fettle.exporters.classifiers import classifier, misfit
from fettle.store import checkpoints, files

__all__ = ["asked", "is_part", "open_folder", "require_alone", "write", "write_modules"]

OF_CLASSES = """
```python
from transformers import pipeline

ask = pipeline("text-classification", ".")
print(ask("where is my parcel", truncation=True))
```
"""
OF_LABELS = """
```python
import json

from transformers import pipeline

told = json.load(open("preprocessing.json", encoding="utf-8"))
cuts = dict(zip(told["classes"], told["thresholds"]))
ask = pipeline("text-classification", ".", top_k=None)
(said,) = ask(["where is my parcel"], truncation=True)
print([one["label"] for one in said if one["score"] >= cuts[one["label"]]])
```
"""
ABOUT_THE_CLASS = """
The dense layer that this class has before its linear map is set so that it changes nothing. It
answers as the version does in fp32 and bf16; it is not made to be tuned further, nor for fp16.
"""
AS_MODULES = """
Its head fits no AutoModelForSequenceClassification: {why}. transformers opens the network:

```python
from transformers import AutoModel

backbone = AutoModel.from_pretrained(".").eval()
```

The whole, with its head, is opened by `network.py` (torch, transformers, safetensors, tokenizers):

```python
from network import Network

network = Network(".", backbone).eval()
outputs = network(**network.batch([("where is my parcel",)]))
print(network.answers(outputs))
```

and by sentence-transformers, which gives the same outputs in place of an embedding:

```python
from sentence_transformers import SentenceTransformer

outputs = SentenceTransformer(".").encode(["where is my parcel"])
```
"""


def write(given: Exportable, folder: Path) -> tuple[str, ...]:
    """Config, weights, tokenizer, labels, and how it is opened.

    Raises:
        SettingError: transformers has no class that opens an encoder like this one alone.
    """
    backbone = given.backbone()
    why = misfit(given)
    if why:
        require_alone(backbone)
        _write_network(given, backbone, folder)
        write_modules(given, folder)
        beside.write_readme(given, folder, "a folder of transformers", AS_MODULES.format(why=why))
        note = f"No AutoModelForSequenceClassification fits: {why}. AutoModel opens the network"
        return (f"{note}, and README.md says how the head is put on it.",)
    model = classifier(given, backbone.model)
    checkpoints.write_tensors(folder / "model.safetensors", model.state_dict())
    files.write_json(folder / "config.json", beside.config_of(
        model, architectures=[type(model).__name__]))
    beside.write_preprocessing(given, folder, "model.safetensors")
    beside.write_tokenizer(given, folder)
    how = OF_LABELS if given.answers == "labels" else OF_CLASSES
    beside.write_readme(given, folder, "a folder of transformers", how + ABOUT_THE_CLASS)
    return ()


def write_modules(given: Exportable, folder: Path) -> None:
    """Tokenizer, and the head as sentence-transformers' modules and as network.py opens it."""
    from fettle.exporters import torch_network

    width = given.card.width
    kinds = ["Transformer", "Pooling", *(["Normalize"] if given.head["normalise"] else []), "Dense"]
    places = ["" if kind == "Transformer" else f"{at}_{kind}" for at, kind in enumerate(kinds)]
    files.write_json(folder / "modules.json", [
        {"idx": at, "name": str(at), "path": place, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, place) in enumerate(zip(kinds, places, strict=True))
    ])
    files.write_json(folder / "sentence_bert_config.json", {
        "max_seq_length": given.encoder["max_tokens"], "do_lower_case": False})
    files.write_json(folder / places[1] / "config.json", {
        "word_embedding_dimension": width,
        **{f"pooling_mode_{key}": given.head["pooling"] == name
           for name, key in (("cls", "cls_token"), ("mean", "mean_tokens"), ("max", "max_tokens"))},
    })
    files.write_json(folder / places[-1] / "config.json", {
        "in_features": width, "out_features": len(given.classes), "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    })
    head = {**given.head, "file": f"{places[-1]}/model.safetensors"}
    beside.write_head(given, folder / head["file"])
    beside.write_preprocessing(given, folder, "model.safetensors", part="all", head=head)
    beside.write_tokenizer(given, folder)
    files.copy_file(Path(torch_network.__file__), folder / "network.py")


def open_folder(
    given: Exportable, folder: Path
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers from the folder alone, by transformers' own classes and tokenizer."""
    from transformers import AutoModel, AutoModelForSequenceClassification

    if (folder / "modules.json").is_file():
        return asked(given, folder, AutoModel.from_pretrained(folder, local_files_only=True))
    return asked(given, folder, AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True))


def asked(
    given: Exportable, folder: Path, model: Any
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers by a model of transformers and the folder's tokenizer; where the model gives
    vectors, the head of the folder comes on top."""
    import torch
    from transformers import AutoTokenizer

    from fettle.exporters.torch_network import Network

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = model.eval()
    whole = Network(folder, model).eval() if (folder / "modules.json").is_file() else None
    told = given.encoder

    def answers(rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        texts = [told["join"].join(part for part in row if part)[: told["letters"]] for row in rows]
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            found = model(**batch).logits if whole is None else whole(**batch)
        return found.numpy()

    return answers


def is_part(backbone: Any) -> bool:
    """Whether the network is the encoder of a class that holds more."""
    return type(backbone.model).__name__ != backbone.architecture


def _write_network(given: Exportable, backbone: Any, folder: Path) -> None:
    """What AutoModel opens; a pooler that it would make up is all zeros, and not used."""
    import torch
    import transformers
    from transformers.initialization import no_init_weights

    with no_init_weights():
        whole = getattr(transformers, backbone.architecture)(backbone.model.config)
    state = {
        name: torch.zeros(value.shape) for name, value in whole.state_dict().items()
        if name.startswith("pooler.")
    }
    checkpoints.write_tensors(
        folder / "model.safetensors", {**state, **backbone.model.state_dict()}
    )
    files.write_json(folder / "config.json", beside.config_of(
        backbone.model, architectures=[backbone.architecture]))


def require_alone(backbone: Any) -> None:
    """Return if AutoModel opens the network that the version holds, and nothing more.

    Raises:
        SettingError: it would want a decoder beside it.
    """
    if is_part(backbone):
        raise SettingError(
            f"transformers' AutoModel opens {backbone.architecture} only together with a decoder, "
            "which the version does not have. Export it to onnx or torch."
        )
