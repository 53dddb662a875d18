"""The strategies, by the names a Plan uses. To add one: write its file, add its line."""

from collections.abc import Callable, Mapping

from fettle.core.parts import Strategy
from fettle.core.plan import Setting
from fettle.strategies import features, full, gradual, lora, top

STRATEGIES: dict[str, Callable[[Mapping[str, Setting]], Strategy]] = {
    "features": features.features,
    "top": top.top,
    "gradual": gradual.gradual,
    "lora": lora.lora,
    "full": full.full,
}
"""Each makes its Strategy from the settings of its Rung."""

DEFAULTS: dict[str, dict[str, Setting]] = {
    "features": features.DEFAULTS,
    "top": top.DEFAULTS,
    "gradual": gradual.DEFAULTS,
    "lora": lora.DEFAULTS,
    "full": full.DEFAULTS,
}
"""The settings that each knows, and what they usually are."""
