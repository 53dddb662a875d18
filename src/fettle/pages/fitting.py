"""Too little or too much by heart: train against test, when it began, what stopped it."""

from fettle.pages import words
from fettle.pages.blocks import Listing, Section, Story, Text, Tile, Tiles

__all__ = ["fitting"]

VERDICTS = {
    "overfits": "The kept model overfits: it knows its own rows much better than others.",
    "underfits": "The kept model underfits: it has not learned what its rows could teach.",
    "neither": "By the marks set here the kept model neither overfits nor underfits: its own rows "
               "come right less than 10 points more often than test rows, or chance could make "
               "the gap.",
}
NEITHER_OF_NUMBERS = (
    "By the marks set here the kept model neither overfits nor underfits: on test rows it is off "
    "by less than half as much again as on its own, or chance could make the gap."
)


def fitting(story: Story) -> Section | None:
    """The verdict with its two scores and the sentences that it rests on."""
    found = story.evaluation.fitting
    if found is None:
        return None
    tiles = [
        Tile(label, words.valued(score), words.under(score), more)
        for label, score, more in (
            ("on rows it learned from", found.train,
             f"{words.measure(found.train.name)}, a sample"),
            ("on test rows", found.test, words.measure(found.test.name)),
            *([("ceiling by contradicting twins", found.ceiling, "what labels allow")]
              if found.ceiling else []),
        )
    ]
    verdict = VERDICTS[found.verdict]
    if story.has_numbers and found.verdict == "neither":
        verdict = NEITHER_OF_NUMBERS
    return Section("fitting", "Too little, or too much by heart?", (
        Text(verdict), Tiles(tuple(tiles)),
        Listing((*(words.clip(one, 400) for one in found.sentences), found.stopped_by)),
    ))
