"""Folding: a norm with fixed statistics is a factor and a shift for each channel, and those can be
taken by the kernel before it.

The feature map is then read and written once less in each direction. Gradients are those of the
kernel, factor and shift themselves: autograd sees the product that the folded kernel is.
"""

from collections import Counter
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from fettle.models.strides import convolved

__all__ = ["Folding"]

COPIED = (functional.relu6, functional.hardtanh, functional.hardswish, functional.silu,
          functional.mish)
"""Activations whose way back needs what came in: in place, autograd copies that first."""


class Folding:
    """Which norms of a module follow a kernel directly, and a way to run them in it."""

    def __init__(self) -> None:
        self.pairs: tuple[tuple[nn.Conv2d, _BatchNorm], ...] = ()
        self.is_ready = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "Folding":
        """Of a copied module, the pairs are learned anew: they are modules of the other one."""
        return Folding()

    def learn(self, model: nn.Module, example: torch.Tensor) -> None:
        """Find the pairs: norms that alone read what a kernel gives, in a pass over one row.

        Args:
            model: in evaluation mode.
            example: (1, channels, height, width).
        """
        kernel_at: dict[Any, nn.Conv2d] = {}
        found: list[tuple[Any, _BatchNorm]] = []
        times: Counter[nn.Module] = Counter()

        def gave(module: nn.Module, _: Any, output: torch.Tensor) -> None:
            assert isinstance(module, nn.Conv2d)
            times[module] += 1
            kernel_at[output.grad_fn] = module

        def takes(module: nn.Module, args: Any) -> None:
            assert isinstance(module, _BatchNorm)
            times[module] += 1
            if args[0].grad_fn in kernel_at:
                found.append((args[0].grad_fn, module))

        hooks = [one.register_forward_hook(gave) for one in model.modules()
                 if isinstance(one, nn.Conv2d)]
        hooks += [one.register_forward_pre_hook(takes) for one in model.modules()
                  if isinstance(one, _BatchNorm)]
        try:
            with torch.enable_grad():
                output = model(example.detach().requires_grad_(True))
        finally:
            for one in hooks:
                one.remove()
        readers = _readers(output.grad_fn)
        self.pairs = tuple(
            (kernel_at[node], norm) for node, norm in found
            if readers[node] == 1 and times[norm] == times[kernel_at[node]] == 1
            and norm.running_mean is not None
        )
        self.is_ready = True

    def inside(self) -> AbstractContextManager[object]:
        """Inside, every pair whose norm has fixed statistics runs as one kernel."""
        return _Merging(self.pairs)


class _Merging(TorchFunctionMode):
    """A kernel of a pair takes its norm's factor and shift; that norm then passes its input on."""

    def __init__(self, pairs: tuple[tuple[nn.Conv2d, _BatchNorm], ...]) -> None:
        super().__init__()
        self._norm_of = {id(kernel.weight): norm for kernel, norm in pairs}
        self._merged: set[int] = set()
        """Statistics of norms whose kernels have run merged in this pass."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is functional.conv2d and len(args) > 1:
            norm = self._norm_of.get(id(args[1]))
            if norm is not None and not norm.training:
                self._merged.add(id(norm.running_mean))
                weight, bias = _merged(args[1], args[2] if len(args) > 2 else None, norm)
                return convolved(args[0], weight, bias, *args[3:], **(kwargs or {}))
            return convolved(*args, **(kwargs or {}))
        elif (func is functional.batch_norm and len(args) > 1
              and id(args[1]) in self._merged):
            return args[0]
        elif func in COPIED and (kwargs or {}).get("inplace"):
            return func(*args, **{**(kwargs or {}), "inplace": False})
        return func(*args, **(kwargs or {}))


def _merged(
    weight: torch.Tensor, bias: torch.Tensor | None, norm: _BatchNorm
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a kernel with its norm in it.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, section 3.2 (equation 14).
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        factor = norm.weight * factor
    shift = (norm.running_mean if bias is None else norm.running_mean - bias) * -factor
    if norm.bias is not None:
        shift = norm.bias + shift
    return weight * factor[:, None, None, None], shift


def _readers(last: Any) -> Counter[Any]:
    """How often the output of each node of the graph is read."""
    found: Counter[Any] = Counter()
    waiting, known = [last], {last}
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is None:
                continue
            found[node] += 1
            if node not in known:
                known.add(node)
                waiting.append(node)
    return found
