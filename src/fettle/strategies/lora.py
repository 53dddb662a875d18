"""LoRA: two small matrices beside each large one learn; they are merged into it at the end."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fettle.core.errors import SettingError
from fettle.core.parts import Network, Strategy, Validate
from fettle.core.plan import Setting
from fettle.strategies.tuning import discriminative_rates, usual_without

__all__ = ["DEFAULTS", "lora"]

DEFAULTS: dict[str, Setting] = {
    **usual_without("reinit_top", "word_embeddings", "kept"),
    "rate": 1e-3,
    "slower": 1.0,
    "rank": 16,
    "alpha": 32,
    "networks": 3,
}
"""The rate is that of full fine-tuning, some 7 times over (LoRA's usual factor is about 10). Where
no row is held out, what is kept is retrained: a mean of adapters has several times the rank."""


def lora(settings: Mapping[str, Setting]) -> Strategy:
    """Adapters of this rank on every linear map of every block; the head learns as a whole.

    Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, section
    4.1; on all linear maps as in Dettmers et al., "QLoRA", NeurIPS 2023, section 4.
    """
    return Strategy(
        rates=partial(
            discriminative_rates,
            rate=float(settings["rate"]),
            slower=float(settings["slower"]),
            head_rate=float(settings["head_rate"]),
        ),
        learns=_learns,
        prepare=partial(_with_adapters, rank=int(settings["rank"]), alpha=int(settings["alpha"])),
        finish=_merged,
    )


def _learns(parameter: str) -> bool:
    return "lora_" in parameter or parameter.startswith("head.")


def _with_adapters(network: Network, *, rank: int, alpha: int) -> Network:
    """Adapters beside every linear map below the head.

    Raises:
        SettingError: the network has no linear map that can take one, or one that would not be
            asked.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from torch import nn

    backbone: Any = network.module.get_submodule("backbone")
    for name, module in backbone.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            raise SettingError(
                f"{network.card.name}: its layer {name} is torch's own attention, which multiplies "
                "by its weights itself: an adapter beside them would never run. Leave the rung "
                "lora away; top and full tune such layers."
            )
    names = sorted(
        name for name, module in backbone.named_modules() if isinstance(module, nn.Linear)
    )
    if not names:
        raise SettingError(
            f"{network.card.name} has no linear map below its head, so there is nothing that LoRA "
            "could stand beside. Leave the rung lora away."
        )
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=names)
    inject_adapter_in_model(config, backbone)
    return network


def _merged(network: Network, score: Validate) -> Network:
    """The network without adapters: each is added to the map beside which it stood."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = [(name, module) for name, module in network.module.named_modules()
               if isinstance(module, BaseTunerLayer)]
    for name, module in adapted:
        module.merge(safe_merge=True)
        above, _, last = name.rpartition(".")
        setattr(network.module.get_submodule(above), last, module.get_base_layer())
    return network
