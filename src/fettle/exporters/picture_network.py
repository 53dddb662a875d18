"""An exported network of pictures as a torch module: pixels in, outputs out. It needs torch,
safetensors, and timm or transformers for the network's class; a copy of it lies beside the weights
that it opens.

    network = Network.open("folder")
    outputs = network(torch.from_numpy(pixels))      # uint8 (rows, side, side, 3), as pixels.py has
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

__all__ = ["Network"]


class Network(nn.Module):
    """A network without its own head, and one linear map on the vector of each picture."""

    def __init__(self, folder: str | Path, backbone: nn.Module) -> None:
        """Put the folder's head on a network that gives one vector a picture."""
        super().__init__()
        folder = Path(folder)
        told = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
        self.classes: list[str] = told["classes"]
        self.normalise: bool = told["head"]["normalise"]
        self.backbone = backbone
        for key in ("mean", "std"):
            self.register_buffer(key, torch.tensor(told[key]).view(1, -1, 1, 1) * 255)
        linear = load_file(folder / told["head"]["file"])
        self.head = nn.Linear(*reversed(linear["linear.weight"].shape))
        self.head.load_state_dict({name.removeprefix("linear."): linear[name] for name in linear})
        self.channels: int = told["channels"]

    mean: torch.Tensor
    std: torch.Tensor

    @classmethod
    def open(cls, folder: str | Path) -> "Network":
        """The network with its weights, ready to answer."""
        folder = Path(folder)
        told = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        backbone = _of_timm(config) if told["library"] == "timm" else _Pooled(folder)
        backbone.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
        return cls(folder, backbone).eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, classes), as `answers` of pixels.py takes them, from uint8 (rows, side,
        side, 3)."""
        scaled = pixels.permute(0, 3, 1, 2).to(torch.float32)
        if self.channels != 3:
            scaled = scaled.mean(dim=1, keepdim=True).expand(-1, self.channels, -1, -1)
        vectors = self.backbone((scaled - self.mean) / self.std)
        if self.normalise:
            vectors = nn.functional.normalize(vectors, dim=-1)
        return self.head(vectors)


class _Pooled(nn.Module):
    """A vision network of transformers: its class token, its own pool, or the mean over places."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        import transformers

        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        whole: Any = getattr(transformers, config.architectures[0])(config).float()
        pooler = getattr(whole, "pooler", None)
        if isinstance(pooler, nn.Module) and any(one.ndim >= 2 for one in pooler.parameters()):
            whole.pooler = None
        self.model = whole

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(rows, width) from (rows, channels, height, width)."""
        given = self.model(pixel_values=pixels, return_dict=True)
        hidden = given.last_hidden_state
        if hidden.ndim == 4:
            pooled = getattr(given, "pooler_output", None)
            return hidden.mean(dim=(2, 3)) if pooled is None else pooled.flatten(1)
        if getattr(getattr(self.model, "embeddings", None), "cls_token", None) is not None:
            return hidden[:, 0]
        return hidden.mean(dim=1)


def _of_timm(config: dict[str, Any]) -> nn.Module:
    """timm's network of the folder's config.json, without its head."""
    import timm

    arguments = {key: tuple(value) if isinstance(value, list) else value
                 for key, value in (config.get("model_args") or {}).items()}
    size = (config.get("pretrained_cfg") or config).get("input_size") or [3]
    model = timm.create_model(
        config["architecture"], pretrained=False, num_classes=int(config.get("num_classes", 1000)),
        in_chans=int(size[0]), **arguments)
    model.reset_classifier(0)
    return model
