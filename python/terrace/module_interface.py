"""What a module says of itself to those who call its program: signature, states, and what it reads from outside."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from terrace.artifact import State
from terrace.dialects.base import to_python
from terrace.errors import CompileError
from terrace.lowering.evaluate import NUMPY_TYPES
from terrace.lowering.target.hls.interface import design_types, design_weights, is_design
from terrace.mlir import DYNAMIC, func, ir
from terrace.parameter_archive import ParameterInfo
from terrace.signature import Leaf, Signature
from terrace.structure import Tree

SIGNATURE = "terrace_signature"
"""The attribute of @main that carries the model's signature through the levels, as JSON."""


def main_of(module: ir.Operation) -> Any:
    """The function @main. Raises CompileError if there is none."""
    for view in module.regions[0].blocks[0].operations:
        if isinstance(view, func.FuncOp) and view.name.value == "main":
            return view
    raise CompileError("the module has no function @main")


def symbols_of_kind(module: ir.Operation, kind: str) -> dict[str, ir.Operation]:
    """The declarations by ops called `kind`, by their names."""
    return {
        to_python(op.operation.attributes["sym_name"]): op.operation
        for op in module.regions[0].blocks[0].operations
        if op.operation.name == kind
    }


def declared(module: ir.Operation) -> dict[str, ParameterInfo]:
    """Shape and dtype of all that the text may read from outside."""
    symbols = {**symbols_of_kind(module, "graph.parameter"), **symbols_of_kind(module, "util.global")}
    types = {name: to_python(op.attributes["type"]) for name, op in symbols.items()}
    if is_design(module):
        types |= design_weights(module)
    return {name: ParameterInfo(*described(type_)) for name, type_ in types.items()}


def described(type_: ir.Type) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of a tensor or memory type."""
    tensor = ir.ShapedType(type_)
    return tuple(tensor.shape), np.dtype(NUMPY_TYPES[str(tensor.element_type)]).name


def states_of(module: ir.Operation) -> list[State]:
    """The mutable buffers; at the level "iree" they are the functions that read them."""
    types = {name: to_python(op.attributes["type"]) for name, op in symbols_of_kind(module, "graph.state").items()}
    for name, op in symbols_of_kind(module, "func.func").items():
        if name.startswith("state.get."):
            types[name.removeprefix("state.get.")] = op.opview.type.results[0]
    return [State(name, *described(type_)) for name, type_ in types.items()]


def signature_of(module: ir.Operation) -> Signature:
    """The signature that @main carries, or the plain one of its types: arguments in, a result or a tuple out."""
    main = main_of(module)
    if SIGNATURE in main.attributes:
        return Signature.from_json(json.loads(main.attributes[SIGNATURE].value))
    both = design_types(module) if is_design(module) else (main.type.inputs, main.type.results)
    inputs, outputs = ([leaf_of(t, i) for i, t in enumerate(types)] for types in both)
    arguments = Tree("tuple", [Tree("leaf") for _ in inputs])
    result = Tree("leaf") if len(outputs) == 1 else Tree("tuple", [Tree("leaf") for _ in outputs])
    return Signature(Tree("tuple", [arguments, Tree("dict")]), inputs, result, outputs)


def leaf_of(type_: ir.Type, number: int) -> Leaf:
    """A tensor of the signature; each `?` is a size of its own."""
    if not isinstance(type_, (ir.RankedTensorType, ir.MemRefType)):
        raise CompileError(f"@main must take and give tensors, got {type_}")
    shape = [f"s{number}_{axis}" if size == DYNAMIC else size for axis, size in enumerate(type_.shape)]
    return Leaf("tensor", shape, np.dtype(NUMPY_TYPES[str(type_.element_type)]).name)
