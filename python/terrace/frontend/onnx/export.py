"""An ONNX model as an exported program: its example inputs, its dynamic sizes, its names."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, TypeProto, ValueInfoProto
from torch.export import Dim, ExportedProgram

from terrace.caller_line import warn
from terrace.errors import ModelImportError
from terrace.frontend.dynamic_dimensions import DIMENSION_NAMES, OPEN
from terrace.frontend.export import export_program
from terrace.frontend.onnx.module import OnnxModule
from terrace.frontend.onnx.values import torch_type_of

BATCH, OTHER = 2, 64
"""Sizes that are taken for dimensions without one: of the first axis, and of others. Arguments say better ones."""


def export_onnx(
    source: str | os.PathLike[str] | ModelProto,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
    dynamic_shapes: Any,
) -> ExportedProgram:
    """The program of an ONNX model. Without arguments, the sizes that it names are dynamic. With arguments, so are
    they, unless `dynamic_shapes` (by input, as torch.export takes them) says which are. Raises ModelImportError."""
    model = OnnxModule(source)
    names = model.input_names
    arguments = model.argument_names
    named = {arguments[names.index(name)] if name in names else name: value for name, value in (kwargs or {}).items()}
    given = dict(zip(arguments, args, strict=False)) | named
    unknown = sorted(given.keys() - set(arguments))
    if len(args) > len(names) or unknown:
        takes, got = ", ".join(names) or "no input", ", ".join(unknown) or len(args)
        raise ModelImportError(f"the model takes {takes}; got {got}")
    sizes: dict[str, int] = {}
    example = tuple(
        as_example(given[argument]) if argument in given else example_of(value, sizes)
        for argument, value in zip(arguments, model.inputs, strict=True)
    )
    shapes = {
        argument: axes_of(value, at.shape, dynamic_shapes)
        for argument, value, at in zip(arguments, model.inputs, example, strict=True)
    }
    model.traced_with(example)
    return exported_of(model, example, shapes if any(shapes.values()) else None, dynamic_shapes is None)


def exported_of(
    model: OnnxModule, example: tuple[torch.Tensor, ...], shapes: dict[str, Any] | None, may_be_fixed: bool
) -> ExportedProgram:
    """The program at an example.

    Where the model cannot be traced with both branches of each `If`, because one does not fit the example, those that
    inputs choose are the ones of the example. Where it cannot with the sizes that it leaves open, all are those of the
    example, unless the user has asked for sizes.
    """
    sizes = [shapes, None] if shapes is not None and may_be_fixed else [shapes]
    ways = list(itertools.product(sizes, [False, True] if model.has_branches else [False]))
    for place, (given, of_example) in enumerate(ways):
        model.branches_of_example = of_example
        try:
            exported = export_program(model, example, None, given)
        except ModelImportError as error:
            if place + 1 == len(ways):
                raise
            reason = str(error).partition("\n")[2].partition("\n")[0] or error
            continue
        if place:
            fixed = ["sizes"] * (given is not shapes) + ["branches"] * of_example
            warn(f"the model's {' and '.join(fixed)} are those of the example: it cannot be traced without ({reason})")
        break
    if given is not None and may_be_fixed:
        named = {i: names_of(v, given[model.argument_names[i]]) for i, v in enumerate(model.inputs)}
        exported.graph_module.meta[DIMENSION_NAMES] = {index: names for index, names in named.items() if names}
        exported.graph_module.meta[OPEN] = {name for names in named.values() for name in names.values()}
    return exported


def as_example(value: Any) -> torch.Tensor:
    """A tensor or array that the user gives."""
    return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.asarray(value, order="C"))


def tensor_type(value: ValueInfoProto) -> TypeProto.Tensor:
    if value.type.WhichOneof("value") != "tensor_type":
        raise ModelImportError(
            f"input '{value.name}' is no tensor: sequences, maps and optional values are not supported"
        )
    return value.type.tensor_type


def example_of(value: ValueInfoProto, sizes: dict[str, int]) -> torch.Tensor:
    """Zeros of the type and shape of an input; `sizes` holds those of named dimensions."""
    kind = tensor_type(value)
    shape = []
    for axis, dim in enumerate(kind.shape.dim):
        size = dim.dim_value if dim.HasField("dim_value") else (BATCH if axis == 0 else OTHER)
        shape.append(sizes.setdefault(dim.dim_param, size) if dim.dim_param else size)
    return torch.zeros(shape, dtype=torch_type_of(kind.elem_type))


def axes_of(value: ValueInfoProto, sizes: torch.Size, dynamic_shapes: Any) -> dict[int, Any] | None:
    """What is dynamic of an input: what the user says, else the dimensions that have no size.

    A size of 1 in the example would be a constant with AUTO.
    """
    if dynamic_shapes is not None:
        found = dynamic_shapes.get(value.name) if isinstance(dynamic_shapes, Mapping) else None
        return dict(enumerate(found)) if isinstance(found, (list, tuple)) else found
    dims = tensor_type(value).shape.dim
    if len(dims) != len(sizes):
        return None
    open_axes = [axis for axis, dim in enumerate(dims) if not dim.HasField("dim_value")]
    return {axis: Dim.DYNAMIC if sizes[axis] == 1 else Dim.AUTO for axis in open_axes} or None


def names_of(value: ValueInfoProto, axes: dict[int, Any] | None) -> dict[int, str]:
    """The names of the dynamic dimensions of an input, where they can stand in a text."""
    dims = tensor_type(value).shape.dim
    return {
        axis: dims[axis].dim_param for axis in axes or {} if axis < len(dims) and dims[axis].dim_param.isidentifier()
    }
