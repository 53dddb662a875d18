"""The Plan: what to train and how. The only configuration object; it travels with the weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from fettle.core.fixes import Fixes

__all__ = [
    "Attention", "Cost", "Machine", "Pictures", "Plan", "Products", "Reading", "Rung", "Setting",
    "Texts", "Threads", "Unit",
]

Setting = str | int | float | bool
"""A value that YAML can hold and a hash can cover."""


@dataclass(frozen=True, slots=True)
class Products:
    """Matrix products of one shape: (tokens, width) times (width, inner)."""

    tokens: int
    width: int
    inner: int
    fp32: float
    """Floating-point operations a second."""
    bf16: float | None = None
    """The same in bf16; None where bf16 had already lost on a smaller shape."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention in training: forward and backward, written as plain products or fused in one."""

    precision: str
    tokens: int
    """Of one row; rows were added until a batch had at least 512 tokens."""
    plain_seconds: float
    fused_seconds: float


@dataclass(frozen=True, slots=True)
class Threads:
    """Matrix products with so many threads."""

    threads: int
    flops: float
    """Floating-point operations a second: the harmonic mean over shapes."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine is, what it was measured to do, and what follows for training.

    A rate or a time of 0.0 was not measured.
    """

    processor: str
    cores: int
    memory_bytes: int
    gpu: str | None
    bf16: bool
    """Chosen: bf16 matrix products are clearly faster here than fp32."""
    flops_fp32: float
    """Matrix products at their best shape, floating-point operations a second."""
    flops_bf16: float
    calm: bool = True
    """Whether little else ran while it was measured; otherwise it is measured again."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the libraries that change trained bytes."""
    probes: int = 0
    """Version of the probes that measured; what another version measured is not used."""
    products: tuple[Products, ...] = ()
    threads: int = 1
    """Chosen: with so many, matrix products are fastest; all cores where others were busy."""
    tried: tuple[Threads, ...] = ()
    attention: tuple[Attention, ...] = ()
    math_below_fp32: int = 0
    """Chosen: rows of up to so many tokens train faster with plain products; 0 means none do."""
    math_below_bf16: int = 0
    optimizer_seconds: float = 0.0
    """Of one step of fused AdamW, for a million parameters in fp32."""
    memory_bytes_per_second: float = 0.0
    """Read and written while a buffer larger than the caches is copied, together."""
    disk_read_bytes_per_second: float = 0.0
    """From the disk under the cache folder, not from memory."""
    disk_write_bytes_per_second: float = 0.0
    """To the disk under the cache folder, flushed."""
    gpu_memory_bytes: int = 0
    gpu_flops_fp32: float = 0.0
    gpu_flops_bf16: float = 0.0

    def flops(self, precision: str) -> float:
        """The processor's measured peak in bf16 or fp32, floating-point operations a second."""
        return self.flops_bf16 if precision == "bf16" else self.flops_fp32

    def math_below(self, precision: str) -> int:
        """Rows of up to so many tokens train faster with plain products than with fused ones."""
        return self.math_below_bf16 if precision == "bf16" else self.math_below_fp32


@dataclass(frozen=True, slots=True)
class Reading:
    """Where the rows come from and what the columns are."""

    data: str = ""
    validation: str | None = None
    test: str | None = None
    target: str | None = None
    inputs: tuple[str, ...] = ()
    encoding: str | None = None
    group: str | None = None
    """The column whose equal cells keep rows on one side of the split."""
    time: str | None = None
    """The column that says when; the newest rows judge."""
    slices: tuple[str, ...] = ()
    """Columns whose values are judged apart, beside unused ones of few values."""
    label_separator: str | None = None
    """What stands between the labels of one cell; list: it is a JSON list. In a plan as found."""
    fixes: Fixes | None = None
    """Repairs that a person approved; in a plan with the hash of the file and what it did."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder: a strategy's name and its settings."""

    strategy: str
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pictures:
    """How pictures are shown to the network."""

    side: int
    """Pixels a side."""
    augment: str = "none"
    """What training changes in them: none, light (a random part, mirrored where that is allowed),
    trivial (that and TrivialAugment), or rand (that and RandAugment)."""
    flip: bool = False
    """Whether left and right may be exchanged: not where they mean something."""
    erasing: float = 0.0
    """Share of pictures in which a rectangle is painted over."""
    mixup: float = 0.0
    """Both shapes of the beta distribution that says how much of two pictures is laid over each
    other; 0 lays none."""
    cutmix: float = 0.0
    """The same for a rectangle of one picture that is put into another."""
    views: int = 0
    """Of each row that teaches, kept where frozen blocks are replayed; 0 replays the middle."""
    live: int = 0
    """Last epochs of a rung that replays, in which the frozen blocks run on views made anew."""
    layout: str = "channels last"
    """How feature maps lie in memory: channels last, or channels first."""
    folded: bool = False
    """Whether norms with fixed statistics are trained inside the kernels before them."""


