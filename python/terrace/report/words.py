"""Numbers and names as people read them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

UNKNOWN = "?"
"""Stands for a figure that a dynamic size leaves open."""

DOT = "\N{MIDDLE DOT}"
TIMES = "\N{MULTIPLICATION SIGN}"

_POWERS = ("", "k", "M", "G", "T")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")


def escape(text: str | float) -> str:
    """Text for HTML, quotes included."""
    return html.escape(str(text), quote=True)


def count(value: int | float | None) -> str:
    """12345678 as 12.3 M."""
    return UNKNOWN if value is None else _scaled(float(value), 1000.0, _POWERS)


def size(value: int | float | None) -> str:
    """Bytes in binary units."""
    return UNKNOWN if value is None else _scaled(float(value), 1024.0, _BINARY)


def time(seconds: float | None) -> str:
    """Seconds in the unit that suits them."""
    if seconds is None:
        return UNKNOWN
    unit, factor = ("s", 1.0) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("\N{MICRO SIGN}s", 1e6)
    value = seconds * factor
    return f"{value:.0f} {unit}" if value >= 100 or not value else f"{value:.3g} {unit}"


def _scaled(value: float, base: float, units: tuple[str, ...]) -> str:
    power = 0
    while abs(value) >= 0.9995 * base and power + 1 < len(units):
        value, power = value / base, power + 1
    shown = f"{value:.0f}" if power == 0 or value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return f"{shown} {units[power]}".rstrip()


def shape(sizes: str | Sequence[int | str]) -> str:
    """Sizes with a multiplication sign between them; a scalar is `scalar`."""
    if isinstance(sizes, str):
        return sizes
    return TIMES.join(str(item) for item in sizes) or "scalar"


def symbolic(layer: Any, key: str) -> str:
    """A figure that depends on dynamic sizes as a sum of terms, such as `8 KiB + 256 B·n`; else a question mark."""
    terms = layer.get("symbolic", {}).get(key)
    return UNKNOWN if terms is None else polynomial([(term[0], tuple(term[1:])) for term in terms], key)


def polynomial(terms: Iterable[tuple[int, tuple[str, ...]]], key: str) -> str:
    """Terms (factor, symbols) as text; `key` says whether they count MACs or bytes."""
    show = count if key == "macs" else size
    return " + ".join(DOT.join([show(factor), *symbols]) for factor, symbols in terms) or show(0)


def total(layers: Any, key: str) -> str:
    """The sum of a figure over layers, with the symbols of dynamic sizes where it has any."""
    terms: dict[tuple[str, ...], int] = {}
    for layer in layers:
        given = layer.get("symbolic", {}).get(key) if layer[key] is None else [[layer[key]]]
        if given is None:
            return UNKNOWN
        for factor, *symbols in given:
            terms[tuple(symbols)] = terms.get(tuple(symbols), 0) + factor
    known = sorted((factor, symbols) for symbols, factor in terms.items() if factor)
    return polynomial(sorted(known, key=lambda term: term[1]), key)


def intensity(layer: Any) -> float | None:
    """Floating-point operations of the contraction (two per MAC) per byte moved; None if unknown or without any."""
    macs, moved = layer.get("macs"), layer.get("bytes")
    return 2 * macs / moved if macs and moved else None


def shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def shorten_left(text: str, length: int) -> str:
    """Without its beginning: the end of a module's path says most."""
    return text if len(text) <= length else f"…{text[1 - length :]}"


def operation(layer: Any, length: int = 1 << 30) -> str:
    """`linear + gelu`, the model's own ops where they are known, else those that run; cut after whole ops."""
    return _cut(_called(layer), length)


def operation_lines(layer: Any, length: int, lines: int) -> list[str]:
    """`operation` in at most so many lines of so many letters, broken between ops; `+` begins all but the first."""
    rest = _called(layer)
    found: list[str] = []
    while len(found) + 1 < lines and rest:
        sign, kept = "+ " if found else "", len(rest)
        while kept > 1 and len(sign + " + ".join(rest[:kept])) > length:
            kept -= 1
        found.append(sign + shorten(" + ".join(rest[:kept]), length - len(sign)))
        rest = rest[kept:]
    return [*found, f"+ {_cut(rest, length - 2)}"] if rest else found


def _called(layer: Any) -> list[str]:
    return [str(op) for op in layer.get("called") or own_operations(layer)]


def _cut(ops: list[str], length: int) -> str:
    for kept in range(len(ops), 0, -1):
        left = len(ops) - kept
        text = " + ".join(ops[:kept]) + (f" + {left} more" if left else "")
        if len(text) <= length:
            return text
    return shorten(ops[0], length)


def own_operations(layer: Any) -> list[str]:
    """The ops that run, as Terrace or IREE calls them."""
    return [str(layer["kernel"])] if layer["op"] == "generic" else str(layer["op"]).split("+")


def origins(layer: Any) -> str:
    """The model's ops that a layer computes, or a part of, and their submodules."""
    return ", ".join(f"{op} ({path})" if path else str(op) for op, path in layer.get("origins", ()))


def name(layer: Any) -> str:
    """What to call a layer where there is little room: the submodule, else the ops."""
    return str(layer.get("module") or operation(layer))


def place(layer: Any) -> str:
    """Where in the model: the submodule, else the kernel's name."""
    return str(layer.get("module") or layer["kernel"])
