"""The strategies, by the names a Plan uses. To add one: write its file, add its line."""

from collections.abc import Callable, Mapping

from fettle.core.parts import Strategy
from fettle.core.plan import Setting
from fettle.strategies import (
    anchored,
    bitfit,
    contrastive,
    ema,
    features,
    full,
    gradual,
    lora,
    scratch,
    soup,
    top,
    wise,
)

STRATEGIES: dict[str, Callable[[Mapping[str, Setting]], Strategy]] = {
    "features": features.features,
    "top": top.top,
    "gradual": gradual.gradual,
    "contrastive": contrastive.contrastive,
    "bitfit": bitfit.bitfit,
    "lora": lora.lora,
    "full": full.full,
    "l2sp": anchored.l2sp,
    "wise": wise.wise,
    "ema": ema.ema,
    "soup": soup.soup,
    "scratch": scratch.scratch,
}
"""Each makes its Strategy from the settings of its Rung."""

DEFAULTS: dict[str, dict[str, Setting]] = {
    "features": features.DEFAULTS,
    "top": top.DEFAULTS,
    "gradual": gradual.DEFAULTS,
    "contrastive": contrastive.DEFAULTS,
    "bitfit": bitfit.DEFAULTS,
    "lora": lora.DEFAULTS,
    "full": full.DEFAULTS,
    "l2sp": anchored.DEFAULTS,
    "wise": wise.DEFAULTS,
    "ema": ema.DEFAULTS,
    "soup": soup.DEFAULTS,
    "scratch": scratch.DEFAULTS,
}
"""The settings that each knows, and what they usually are."""
