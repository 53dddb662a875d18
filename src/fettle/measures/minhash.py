"""MinHash: which rows resemble each other, without comparing every row with every other.

Short sketches of the rows' sets are hashed so that rows alike fall into one bucket; what meets
there is compared by its true resemblance. Time and memory grow with the rows, whatever they say.
"""

from collections.abc import Iterator

import numpy as np

from fettle.measures.clusters import components
from fettle.measures.shingles import Shingles, jaccard

__all__ = ["near_pairs", "sketches"]

PERMUTATIONS = 128
_BANDS, _IN_BAND = 25, 5
"""Two rows whose sets are alike by 0.8 share at least one of 25 bands of 5 values in 99.995% of
cases, by 0.5 in 55%: 1 - (1 - 0.8**5)**25."""
_NEIGHBOURS = 8
"""Within a bucket each row is compared with so many behind it: with all in buckets of up to 9."""
_SEED = 20_260_817
"""Of the hash functions, not of anything that is drawn: every audit uses the same ones."""
_SIGMAS = 3
_MOST_MISSES = 32
"""A row that was compared so often in vain stands among texts of one pattern; it rests."""
_PIECES_AT_ONCE = 1_000_000
_PAIRS_AT_ONCE = 100_000


def near_pairs(shingles: Shingles, at_least: float = 0.8) -> np.ndarray:
    """Pairs of rows whose true resemblance is at least this: int64 (pairs, 2), first < second.

    The pairs connect every group of rows that resemble each other in a chain; of a group they are
    not all pairs. A pair at the threshold itself is missed in about 1 of 10,000 cases; in groups
    of more than 9 rows that share a bucket a pair can be missed where no other bucket shows it.

    Args:
        shingles: of all rows.
        at_least: the Jaccard resemblance, from 0 to 1.

    Source: Broder, "On the resemblance and containment of documents", SEQUENCES 1997; banding as
    in Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4.
    """
    values, keys = sketches(shingles)
    spread = np.sqrt(at_least * (1 - at_least) / PERMUTATIONS)
    label = np.arange(shingles.rows)
    found = [np.zeros((0, 2), dtype=np.int64)]
    rejected = np.zeros(0, dtype=np.uint64)
    misses = np.zeros(shingles.rows, dtype=np.int64)
    for band in range(_BANDS):
        met = _meeting(keys[band], keys[(band + 1) % _BANDS])
        met = met[~_is_in(met, rejected)]
        pairs = _pairs(met)
        pairs = pairs[label[pairs[:, 0]] != label[pairs[:, 1]]]
        pairs = pairs[(misses[pairs] < _MOST_MISSES).all(axis=1)]
        pairs = pairs[_share_equal(values, pairs) >= at_least - _SIGMAS * spread]
        near = jaccard(shingles, pairs) >= at_least
        rejected = np.sort(np.concatenate([rejected, _codes(pairs[~near])]))
        misses += np.bincount(pairs[~near].ravel(), minlength=shingles.rows)
        if near.any():
            found.append(pairs[near])
            label = components(shingles.rows, np.concatenate(found))
    return _pairs(np.sort(_codes(np.concatenate(found))))


def sketches(shingles: Shingles) -> tuple[np.ndarray, np.ndarray]:
    """One byte of each minimum, uint8 (rows, 128); a hash of each band, uint32 (bands, rows).

    The share of equal minima of two rows estimates their resemblance.
    """
    rng = np.random.default_rng(_SEED)
    factors = rng.integers(2**63, size=PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    offsets = rng.integers(2**63, size=PERMUTATIONS, dtype=np.uint64)
    values = np.zeros((shingles.rows, PERMUTATIONS), dtype=np.uint8)
    keys = np.zeros((_BANDS, shingles.rows), dtype=np.uint32)
    for begin, end in _portions(shingles):
        first, last = shingles.starts[begin], shingles.starts[end]
        pieces = shingles.values[first:last].astype(np.uint64)
        starts = (shingles.starts[begin:end] - first).astype(np.int64)
        minima = np.empty((PERMUTATIONS, end - begin), dtype=np.uint32)
        for number, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            hashed = (pieces * factor + offset) >> np.uint64(32)
            minima[number] = np.minimum.reduceat(hashed, starts)
        values[begin:end] = minima.T.astype(np.uint8)
        for band in range(_BANDS):
            keys[band, begin:end] = _key(minima[band * _IN_BAND : (band + 1) * _IN_BAND])
    return values, keys


def _portions(shingles: Shingles) -> Iterator[tuple[int, int]]:
    """(first, behind the last) row of about a million pieces at a time."""
    begin = 0
    while begin < shingles.rows:
        wanted = shingles.starts[begin] + _PIECES_AT_ONCE
        end = max(int(np.searchsorted(shingles.starts, wanted, side="right")) - 1, begin + 1)
        yield begin, end
        begin = end


def _key(minima: np.ndarray) -> np.ndarray:
    """One number for the minima of a band: uint32 (rows,)."""
    key = np.zeros(minima.shape[1], dtype=np.uint64)
    for values in minima:
        key = (key ^ values) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return (key >> np.uint64(32)).astype(np.uint32)


def _meeting(keys: np.ndarray, also: np.ndarray) -> np.ndarray:
    """Codes of the pairs of rows with equal keys, ascending.

    In a crowded bucket only neighbours meet, in the order of the other keys.
    """
    order = np.lexsort((also, keys))
    in_order = keys[order]
    codes = [np.zeros(0, dtype=np.uint64)]
    for apart in range(1, _NEIGHBOURS + 1):
        same = np.flatnonzero(in_order[apart:] == in_order[:-apart])
        if not len(same):
            break
        codes.append(_codes(np.stack([order[same], order[same + apart]], axis=1)))
    return np.sort(np.concatenate(codes))


def _codes(pairs: np.ndarray) -> np.ndarray:
    """One number a pair, whichever comes first: uint64 (pairs,)."""
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    return low.astype(np.uint64) << np.uint64(32) | high.astype(np.uint64)


def _pairs(codes: np.ndarray) -> np.ndarray:
    """The pairs that codes stand for, int64 (pairs, 2)."""
    lower_half = np.uint64(2**32 - 1)
    return np.stack([codes >> np.uint64(32), codes & lower_half], axis=1).astype(np.int64)


def _is_in(codes: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Whether each code stands among the held ones, which are ascending: bool (codes,)."""
    if not len(held):
        return np.zeros(len(codes), dtype=bool)
    place = np.minimum(np.searchsorted(held, codes), len(held) - 1)
    return held[place] == codes


def _share_equal(values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The share of minima that two rows have in common, (pairs,): it estimates resemblance."""
    share = np.zeros(len(pairs))
    for begin in range(0, len(pairs), _PAIRS_AT_ONCE):
        first, second = pairs[begin : begin + _PAIRS_AT_ONCE].T
        equal = (values[first] == values[second]).sum(axis=1, dtype=np.uint8)
        share[begin : begin + _PAIRS_AT_ONCE] = equal / PERMUTATIONS
    return share
