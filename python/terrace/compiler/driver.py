"""The way of a source through the levels: each is entered and left here; what happens between two levels is a pipeline
of `terrace.compiler.pipelines`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrace import progress
from terrace.collector import collects_seldom
from terrace.compiler.calibration import calibrate
from terrace.compiler.layer_report import layer_graph, merge_layers
from terrace.compiler.model_parameters import program_parameters
from terrace.compiler.module_interface import (
    SIGNATURE,
    entries_of,
    has_loops,
    level_of,
    signature_of,
    states_of,
    symbols_of_kind,
)
from terrace.compiler.pipelines import graph_pipeline, kernel_pipeline, loop_pipeline, preparation
from terrace.compiler.request import Request
from terrace.compiler.sources import ModelSource, Reading
from terrace.errors import CompileError, TerraceError
from terrace.levels import LEVELS
from terrace.lowering.debugging.commands import compile_command
from terrace.lowering.debugging.reproducer import reproducing
from terrace.lowering.pipeline.user_passes import check_points, passes_at
from terrace.lowering.pipeline.verify_level import VerifyLevel
from terrace.lowering.quantization.ranges import has_ranges
from terrace.lowering.target.backend import Backend, backend_of
from terrace.lowering.target.backend import Source as ParameterSource
from terrace.lowering.target.description import describe_target
from terrace.mlir import ir
from terrace.passes import Pass, internal_error, run_stage
from terrace.runtime.model import CompiledModel
from terrace.runtime.report import Report, report_of
from terrace.signature import Signature
from terrace.storage.artifact import Artifact, Entry, State, find_entry
from terrace.target import Target, registered_as


@dataclasses.dataclass(frozen=True)
class Lowered:
    """A model at every level, down to the program that iree-compile has not seen yet.

    `parameters` is all that the program reads, `symbols` all that the texts of `ir` read beside: the
    `graph.parameter` symbols, as they were given. Both are functions, which compute or find a value when it is asked
    for. Of `ir`, the levels above the one that lowering began at are missing. iree-compile takes `target_flags`, and
    `flags` of the user's.
    """

    target: Target
    ir: Mapping[str, str]
    entries: Mapping[str, Entry]
    states: list[State]
    parameters: Mapping[str, ParameterSource]
    symbols: Mapping[str, ParameterSource]
    target_flags: Sequence[str]
    flags: Sequence[str]
    has_loops: bool
    reproducing: Callable[[], contextlib.AbstractContextManager[None]]

    def artifact(self) -> Artifact:
        """Make the program of its text, which must be there: lower all the way. Raises CompileError."""
        backend = backend_of(self.target)
        with progress.stage("link"), self.reproducing():
            program, read = backend.link(self.ir[backend.level], [*self.target_flags, *self.flags], self.parameters)
        return Artifact(
            entries=self.entries,
            program=program,
            program_name=registered_as(self.target.to_json()).program,
            parameters={name: source for name, source in self.parameters.items() if name in read},
            ir=self.ir,
            target={
                **self.target.to_json(),
                "cpu_features": list(self.target.features or ()),
                "has_loops": self.has_loops,
            },
            states=self.states,
        )

    def entry(self, name: str | None = None) -> Entry:
        """The entry of this name, or the only one. Raises InputError."""
        return self.entries[find_entry(self.entries, name)]

    def reports(self) -> dict[str, Report]:
        """What `EntryPoint.report` gives, by entry."""
        return {name: report_of(entry, self.target.to_json()) for name, entry in self.entries.items()}


@collects_seldom
def lower(source: ModelSource, request: Request | None = None, *, until: str | None = None) -> Lowered:
    """`source` at every level down to `until`, by default the target's last. Raises CompileError or TargetError."""
    request = request or Request()
    try:
        return _lower(source.read(request), request, until)
    except (TerraceError, OSError):
        raise
    except Exception as error:
        # Text may hold anything: what nobody foresaw is still told as one error, with the op where it is known.
        if not source.is_text:
            raise
        raise CompileError(internal_error(error)) from error


