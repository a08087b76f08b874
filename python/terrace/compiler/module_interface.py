"""What a module says of itself: its level, its signature and states, and what it reads from outside.

A `backend` is the one that the module is a program of; None at the levels above.
"""

from __future__ import annotations

import json

import numpy as np

from terrace.dialects.base import to_python
from terrace.errors import ArtifactError, CompileError
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL
from terrace.lowering.graph.evaluation.arrays import NUMPY_TYPES
from terrace.lowering.kernels.view import is_kernel
from terrace.lowering.target.backend import Backend
from terrace.mlir import DYNAMIC, func, ir, walk
from terrace.passes import describe_location
from terrace.signature import Leaf, Signature
from terrace.storage.artifact import State
from terrace.storage.parameter_archive import ParameterInfo
from terrace.structure import Tree

SIGNATURE = "terrace_signature"
"""The attribute of a function that carries the model's signature through the levels, as JSON."""


def level_of(module: ir.Operation) -> str:
    """The level that a module of ours is at, by what it holds."""
    operations = list(module.regions[0].blocks[0].operations)
    if any(isinstance(op, func.FuncOp) and LOOP_KERNEL in op.attributes for op in operations):
        return "loop"
    return "kernel" if any(is_kernel(op) for op in operations) else "graph"


def has_loops(module: ir.Operation) -> bool:
    """Whether the host goes through work several times; `scf.if` chooses once."""
    functions = [entry.operation for entry in entries_of(module).values()]
    return any(op.name in ("scf.for", "scf.while") for function in functions for op in walk(function))


def entries_of(module: ir.Operation) -> dict[str, func.FuncOp]:
    """The functions that are called from outside, by name: @main, and those that carry a signature.

    Raises CompileError if there is none.
    """
    functions = [op for op in module.regions[0].blocks[0].operations if isinstance(op, func.FuncOp)]
    found = {op.name.value: op for op in functions if op.name.value == "main" or SIGNATURE in op.attributes}
    if not found:
        raise CompileError(f"the module has no function @main, nor one that carries a {SIGNATURE}")
    return found


def symbols_of_kind(module: ir.Operation, kind: str) -> dict[str, ir.Operation]:
    """The declarations by ops called `kind`, by their names."""
    return {
        to_python(op.operation.attributes["sym_name"]): op.operation
        for op in module.regions[0].blocks[0].operations
        if op.operation.name == kind
    }


def declared(module: ir.Operation, backend: type[Backend] | None) -> dict[str, ParameterInfo]:
    """Shape and dtype of all that the text may read from outside."""
    if backend is not None:
        types = backend.program_parameters(module)
    else:
        symbols = symbols_of_kind(module, "graph.parameter")
        types = {name: to_python(op.attributes["type"]) for name, op in symbols.items()}
    return {name: ParameterInfo(*described(type_)) for name, type_ in types.items()}


def described(type_: ir.Type) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of a tensor or memory type."""
    tensor = ir.ShapedType(type_)
    return tuple(tensor.shape), _dtype_of(type_)


def _dtype_of(type_: ir.Type) -> str:
    """The name of NumPy's type for the elements of a tensor or memory."""
    element = str(ir.ShapedType(type_).element_type)
    if element not in NUMPY_TYPES:
        raise CompileError(f"{type_} has elements that no program takes or gives; known are {', '.join(NUMPY_TYPES)}")
    return np.dtype(NUMPY_TYPES[element]).name


def states_of(module: ir.Operation) -> list[State]:
    """The mutable buffers; of a program, the functions that read them show which."""
    types = {name: to_python(op.attributes["type"]) for name, op in symbols_of_kind(module, "graph.state").items()}
    for name, op in symbols_of_kind(module, "func.func").items():
        if name.startswith("state.get."):
            types[name.removeprefix("state.get.")] = op.opview.type.results[0]
    return [State(name, *described(type_)) for name, type_ in types.items()]


def signature_of(entry: func.FuncOp, backend: type[Backend] | None = None) -> Signature:
    """The signature that a function carries, or the plain one of its types: arguments in, a result or a tuple out."""
    if SIGNATURE in entry.attributes:
        return _read_signature(entry)
    both = (entry.type.inputs, entry.type.results) if backend is None else backend.program_types(entry)
    inputs, outputs = ([leaf_of(t, i) for i, t in enumerate(types)] for types in both)
    arguments = Tree("tuple", [Tree("leaf") for _ in inputs])
    result = Tree("leaf") if len(outputs) == 1 else Tree("tuple", [Tree("leaf") for _ in outputs])
    return Signature(Tree("tuple", [arguments, Tree("dict")]), inputs, result, outputs)


def _read_signature(entry: func.FuncOp) -> Signature:
    """The signature that a function carries. Raises CompileError for one that is malformed."""
    attribute = entry.attributes[SIGNATURE]
    try:
        return Signature.from_json(json.loads(attribute.value if isinstance(attribute, ir.StringAttr) else ""))
    except (ArtifactError, ValueError, RecursionError) as error:
        raise CompileError(f"{_where(entry)} is malformed ({error}); leave it out, or as it was") from error


def check_signature(entry: func.FuncOp) -> None:
    """Raise CompileError if the signature that a function carries is not that of its types: a person may edit both."""
    if SIGNATURE not in entry.attributes:
        return
    signature = _read_signature(entry)
    inputs = [leaf for leaf in signature.input_leaves if leaf.kind != "constant"]
    outputs = signature.program_results()
    takes = entry.type.inputs[: len(entry.type.inputs) - signature.is_seeded]
    for what, leaves, types in (("inputs", inputs, takes), ("outputs", outputs, entry.type.results)):
        if not _describes(leaves, types):
            found = ", ".join(map(str, types))
            raise CompileError(f"{_where(entry)} has other {what} than its types ({found}); leave it out, or mend it")


def _where(entry: func.FuncOp) -> str:
    return f"{describe_location(entry.operation.location)}: error: {SIGNATURE} of @{entry.name.value}"


def _describes(leaves: list[Leaf], types: list[ir.Type]) -> bool:
    """Whether leaves may be values of these types: as many, of these ranks and sizes."""
    return len(leaves) == len(types) and all(
        isinstance(type_, (ir.RankedTensorType, ir.MemRefType))
        and len(sizes := leaf.program_shape) == len(type_.shape)
        and all(isinstance(size, str) or size == known for size, known in zip(sizes, type_.shape, strict=True))
        for leaf, type_ in zip(leaves, types, strict=True)
    )


def leaf_of(type_: ir.Type, number: int) -> Leaf:
    """A tensor of the signature; each `?` is a size of its own."""
    if not isinstance(type_, (ir.RankedTensorType, ir.MemRefType)):
        raise CompileError(f"@main must take and give tensors, got {type_}")
    shape = [f"s{number}_{axis}" if size == DYNAMIC else size for axis, size in enumerate(type_.shape)]
    return Leaf("tensor", shape, _dtype_of(type_))
