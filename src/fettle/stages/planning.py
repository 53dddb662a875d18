"""Planning: what to train and how, with a reason for each choice and what it will take.

A Plan depends on the learning rows, the model and the machine, never on a test row.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fettle.core.dataset import Dataset
from fettle.core.errors import SettingError, unknown_name
from fettle.core.parts import Card
from fettle.core.plan import Cost, Machine, Pictures, Plan, Reading, Rung, Setting, Texts
from fettle.core.settings import Settings
from fettle.core.split import Split
from fettle.core.task import Task
from fettle.engine import costs
from fettle.engine.allotting import allotted
from fettle.engine.costs import Pace, Size
from fettle.modalities import ENCODERS, showing, wording
from fettle.strategies import DEFAULTS, STRATEGIES
from fettle.strategies.contrastive import epochs_for
from fettle.strategies.reasons import rung_reason, unused_reasons
from fettle.strategies.settings import handed_on, require, require_for, with_asked
from fettle.strategies.why import setting_reasons
from fettle.tasks import TASKS
from fettle.tasks.making import task_of

if TYPE_CHECKING:
    from fettle.engine.trying import Tried

__all__ = ["check", "name_of", "plan", "read_from", "settings_of"]

RUNGS = ("features", "top", "full")
RUNGS_OF_LARGE = ("features", "top", "lora")
LARGE = 300_000_000
"""Weights from which LoRA takes the place of full fine-tuning: below it saves no time (adapters
are small products) and no memory that is scarce."""
SHARE_ON_TOP = 1 / 3
"""Of the blocks, that `top` tunes."""
MODALITIES = tuple(ENCODERS)
PRECISIONS = ("fp32", "bf16")
WIDTH = 384
"""Full fine-tuning's rate is measured at this width; wider networks take (384 / width)^2 of it,
which gives the field's usual 4e-5 at 768 and 2e-5 at 1,024."""
OF_PICTURES: dict[str, Setting] = {"rate": 3e-4}
"""Settings that pictures take in place of those of texts, whatever the network's width."""
FEWEST_EPOCHS = 2
CACHE_LIMIT = 8 << 30
BUSY = (
    "The machine was busy when it was measured: predicted seconds and the choices of precision, "
    "threads and attention may be off; the next run measures again."
)


def plan(
    dataset: Dataset, split: Split, card: Card, machine: Machine, settings: Settings
) -> Plan:
    """The Plan for these rows, this model and this machine.

    Raises:
        SettingError: a rung or task is unknown, or nothing fits the budget.
    """
    reasons = [*dataset.schema.reasons, *split.notes]
    asked, metric, why = TASKS[dataset.schema.task].proposed(
        dataset.targets(split.learners), dataset.targets(split.train))
    reasons.append(why)
    tokens, mean_tokens, pictures, texts, why_shown = _read(dataset, split, card, settings)
    reasons += why_shown
    precision, pictures, pace, why_so = _precision(machine, card, pictures)
    reasons += why_so if machine.calm else [*why_so, BUSY]
    cache_limit = CACHE_LIMIT if settings.cache_limit is None else settings.cache_limit
    size = Size(len(split.learners), mean_tokens, asked.outputs, 1 if split.validation else 6,
                pace=pace)
    settings, why_given = _handed_on(settings, card)
    rungs = _rungs(settings, asked, card, size.rows)
    pictures, size, why_views = _viewed(pictures, rungs, size, card, cache_limit)
    reasons += why_views
    rungs, predicted = _costed(rungs, card, size, peak=machine.flops(precision),
                               cache_limit=cache_limit)
    rungs, kept_costs, why_rungs = _affordable(rungs, predicted, settings.budget_seconds)
    reasons += why_given + why_rungs + _why(rungs, settings, card, size.rows)
    reasons += _over_seeds(settings, kept_costs)
    return Plan(
        task=asked.name,
        modality=dataset.schema.modality,
        model=card.name,
        weights=card.sha256,
        definition=card.definition,
        learning=split.learning,
        classes=asked.classes,
        unit=asked.unit,
        metric=metric,
        rungs=tuple(rungs),
        max_tokens=tokens,
        pictures=pictures,
        texts=texts,
        precision=precision,
        threads=machine.threads,
        math_below=machine.math_below(precision),
        keep_blocks=card.kept_blocks,
        seed=settings.seed,
        seeds=settings.seeds,
        budget_seconds=settings.budget_seconds,
        cache_limit=cache_limit,
        name=name_of(settings, dataset),
        reading=replace(
            settings.reading, target=dataset.schema.target, inputs=dataset.schema.inputs,
            label_separator=dataset.schema.several,
        ),
        asked=settings.asked,
        predicted=tuple(kept_costs),
        reasons=tuple(reasons),
    )


