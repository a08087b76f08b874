"""Tuning: which kernels of a model no record says the fastest schedule of, and measuring their candidates.

The records are written after each kernel, so that what is interrupted goes on where it was.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import Counter

from terrace import progress
from terrace.caller_line import warn
from terrace.compiler.driver import lower
from terrace.compiler.request import Request
from terrace.compiler.sources import ModelSource, context_of_text
from terrace.compiler.tuning_trial import Measure, Trial, measure_on
from terrace.dialects.base import to_python
from terrace.errors import CompileError
from terrace.lowering.kernels.choose_schedules import choose_schedule, cycles_of
from terrace.lowering.kernels.read_kernel import calls_of, read_kernel
from terrace.lowering.kernels.tuning_records import Record, TunedKernel, read_records, write_records
from terrace.lowering.kernels.view import KernelView, is_kernel
from terrace.lowering.target.backend import backend_of
from terrace.lowering.target.candidate_schedules import candidate_schedules, stale
from terrace.machine import VectorMachine
from terrace.mlir import ir, parse_module, walk
from terrace.target import targets_with

_LOG = logging.getLogger("terrace.tuning")


@dataclasses.dataclass(frozen=True)
class TunedRow:
    """A kernel of the model, how often it is called, and what is known of it: nothing if it has but one schedule, or if
    time was up.

    `measured` says that it was measured now. `notes` are about schedules that were dropped.
    """

    kernel: str
    calls: int
    record: Record | None
    measured: bool = False
    notes: tuple[str, ...] = ()
    differs: bool = False


def tune(source: ModelSource, request: Request, measure: Measure | None = None) -> list[TunedRow]:
    """Measure what the records of `request.tuning` do not say of the kernels of `source`, and add it to them.

    The kernels come by how much work they are in a call of the model. Raises CompileError.
    """
    tuning = request.tuning
    assert tuning is not None, "there is nothing to tune for"
    target = request.resolved()
    machine = backend_of(target).machine
    if machine is None:
        raise CompileError(f"option 'tune' is for target {targets_with('profiles')}, got '{target.name}'")
    lowered = lower(source, dataclasses.replace(request, tune=None), until="kernel")
    until = time.monotonic() + tuning.seconds
    measure = measure or measure_on(target.threads)
    rows = []
    with context_of_text() as context, ir.Location.unknown(), progress.stage("tune"):
        module = parse_module(lowered.ir["kernel"], context)
        kernels = _kernels(module.operation, machine, request.winograd)
        for number, (tuned, kernel, calls) in enumerate(kernels, 1):
            # Read again each time: another process may have added to them.
            records = read_records(tuning.file)
            record = records.get(tuned)
            if record is not None and stale(kernel, record, machine, request.winograd) is None:
                rows.append(TunedRow(kernel.name, calls, record))
                continue
            schedules = candidate_schedules(kernel, machine, tuning.trials, request.winograd)
            if len(schedules) == 1 or time.monotonic() >= until:
                rows.append(TunedRow(kernel.name, calls, None))
                continue
            done = progress.bar(number - 1, len(kernels))
            label = f"{done} kernel {number}/{len(kernels)} @{kernel.name}"
            outcome = Trial(kernel, target, request.iree_flags, tuning.size).run(schedules, measure, label)
            write_records(tuning.file, {**read_records(tuning.file), tuned: outcome.record})
            for note in outcome.notes:
                _LOG.info("%s", note)
            _LOG.info("%s: %.2f times as fast as chosen", kernel.name, outcome.record.gain)
            rows.append(TunedRow(kernel.name, calls, outcome.record, True, outcome.notes, outcome.differs))
    return rows


def tune_if_asked(source: ModelSource, request: Request) -> None:
    """Tune where the request says so, and warn of schedules that gave other results. Raises CompileError."""
    rows = tune(source, request) if request.tuning is not None else []
    for note in [note for row in rows if row.differs for note in row.notes]:
        warn(note, RuntimeWarning)


def _kernels(module: ir.Operation, machine: VectorMachine, rounding: bool) -> list[tuple[TunedKernel, KernelView, int]]:
    """The distinct kernels whose schedule the cost model chose, and how often each is called; most work first."""
    calls = calls_of(module)
    counts = Counter(str(to_python(op.attributes["callee"])) for op in walk(module) if op.name == "func.call")
    found: dict[TunedKernel, tuple[KernelView, int]] = {}
    for function in [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]:
        kernel = read_kernel(function, calls)
        if kernel.schedule == choose_schedule(kernel, machine, rounding):
            tuned = TunedKernel.of(kernel, machine, rounding)
            first, count = found.get(tuned, (kernel, 0))
            found[tuned] = first, count + counts[kernel.name]
    rows = [(tuned, kernel, count) for tuned, (kernel, count) in found.items()]
    return sorted(rows, key=lambda row: -row[2] * cycles_of(row[1], row[1].schedule, machine))
