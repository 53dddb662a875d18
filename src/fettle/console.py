"""The console: what a person sees while fettle works. With `cli` the only place that prints.

Progress and findings go to standard error; what a command gives goes to standard output.
"""

import codecs
import sys
from collections.abc import Generator, Iterable
from dataclasses import replace
from io import TextIOWrapper
from types import TracebackType
from typing import Any, TypeVar

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from fettle.core import audit, dataset, evaluation, plan, progress, run, split, version
from fettle.core.compared import Compared
from fettle.core.score import Comparison, figures, number, signed

__all__ = [
    "Watcher", "compared", "error", "evaluated", "findings", "message", "plain", "predictions",
    "speak_utf8", "table", "verdict",
]

Noun = TypeVar("Noun")
ERRORS = Console(stderr=True, highlight=False, soft_wrap=True)
RESULTS = Console(highlight=False, soft_wrap=True)
COLORS = {"blocker": "bold red", "warn": "yellow", "note": "dim"}
VERDICTS = {"pass": "green", "cannot tell": "yellow", "fail": "bold red"}
SHOWN_FINDINGS = 12
SHOWN_CLASSES = 20


class Watcher:
    """Draws a story as it is told; a plain line for each noun where there is no terminal."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=ERRORS,
        )
        self._tasks: dict[str, TaskID] = {}
        self._ladder = _Ladder()
        self.below = Group(self._ladder, self._bars)
        """What is drawn below the lines that stand."""
        self._live = Live(self.below, console=ERRORS, transient=True)

    def __enter__(self) -> "Watcher":
        if ERRORS.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def watch(self, story: Iterable[Any]) -> None:
        """Draw every event until the story ends."""
        for event in story:
            self.show(event)

    def finish(self, story: Generator[Any, None, Noun]) -> Noun:
        """Draw every event, and give back what the story returns."""
        while True:
            try:
                self.show(next(story))
            except StopIteration as end:
                return end.value

    def show(self, event: Any) -> None:
        """One event."""
        if isinstance(event, progress.Progress):
            self._bar(event)
            return
        self._ladder.hear(event)
        text = _sentence(event)
        if text:
            ERRORS.print(text)
        if isinstance(event, audit.Audit):
            again = replace(event, findings=event.afterwards, left_out=())
            is_second = bool(event.afterwards or event.near_twins)
            findings(again if is_second else event, console=ERRORS, most=SHOWN_FINDINGS)

    def _bar(self, event: progress.Progress) -> None:
        task = self._tasks.get(event.what)
        if task is None:
            for old in self._tasks.values():
                self._bars.update(old, visible=False)
            task = self._bars.add_task(event.what, total=event.total, unit=event.unit)
            self._tasks[event.what] = task
        self._bars.update(task, completed=event.done, total=event.total)


class _Ladder:
    """The rungs as they are climbed, below what was said and above the bars."""

    def __init__(self) -> None:
        self._predicted: dict[str, float] = {}
        self._done: dict[str, run.RungResult] = {}
        self._left_out: set[str] = set()
        self._epoch: run.Epoch | None = None
        """The last of the rung that is climbed."""

    def hear(self, event: Any) -> None:
        """What changes the table; the kept rung ends it."""
        match event:
            case plan.Plan():
                self._predicted = {cost.rung: cost.seconds for cost in event.predicted}
                self._done, self._left_out, self._epoch = {}, set(), None
            case run.Epoch():
                self._epoch = event
            case run.RungResult():
                self._done[event.name], self._epoch = event, None
            case progress.Note(left_out=name) if name:
                self._left_out.add(name)
            case run.Run():
                self._predicted = {}

    def __rich__(self) -> Table | str:
        if not self._predicted:
            return ""
        drawn = Table("rung", "", "seconds", "predicted", "validation", box=None, padding=(0, 2))
        over = {*self._done, *self._left_out}
        climbed = next((name for name in self._predicted if name not in over), None)
        for name, seconds in self._predicted.items():
            state, taken, score = "waits", "", ""
            if name in self._done:
                one = self._done[name]
                state, taken, score = "done", f"{one.seconds:.0f}", str(one.validation)
            elif name in self._left_out:
                state = "left out"
            elif name == climbed:
                state = "under way" if self._epoch is None else f"epoch {self._epoch.number} done"
                if self._epoch is not None and self._epoch.validation_score is not None:
                    score = f"{number(self._epoch.validation_score)} so far"
            drawn.add_row(escape(name), state, taken, f"{seconds:.0f}", escape(score))
        return drawn


def _sentence(event: Any) -> str:
    """What one noun says for itself, in a line."""
    match event:
        case progress.Note():
            return f"[cyan]note[/]  {escape(event.sentence)}"
        case dataset.Dataset():
            inputs = ", ".join(event.schema.inputs)
            return (
                f"[bold]read[/]  {event.rows:,} rows of {escape(event.name)}: "
                f"{escape(event.schema.target or '')} from {escape(inputs)}"
            )
        case audit.Audit() if event.afterwards or event.near_twins:
            return f"[bold]audit[/] of the features: {len(event.afterwards)} findings"
        case audit.Audit():
            return f"[bold]audit[/] {len(event.findings)} findings"
        case split.Split():
            return (
                f"[bold]split[/] {len(event.train):,} train, {len(event.validation):,} validation, "
                f"{len(event.vault.sealed):,} test rows in the vault"
            )
        case plan.Plan():
            costs = ", ".join(f"{c.rung} about {c.seconds:.0f} s" for c in event.predicted)
            line = f"[bold]plan[/]  {event.id}: {costs}; {event.precision}; {escape(event.model)}"
            cuts = [reason for reason in event.reasons if "of the budget" in reason]
            return "\n".join([line, *(f"      {escape(cut)}" for cut in cuts)])
        case run.Epoch():
            return _epoch(event)
        case run.RungResult():
            return (
                f"[bold]rung[/]  {event.name}: validation {escape(str(event.validation))} "
                f"in {event.seconds:.1f} s"
            )
        case run.Repeat():
            return (
                f"[bold]seed[/]  {event.seed}, {event.rung}: validation "
                f"{escape(str(event.validation))} in {event.seconds:.1f} s"
            )
        case run.Run():
            kept = f"[bold]keep[/]  {event.kept}. {escape(event.why)}"
            return kept if event.spread is None else (
                f"{kept}\n[bold]seeds[/] {escape(event.spread.sentence)}")
        case evaluation.Evaluation():
            return _evaluation(event)
        case version.Report():
            return f"[bold]report[/] {escape(event.html)}"
        case version.Version():
            return f"[bold]version[/] {escape(event.id)} in {escape(event.folder)}"
    return ""


def _epoch(event: run.Epoch) -> str:
    judged = ""
    if event.validation_score is not None and event.validation_loss is not None:
        judged = (
            f", validation loss {number(event.validation_loss)}, "
            f"score {number(event.validation_score)}"
        )
    return (
        f"[dim]epoch {event.number}: train loss {number(event.train_loss)}{judged}, "
        f"{event.seconds:.1f} s[/]"
    )


def _evaluation(event: evaluation.Evaluation) -> str:
    kept = event.contender(event.kept)
    lines = [f"[bold]test[/]  {event.kept}: {escape(str(kept.scores[0]))}"]
    if event.before is not None:
        before = event.contender(event.before)
        against = before.versus_kept
        lines.append(f"      before ({before.name}): {escape(str(before.scores[0]))}")
        if against is not None:
            lines.append(
                f"      after against before{_measured(against)}: "
                f"{escape(_gained(against))}, {against.wins:,} rows won, "
                f"{against.losses:,} lost, p {against.p:.2g}: {against.verdict}"
            )
    for one in event.contenders:
        if one.kind == "baseline":
            lines.append(f"      {one.name}: {escape(str(one.scores[0]))}")
    lines += [f"      [dim]{escape(note)}[/]" for note in event.notes]
    return "\n".join(lines)


def _gained(one: Comparison) -> str:
    """The difference with its interval."""
    value, low, high = (signed(end, one.metric) for end in (one.difference, one.low, one.high))
    return f"{value} [{low}, {high}]"


def _measured(against: Comparison) -> str:
    """By what two models are compared, where that is not the score above."""
    return "" if against.metric in ("accuracy", "mae") else f", {against.metric.replace('_', ' ')}"


def findings(
    found: audit.Audit, *, console: Console = RESULTS, most: int | None = None
) -> None:
    """Every finding, or so many, the worst first; then the rows that are left out."""
    order = {"blocker": 0, "warn": 1, "note": 2}
    ordered = sorted(found.findings, key=lambda f: order[f.severity])
    for one in ordered[:most]:
        color = COLORS[one.severity]
        console.print(f"  [{color}]{one.severity:7}[/] {escape(one.check)}: {escape(one.sentence)}")
        if one.severity != "note":
            console.print(f"          {escape(one.remedy)}", style="dim")
    if len(ordered) > len(ordered[:most]):
        console.print(f"  and {len(ordered) - len(ordered[:most])} more, in the report")
    for left in found.left_out:
        console.print(
            f"  [yellow]left out[/] {len(left.rows):,} rows ({escape(left.check)}): "
            f"{escape(left.reason)}"
        )


def evaluated(made: evaluation.Evaluation) -> None:
    """A version's scores on new rows."""
    for score in made.contender(made.kept).scores:
        RESULTS.print(str(score), markup=False)
    for note in made.notes:
        RESULTS.print(note, markup=False)


