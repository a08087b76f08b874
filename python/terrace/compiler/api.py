"""`terrace.compile` and `terrace.compile_mlir`: from a model, or the text of any level, to a callable."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from terrace import progress
from terrace.compiler.cached import build
from terrace.compiler.entries import Entries
from terrace.compiler.model_parameters import ParameterMap
from terrace.compiler.request import Request
from terrace.compiler.sources import DynamicShapes, ModelSource, Onnx, PyTorch, Text
from terrace.errors import CompileError
from terrace.runtime.model import CompiledModel
from terrace.target import Target

if TYPE_CHECKING:
    import onnx
    import torch


def compile(
    model: torch.nn.Module
    | torch.export.ExportedProgram
    | str
    | os.PathLike[str]
    | onnx.ModelProto
    | Mapping[str, Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    target: str | Target | None = None,
    precision: str | None = None,
    dynamic_shapes: DynamicShapes = None,
    options: Mapping[str, Any] | None = None,
) -> CompiledModel:
    """Compile `model`, called as `model(*args, **kwargs)`, for `target`, by default a CPU.

    A dict has several models by name, each an ExportedProgram or (model, args, kwargs, dynamic_shapes), as a tuple or a
    dict, and becomes one program: `compiled["decode"](...)` calls one of them. Parameters that they have in common are
    there once, and a buffer that one of them writes to is state of them all (docs/decoding.md).

    A path or a ModelProto is an ONNX model: `args` and `kwargs`, its inputs in order and by name, may be left out, and
    the result of a call is a dict of its outputs by name (docs/onnx.md).

    `precision` is "highest", "high" or "medium"; None follows `torch.get_float32_matmul_precision()`. The first
    computes in float32, within 1e-4 * max|y| + 1e-5 of eager. Where the CPU multiplies it faster, "medium" rounds what
    weights are multiplied with, and the weights, to bfloat16, and "high" takes two bfloat16 parts of both
    (docs/numerics.md). `dynamic_shapes` is torch.export's. `options`: see `terrace.compiler.request.Request`.
    Parameters are copied; the module is not written.

    Raises CompileError (ModelImportError, PassError) or TargetError.
    """
    request = Request.of(target, precision, options)
    request.check_calibration()
    if isinstance(model, Mapping):
        if len(args) or kwargs or dynamic_shapes is not None:
            raise CompileError("of several models, each has arguments of its own: {'decode': (model, args)}")
        return _compile(Entries.of(model), request)
    is_onnx = isinstance(model, (str, os.PathLike)) or hasattr(model, "opset_import")
    source: Any = Onnx if is_onnx else PyTorch
    return _compile(source(model, args, kwargs, dynamic_shapes), request)


def compile_mlir(
    text: str,
    parameters: ParameterMap | str | os.PathLike[str] | None = None,
    *,
    target: str | Target | None = None,
    options: Mapping[str, Any] | None = None,
) -> CompiledModel:
    """Compile the text of any level, such as `CompiledModel.ir` gives, for the target that it names, or a CPU.

    `parameters` maps the keys of its `graph.parameter` symbols to arrays or tensors (a state_dict fits), or is the
    path of an IREE parameter archive or a `.terrace` file that holds them. Text of a program wants its evaluated
    constants, too.
    """
    return _compile(Text(text, parameters), Request.of(target, Request.precision, options))


def _compile(source: ModelSource, request: Request) -> CompiledModel:
    with progress.shown():
        artifact = build(source, request)
        with progress.stage("load"):  # Evaluates the constants.
            return CompiledModel(artifact)
