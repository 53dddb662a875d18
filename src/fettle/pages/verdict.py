"""The verdict in three sentences: what was kept, whether it is better, where that may mislead."""

from fettle.core.evaluation import Contender
from fettle.core.score import Comparison
from fettle.pages import words
from fettle.pages.blocks import Section, Story, Text, Tile, Tiles

__all__ = ["headings", "sentences", "verdict"]

TONES = {"better": "good", "worse": "bad", "cannot tell": "warn"}


def verdict(story: Story) -> Section:
    """The three sentences, then the numbers that they rest on."""
    first, second, third = sentences(story)
    texts = (Text(first, "lead"), Text(second), Text(third))
    return Section("verdict", "Verdict", (*texts, Tiles(_tiles(story))))


def headings(story: Story) -> tuple[str, str]:
    """The word that stands over the report, and its tone."""
    comparison = _gain(story)
    if comparison is None:
        return "nothing to compare with", "muted"
    text = {
        "better": "better than before",
        "worse": "worse than before",
        "cannot tell": "cannot tell from before",
    }[comparison.verdict]
    return text, TONES[comparison.verdict]


def sentences(story: Story) -> tuple[str, str, str]:
    """What was kept; whether it is better; what this may be wrong about."""
    return _kept(story), _change(story), _doubt(story)


def _gain(story: Story) -> Comparison | None:
    return None if story.before is None else story.before.versus_kept


def _kept(story: Story) -> str:
    metric = story.evaluation.metric
    score = story.kept.score(metric)
    sentence = (
        f"Kept: {words.contender(story.kept.name)}{_of_hundred(story.kept, ', which gets')}, with "
        f"{words.measure(metric)} {words.scored(score)} on {words.count(score.rows, 'test row')}"
    )
    if story.before is None:
        return f"{sentence}."
    before = story.before.score(metric)
    return (
        f"{sentence}; the pre-trained model as it came ({words.contender(story.before.name)})"
        f"{_of_hundred(story.before, ' gets', brief=True) or ' had'} {words.scored(before)} on the "
        "same rows."
    )


def _of_hundred(one: Contender, verb: str, *, brief: bool = False) -> str:
    """The accuracy as a person counts it; nothing where answers are not right or wrong."""
    value = next((score.value for score in one.scores if score.name == "accuracy"), None)
    if value is None:
        return ""
    number = "over 99" if 0.995 <= value < 1 else f"about {100 * value:.0f}"
    return f"{verb} {number} right, with" if brief else f"{verb} {number} of 100 such rows right"


def _change(story: Story) -> str:
    comparison = _gain(story)
    if comparison is None:
        return (
            "No model was scored before training on these rows, so there is no paired difference "
            "to show."
        )
    opening = {
        "better": "That is better, by more than chance explains",
        "worse": "That is worse, by more than chance explains",
        "cannot tell": "Whether that is better cannot be told, since chance could explain it",
    }[comparison.verdict]
    holds = "leaves out zero" if comparison.verdict != "cannot tell" else "holds zero"
    if story.has_numbers:
        return (
            f"{opening}: the paired fall of the {words.measure(comparison.metric)} is "
            f"{words.gained(comparison)}, and its 95% interval, {_span(comparison)}, {holds}; it "
            "came nearer on "
            f"{words.count(comparison.wins, 'row')} and went further off on "
            f"{words.count(comparison.losses, 'row')} ({words.p_value(comparison.p)})."
        )
    if story.has_several:
        return (
            f"{opening}: the paired difference of the {words.measure(comparison.metric)} is "
            f"{words.gained(comparison)}, and its 95% interval, {_span(comparison)}, {holds}; it "
            "came nearer to "
            f"the labels of {words.count(comparison.wins, 'row')} and went further off those of "
            f"{words.count(comparison.losses, 'row')} ({words.tested(comparison)})."
        )
    return (
        f"{opening}: the paired difference is {words.gained(comparison)}, and its 95% interval, "
        f"{_span(comparison)}, {holds}; "
        f"{words.count(comparison.wins, 'row')} came right that had been wrong, "
        f"{words.count(comparison.losses, 'row')} went wrong that had been right "
        f"({words.tested(comparison)})."
    )


def _span(comparison: Comparison) -> str:
    return words.signed_interval(comparison.low, comparison.high, comparison.metric)


def _doubt(story: Story) -> str:
    evaluation = story.evaluation
    doubts = []
    baseline = story.best_baseline
    if baseline is not None and baseline.versus_kept is not None:
        rival = baseline.versus_kept
        if rival.verdict != "better":
            doubts.append(
                f"it {'is worse than' if rival.verdict == 'worse' else 'cannot be told from'} "
                f"the cheap baseline {words.contender(baseline.name)}, with a difference of "
                f"{words.marginal(rival)} on {words.count(rival.rows, 'row')}"
            )
    doubts += _of_data(story)
    lost = sum(one.lost for one in evaluation.slices)
    if lost:
        doubts.append(f"{words.count(lost, 'slice')} of the rows lost while the whole gained")
    if evaluation.smallest_gain is not None:
        doubts.append(
            f"{words.count(evaluation.rows, 'test row')} show {_a_gain(story)} of "
            f"{words.number(evaluation.smallest_gain, story.paired_by)} in only 4 of 5 cases, and "
            "a smaller one more rarely"
        )
    else:
        doubts.append(
            f"how small a gain {words.count(evaluation.rows, 'test row')} can show is not known"
        )
    looks = f"these rows have been opened {words.times(evaluation.openings)}"
    doubts.append(
        f"{looks}, as they should be" if evaluation.openings == 1
        else f"{looks}, and every look after the first flatters the model that looks best"
    )
    return f"Where this may mislead: {'; '.join(doubts)}."


def _of_data(story: Story) -> list[str]:
    """What the features say against the labels that were learned, and the rows that judged."""
    found = {one.check: one for one in story.audit.afterwards if one.severity == "warn"}
    doubts = []
    if "label_errors" in found:
        number = words.count(found["label_errors"].count, "label")
        doubts.append(f"about {number} that it learned from may be wrong")
    if "near_features" in found:
        rows = found["near_features"].count
        verb = "repeats" if rows == 1 else "repeat"
        doubts.append(f"{words.count(rows, 'test row')} nearly {verb} a row that it learned from")
    return doubts


def _a_gain(story: Story) -> str:
    if story.has_several:
        return "a gain in the mean F1 of rows"
    return "a fall of the mean absolute error" if story.has_numbers else "an accuracy gain"


def _tiles(story: Story) -> tuple[Tile, ...]:
    metric = story.evaluation.metric
    name = words.measure(metric)
    tiles = []
    for label, one in (("before", story.before), ("after", story.kept)):
        if one is not None:
            score = one.score(metric)
            tiles.append(Tile(
                name if story.before is None else f"{name} {label}",
                words.valued(score),
                words.under(score),
                words.contender(one.name),
                "accent" if label == "after" else "",
            ))
    comparison = _gain(story)
    if comparison is not None:
        tiles.append(Tile(
            f"paired fall, {words.measure(comparison.metric)}" if story.has_numbers else
            f"paired difference, {words.measure(comparison.metric)}" if story.has_several else
            "paired difference",
            words.gained(comparison),
            words.under_gain(comparison),
            f"{comparison.wins:,} won, {comparison.losses:,} lost, {words.p_value(comparison.p)}",
        ))
    baseline = story.best_baseline
    if baseline is not None:
        score = baseline.score(metric)
        tiles.append(Tile(
            "best baseline",
            words.valued(score),
            words.under(score),
            words.contender(baseline.name),
        ))
    return tuple(tiles)
