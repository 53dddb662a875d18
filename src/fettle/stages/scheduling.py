"""Scheduling: how often a name is to be looked after in, a timetable out, and what makes it happen.

Nothing is installed: the lines are for whoever runs the machine to take over.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from fettle.core.errors import SettingError

__all__ = ["Review", "crontab", "systemd", "timetable"]

MONTHS = (1, 2, 3, 4, 6, 12)
"""What a year can be divided into."""


@dataclass(frozen=True, slots=True)
class Review:
    """Something that comes round."""

    what: str
    every: int
    """Months; 0 is every day."""
    due: str
    """The next time, a date."""
    command: str
    """What does it; a person reads what it says."""
    person: str
    """What is left to a person."""


def timetable(
    name: str, *, published: datetime, today: datetime, data: int = 3, evaluation: int = 1,
    retraining: int = 6, registry: str = ".fettle",
) -> tuple[Review, ...]:
    """When a name is to be looked after next.

    Args:
        name: of the model.
        published: when its champion was.
        today: from which on the next dates are counted.
        data: months between reviews of the data; 3 to 6 is usual.
        evaluation: months between evaluations on new labels.
        retraining: months between retrainings; 6 to 12 is usual.
        registry: that the commands are to name: a whole path or a URL, or the one of every folder.

    Raises:
        SettingError: so many months do not divide a year.
    """
    for option, months in (("--data-review", data), ("--evaluation", evaluation),
                           ("--retraining", retraining)):
        if months not in MONTHS:
            raise SettingError(
                f"{option} is {months}; a number of months that divides a year is what it takes: "
                f"{', '.join(map(str, MONTHS))}."
            )
    quoted = shlex.quote(name)
    where = "" if registry == ".fettle" else f" --registry {shlex.quote(registry)}"
    return (
        Review("watch", 0, today.date().isoformat(),
               f"fettle watch {quoted} --journal --fail-on warn{where}",
               "looks where it ends with 3"),
        Review("evaluation", evaluation, _next(published, today, evaluation),
               f"fettle label suggest {quoted} --journal --count 100{where}",
               "labels them; then fettle evaluate and fettle watch"),
        Review("data review", data, _next(published, today, data),
               f"fettle watch {quoted} --journal --html review.html{where}",
               "reads the page; checks sources, labels and classes with fettle audit"),
        Review("retraining", retraining, _next(published, today, retraining),
               f"fettle retrain {quoted} reviewed.csv{where}",
               "reviews the labels before, and the gate's verdict after"),
    )


def crontab(
    reviews: tuple[Review, ...], *, folder: str, program: str = "fettle", hour: int = 6
) -> str:
    """The same as lines of a crontab; retraining stays a comment, for a person reviews labels.

    Args:
        reviews: the timetable.
        folder: where the commands run.
        program: fettle's own file: cron looks for programs in the system's folders alone.
        hour: of the day.
    """
    lines = ["# m h dom mon dow command"]
    for one in reviews:
        day, months = _days(one)
        when = f"0 {hour} {day} {','.join(map(str, months)) or '*'} *"
        mark = "# " if one.what == "retraining" else ""
        command = _whole(one.command, program).replace("%", r"\%")
        there = shlex.quote(folder).replace("%", r"\%")
        lines.append(f"{mark}{when} cd {there} && {command}  # {one.what}")
    return "\n".join(lines) + "\n"


def systemd(
    reviews: tuple[Review, ...], name: str, *, folder: str, program: str = "fettle"
) -> Mapping[str, str]:
    """A service and a timer for each, by file name; retraining is left to a person.

    Args:
        reviews: the timetable.
        name: of the model.
        folder: where the commands run.
        program: fettle's own file.
    """
    found = {}
    for one in reviews:
        if one.what == "retraining":
            continue
        unit = f"fettle-{name}-{one.what.replace(' ', '-')}"
        day, months = _days(one)
        when = "*-*-* 06:00" if not months else (
            f"*-{','.join(f'{month:02d}' for month in months)}-{int(day):02d} 06:00")
        command = _whole(one.command, program).replace("%", "%%").replace("$", "$$")
        found[f"{unit}.service"] = (
            f"[Unit]\nDescription={one.what} of {name}\n\n[Service]\nType=oneshot\n"
            f"WorkingDirectory={folder.replace('%', '%%')}\n"
            f"ExecStart=/usr/bin/env {command}\n"
        )
        found[f"{unit}.timer"] = (
            f"[Unit]\nDescription={one.what} of {name}\n\n[Timer]\nOnCalendar={when}\n"
            "Persistent=true\n\n[Install]\nWantedBy=timers.target\n"
        )
    return found


def _days(one: Review) -> tuple[str, list[int]]:
    """The day of the month on which it comes round, and the months; "*" and none: every day."""
    if not one.every:
        return "*", []
    due = date.fromisoformat(one.due)
    return str(due.day), sorted((due.month - 1 + months) % 12 + 1
                                for months in range(0, 12, one.every))


def _whole(command: str, program: str) -> str:
    """The command by the program's whole path."""
    return f"{shlex.quote(program)}{command.removeprefix('fettle')}"


def _next(published: datetime, today: datetime, every: int) -> str:
    """The first date from today on that lies a multiple of so many months after publishing."""
    start = published.date()
    months = every
    while True:
        year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
        due = start.replace(year=year, month=month + 1, day=min(start.day, 28))
        if due >= today.date():
            return due.isoformat()
        months += every
