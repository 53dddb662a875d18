"""Planning: what to train and how, with a reason for each choice and what it will take.

A Plan depends on the learning rows, the model and the machine, never on a test row.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fettle.core.dataset import Dataset
from fettle.core.errors import SettingError, unknown_name
from fettle.core.parts import Card
from fettle.core.plan import Cost, Machine, Pictures, Plan, Rung, Setting
from fettle.core.settings import Settings
from fettle.core.split import Split
from fettle.core.task import Task
from fettle.engine import costs
from fettle.engine.costs import Size
from fettle.modalities import ENCODERS, showing
from fettle.strategies import DEFAULTS, STRATEGIES
from fettle.strategies.contrastive import epochs_for
from fettle.strategies.settings import require, require_for, with_asked
from fettle.tasks import TASKS
from fettle.tasks.making import task_of

__all__ = ["check", "name_of", "plan", "settings_of"]

RUNGS = ("features", "top", "full")
RUNGS_OF_LARGE = ("features", "top", "lora")
LARGE = 300_000_000
"""Weights from which LoRA takes the place of full fine-tuning: below it saves no time (adapters
are small products) and no memory that is scarce."""
SHARE_ON_TOP = 1 / 3
"""Of the blocks, that `top` tunes."""
MODALITIES = tuple(ENCODERS)
PRECISIONS = ("fp32", "bf16")
MOST_TOKENS = 256
GAIN = 1.1
"""Times as fast that a network of pictures must be in bf16 to run in it."""
LENGTH_SAMPLE = 2_000
WIDTH = 384
"""Full fine-tuning's rate is measured at this width; wider networks take (384 / width)^2 of it,
which gives the field's usual 4e-5 at 768 and 2e-5 at 1,024."""
OF_PICTURES: dict[str, Setting] = {"rate": 3e-4}
"""Settings that pictures take in place of those of texts, whatever the network's width."""
FEWEST_EPOCHS = 2
TOKENS_A_CHARACTER = 0.25
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
    reasons = list(dataset.schema.reasons) + list(split.notes)
    asked, metric, why = TASKS[dataset.schema.task].proposed(
        dataset.targets(split.learners), dataset.targets(split.train))
    reasons.append(why)
    tokens, mean_tokens, pictures, why_shown = _read(dataset, split, card, settings.seed)
    reasons += why_shown
    precision, why = _precision(machine, card, pictures)
    reasons.append(why)
    reasons += [] if machine.calm else [BUSY]
    cache_limit = CACHE_LIMIT if settings.cache_limit is None else settings.cache_limit
    size = Size(len(split.learners), mean_tokens, asked.outputs, 1 if split.validation else 6)
    rungs, predicted = _rungs(settings, asked, card, size, peak=machine.flops(precision),
                              cache_limit=cache_limit)
    rungs, kept_costs, why_rungs = _affordable(rungs, predicted, settings.budget_seconds)
    if card.kept_blocks:
        reasons.append(f"The network is used up to block {card.kept_blocks}, as asked: what is "
                       "above is left away, in training and in serving.")
    reasons += why_rungs + _rung_reasons(rungs, len(split.learners))
    reasons += _unused_reasons(rungs, settings.asked)
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
        precision=precision,
        threads=machine.threads,
        math_below=machine.math_below(precision),
        keep_blocks=card.kept_blocks,
        seed=settings.seed,
        budget_seconds=settings.budget_seconds,
        cache_limit=cache_limit,
        name=name_of(settings, dataset),
        reading=replace(
            settings.reading, target=dataset.schema.target, inputs=dataset.schema.inputs,
            label_separator=dataset.schema.several,
        ),
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
    least = min(3, card.max_tokens)  # a text has a first and a last token
    if not least <= given.max_tokens <= card.max_tokens:
        raise SettingError(
            f"max_tokens is {given.max_tokens} in the plan; {card.name} takes {least} to "
            f"{card.max_tokens}."
        )
    if given.pictures is not None:
        showing.require(given.pictures, card)
    if given.threads < 1:
        raise SettingError(f"threads is {given.threads} in the plan; 1 is the fewest.")
    _require_rungs([rung.strategy for rung in given.rungs])
    for rung in given.rungs:
        require(rung, DEFAULTS[rung.strategy])
        require_for(rung, asked)
    return given


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


