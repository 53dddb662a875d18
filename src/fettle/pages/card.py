"""The model card: what the model is for, what it learned from, how good it is, and its limits.

Markdown behind a YAML head that model hubs read. No row's text stands in it; what a user named is
escaped, so that no label becomes markup.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

from fettle.core.evaluation import Contender
from fettle.core.score import Score
from fettle.pages import words
from fettle.pages.blocks import Story
from fettle.pages.honesty import standing
from fettle.pages.verdict import sentences

if TYPE_CHECKING:
    from yaml import SafeDumper, ScalarNode

__all__ = ["card", "literal"]

HUB_METRICS = {
    "accuracy": ("accuracy", {}),
    "macro_precision": ("precision", {"average": "macro"}),
    "macro_recall": ("recall", {"average": "macro"}),
    "macro_f1": ("f1", {"average": "macro"}),
    "r2": ("r_squared", {}),
    "spearman": ("spearmanr", {}),
}
"""What the hub calls each score, and its arguments."""

LABELS = 100
"""Classes named on the card at most."""


def card(story: Story) -> str:
    """The whole card."""
    sections = (_opening(story), _use(story), _data(story), _evaluation(story), _limits(story),
                _how(story))
    return f"---\n{_head(story)}---\n\n" + "\n\n".join(sections) + "\n"


def literal(text: str) -> str:
    """Text as Markdown shows it and never reads it: no tag, link, emphasis or mathematics."""
    text = re.sub(r"([\\`*_{}\[\]#!|~$@])", r"\\\1", text)
    text = re.sub(r":(?=//)|(?<=www)\.", r"\\\g<0>", text, flags=re.IGNORECASE)
    text = re.sub(r"^(\d{0,9})([-+=.)])", r"\1\\\2", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _head(story: Story) -> str:
    """The YAML that hubs index."""
    import yaml

    dataset = words.public(story.dataset.name)
    values = {
        "license": "unknown",
        "library_name": "fettle",
        "base_model": words.public(story.plan.model).partition("@")[0],
        "pipeline_tag": "text-classification",
        "tags": ["fettle", "regression" if story.has_numbers else "text-classification",
                 "fine-tuned"],
        "metrics": list(dict.fromkeys(_hub(score)["type"] for score in story.kept.scores)),
        "model-index": [{
            "name": words.clip(story.plan.name),
            "results": [{
                "task": {"type": "text-classification",
                         "name": "Regression" if story.has_numbers else "Text classification"},
                "dataset": {
                    "type": re.sub(r"[^\w.-]+", "-", dataset).strip("-.") or "data",
                    "name": dataset,
                    "split": "test",
                    "revision": story.evaluation.test[:12],
                },
                "metrics": [_hub(score) for score in story.kept.scores],
            }],
        }],
    }
    text = yaml.dump(
        values, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=10_000
    )
    return text.replace("<", r"\x3C").replace(">", r"\x3E").replace("](", r"]\x28")


@cache
def _dumper() -> "type[SafeDumper]":
    """Puts every text that could be read as markup in double quotes, where escapes are allowed."""
    from yaml import SafeDumper

    class Quoting(SafeDumper):
        """A SafeDumper of our own, so that nobody else's changes."""

    def represent(dumper: SafeDumper, text: str) -> "ScalarNode":
        style = '"' if re.search(r"[<>]|\]\(", text) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Quoting.add_representer(str, represent)
    return Quoting


def _hub(score: Score) -> dict[str, object]:
    kind, arguments = HUB_METRICS.get(score.name, (score.name, {}))
    interval = f"95% interval {words.interval(score.low, score.high, score.name)}"
    entry: dict[str, object] = {
        "type": kind,
        "value": float(f"{score.value:.6g}"),
        "name": f"{words.measure(score.name)} ({interval}, {words.count(score.rows, 'row')})",
    }
    return entry | ({"args": dict(arguments)} if arguments else {})


def _opening(story: Story) -> str:
    return (
        f"# {literal(words.clip(story.plan.name))}\n\n"
        f"{_what(story)}, "
        f"made by fettle from {literal(words.public(story.plan.model))} by the rung "
        f"{literal(words.clip(story.run.kept))}. The report beside this card, `report.html`, has "
        "every number with its reasons."
    )


def _what(story: Story) -> str:
    if story.has_numbers:
        target = literal(words.clip(story.dataset.schema.target or words.NONE))
        return f"A model that predicts the number {target} of {_things(story)}"
    return f"A classifier of {_things(story)} into {story.answers}"


