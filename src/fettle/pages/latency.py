"""How long an answer takes: the kept model's latency at each batch size."""

from fettle.pages import words
from fettle.pages.blocks import Section, Story, Table, Text, number_cell

__all__ = ["latency"]


def latency(story: Story) -> Section | None:
    """Median and 95th percentile in milliseconds; nothing where nothing was timed."""
    if not story.evaluation.latency:
        return None
    table = Table(
        "Latency of the kept model",
        ("rows at once", "median (p50), ms", "p95, ms", "times measured"),
        tuple(
            (
                number_cell(words.count(one.batch)),
                number_cell(words.milliseconds(one.p50_seconds)),
                number_cell(words.milliseconds(one.p95_seconds)),
                number_cell(words.count(one.repeats)),
            )
            for one in story.evaluation.latency
        ),
    )
    note = (
        "For all rows of a batch together, from text to answer, preprocessing included, on the "
        f"machine that trained, with {words.count(story.plan.threads, 'thread')} in "
        f"{words.clip(story.plan.precision)}. One caller at a time: under load, waiting adds to "
        "this."
    )
    return Section("latency", "How long an answer takes", (table, Text(note, "muted")))
