"""From scratch: the same architecture with random weights, to see what pre-training is worth."""

from collections.abc import Mapping
from dataclasses import replace

from fettle.core.parts import Strategy
from fettle.core.plan import Setting
from fettle.strategies.full import full
from fettle.strategies.tuning import redrawn, usual_without

__all__ = ["DEFAULTS", "scratch"]

DEFAULTS: dict[str, Setting] = {
    **usual_without("reinit_top", "kept"),
    "rate": 5e-4,
    "slower": 1.0,
    "epochs": 20,
    "patience": 5,
    "word_embeddings": "tuned",
    "networks": 3,
}
"""Where no row is held out, the network that is kept is retrained: networks that learn everything
from nothing go different ways, and have nothing in their middle."""


def scratch(settings: Mapping[str, Setting]) -> Strategy:
    """Every weight is drawn anew, and every block learns at one rate.

    Source: Devlin et al., "BERT", NAACL 2019, and its code: normal with a deviation of 0.02, norms
    1 and biases 0; He et al., "Rethinking ImageNet Pre-training", ICCV 2019, for the comparison.
    """
    plain = full({**settings, "reinit_top": 0})
    return replace(plain, prepare=lambda network: redrawn(network, lowest=0), reworks=True)
