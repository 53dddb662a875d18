"""Starting a foreign network in the middle: its own forward runs, with stubs for the blocks below.

A stub passes on what a real block would hand to the next one: the hidden states as they came (what
was kept takes their place at the block that starts), and beside them what the block only passes
through. A block that makes something that later blocks use (T5's position bias) runs for real.
What each block does is learned from one pass, not from a list of architectures.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

__all__ = ["Crossing", "learned", "passing"]

ROWS, TOKENS = 3, 5
"""Of the pass that blocks are learned from: two numbers that tell the axes apart."""

Place = int | str
"""Where an argument stands: its position, or its name."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """How hidden states enter and leave one block."""

    place: Place
    tokens_first: bool
    """(tokens, rows, width) instead of (rows, tokens, width), as in XLNet."""
    kind: type
    """tuple, list, or torch.Tensor where the block returns its hidden states alone."""
    passes: tuple[Place | None, ...]
    """For each further output, the argument that it is, or None for no output there."""
    makes: bool
    """Whether it makes something of its own beside the hidden states."""


def learned(
    blocks: Sequence[nn.Module], forward: Callable[..., Any], *, device: torch.device
) -> Sequence[Crossing]:
    """What crosses each block; empty where hidden states are not found at one of them.

    Args:
        blocks: from input to output; each is entered once.
        forward: (ids, mask) through the whole network, (rows, tokens) each.
        device: where the network lies.
    """
    found: list[Crossing | None] = []

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        found.append(_crossing(args, kwargs, output))

    hooks = [block.register_forward_hook(note, with_kwargs=True) for block in blocks]
    ids = torch.ones(ROWS, TOKENS, dtype=torch.long, device=device)
    mask = torch.ones_like(ids)
    mask[0, -1] = 0
    mine = [device] if device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=mine):  # where it trains, dropout draws
            forward(ids, mask)
    finally:
        for hook in hooks:
            hook.remove()
    whole = [one for one in found if one is not None]
    return whole if len(whole) == len(found) == len(blocks) else ()


@contextmanager
def passing(
    blocks: Sequence[nn.Module], crossings: Sequence[Crossing], *, start: int,
    hidden: torch.Tensor | None, seen: dict[int, torch.Tensor] | None,
) -> Iterator[None]:
    """Inside, the network's own forward begins at one block, or tells what reaches some.

    Args:
        blocks, crossings: of the network; the first has number 1.
        start: number of the block to begin at; below 2 all run.
        hidden: (rows, tokens, width), put in place of what arrives there.
        seen: filled in for each block that it names.
    """
    undo: list[Callable[[], None]] = []
    try:
        for number, (block, crossing) in enumerate(zip(blocks, crossings, strict=True), start=1):
            if number < start and not crossing.makes:
                undo.append(_stubbed(block, crossing))
            if number == start and hidden is not None:
                undo.append(block.register_forward_pre_hook(
                    _replacing(crossing, hidden), with_kwargs=True).remove)
            if seen is not None and number in seen:
                undo.append(block.register_forward_pre_hook(
                    _telling(crossing, number, seen), with_kwargs=True).remove)
        yield
    finally:
        for one in reversed(undo):
            one()


def _crossing(args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Crossing | None:
    """What one call of a block shows."""
    given = _given(args, kwargs)
    place = next((at for at, value in given.items() if _is_hidden(value)), None)
    if place is None:
        return None
    shape = given[place].shape
    outputs = (output,) if isinstance(output, torch.Tensor) else output
    if not isinstance(outputs, tuple | list) or not len(outputs):
        return None
    if not isinstance(outputs[0], torch.Tensor) or outputs[0].shape != shape:
        return None
    passes: list[Place | None] = []
    makes = False
    for further in outputs[1:]:
        same = next((at for at, value in given.items() if value is further), None)
        makes = makes or (same is None and further is not None)
        passes.append(None if further is None else same)
    kind = next(one for one in (torch.Tensor, list, tuple) if isinstance(output, one))
    return Crossing(place, shape[0] == TOKENS, kind, tuple(passes), makes)


def _given(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[Place, Any]:
    """Every argument by its position or name."""
    found: dict[Place, Any] = dict(enumerate(args))
    found.update(kwargs.items())
    return found


def _is_hidden(value: Any) -> bool:
    """Floating-point vectors, one a token of every row."""
    return (
        isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.ndim == 3
        and value.shape[:2] in ((ROWS, TOKENS), (TOKENS, ROWS))
    )


def _stubbed(block: nn.Module, crossing: Crossing) -> Callable[[], None]:
    """Let the block pass its input on; what undoes that."""

    def stub(*args: Any, **kwargs: Any) -> Any:
        given = _given(args, kwargs)
        if crossing.kind is torch.Tensor:
            return given[crossing.place]
        further = (None if at is None else given.get(at) for at in crossing.passes)
        return crossing.kind((given[crossing.place], *further))

    block.forward = stub

    def undo() -> None:
        del block.forward

    return undo


def _replacing(crossing: Crossing, hidden: torch.Tensor) -> Callable[..., Any]:
    kept = hidden.transpose(0, 1) if crossing.tokens_first else hidden

    def hook(module: nn.Module, args: Any, kwargs: Any) -> Any:
        if isinstance(crossing.place, str):
            return args, {**kwargs, crossing.place: kept}
        return (*args[: crossing.place], kept, *args[crossing.place + 1 :]), kwargs

    return hook


def _telling(crossing: Crossing, number: int, seen: dict[int, torch.Tensor]) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
        found = kwargs[crossing.place] if isinstance(crossing.place, str) else args[crossing.place]
        seen[number] = found.transpose(0, 1) if crossing.tokens_first else found

    return hook
