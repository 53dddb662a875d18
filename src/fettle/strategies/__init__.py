"""The strategies, by the names a Plan uses. To add one: write its file, add its line."""

from collections.abc import Callable, Mapping

from fettle.core.parts import Strategy
from fettle.core.plan import Setting
from fettle.strategies.features import features
from fettle.strategies.full import full

STRATEGIES: dict[str, Callable[[Mapping[str, Setting]], Strategy]] = {
    "features": features,
    "full": full,
}
"""Each makes its Strategy from the settings of its Rung."""
