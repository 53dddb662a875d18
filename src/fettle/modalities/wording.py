"""Wording: the learning texts in, how they are to be read and changed out, and why."""

from collections.abc import Sequence

from fettle.core.errors import SettingError
from fettle.core.parts import Card
from fettle.core.plan import Texts
from fettle.modalities.asked import asked_for

__all__ = ["changed", "length", "require", "require_readable"]

MOST_TOKENS = 256
LENGTH_SAMPLE = 2_000
TOKENS_A_CHARACTER = 0.25
CHANGES = ("deletion", "swap", "mask")
NONE = (
    "Texts are not changed in training: words that are left out, moved, put in or replaced, all "
    "four together, helped small recurrent and convolutional networks, by 0.8 points on whole sets "
    "and 3 on 500 rows, and the authors expect little of it where a network is pre-trained (Wei "
    "and Zou, 2019). `--augment deletion=0.1` tries it."
)


def length(
    rows: Sequence[tuple[str, ...]], card: Card, asked: int | None = None
) -> tuple[int, float, str]:
    """The longest text in tokens that is read, the mean as estimated from characters, and why.

    Args:
        rows: that are learned from.
        card: of the model.
        asked: `--max-tokens`.

    Raises:
        SettingError: the model cannot read so few or so many.
    """
    usual = min(card.max_tokens, MOST_TOKENS)
    most = usual if asked is None else asked
    require_readable(most, card, "--max-tokens is")
    some = rows[:: max(len(rows) // LENGTH_SAMPLE, 1)]
    sizes = sorted(sum(map(len, row)) * TOKENS_A_CHARACTER + 2 for row in some)
    longer = sum(size > most for size in sizes) / len(sizes)
    mean = sum(min(size, most) for size in sizes) / len(sizes)
    return most, mean, (
        f"Texts are read up to {most} tokens{'' if most == usual else ', as asked'}: {card.name} "
        f"allows {card.max_tokens}, and about "
        f"{longer:.1%} of the texts are longer and are cut."
    )


def require_readable(tokens: int, card: Card, said: str) -> None:
    """That this model reads texts of so many tokens.

    Args:
        tokens: the most of a text.
        card: of the model.
        said: how the number was given, such as "--max-tokens is".

    Raises:
        SettingError: it does not.
    """
    least = min(3, card.max_tokens)  # a text has a first and a last token
    if type(tokens) is not int or not least <= tokens <= card.max_tokens:
        raise SettingError(f"{said} {tokens!r}; {card.name} takes {least} to {card.max_tokens}.")


def changed(asked: str | None, *, columns: int) -> tuple[Texts | None, str]:
    """What training changes in texts, and why.

    Args:
        asked: `--augment`; None changes nothing.
        columns: that a row is read from.

    Raises:
        SettingError: it asks for what cannot be.
    """
    if asked is None:
        return None, NONE
    name, shares = asked_for(asked, names=("none",), numbers=CHANGES, kind="texts")
    made = Texts(**shares)
    require(made, columns=columns)
    if made == Texts():
        return None, "Texts are not changed in training, as asked."
    if name is not None:
        raise SettingError(f"--augment is {asked!r}: none, and something; give one of the two.")
    said = ", ".join(f"{one} {getattr(made, one):g}" for one in CHANGES if getattr(made, one))
    return made, (
        f"In training the words of texts are changed, as asked ({said}), anew in every epoch. "
        "Rungs that replay frozen blocks read the texts as they are: what these blocks give is "
        "kept once. So do the solved head and every row that validates or tests."
    )


def require(given: Texts, *, columns: int) -> None:
    """Return if texts can be changed so.

    Raises:
        SettingError: a share that is none, or words that would cross from column to column.
    """
    for name in CHANGES:
        if not 0 <= getattr(given, name) < 1:
            raise SettingError(
                f"{name} is {getattr(given, name):g}; a share of the words, from 0 to below 1, is "
                "what it takes."
            )
    if given.swap and columns > 1:
        raise SettingError(
            f"swap is {given.swap:g}, and rows are read from {columns} columns: words would change "
            "places across them. Take deletion or mask, or read one column with --inputs."
        )
