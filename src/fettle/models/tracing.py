"""Tracing: one forward pass of any module in, the row of blocks that it is made of out.

A place where a pass can be cut is one where a single tensor carries all that is known of the
input: nothing made before it is read again. Such places are seen by watching every operation, so
that no architecture is named anywhere. Which of them are borders of blocks follows from how the
modules are nested.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from fettle.core.errors import ModelUnavailable

__all__ = ["Traced", "trace"]

LARGE = 0.25
"""A module that holds more of the weights than this is split where it can be."""


@dataclass(frozen=True, slots=True)
class Traced:
    """What one forward pass showed."""

    blocks: tuple[str, ...]
    """Names of the modules that begin a block, block 1 first; block 0 is what runs before."""
    owner: dict[str, int]
    """For each module that ran, the block under way when it was entered."""
    operations: tuple[float, ...]
    """Floating-point operations of the pass, by block; 0 first."""
    crossing: tuple[int, ...]
    """How many numbers a row hands to each block; the input itself to block 0."""
    width: int
    """Numbers a row of the output."""


@dataclass
class _Entry:
    """One module as it was entered."""

    name: str
    time: int
    carrier: int
    """Which tensor came in, by identity; 0 where no tensor came first."""
    version: int
    """When that tensor was last written."""
    numbers: int
    left: int = 0
    """The time when it was over."""


@dataclass
class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes when each tensor that hangs on the input is written, and when it is last read."""

    written: dict[int, int] = field(default_factory=dict)
    read: dict[tuple[int, int], int] = field(default_factory=dict)
    held: list[Any] = field(default_factory=list)
    flops: list[tuple[int, float]] = field(default_factory=list)
    time: int = 0

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.time += 1
        inputs = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        tainted = False
        for one in inputs:
            if id(one) in self.written:
                tainted = True
                self.read[id(one), self.written[id(one)]] = self.time
        outputs = [one for one in tree_leaves(out) if isinstance(one, torch.Tensor)]
        if tainted:
            for one in outputs:
                self.written[id(one)] = self.time
                self.held.append(one)
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.flops.append((self.time, float(count(*args, **(kwargs or {}), out_val=out))))
        return out

    def start(self, tensor: torch.Tensor) -> None:
        """This is the input."""
        self.written[id(tensor)] = 0
        self.held.append(tensor)


def trace(
    module: nn.Module, example: torch.Tensor, forward: Callable[[torch.Tensor], Any], *,
    named: Sequence[str] = (),
) -> Traced:
    """The blocks of a module, from one pass over an example of one row.

    Args:
        module: in evaluation mode.
        example: what it takes.
        forward: calls it, and gives the tensor that comes out.
        named: modules that begin blocks, where they are not to be found.

    Raises:
        ModelUnavailable: a block was named where the pass cannot be cut.
    """
    watch = _Watch()
    entries: list[_Entry] = []

    def note(name: str) -> Any:
        def hook(_: nn.Module, args: Any) -> None:
            first = args[0] if args and isinstance(args[0], torch.Tensor) else None
            carrier = 0 if first is None else id(first)
            entries.append(_Entry(name, watch.time, carrier, watch.written.get(carrier, -1),
                                  0 if first is None else first.numel()))
        return hook

    def over(name: str) -> Any:
        def hook(*_: Any) -> None:
            mine = next(one for one in reversed(entries) if one.name == name and not one.left)
            mine.left = watch.time + 1
        return hook

    hooks = [one.register_forward_pre_hook(note(name))
             for name, one in module.named_modules() if name]
    hooks += [one.register_forward_hook(over(name))
              for name, one in module.named_modules() if name]
    try:
        with torch.no_grad(), watch:
            watch.start(example)
            output = forward(example)
            watch.read[id(output), watch.written.get(id(output), 0)] = watch.time + 1
    finally:
        for one in hooks:
            one.remove()
    cuts = _cuts(watch, entries)
    blocks = _told_apart(named, entries, cuts) if named else _chosen(module, entries, cuts)
    return _told(blocks, entries, watch, example, output)


def _cuts(watch: _Watch, entries: list[_Entry]) -> dict[str, int]:
    """Modules at whose entry one tensor carries everything, with the number of that place.

    Two modules entered with one tensor in the same state stand at the same place; 0 is the input.
    Nothing outside the module may read that tensor again: what is put in its place there would
    not be seen.
    """
    counts: dict[str, int] = defaultdict(int)
    for entry in entries:
        counts[entry.name] += 1
    spans = [(version, last, carrier) for (carrier, version), last in watch.read.items()]
    spans.sort()
    found: dict[str, int] = {}
    for entry in entries:
        if entry.version < 0 or counts[entry.name] > 1:
            continue  # not of the input, or entered again and again
        if watch.read.get((entry.carrier, entry.version), 0) >= entry.left:
            continue
        crossing = {carrier for version, last, carrier in spans
                    if version <= entry.time < last}
        if crossing == {entry.carrier}:
            found[entry.name] = entry.version
    return found


