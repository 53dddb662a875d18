"""Asked: what `--augment` says, as names and numbers; what they do is said where it is done."""

from collections.abc import Sequence

from fettle.core.errors import SettingError, unknown_name

__all__ = ["asked_for"]


def asked_for(
    text: str, *, names: Sequence[str], numbers: Sequence[str], kind: str
) -> tuple[str | None, dict[str, float]]:
    """The one name in the text, if there is one, and each number by its name.

    Args:
        text: parts with commas between them: a name, or NAME=NUMBER.
        names: that may stand alone; of these one at most.
        numbers: that take a number from 0 on.
        kind: of rows, for messages: pictures or texts.

    Raises:
        SettingError: a part that is unknown, twice there, or no number.
    """
    name: str | None = None
    found: dict[str, float] = {}
    for part in (one.strip() for one in text.split(",")):
        key, is_number, value = (one.strip() for one in part.partition("="))
        if key not in (numbers if is_number else names):
            if key in (*names, *numbers):
                raise SettingError(
                    f"--augment says {part!r}; such as {_example(key, numbers)} is what it takes.")
            raise unknown_name(f"augmentation of {kind}", key, (*names, *numbers))
        if key in found or (not is_number and name is not None):
            raise SettingError(f"--augment is {text!r}, and {key} stands beside another of its "
                               "kind; give one.")
        if is_number:
            found[key] = _number(part, value)
        else:
            name = key
    return name, found


def _example(key: str, numbers: Sequence[str]) -> str:
    return f"{key}=0.2" if key in numbers else key


def _number(part: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise SettingError(f"--augment says {part!r}; a number from 0 on is what it takes.")
    return number
