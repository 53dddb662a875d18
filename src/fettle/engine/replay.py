"""Replay: a frozen prefix runs once for each row; what it gave is kept and used again.

One pass of the frozen network gives pooled vectors (the prefix is the whole backbone) and what
reaches some blocks (the prefix ends below them). Each is kept under a key of everything that
determines it, so that every epoch, seed, rung and run with the same key starts from there.
"""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from fettle.core.errors import CorruptFile, StoreError
from fettle.core.parts import Encoder, Item, Network, tap_of_block
from fettle.core.progress import Note, Progress
from fettle.engine.batches import by_length
from fettle.engine.device import device_of, kernels
from fettle.engine.predict import BUDGET, taps_by_batch
from fettle.engine.several import sizes_of
from fettle.store import arrays, folders

__all__ = ["CODE", "Kept", "States", "features", "prefix", "remembered"]

CODE = "3"
"""Raised whenever a change here or in the networks changes what is computed."""
RESERVE = 1 << 30
"""Bytes of the disk that are never used for what can be computed again."""


@dataclass(frozen=True, slots=True)
class States:
    """What reaches one block for each row: as many vectors as the row has tokens."""

    block: int
    values: torch.Tensor
    """(units of all rows, width), one row after the other; mapped from the disk where kept."""
    starts: np.ndarray
    """(rows + 1,): row i stands in values[starts[i]:starts[i + 1]]."""
    rows: np.ndarray
    """Which of the rows these are; for the parts of a split."""

    def of(self, rows: np.ndarray) -> "States":
        """Those of some of these rows, without a copy."""
        return replace(self, rows=self.rows[rows])

    def batch(self, rows: Sequence[int] | np.ndarray) -> torch.Tensor:
        """(rows, longest, width) for these rows, zero where a row is shorter."""
        numbers = self.rows[np.asarray(rows)]
        starts, stops = self.starts[numbers], self.starts[numbers + 1]
        longest = int((stops - starts).max())
        made = self.values.new_zeros((len(numbers), longest, self.values.shape[1]))
        for at, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            made[at, : stop - start] = self.values[start:stop]
        return made


@dataclass(frozen=True, slots=True)
class Kept:
    """What the frozen network made of the rows."""

    vectors: Mapping[str, np.ndarray]
    """fp32 (rows, width) by pooling."""
    states: Mapping[int, States]
    """By block."""
    key: str = ""
    """Under which all of it is kept: of everything that determines it."""
    files: tuple[str, ...] = ()
    """The names of its arrays in the folder."""


def features(
    network: Network, encoder: Encoder, items: Sequence[Item], *, names: Sequence[str],
    precision: str, folder: Path,
) -> Generator[Progress | Note, None, dict[str, np.ndarray]]:
    """Pooled vectors of these rows, fp32 (rows, width) by pooling: kept ones, or computed now."""
    found = yield from prefix(network, encoder, items, poolings=names, blocks=(),
                              precision=precision, folder=folder, limit=0)
    return dict(found.vectors)


def prefix(
    network: Network,
    encoder: Encoder,
    items: Sequence[Item],
    *,
    poolings: Sequence[str],
    blocks: Sequence[int],
    precision: str,
    folder: Path,
    limit: int,
    named: str = "",
    beside: Sequence[str] = (),
) -> Generator[Progress | Note, None, Kept]:
    """Pooled vectors, and what reaches these blocks: kept ones, or computed now in one pass.

    Args:
        network, encoder: of which nothing has learned yet.
        items: encoded rows; the batches are a function of these rows alone.
        poolings: mean, cls, max.
        blocks: the highest are kept first, as far as the limit and the disk allow.
        precision: bf16 or fp32; what is kept has this type.
        folder: where it is kept.
        limit: bytes that the states may take there.
        named: everything that the items follow from, where they are made anew when asked for; in
            place of their content.
        beside: names of other arrays that stay there, whatever their age.
    """
    key = _key(network, items, precision, named)
    vectors: dict[str, np.ndarray] = {}
    states: dict[int, States] = {}
    names = [*poolings, *(tap_of_block(block) for block in sorted(blocks, reverse=True))]
    for name in names:
        try:
            found = arrays.read(folder, _file(key, name))
        except CorruptFile as error:
            yield Note(f"What was kept of {name} cannot be used and is computed again: {error}")
            continue
        if found is not None and name in poolings:
            vectors[name] = np.asarray(found[0])
        elif found is not None:
            block = int(name.split()[1])
            states[block] = _states(block, found[0], np.asarray(found[1]["starts"]))
    missing = [name for name in names if name not in vectors
               and not any(name == tap_of_block(block) for block in states)]
    if not missing:
        yield Progress("features (kept)", len(items), len(items))
        return Kept(vectors, states, key, tuple(_file(key, name) for name in names))
    keep = [*beside, *(_file(key, name) for name in names if name not in missing)]
    computed = yield from _computed(network, encoder, items, missing, precision, folder, key, limit,
                                    keep)
    vectors.update(computed.vectors)
    return Kept({name: vectors[name] for name in poolings}, {**states, **computed.states},
                key, tuple(_file(key, name) for name in names))


def remembered(folder: Path, key: str, pooling: str) -> np.ndarray | None:
    """The pooled vectors kept under this key, fp32 (rows, width); None where they are not there.

    Nothing is computed: no row goes through a network.
    """
    try:
        found = arrays.read(folder, _file(key, pooling))
    except CorruptFile:
        return None
    return None if found is None else np.asarray(found[0])


