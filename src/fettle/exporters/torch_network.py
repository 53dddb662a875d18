"""An exported network as a torch module: token ids in, outputs out. It needs torch, transformers,
safetensors and tokenizers, and nothing else; a copy of it lies beside the weights that it opens.

    network = Network.open("folder")
    outputs = network(**network.batch([("subject", "where is my parcel")]))
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn

__all__ = ["Network"]


class Network(nn.Module):
    """A transformers network without its own head, pooled, under one linear map."""

    def __init__(self, folder: str | Path, backbone: nn.Module) -> None:
        """Put the folder's head on a network that gives one vector a token."""
        super().__init__()
        folder = Path(folder)
        self.told: dict[str, Any] = json.loads(
            (folder / "preprocessing.json").read_text(encoding="utf-8")
        )
        self.classes: list[str] = self.told["classes"]
        self.tokenizer = Tokenizer.from_file(str(folder / self.told["tokenizer"]))
        self.backbone = backbone
        linear = load_file(folder / self.told["head"]["file"])
        self.head = nn.Linear(*reversed(linear["linear.weight"].shape))
        self.head.load_state_dict({name.removeprefix("linear."): linear[name] for name in linear})

    @classmethod
    def open(cls, folder: str | Path) -> "Network":
        """The network with its weights, ready to answer."""
        folder = Path(folder)
        told = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
        backbone = _empty(folder, part=told["part"])
        state = load_file(folder / "model.safetensors")
        lost = backbone.load_state_dict(state, strict=False)
        if lost.missing_keys or not all(key.startswith("pooler.") for key in lost.unexpected_keys):
            raise ValueError(f"{folder / 'model.safetensors'} does not fit its config.json: {lost}")
        return cls(folder, backbone).eval()

    def answers(self, outputs: torch.Tensor) -> list[str] | list[float] | list[list[str]]:
        """What each row is: its likeliest class; all labels that reach their thresholds, in the
        order of `classes`; or a number.

        Args:
            outputs: (rows, classes), as the network gives them.
        """
        if self.told["answers"] == "numbers":
            return outputs[:, 0].tolist()
        if self.told["answers"] == "labels":
            cuts = torch.tensor(self.told["thresholds"], dtype=torch.float64)
            called = outputs.double().cpu().sigmoid() >= cuts
            return [[self.classes[at] for at in row.nonzero()[:, 0].tolist()] for row in called]
        return [self.classes[best] for best in outputs.argmax(-1).tolist()]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, classes): for a softmax, for sigmoids where a row may have several labels,
        or numbers."""
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask,
                               return_dict=True)[0]
        return self.head(self.pooled(hidden, attention_mask))

    def pooled(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """One vector a row, (rows, width), from one a token, (rows, tokens, width)."""
        here = mask.unsqueeze(-1)
        if self.told["head"]["pooling"] == "cls":
            vectors = hidden[:, 0]
        elif self.told["head"]["pooling"] == "max":
            vectors = hidden.masked_fill(here == 0, float("-inf")).amax(1)
        else:
            vectors = (hidden * here).sum(1) / here.sum(1).clamp(min=1)
        return nn.functional.normalize(vectors, dim=-1) if self.told["head"]["normalise"] else (
            vectors)

    def batch(self, rows: Sequence[Sequence[str]]) -> dict[str, torch.Tensor]:
        """input_ids and attention_mask, (rows, tokens), padded to the longest row.

        A row without a token gets one of padding, which it looks at.
        """
        join, most = self.told["join"], self.told["letters"]
        texts = [join.join(part for part in row if part)[:most] for row in rows]
        found = [one.ids for one in self.tokenizer.encode_batch(texts)]
        longest = max(1, *map(len, found))
        ids = torch.full((len(rows), longest), self.told["pad"])
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for row, one in enumerate(found):
            ids[row, : len(one)] = torch.tensor(one, dtype=torch.long)
            mask[row, : max(len(one), 1)] = 1
        return {"input_ids": ids, "attention_mask": mask}


def _empty(folder: Path, *, part: str) -> nn.Module:
    """transformers' network of the folder's config.json, without pooler and decoder."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    whole = getattr(transformers, config.architectures[0])(config).float()
    found = whole.get_encoder() if part == "encoder" else whole
    if isinstance(getattr(found, "pooler", None), nn.Module):
        found.pooler = nn.Identity()  # the head takes the vectors of the tokens
    return found
