"""`terrace.compile`: from a model, or the text of any level, to a callable.

Each level is entered and left here; what happens between two levels is a pipeline of `terrace.compiler.pipelines`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from terrace import loaded_code, progress
from terrace.collector import collects_seldom
from terrace.compiler.calibration import calibrate, missing_calibration
from terrace.compiler.layer_report import layer_graph, merge_layers
from terrace.compiler.model_parameters import Lookup, ParameterMap, Source, lookup_of, program_parameters, to_numpy
from terrace.compiler.module_interface import (
    SIGNATURE,
    check_signature,
    declared,
    level_of,
    main_of,
    signature_of,
    states_of,
    symbols_of_kind,
)
from terrace.compiler.pipelines import graph_pipeline, kernel_pipeline, loop_pipeline, preparation
from terrace.compiler.request import check_options, check_precision, check_request, followed_precision, resolve_target
from terrace.dialects.context import create_context
from terrace.errors import CompileError, TerraceError
from terrace.lowering.debugging.commands import compile_command
from terrace.lowering.debugging.reproducer import reproducing
from terrace.lowering.pipeline.user_passes import UserPasses, check_points, passes_at
from terrace.lowering.pipeline.verify_level import VerifyLevel
from terrace.lowering.pipeline.verify_text import verify_text
from terrace.lowering.quantization.ranges import has_ranges
from terrace.lowering.target.backend import Backend, backend_of, find_backend, program_level, reader_of
from terrace.lowering.target.description import describe_target, target_of
from terrace.mlir import ir, load_torch_dialects, parse_module, walk
from terrace.origins import origins_of
from terrace.parsing import parse
from terrace.passes import Pass, internal_error, line_of, run_passes
from terrace.runtime.model import CompiledModel
from terrace.runtime.report import Report, report_of
from terrace.signature import Signature
from terrace.storage import cache
from terrace.storage.artifact import LEVELS, Artifact, State, program_name
from terrace.storage.cache_key import key_of
from terrace.storage.parameter_archive import ParameterInfo
from terrace.storage.places import Places
from terrace.target import Target

if TYPE_CHECKING:
    import torch

    from terrace.frontend import ImportedModel


def compile(
    model: torch.nn.Module | torch.export.ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    target: str | Target | None = None,
    precision: str | None = None,
    dynamic_shapes: Any = None,
    options: Mapping[str, Any] | None = None,
) -> CompiledModel:
    """Compile `model`, called as `model(*args, **kwargs)`, for `target`, by default "cpu".

    `precision` is "highest", "high" or "medium"; None follows `torch.get_float32_matmul_precision()`. All three run
    in float32 today and promise the bound of "highest": 1e-4 * max|y| + 1e-5 against eager. `dynamic_shapes` is
    torch.export's. `options`: see `OPTIONS`. Parameters are copied; the module is not written.

    Raises CompileError (ModelImportError, PassError) or TargetError.
    """
    keywords: dict[str, Any] = {"target": target, "precision": precision, "options": options}
    with progress.shown():
        return _load(build(model, args, kwargs, dynamic_shapes=dynamic_shapes, **keywords))


def compile_mlir(
    text: str,
    parameters: ParameterMap | str | os.PathLike[str] | None = None,
    *,
    target: str | Target | None = None,
    options: Mapping[str, Any] | None = None,
) -> CompiledModel:
    """Compile the text of any level, such as `CompiledModel.ir` gives, for the target that it names, or "cpu".

    `parameters` maps the keys of its `graph.parameter` symbols to arrays or tensors (a state_dict fits), or is the
    path of an IREE parameter archive or a `.terrace` file that holds them. Text of the level "iree" wants its evaluated
    constants, too.
    """
    with progress.shown():
        return _load(build_mlir(text, parameters, target=target, options=options))


def _load(artifact: Artifact) -> CompiledModel:
    with progress.stage("load"):  # Evaluates the constants.
        return CompiledModel(artifact)


@collects_seldom
def build(
    model: torch.nn.Module | torch.export.ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    target: str | Target | None = None,
    precision: str | None = None,
    dynamic_shapes: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Artifact:
    """`compile` without loading the result. What the cache holds (`terrace.storage.cache`) is not compiled again."""
    from terrace.frontend import export_program, fingerprint, lines_of, symbols_of

    resolved, checked = resolve_target(target), check_options(options)
    check_precision(precision)
    with progress.stage("export"):
        exported = export_program(model, args, kwargs, dynamic_shapes)

    def lookup(found: Artifact, declared: Mapping[str, ParameterInfo]) -> Lookup | None:
        symbols = symbols_of(exported, [state.name for state in found.states])
        return (lambda key: to_numpy(key, symbols[key])) if declared.keys() <= symbols.keys() else None

    places = Places(lines_of(exported.graph_module))
    request = _Request("model", resolved, checked, places, followed_precision(precision))
    return _cached(
        request.key(lambda: fingerprint(exported)),
        places,
        lookup,
        lambda: lower(exported, target=resolved, precision=precision, options=checked),
    )


@collects_seldom
def build_imported(
    imported: ImportedModel,
    *,
    target: str | Target | None = None,
    precision: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Artifact:
    """`build` for a model that the frontend has imported. Its parameters are looked up when a value is asked for."""
    resolved, checked = check_request(target, precision, options)

    def content() -> str:
        module = imported.module.operation
        # The report calls layers by their origins.
        names = [origin for operation in walk(module) for origin in origins_of(operation.location)]
        return f"{imported.signature.to_json()}\n{module.get_asm()}\n{names}"

    places = Places(line_of(operation.location) for operation in walk(imported.module.operation))
    return _cached(
        _Request("region", resolved, checked, places, followed_precision(precision)).key(content),
        places,
        lambda _, declared: lambda key: to_numpy(key, imported.parameters[key]),
        lambda: lower_imported(imported, target=resolved, precision=precision, options=checked),
    )


@collects_seldom
def build_mlir(
    text: str,
    parameters: ParameterMap | str | os.PathLike[str] | None = None,
    *,
    target: str | Target | None = None,
    options: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Artifact:
    """`compile_mlir` without loading the result. What the cache holds (`terrace.storage.cache`) is not compiled again.

    `name` is the file that the text is of, for diagnostics.
    """
    resolved, checked = resolve_target(target), check_options(options, is_text=True)
    places = Places(())
    # For a target that is given, or for the one that the text names.
    kind = "text" if target is None else "text for"
    return _cached(
        _Request(kind, resolved, checked, places).key(lambda: text),
        places,
        lambda _, declared: lookup_of(parameters, declared),
        lambda: lower_mlir(text, parameters, target=target, options=checked, name=name),
    )


@collects_seldom
def lower(
    model: torch.nn.Module | torch.export.ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    target: str | Target | None = None,
    precision: str | None = None,
    dynamic_shapes: Any = None,
    options: Mapping[str, Any] | None = None,
    until: str = "iree",
) -> Lowered:
    """`compile` without its last step, iree-compile, and down to the level `until` only."""
    from terrace.frontend import import_model

    # What is wrong with these is said before the model is exported, which takes a while.
    resolved, checked = check_request(target, precision, options)
    with progress.stage("import"), reproducing(checked["reproducer_dir"]):
        # Hardware has no ops that take indices: they are refused, by their own names.
        is_checked = checked["check_indices"] and backend_of(resolved).checks_indices
        imported = import_model(
            model, args, kwargs, dynamic_shapes=dynamic_shapes, context=create_context(), check_indices=is_checked
        )
    return lower_imported(imported, target=resolved, precision=precision, options=checked, until=until)


def lower_imported(
    imported: ImportedModel,
    *,
    target: str | Target | None = None,
    precision: str | None = None,
    options: Mapping[str, Any] | None = None,
    until: str = "iree",
) -> Lowered:
    """`lower` for a model that the frontend has imported. Its parameters are looked up when a value is asked for."""
    resolved, checked = check_request(target, precision, options)
    with imported.module.context, ir.Location.unknown():
        main = main_of(imported.module.operation)
        main.attributes[SIGNATURE] = ir.StringAttr.get(json.dumps(imported.signature.to_json()))
    parameters = imported.parameters
    return _lower(imported.module, lambda key: to_numpy(key, parameters[key]), resolved, checked, until)


def lower_mlir(
    text: str,
    parameters: ParameterMap | str | os.PathLike[str] | None = None,
    *,
    target: str | Target | None = None,
    options: Mapping[str, Any] | None = None,
    until: str = "iree",
    name: str | None = None,
) -> Lowered:
    """`compile_mlir` without its last step, iree-compile, and down to the level `until` only.

    `name` is the file that the text is of, for diagnostics.
    """
    if not isinstance(text, str):
        raise CompileError(f"expected the text of a level as a str, got {type(text).__name__}")
    checked = check_options(options, is_text=True)
    if target is not None:
        target = resolve_target(target)  # What is wrong with it is said before the text is read.
    context = _context_of_text()
    reader = reader_of(text)
    # A program that our MLIR cannot read is compiled as it stands.
    module = _parse(text if reader is None else reader.interface(text, name), context, name)
    level = reader.level if reader is not None else program_level(module.operation)
    try:
        if level is None:
            verify_text(module.operation)
            check_signature(module.operation)
        texts = {} if level is None else {level: text}
        resolved = resolve_target(target or target_of(module.operation))
        return _lower(module, lookup_of(parameters, declared(module.operation)), resolved, checked, until, texts)
    except (TerraceError, OSError):
        raise
    # Text may hold anything: what nobody foresaw is still told as one error, with the op where it is known.
    except Exception as error:
        raise CompileError(internal_error(error)) from error


def _context_of_text() -> ir.Context:
    """A context for any text of ours, which may hold ops of torch-mlir's, such as scans."""
    context = create_context()
    load_torch_dialects(context)
    context.allow_unregistered_dialects = True
    return context


