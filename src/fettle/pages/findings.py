"""What was wrong with the data: each finding with its remedy, and every row that was not used."""

from collections.abc import Iterable, Sequence

from fettle.core.audit import Finding, Severity
from fettle.core.dataset import Refused
from fettle.pages import words
from fettle.pages.blocks import Block, Notice, Section, Story, Text

__all__ = ["findings"]

SHOWN = 5
"""Row ids that stand open under a finding."""
LISTED = 200
"""Row ids on the page at most for one reason; audit.json and split.json hold every one."""

BADGES = {
    Severity.BLOCKER: ("blocker", "bad"),
    Severity.WARN: ("warning", "warn"),
    Severity.NOTE: ("note", "muted"),
}


def findings(story: Story) -> Section:
    """Blockers first, then warnings, then notes; then the rows that were left out or refused."""
    blocks: list[Block] = [Text(_summary(story))]
    blocks += [_notice(one) for one in _worst_first(story.audit.findings)]
    blocks += _left_out(story)
    blocks += _by_reason("dropped", "row", "", story.dataset.dropped)
    blocks += _by_reason(
        "refused", "record", "Could not be read as rows: ", story.dataset.refused
    )
    blocks += _afterwards(story)
    return Section("data", "What was wrong with the data", tuple(blocks))


def _worst_first(found: Iterable[Finding]) -> list[Finding]:
    order = list(BADGES)
    return sorted(found, key=lambda one: order.index(one.severity))


def _afterwards(story: Story) -> list[Block]:
    """What the frozen features showed, once training was done."""
    if not story.audit.afterwards:
        return []
    text = (
        "Seen in the features of the frozen model, once training was done: nothing in this run "
        "follows from it, and it is worth mending before the next."
    )
    return [Text(text), *(_notice(one) for one in _worst_first(story.audit.afterwards))]


def _summary(story: Story) -> str:
    rows = words.count(story.dataset.rows, "row")
    if not story.audit.findings:
        return f"The audit looked at {rows} and found nothing to report."
    parts = []
    for severity, (badge, _) in BADGES.items():
        number = sum(one.severity is severity for one in story.audit.findings)
        if number:
            parts.append(words.count(number, badge))
    return f"The audit looked at {rows} and found {' and '.join(parts)}."


def _notice(found: Finding) -> Notice:
    badge, tone = BADGES[found.severity]
    ids = _ids(found.rows)
    hidden = found.count - len(found.rows)
    return Notice(
        badge,
        tone,
        f"{words.clip(found.check)} · {words.count(found.count)}",
        words.clip(found.sentence, 600),
        words.clip(found.remedy, 600) if found.remedy else "",
        ids[:SHOWN],
        ids[SHOWN:],
        f"and {hidden:,} more, which the audit counted" if found.rows and hidden > 0 else "",
    )


def _left_out(story: Story) -> list[Block]:
    """Rows kept out of fitting, whether the audit or the split said so."""
    reasons = dict.fromkeys((*story.audit.left_out, *story.split.left_out))
    return [
        _unused("left out", f"{words.clip(left.check)} · {words.count(len(left.rows), 'row')}",
                f"Not used for fitting: {words.clip(left.reason, 600)}",
                [story.dataset.ids[row] for row in left.rows])
        for left in reasons
        if left.rows
    ]


def _by_reason(badge: str, what: str, lead: str, records: Iterable[Refused]) -> list[Block]:
    """Records that are not among the rows, by reason."""
    places: dict[str, list[str]] = {}
    for record in records:
        places.setdefault(record.reason, []).append(record.place)
    return [
        _unused(badge, words.count(len(named), what), lead + words.clip(reason, 600), named)
        for reason, named in places.items()
    ]


def _unused(badge: str, title: str, text: str, named: Sequence[str]) -> Notice:
    ids = _ids(named[:LISTED])
    hidden = len(named) - len(ids)
    unlisted = f"and {hidden:,} more, listed in the run folder" if hidden else ""
    return Notice(badge, "muted", title, text, "", ids[:SHOWN], ids[SHOWN:], unlisted)


def _ids(named: Sequence[str]) -> tuple[str, ...]:
    return tuple(words.clip(name, 60) for name in named)