@dataclass(frozen=True, slots=True)
class Texts:
    """What training changes in texts, as shares of their words; each for itself may be 0."""

    deletion: float = 0.0
    """Each word is left out with this probability."""
    swap: float = 0.0
    """So many times the number of words, two of them change places."""
    mask: float = 0.0
    """Each word is covered with this probability, by the tokenizer's own mask."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What numbers are standardised by: of the training rows' targets."""

    mean: float
    spread: float
    """Their standard deviation, above 0."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a rung is predicted to take."""

    rung: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to train and how, with a reason for each choice."""

    task: str
    modality: str
    model: str
    """A folder, a hub name, or name@revision."""
    weights: str
    """sha256 of the pre-trained weights, so that the plan means one model and no other."""
    definition: str = ""
    """sha256 of the model's config and tokenizer."""
    learning: str
    """Fingerprint of the learning rows that the plan was made for."""
    classes: tuple[str, ...]
    """The labels, sorted; a head's outputs stand in this order. None where numbers are answered."""
    unit: Unit | None = None
    """What the network's numbers are in, where numbers are answered."""
    metric: str
    """What rungs are kept and stopped by: accuracy, or macro_f1 under imbalance; of numbers r2."""
    rungs: tuple[Rung, ...]
    """Strategies with their settings, the cheapest first."""
    max_tokens: int
    """Longer texts are cut to this many tokens; the audit counts them."""
    pictures: Pictures | None = None
    """How pictures are shown; None where texts are read."""
    texts: Texts | None = None
    """What training changes in texts; None changes nothing."""
    precision: str
    """bf16 or fp32: what the probe found faster here."""
    threads: int
    math_below: int = 512
    """Rows of up to so many tokens are trained with attention as plain products: faster here."""
    keep_blocks: int | None = None
    """The network's first so many blocks are used; all where not given."""
    seed: int = 0
    """Of the version that is published; further seeds only show the spread."""
    seeds: int = 1
    """With so many, from `seed` on, the kept rung is climbed, as far as the budget reaches."""
    budget_seconds: float | None = None
    """What all rungs together may take; a rung that no longer fits is left out, aloud."""
    cache_limit: int = 8 << 30
    """Bytes that kept states of frozen blocks may take on the disk; 0 keeps none."""
    name: str = "model"
    reading: Reading = field(default_factory=Reading)
    asked: Mapping[str, Setting] = field(default_factory=dict)
    """Settings of the rungs that a person asked for, by name; `rungs` hold them already. A
    retraining asks for them again."""
    predicted: tuple[Cost, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why planning chose each of these, one sentence a choice; the report prints them."""

    @property
    def id(self) -> str:
        """Twelve hex digits over everything that changes trained bytes.

        Not covered: predictions, reasons, names, paths (the rows' content is), and how many
        further seeds show the spread.
        """
        kept = {
            key: value
            for key, value in asdict(self).items()
            if key not in ("name", "reading", "asked", "predicted", "reasons", "seeds")
            and not (key in ("pictures", "texts", "unit") and value is None)
        }
        kept["inputs"] = self.reading.inputs
        text = json.dumps(kept, sort_keys=True, default=dict)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