def compared(made: Compared) -> None:
    """What changed between two runs, then their scores, then the paired differences."""
    table("", ["changed", made.first, made.second],
          ([one.what, one.first, one.second] for one in made.changes))
    table("", ["score", made.first, made.second],
          ([one.name.replace("_", " "), str(one), str(other)] for one, other in made.scores))
    for one in filter(None, (made.comparison, made.macro_f1)):
        message(
            f"{one.metric.replace('_', ' ')}: {_gained(one)}, {one.wins:,} rows won, "
            f"{one.losses:,} lost of {one.rows:,}, "
            f"p {one.p:.2g}: {one.verdict}"
        )
    moved = [one for one in made.classes if one.wins or one.losses]
    if not made.classes:  # of numbers there are none
        return
    table("", ["class", "recall", "rows won", "rows lost", "rows", "p, adjusted"],
          ([one.metric, signed(one.difference), one.wins, one.losses, one.rows, f"{one.p:.2g}"]
           for one in moved[:SHOWN_CLASSES]))


def predictions(answers: Iterable[version.Prediction], texts: Iterable[str]) -> None:
    """One line an answer."""
    for answer, text in zip(answers, texts, strict=True):
        short = " ".join(text.split())
        short = short if len(short) <= 70 else short[:67] + "..."
        RESULTS.print(f"{_said(answer)}  {short}", markup=False)