def check(given: Plan, made: Plan, card: Card) -> Plan:
    """A plan that a person wrote or edited, once it is known to fit these rows and this model.

    Args:
        given: from `--config`.
        made: what planning makes of the same rows now.
        card: of the model.

    Raises:
        SettingError: the plan is for other rows or another model, or a setting is unknown or
            impossible.
    """
    if given.learning != made.learning:
        raise SettingError(
            "The plan was made for other rows: its fingerprint of the learning rows is "
            f"{given.learning[:12]}..., these rows give {made.learning[:12]}... Make a new plan "
            "with `fettle plan`, or give the file and the seed it was made for."
        )
    if (given.weights, given.definition) != (made.weights, made.definition):
        raise SettingError(
            f"The plan was made for weights {given.weights[:12]}... and config "
            f"{given.definition[:12]}..., {made.model} has {made.weights[:12]}... and "
            f"{made.definition[:12]}... Make a new plan with `fettle plan`."
        )
    if given.task not in TASKS:
        raise unknown_name("task", given.task, TASKS)
    if given.task != made.task:
        raise SettingError(
            f"The plan's task is {given.task}, and these rows are for {made.task}. Make a new plan "
            "with `fettle plan --task`."
        )
    if (tuple(given.classes), given.unit) != (made.classes, made.unit):
        raise SettingError("The plan's classes, or its unit, are not those of these rows.")
    asked = task_of(given)
    for kind, name, known in (
        ("modality", given.modality, MODALITIES), ("metric", given.metric, asked.metrics),
        ("precision", given.precision, PRECISIONS),
    ):
        if name not in known:
            raise unknown_name(kind, name, known)
    wording.require_readable(given.max_tokens, card, "In the plan max_tokens is")
    if given.pictures is not None:
        showing.require(given.pictures, card)
    if given.texts is not None:
        wording.require(given.texts, columns=len(made.reading.inputs))
    for what, number in (("threads", given.threads), ("seeds", given.seeds)):
        if number < 1:
            raise SettingError(f"{what} is {number} in the plan; 1 is the fewest.")
    _require_rungs([rung.strategy for rung in given.rungs])
    for rung in given.rungs:
        require(rung, DEFAULTS[rung.strategy])
        require_for(rung, asked, given.modality)
    return given


def read_from(made: Plan, reading: Reading, dataset: Dataset) -> Plan:
    """The plan with where this command's rows come from: the test rows, slices and fixes may be
    others than when the run began."""
    schema = dataset.schema
    return replace(made, reading=replace(
        reading, target=schema.target, inputs=schema.inputs, label_separator=schema.several,
        fixes=dataset.fixes,
    ))


def _why(rungs: Sequence[Rung], settings: Settings, card: Card, rows: int) -> list[str]:
    """Why the rungs are as they are."""
    reasons = [rung_reason(rung, rows) for rung in rungs]
    reasons += setting_reasons(rungs, settings.asked, modality=card.modality)
    reasons += unused_reasons(rungs, settings.asked)
    if not card.kept_blocks:
        return reasons
    return [f"The network is used up to block {card.kept_blocks}, as asked: what is above is left "
            "away, in training and in serving.", *reasons]


def _over_seeds(settings: Settings, predicted: Sequence[Cost]) -> list[str]:
    """What further seeds are for, and what they cost at most; nothing where none is asked for."""
    more = settings.seeds - 1
    if not more:
        return []
    within = "" if settings.budget_seconds is None else ", as far as the budget reaches"
    most = more * max(one.seconds for one in predicted)
    return [
        f"In the end the kept rung is climbed with {more} more seeds, {settings.seed + 1} to "
        f"{settings.seed + more}, on the same rows and replayed work: up to {most:.0f} s more"
        f"{within}. They show the spread; the version stays that of seed {settings.seed}."
    ]


