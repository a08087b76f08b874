"""The tables of `terrace-bench`, from what it measured: the same from a run and from its JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""What `measure` gives of a case."""

OURS = "Terrace"
MEMORIES = {"L2": 1 << 20, "L3": 1 << 24, "DRAM": math.inf}
"""The memories among a row's limits, the others being types, and how many bytes each is the limit for."""

UNITS = {"kernels": (1e6, "µs"), "weights": (1e6, "µs"), "models": (1e3, "ms")}
MEAN = "geometric mean"
NONE = "-"


def clock(measured: Mapping[str, Any]) -> str:
    """What contestants are compared by: "cpu", which other programs do not lengthen, or with several threads "wall"."""
    return "cpu" if measured["threads"] == 1 else "wall"


def seconds(row: Row, name: str, by: str) -> float:
    """The median of a contestant."""
    found: float = row["contestants"][name][f"{by}_median"]
    return found


def peers_of(row: Row) -> list[str]:
    """The contestants that Terrace is compared with."""
    return [name for name in row["contestants"] if name != OURS]


def ratio(row: Row, by: str) -> float:
    """Terrace's time over that of the best peer."""
    return seconds(row, OURS, by) / min(seconds(row, name, by) for name in peers_of(row))


def share(row: Row, by: str, threads: int) -> str:
    """The part of the machine's limit for this work that Terrace reaches."""
    time = seconds(row, OURS, by)
    if row["flops"] and row["type"] in row["limits"]:
        return f"{row['flops'] / time / threads / row['limits'][row['type']]:.0%}"
    memory = next((m for m, size in MEMORIES.items() if m in row["limits"] and row["bytes"] <= size), None)
    return f"{row['bytes'] / time / row['limits'][memory]:.0%} of {memory}" if row["bytes"] and memory else ""


def groups(measured: Mapping[str, Any]) -> dict[str, list[Row]]:
    """The cases by group, in the order in which they ran."""
    found: dict[str, list[Row]] = {}
    for row in measured["cases"]:
        found.setdefault(row["group"], []).append(row)
    return found


def names_of(rows: Sequence[Row]) -> list[str]:
    """The peers of some cases, each once, those that refused all of them included."""
    return list(dict.fromkeys(name for row in rows for name in (*peers_of(row), *row["refused"])))


def tables(measured: Mapping[str, Any], markdown: bool) -> str:
    """Where and how it was measured, and a table for each group."""
    parts = ["\n".join(described(measured))]
    for group, rows in groups(measured).items():
        parts.append("\n".join([f"## {group}" if markdown else group, "", *table(times(measured, rows), markdown)]))
        parts.append("\n".join(table(errors(rows), markdown)))
        notes = [f"- {row['case']}: {name}: {why}" for row in rows for name, why in row["refused"].items()]
        parts += ["\n".join(notes)] if notes else []
    return "\n\n".join(parts)


def described(measured: Mapping[str, Any]) -> list[str]:
    """Where and how it was measured, as a list; the limits are medians over the cases."""
    lines = [f"- {key}: {value}" for key, value in measured.items() if isinstance(value, (str, int))]
    rows = measured.get("cases")
    if not rows:
        return lines
    limits = {name: statistics.median(row["limits"][name] for row in rows) for name in rows[0]["limits"]}
    texts = [f"{name} {value / 1e9:.0f} {'GB/s' if name in MEMORIES else 'GFLOP/s'}" for name, value in limits.items()]
    empty = statistics.median(row["empty_call"][f"{clock(measured)}_median"] for row in rows)
    return [
        *lines,
        f"- limits of a core: {', '.join(texts)}",
        f"- a call that adds 1 to a number: {1e6 * empty:.1f} µs",
    ]


def times(measured: Mapping[str, Any], rows: Sequence[Row]) -> list[list[str]]:
    """CPU time, and wall time in brackets, of all contestants of a group; ratios to the best peer and to each."""
    by, threads = clock(measured), measured["threads"]
    peers = names_of(rows)
    scale, unit = UNITS[rows[0]["group"].partition("-")[0]]

    def cell(row: Row, name: str) -> str:
        if name not in row["contestants"]:
            return NONE
        both = (scale * seconds(row, name, which) for which in ("cpu", "wall"))
        return "{} ({})".format(*map(number, both))

    header = [unit, OURS, *peers, "ratio", "of the limit", "compile s"]
    body = [
        [
            row["case"],
            *(cell(row, name) for name in (OURS, *peers)),
            f"{ratio(row, by):.2f}" if peers_of(row) else "",
            share(row, by, threads),
            f"{row['compile_seconds']:.1f}",
        ]
        for row in rows
    ]
    to_each = [_mean(seconds(row, OURS, by) / seconds(row, name, by) for row in _with(rows, name)) for name in peers]
    to_best = _mean(ratio(row, by) for row in rows if peers_of(row))
    return [header, *body, [f"{MEAN} of the ratios", "", *to_each, to_best, "", ""]]


def _with(rows: Sequence[Row], name: str) -> list[Row]:
    return [row for row in rows if name in row["contestants"]]


def _mean(ratios: Any) -> str:
    found = list(ratios)
    return f"{statistics.geometric_mean(found):.2f}" if found else NONE


def number(value: float) -> str:
    """Three digits, or all of those before the point."""
    rounded = float(f"{value:.3g}")
    return f"{value:.{max(0, 2 - math.floor(math.log10(rounded))) if rounded else 0}f}"


def errors(rows: Sequence[Row]) -> list[list[str]]:
    """How far the results are from those in float64, as a part of the largest element."""
    names = [OURS, *names_of(rows)]
    body = [
        [row["case"], *(f"{row['contestants'][n]['error']:.1e}" if n in row["contestants"] else NONE for n in names)]
        for row in rows
    ]
    return [["error / max", *names], *body]


def table(rows: Sequence[Sequence[str]], markdown: bool) -> list[str]:
    """Aligned columns, numbers to the right; with bars between them as Markdown."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [any(row[i][:1].isdigit() or row[i][:1] == "-" for row in rows[1:]) for i in range(len(widths))]
    sides = [str.rjust if is_right else str.ljust for is_right in right]
    lines = [[side(text, width) for side, text, width in zip(sides, row, widths, strict=True)] for row in rows]
    rule = ["-" * (width - 1) + (":" if is_right else "-") for width, is_right in zip(widths, right, strict=True)]
    lines.insert(1, rule)
    if markdown:
        return [f"| {' | '.join(line)} |" for line in lines]
    return ["  ".join(line).replace(":", "-").rstrip() if line is rule else "  ".join(line).rstrip() for line in lines]
