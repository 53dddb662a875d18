"""The adapters of a lora rung in peft's format: small files, to be put on the model that was tuned.

A version holds its adapters merged. What was added to each map has at most the adapters' rank, so
that two matrices as small as they were give it back.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fettle.core.errors import SettingError
from fettle.core.parts import Exportable
from fettle.exporters import beside, transformers
from fettle.exporters.classifiers import classifier, head_modules, misfit
from fettle.store import checkpoints, files

__all__ = ["open_folder", "write"]

AS_CLASSIFIER = """
```python
from peft import AutoPeftModelForSequenceClassification

model = AutoPeftModelForSequenceClassification.from_pretrained(
    ".", num_labels={classes}, problem_type="{problem}").eval()
```

The classes, in the order of the outputs, stand in `preprocessing.json`.
"""
AS_FEATURES = """
Its head fits no AutoModelForSequenceClassification: {why}. The adapters go on AutoModel, and
`network.py` puts the head on top:

```python
from network import Network
from peft import AutoPeftModelForFeatureExtraction

backbone = AutoPeftModelForFeatureExtraction.from_pretrained(".")
network = Network(".", backbone).eval()
outputs = network(**network.batch([("where is my parcel",)]))
print(network.answers(outputs))
```
"""


def write(given: Exportable, folder: Path) -> tuple[str, ...]:
    """adapter_config.json, adapter_model.safetensors, the head, the tokenizer.

    Raises:
        SettingError: the version is of another rung, or more than its linear maps was tuned.
    """
    if given.rung != "lora":
        raise SettingError(
            f"{given.id} is of the rung {given.rung!r}, which has no adapters: peft holds those of "
            "the rung lora. Export it to transformers, or tune with --strategy lora."
        )
    if given.card.kept_blocks is not None:
        raise SettingError(
            f"{given.id} was tuned with --keep-blocks {given.card.kept_blocks}, and peft would put "
            f"its adapters on the whole {given.card.name}. Export it to transformers."
        )
    from peft import get_peft_model_state_dict

    tuned, (base, _) = given.backbone(), given.base()
    transformers.require_alone(tuned)
    added = _added(given, tuned.model, base.model)
    why = misfit(given)
    model = _adapted(given, base.model, added, classifies=not why)
    checkpoints.write_tensors(folder / "adapter_model.safetensors",
                              get_peft_model_state_dict(model))
    config = model.peft_config["default"].to_dict()
    files.write_json(folder / "adapter_config.json", json.loads(json.dumps(
        {**config, "inference_mode": True}, default=_plain)))
    if why:
        transformers.write_modules(given, folder)
        how = AS_FEATURES.format(why=why)
    else:
        beside.write_preprocessing(given, folder, "adapter_model.safetensors")
        beside.write_tokenizer(given, folder)
        how = AS_CLASSIFIER.format(
            classes=len(given.classes), problem=beside.labels(given)["problem_type"])
    beside.write_readme(given, folder, "adapters of peft", how)
    return ()


def open_folder(
    given: Exportable, folder: Path
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers with the folder's adapters on the model that was tuned."""
    from peft import PeftModel
    from transformers import AutoModel, AutoModelForSequenceClassification

    _, place = given.base()
    if (folder / "modules.json").is_file():
        base = AutoModel.from_pretrained(place, local_files_only=True)
    else:
        base = AutoModelForSequenceClassification.from_pretrained(
            place, local_files_only=True, num_labels=len(given.classes))
    return transformers.asked(given, folder, PeftModel.from_pretrained(base, folder))


def _added(
    given: Exportable, tuned: Any, base: Any
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The matrices (rank, in) and (out, rank) of the adapter of each linear map that was tuned.

    Source: Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM Review 2011,
    algorithm 4.4, for a matrix whose rank is known.
    """
    rank = int(given.settings["rank"])
    scale = float(given.settings["alpha"]) / rank
    before = base.state_dict()
    linear = {f"{name}.weight": name for name, module in tuned.named_modules()
              if isinstance(module, nn.Linear)}
    chance = torch.Generator().manual_seed(0)
    found = {}
    for key, value in tuned.state_dict().items():
        change = value.double() - before[key].double()
        if not change.any():
            continue
        if key not in linear:
            raise SettingError(
                f"{key} of {given.id} is not as it was in {given.card.name}, and no adapter of "
                "peft holds that. Export it to transformers."
            )
        guess = torch.randn(change.shape[1], rank, generator=chance, dtype=torch.float64)
        span, _ = torch.linalg.qr(change @ (change.T @ (change @ guess)))
        found[linear[key]] = ((span.T @ change / scale).float(), span.float())
    return found


def _adapted(
    given: Exportable, base: Any, added: Mapping[str, tuple[torch.Tensor, torch.Tensor]], *,
    classifies: bool,
) -> Any:
    """peft's model of the base with these adapters on it."""
    from peft import LoraConfig, TaskType, get_peft_model

    model, inside, more = base, "", {}
    if classifies:
        model = classifier(given, base)
        inside = f"{model.base_model_prefix}."
        more = {"modules_to_save": head_modules(given, model)}
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS if classifies else TaskType.FEATURE_EXTRACTION,
        r=int(given.settings["rank"]), lora_alpha=int(given.settings["alpha"]), lora_dropout=0.0,
        target_modules=[f"{inside}{name}" for name in added],
        base_model_name_or_path=given.card.name.partition("@")[0] if given.card.revision
        else given.card.name,
        revision=given.card.revision, **more,
    )
    whole = get_peft_model(model, config)
    with torch.no_grad():
        for name, (down, up) in added.items():
            module: Any = whole.get_submodule(f"base_model.model.{inside}{name}")
            module.lora_A["default"].weight.copy_(down)
            module.lora_B["default"].weight.copy_(up)
    return whole


def _plain(value: Any) -> Any:
    """What JSON has no word for."""
    return sorted(value) if isinstance(value, set) else getattr(value, "value", str(value))