def _rungs(
    settings: Settings, task: Task, card: Card, size: Size, *, peak: float, cache_limit: int
) -> tuple[list[Rung], list[Cost]]:
    """The rungs to climb, the features first and then from the cheapest, and what each costs.

    The others start from the features and from the solved head.
    """
    names = settings.rungs or (RUNGS_OF_LARGE if card.parameters > LARGE else RUNGS)
    _require_rungs(names)
    rungs = with_asked(
        [Rung(name, settings_of(name, card)) for name in names], settings.asked, DEFAULTS
    )
    rungs = [_in_steps(rung, size.rows) if "epochs" not in settings.asked else rung
             for rung in rungs]
    for rung in rungs:
        require_for(rung, task)
    predicted = {
        rung.strategy: costs.predicted(
            rung, STRATEGIES[rung.strategy](rung.settings), _size(size, rung), card, peak=peak,
            cache_limit=cache_limit,
        )
        for rung in rungs
    }
    rungs.sort(key=lambda one: (one.strategy != "features", predicted[one.strategy].seconds))
    return rungs, [predicted[rung.strategy] for rung in rungs]


def _size(size: Size, rung: Rung) -> Size:
    """Of the rung: k networks on all but a k-th of the rows, and one on all, cost what k do."""
    if size.networks == 1 or "networks" not in rung.settings:
        return size
    return replace(size, networks=int(rung.settings["networks"]))


def name_of(settings: Settings, dataset: Dataset) -> str:
    """Of the versions: what was asked for, or the file's stem without what no name holds."""
    return settings.name or re.sub(r"[^\w. -]+", "-", dataset.name).strip("-. ") or "model"


def _read(
    dataset: Dataset, split: Split, card: Card, seed: int
) -> tuple[int, float, Pictures | None, list[str]]:
    """The longest row that is read, the mean, how pictures are shown, and why."""
    if dataset.schema.modality == "text":
        tokens, mean_tokens, why = _length(dataset, split, card)
        return tokens, mean_tokens, None, [why]
    looks = [dataset.looks[row[0]] for row in dataset.fields(split.train)]
    labels = [label or "" for label in dataset.targets(split.train)]
    pictures, reasons = showing.shown(looks, labels, card, seed=seed)
    return card.max_tokens, float(showing.units(pictures.side)), pictures, list(reasons)


