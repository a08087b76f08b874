"""`terrace.compile`: from a model, or the text of any level, to a callable.

Each level is entered and left here; what happens between two levels is a pipeline of `terrace.lowering.pipelines`.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from terrace.artifact import Artifact, State
from terrace.dialects.base import to_python
from terrace.errors import CompileError
from terrace.lowering.conversion.kernel_to_loop.kernel import is_kernel
from terrace.lowering.evaluate import NUMPY_TYPES, evaluate
from terrace.lowering.pipelines import graph_pipeline, kernel_pipeline, loop_pipeline
from terrace.lowering.report import compile_report
from terrace.lowering.target.iree.compiler import compile_program, program_text
from terrace.lowering.target.iree.convert_loop_to_iree import used_symbols
from terrace.mlir import DYNAMIC, create_context, func, ir, parse_module
from terrace.parameter_archive import MappedParameters
from terrace.passes import Pass, run_passes
from terrace.runtime.cpu_features import host_features
from terrace.runtime.model import CompiledModel
from terrace.signature import Leaf, Signature, Tree
from terrace.target import TARGETS, Target

if TYPE_CHECKING:
    import torch

SIGNATURE = "terrace_signature"
"""The attribute of @main that carries the model's signature through the levels, as JSON."""

PRECISIONS = ("highest", "high", "medium")
"""torch.set_float32_matmul_precision's names. All are computed in float32 throughout, which is "highest"."""

OPTIONS = {"iree_flags": "more flags for iree-compile, a list of str"}
"""What `options` may hold."""

Lookup = Callable[[str], np.ndarray]
ParameterMap = Mapping[str, Any]


def compile(
    model: torch.nn.Module | torch.export.ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    target: str | Target = "cpu",
    precision: str | None = None,
    dynamic_shapes: Any = None,
    options: Mapping[str, Any] | None = None,
) -> CompiledModel:
    """Compile `model`, called as `model(*args, **kwargs)`, for `target`.

    `precision` is "highest", "high" or "medium"; None follows `torch.get_float32_matmul_precision()`. All three run
    in float32 today and promise the bound of "highest": 1e-4 * max|y| + 1e-5 against eager. `dynamic_shapes` is
    torch.export's. `options`: see `OPTIONS`. Parameters are copied; the module is not written.

    Raises CompileError (ModelImportError, PassError) or TargetError.
    """
    from terrace.frontend import import_model

    resolved, checked = _resolve(target), _check_options(options)
    _check_precision(precision)
    context = create_context()
    imported = import_model(model, args, kwargs, dynamic_shapes=dynamic_shapes, context=context)
    with context, ir.Location.unknown():
        main = _main(imported.module.operation)
        main.attributes[SIGNATURE] = ir.StringAttr.get(json.dumps(imported.signature.to_json()))
    parameters = imported.parameters
    return _compile_module(imported.module, lambda key: _to_numpy(parameters[key]), resolved, checked)


def compile_mlir(
    text: str,
    parameters: ParameterMap | str | os.PathLike[str] | None = None,
    *,
    target: str | Target = "cpu",
    options: Mapping[str, Any] | None = None,
) -> CompiledModel:
    """Compile the text of any level, such as `CompiledModel.ir` gives.

    `parameters` maps the keys of its `graph.parameter` symbols to arrays or tensors (a state_dict fits), or is the
    path of an IREE parameter archive that holds them. Text of the level "iree" wants its evaluated constants, too.
    """
    resolved, checked = _resolve(target), _check_options(options)
    context = create_context()
    context.allow_unregistered_dialects = True
    try:
        module = parse_module(text, context)
    except ir.MLIRError as error:
        raise CompileError(f"the text is not valid at any level:\n{error}") from error
    return _compile_module(module, _lookup(parameters), resolved, checked)


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------


def _resolve(target: str | Target) -> Target:
    return Target.of(target).resolve(sorted(host_features()), len(os.sched_getaffinity(0)))


def _check_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    checked = dict(options or {})
    for name in checked:
        if name not in OPTIONS:
            raise CompileError(f"unknown option {name!r}; known are {', '.join(OPTIONS)}")
    flags = checked.setdefault("iree_flags", [])
    if not isinstance(flags, (list, tuple)) or not all(isinstance(flag, str) for flag in flags):
        raise CompileError(f"option 'iree_flags' must be a list of str, got {flags!r}")
    return checked


def _check_precision(precision: str | None) -> None:
    if precision is not None and precision not in PRECISIONS:
        raise CompileError(f"unknown precision {precision!r}; known are {', '.join(PRECISIONS)}")


def _to_numpy(value: Any) -> np.ndarray:
    """An array on a parameter's memory; bfloat16 travels by its bits."""
    if isinstance(value, np.ndarray):
        return value
    value = value.detach().cpu().contiguous()
    if str(value.dtype) == "torch.bfloat16":
        return np.asarray(value.view(importlib.import_module("torch").int16).numpy()).view(NUMPY_TYPES["bf16"])
    return np.asarray(value.numpy())


