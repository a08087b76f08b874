"""Measuring one case: all contestants prepared, their results compared, then timed in turns with the limits."""

from __future__ import annotations

import copy
import dataclasses
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from terrace.compiler.timing import MINIMUM_SECONDS, Call, interleave
from terrace.errors import TerraceError
from terrace.tools.bench.case import Case, Contest
from terrace.tools.bench.limits import Limit
from terrace.tools.bench.peers import Peer, PeerError, Task
from terrace.tools.bench.report import OURS

ABSOLUTE_TOLERANCE = 1e-5
PAUSE = 0.05
"""Seconds after which no engine's threads spin any longer."""

SPREAD = 0.2
"""Seconds of a turn on several threads: after a pause, Linux may leave two of them on one core for 20 ms."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How all cases of a run are measured: `peers` beside PyTorch, `limits` of the machine by name, and `empty`, the
    call of a model of ours that does nothing."""

    rounds: int
    threads: int
    peers: Sequence[Peer]
    limits: Mapping[str, Limit]
    empty: Call


def measure(case: Case, settings: Settings) -> dict[str, Any]:
    """The row of a case, as it stands in the JSON. Raises TerraceError if what Terrace computes is wrong."""
    contest = case.build()
    contest.model.eval()
    compiled, compile_seconds = _compile(contest, settings.threads)
    calls: dict[str, Call] = {**contest.peers, OURS: lambda: compiled(*contest.args)}
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="terrace-bench-") as folder:
        task = Task(contest, case.type, settings.threads, Path(folder))
        for peer in settings.peers:
            if case.type in peer.types:
                try:
                    calls[peer.name] = peer.prepare(task)
                except PeerError as error:
                    refused[peer.name] = str(error)
    errors = _errors(case, contest, calls, refused)
    references = {name: limit.call for name, limit in settings.limits.items()}
    contestants = {name: call for name, call in calls.items() if name not in refused}
    pause, turn = (PAUSE, SPREAD) if settings.threads > 1 else (0.0, MINIMUM_SECONDS)
    timings = interleave({**contestants, **references, "": settings.empty}, settings.rounds, turn, pause)
    return {
        "case": case.name,
        "group": case.group,
        "type": case.type,
        "what": case.what,
        "flops": case.flops or _flops(contest) * (case.kind == "models"),
        "bytes": case.bytes,
        "compile_seconds": compile_seconds,
        "tolerance": contest.tolerance,
        "contestants": {name: {"error": errors[name], **dataclasses.asdict(timings[name])} for name in contestants},
        "refused": refused,
        "limits": {name: limit.amount / timings[name].cpu_median for name, limit in settings.limits.items()},
        "empty_call": dataclasses.asdict(timings[""]),
    }


def _compile(contest: Contest, threads: int) -> tuple[Any, float]:
    from terrace.compiler import compile as terrace_compile
    from terrace.target import Target

    started = time.perf_counter()
    compiled = terrace_compile(
        contest.model,
        contest.args,
        target=Target(threads=threads),
        precision=contest.precision,
        options=contest.options,
    )
    return compiled, time.perf_counter() - started


def _flops(contest: Contest) -> int:
    """Two to each multiply-add of the model as it is written, by PyTorch's count."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        contest.model(*contest.args)
    return counter.get_total_flops()


def _errors(case: Case, contest: Contest, calls: Mapping[str, Call], refused: dict[str, str]) -> dict[str, float]:
    """How far each result is from that in float64, as a part of the largest element. A peer that is further from it
    than the tolerance is added to `refused`; Terrace must not be, and its inputs lie where it reads them in place."""
    import torch

    if any(value.data_ptr() % 64 for value in contest.args):
        raise TerraceError(f"{case.name}: an input is not aligned to 64 bytes, so Terrace would copy it")
    double = [value.double() if value.is_floating_point() else value for value in contest.args]
    expected = copy.deepcopy(contest.model).double()(*double)
    largest = expected.abs().max().item() or 1.0
    limit = contest.tolerance + ABSOLUTE_TOLERANCE / largest
    errors = {}
    for name, call in calls.items():
        result = torch.as_tensor(call())
        if result.shape != expected.shape:
            wrong = f"gives {list(result.shape)} and not {list(expected.shape)}"
        else:
            errors[name] = (result - expected).abs().max().item() / largest
            wrong = "" if errors[name] <= limit else f"is off by {errors[name]:.1e}, the tolerance is {limit:.1e}"
        if wrong and name == OURS:
            raise TerraceError(f"{case.name}: {name} {wrong}")
        if wrong:
            refused[name] = wrong
    return errors
