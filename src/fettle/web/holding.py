"""Holding: the memory that requests take together, counted as it is really held, and bounded.

Of each request what it takes now: the bytes that have arrived; while they are read, the most that
reading them may take; then the rows, until the last byte of the answer has left. What one batch
takes on the model's thread is not counted here: there is one at a time.
"""

from collections.abc import Iterable, Sequence
from sys import getsizeof

from fettle.core.errors import FettleError

__all__ = ["MOST_BYTES", "Full", "Holding", "Share", "cells_bytes", "reading_bytes"]

MOST_BYTES = 256 * 2**20
"""Many large requests at once are what fills a server's memory, however small each is."""
PICTURES = 7
"""So many times its body a request of pictures is held while it is read: as the body, as a part of
a form, and three times in base64 (four bytes for three) while that becomes a cell."""
TEXTS, WIDE_TEXTS = 9, 12
"""The same of texts: one letter beyond the basic ones makes four bytes of every letter of its text,
and of the whole body where it is sent as it is. There is room for a text that is still growing."""
SIGNS = (b",", b":", b"[", b"{")
SIGN_BYTES = 256
"""At most, of Python's objects that one sign of JSON's own stands for: where an object has very
many keys, each with its value is 500 bytes while it is read, and two signs."""


class Full(FettleError):
    """Other requests take the memory that is set aside for all of them."""

    def __init__(self) -> None:
        super().__init__(
            "Other requests fill the memory that is set aside for them. Ask again in 1 s."
        )


class Holding:
    """Of all requests together."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Nothing is held yet."""
        self.bytes = 0
        self.most_bytes = most_bytes


class Share:
    """Of one request. The event loop alone changes it."""

    def __init__(self, whole: Holding) -> None:
        """Nothing is held yet."""
        self._whole, self.bytes = whole, 0

    def hold(self, size: int) -> None:
        """So many bytes from now on, instead of those before; one request alone finds any room.

        Raises:
            Full: it would grow, and there is no room for that beside others.
        """
        others = self._whole.bytes - self.bytes
        if size > self.bytes and others and others + size > self._whole.most_bytes:
            raise Full
        self.take(size)

    def take(self, size: int) -> None:
        """The same without a look at the room: what is done already is not refused."""
        self._whole.bytes += size - self.bytes
        self.bytes = size


def reading_bytes(body: bytes, *, are_pictures: bool) -> int:
    """The most that is held while a body is read, the body included.

    Args:
        body: all of it.
        are_pictures: whether it is pictures' own bytes; else it is JSON.
    """
    if are_pictures:
        return PICTURES * len(body)
    letters = (TEXTS if body.isascii() else WIDE_TEXTS) * len(body)
    return letters + SIGN_BYTES * (1 + sum(map(body.count, SIGNS)))


def cells_bytes(fields: Iterable[Sequence[str]]) -> int:
    """What rows take: one text a column."""
    return sum(getsizeof(row) + sum(map(getsizeof, row)) for row in fields)