def _lookup(parameters: ParameterMap | str | os.PathLike[str] | None) -> Lookup:
    source: Any = {} if parameters is None else parameters
    if isinstance(source, (str, os.PathLike)):
        source = MappedParameters.open(source)

    def find(key: str) -> np.ndarray:
        if key not in source:
            raise CompileError(f"no parameter '{key}' was given; pass it in `parameters` (--parameters)")
        return _to_numpy(source[key])

    return find


# ---------------------------------------------------------------------------------------------------------------------
# Levels
# ---------------------------------------------------------------------------------------------------------------------


def _main(module: ir.Operation) -> Any:
    for view in module.regions[0].blocks[0].operations:
        if isinstance(view, func.FuncOp) and view.name.value == "main":
            return view
    raise CompileError("the module has no function @main")


def level_of(module: ir.Operation) -> str:
    """The level that a module is at, by what it holds."""
    operations = list(module.regions[0].blocks[0].operations)
    if any(op.operation.name in ("stream.executable", "util.global") for op in operations):
        return "iree"
    if any(isinstance(op, func.FuncOp) and "loop.kernel" in op.attributes for op in operations):
        return "loop"
    return "kernel" if any(is_kernel(op) for op in operations) else "graph"


@dataclasses.dataclass
class _Lowered:
    """A module on its way down: the text of each level it has passed, and the report."""

    module: ir.Module
    ir: dict[str, str] = dataclasses.field(default_factory=dict)
    report: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def run(self, passes: list[Pass]) -> None:
        run_passes(passes, self.module.operation)

    def keep(self, level: str) -> None:
        self.ir[level] = self.module.operation.get_asm(assume_verified=True)


def _compile_module(module: ir.Module, lookup: Lookup, target: Target, options: Mapping[str, Any]) -> CompiledModel:
    backend = _backend(target)
    lowered = _Lowered(module)
    level = level_of(module.operation)
    with module.context, ir.Location.unknown():
        if level == "graph":
            lowered.run(graph_pipeline())
            lowered.keep("graph")
        if level in ("graph", "kernel"):
            lowered.run(kernel_pipeline(backend.schedule()))
            lowered.keep("kernel")
            lowered.report = compile_report(module.operation)
        if level != "iree":
            lowered.run(loop_pipeline())
            lowered.keep("loop")
        signature = _signature(module.operation)
        parameters, states = _parameters(module, lookup), _states(module.operation)
        if level != "iree":
            lowered.module = ir.Module.parse(lowered.ir["loop"])
            lowered.run(backend.lower())
        text = program_text(lowered.module.operation)
    lowered.ir["iree"] = text
    program = compile_program(text, [*backend.iree_flags(), *options["iree_flags"]])
    artifact = Artifact(
        signature=signature,
        program=program,
        parameters=parameters,
        ir=lowered.ir,
        target={**target.to_json(), "cpu_features": list(target.features or ())},
        report=lowered.report,
        states=states,
    )
    return CompiledModel(artifact)


def _backend(target: Target) -> Any:
    module, _, name = TARGETS[target.name].partition(":")
    return getattr(importlib.import_module(module), name)(target)


def _symbols(module: ir.Operation, kind: str) -> dict[str, ir.Operation]:
    return {
        to_python(op.operation.attributes["sym_name"]): op.operation
        for op in module.regions[0].blocks[0].operations
        if op.operation.name == kind
    }


def _parameters(module: ir.Module, lookup: Lookup) -> dict[str, Callable[[], np.ndarray]]:
    """What the program reads, each as the function that computes it: the module stays alive for them."""
    names = sorted(used_symbols(module.operation)) or [
        name for name, op in _symbols(module.operation, "util.global").items() if "initial_value" in op.attributes
    ]
    if level_of(module.operation) == "iree":
        return {name: functools.partial(lookup, name) for name in names}
    return {name: functools.partial(evaluate, module, name, lookup) for name in names}


def _states(module: ir.Operation) -> list[State]:
    states = []
    for name, op in _symbols(module, "graph.state").items():
        type_ = ir.RankedTensorType(to_python(op.attributes["type"]))
        states.append(State(name, tuple(type_.shape), np.dtype(NUMPY_TYPES[str(type_.element_type)]).name))
    return states


def _signature(module: ir.Operation) -> Signature:
    """The signature that @main carries, or the plain one of its types: arguments in, a result or a tuple out."""
    main = _main(module)
    if SIGNATURE in main.attributes:
        return Signature.from_json(json.loads(main.attributes[SIGNATURE].value))
    inputs, outputs = ([_leaf(t, i) for i, t in enumerate(types)] for types in (main.type.inputs, main.type.results))
    arguments = Tree("tuple", [Tree("leaf") for _ in inputs])
    result = Tree("leaf") if len(outputs) == 1 else Tree("tuple", [Tree("leaf") for _ in outputs])
    return Signature(Tree("tuple", [arguments, Tree("dict")]), inputs, result, outputs)


def _leaf(type_: ir.Type, number: int) -> Leaf:
    if not isinstance(type_, ir.RankedTensorType):
        raise CompileError(f"@main must take and give tensors, got {type_}")
    shape = [f"s{number}_{axis}" if size == DYNAMIC else size for axis, size in enumerate(type_.shape)]
    return Leaf("tensor", shape, np.dtype(NUMPY_TYPES[str(type_.element_type)]).name)