def _length(dataset: Dataset, split: Split, card: Card) -> tuple[int, float, str]:
    """The longest text in tokens that is read, and the mean, both estimated from characters."""
    rows = split.learners[:: max(len(split.learners) // LENGTH_SAMPLE, 1)]
    sizes = sorted(sum(map(len, row)) * TOKENS_A_CHARACTER + 2 for row in dataset.fields(rows))
    most = min(card.max_tokens, MOST_TOKENS)
    longer = sum(size > most for size in sizes) / len(sizes)
    mean = sum(min(size, most) for size in sizes) / len(sizes)
    return most, mean, (
        f"Texts are read up to {most} tokens: {card.name} allows {card.max_tokens}, and about "
        f"{longer:.1%} of the texts are longer and are cut."
    )


def _precision(machine: Machine, card: Card, pictures: Pictures | None) -> tuple[str, str]:
    if pictures is not None and machine.bf16:
        gain = _tried(card, pictures, machine)
        return ("bf16" if gain >= GAIN else "fp32"), (
            f"{card.name} runs in {'bf16' if gain >= GAIN else 'fp32'}: in bf16 it was "
            f"{gain:.1f} times as fast here on a few pictures, and {GAIN} is asked for."
        )
    speed = machine.flops_bf16 / machine.flops_fp32
    measured = (
        f"measured {machine.flops_bf16 / 1e9:.0f} against {machine.flops_fp32 / 1e9:.0f} "
        f"GFLOP/s in fp32"
    )
    if machine.bf16:
        return "bf16", f"Matrix products run in bf16: {measured} on this machine ({speed:.1f}x)."
    return "fp32", f"Everything runs in fp32: bf16 is not faster here ({measured})."


def _tried(card: Card, pictures: Pictures, machine: Machine) -> float:
    """How many times as fast the network is in bf16, on the sample pictures of its encoder."""
    from fettle.engine.device import set_threads  # late: planning texts needs no torch
    from fettle.engine.trying import gain_of_bf16
    from fettle.models.network import open_network

    set_threads(machine.threads)
    encoder = ENCODERS[card.modality].fit(card, "", fields=("picture",), max_tokens=1,
                                          pictures=pictures)
    batch = encoder.collate(encoder.encode(encoder.samples() * 2))
    return gain_of_bf16(open_network(card), batch)


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


def _rung_reasons(rungs: list[Rung], rows: int) -> list[str]:
    """Why each rung's settings are what they are."""
    return [_rung_reason(rung, rows) for rung in rungs]


def _unused_reasons(rungs: Sequence[Rung], asked: Mapping[str, Setting]) -> list[str]:
    """For each setting that was asked for: the rungs that have no such setting."""
    without = {name: [rung.strategy for rung in rungs if name not in rung.settings]
               for name in asked}
    return [f"{name} {asked[name]} was asked for; without such a setting: {', '.join(names)}."
            for name, names in without.items() if names]


def _rung_reason(rung: Rung, rows: int) -> str:
    settings = rung.settings
    if rung.strategy == "features":
        return (
            "features: the backbone runs once over each row; pooling and the head's L2 are chosen "
            "on validation, and the head is solved once more on all learning rows."
        )
    if rung.strategy == "contrastive":
        return (
            f"contrastive: all blocks are tuned on every pair of rows in batches of "
            f"{settings['batch_rows']}, at rate {settings['rate']:g} over {settings['epochs']} "
            f"epochs of {rows:,} rows (30 steps, and one more for ten rows); then the head is "
            "solved. It is made for 8 to 64 rows a class."
        )
    return (
        f"{rung.strategy}: {_who_learns(rung)} at rate {settings['rate']:g} for the top "
        f"block, {settings['slower']:g} of that for each block below, "
        f"{settings['head_rate']:g} for the head, over at most {settings['epochs']} "
        f"epochs of {rows:,} rows {_how(rung)}, stopped when validation has not "
        f"improved for {settings['patience']} epochs."
    )


def _how(rung: Rung) -> str:
    """The schedule, and what else was asked to be other than usual."""
    usual, told = DEFAULTS[rung.strategy], []
    for name in ("loss", "label_smoothing", "stop_by"):
        if rung.settings[name] != usual[name]:
            told.append(f", {name.replace('_', ' ')} {rung.settings[name]}")
    return f"with warm-up and the schedule {rung.settings['schedule']}{''.join(told)}"


def _who_learns(rung: Rung) -> str:
    all_blocks = "the solved head is tuned with all blocks"
    return {
        "l2sp": f"{all_blocks}, which are pulled back to where they began (L2-SP),",
        "wise": f"{all_blocks}; then validation chooses a point between start and end (WiSE-FT);",
        "ema": f"{all_blocks}, and a moving average of the weights is tried,",
        "soup": f"{all_blocks}, and the best epochs are averaged where that does no harm,",
        "bitfit": "of the network only the biases are tuned, with the solved head,",
        "scratch": "a network of the same architecture learns from random weights, for comparison,",
        "full": "the solved head is tuned with all blocks (LP-FT)",
        "top": f"the solved head is tuned with the last {rung.settings.get('top_blocks')} blocks; "
        "what is below runs once for each row and is replayed,",
        "gradual": "the solved head is tuned with the last block, and one more block wakes in each "
        "epoch,",
        "lora": f"adapters of rank {rung.settings.get('rank')} beside every linear map are tuned "
        "with the solved head",
    }.get(rung.strategy, "tuned from the solved head")
