"""What profiling a model gives: a row per kernel, and the trace of all calls."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from terrace.report.table import Table
from terrace.report.words import escape
from terrace.runtime.limits import Limits
from terrace.storage.files import write_file

_COLUMNS = ("kernel", "by", "calls", "us", "best us", "share", "MACs", "bytes", "GFLOP/s", "GB/s", "of limit", "limit")
_TEXT = ("kernel", "by", "limit")


@dataclasses.dataclass(frozen=True)
class Event:
    """A dispatch: from when its first workgroup began to when its last ended, in nanoseconds of one clock."""

    name: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class KernelTime:
    """A kernel's part of a call.

    `seconds` is the sum of its `calls` in one call of the model, the median over the calls measured, and `best` the
    least: what disturbs the machine only adds. `macs` and `bytes` are those of the compile report, None where it does
    not know them: of a dynamic shape, or of what IREE fused by itself. `limit` is the least time that the machine could
    take for them, and `bound` says what sets it.
    """

    kernel: str
    by: str
    calls: int
    seconds: float
    best: float
    macs: int | None
    bytes: int | None
    limit: float | None
    bound: str

    @property
    def fraction(self) -> float | None:
        """The part of the machine's limit that the best time reaches. More than 1 means data from a nearer cache."""
        return self.limit / self.best if self.limit and self.best else None


