"""Words: numbers, names and other people's text as a report writes them, the same everywhere.

User text is cleaned and clipped here and escaped by whoever prints it (jinja2, ElementTree, the
card). Nothing here computes anything but how a value reads.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath

from fettle.core import score as scores
from fettle.core.plan import Setting
from fettle.core.score import Comparison, Score

__all__ = [
    "NONE",
    "clean",
    "clip",
    "contender",
    "count",
    "duration",
    "gained",
    "interval",
    "marginal",
    "measure",
    "milliseconds",
    "number",
    "p_value",
    "percent",
    "points",
    "public",
    "ratio",
    "scored",
    "setting",
    "settings",
    "share",
    "signed",
    "signed_interval",
    "size",
    "spanned",
    "speed",
    "tested",
    "times",
    "under",
    "under_gain",
    "valued",
]

NONE = scores.NONE
"""Stands where there is nothing to say: not measured, not finite, not done."""

FIXED = "\u00a0"
"""A space at which no line breaks."""

CONTENDERS = {
    "zero_shot": "zero-shot by label names",
    "nearest_mean": "nearest class mean",
    "nearest_means": "nearest label means",
    "majority": "majority class",
    "commonest_set": "commonest set of labels",
    "tfidf": "TF-IDF + logistic regression",
    "tfidf_ridge": "TF-IDF + ridge regression",
    "pixels_ridge": "ridge regression on pixels",
    "mean": "mean of the learning rows",
    "nearest_rows": "mean of the ten nearest rows",
    "pixels": "logistic regression on pixels",
}
"""What is said of a contender whose name alone would not tell; a rung goes by its own name."""

MEASURES = {
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "spearman": "Spearman's correlation",
    "row_f1": "mean F1 of rows",
}
"""What is said of a score whose name alone would not tell."""

TESTS = {"mae": "by turned signs", "row_f1": "exact sign test"}
"""How differences of values that are not right or wrong are tested, by their name."""

DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of the text after them: they never reach a page."""

JOINERS = "\u200d\ufe0e\ufe0f"
"""Characters that mean nothing at the end of a clipped text."""


def clean(text: str) -> str:
    """The text on one line; what cannot be shown, or would turn its neighbours, becomes �."""
    line = " ".join(text.split())
    return "".join("�" if _is_unshowable(character) else character for character in line)


def clip(text: str, most: int = 60) -> str:
    """The cleaned text, cut visibly to at most so many characters; it turns no neighbour."""
    line = clean(text)
    if not line:
        return "(empty)"
    if len(line) > most:
        line = line[: most - 1].rstrip(JOINERS + " ") + "…"
    is_turning = any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in line)
    return f"\u2068{line}\u2069" if is_turning else line


def public(place: str) -> str:
    """A hub name as it is; of a folder or file on somebody's machine, only the last part."""
    is_path = place.startswith(("/", "~", ".")) or "\\" in place or place[1:2] == ":"
    if is_path:
        place = PurePosixPath(PureWindowsPath(place).as_posix()).name or place[:1]
    return clip(place, 80)


def number(value: float, name: str = "") -> str:
    """As everywhere: three decimals; from a thousand on none; by its name, four figures."""
    return scores.number(value, name)


def signed(value: float, name: str = "") -> str:
    """A number behind a true plus or minus sign; no sign before zero."""
    text = scores.signed(value, name)
    return f"−{text[1:]}" if text.startswith("-") else text


def percent(value: float) -> str:
    """A share as a person says it: 12.5%, 100%."""
    if not math.isfinite(value):
        return NONE
    return f"{100 * value:.1f}".removesuffix(".0") + "%"


def points(value: float) -> str:
    """A difference of shares in hundredths, behind a true sign: +1.2 points."""
    text = f"{abs(100 * value):.1f}"
    sign = "" if text == "0.0" else "+" if value > 0 else "−"
    return f"{sign}{text} points"


def interval(low: float, high: float, name: str = "") -> str:
    """From low to high, of a score of this name."""
    return f"{number(low, name)} to {number(high, name)}"


def signed_interval(low: float, high: float, name: str = "") -> str:
    """From low to high, of a difference."""
    return f"{signed(low, name)} to {signed(high, name)}"


def valued(score: Score) -> str:
    """0.912: the score alone."""
    return number(score.value, score.name)


def under(score: Score) -> str:
    """What stands under a score: its interval and rows, 0.895 to 0.927 · n 1,240."""
    return spanned(score.low, score.high, score.rows, score.name)


def scored(score: Score) -> str:
    """0.912 (0.895 to 0.927): a score in a sentence, which says the rows itself."""
    return f"{valued(score)} ({interval(score.low, score.high, score.name)})"


