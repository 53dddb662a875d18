"""Settings: what the user asked for. The Plan is made from these; nothing else is configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fettle.core.plan import Reading, Setting

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked for on the command line or from Python; None leaves it to the plan."""

    reading: Reading = field(default_factory=Reading)
    name: str | None = None
    """Of the versions; the file's stem where not given."""
    model: str | None = None
    task: str | None = None
    rungs: tuple[str, ...] | None = None
    asked: Mapping[str, Setting] = field(default_factory=dict)
    """Settings of the rungs, by name, in place of the usual ones; each rung takes those it has."""
    handed_on: Mapping[str, Setting] = field(default_factory=dict)
    """Settings that the version before was asked for: rungs that have one take it, unless `asked`
    says otherwise; one that no rung has is left out, aloud."""
    augment: str | None = None
    """What training changes in rows, such as trivial,mixup=0.2 or deletion=0.1."""
    keep_blocks: int | None = None
    """The network's first so many blocks are used; all where not given."""
    max_tokens: int | None = None
    """Of a text; longer ones are cut there."""
    budget_seconds: float | None = None
    seed: int = 0
    seeds: int = 1
    """With so many, from `seed` on, the kept rung is climbed, to see the spread."""
    cache_limit: int | None = None
    """Bytes that kept states of frozen blocks may take on the disk; 0 keeps none."""
    save_seconds: float = 60.0
    """Between checkpoints inside an epoch."""
    allow: tuple[str, ...] = ()
    """Checks whose blockers do not stop the story."""
    out: str | None = None
    """The run's folder."""
    registry: str = ".fettle"
    """A folder, or postgresql://USER@HOST/DATABASE."""
    blobs: str | None = None
    """Where the registry's files go; known to a registry that was made."""
    guard: tuple[str, ...] = ()
    """Labelled files of other tasks, on which the tuned model should still do well."""
    keep_rows: bool = True
    """Whether the version carries its rows as Arrow."""
