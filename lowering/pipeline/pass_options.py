"""Typed options of Python passes, read from pipeline text such as `max-tile=4 flag=true list=1,2,3`.

An option is a dataclass field of a pass. Its type is one of bool, int, float, str, a `Literal`, a tuple of those, or
one of those or None (written `none`). `terrace.passes.format_option` is the inverse.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from terrace.passes import Pass, format_option

K = TypeVar("K")
V = TypeVar("V")

BOOLS = {"true": True, "1": True, "": True, "false": False, "0": False}


class OptionError(ValueError):
    """A word of an option list is wrong; `offset` is its place in the text."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclasses.dataclass(frozen=True)
class Word:
    """One `key=value` of an option list; a bare `key` has the value None."""

    key: str
    value: str | None
    offset: int


def option_types(pass_class: type[Pass]) -> dict[str, Any]:
    """The type of each option of a pass, by the option's name in text (kebab case)."""
    hints = typing.get_type_hints(pass_class)
    return {field.name.replace("_", "-"): hints[field.name] for field in dataclasses.fields(pass_class)}


def build_pass(pass_class: type[Pass], text: str) -> Pass:
    """An instance of `pass_class` with the options in `text`; raises OptionError."""
    allowed = option_types(pass_class)
    values: dict[str, Any] = {}
    for word in split_words(text):
        if word.key not in allowed:
            raise OptionError(
                f"pass '{pass_class.name}' has no option '{word.key}'; {_describe_all(allowed)}", word.offset
            )
        if word.key.replace("-", "_") in values:
            raise OptionError(f"pass '{pass_class.name}' is given option '{word.key}' twice", word.offset)
        try:
            values[word.key.replace("-", "_")] = _parse_value(allowed[word.key], word.value)
        except ValueError:
            given = "no value" if word.value is None else f"'{word.value}'"
            raise OptionError(
                f"option '{word.key}' of pass '{pass_class.name}' takes {describe_type(allowed[word.key])}, "
                f"but got {given}",
                word.offset,
            ) from None
    return pass_class(**values)


def describe_options(pass_class: type[Pass]) -> list[str]:
    """A line per option for `--help`: `max-tile: an integer (default: 4)`."""
    defaults: dict[str, Any] = {field.name.replace("_", "-"): field.default for field in dataclasses.fields(pass_class)}
    return [
        f"{name}: {describe_type(type_)} (default: {format_option(defaults[name]) or 'empty'})"
        for name, type_ in option_types(pass_class).items()
    ]


def describe_type(type_: Any) -> str:
    """What may be written for an option of `type_`, in words."""
    words = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}
    if type_ in words:
        return words[type_]
    arguments = typing.get_args(type_)
    origin = typing.get_origin(type_)
    if origin is typing.Literal:
        return " or ".join(f"'{format_option(choice)}'" for choice in arguments)
    if origin is tuple:
        return f"a comma-separated list, each {describe_type(arguments[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join("'none'" if part is type(None) else describe_type(part) for part in arguments)
    return "nothing: it can only be set from Python"


def split_words(text: str) -> list[Word]:
    """Split `a=1 b="x y" flag` into words. Quotes and braces protect spaces."""
    words = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        end = _end_of_word(text, position)
        key, equals, value = text[position:end].partition("=")
        words.append(Word(key, value if equals else None, position))
        position = end
    return words


def _end_of_word(text: str, start: int) -> int:
    depth = 0
    position = start
    while position < len(text):
        character = text[position]
        if character == '"':
            position = end_of_string(text, position)
            continue
        if character.isspace() and depth == 0:
            break
        depth += (character in "{[") - (character in "}]")
        position += 1
    return position


def end_of_string(text: str, start: int) -> int:
    """The position behind the double-quoted string that starts at `start`; a backslash protects a character."""
    position = start + 1
    while position < len(text) and text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    if position >= len(text):
        raise OptionError("this string does not end", start)
    return position + 1


def _parse_value(type_: Any, text: str | None) -> Any:
    """The value of `type_` that `text` stands for; raises ValueError."""
    arguments = typing.get_args(type_)
    origin = typing.get_origin(type_)
    if origin in (typing.Union, types.UnionType):
        if text == "none" and type(None) in arguments:
            return None
        (inner,) = (part for part in arguments if part is not type(None))
        return _parse_value(inner, text)
    if type_ is bool:
        return _look_up(BOOLS, text or "")
    if text is None:
        raise ValueError("only a flag may stand without a value")
    if origin is typing.Literal:
        return _look_up({format_option(choice): choice for choice in arguments}, text)
    if origin is tuple:
        return tuple(_parse_value(arguments[0], item) for item in _split_list(text))
    return _look_up(SCALARS, type_)(text)


def _look_up(choices: Mapping[K, V], key: K) -> V:
    if key not in choices:
        raise ValueError(f"{key!r} is none of {list(choices)}")
    return choices[key]


def _unquote(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


SCALARS: dict[type, Callable[[str], Any]] = {int: int, float: float, str: _unquote}


def _split_list(text: str) -> list[str]:
    """The items of `1,2,3` or `{1,2,3}`; commas inside quotes do not split."""
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    items = []
    start = position = 0
    while position < len(text):
        if text[position] == '"':
            position = end_of_string(text, position)
            continue
        if text[position] == ",":
            items.append(text[start:position])
            start = position + 1
        position += 1
    return [*items, text[start:]] if text else []


def _describe_all(allowed: dict[str, Any]) -> str:
    if not allowed:
        return "it takes no options"
    return "it takes " + ", ".join(f"'{name}' ({describe_type(type_)})" for name, type_ in allowed.items())