def gained(comparison: Comparison) -> str:
    """+0.138: the difference alone."""
    return signed(comparison.difference, comparison.metric)


def under_gain(comparison: Comparison) -> str:
    """What stands under a difference: its interval and rows."""
    span = signed_interval(comparison.low, comparison.high, comparison.metric)
    return f"{span} · n{FIXED}{comparison.rows:,}"


def marginal(comparison: Comparison) -> str:
    """+0.138 (+0.112 to +0.163): a difference in a sentence."""
    span = signed_interval(comparison.low, comparison.high, comparison.metric)
    return f"{gained(comparison)} ({span})"


def count(value: int, thing: str = "", things: str = "") -> str:
    """1,240; or 1 row, 1,240 rows, where the thing is named."""
    if not thing:
        return f"{value:,}"
    return f"{value:,} {thing if value == 1 else things or thing + 's'}"


def spanned(low: float, high: float, rows: int, name: str = "") -> str:
    """An interval and its rows, 0.895 to 0.927 · n 1,240."""
    return f"{interval(low, high, name)} · n{FIXED}{rows:,}"


def times(value: int) -> str:
    """Once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(value, f"{value:,} times")


def duration(seconds: float) -> str:
    """Seconds as a person says them: 0.42 s, 12.3 s, 4 min 05 s, 2 h 07 min."""
    if not math.isfinite(seconds):
        return NONE
    if seconds < 9.95:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def milliseconds(seconds: float) -> str:
    """Milliseconds with three figures that mean something: 4.21, 38.5, 1,240."""
    value = seconds * 1000
    if not math.isfinite(value):
        return NONE
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def size(amount: int) -> str:
    """Bytes in the decimal units that disks are sold by: 812 MB, 1.24 GB."""
    if amount <= 0:
        return NONE
    if amount < 1_000_000:
        return f"{amount / 1e3:,.0f} kB"
    return f"{amount / 1e6:,.0f} MB" if amount < 1_000_000_000 else f"{amount / 1e9:,.2f} GB"


def speed(flops: float) -> str:
    """Floating-point operations a second: 512 GFLOP/s, 1.24 TFLOP/s."""
    if not math.isfinite(flops):
        return NONE
    return f"{flops / 1e12:,.2f} TFLOP/s" if flops >= 1e12 else f"{flops / 1e9:,.3g} GFLOP/s"


def ratio(value: float) -> str:
    """How many times as much: 0.88×, 1.32×, 24×."""
    if not math.isfinite(value):
        return NONE
    return f"{value:.2f}×" if value < 9.995 else f"{value:,.0f}×"


def share(value: float) -> str:
    """A share of one in percent: 54%."""
    return f"{value:.0%}" if math.isfinite(value) else NONE


def p_value(p: float) -> str:
    """With its sign: p < 0.001, or p = 0.042."""
    if not math.isfinite(p):
        return f"p = {NONE}".replace(" ", FIXED)
    return ("p < 0.001" if p < 0.001 else f"p = {p:.3f}").replace(" ", FIXED)


def tested(comparison: Comparison) -> str:
    """By what the difference was tested, with its p."""
    if comparison.metric in TESTS:
        of = "" if comparison.groups is None else f" of {count(comparison.groups, 'group')}"
        return f"{TESTS[comparison.metric]}{of}, {p_value(comparison.p)}"
    if comparison.groups is None:
        return f"exact McNemar {p_value(comparison.p)}"
    return f"exact over the signs of {count(comparison.groups, 'group')}, {p_value(comparison.p)}"


def measure(name: str) -> str:
    """A score's name in words: macro F1."""
    return MEASURES.get(name) or clip(name.replace("_", " ").replace("f1", "F1"), 40)


def contender(name: str, most: int = 40) -> str:
    """A contender's name in words."""
    return CONTENDERS.get(name) or clip(name, most)


def settings(values: Mapping[str, Setting]) -> str:
    """Settings on one line: pooling mean · l2 0.01 · epoch 3."""
    parts = [f"{clip(name, 24).replace('_', ' ')} {setting(v)}" for name, v in values.items()]
    return " · ".join(parts) or NONE


def setting(value: Setting) -> str:
    """One setting: yes or no, four figures, or the text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else clip(str(value), 40)


def _is_unshowable(character: str) -> bool:
    """Control, surrogate and non-characters, which XML forbids, and turners of direction."""
    return (
        character in DIRECTIONS
        or unicodedata.category(character) in ("Cc", "Cs")
        or re.match("[\ufdd0-\ufdef\ufffe\uffff]", character) is not None
    )
