"""Characters: what a person does not see and a model does; letters that were decoded wrongly."""

import re
from collections.abc import Sequence

from fettle.checks.evidence import Evidence, Found, counted, finding
from fettle.core.audit import Finding, Severity

__all__ = ["characters"]

_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1b\x7f\x80-\x84\x86-\x9f]")
"""Without tab, line breaks and the separators that data sets carry on purpose."""
_LOST = re.compile("\ufffd")
_HIDDEN = re.compile("[\u200b\u2060\u2062-\u2064\ufeff\u00ad\u202a-\u202e\u2066-\u2069]")
"""Without the joiners of Persian, Hindi and emoji, and the marks of direction."""
_TWICE = re.compile("[\u00c2\u00c3][\u0080-\u00bf\u0152-\u0178\u2013-\u2122]"
                    "|\u00e2\u20ac[\u0153\u009d\u02dc\u2122\u00a6\u201c\u201d\u00a2\u0093\u0094]"
                    "|\u00f0\u0178")
"""What UTF-8 looks like when it was read as Windows-1252: the two letters of an umlaut, the three
of a quotation mark, the beginning of an emoji."""


def characters(evidence: Evidence) -> Found:
    """A warning on text that was decoded wrongly, a note on characters that nobody sees."""
    texts = ["\n".join(fields) for fields in evidence.dataset.fields()]
    findings = [
        *_garbled(evidence, texts),
        *_unseen(evidence, texts, _CONTROL, "control characters"),
        *_unseen(evidence, texts, _HIDDEN, "characters without width or direction marks"),
    ]
    return Found(tuple(findings))


def _garbled(evidence: Evidence, texts: Sequence[str]) -> list[Finding]:
    lost = [row for row, text in enumerate(texts) if _LOST.search(text)]
    twice = [row for row, text in enumerate(texts) if _TWICE.search(text)]
    findings = []
    if lost:
        sentence = (
            f"{counted(len(lost), 'row')} with the sign for a letter that could not be decoded "
            f"(\ufffd), {evidence.dataset.ids[lost[0]]} first."
        )
        remedy = "The letters are lost in this file: export it anew, in UTF-8."
        findings.append(finding(evidence, "characters", Severity.WARN, lost, (sentence, remedy)))
    if twice:
        example = _around(texts[twice[0]], _TWICE)
        sentence = (
            f"{counted(len(twice), 'row')} with letters that were decoded twice, such as "
            f"{example!r} in {evidence.dataset.ids[twice[0]]}."
        )
        remedy = "UTF-8 was read as Windows-1252 on the way here: export the file anew, in UTF-8."
        findings.append(finding(evidence, "characters", Severity.WARN, twice, (sentence, remedy)))
    return findings


def _unseen(
    evidence: Evidence, texts: Sequence[str], which: re.Pattern[str], what: str
) -> list[Finding]:
    rows = [row for row, text in enumerate(texts) if which.search(text)]
    if not rows:
        return []
    match = which.search(texts[rows[0]])
    assert match is not None
    sentence = (
        f"{counted(len(rows), 'row')} with {what}, such as U+{ord(match[0]):04X} in "
        f"{evidence.dataset.ids[rows[0]]}."
    )
    remedy = "They are used as they stand. Remove them if they come from a copy or an export."
    return [finding(evidence, "characters", Severity.NOTE, rows, (sentence, remedy))]


def _around(text: str, which: re.Pattern[str]) -> str:
    match = which.search(text)
    assert match is not None
    return text[max(match.start() - 8, 0) : match.end() + 8]
