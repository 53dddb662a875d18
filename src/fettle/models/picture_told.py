"""What somebody wrote of how a network of pictures was fed: a mapping in, the same checked out.

It comes from a file beside a network, or from an attribute of a module.
"""

from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from numbers import Integral, Real
from typing import Any

from fettle.core.errors import SettingError, unknown_name

__all__ = ["checked"]

INTERPOLATIONS = ("bicubic", "bilinear", "lanczos", "nearest")


def checked(
    told: Mapping[str, Any], known: Collection[str], *, place: str, channels: int
) -> dict[str, Any]:
    """The same with every value of its own kind; a single number of mean or std as one of a tuple.

    Args:
        told: side, channels: whole numbers; fixed, backwards: true or false; mean, std: a number,
            or one a channel, of pixels from 0 to 1; interpolation; crop: above 0, at most 1.
        known: keys that may be there.
        place: what messages call it.
        channels: of the network, where it is not told.

    Raises:
        UnknownName: there is no such key or interpolation.
        SettingError: a value is of another kind, or out of its range.
    """
    made = dict(told)
    for key, value in told.items():
        if key not in known:
            raise unknown_name(f"setting of {place}", str(key), known)
        if key in ("side", "channels"):
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
                raise _wrong(place, key, value, "a whole number from 1 on")
            made[key] = int(value)
        if key in ("fixed", "backwards") and type(value) is not bool:
            raise _wrong(place, key, value, "true or false")
        if key == "crop" and not (_is_number(value) and 0 < value <= 1):
            raise _wrong(place, key, value, "a number above 0, and at most 1")
        if key == "interpolation" and value not in INTERPOLATIONS:
            raise unknown_name(f"interpolation of {place}", str(value), INTERPOLATIONS)
    number = int(made.get("channels", channels))
    for key in ("mean", "std"):
        if key not in made:
            continue
        value = made[key]
        numbers = list(value) if isinstance(value, Iterable) else [value]
        if len(numbers) not in (1, number) or not all(map(_is_number, numbers)):
            raise _wrong(place, key, value, f"one number, or one for each of {number} channels,")
        if key == "std" and min(numbers) <= 0:
            raise _wrong(place, key, value, "what pixels are divided by: numbers above 0,")
        made[key] = tuple(float(one) for one in numbers)
    return made


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)


def _wrong(place: str, key: str, value: Any, due: str) -> SettingError:
    return SettingError(f"{place} names {repr(value)[:60]} as {key}; {due} is what it may be.")
