"""A network of pictures as a row of blocks: pixels in, one vector a picture out.

Any module will do that gives one vector a picture; where its blocks lie was seen when its card was
made. It can start at any of them: what runs before is replaced by stubs that give zeros of the
right shape, and what was kept stands in place of what arrives.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from fettle.core.errors import ModelUnavailable
from fettle.core.parts import PictureInput
from fettle.models.folding import Folding
from fettle.models.strides import stepping

__all__ = ["PictureBackbone"]

Shape = tuple[int, ...]
FORMATS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}
"""How feature maps may lie in memory."""


@dataclass(frozen=True, slots=True)
class _Way:
    """What is known of a pass at one size of pictures."""

    arrives: tuple[Shape, ...]
    """What reaches each block, without the rows; block 1 first."""
    laid: tuple[tuple[int, ...], ...]
    """The order of its axes in memory, the rows first."""
    stubs: tuple[Mapping[str, Any], ...]
    """For a start at each block, the outermost modules that are over by then, with what they give:
    a tree of shapes."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A tensor that a stub gives: its shape without the rows, and whether rows come first."""

    shape: Shape


class PictureBackbone(nn.Module):
    """Around a module that takes (rows, channels, height, width) and gives (rows, width).

    Batch normalisation keeps the statistics that it came with, also where its scale and shift
    learn: a fine-tuning batch is too small for new ones, and a row's output would hang on the
    others of its batch. Where a strategy draws a norm anew, it learns statistics too.
    """

    def __init__(
        self, model: nn.Module, *, picture: PictureInput, block_names: Sequence[str],
    ) -> None:
        """Args:
        model: without its old head; in evaluation mode.
        picture: how it was fed when it was trained.
        block_names: modules of it that begin blocks 1, 2 and so on.
        """
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.picture = picture
        self.block_names = tuple(block_names)
        self._ways: dict[Shape, _Way] = {}
        self.layout = "channels last"
        """How feature maps lie in memory."""
        self._folding: Folding | None = None
        mean, std = (torch.tensor(one).view(1, -1, 1, 1) for one in (picture.mean, picture.std))
        self.register_buffer("mean", mean * 255, persistent=False)
        self.register_buffer("std", std * 255, persistent=False)
        self._modules_of_block = _owners(model, self.block_names)

    mean: torch.Tensor
    std: torch.Tensor

    def run(self, *, layout: str, folded: bool) -> None:
        """Let feature maps lie with their channels last or first, and fold norms in training."""
        self.layout = layout
        self.model.to(memory_format=FORMATS[layout])
        self._ways.clear()
        self._folding = Folding() if folded else None

    def forward(
        self,
        batch: Mapping[str, torch.Tensor],
        *,
        start: int = 0,
        hidden: torch.Tensor | None = None,
        seen: dict[int, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """One vector a picture, (rows, width).

        Args:
            batch: pixels, uint8 (rows, side, side, 3).
            start: the block to begin at; 0 is the picture.
            hidden: what reaches that block, (rows, 1, numbers); where start is not 0.
            seen: filled in for each block that it names, with what reaches that block.
        """
        self._hold_statistics()
        pixels = batch["pixels"]
        if not start and not seen:
            with self._folded(pixels):
                return self.model(self._normalised(pixels))
        way = self._way(pixels)
        folded = nullcontext() if seen else self._folded(pixels)
        with folded, self._passing(way, start, hidden, seen, rows=len(pixels)):
            return self.model(self._normalised(pixels[:, :1, :1]).expand(
                -1, -1, *pixels.shape[1:3]) if start else self._normalised(pixels))

    @property
    def resumable(self) -> bool:
        """Whether it can start at any block: where blocks were found, it can."""
        return bool(self.block_names)

    def block_of(self, parameter: str) -> int:
        """The block of a parameter or module of this backbone: 0, then 1 and up."""
        name = parameter.removeprefix("model.")
        while name:
            name = name.rpartition(".")[0]
            if name in self._modules_of_block:
                return self._modules_of_block[name]
        return 0

    def _hold_statistics(self) -> None:
        for one in self.model.modules():
            if isinstance(one, _BatchNorm) and not getattr(one, "learns_statistics", False):
                one.training = False

    def _folded(self, pixels: torch.Tensor) -> AbstractContextManager[object]:
        """Inside, in training, kernels that step have a fast way back, and norms run in the
        kernels before them where that was asked for."""
        if not torch.is_grad_enabled():
            return nullcontext()
        if self._folding is None:
            return stepping() if torch.is_autocast_enabled("cpu") else nullcontext()
        if not self._folding.is_ready:
            with self._at_rest(pixels):
                self._folding.learn(self.model, self._normalised(pixels[:1]))
        return self._folding.inside()

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """(rows, channels, height, width) as the network was trained on, channels last."""
        scaled = pixels.permute(0, 3, 1, 2).to(torch.float32)
        if self.picture.channels == 1:
            scaled = scaled.mean(dim=1, keepdim=True)
        elif self.picture.channels != 3:
            scaled = scaled.mean(dim=1, keepdim=True).expand(-1, self.picture.channels, -1, -1)
        made = (scaled - self.mean.float()) / self.std.float()
        made = made.to(next(self.model.parameters()).dtype)
        return made.contiguous(memory_format=FORMATS[self.layout])

    def _way(self, pixels: torch.Tensor) -> _Way:
        """What is known of passes at this size; learned from one row."""
        size = tuple(pixels.shape[1:])
        if size not in self._ways:
            with self._at_rest(pixels), torch.no_grad():
                self._ways[size] = _learned(
                    self.model, self.block_names, self._normalised(pixels[:1]))
        return self._ways[size]

    @contextmanager
    def _at_rest(self, pixels: torch.Tensor) -> Iterator[None]:
        """Inside, the model is as when it is asked; afterwards nothing has changed."""
        mode = {one: one.training for one in self.model.modules()}
        self.model.eval()
        mine = [pixels.device] if pixels.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=mine), torch.autocast(
                pixels.device.type, enabled=False
            ):
                yield
        finally:
            for one, training in mode.items():
                one.training = training

    @contextmanager
    def _passing(
        self, way: _Way, start: int, hidden: torch.Tensor | None,
        seen: dict[int, torch.Tensor] | None, *, rows: int,
    ) -> Iterator[None]:
        """Inside, the model's own forward begins at one block, or tells what reaches some."""
        undo: list[Callable[[], Any]] = []
        try:
            if start:
                assert hidden is not None, "a pass that starts at a block needs what reaches it"
                for name, given in way.stubs[start - 1].items():
                    undo.append(_stubbed(self.model.get_submodule(name), given, hidden, rows))
                block = self.model.get_submodule(self.block_names[start - 1])
                dtype = next(self.model.parameters()).dtype
                kept = hidden.reshape(rows, *way.arrives[start - 1]).to(dtype)
                kept = _laid(kept, way.laid[start - 1])
                undo.append(block.register_forward_pre_hook(
                    lambda _, args: (kept, *args[1:])).remove)
            for number in seen or ():
                if number:
                    block = self.model.get_submodule(self.block_names[number - 1])
                    undo.append(block.register_forward_pre_hook(_telling(number, seen)).remove)
            yield
        finally:
            for one in reversed(undo):
                one()


def _owners(model: nn.Module, blocks: Sequence[str]) -> dict[str, int]:
    """The block of every module: its own, that of the module it lies in, or of the one before.

    Modules outside blocks are taken in the order in which they were defined, which is that in
    which they run wherever a network was written by hand.
    """
    number_of = {name: number for number, name in enumerate(blocks, start=1)}
    found: dict[str, int] = {}
    current = 0
    for name, _ in model.named_modules():
        above = name.rpartition(".")[0]
        if name in number_of:
            current = number_of[name]
            found[name] = current
        elif name and any(name.startswith(f"{block}.") for block in blocks):
            found[name] = found[above]
        elif name:
            found[name] = current
    return found


def _learned(model: nn.Module, blocks: Sequence[str], example: torch.Tensor) -> _Way:
    """What reaches each block, and what is over before it, from a pass of one row."""
    number_of = {name: number for number, name in enumerate(blocks)}
    arrives: dict[int, Shape] = {}
    laid: dict[int, tuple[int, ...]] = {}
    over: list[tuple[int, str, Any]] = []
    current = -1

    def entering(name: str) -> Any:
        def hook(_: nn.Module, args: Any) -> None:
            nonlocal current
            current = number_of[name]
            value = args[0]
            arrives[current] = tuple(value.shape[1:])
            laid[current] = _order(value)
        return hook

    def leaving(name: str) -> Any:
        def hook(_: nn.Module, args: Any, output: Any) -> None:
            over.append((current, name, tree_map(_shape, output)))
        return hook

    hooks = [model.get_submodule(name).register_forward_pre_hook(entering(name)) for name in blocks]
    hooks += [one.register_forward_hook(leaving(name))
              for name, one in model.named_modules() if name]
    try:
        model(example)
    finally:
        for one in hooks:
            one.remove()
    if sorted(arrives) != list(range(len(blocks))):
        raise ModelUnavailable(
            f"{type(model).__name__} does not run all of its blocks on pictures of "
            f"{tuple(example.shape[2:])} pixels, so it cannot be started in the middle. Choose "
            "another size."
        )
    times = Counter(name for _, name, _ in over)  # what runs again later must run for real
    stubs = tuple(
        _outermost({name: given for when, name, given in over
                    if when < number and times[name] == 1})
        for number in range(len(blocks))
    )
    every = range(len(blocks))
    return _Way(tuple(arrives[one] for one in every), tuple(laid[one] for one in every), stubs)


def _order(value: torch.Tensor) -> tuple[int, ...]:
    """The axes of a map from the slowest to the fastest in memory; as they come of all else."""
    axes = range(value.ndim)
    if value.ndim != 4:
        return tuple(axes)
    return (0, *sorted(axes[1:], key=lambda one: (-value.stride()[one], one)))


def _laid(value: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
    """The same numbers, with the axes in this order in memory."""
    if order == tuple(range(value.ndim)):
        return value
    back = [order.index(axis) for axis in range(value.ndim)]
    return value.permute(order).contiguous().permute(back)


def _outermost(given: Mapping[str, Any]) -> dict[str, Any]:
    """Without those that lie in another one."""
    def inside(name: str) -> bool:
        parts = name.split(".")
        return any(".".join(parts[:depth]) in given for depth in range(1, len(parts)))

    return {name: one for name, one in given.items() if not inside(name)}


def _shape(value: Any) -> Any:
    return _Given(tuple(value.shape[1:])) if isinstance(value, torch.Tensor) else value


def _stubbed(
    module: nn.Module, given: Any, hidden: torch.Tensor, rows: int
) -> Callable[[], None]:
    """Let the module give zeros of the shapes that it would give; what undoes that."""
    def zeros(one: Any) -> Any:
        return hidden.new_zeros((rows, *one.shape)) if isinstance(one, _Given) else one

    def stub(*args: Any, **kwargs: Any) -> Any:
        return tree_map(zeros, given)

    module.forward = stub

    def undo() -> None:
        del module.forward

    return undo


def _telling(number: int, seen: dict[int, torch.Tensor] | None) -> Callable[..., None]:
    def hook(_: nn.Module, args: Any) -> None:
        assert seen is not None
        seen[number] = args[0].flatten(1).unsqueeze(1)

    return hook
