"""The page of a watch: what arrived, what of it has drifted, how well the version does now."""

from typing import TYPE_CHECKING

from fettle.core.drift import Called, Decision, Drift, Estimate, Judged, Signal, State, Window
from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Cell,
    Figure,
    Listing,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
    number_cell,
    score_cell,
)
from fettle.pages.document import sheet
from fettle.pages.drawing import ACCENT, BAD, MUTED, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["watched"]

HEADINGS = {
    "blocker": ("does worse", "bad"), "warn": ("drifted", "warn"), "note": ("look again", "warn"),
    "": ("no drift", "good"),
}
TONES = {"drift": "bad", "suspected": "warn", "steady": "good", "not enough": "muted"}
UNITS = {
    "numbers": "standard deviations", "categories": "of the shares moved",
    "newcomers": "of the rows", "embedding": "area under the curve",
    "labels": "of the rows, of the label that moved most",
}


def watched(drift: Drift, decision: Decision | None = None) -> str:
    """One HTML page that opens offline; the same Drift gives the same bytes."""
    sections = [
        _verdict(drift, decision), _signals(drift), _windows(drift), _performance(drift),
        *((_labels(drift),) if drift.labels else ()),
        Section("notes", "What this cannot tell", (Listing(
            tuple(words.clip(one, 400) for one in drift.notes)),)),
    ]
    heading = HEADINGS[drift.severity]
    if not drift.severity and all(one.state == "not enough" for one in drift.states):
        heading = ("too few rows", "muted")
    return sheet(
        sections, name=drift.version,
        subtitle=f"{words.count(drift.rows, 'row')} of {words.public(drift.data)}, compared with "
                 f"the {words.count(drift.reference)} test rows of the version",
        heading=heading, kicker=("fettle watch", "version", words.clip(drift.version, 80)),
    )


def _verdict(drift: Drift, decision: Decision | None) -> Section:
    blocks: list[Block] = [Text(words.clip(drift.sentence, 300), "lead")]
    last = drift.windows[-1].estimate
    blocks.append(Tiles((
        Tile(
            f"{words.measure(drift.at_release.name)} at release",
            words.valued(drift.at_release),
            words.under(drift.at_release),
        ),
        *(() if last is None else (Tile(
            f"{words.measure(last.metric)} now, estimated", words.number(last.value),
            words.spanned(last.low, last.high, last.rows), "without labels, last window",
            "bad" if last.fallen else "",
        ),)),
        *(Tile(
            f"{words.measure(one.score.name)} now, {_stream(one)}", words.valued(one.score),
            words.under(one.score), one.verdict,
            "bad" if one.verdict == "fallen" else "",
        ) for one in drift.judged),
    )))
    if decision is not None:
        blocks.append(Text(f"What to do: {decision.action}."))
        blocks.append(Listing(tuple(words.clip(one, 400) for one in decision.reasons)))
    return Section("verdict", "In short", tuple(blocks))


def _signals(drift: Drift) -> Section:
    """Every signal in the last window that has it, the drifted ones first."""
    order = {"drift": 0, "suspected": 1, "steady": 2, "not enough": 3}
    lines = []
    for state in sorted(drift.states, key=lambda one: order[one.state]):
        last = next(
            signal for window in reversed(drift.windows) for signal in window.signals
            if signal.name == state.signal
        )
        lines.append((
            Cell(words.clip(state.signal, 40)),
            Cell(state.state, _since(drift, state), tone=TONES[state.state]),
            number_cell(words.number(last.effect), f"{UNITS[last.kind]}, from {last.floor:g}"),
            number_cell(words.p_value(last.p)),
            number_cell(words.count(last.rows), _enough(last)),
            Cell(words.clip(last.told, 160)),
        ))
    return Section("signals", "What was watched", (
        Table("Signals", ("signal", "", "effect", "p, adjusted", "rows", "what changed"),
              tuple(lines)),
        Text(
            "Each signal of a window is tested against the version's own test rows; p is adjusted "
            "for all of them (Benjamini and Hochberg, 1%). An alarm also needs the effect that is "
            "named, and counts as drift once two of the last three windows raised it.", "muted",
        ),
    ))


def _since(drift: Drift, state: State) -> str:
    if state.since is None:
        return ""
    window = drift.windows[state.since]
    return f"since {words.clip(window.begun or window.first, 40)}"


def _enough(signal: Signal) -> str:
    if signal.alarm is not None:
        return f"of {words.count(signal.reference)} before"
    if signal.needed is None:
        return f"{words.count(signal.reference)} test rows are too few for any window"
    return f"{words.count(signal.needed)} would be enough"


