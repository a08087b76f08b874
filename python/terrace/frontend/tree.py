"""The signature of an exported program: its pytrees as trees, its placeholders and results as leaves."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.utils._pytree import TreeSpec

from terrace.errors import ModelImportError
from terrace.frontend.program import Program
from terrace.signature import Leaf, Signature, Tree

SCALARS = ((torch.SymBool, "bool"), (torch.SymInt, "int64"), (torch.SymFloat, "float64"))


def signature_of(exported: ExportedProgram, decomposed: ExportedProgram, program: Program) -> Signature:
    """The inputs and outputs of `exported`; values come from `decomposed`, whose graph `program` holds."""
    signature = decomposed.graph_signature
    values = {node.name: node.meta.get("val") for node in decomposed.graph.nodes}
    inputs = [leaf_of(spec.arg, values) for spec in signature.input_specs if spec.kind == InputKind.USER_INPUT]
    outputs = [leaf_of(spec.arg, values) for spec in signature.output_specs if spec.kind == OutputKind.USER_OUTPUT]
    input_leaves = [leaf for leaf in inputs if leaf is not None]
    output_leaves = [leaf for leaf in outputs if leaf is not None]
    for index, alias in program.aliases.items():
        if output_leaves[index].kind == "tensor":
            output_leaves[index] = dataclasses.replace(output_leaves[index], alias=alias)
    call = exported.call_spec
    assert call.in_spec is not None and call.out_spec is not None
    return Signature(
        tree_of(call.in_spec, iter(inputs)),
        input_leaves,
        tree_of(call.out_spec, iter(outputs)),
        output_leaves,
        ranges_of(decomposed),
    )


def leaf_of(argument: Any, values: dict[str, Any]) -> Leaf | None:
    """What an input or output is; None for a None."""
    if isinstance(argument, ConstantArgument):
        return None if argument.value is None else Leaf("constant", value=argument.value)
    return leaf_of_value(argument.name, values[argument.name])


def leaf_of_value(name: str, value: Any) -> Leaf:
    """What the fake tensor or symbolic number of the node `name` is."""
    if isinstance(value, torch.Tensor):
        shape: list[int | str] = [size if isinstance(size, int) else str(size) for size in value.shape]
        return Leaf("tensor", shape, str(value.dtype).removeprefix("torch."))
    for type_, dtype in SCALARS:
        if isinstance(value, type_):
            return Leaf("scalar", dtype=dtype)
    raise ModelImportError(
        f"'{name}' is a {type(value).__name__}: a compiled model takes and returns tensors and numbers, "
        "in tuples, lists, dicts and dataclasses"
    )


def ranges_of(exported: ExportedProgram) -> dict[str, list[int | None]]:
    """The bounds of each dynamic size, None for no upper one."""
    ranges: dict[str, list[int | None]] = {}
    for symbol, bounds in exported.range_constraints.items():
        low = int(bounds.lower) if bounds.lower.is_Integer else 0
        ranges[str(symbol)] = [low, int(bounds.upper) if bounds.upper.is_Integer else None]
    return ranges


def tree_of(spec: TreeSpec, leaves: Iterator[Leaf | None]) -> Tree:
    """A pytree's structure; takes one of `leaves` for each leaf of `spec`, where None stands for a None."""
    if spec.is_leaf():
        return Tree("none" if next(leaves) is None else "leaf")
    kind, keys, type_name = container_of(spec)
    return Tree(kind, [tree_of(child, leaves) for child in spec.children()], keys, type_name)


def container_of(spec: TreeSpec) -> tuple[Any, list[Any], str]:
    """The kind, keys and class name of the container that `spec` describes."""
    kinds = {tuple: "tuple", list: "list", dict: "dict", OrderedDict: "ordered_dict"}
    if spec.type in kinds:
        is_dict = spec.type in (dict, OrderedDict)
        return kinds[spec.type], list(spec.context) if is_dict else [], ""
    if isinstance(spec.type, type) and spec.type.__module__ == "torch.return_types":
        # PyTorch's own result pairs, such as those of torch.max, come back as plain tuples.
        return "tuple", [], ""
    named = spec.context if isinstance(spec.context, type) else spec.type
    if isinstance(named, type) and issubclass(named, tuple) and hasattr(named, "_fields"):
        return "namedtuple", list(named._fields), class_name(named)
    if dataclasses.is_dataclass(spec.type) and isinstance(spec.type, type):
        return "dataclass", dataclass_keys(spec), class_name(spec.type)
    raise ModelImportError(
        f"a {spec.type.__name__ if isinstance(spec.type, type) else spec.type} among the inputs or outputs is not "
        "supported: use tuples, lists, dicts, named tuples and dataclasses"
    )


def dataclass_keys(spec: TreeSpec) -> list[str]:
    """The fields that the children stand for: PyTorch keeps (present fields, fields that are None) as context."""
    return [str(name) for name in spec.context[0]]


def class_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
