"""A head that fettle put on, in the classes that transformers has for sequence classification.

Those put a dense layer and an activation between the first token's vector and the linear map. Where
the activation lets a number pass (a small one through tanh; a pair z and -z through relu or gelu,
whose difference is z), the dense layer can be set so that the outputs are those of the linear map
alone. Which it is for a class stands in HEADS; the certificate says whether it came out.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from fettle.core.parts import Exportable
from fettle.exporters import beside

__all__ = ["HEADS", "classifier", "head_modules", "misfit"]

SMALL = 2.0**-11
"""tanh(y) is y to one part in 12 million where |y| is below it."""


Names = tuple[str, str]
"""Where the dense layer and the linear map of a class stand."""


def _through_tanh(
    model: nn.Module, names: Names, given: Exportable
) -> None:
    """The dense layer scales the vector down to where tanh is straight, the linear map up again."""
    dense, linear = (model.get_submodule(name) for name in names)
    scale = 2.0 ** torch.floor(torch.log2(torch.tensor(SMALL / _largest(model)))).item()
    _fill(dense, torch.eye(given.card.width) * scale, torch.zeros(given.card.width))
    _fill(linear, given.weight / scale, given.bias)


def _through_pairs(
    model: nn.Module, names: Names, given: Exportable
) -> None:
    """relu(z) - relu(-z) is z, and so it is with gelu: each class takes two places of the width."""
    dense, linear = (model.get_submodule(name) for name in names)
    classes, width = given.weight.shape
    weight, bias = torch.zeros(width, width), torch.zeros(width)
    weight[:classes], weight[classes : 2 * classes] = given.weight, -given.weight
    bias[:classes], bias[classes : 2 * classes] = given.bias, -given.bias
    _fill(dense, weight, bias)
    back = torch.zeros(classes, width)
    back[:, :classes], back[:, classes : 2 * classes] = torch.eye(classes), -torch.eye(classes)
    _fill(linear, back, torch.zeros(classes))


OUT = ("classifier.dense", "classifier.out_proj")
HEADS: Mapping[str, tuple[Names, Callable[[nn.Module, Names, Exportable], None]]] = {
    "bert": (("bert.pooler.dense", "classifier"), _through_tanh),
    "roberta": (OUT, _through_tanh),
    "xlm-roberta": (OUT, _through_tanh),
    "camembert": (OUT, _through_tanh),
    "mpnet": (OUT, _through_tanh),
    "albert": (("albert.pooler", "classifier"), _through_tanh),
    "distilbert": (("pre_classifier", "classifier"), _through_pairs),
    "electra": (OUT, _through_pairs),
    "deberta-v2": (("pooler.dense", "classifier"), _through_pairs),
}
"""By model_type: what takes the dense layer's place, and how."""


def misfit(given: Exportable) -> str:
    """Why the head fits no class for sequence classification; empty where it fits."""
    kind = given.card.architecture
    if kind not in HEADS:
        return f"transformers' class for {kind} takes another vector than fettle's head does"
    if given.head["pooling"] != "cls":
        return f"the head takes the {given.head['pooling']} over tokens, the class the first token"
    if given.head["normalise"]:
        return "the head takes vectors of length 1, and the class has no such step"
    classes, width = given.weight.shape
    if HEADS[kind][1] is _through_pairs and 2 * classes > width:
        return f"the class has {width} places, and {classes} classes take two each"
    return ""


def classifier(given: Exportable, backbone: nn.Module) -> Any:
    """transformers' AutoModelForSequenceClassification of a backbone, under this head.

    Args:
        given: the version; `misfit` finds nothing.
        backbone: transformers' own module, with the weights that it is to have.
    """
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    from transformers.initialization import no_init_weights

    inner: Any = backbone
    config = type(inner.config).from_dict({**inner.config.to_dict(), **beside.labels(given)})
    if hasattr(config, "pooler_hidden_act"):
        config.pooler_hidden_act = "gelu"
    kind = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    with no_init_weights():
        model = kind(config).float().eval()
    names, put = HEADS[given.card.architecture]
    found = model.base_model.load_state_dict(backbone.state_dict(), strict=False)
    rest = [name for name in found.missing_keys if "pooler." not in name]
    assert not rest, f"no weights for {rest}"
    assert not found.unexpected_keys, found.unexpected_keys
    put(model, names, given)
    return model


def head_modules(given: Exportable, model: Any) -> list[str]:
    """The names of a classifier's modules that make its head."""
    inside = f"{model.base_model_prefix}."
    names, _ = HEADS[given.card.architecture]
    return sorted({name.removeprefix(inside).partition(".")[0] for name in names})


def _largest(model: nn.Module) -> float:
    """What no number of a vector can exceed that comes out of one of the layer norms.

    d numbers of mean 0 and variance 1 are none above sqrt(d).
    """
    found = [
        float(module.weight.detach().abs().max() * module.normalized_shape[0] ** 0.5
              + module.bias.detach().abs().max())
        for module in model.modules() if isinstance(module, nn.LayerNorm)
    ]
    return max(found)


def _fill(module: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
    with torch.no_grad():
        module.weight.copy_(weight)
        module.bias.copy_(bias)
