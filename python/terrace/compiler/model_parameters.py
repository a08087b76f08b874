"""The parameters of a model: found as they were given, and computed as its program reads them."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from terrace.compiler.module_interface import symbols_of_kind
from terrace.errors import CompileError
from terrace.lowering.graph.evaluation import Constants
from terrace.lowering.graph.evaluation.arrays import NUMPY_TYPES
from terrace.lowering.target.hls.interface import design_weights, is_design
from terrace.lowering.target.iree.convert_loop_to_iree import used_symbols
from terrace.mlir import ir
from terrace.storage.artifact import read_parameters
from terrace.storage.parameter_archive import ParameterInfo, aligned_copy

Lookup = Callable[[str], np.ndarray]
ParameterMap = Mapping[str, Any]
Source = Callable[[], np.ndarray]


def to_numpy(key: str, value: Any) -> np.ndarray:
    """An array on a parameter's memory; bfloat16 travels by its bits."""
    if isinstance(value, np.ndarray):
        return value
    if not hasattr(value, "detach"):
        raise CompileError(f"parameter '{key}' is a {type(value).__name__}; give a tensor or an array")
    try:
        value = value.detach().cpu().contiguous()
        if str(value.dtype) == "torch.bfloat16":
            return np.asarray(value.view(importlib.import_module("torch").int16).numpy()).view(NUMPY_TYPES["bf16"])
        return np.asarray(value.numpy())
    except (NotImplementedError, RuntimeError, TypeError) as error:  # Of PyTorch: sparse, on meta, float8.
        raise CompileError(
            f"the values of parameter '{key}' cannot be read ({error}); give a dense tensor that has values"
        ) from error


def lookup_of(
    parameters: ParameterMap | str | os.PathLike[str] | None, declared: Mapping[str, ParameterInfo]
) -> Lookup:
    """What finds a parameter by its key and checks it against its declaration."""
    source: Any = {} if parameters is None else parameters
    if isinstance(source, (str, os.PathLike)):
        source = read_parameters(source, declared)
    if not isinstance(source, Mapping):
        raise CompileError(f"parameters must be a dict of arrays or the path of a file, got {type(source).__name__}")

    def find(key: str) -> np.ndarray:
        if key not in source:
            raise CompileError(f"no parameter '{key}' was given; pass it in `parameters` (--parameters)")
        value, expected = to_numpy(key, source[key]), declared[key]
        if value.dtype == np.uint8 and expected.dtype == "int8":  # MLIR's i8 has no sign of its own.
            value = value.view(np.int8)
        if (value.shape, value.dtype.name) != (expected.shape, expected.dtype):
            found = f"{value.dtype.name}{list(value.shape)}"
            raise CompileError(f"parameter '{key}' is {found}, but declared as {expected.dtype}{list(expected.shape)}")
        return value

    return find


def program_parameters(module: ir.Module, lookup: Lookup, is_program: bool) -> dict[str, Source]:
    """What the program reads, each as the function that computes it: the module stays alive for them."""
    if is_program and is_design(module.operation):
        names = sorted(design_weights(module.operation))
        return {name: functools.partial(_copied, lookup, name) for name in names}
    if is_program:
        globals_ = symbols_of_kind(module.operation, "util.global")
        names = [name for name, op in globals_.items() if _reads_parameter(op)]
        return {name: functools.partial(_copied, lookup, name) for name in sorted(names)}
    evaluate = Constants(module).evaluate
    return {name: functools.partial(evaluate, name, lookup) for name in sorted(used_symbols(module.operation))}


def _copied(lookup: Lookup, name: str) -> np.ndarray:
    """A parameter as the program's own: nobody else writes to it."""
    return aligned_copy(lookup(name))


def _reads_parameter(global_: ir.Operation) -> bool:
    return "initial_value" in global_.attributes and "flow.parameter" in str(global_.attributes["initial_value"])
