"""The flow chart of this run: from data to version, with its own numbers."""

from fettle.core.plan import Plan
from fettle.pages import words
from fettle.pages.blocks import Box, Flow, Section, Story, Text

__all__ = ["flow"]

RUNGS = 6
"""Drawn side by side at most; the ladder has every one."""
TONES = {"better": "good", "worse": "bad", "cannot tell": "warn"}


def flow(story: Story) -> Section:
    """Stations from top to bottom; what leaves the flow stands beside it, dashed."""
    lines = (_data(story), _audit(story), _split(story), _plan(story), _rungs(story),
             _test(story), _again(story), _made(story))
    note = "Dashed: rows that are not used. Every number is one of this run."
    chart = Flow("Flow chart of this run, from data to version",
                 tuple(line for line in lines if line))
    return Section("flow", "From data to version", (chart, Text(note, "muted")))


def _data(story: Story) -> tuple[Box, ...]:
    dataset = story.dataset
    columns = ", ".join(words.clip(name, 30) for name in dataset.schema.inputs)
    boxes = [Box("data", words.count(dataset.rows, "row"),
                 f"{words.public(dataset.name)}: {words.clip(dataset.schema.target or '', 30)} "
                 f"from {columns}")]
    if dataset.refused:
        boxes.append(Box("refused", words.count(len(dataset.refused), "record"),
                         "could not be read as rows", "aside"))
    return tuple(boxes)


def _audit(story: Story) -> tuple[Box, ...]:
    found = story.audit.findings
    worst = {str(one.severity) for one in found}
    boxes = [Box("audit", words.count(len(found), "finding"),
                 "nothing stops the run" if "blocker" not in worst else "with a blocker, allowed",
                 "warn" if worst & {"blocker", "warn"} else "")]
    left = {row for out in (*story.audit.left_out, *story.split.left_out) for row in out.rows}
    if left:
        boxes.append(Box("left out of fitting", words.count(len(left), "row"),
                         "each with its reason below", "aside"))
    return tuple(boxes)


def _split(story: Story) -> tuple[Box, ...]:
    split = story.split
    judged = (
        Box("tune", words.count(len(split.validation), "row"), "choose settings and the rung")
        if split.validation else
        Box("tune", "out of fold", "each training row judged by a model that has not seen it")
    )
    return (
        Box("teach", words.count(len(split.train), "row"), "weights are fitted on them"),
        judged,
        Box("judge", words.count(len(split.vault.sealed), "row"), "sealed until the end"),
    )


def _plan(story: Story) -> tuple[Box, ...]:
    plan = story.plan
    return (Box("pre-trained model", words.public(plan.model.rstrip("/").rsplit("/", 1)[-1]),
                f"{_size(plan)}, {words.clip(plan.precision)}, "
                f"seed{words.FIXED}{plan.seed}"),)


def _size(plan: Plan) -> str:
    if plan.pictures is not None:
        return f"{plan.pictures.side} by {plan.pictures.side} pixels"
    return f"{words.count(plan.max_tokens, 'token')} at most"


def _rungs(story: Story) -> tuple[Box, ...]:
    shown = story.run.rungs[:RUNGS]
    if story.run.kept not in {rung.name for rung in shown}:
        shown = (*shown[:-1], story.run.rung(story.run.kept))
    return tuple(
        Box(
            f"rung {words.contender(rung.name, 24)}"
            + (", kept" if rung.name == story.run.kept else ""),
            f"{words.valued(rung.validation)} in {words.duration(rung.seconds)}",
            f"{words.measure(rung.validation.name)}, {words.under(rung.validation)}",
            "accent" if rung.name == story.run.kept else "",
        )
        for rung in shown
    )


def _test(story: Story) -> tuple[Box, ...]:
    metric = story.evaluation.metric
    boxes = []
    for label, one in (("before", story.before), ("after", story.kept)):
        if one is not None:
            score = one.score(metric)
            boxes.append(Box(f"test, {label}", f"{words.measure(metric)} {words.valued(score)}",
                             words.under(score)))
    change = story.before.versus_kept if story.before is not None else None
    if change is not None:
        boxes.append(Box("difference, paired", f"{words.gained(change)}: {change.verdict}",
                         words.under_gain(change), TONES[change.verdict]))
    return tuple(boxes)


def _again(story: Story) -> tuple[Box, ...]:
    found = story.audit.afterwards
    if not found:
        return ()
    worst = {str(one.severity) for one in found}
    return (Box("audit of the features", words.count(len(found), "finding"),
                "it changes nothing in this run", "warn" if "warn" in worst else ""),)


def _made(story: Story) -> tuple[Box, ...]:
    calibration = story.evaluation.calibration
    heat = "numbers in the target's own unit" if story.has_numbers else (
        f"probabilities divided by temperature {calibration.temperature:.2f}"
        if calibration else "probabilities as they come"
    )
    return (Box("version", words.clip(story.plan.name, 40), heat, "accent"),)
