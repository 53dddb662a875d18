"""Nouns as JSON and YAML, and back: plain values, no code, unknown keys refused by name."""

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import cattrs
import yaml
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)

from fettle.core.errors import CorruptFile, SettingError, unknown_name
from fettle.store.files import read_json, write_json

__all__ = ["from_plain", "load", "load_yaml", "save", "to_plain", "to_yaml"]

Noun = TypeVar("Noun")

_CONVERTER = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)


def _exactly(value: Any, kind: Any, *, fits: Any, word: str) -> Any:
    """The value, where it is of the kind: "7.5" is no number, and 7.5 no whole one."""
    if not isinstance(value, fits) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{value!r} is not {word}")
    return kind(value)


for _kind, _fits, _word in (
    (str, str, "a text"),
    (int, int, "a whole number"),
    (float, int | float, "a number"),
    (bool, bool, "true or false"),
):
    _CONVERTER.register_structure_hook(_kind, partial(_exactly, fits=_fits, word=_word))


@_CONVERTER.register_structure_hook
def _setting(value: Any, _: Any) -> str | int | float | bool:
    if not isinstance(value, str | int | float | bool):
        raise TypeError(f"{value!r} is neither a text nor a number")
    return value


def _tuple(value: Any, kind: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is not a list")
    return tuple(_CONVERTER.structure(one, get_args(kind)[0]) for one in value)


def _is_tuple(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is tuple


_CONVERTER.register_structure_hook_func(_is_tuple, _tuple)
_CONVERTER.register_unstructure_hook(StrEnum, lambda value: value.value)


def to_plain(noun: Any) -> Any:
    """The noun as dicts, lists, texts and numbers."""
    return _CONVERTER.unstructure(noun)


def from_plain(value: Any, kind: type[Noun], *, place: str) -> Noun:
    """The noun that these plain values describe.

    Args:
        value: what `to_plain` gave, or a person wrote.
        kind: the noun's class.
        place: where the values come from, for the message.

    Raises:
        SettingError: a key is unknown (the nearest known one is offered) or missing, or a value
            has the wrong type.
    """
    if not isinstance(value, Mapping):
        raise SettingError(f"{place} holds no table of settings, so it is no {kind.__name__}.")
    try:
        return _CONVERTER.structure(value, kind)
    except ClassValidationError as error:
        raise _explained(error, place) from error
    except (TypeError, ValueError, KeyError) as error:
        raise SettingError(f"{place}: {error}") from error


def save(path: Path, noun: Any) -> Path:
    """The noun as a JSON file."""
    return write_json(path, to_plain(noun))


def load(path: Path, kind: type[Noun]) -> Noun:
    """The noun in a JSON file.

    Raises:
        CorruptFile: it cannot be read as this noun.
    """
    try:
        return from_plain(read_json(path), kind, place=str(path))
    except SettingError as error:
        raise CorruptFile(str(error)) from error


def to_yaml(noun: Any) -> str:
    """The noun as YAML that a person can read and edit."""
    return yaml.safe_dump(to_plain(noun), sort_keys=False, allow_unicode=True, width=100)


def load_yaml(path: Path, kind: type[Noun]) -> Noun:
    """The noun in a YAML file.

    Raises:
        SettingError: the file is missing or not YAML, or does not describe the noun.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"Could not read {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} is not readable as YAML: {error}") from error
    return from_plain(value, kind, place=str(path))


def _explained(error: ClassValidationError, place: str) -> SettingError:
    """The first thing that is wrong, in words."""
    inner: BaseException = error
    path: list[str] = []
    while isinstance(inner, ClassValidationError | IterableValidationError):
        wrong = inner.exceptions
        unknown_keys = (one for one in wrong if isinstance(one, ForbiddenExtraKeysError))
        inner = next(unknown_keys, wrong[0])
        notes = getattr(inner, "__notes__", ())
        path += [note.name for note in notes if isinstance(note, AttributeValidationNote)]
    if isinstance(inner, ForbiddenExtraKeysError):
        known = [field.name for field in dataclasses.fields(inner.cl)]
        unknown = sorted(inner.extra_fields)[0]
        return SettingError(str(unknown_name("setting", unknown, known, place=place)))
    if isinstance(inner, KeyError):
        return SettingError(f"{place} does not say {inner.args[0]!r}, which is needed.")
    return SettingError(f"{place}: {'.'.join(path)}: {inner}.")
