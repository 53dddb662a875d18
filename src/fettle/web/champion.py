"""The champion: which version answers now. It follows the registry's pointer, and a new version
comes in only once it has shown that it loads and answers; the old one goes on until then."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from fettle.core.errors import FettleError
from fettle.core.upkeep import Pointer
from fettle.stages import serving
from fettle.stages.serving import Opened
from fettle.store.registry import Registry

__all__ = ["Champion"]

AGAIN_SECONDS = 60.0
"""After which a version that was kept out is tried again: its files may have been restored."""


@dataclass(frozen=True, slots=True)
class _Refused:
    pointer: Pointer
    at: float
    why: str


class Champion:
    """The version behind a reference. NAME follows the pointer; NAME@N and a folder stay."""

    def __init__(
        self, reference: str, registry: str, *, say: Callable[[str], None],
        swapped: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        """Open it, and let it show that it answers.

        Args:
            reference: NAME, NAME@N, or a version's folder.
            registry: a folder or a URL.
            say: told what an operator should know.
            swapped: told of every change that was tried: swapped or kept_out.

        Raises:
            UnknownName: the registry has no such version.
            CorruptFile: it is damaged, or answers otherwise than where it was made.
        """
        self._registry, self._say, self._swapped = registry, say, swapped
        self._refused: _Refused | None = None
        self._unreachable = ""
        self._held: Registry | None = None
        self._pointer: Pointer | None = None
        name, at, _ = reference.partition("@")
        self.served, self.difference = self._opened(reference)
        if not at and self.served.id.startswith(f"{name}@"):
            self._held = Registry(registry, create=False)  # `look` finds what moved while it opened

    @property
    def name(self) -> str:
        """Of the model."""
        return self.served.id.rpartition("@")[0]

    @property
    def number(self) -> str:
        """Of the version."""
        return self.served.id.rpartition("@")[2]

    @property
    def kept_out(self) -> str:
        """Why the registry's champion is not the one that answers; empty where it is."""
        return self._refused.why if self._refused else ""

    async def follow(self, every_seconds: float) -> None:
        """Look at the pointer from time to time, for ever; the event loop never waits for it."""
        if self._held is None:
            return
        while True:
            await asyncio.sleep(every_seconds)
            await self.look()

    async def look(self) -> None:
        """Look at the pointer once, and swap where it has moved."""
        assert self._held is not None, "a version that was named by its number is not followed"
        now = asyncio.get_running_loop().time()
        try:
            pointer = (await asyncio.to_thread(self._held.pointers, self.name))["champion"]
        except (FettleError, OSError, KeyError) as error:
            if not self._unreachable:
                self._say(f"The registry does not answer; {self.served.id} goes on. {error}")
            self._unreachable = str(error) or repr(error)
            return
        if self._unreachable:
            self._say("The registry answers again.")
            self._unreachable = ""
        if pointer == self._pointer:
            self._refused = None
            return
        before = self._refused
        if before and before.pointer == pointer and now < before.at + AGAIN_SECONDS:
            return
        await self._swap(pointer, now)

    async def _swap(self, pointer: Pointer, now: float) -> None:
        wanted = f"{self.name}@{pointer.number}"
        if wanted == self.served.id:  # there and back again
            self._pointer, self._refused = pointer, None
            return
        try:
            served, difference = await asyncio.to_thread(self._opened, wanted)
        except Exception as error:  # whatever is wrong with it, the old one answers
            self._refused = _Refused(pointer, now, f"{wanted} is kept out: {error}")
            self._swapped("kept_out")
            self._say(f"{self._refused.why} {self.served.id} goes on answering.")
            return
        before, self.served, self.difference = self.served.id, served, difference
        self._pointer, self._refused = pointer, None
        self._swapped("swapped")
        self._say(
            f"{wanted} answers from now on, {before} did. It was asked before: outputs differ by "
            f"at most {difference:.2g} from where it was made."
        )

    def _opened(self, reference: str) -> tuple[Opened, float]:
        """A version that has answered, its weights in the precision that it is asked in."""
        opened = serving.kept(serving.open_version(reference, self._registry))
        return opened, serving.prove(opened)