def _use(story: Story) -> str:
    if story.has_numbers:
        return _use_of_numbers(story)
    classes = story.plan.classes
    names = ", ".join(literal(words.clip(label, 40)) for label in classes[:LABELS])
    more = f", and {len(classes) - LABELS:,} more" if len(classes) > LABELS else ""
    into, answers = (
        (", giving these labels",
         "It gives a row every label whose probability reaches that label's threshold: several, or "
         "none") if story.has_several else
        (" into these classes",
         "It always answers with one of them, also for a row that belongs to none"))
    return (
        "## Intended use\n\n"
        f"Sorting {_things(story)} like those it was tuned on{into}: "
        f"{names}{more}. {answers}. {_limit(story)} It is not meant "
        f"to decide about people alone, nor for {_things(story)} of another kind or origin than "
        "its rows."
    )


def _use_of_numbers(story: Story) -> str:
    unit, found = story.plan.unit, story.evaluation.residuals
    assert unit is not None
    around = (
        " In 9 of 10 cases the truth should lie within "
        f"{words.number(found.half_width, 'mae')} of the answer, up or down."
        if found is not None and found.half_width is not None else ""
    )
    return (
        "## Intended use\n\n"
        f"Predicting a number for {_things(story)} like those it was tuned on, whose numbers have "
        f"a mean of {words.number(unit.mean, 'mae')} and a standard deviation of "
        f"{words.number(unit.spread, 'mae')}.{around} It always answers with a number, also for a "
        f"row of another kind. {_limit(story)} It is not meant to decide about people alone."
    )


def _things(story: Story) -> str:
    return "pictures" if story.plan.modality == "image" else "texts"


def _limit(story: Story) -> str:
    if story.plan.pictures is not None:
        side = story.plan.pictures.side
        return f"Of each picture the middle is read, at {side} by {side} pixels."
    return f"Texts are cut after {words.count(story.plan.max_tokens, 'token')}."


def _data(story: Story) -> str:
    split, schema = story.split, story.dataset.schema
    columns = ", ".join(literal(words.clip(name)) for name in schema.inputs) or "none"
    validation = (
        f"{words.count(len(split.validation))} for validation"
        if split.validation
        else "none set aside for validation (choices were made out of fold)"
    )
    left_out = {row for one in (*story.audit.left_out, *split.left_out) for row in one.rows}
    found = len(story.audit.findings) + len(story.audit.afterwards)
    return (
        "## Training data\n\n"
        f"{words.count(story.dataset.rows, 'row')} of "
        f"{literal(words.public(story.dataset.name))}: {words.count(len(split.train))} for "
        f"training, {validation}, {words.count(len(split.vault.sealed))} for the test; "
        f"{words.count(len(left_out))} left out of fitting. Inputs: {columns}; target: "
        f"{literal(words.clip(schema.target or words.NONE))}. The audit made "
        f"{words.count(found, 'finding')}. No row's text is in this card or in the report. "
        f"Fingerprint of the rows: `{words.clip(story.audit.dataset, 80)}`."
    )


def _evaluation(story: Story) -> str:
    columns: list[tuple[str, Contender | None]] = [
        ("kept", story.kept), ("before", story.before), ("best baseline", story.best_baseline),
    ]
    present = [(label, one) for label, one in columns if one is not None]
    head = " | ".join(f"{label}: {literal(words.contender(one.name))}" for label, one in present)
    lines = [
        f"| {literal(words.measure(score.name))} | "
        + " | ".join(_scored(one, score.name) for _, one in present) + " |"
        for score in story.kept.scores
    ]
    table = "\n".join([f"| score | {head} |", "|---" * (len(present) + 1) + "|", *lines])
    told = " ".join(literal(sentence) for sentence in sentences(story))
    return (
        f"## Evaluation\n\n{told}\n\n{table}\n\n"
        f"In brackets: 95% intervals, on {words.count(story.evaluation.rows, 'test row')} that "
        "chose nothing."
    )


def _scored(one: Contender, name: str) -> str:
    found = next((score for score in one.scores if score.name == name), None)
    return words.NONE if found is None else words.scored(found)


def _limits(story: Story) -> str:
    licence = (
        "fettle does not know the license: that of the pre-trained model and the rights to the "
        "rows decide it. Put it into the first line of this card before sharing the model."
    )
    return "## Limits\n\n" + "\n".join(f"- {literal(line)}" for line in (*standing(story), licence))


def _how(story: Story) -> str:
    name = story.plan.name
    plain = name if re.fullmatch(r"[\w][\w.-]{0,80}", name, flags=re.ASCII) else "NAME"
    return (
        "## How to use\n\n"
        f'```sh\nfettle predict {plain} "a text to sort"\n'
        f"fettle versions {plain}\n```\n\n"
        f"`{plain}` alone is the champion; `{plain}@N` is version N. Plan "
        f"`{story.plan.id}`, seed {story.plan.seed}, pre-trained weights "
        f"`{words.clip(story.plan.weights, 80)}`."
    )