def _computed(
    network: Network, encoder: Encoder, items: Sequence[Item], names: Sequence[str],
    precision: str, folder: Path, key: str, limit: int, keep: Sequence[str],
) -> Generator[Progress | Note, None, Kept]:
    """One pass over all rows; what does not fit is left out, aloud."""
    sizes = np.array(sizes_of(encoder, items))
    vectors: dict[str, np.ndarray] = {}
    filling: dict[str, arrays.Filling] = {}
    starts: dict[str, np.ndarray] = {}
    done = 0
    wanted = list(names)
    try:
        for rows, taps in taps_by_batch(network, encoder, items, names=wanted, precision=precision):
            for name in list(wanted):
                value = taps[name]
                if value.ndim == 2:
                    whole = vectors.setdefault(
                        name, np.empty((len(items), value.shape[1]), np.float32))
                    whole[rows] = value.float().numpy()
                    continue
                if name not in filling:
                    try:
                        starts[name] = _starts(sizes, value, rows)
                        taken = sum(one.values.nbytes for one in filling.values())
                        filling[name] = _begin(folder, _file(key, name), starts[name], value,
                                               limit, taken, keep)
                    except StoreError as error:
                        yield Note(f"Without replay from {name}: {error}")
                        wanted.remove(name)
                        continue
                _fill(filling[name].values, starts[name], rows, value)
            if not wanted:
                break
            done += len(rows)
            yield Progress("features", done, len(items))
        yield from _written(folder, key, vectors)
        for name, one in filling.items():
            try:
                one.finish({"starts": starts[name].tolist()})
            except StoreError as error:  # what is filled in can be read for as long as this runs
                yield Note(f"What reaches {name} is not kept for the next run: {error}")
    finally:
        for one in filling.values():
            one.drop()
    return Kept(vectors, {
        (block := int(name.split()[1])): _states(block, one.values, starts[name])
        for name, one in filling.items()
    })


def _starts(sizes: np.ndarray, value: torch.Tensor, rows: np.ndarray) -> np.ndarray:
    """Where each row begins: by its tokens, or at equal steps where all rows have one shape."""
    units = value.shape[1]
    by_tokens = units == int(sizes[rows].max())
    return np.concatenate([[0], np.cumsum(sizes if by_tokens else np.full(len(sizes), units))])


def _begin(
    folder: Path, file: str, starts: np.ndarray, value: torch.Tensor, limit: int, taken: int,
    keep: Sequence[str],
) -> arrays.Filling:
    """Room for the states of one block, beside the bytes that others of this pass have taken.

    Raises:
        StoreError: they do not fit.
    """
    shape = (int(starts[-1]), value.shape[2])
    needed = shape[0] * shape[1] * value.element_size()
    if not arrays.make_room(folder, taken + needed, limit, keep=keep):
        beside = f" beside {taken:,} of the blocks above" if taken else ""
        raise StoreError(
            f"{needed:,} bytes would be kept{beside}, and the limit is {limit:,} (--cache-limit)."
        )
    free = folders.free(folder)
    if needed + RESERVE > free:
        raise StoreError(f"{needed:,} bytes would be kept, and {free:,} are free in {folder}.")
    dtype = "uint16" if value.dtype == torch.bfloat16 else "float32"
    return arrays.Filling(folder, file, shape, dtype)


def _fill(whole: np.ndarray, starts: np.ndarray, rows: np.ndarray, value: torch.Tensor) -> None:
    plain = value.view(torch.int16).numpy().view(np.uint16) if whole.dtype == np.uint16 else (
        value.float().numpy())
    for at, row in enumerate(rows):
        start, stop = starts[row], starts[row + 1]
        whole[start:stop] = plain[at, : stop - start]


def _written(
    folder: Path, key: str, vectors: Mapping[str, np.ndarray]
) -> Generator[Note, None, None]:
    """Pooled vectors are small: they are kept whatever the limit, unless the disk says no."""
    for name, found in vectors.items():
        try:
            one = arrays.Filling(folder, _file(key, name), found.shape, "float32")
            one.values[:] = found
            one.finish({})
        except StoreError as error:
            yield Note(f"The features by {name} are not kept for the next run: {error}")


def _states(block: int, values: np.ndarray, starts: np.ndarray) -> States:
    plain = torch.from_numpy(values.view(np.int16)).view(torch.bfloat16) if (
        values.dtype == np.uint16) else torch.from_numpy(np.asarray(values))
    return States(block, plain, starts, np.arange(len(starts) - 1))


def _file(key: str, name: str) -> str:
    return f"{key}-{name.replace(' ', '')}"


def _key(network: Network, items: Sequence[Item], precision: str, named: str) -> str:
    """Sixteen hex digits over everything that determines what the frozen network gives."""
    digest = hashlib.sha256()
    card = network.card
    facts = (CODE, card.sha256, card.definition, precision, network.arithmetic,
             kernels(device_of(network.module)), torch.__version__, str(BUDGET),
             str(by_length.__kwdefaults__), named)
    digest.update("|".join(facts).encode())
    for item in () if named else items:
        plain = np.asarray(item)
        digest.update(f"|{plain.dtype} {plain.shape}|".encode() + plain.tobytes())
    return digest.hexdigest()[:16]
