"""The compile report: a row per kernel, whose code runs it, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = ("kernel", "op", "shape", "calls", "macs", "bytes", "by", "why")
_NUMBERS = ("calls", "macs", "bytes")


class Report:
    """Rows with the keys kernel, op, shape, macs, bytes, by ("terrace" or "iree"), why and calls.

    `macs` and `bytes` are of all `calls` of the kernel together, None where a dynamic size leaves them open.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = [dict(row) for row in rows]

    @property
    def mac_share(self) -> float:
        """The part of the multiply-accumulates that Terrace's own kernels run, 0 to 1; 1 if there are none."""
        total = sum(row.get("macs") or 0 for row in self.rows)
        ours = sum(row.get("macs") or 0 for row in self.rows if row.get("by") == "terrace")
        return ours / total if total else 1.0

    def __str__(self) -> str:
        cells = [list(_COLUMNS), *([_cell(column, row.get(column)) for column in _COLUMNS] for row in self.rows)]
        totals = {column: sum(row.get(column) or 0 for row in self.rows) for column in _NUMBERS}
        cells.append(["total", *(_cell(column, totals.get(column, "")) for column in _COLUMNS[1:])])
        widths = [max(len(line[index]) for line in cells) for index in range(len(_COLUMNS))]
        lines = [
            "  ".join(_align(*place) for place in zip(_COLUMNS, line, widths, strict=True)).rstrip() for line in cells
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        lines.insert(-1, lines[1])
        count = sum(row.get("by") == "terrace" for row in self.rows)
        lines.append(f"{count} of {len(self.rows)} kernels and {self.mac_share:.2%} of the MACs run Terrace's code")
        return "\n".join(lines)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "?" if column in _NUMBERS else ""
    if isinstance(value, int):
        return f"{value:,}"
    return "x".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _align(column: str, text: str, width: int) -> str:
    return text.rjust(width) if column in _NUMBERS else text.ljust(width)
