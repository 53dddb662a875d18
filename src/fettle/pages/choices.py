"""The plan: every choice with its reason, and what each rung was set to."""

from fettle.pages import words
from fettle.pages.blocks import Block, Cell, Facts, Listing, Section, Story, Table, Text

__all__ = ["choices"]


def choices(story: Story) -> Section:
    """Why each choice was made, and what was set."""
    plan = story.plan
    own = words.public(plan.model)  # of a folder on somebody's machine, the name alone
    reasons = tuple(words.clip(reason.replace(plan.model, own), 600) for reason in plan.reasons)
    facts = Facts((
        ("model", Cell(words.public(plan.model))),
        ("task", Cell(f"{words.clip(plan.modality)} {words.clip(plan.task)}, "
                      f"{story.answers}")),
        ("chosen and stopped by", Cell(words.measure(plan.metric))),
        ("longest text", Cell(words.count(plan.max_tokens, "token"))) if plan.pictures is None else
        ("pictures", Cell(f"{plan.pictures.side} by {plan.pictures.side} pixels, augmentation "
                          f"{words.clip(plan.pictures.augment)}, "
                          f"{'mirrored' if plan.pictures.flip else 'not mirrored'}")),
        ("precision, threads", Cell(f"{words.clip(plan.precision)}, {plan.threads}")),
        ("seed", Cell(str(plan.seed))),
    ))
    opening: Block = (
        Listing(reasons) if reasons else Text("The plan was given as it is; it states no reasons.")
    )
    table = Table(
        "Settings of each rung",
        ("rung", "settings"),
        tuple(
            (Cell(words.contender(rung.strategy)), Cell(words.settings({
                name: value for name, value in rung.settings.items()
                if plan.pictures is None or name != "word_embeddings"
            })))
            for rung in plan.rungs
        ),
    )
    tables = (table,) if plan.rungs else ()
    return Section("plan", "The plan and its reasons", (opening, facts, *tables))
