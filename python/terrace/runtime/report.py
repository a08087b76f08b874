"""The compile report: a row per kernel, whose code runs it, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from terrace.report.table import Table
from terrace.report.words import escape, shape
from terrace.storage.artifact import Entry
from terrace.storage.files import write_file
from terrace.target import describe

if TYPE_CHECKING:
    from terrace.runtime.profile import Profile

_COLUMNS = ("kernel", "op", "shape", "calls", "macs", "bytes", "by", "why")
_NUMBERS = ("calls", "macs", "bytes")


class Report:
    """Rows with the keys kernel, op, shape, macs, bytes, type, by ("terrace" or "iree"), why and calls.

    `type` is that of the elements that are read. `macs` and `bytes` are of all `calls` of the kernel together, None
    where a dynamic size leaves them open. `layers` are the calls one by one, in the order in which they run;
    docs/looking_into_a_model.md says what each of their figures means. `subtitle` and `inputs` (the names of the
    model's inputs) are shown by `to_html`.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        graph: Mapping[str, Any] | None = None,
        subtitle: str = "",
        inputs: Sequence[str] = (),
    ) -> None:
        self.rows = [dict(row) for row in rows]
        self._graph = dict(graph or {})
        self.subtitle = subtitle
        self._inputs = list(inputs)

    @property
    def layers(self) -> list[dict[str, Any]]:
        """A launch of a kernel, or an op left to IREE, each: a row's keys, and what its figures are in this place."""
        return [dict(layer) for layer in self._graph.get("layers", [])]

    def to_html(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        title: str = "Compile report",
        profile: Profile | None = None,
    ) -> str:
        """The report as one HTML page that needs nothing else: the graph, charts and a table of the layers.

        It says when it was made, on which machine, with which versions of the packages. It is written to `path`, if
        one is given, and returned. With a `profile` of the same model it shows times, too.
        """
        # Only those who draw a report wait for what draws it.
        from terrace.report.page import render
        from terrace.runtime.surroundings import describe_surroundings

        graph = self._graph if profile is None else {**self._graph, "layers": profile.timed(self.layers)}
        page = render(graph, title, self.subtitle, self._inputs, describe_surroundings())
        if path is not None:
            write_file(path, page)
        return page

    @property
    def mac_share(self) -> float:
        """The part of the multiply-accumulates that Terrace's own kernels run, 0 to 1; 1 if there are none."""
        total = sum(row.get("macs") or 0 for row in self.rows)
        ours = sum(row.get("macs") or 0 for row in self.rows if row.get("by") == "terrace")
        return ours / total if total else 1.0

    def __str__(self) -> str:
        return f"{self._table()}\n{self.summary()}"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"{self._table().to_html()}<p>{escape(self.summary())}</p>"

    def summary(self) -> str:
        """How much of the model runs Terrace's code, in a line; in another, what int8 leaves in float32."""
        count = sum(row.get("by") == "terrace" for row in self.rows)
        text = f"{count} of {len(self.rows)} kernels and {self.mac_share:.2%} of the MACs run Terrace's code"
        if not any(row.get("type") == "i8" and row.get("macs") for row in self.rows):
            return text
        floats = [row["kernel"] for row in self.rows if row.get("type") == "f32" and row["op"] != "quantize"]
        return f"{text}\nin float32, beside int8: {', '.join(floats) or 'nothing'}"

    def _table(self) -> Table:
        cells = [[_cell(column, row.get(column)) for column in _COLUMNS] for row in self.rows]
        totals = {column: sum(row.get(column) or 0 for row in self.rows) for column in _NUMBERS}
        cells.append(["total", *(_cell(column, totals.get(column, "")) for column in _COLUMNS[1:])])
        return Table(_COLUMNS, cells, _NUMBERS, total=True)


def report_of(entry: Entry, target: Mapping[str, Any]) -> Report:
    """The report of an entry of a model that was compiled for this target (its `to_json`)."""
    signature = entry.signature
    inputs = [
        f"{path} {shape(leaf.shape)}" if leaf.kind == "tensor" else f"{path} {leaf}"
        for path, leaf in zip(signature.input_paths(), signature.input_leaves, strict=True)
        if leaf.kind in ("tensor", "scalar")
    ]
    return Report(entry.report, entry.layers, describe(target), inputs)


def _cell(column: str, value: str | int | Sequence[int | str] | None) -> str:
    if value is None:
        return "?" if column in _NUMBERS else ""
    if isinstance(value, int):
        return f"{value:,}"
    return "x".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