def _lower(reading: Reading, request: Request, until: str | None = None) -> Lowered:
    module, target, backend = reading.module, reading.target, backend_of(reading.target)
    is_program = reading.backend is not None
    levels = (*LEVELS, backend.level)
    if reading.backend is not None and reading.backend.level != backend.level:
        raise CompileError(
            f"the text is at the level {reading.backend.level!r}, which target {target.name!r} does not have; name the"
            " target that it was made for"
        )
    until = backend.level if until is None else until
    if until not in levels:
        raise CompileError(f"unknown level {until!r}; known are {', '.join(levels)}")
    operation = module.operation
    first = backend.level if is_program else level_of(operation)
    if levels.index(first) > levels.index(until):
        raise CompileError(f"the text is at the level {first!r}, and lowering does not go up to {until!r}")
    functions = () if is_program else entries_of(operation)
    if len(functions) > 1 and not backend.takes_entries:
        raise CompileError(f"target {target.name!r} takes models with one entry, not {', '.join(functions)}")
    check_points(request.passes, first, backend.level, is_program)
    texts = {backend.level: reading.program} if is_program else {}
    layers: dict[str, dict[str, Any]] = {}
    symbols: set[str] = set()
    with module.context, ir.Location.unknown(), reproducing(request.reproducer_dir):
        if not is_program:
            describe_target(operation, target)
        if request.quantize:
            request = _calibrate(reading, request, first)
        for level in LEVELS[levels.index(first) : levels.index(until) + 1]:
            run_stage(_pipeline(level, backend, request), operation, level)
            texts[level] = operation.get_asm(assume_verified=True)
            symbols.update(symbols_of_kind(operation, "graph.parameter"))
            if level == "kernel":
                layers = {name: layer_graph(function) for name, function in entries_of(operation).items()}
        entries = {
            name: _entry(signature_of(function, reading.backend), layers.get(name, {}))
            for name, function in entries_of(operation).items()
        }
        states = states_of(operation)
        parameters = program_parameters(module, reading.lookup, reading.backend)
        target_flags = backend.iree_flags(None if is_program else operation)
        if until == backend.level and not is_program:
            texts[backend.level] = _program(operation, backend, request)
    found = {name: functools.partial(reading.lookup, name) for name in sorted(symbols)}
    command = functools.partial(compile_command, target=target, flags=request.iree_flags)
    again = functools.partial(reproducing, request.reproducer_dir, command)
    flags = target_flags, request.iree_flags, has_loops(operation)
    return Lowered(target, texts, entries, states, parameters, found, *flags, again)


def _entry(signature: Signature, layers: Mapping[str, Any]) -> Entry:
    return Entry(signature, merge_layers(layers.get("layers", [])), layers)


def _program(module: ir.Operation, backend: Backend, request: Request) -> str:
    """The backend's text, made of a copy: the constant expressions in the module are still to be evaluated."""
    copy = module.clone().operation
    run_stage(_pipeline(backend.level, backend, request), copy, backend.level)
    return backend.text(copy)


def _calibrate(reading: Reading, request: Request, first: str) -> Request:
    """Observe the samples, and return the request without the passes of the user that have run."""
    if first != "graph":
        raise CompileError(f"option 'quantize' is for graphs; the text is at the level {first!r} already")
    module = reading.module
    run_stage([*passes_at("after-import", request.passes), *preparation()], module.operation, "prepare")

    def compile_observed(observed: ir.Module, signature: Signature) -> CompiledModel:
        (function,) = entries_of(observed.operation).values()
        function.attributes[SIGNATURE] = ir.StringAttr.get(json.dumps(signature.to_json()))
        here = Request()
        return CompiledModel(_lower(Reading(observed, reading.lookup, here.resolved()), here).artifact())

    entries = entries_of(module.operation)
    if len(entries) > 1:
        raise CompileError(f"option 'quantize' is for models with one entry, not {', '.join(entries)}")
    (main,) = entries.values()
    signature = signature_of(main)
    if request.calibration:
        calibrate(module, main, signature, request.calibration, compile_observed)
    elif not has_ranges(main):
        request.check_calibration()
    left = {point: passes for point, passes in request.passes.items() if point != "after-import"}
    return dataclasses.replace(request, passes=left)


def _pipeline(level: str, backend: Backend, request: Request) -> list[Pass]:
    """What makes the text of a level from that of the level above, or from its own, which stays as it is."""
    users = request.passes
    takes = backend.families, backend.element_types, backend.reduced_types
    if level == "graph":
        quantize, encode, precision = request.quantization, request.encode, backend.precision(request)
        own = graph_pipeline(*takes, apart=backend.apart, quantize=quantize, encode=encode, precision=precision)
        passes = [*passes_at("after-import", users), *own]
    elif level == "kernel":
        schedule = [*passes_at("before-schedule", users), *backend.schedule(request)]
        passes = kernel_pipeline(schedule, *takes, views=backend.has_views)
    else:
        passes = loop_pipeline(backend.rest()) if level == "loop" else backend.lower()
    return [*passes, VerifyLevel(level=level), *passes_at(f"after-{level}", users)]
