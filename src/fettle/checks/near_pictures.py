"""Near pictures: which of them are copies of one another but for scale, quality or brightness."""

from collections.abc import Sequence

import numpy as np

from fettle.core.pictures import Look

__all__ = ["near_pictures"]

BITS = 8
"""Of the 64 of the difference hash, how many may differ; what is meant is then looked at."""
POINTS = 10.0
"""Mean difference of grey values (of 255) at 16 by 16 points, after both have the same mean."""
FLAT = 4.0
"""Standard deviation of the points, of 255: what is flatter has a hash of noise."""
AT_ONCE = 2_000


def near_pictures(looks: Sequence[Look]) -> np.ndarray:
    """Pairs of pictures that are nearly the same: int (pairs, 2), numbers of these pictures."""
    if len(looks) < 2:
        return np.zeros((0, 2), dtype=int)
    hashes = np.array([one.dhash for one in looks], dtype=np.uint64)
    points = np.array([np.frombuffer(bytes.fromhex(one.points), np.uint8) for one in looks],
                      dtype=np.float32)
    points -= points.mean(axis=1, keepdims=True)
    usable = points.std(axis=1) >= FLAT
    found = [np.zeros((0, 2), dtype=int)]
    for start in range(0, len(looks), AT_ONCE):
        part = hashes[start : start + AT_ONCE]
        differing = np.bitwise_count(part[:, None] ^ hashes[None, start:])
        first, second = np.nonzero(differing <= BITS)
        keep = first < second
        first, second = first[keep] + start, second[keep] + start
        keep = usable[first] & usable[second]
        first, second = first[keep], second[keep]
        close = np.array([np.abs(points[a] - points[b]).mean() <= POINTS
                          for a, b in zip(first, second, strict=True)], dtype=bool)
        found.append(np.stack([first[close], second[close]], axis=1))
    return np.concatenate(found)
