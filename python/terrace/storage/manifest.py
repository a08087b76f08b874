"""Reads the manifest of a `.terrace` file, which anybody may have written: bounded, plain, and of the right types.

What is accepted here can be printed, drawn and asked for its sizes without a surprise. All failures are ValueError.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeGuard

from terrace.signature import DTYPES

MAX_BYTES = 32 << 20
"""A layer takes about 1 kB, a parameter 150 bytes."""

_MAX_DEPTH = 200
_MAX_RANK = 32
_MAX_ELEMENTS = 1 << 62
_MAX_FIGURE = 1 << 80
_SOURCE = re.compile(r"(input )?[0-9]{1,9}")
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

OWNERS = ("terrace", "iree")
"""Whose code may run a kernel."""


def parse(contents: bytes | memoryview) -> Any:
    """The JSON in `contents`."""
    if len(contents) > MAX_BYTES:
        raise ValueError(f"it has {len(contents)} bytes, more than {MAX_BYTES}")
    try:
        value = json.loads(bytes(contents), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    _check_plain(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


def _check_plain(value: Json) -> None:
    """Refuse infinite numbers, and what those who walk through it could not leave again."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        if not level:
            return
        if any(isinstance(item, float) and not math.isfinite(item) for item in level):
            raise ValueError("it holds a number that is not finite")
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    raise ValueError("it nests too deeply")


def shape_of(sizes: Json) -> tuple[int, ...]:
    """A shape that an array can have."""
    if not _are_counts(sizes) or len(sizes) > _MAX_RANK:
        raise ValueError(f"a shape {_short(sizes)}")
    if math.prod(size or 1 for size in sizes) > _MAX_ELEMENTS:
        raise ValueError(f"a shape {_short([*sizes])} of too many elements")
    return tuple(sizes)


def check_leaf_shape(sizes: Sequence[int | str]) -> None:
    """Refuse what no tensor of a signature can have; sizes may be symbols."""
    shape_of([1 if isinstance(size, str) else size for size in sizes])


def dtype_of(name: Json) -> str:
    """One of the element types."""
    if name not in DTYPES:
        raise ValueError(f"an element type {_short(name)}")
    return str(name)


def text_of(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_short(value)} in the place of a text")
    return value


def name_of(value: Json) -> str:
    """What something is called."""
    if not text_of(value):
        raise ValueError("a name that is empty")
    return text_of(value)


def target_of(data: Json) -> dict[str, Any]:
    """What the program was compiled for; of it, a name, an architecture and CPU features are asked for at load."""
    if not isinstance(data, dict):
        raise ValueError(f"{_short(data)} in the place of a target")
    for key in ("name", "arch"):
        if data.get(key) is not None:
            text_of(data[key])
    features = data.get("cpu_features", [])
    if not isinstance(features, list) or not all(map(_is_text, features)):
        raise ValueError(f"CPU features {_short(features)}")
    return dict(data)


def rows_of(rows: Json) -> list[dict[str, Any]]:
    """The rows of a report; a row may lack what it does not know."""
    if not isinstance(rows, list):
        raise ValueError(f"{_short(rows)} in the place of rows")
    return [_row(row) for row in rows]


def layers_of(graph: Json) -> dict[str, Any]:
    """The layers, which have all their keys, and what the model returns."""
    if not isinstance(graph, dict):
        raise ValueError(f"{_short(graph)} in the place of layers")
    rows = rows_of(graph.get("layers", []))
    for number, row in enumerate(rows):
        missing = [key for key in _LAYER_KEYS if key not in row]
        if missing or row["id"] != number:
            raise ValueError(f"layer {number} has no {', '.join(missing) or 'number of its own'}")
    if not _are_sources(graph.get("outputs", [])):
        raise ValueError("outputs that are no layers")
    return {**graph, "layers": rows} if "layers" in graph else dict(graph)


def _row(row: Json) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{_short(row)} in the place of a row")
    for key, value in row.items():
        accepts = _ACCEPTED.get(key)
        if accepts is not None and not accepts(value):
            raise ValueError(f"a row whose {key} is {_short(value)}")
    return row


def _is_count(value: Json) -> bool:
    return type(value) is int and 0 <= value < _MAX_FIGURE


def _are_counts(value: Json) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(map(_is_count, value))


def _is_figure(value: Json) -> bool:
    return value is None or _is_count(value)


def _is_text(value: Json) -> TypeGuard[str]:
    return isinstance(value, str)


def _are_texts(value: Json) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_shape(value: Json) -> bool:
    return isinstance(value, list) and all(_is_count(size) or _is_text(size) for size in value)


def _are_sources(value: Json) -> bool:
    return isinstance(value, list) and all(_is_text(name) and _SOURCE.fullmatch(name) for name in value)


def _is_symbolic(value: Json) -> bool:
    return isinstance(value, dict) and all(
        isinstance(terms, list) and all(_is_term(term) for term in terms) for terms in value.values()
    )


def _is_term(term: Json) -> bool:
    return isinstance(term, list) and len(term) > 0 and type(term[0]) is int and all(map(_is_text, term[1:]))


_FIGURES = ("macs", "bytes", "read", "written", "weights", "live", "workgroups")
_TEXTS = ("kernel", "op", "why", "module", "source")
_ACCEPTED: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_FIGURES, _is_figure),
    **dict.fromkeys(_TEXTS, _is_text),
    "by": lambda value: value in OWNERS,
    "calls": _is_count,
    "id": _is_count,
    "inputs": _are_sources,
    "shape": _is_shape,
    "symbolic": _is_symbolic,
    "called": lambda value: _are_texts(value) and len(value) > 0,
    "origins": lambda value: isinstance(value, list) and all(_are_texts(pair) and len(pair) == 2 for pair in value),
}
_LAYER_KEYS = tuple(key for key in _ACCEPTED if key not in ("symbolic", "called", "origins", "workgroups"))


def _short(value: Json) -> str:
    return (
        f"{value!r:.60}" if not isinstance(value, (dict, list)) or len(value) < 10 else f"a long {type(value).__name__}"
    )