def _parse(text: str, context: ir.Context, name: str | None = None) -> ir.Module:
    try:
        return parse(text, context, name)
    except CompileError as error:
        raise CompileError(f"the text is not valid at any level:\n{error}") from error


# ---------------------------------------------------------------------------------------------------------------------
# The cache
# ---------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Request:
    """What is asked of a compilation, besides its content."""

    kind: str
    target: Target
    options: Mapping[str, Any]
    places: Places
    precision: str = ""

    def key(self, content: Callable[[], str | None]) -> str | None:
        """The key of the result; None if it has none, or there is no cache."""
        if cache.directory() is None:
            return None
        options = {name: value for name, value in self.options.items() if name != "reproducer_dir"}
        settings = {"precision": self.precision, "places": self.places.pattern}
        return key_of(self.kind, content(), self.target, options, **settings)


def _cached(
    key: str | None,
    places: Places,
    lookup: Callable[[Artifact, Mapping[str, ParameterInfo]], Lookup | None],
    lower: Callable[[], Lowered],
) -> Artifact:
    """What the cache holds under `key`, with the parameters that `lookup` finds for it; else what `lower` leads to."""
    code = loaded_code.digest()
    found = cache.find(key) if key is not None else None
    if key is not None and found is not None:
        completed = _complete(found, lookup)
        if completed is not None:
            return places.into(completed)
        cache.discard(key)
    lowered = lower()
    read: set[str] = set()
    noted = {name: functools.partial(_note, read, name, source) for name, source in lowered.parameters.items()}
    artifact = dataclasses.replace(lowered, parameters=noted).artifact()
    # A program that is made of values, as hardware is, or that needs only some of them, is no other model's. Modules
    # that were imported meanwhile may not be those that the key counted on.
    is_whole = not read and artifact.parameters.keys() == noted.keys()
    if key is not None and is_whole and code == loaded_code.digest():
        cache.keep(key, places.without(artifact))
    return artifact


