"""The parameters of a model: found as they were given, and computed as its program reads them."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from terrace.errors import CompileError
from terrace.lowering.analysis.used_symbols import used_symbols
from terrace.lowering.graph.evaluation import Constants
from terrace.lowering.graph.evaluation.arrays import NUMPY_TYPES
from terrace.lowering.target.backend import Backend, Source
from terrace.mlir import ir
from terrace.storage.artifact import read_parameters
from terrace.storage.parameter_archive import ParameterInfo, aligned_copy

if TYPE_CHECKING:
    import torch

Lookup = Callable[[str], np.ndarray]
ParameterMap = Mapping[str, Any]


def to_numpy(key: str, value: np.ndarray | torch.Tensor) -> np.ndarray:
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


def program_parameters(module: ir.Module, lookup: Lookup, backend: type[Backend] | None) -> dict[str, Source]:
    """What the program reads, each as the function that computes it: the module stays alive for them.

    `backend` is the one that the module is a program of already.
    """
    if backend is not None:
        names = sorted(backend.program_parameters(module.operation))
        return {name: functools.partial(_copied, lookup, name) for name in names}
    names = sorted(used_symbols(module.operation))
    evaluate = Constants(module, names).evaluate
    return {name: functools.partial(evaluate, name, lookup) for name in names}


def _copied(lookup: Lookup, name: str) -> np.ndarray:
    """A parameter as the program's own: nobody else writes to it."""
    return aligned_copy(lookup(name))