def _told_apart(
    named: Sequence[str], entries: list[_Entry], cuts: dict[str, int]
) -> tuple[str, ...]:
    """Blocks that were named, in the order in which they run."""
    order = {entry.name: at for at, entry in reversed(list(enumerate(entries)))}
    for name in named:
        if name not in cuts:
            why = ("is not run on pictures" if name not in order else
                   "gets less than what all is made of from there on, or runs more than once")
            possible = [one for one in order if one in cuts and one.count(".") <= name.count(".")]
            raise ModelUnavailable(
                f"No block can begin at {name!r}: it {why}. Blocks could begin at "
                f"{', '.join(possible[:8]) or 'none of its modules'}."
            )
    places = [cuts[name] for name in named]
    if 0 in places or len(set(places)) < len(places):
        raise ModelUnavailable(
            f"Of the blocks {', '.join(named)} one begins at the picture itself, or two begin at "
            "one place. Name each place once, the first behind the stem."
        )
    return tuple(sorted(named, key=lambda one: order[one]))


def _chosen(module: nn.Module, entries: list[_Entry], cuts: dict[str, int]) -> tuple[str, ...]:
    """The names of the modules that begin blocks, in the order in which they run."""
    order = {entry.name: at for at, entry in reversed(list(enumerate(entries)))}
    total = max(sum(one.numel() for one in module.parameters()), 1)
    whole = _classes_that_stay_whole(module, cuts, order)

    def parts(name: str) -> list[str]:
        """The modules directly inside that run and hold weights; lists of modules are looked
        through."""
        found: list[str] = []
        for child, one in module.get_submodule(name).named_children():
            path = f"{name}.{child}" if name else child
            if not any(True for _ in one.parameters()):
                continue
            if path in order:
                found.append(path)
            else:
                found += parts(path)
        return sorted(found, key=lambda one: order[one])

    def split(name: str) -> list[str]:
        one = module.get_submodule(name)
        inside = parts(name)
        plain = type(one) is nn.Sequential
        leaves = any(_is_leaf(module.get_submodule(part)) for part in inside)
        large = sum(value.numel() for value in one.parameters()) > LARGE * total
        if name and not (inside and all(part in cuts for part in inside)
                         and type(one) not in whole and (plain or large or not leaves)):
            return [name]
        return [piece for part in inside for piece in split(part)]

    places = {0}
    found = []
    for name in split(""):
        if name in cuts and cuts[name] not in places and _multiplies(module.get_submodule(name)):
            places.add(cuts[name])
            found.append(name)
    if found and not _weights_before(module, order, found[0]):
        found = found[1:]  # the stem, behind what only scales or turns pixels
    return tuple(found)


def _weights_before(module: nn.Module, order: dict[str, int], first: str) -> bool:
    """Whether anything that runs before this module learns."""
    return any(
        True for name, one in module.named_modules()
        if (not name or order.get(name, order[first]) < order[first])
        for _ in one.parameters(recurse=False)
    )


def _classes_that_stay_whole(
    module: nn.Module, cuts: dict[str, int], order: dict[str, int]
) -> set[type]:
    """Classes of which some member cannot be cut inside: residual blocks, inception modules."""
    found: set[type] = set()
    for name, one in module.named_modules():
        if name not in cuts or type(one) is nn.Sequential:
            continue
        inside = [f"{name}.{child}" for child, part in one.named_children()
                  if any(True for _ in part.parameters())]
        ran = sorted((part for part in inside if part in order), key=lambda part: order[part])
        if any(part not in cuts for part in ran):
            found.add(type(one))
    return found


def _is_leaf(one: nn.Module) -> bool:
    return not any(True for child in one.children() if any(True for _ in child.parameters()))


def _multiplies(one: nn.Module) -> bool:
    """Whether it holds a matrix or a kernel: a norm alone is no block."""
    return any(value.ndim >= 2 for value in one.parameters())


def _told(
    blocks: tuple[str, ...], entries: list[_Entry], watch: _Watch, example: torch.Tensor,
    output: torch.Tensor,
) -> Traced:
    begins = {name: at for at, name in enumerate(blocks, start=1)}
    owner: dict[str, int] = {}
    times: list[int] = []
    crossing = [example.numel()]
    current = 0
    for entry in entries:
        if entry.name in begins:
            current = begins[entry.name]
            times.append(entry.time)
            crossing.append(entry.numbers)
        owner.setdefault(entry.name, current)
    operations = [0.0] * (len(blocks) + 1)
    for time, flops in watch.flops:
        operations[sum(time > one for one in times)] += flops
    return Traced(blocks, owner, tuple(operations), tuple(crossing), output[0].numel())