def _require_rungs(names: Sequence[str]) -> None:
    """Rungs that we have, each once, at least one."""
    for name in names:
        if name not in STRATEGIES:
            raise unknown_name("strategy", name, STRATEGIES)
    if not names:
        raise SettingError(f"The plan has no rung; choose from: {', '.join(STRATEGIES)}.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SettingError(f"The rung {twice} is named twice; a rung is climbed once.")


def _rungs(settings: Settings, task: Task, card: Card, rows: int) -> list[Rung]:
    """The rungs to climb, with their settings."""
    names = _names(settings, card)
    rungs = with_asked(
        [Rung(name, settings_of(name, card)) for name in names], settings.asked, DEFAULTS
    )
    rungs = [_in_steps(rung, rows) if "epochs" not in settings.asked else rung for rung in rungs]
    for rung in rungs:
        require_for(rung, task, card.modality)
    return rungs


def _handed_on(settings: Settings, card: Card) -> tuple[Settings, list[str]]:
    """The settings, with what the version before was asked for, and what became of that."""
    made, told = handed_on(_names(settings, card), settings.handed_on, settings.asked, DEFAULTS)
    return replace(settings, asked=made), told


def _names(settings: Settings, card: Card) -> tuple[str, ...]:
    """The rungs that are asked for; else the usual ones of a network of this size."""
    names = settings.rungs or (RUNGS_OF_LARGE if card.parameters > LARGE else RUNGS)
    _require_rungs(names)
    return names


def _costed(
    rungs: list[Rung], card: Card, size: Size, *, peak: float, cache_limit: int
) -> tuple[list[Rung], list[Cost]]:
    """The rungs, the features first and then from the cheapest, and what each costs.

    The others start from the features and from the solved head.
    """
    predicted = {
        rung.strategy: costs.predicted(
            rung, STRATEGIES[rung.strategy](rung.settings), _size(size, rung), card, peak=peak,
            cache_limit=cache_limit,
        )
        for rung in rungs
    }
    rungs.sort(key=lambda one: (one.strategy != "features", predicted[one.strategy].seconds))
    return rungs, [predicted[rung.strategy] for rung in rungs]


def _viewed(
    pictures: Pictures | None, rungs: list[Rung], size: Size, card: Card, limit: int
) -> tuple[Pictures | None, Size, tuple[str, ...]]:
    """How many views of pictures are kept, what that costs, and why."""
    if pictures is None:
        return None, size, ()
    each = [(rung, STRATEGIES[rung.strategy](rung.settings)) for rung in rungs]
    made, whys = allotted(pictures, each, size, card, limit=limit)
    return made, replace(size, views=made.views, live=made.live), whys


def _size(size: Size, rung: Rung) -> Size:
    """Of the rung: k networks on all but a k-th of the rows, and one on all, cost what k do; where
    their mean is kept, one less."""
    if size.networks == 1 or "networks" not in rung.settings:
        return size
    spared = rung.settings.get("kept") == "mean"
    return replace(size, networks=int(rung.settings["networks"]) - spared)


def name_of(settings: Settings, dataset: Dataset) -> str:
    """Of the versions: what was asked for, or the file's stem without what no name holds."""
    return settings.name or re.sub(r"[^\w. -]+", "-", dataset.name).strip("-. ") or "model"


def _read(
    dataset: Dataset, split: Split, card: Card, settings: Settings
) -> tuple[int, float, Pictures | None, Texts | None, list[str]]:
    """The longest row that is read, the mean, how rows are shown and changed, and why."""
    if dataset.schema.modality == "text":
        tokens, mean_tokens, why = wording.length(
            dataset.fields(split.learners), card, settings.max_tokens)
        texts, why_changed = wording.changed(settings.augment, columns=len(dataset.schema.inputs))
        return tokens, mean_tokens, None, texts, [why, why_changed]
    if settings.max_tokens is not None:
        raise SettingError("--max-tokens cuts texts, and these rows are pictures; leave it out.")
    looks = [dataset.looks[row[0]] for row in dataset.fields(split.train)]
    labels = [label or "" for label in dataset.targets(split.train)]
    pictures, reasons = showing.shown(looks, labels, card, seed=settings.seed,
                                      asked=settings.augment)
    return card.max_tokens, float(showing.units(pictures.side)), pictures, None, list(reasons)


def _precision(
    machine: Machine, card: Card, pictures: Pictures | None
) -> tuple[str, Pictures | None, Pace | None, list[str]]:
    """bf16 or fp32, how pictures lie in memory, how long they take, and why."""
    if pictures is not None:
        found = _tried(card, pictures, machine)
        made = replace(pictures, layout=found.layout, folded=found.folded)
        return found.precision, made, found.pace, [f"{card.name}: {found.sentence}"]
    speed = machine.flops_bf16 / machine.flops_fp32
    measured = (f"measured {machine.flops_bf16 / 1e9:.0f} against {machine.flops_fp32 / 1e9:.0f} "
                f"GFLOP/s in fp32")
    why = f"Everything runs in fp32: bf16 is not faster here ({measured})."
    if machine.bf16:
        why = f"Matrix products run in bf16: {measured} on this machine ({speed:.1f}x)."
    return "bf16" if machine.bf16 else "fp32", None, None, [why]


def _tried(card: Card, pictures: Pictures, machine: Machine) -> "Tried":
    """What the network is fastest in, on the sample pictures of its encoder."""
    from fettle.engine.device import set_threads  # late: planning texts needs no torch
    from fettle.engine.trying import tried
    from fettle.models.network import open_network

    set_threads(machine.threads)
    encoder = ENCODERS[card.modality].fit(card, "", fields=("picture",), max_tokens=1,
                                          pictures=pictures)
    batch = encoder.collate(encoder.encode(encoder.samples() * 2))
    return tried(open_network(card), batch, bf16=machine.bf16)


def _in_steps(rung: Rung, rows: int) -> Rung:
    """With the epochs that make the steps which it needs, in batches of the size asked for."""
    if rung.strategy != "contrastive":
        return rung
    epochs = epochs_for(rows, int(rung.settings["batch_rows"]))
    return replace(rung, settings={**rung.settings, "epochs": epochs})


def settings_of(name: str, card: Card) -> dict[str, Setting]:
    """The strategy's defaults, with the rate of this width and the depth of this network."""
    settings = dict(DEFAULTS[name])
    if card.modality == "image":
        settings.update({name: value for name, value in OF_PICTURES.items() if name in settings})
        if name == "features":
            settings["poolings"] = card.pooling
    elif "rate" in settings:
        settings["rate"] = round(float(settings["rate"]) * min((WIDTH / card.width) ** 2, 1), 7)
    if "top_blocks" in settings:
        settings["top_blocks"] = max(round(card.blocks * SHARE_ON_TOP), 1)
    return settings


def _affordable(
    rungs: list[Rung], costs: list[Cost], budget: float | None
) -> tuple[list[Rung], list[Cost], list[str]]:
    """The rungs that fit the budget, in order of cost."""
    if budget is None:
        return rungs, costs, ["No budget was given: every rung is climbed."]
    kept: list[tuple[Rung, Cost]] = []
    spent = 0.0
    reasons = []
    for rung, cost in zip(rungs, costs, strict=True):
        left = max(budget - spent, 0.0)
        epochs = int(rung.settings.get("epochs", 0))
        fitting = int(epochs * left / cost.seconds)
        if cost.seconds > left and epochs and fitting >= FEWEST_EPOCHS:
            rung = Rung(rung.strategy, {**rung.settings, "epochs": fitting})
            cost = replace(cost, seconds=round(cost.seconds * fitting / epochs, 1))
            reasons.append(f"{cost.rung} gets {fitting} epochs instead of {epochs}: that fits the "
                           f"{left:.0f} s left of the budget.")
        if cost.seconds <= left or not kept:
            if cost.seconds > left:
                reasons.append(
                    f"{cost.rung} is the cheapest rung and is climbed, although its predicted "
                    f"{cost.seconds:.0f} s do not fit the budget of {budget:.0f} s."
                )
            kept.append((rung, cost))
            spent += cost.seconds
        else:
            reasons.append(
                f"{cost.rung} is left out: it would take about {cost.seconds:.0f} s, and "
                f"{left:.0f} s of the budget of {budget:.0f} s are left."
            )
    return [rung for rung, _ in kept], [cost for _, cost in kept], reasons