def _complete(
    found: Artifact, lookup: Callable[[Artifact, Mapping[str, ParameterInfo]], Lookup | None]
) -> Artifact | None:
    """What the cache held, with parameters; None if it wants others than there are, or has a text that nobody reads."""
    is_program = "loop" not in found.ir
    text = found.ir["loop"] if "loop" in found.ir else next(iter(found.ir.values()))
    try:
        # Ours, so that it need not be rehearsed.
        own = find_backend(found.target["name"])
        module = parse_module(own.interface(text) if own.reads(text) else text, _context_of_text())
    except (ir.MLIRError, CompileError):
        return None
    find = lookup(found, declared(module.operation))
    return None if find is None else dataclasses.replace(found, parameters=program_parameters(module, find, is_program))


def _note(read: set[str], name: str, source: Source) -> np.ndarray:
    """The value of a parameter, whose name is then among those that were `read`."""
    read.add(name)
    return source()


# ---------------------------------------------------------------------------------------------------------------------
# Levels
# ---------------------------------------------------------------------------------------------------------------------


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
    report: list[dict[str, Any]]
    layers: Mapping[str, Any]
    signature: Signature
    states: list[State]
    parameters: Mapping[str, Source]
    symbols: Mapping[str, Source]
    target_flags: Sequence[str]
    flags: Sequence[str]
    reproducing: Callable[[], contextlib.AbstractContextManager[None]]

    def artifact(self) -> Artifact:
        """Make the program of its text, which must be there: lower until "iree". Raises CompileError."""
        backend = backend_of(self.target)
        with progress.stage("link"), self.reproducing():
            program, read = backend.link(self.ir[backend.level], [*self.target_flags, *self.flags], self.parameters)
        return Artifact(
            signature=self.signature,
            program=program,
            program_name=program_name(self.target.name),
            parameters={name: source for name, source in self.parameters.items() if name in read},
            ir=self.ir,
            target={**self.target.to_json(), "cpu_features": list(self.target.features or ())},
            report=self.report,
            layers=self.layers,
            states=self.states,
        )

    def drawable_report(self) -> Report:
        """`report` as what `CompiledModel.report` gives."""
        return report_of(self.report, self.layers, self.signature, self.target.to_json())


