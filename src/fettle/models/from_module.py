"""Any torch module that takes pictures: `package.module:factory` in, a module without its head out.

The factory is the user's own code, named on their own command line or from Python; a version holds
safetensors and this name, and is opened only where the name can be imported. A module that was
given as itself is called `package.module:Class@HASH`, by its weights, which the cache holds.
"""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fettle.core.errors import ModelUnavailable
from fettle.models.sources import CONFIG, WEIGHTS
from fettle.store import checkpoints, files, folders

__all__ = [
    "TOLD", "fill", "headless", "is_drawn", "kept", "made", "named", "named_blocks", "place_of",
]

TOLD = ("picture", "blocks")
"""Attributes of a module that say how it was fed, and where its blocks begin."""


def named(model: object) -> str:
    """The name to open a module by that was given as itself, or as the function that makes it.

    Args:
        model: a torch module, whose weights are kept in the cache; a factory; or a name already.

    Raises:
        ModelUnavailable: it could not be opened again, in another process, by that name.
    """
    if isinstance(model, str):
        return model
    if isinstance(model, nn.Module):
        return kept(model)
    if callable(model):
        return _importable(model)
    raise ModelUnavailable(
        f"model is a {type(model).__name__}; a name, a torch.nn.Module or a function that makes "
        "one is what it may be."
    )


def kept(model: nn.Module) -> str:
    """The name of a module by its class and its weights, which are put into the cache.

    Raises:
        ModelUnavailable: its class cannot be imported, or made without arguments, or then has
            other weights.
    """
    spec = _importable(type(model))
    state = {name: value.detach().cpu().contiguous().clone()
             for name, value in model.state_dict().items()}
    fill(made(spec), state, place=f"{spec}()")
    config = {"module": spec}
    config |= {name: _as_told(getattr(model, name)) for name in TOLD if hasattr(model, name)}
    digest = hashlib.sha256(repr(sorted(config.items())).encode())
    for name, value in sorted(state.items()):
        digest.update(name.encode() + value.reshape(-1).view(torch.uint8).numpy().tobytes())
    name = f"{spec}@{digest.hexdigest()[:16]}"
    folder = _kept_at(name)
    if not (folder / CONFIG).is_file():  # written last
        checkpoints.write_tensors(folder / WEIGHTS, state)
        files.write_json(folder / CONFIG, config)
    return name


def place_of(name: str) -> Path:
    """The folder of the cache with the weights of a module that `kept` named.

    Raises:
        ModelUnavailable: they are not there.
    """
    folder = _kept_at(name)
    if not (folder / CONFIG).is_file():
        raise ModelUnavailable(
            f"{name} is a module that was given to fettle as itself, in Python, and its weights "
            "are not in the cache of this machine. Give it again, with the same weights: "
            "fettle.tune(..., model=module); or a function that loads them: --model "
            "package.module:factory."
        )
    return folder


def _kept_at(name: str) -> Path:
    spec, _, digest = name.partition("@")
    return (folders.cache() / "modules").absolute() / f"{spec.partition(':')[2]}-{digest}"


def fill(model: nn.Module, state: Mapping[str, torch.Tensor], *, place: str) -> None:
    """Give a module weights, every one.

    Raises:
        ModelUnavailable: they are those of another network.
    """
    try:
        model.load_state_dict({
            name: value.float() if value.is_floating_point() else value
            for name, value in state.items()
        })
    except RuntimeError as error:
        first = next(iter(str(error).split("\n\t")[1:]), str(error)).strip()
        raise ModelUnavailable(
            f"{place} makes a network with other weights than these: {first[:200]} Name a function "
            "that makes exactly this network: --model package.module:factory."
        ) from error


def named_blocks(model: nn.Module) -> tuple[str, ...]:
    """The modules that its attribute `blocks` names as where blocks begin; none where it does not.

    Raises:
        ModelUnavailable: it is no list of names of modules in it.
    """
    told = getattr(model, "blocks", None)
    if told is None or isinstance(told, nn.Module):  # a part of the network that is called so
        return ()
    known = {name for name, _ in model.named_modules()} - {""}
    if isinstance(told, str) or not all(isinstance(one, str) and one in known for one in told):
        raise ModelUnavailable(
            f"{type(model).__name__}.blocks is {str(told)[:80]}; names of modules in it are due, "
            f"such as {', '.join(sorted(known)[:3])}."
        )
    return tuple(told)


def _importable(what: Any) -> str:
    """package.module:name of a class or function, once it is known to be found there."""
    module, name = getattr(what, "__module__", ""), getattr(what, "__qualname__", "")
    spec = f"{module}:{name}"
    why = ""
    if module == "__main__":
        why = "it stands in the program that was started, which another process cannot import"
    elif not name.isidentifier():
        why = "it stands inside a function or a class, or has no name"
    elif getattr(sys.modules.get(module), name, None) is not what:
        why = f"{module} has another {name}, or none"
    if why:
        raise ModelUnavailable(
            f"A version must find its network's code again, and {spec} cannot be imported: {why}. "
            "Put it into a module of its own and import it from there."
        )
    needed = [one.name for one in inspect.signature(what).parameters.values()
              if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    if needed:
        raise ModelUnavailable(
            f"{spec} takes arguments ({', '.join(needed)}), and a version makes it without any. "
            "Write a function without arguments that makes this network, and give it as model; its "
            "weights are then those that the function loads."
        )
    return spec


def _as_told(value: Any) -> Any:
    """An attribute as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): _as_told(one) for key, one in value.items()}
    return [_as_told(one) for one in value] if isinstance(value, list | tuple) else value


def made(spec: str, *, seed: int = 0) -> nn.Module:
    """What the factory gives, in fp32 and in evaluation mode, with its own weights.

    Args:
        spec: package.module:name.
        seed: of torch, while it is called.

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
            torch.manual_seed(seed)
            found = factory() if not isinstance(factory, nn.Module) else factory
    except Exception as error:  # the user's own code fails in its own way
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelUnavailable(
            f"{spec}() failed: {why}. It is called without arguments and gives a torch.nn.Module "
            "with its weights."
        ) from error
    if not isinstance(found, nn.Module):
        raise ModelUnavailable(f"{spec}() gives a {type(found).__name__}, not a torch.nn.Module.")
    return deepcopy(found).float().eval()  # a factory may give the same object again and again


def is_drawn(model: nn.Module, spec: str) -> bool:
    """Whether the factory draws most of its weights by chance, so that nothing is pre-trained.

    Args:
        model: what it made by seed 0.
        spec: its name.
    """
    other = dict(made(spec, seed=1).named_parameters())
    kernels = {name: one for name, one in model.named_parameters() if one.ndim > 1}
    drawn = sum(one.numel() for name, one in kernels.items()
                if name in other and not torch.equal(one, other[name]))
    return 2 * drawn > sum(one.numel() for one in kernels.values())


def headless(model: nn.Module, example: torch.Tensor) -> nn.Module:
    """The module without the linear map that its output comes out of, if there is one.

    Args:
        model: in evaluation mode; it is changed.
        example: what it takes, one row.

    Raises:
        ModelUnavailable: it does not take that, or does not give one vector a picture.
    """
    outputs: list[tuple[str, Any]] = []  # held, or what comes later could be taken for one

    def note(name: str) -> Any:
        return lambda module, args, output: outputs.append((name, output))

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
    last = next((name for name, one in reversed(outputs) if one is given), None)
    if last:
        above, _, name = last.rpartition(".")
        setattr(model.get_submodule(above), name, nn.Identity())
    return model
