"""BitFit: of the pre-trained weights only the biases learn, and the head as a whole."""

from collections.abc import Mapping
from functools import partial

from fettle.core.errors import SettingError
from fettle.core.parts import Network, Strategy
from fettle.core.plan import Setting
from fettle.strategies.tuning import discriminative_rates, usual_without

__all__ = ["DEFAULTS", "bitfit"]

DEFAULTS: dict[str, Setting] = {
    **usual_without("word_embeddings", "reinit_top"),
    "rate": 1e-3,
    "slower": 1.0,
    "weight_decay": 0.0,
}
"""The paper's rates are 1e-4 to 1e-3; so few numbers take the highest."""


def bitfit(settings: Mapping[str, Setting]) -> Strategy:
    """Every bias of every block learns, those of norms too.

    Source: Ben Zaken et al., "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based
    Masked Language-models", ACL 2022, section 3.
    """
    return Strategy(
        rates=partial(
            discriminative_rates,
            rate=float(settings["rate"]),
            slower=float(settings["slower"]),
            head_rate=float(settings["head_rate"]),
        ),
        learns=_learns,
        prepare=_with_biases,
    )


def _learns(parameter: str) -> bool:
    return parameter.endswith("bias") or parameter.startswith("head.")


def _with_biases(network: Network) -> Network:
    """The network, once it is known to have biases.

    Raises:
        SettingError: it has none below its head.
    """
    names = [name for name, _ in network.module.named_parameters()]
    if not any(_learns(name) and not name.startswith("head.") for name in names):
        raise SettingError(
            f"{network.card.name} has no bias below its head, so there is nothing that BitFit "
            "could tune. Leave the rung bitfit away."
        )
    return network