def _lower(
    module: ir.Module,
    lookup: Lookup,
    target: Target,
    options: Mapping[str, Any],
    until: str,
    program: Mapping[str, str] | None = None,
) -> Lowered:
    """Lower `module` until a level. With a `program`, the text of the last level, the module is its interface."""
    backend, texts = backend_of(target), dict(program or {})
    for level in texts:
        if level != backend.level:
            raise CompileError(
                f"the text is at the level {level!r}, which target {target.name!r} does not have; name the target that"
                " it was made for"
            )
    if until not in LEVELS and until != backend.level:
        raise CompileError(f"unknown level {until!r}; known are {', '.join((*LEVELS[:-1], backend.level))}")
    is_program = bool(texts)
    until = LEVELS[-1] if until == backend.level else until
    first = LEVELS.index(level_of(module.operation)) if not is_program else len(LEVELS) - 1
    last = LEVELS.index(until)
    if first > last:
        raise CompileError(f"the text is at the level {LEVELS[first]!r}, and lowering does not go up to {until!r}")
    users = options["passes"]
    check_points(users, LEVELS[first], backend.level, is_program)
    layers: dict[str, Any] = {}
    symbols: set[str] = set()
    operation = module.operation
    with module.context, ir.Location.unknown(), reproducing(options["reproducer_dir"]):
        if not is_program:
            describe_target(operation, target)
        if options["quantize"]:
            users = _calibrate(module, lookup, options, first)
        for level in LEVELS[first : min(last, LEVELS.index("loop")) + 1]:
            run_passes(_pipeline(level, backend, users, bool(options["quantize"])), operation, stage=level)
            texts[level] = operation.get_asm(assume_verified=True)
            symbols.update(symbols_of_kind(operation, "graph.parameter"))
            if level == "kernel":
                layers = layer_graph(operation)
        signature, states = signature_of(operation), states_of(operation)
        parameters = program_parameters(module, lookup, is_program)
        target_flags = backend.iree_flags(None if is_program else operation)
        if until == LEVELS[-1] and not is_program:
            texts[backend.level] = _program(operation, backend, users)
    found = {name: functools.partial(lookup, name) for name in sorted(symbols)}
    report = merge_layers(layers.get("layers", []))
    command = functools.partial(compile_command, target=target, flags=options["iree_flags"])
    again = functools.partial(reproducing, options["reproducer_dir"], command)
    flags = target_flags, options["iree_flags"]
    return Lowered(target, texts, report, layers, signature, states, parameters, found, *flags, again)


def _program(module: ir.Operation, backend: Backend, users: UserPasses) -> str:
    """The backend's text, made of a copy: the constant expressions in the module are still to be evaluated."""
    copy = module.clone().operation
    run_passes(_pipeline(backend.level, backend, users), copy, stage=backend.level)
    return backend.text(copy)


def _calibrate(module: ir.Module, lookup: Lookup, options: Mapping[str, Any], first: int) -> UserPasses:
    """Observe the samples, and return the passes of the user that have not run yet."""
    if first != LEVELS.index("graph"):
        raise CompileError(f"option 'quantize' is for graphs; the text is at the level {LEVELS[first]!r} already")
    users = dict(options["passes"])
    run_passes([*passes_at("after-import", users), *preparation()], module.operation, stage="prepare")
    users.pop("after-import", None)

    def compile_observed(observed: ir.Module, signature: Signature) -> CompiledModel:
        main_of(observed.operation).attributes[SIGNATURE] = ir.StringAttr.get(json.dumps(signature.to_json()))
        lowered = _lower(observed, lookup, resolve_target(None), check_options(None), LEVELS[-1])
        return CompiledModel(lowered.artifact())

    main, signature = main_of(module.operation), signature_of(module.operation)
    if options["calibration"]:
        calibrate(module, main, signature, options["calibration"], compile_observed)
    elif not has_ranges(main):
        raise missing_calibration()
    return users


def _pipeline(level: Any, backend: Backend, users: UserPasses, quantize: bool = False) -> list[Pass]:
    """What makes the text of a level from that of the level above, or from its own, which stays as it is."""
    takes = backend.families, backend.element_types, backend.reduced_types
    if level == "graph":
        passes = [*passes_at("after-import", users), *graph_pipeline(*takes, quantize=quantize)]
    elif level == "kernel":
        schedule = [*passes_at("before-schedule", users), *backend.schedule()]
        passes = kernel_pipeline(schedule, *takes)
    else:
        passes = loop_pipeline(backend.rest()) if level == "loop" else backend.lower()
    return [*passes, VerifyLevel(level=level), *passes_at(f"after-{level}", users)]
