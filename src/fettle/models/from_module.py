"""Any torch module that takes pictures: `package.module:factory` in, a module without its head out.

The factory is the user's own code, named on their own command line; a version holds safetensors
and this name, and is opened only where the name can be imported.
"""

import importlib
import sys
from typing import Any

import torch
from torch import nn

from fettle.core.errors import ModelUnavailable

__all__ = ["headless", "made"]

def made(spec: str) -> nn.Module:
    """What the factory gives, in fp32 and in evaluation mode, with its own weights.

    Raises:
        ModelUnavailable: it cannot be imported, fails, or gives no module.
    """
    module, _, name = spec.partition(":")
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise ModelUnavailable(f"{spec} is a part of Python itself, which holds no networks.")
    try:
        factory: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelUnavailable(
            f"{spec} cannot be imported ({error}). The module must lie where Python looks: install "
            "its package, or set PYTHONPATH to its folder."
        ) from error
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found = factory() if not isinstance(factory, nn.Module) else factory
    except Exception as error:  # the user's own code fails in its own way
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelUnavailable(
            f"{spec}() failed: {why}. It is called without arguments and gives a torch.nn.Module "
            "with its weights."
        ) from error
    if not isinstance(found, nn.Module):
        raise ModelUnavailable(f"{spec}() gives a {type(found).__name__}, not a torch.nn.Module.")
    return found.float().eval()


def headless(model: nn.Module, example: torch.Tensor) -> nn.Module:
    """The module without the linear map that its output comes out of, if there is one.

    Args:
        model: in evaluation mode; it is changed.
        example: what it takes, one row.

    Raises:
        ModelUnavailable: it does not take that, or does not give one vector a picture.
    """
    outputs: list[tuple[str, int]] = []

    def note(name: str) -> Any:
        return lambda module, args, output: outputs.append((name, id(output)))

    hooks = [one.register_forward_hook(note(name)) for name, one in model.named_modules()
             if isinstance(one, nn.Linear)]
    try:
        with torch.no_grad():
            given = model(example)
    except Exception as error:  # as above
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelUnavailable(
            f"{type(model).__name__} does not take a picture of {tuple(example.shape[1:])}: {why} "
            "Give the module an attribute `picture` with its side, mean and std (see "
            "docs/images.md)."
        ) from error
    finally:
        for one in hooks:
            one.remove()
    if not isinstance(given, torch.Tensor) or given.ndim != 2:
        raise ModelUnavailable(
            f"{type(model).__name__} gives {tuple(getattr(given, 'shape', ()))} for one picture, "
            "where one vector was due. Let it pool at its end."
        )
    last = next((name for name, one in reversed(outputs) if one == id(given)), None)
    if last:
        above, _, name = last.rpartition(".")
        setattr(model.get_submodule(above), name, nn.Identity())
    return model
