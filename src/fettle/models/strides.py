"""Kernels of one channel each that step over pixels, in bf16: what torch's processor library has
for their way back to the input takes 30 to 800 times as long as the way there (torch 2.13).

That gradient is the one of the same kernel without strides, asked of outputs between which zeros
stand where the steps went over; for that one there is fast code.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["convolved", "stepping"]

Numbers = int | Sequence[int]


def stepping() -> AbstractContextManager[object]:
    """Inside, every convolution of torch is done by `convolved`."""
    return _Stepping()


class _Stepping(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return (convolved if func is functional.conv2d else func)(*args, **(kwargs or {}))


def convolved(
    input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None,
    stride: Numbers = 1, padding: Numbers | str = 0, dilation: Numbers = 1, groups: int = 1,
) -> torch.Tensor:
    """`torch.nn.functional.conv2d`, by a faster way back where that is slow.

    Args:
        input: (rows, channels, height, width).
        weight: (channels, channels / groups, height, width).
        bias, stride, padding, dilation, groups: as that function takes them.
    """
    steps, edge, holes = (_pair(one) for one in (stride, padding, dilation))
    is_slow = (
        weight.shape[1] == 1 and max(steps, default=1) > 1 and bool(edge) and input.ndim == 4
        and input.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )
    if not is_slow:
        return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)
    half = [one if one is None else one.to(torch.bfloat16) for one in (input, weight, bias)]
    made: torch.Tensor = _Stepped.apply(*half, steps, edge, holes, groups)
    return made


class _Stepped(torch.autograd.Function):
    """A convolution whose gradient for the input is that of the same one without strides."""

    @staticmethod
    def forward(
        ctx: Any, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
        steps: list[int], edge: list[int], holes: list[int], groups: int,
    ) -> torch.Tensor:
        ctx.save_for_backward(input, weight)
        ctx.settings = steps, edge, holes, groups
        return functional.conv2d(input, weight, bias, steps, edge, holes, groups)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        input, weight = ctx.saved_tensors
        steps, edge, holes, groups = ctx.settings
        to_input, *to_rest = ctx.needs_input_grad[:3]
        back = torch.ops.aten.convolution_backward

        def of(outputs: torch.Tensor, strides: list[int], wanted: list[bool]) -> Any:
            return back(outputs, input, weight, [len(weight)], strides, edge, holes, False, [0, 0],
                        groups, wanted)

        first = None
        if to_input:
            sides = [
                side + 2 * pad - hole * (kernel - 1) for side, pad, hole, kernel in
                zip(input.shape[2:], edge, holes, weight.shape[2:], strict=True)
            ]
            between = gradient.new_zeros((*gradient.shape[:2], *sides)).contiguous(
                memory_format=torch.channels_last)
            between[..., :: steps[0], :: steps[1]] = gradient
            first = of(between, [1, 1], [True, False, False])[0]
        rest = of(gradient, steps, [False, *to_rest])[1:] if any(to_rest) else (None, None)
        return first, *rest, None, None, None, None


def _pair(one: Numbers | str) -> list[int]:
    """A number for each side; none where a word stands for them."""
    if isinstance(one, str):
        return []
    return [one, one] if isinstance(one, int) else list(one)