def _windows(drift: Drift) -> Section:
    lines = tuple(
        (
            number_cell(str(number + 1)),
            Cell(words.clip(window.begun or window.first, 40), words.clip(window.last, 40)),
            number_cell(words.count(window.rows)),
            Cell(", ".join(words.clip(one, 30) for one in window.alarms) or words.NONE),
            *(() if window.estimate is None else (
                number_cell(words.number(window.estimate.value),
                            words.interval(window.estimate.low, window.estimate.high),
                            "bad" if window.estimate.fallen else ""),)),
        )
        for number, window in enumerate(drift.windows)
    )
    blocks: list[Block] = []
    if len(drift.windows) > 1 and drift.promised is not None:
        blocks.append(_figure(drift, drift.promised))
    head: tuple[str, ...] = ("", "from, to", "rows", "alarms")
    if drift.promised is not None:
        head = (*head, f"{words.measure(drift.promised.metric)}, estimated")
    blocks.append(Table("Windows", head, lines))
    return Section("windows", "Window by window", tuple(blocks))


def _performance(drift: Drift) -> Section:
    promised, measure = drift.promised, words.measure(drift.at_release.name)
    told = "" if promised is None else (
        " What its probabilities promise of each window is moved by what they were wrong by there; "
        f"{words.measure(promised.metric)} was {words.number(promised.value)}."
    )
    article = "an" if measure[:1] in "aeiou" else "a"
    blocks: list[Block] = [Text(
        f"On its test rows the version had {article} {measure} of "
        f"{words.scored(drift.at_release)}.{told}"
    )]
    if drift.judged:
        blocks.append(Table(
            f"{measure[:1].upper()}{measure[1:]} by labels that came later",
            ("labels", measure, "at any number of looks", ""),
            tuple(_judged(one) for one in drift.judged),
        ))
    else:
        blocks.append(Text("No label came: nothing here shows a change of what labels mean."))
    return Section("performance", "How well it does now", tuple(blocks))


def _labels(drift: Drift) -> Section:
    """Every label by itself, the one whose share moved most first."""
    moved = sorted(drift.labels, key=lambda one: -abs(one.now - one.before))
    return Section("labels", "Label by label", (
        Table(
            "Labels",
            ("label", "given then", "given now", "F1 on the test rows", "F1 now, estimated"),
            tuple(_label(one) for one in moved),
        ),
        Text(
            "Given: the share of rows in which the label is called, of the test rows and of the "
            "last window. Whether these shares moved is tested for all labels together (the signal "
            "predictions). F1 now is what the probabilities of the last window promise, moved by "
            "what they were wrong by on the test rows; it is not estimated for a label that fewer "
            "than ten test rows have, and no alarm hangs on a single label.", "muted",
        ),
    ))


def _label(one: Called) -> tuple[Cell, ...]:
    expected = one.expected
    return (
        Cell(words.clip(one.label, 40)),
        number_cell(words.share(one.before)),
        number_cell(words.share(one.now)),
        score_cell(one.at_release),
        number_cell(words.NONE) if expected is None else number_cell(
            words.number(expected.value), words.interval(expected.low, expected.high),
            "bad" if expected.fallen else ""),
    )


def _judged(one: Judged) -> tuple[Cell, ...]:
    return (
        Cell(_stream(one)),
        score_cell(one.score),
        number_cell(words.NONE if one.low is None or one.high is None
                    else words.interval(one.low, one.high, one.score.name)),
        Cell(one.verdict, tone="bad" if one.verdict == "fallen" else ""),
    )


def _stream(one: Judged) -> str:
    return {"all": "all rows", "audit": "rows drawn at random",
            "user": "rows that users sent, a biased sample"}[one.stream]


def _figure(drift: Drift, promised: Estimate) -> Figure:
    title = f"Estimated {words.measure(promised.metric)} and alarms, window by window."
    svg = draw("windows", title, lambda canvas: _paint(canvas, drift, promised), width=760,
               height=280)
    return Figure(svg, "Bars: three standard errors of the estimate. Line: on the test rows. "
                       "Hollow: a window in which some signal raised an alarm.", title)


def _paint(canvas: "Canvas", drift: Drift, promised: Estimate) -> None:
    axes = canvas.add_subplot()
    plain_axes(axes, grid="y")
    axes.axhline(promised.value, color=MUTED, linewidth=1.5, linestyle=(0, (4, 3)))
    for number, window in enumerate(drift.windows, start=1):
        _mark(axes, number, window)
    axes.set_xticks(range(1, len(drift.windows) + 1))
    axes.set_xlabel("window")
    axes.set_ylabel(words.measure(promised.metric))


def _mark(axes: "Axes", number: int, window: Window) -> None:
    one = window.estimate
    assert one is not None, "windows are drawn where something was estimated"
    color = BAD if one.fallen else ACCENT
    axes.plot([number] * 2, [one.low, one.high], color=color, linewidth=2)
    axes.plot([number], [one.value], "o", color=color, markersize=8,
              fillstyle="none" if window.alarms else "full")