def _said(answer: version.Prediction) -> str:
    """A class with its probability; labels, each with its own; a number with its interval."""
    if answer.labels is not None:
        told = [f"{one} ({answer.probabilities[one]:.2f})" for one in answer.labels]
        return ", ".join(told) or "(no label)"
    if isinstance(answer.value, str):
        return f"{answer.value}  ({answer.confidence:.2f})"
    if answer.interval is None:
        return figures(answer.value)
    low, high = answer.interval
    return f"{figures(answer.value)}  ({figures(low, 4)} to {figures(high, 4)})"


def plain(answer: version.Prediction) -> dict[str, object]:
    """One answer as JSON has it: a class with its confidence, a list of labels with their
    probabilities, or a number with its interval."""
    if answer.labels is not None:
        each = {name: round(value, 6) for name, value in answer.probabilities.items()}
        return {"id": answer.id, "value": list(answer.labels),
                "confidence": round(answer.confidence or 0.0, 6), "probabilities": each,
                "version": answer.version}
    sure: dict[str, object] = {"interval": answer.interval} if answer.confidence is None else {
        "confidence": round(answer.confidence, 6)}
    return {"id": answer.id, "value": answer.value, **sure, "version": answer.version}


def verdict(made: version.Verdict) -> None:
    """Every gate with its value and its threshold, and what they come to."""
    drawn = Table("gate", "", "value", "90% interval", "may be", "")
    for gate in made.gates:
        value = "" if gate.value is None else signed(gate.value)
        between = "" if gate.low is None or gate.high is None else (
            f"{signed(gate.low)} to {signed(gate.high)}")
        limit = f"{'from' if gate.threshold < 0 else 'to'} {signed(gate.threshold)}"
        drawn.add_row(
            escape(gate.name), f"[{VERDICTS[gate.verdict]}]{gate.verdict}[/]", value, between,
            limit, escape(gate.sentence),
        )
    if made.gates:
        RESULTS.print(f"{made.challenger} against {made.champion} on {made.rows:,} test rows",
                      markup=False)
        RESULTS.print(drawn)
    for note in made.notes:
        RESULTS.print(note, markup=False)
    RESULTS.print(made.sentence, markup=False)
    if made.promoted:
        forced = f", forced: {made.reason}" if made.forced else ""
        RESULTS.print(f"{made.challenger} is champion now{forced}.", markup=False)
    else:
        RESULTS.print(f"{made.champion} stays champion.", markup=False)


def table(title: str, columns: list[str], rows: Iterable[Iterable[object]]) -> None:
    """A plain table."""
    drawn = Table(*columns, title=title or None, title_justify="left")
    for row in rows:
        drawn.add_row(*(escape(str(cell)) for cell in row))
    RESULTS.print(drawn)


def speak_utf8() -> None:
    """Say every letter, where the locale knows of ASCII alone (LC_ALL=C) too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and codecs.lookup(stream.encoding).name == "ascii":
            stream.reconfigure(encoding="utf-8")


def message(text: str) -> None:
    """A line on standard output, as it stands."""
    sys.stdout.write(text.rstrip("\n") + "\n")


def error(text: str) -> None:
    """A line on standard error, as it stands."""
    ERRORS.print(text, markup=False, style="red" if ERRORS.is_terminal else None)
