"""How long an answer takes: the kept model's latency at each batch size."""

from fettle.pages import words
from fettle.pages.blocks import Cell, Section, Story, Table, Text, number_cell

__all__ = ["latency"]


def latency(story: Story) -> Section | None:
    """Percentiles in milliseconds, rows a second and size; nothing where nothing was timed."""
    if not story.evaluation.latency:
        return None
    table = Table(
        "Latency of the kept model",
        ("rows at once", "median (p50), ms", "p95, ms", "p99, ms", "slowest, ms",
         "rows a second", "times measured"),
        tuple(
            (
                number_cell(words.count(one.batch)),
                number_cell(words.milliseconds(one.p50_seconds)),
                number_cell(words.milliseconds(one.p95_seconds)),
                _milliseconds(one.p99_seconds),
                _milliseconds(one.max_seconds),
                number_cell(words.count(round(one.batch / max(one.p50_seconds, 1e-9)))),
                number_cell(words.count(one.repeats)),
            )
            for one in story.evaluation.latency
        ),
    )
    note = (
        f"For all rows of a batch together, from {'picture' if story.plan.pictures else 'text'} to "
        "answer, preprocessing included, on the machine that trained, with "
        f"{words.count(story.plan.threads, 'thread')} in {words.clip(story.plan.precision)}. One "
        "caller at a time: under load, waiting adds to this."
    )
    size = () if not story.model_bytes else (
        Text(f"The model takes {words.size(story.model_bytes)} on the disk."),
    )
    return Section("latency", "How long an answer takes", (table, *size, Text(note, "muted")))


def _milliseconds(seconds: float | None) -> Cell:
    return number_cell(words.NONE if seconds is None else words.milliseconds(seconds))
