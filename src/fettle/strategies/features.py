"""Feature extraction: the backbone stays as it came, and a linear head is solved on its outputs."""

from collections.abc import Mapping

from fettle.core.parts import Strategy
from fettle.core.plan import Setting

__all__ = ["DEFAULTS", "features"]

DEFAULTS: dict[str, Setting] = {
    "poolings": "mean,cls,max",
    "l2": "1,3e-1,1e-1,3e-2,1e-2,3e-3,1e-3,3e-4,1e-4",
}
"""What is tried; validation chooses. l2 is per row: the penalty is l2/2 times the squared weights,
beside the mean loss."""


def features(settings: Mapping[str, Setting]) -> Strategy:
    """Everything below the head is frozen.

    Source: Donahue et al., "DeCAF", ICML 2014; as the first half of LP-FT, Kumar et al., ICLR 2022.
    """
    return Strategy(rates=lambda blocks, epoch: (0.0,) * (blocks - 1) + (1.0,), solved=True)
