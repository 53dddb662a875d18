"""Which of the sources of pictures a name or a config is of; nothing is imported to say so."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["is_module", "is_timm", "is_vision"]

IMAGES = ("image_size", "patch_size", "num_channels")

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(@[0-9a-f]{16})?")


def is_module(name: str) -> bool:
    """Whether it reads as package.module:factory, or as package.module:Class@HASH."""
    return _MODULE.fullmatch(name) is not None


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is one that timm wrote."""
    return isinstance(config.get("architecture"), str) and "model_type" not in config


def is_vision(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of a network of transformers' that takes pictures alone."""
    texts = any(key in config for key in ("vocab_size", "vision_config", "text_config"))
    return isinstance(config.get("model_type"), str) and not texts and any(
        key in config for key in IMAGES)
