"""The settings of a rung: what each may be, and what a person asked to have otherwise."""

from collections.abc import Mapping, Sequence
from math import inf

from fettle.core.errors import SettingError, unknown_name
from fettle.core.plan import Rung, Setting
from fettle.core.task import Task

__all__ = ["CHOICES", "handed_on", "require", "require_for", "with_asked"]

OWN = "own"
"""The pooling of a network of pictures, which does it by itself."""
CHOICES: dict[str, tuple[str, ...]] = {
    "poolings": ("mean", "cls", "max", OWN),
    "word_embeddings": ("frozen", "tuned"),
    "schedule": (
        "constant", "linear", "cosine", "one-cycle", "slanted", "cyclical", "restarts",
    ),
    "rate_by": ("plan", "find"),
    "head": ("linear", "mlp"),
    "kept": ("mean", "retrained"),
    "loss": ("plain", "weighted", "adjusted", "huber"),
    "stop_by": (
        "metric", "loss", "accuracy", "macro_f1", "macro_precision", "macro_recall", "r2",
        "spearman", "micro_f1", "ranking_precision", "subset_accuracy",
    ),
}
"""Settings that are names, and the names that they may be."""
SHARES = ("slower", "warmup", "dropout", "label_smoothing")
MOST = {"networks": 5, "cycles": 20}
"""Of counts that have a most: no more networks than folds."""
FROM_ZERO = ("reinit_top", "templates")
"""Counts of which there may be none."""
OF_CLASSES = {
    "contrastive": "it learns which rows are of one class",
}
"""Strategies that make no sense without classes, and why."""


def require(rung: Rung, known: Mapping[str, Setting]) -> None:
    """Return if every setting of a rung is there, known, and possible.

    Args:
        rung: as a plan has it.
        known: the settings of its strategy, and what they usually are.

    Raises:
        SettingError: what is wrong with which.
    """
    for name, value in rung.settings.items():
        if name not in known:
            raise unknown_name(f"setting of {rung.strategy}", name, known)
        usual, place = known[name], f"{rung.strategy}.{name} is {value!r} in the plan"
        if not _fits(value, usual, least=0 if name in FROM_ZERO else 1,
                     most=1 if name in SHARES else MOST.get(name, inf)):
            raise SettingError(f"{place}; such as {usual!r} is what it takes.")
        for one in str(value).split(",") if name in CHOICES else ():
            if one not in CHOICES[name]:
                raise unknown_name(f"{name} of {rung.strategy}", one, CHOICES[name])
        if name == "l2":
            _require_penalties(str(value), place)
    missing = sorted(set(known) - set(rung.settings))
    if missing:
        raise SettingError(
            f"The plan's rung {rung.strategy} does not say {missing[0]!r}, which it needs; "
            f"{known[missing[0]]!r} is the default."
        )


def require_for(rung: Rung, task: Task, modality: str) -> None:
    """Return if this task can be learned by the rung as it is set, from rows of this modality.

    Raises:
        SettingError: the strategy, its loss or what it stops by is of another task, or its pooling
            of another modality.
    """
    name = rung.strategy
    for pooling in str(rung.settings.get("poolings", "")).split(","):
        if pooling and (pooling == OWN) != (modality == "image"):
            raise SettingError(
                f"{name} pools by {pooling}, which no network of a {modality} does: it takes "
                f"{OWN if modality == 'image' else 'mean, cls and max, or some of them'}."
            )
    if task.name != "classification" and name in OF_CLASSES:
        raise SettingError(
            f"{name} cannot learn {task.name}: {OF_CLASSES[name]}. Leave it out of --rungs; top, "
            "lora and full learn it."
        )
    for key, able in (("loss", task.losses), ("stop_by", ("metric", "loss", *task.stops))):
        if key in rung.settings and rung.settings[key] not in able:
            raise SettingError(
                f"{key} {rung.settings[key]} makes no sense for {task.name}, which takes: "
                f"{', '.join(able)}."
            )
    if not task.classes and float(rung.settings.get("label_smoothing", 0.0)):
        raise SettingError(
            f"label_smoothing is spread over classes, and {task.name} has none. Leave it away."
        )


def with_asked(
    rungs: Sequence[Rung], asked: Mapping[str, Setting],
    defaults: Mapping[str, Mapping[str, Setting]],
) -> list[Rung]:
    """The rungs, each with what was asked for where its strategy has such a setting.

    Args:
        rungs: with their usual settings.
        asked: settings by name; a text stands for a number where the setting is one.
        defaults: the settings of every strategy.

    Raises:
        SettingError: no rung has such a setting, or it cannot be that.
    """
    everyone = {name for rung in rungs for name in rung.settings}
    for name in asked:
        if name not in everyone:
            known = {one for settings in defaults.values() for one in settings}
            if name not in known:
                raise unknown_name("setting of a rung", name, known)
            raise SettingError(
                f"{name} is asked for, and none of these rungs has it: "
                f"{', '.join(rung.strategy for rung in rungs)}. Name one that does with --rungs."
            )
    made = []
    for rung in rungs:
        own = {name: _as(value, defaults[rung.strategy][name]) for name, value in asked.items()
               if name in rung.settings}
        made.append(Rung(rung.strategy, {**rung.settings, **own}))
        require(made[-1], defaults[rung.strategy])
    return made


def handed_on(
    rungs: Sequence[str], before: Mapping[str, Setting], asked: Mapping[str, Setting],
    defaults: Mapping[str, Mapping[str, Setting]],
) -> tuple[dict[str, Setting], list[str]]:
    """What is asked for, with what was asked for before where some rung has it; and what became of
    that, one sentence each.

    Args:
        rungs: strategies that are to be climbed.
        before: settings that the version before was asked for, by name.
        asked: settings that are asked for now.
        defaults: the settings of every strategy.
    """
    able = {name for rung in rungs for name in defaults[rung]}
    taken = {name: value for name, value in before.items() if name in able and name not in asked}
    left = [name for name in before if name not in able and name not in asked]
    told = []
    if taken:
        told.append("Handed on from the version before, which was asked for it: "
                    f"{', '.join(f'{name} {value}' for name, value in taken.items())}.")
    if left:
        told.append(f"Not handed on, as none of these rungs has it: {', '.join(left)}.")
    return {**taken, **asked}, told


def _as(value: Setting, usual: Setting) -> Setting:
    """A text as a number, where the usual value is one; a text that is none stays one."""
    if isinstance(usual, str) or not isinstance(value, str):
        return float(value) if isinstance(usual, float) and type(value) is int else value
    try:
        return type(usual)(value)
    except ValueError:
        return value


def _fits(value: Setting, usual: Setting, *, least: int, most: float) -> bool:
    """Whether the value is of the usual one's kind: a text, a count, or a number."""
    if isinstance(value, str) or isinstance(usual, str):
        return isinstance(value, str) and isinstance(usual, str)
    counts = isinstance(usual, int)
    if isinstance(value, bool) or (counts and not isinstance(value, int)):
        return False
    return (least if counts else 0) <= value <= most and value < inf


def _require_penalties(text: str, place: str) -> None:
    try:
        fits = all(0 < float(one) < inf for one in text.split(","))
    except ValueError:
        fits = False
    if not fits:
        raise SettingError(f"{place}; positive numbers with commas between them are what it takes.")