@dataclasses.dataclass(frozen=True)
class Profile:
    """The time of every kernel of a model, on given inputs.

    A kernel's time is the wall time of its dispatch where it stands in the program: with all threads, and with caches
    as the kernels before it left them. `whole_calls` are the seconds of a call without profiling, each the mean of
    some. What `total` lacks to `whole`, their median, is spent between kernels (memory, scheduling); it is more than
    `whole` where kernels run at the same time.
    """

    kernels: Sequence[KernelTime]
    whole_calls: Sequence[float]
    limits: Limits
    events: Sequence[Sequence[Event]]

    @property
    def whole(self) -> float:
        """The seconds of a call of the model without profiling, the median."""
        return statistics.median(self.whole_calls)

    @property
    def total(self) -> float:
        """The seconds of all kernels together."""
        return sum(kernel.seconds for kernel in self.kernels)

    @property
    def span(self) -> float:
        """The seconds from the begin of a profiled call's first kernel to the end of its last, the median."""
        return statistics.median(self._spans())

    def _spans(self) -> list[float]:
        return [(max(e.end for e in call) - min(e.start for e in call)) / 1e9 for call in self.events if call] or [0.0]

    def __str__(self) -> str:
        return "\n".join([str(self._table()), *self._words()])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self._table().to_html() + "".join(f"<p>{escape(line)}</p>" for line in self._words())

    def _table(self) -> Table:
        rows = sorted(self.kernels, key=lambda kernel: -kernel.seconds)
        return Table(_COLUMNS, [_cells(kernel, self.total) for kernel in rows], set(_COLUMNS) - set(_TEXT))

    def _words(self) -> list[str]:
        """What the table's figures stand beside."""
        threads = self.limits.threads
        moved = ", ".join(f"{rate / 1e9:.1f} ({size >> 10} KiB)" for size, rate in self.limits.bandwidth.items())
        return [
            f"{len(self.events)} calls on {threads} thread{'s' if threads > 1 else ''}",
            _comparison("median", self.total, self.span, self.whole),
            _comparison("best", sum(k.best for k in self.kernels), min(self._spans()), min(self.whole_calls)),
            f"the machine's limits: {self.limits.flops / 1e9:.1f} GFLOP/s of float32 multiply-adds; copies,"
            f" in GB/s read and written: {moved}",
        ]

    def timed(self, layers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The report's layers with `seconds`, the best of a call, and `of_limit`, the part of the machine's limit.

        Both are None for a layer of IREE's, which has no dispatch of its own, and for one that a loop repeats.
        """
        found = [{**layer, "seconds": None, "of_limit": None} for layer in layers]
        for kernel in self.kernels:
            own = [layer for layer in found if layer["kernel"] == kernel.kernel and layer["by"] == "terrace"]
            if len(own) != kernel.calls:
                continue
            for number, layer in enumerate(own):
                events = [[e for e in call if e.name == kernel.kernel][number] for call in self.events]
                seconds = min(event.end - event.start for event in events) / 1e9
                layer["seconds"] = seconds
                if kernel.limit is not None and seconds:
                    layer["of_limit"] = kernel.limit / kernel.calls / seconds
        return found

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the calls as Trace Event Format, which Perfetto (ui.perfetto.dev) and chrome://tracing show."""
        write_file(path, json.dumps(self.trace()))

    def trace(self) -> dict[str, Any]:
        """The trace as plain data: a complete event ("X") per call and per dispatch, times in microseconds."""
        own = {kernel.kernel: kernel for kernel in self.kernels}
        origin = min((event.start for call in self.events for event in call), default=0)
        found = [_named("process_name", 0, "Terrace"), _named("thread_name", 0, "calls")]
        lanes = 0
        for number, call in enumerate(self.events):
            begin, end = min(e.start for e in call), max(e.end for e in call)
            found.append(_complete(f"call {number}", "call", 0, (begin - origin, end - origin), {}))
            ends: list[int] = []
            for event in call:
                # Dispatches that overlap stand on tracks of their own: slices of one track must nest.
                lane = next((i for i, until in enumerate(ends) if until <= event.start), len(ends))
                ends[lane : lane + 1] = [event.end]
                kernel = own[event.name]
                details = {"by": kernel.by, "MACs": kernel.macs, "bytes": kernel.bytes}
                times = (event.start - origin, event.end - origin)
                found.append(_complete(event.name, kernel.by, lane + 1, times, details))
            lanes = max(lanes, len(ends))
        found += [_named("thread_name", lane + 1, f"kernels {lane}" if lane else "kernels") for lane in range(lanes)]
        return {"traceEvents": found, "displayTimeUnit": "ns"}


def _comparison(which: str, total: float, span: float, whole: float) -> str:
    return (
        f"{which}: sum of the kernels {1e3 * total:.3f} ms, from the first to the last {1e3 * span:.3f} ms,"
        f" whole call without profiling {1e3 * whole:.3f} ms"
    )


def _complete(name: str, category: str, track: int, times: tuple[int, int], details: dict[str, Any]) -> dict[str, Any]:
    start, end = times
    place = {"pid": 1, "tid": track, "ts": start / 1e3, "dur": (end - start) / 1e3}
    return {"name": name, "cat": category, "ph": "X", **place, "args": details}


def _named(what: str, track: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": 1, "tid": track, "args": {"name": name}}


def make_profile(
    rows: Sequence[Mapping[str, Any]],
    calls: Sequence[Sequence[Event]],
    whole_calls: Sequence[float],
    limits: Limits,
) -> Profile:
    """Rows for the events of several calls, beside what the compile report's `rows` say of each kernel."""
    report = {row["kernel"]: row for row in rows if row["by"] == "terrace"}
    kernels = []
    for name in dict.fromkeys(event.name for event in calls[0]):
        own = [[event.end - event.start for event in call if event.name == name] for call in calls]
        sums = [sum(times) / 1e9 for times in own]
        time = KernelTime(name, "iree", len(own[0]), statistics.median(sums), min(sums), None, None, None, "")
        kernels.append(_with_work(time, report[name], limits) if name in report else time)
    return Profile(kernels, whole_calls, limits, calls)


def _with_work(time: KernelTime, row: Mapping[str, Any], limits: Limits) -> KernelTime:
    """What the report says of a kernel of ours, and the least time for it."""
    # The report counts the places where a kernel is launched; a loop runs one of them many times.
    scale = time.calls / row["calls"]
    macs, moved = (None if row[key] is None else round(row[key] * scale) for key in ("macs", "bytes"))
    time = dataclasses.replace(time, by="terrace", macs=macs, bytes=moved)
    if macs is None or moved is None:
        return time
    each, bound = limits.seconds(macs // time.calls, moved // time.calls)
    return dataclasses.replace(time, limit=each * time.calls, bound=bound)


def _cells(kernel: KernelTime, total: float) -> list[str]:
    def rate(amount: int | None, factor: float) -> str:
        return "" if not amount or not kernel.best else f"{factor * amount / kernel.best / 1e9:.1f}"

    fraction = kernel.fraction
    return [
        kernel.kernel,
        kernel.by,
        str(kernel.calls),
        f"{1e6 * kernel.seconds:,.1f}",
        f"{1e6 * kernel.best:,.1f}",
        f"{kernel.seconds / total:.1%}" if total else "",
        "" if kernel.macs is None else f"{kernel.macs:,}",
        "" if kernel.bytes is None else f"{kernel.bytes:,}",
        rate(kernel.macs, 2),
        rate(kernel.bytes, 1),
        "" if fraction is None else f"{fraction:.0%}",
        kernel.bound,
    ]
