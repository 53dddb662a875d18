"""Which of the sources of pictures a name or a config is of; nothing is imported to say so."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["is_module", "is_timm"]

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_module(name: str) -> bool:
    """Whether it reads as package.module:factory."""
    return _MODULE.fullmatch(name) is not None


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is one that timm wrote."""
    return isinstance(config.get("architecture"), str) and "model_type" not in config
