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
from terrace.frontend.export import PARAMETER_NAMES
from terrace.frontend.program import Program, require_plain
from terrace.signature import Leaf, Signature
from terrace.structure import Tree

SCALARS = ((torch.SymBool, "bool"), (torch.SymInt, "int64"), (torch.SymFloat, "float64"))


def signature_of(exported: ExportedProgram, decomposed: ExportedProgram, program: Program) -> Signature:
    """The inputs and outputs of `exported`; values come from `decomposed`, whose graph `program` holds."""
    signature = decomposed.graph_signature
    values = {node.name: node.meta.get("val") for node in decomposed.graph.nodes}
    inputs = [leaf_of(spec.arg, values) for spec in signature.input_specs if spec.kind == InputKind.USER_INPUT]
    outputs = [leaf_of(spec.arg, values) for spec in signature.output_specs if spec.kind == OutputKind.USER_OUTPUT]
    names = [spec.arg.name for spec in signature.input_specs if spec.kind == InputKind.USER_INPUT]
    given = [name for name, leaf in zip(names, inputs, strict=True) if leaf is not None]
    numbers = {name: number for number, name in enumerate(given)}
    input_leaves = [leaf for leaf in inputs if leaf is not None]
    output_leaves = [leaf for leaf in outputs if leaf is not None]
    for index, alias in program.aliases.items():
        if output_leaves[index].kind == "tensor":
            output_leaves[index] = dataclasses.replace(output_leaves[index], alias=alias)
    for index, argument in program.returned_arguments.items():
        output_leaves[index] = dataclasses.replace(output_leaves[index], argument=numbers[argument])
    call = exported.call_spec
    assert call.in_spec is not None and call.out_spec is not None
    return Signature(
        tree_of(call.in_spec, iter(inputs)),
        input_leaves,
        tree_of(call.out_spec, iter(outputs)),
        output_leaves,
        ranges_of(decomposed),
        parameter_names(exported),
        program.is_seeded,
        [numbers[argument] for argument in program.written],
    )


def leaf_of(argument: Any, values: dict[str, Any]) -> Leaf | None:
    """What an input or output is; None for a None."""
    if isinstance(argument, ConstantArgument):
        return None if argument.value is None else Leaf("constant", value=argument.value)
    return leaf_of_value(argument.name, values[argument.name])


def leaf_of_value(name: str, value: Any) -> Leaf:
    """What the fake tensor or symbolic number of the node `name` is."""
    if isinstance(value, torch.Tensor):
        require_plain(f"'{name}', an input or result of the model,", value)
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
    items = dict(zip(keys, spec.children(), strict=True)) if keys else dict(enumerate(spec.children()))
    trees = {key: tree_of(child, leaves) for key, child in items.items()}
    if kind == "dataclass":
        # PyTorch leaves out the fields that are None.
        names = [*dict.fromkeys([*none_fields(spec), *keys])]
        order = [field.name for field in dataclasses.fields(spec.type)]
        keys = sorted(names, key=order.index)
        trees = {name: trees.get(name, Tree("none")) for name in keys}
    return Tree(kind, list(trees.values()), keys, type_name)


def container_of(spec: TreeSpec) -> tuple[Any, list[Any], str]:
    """The kind, keys and class name of the container that `spec` describes."""
    kinds = {tuple: "tuple", list: "list", dict: "dict", OrderedDict: "ordered_dict"}
    if spec.type in kinds:
        is_dict = spec.type in (dict, OrderedDict)
        return kinds[spec.type], list(spec.context) if is_dict else [], ""
    if isinstance(spec.type, type) and spec.type.__module__ == "torch.return_types":
        # PyTorch's own named results, such as those of torch.max.
        return "namedtuple", list(vars(spec.type)["__match_args__"]), class_name(spec.type)
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
    """The fields that the children stand for.

    PyTorch keeps (present fields, fields that are None) as context of a dataclass; Hugging Face's ModelOutput, which is
    a dictionary too, its keys.
    """
    names = spec.context[0] if is_registered_by_pytorch(spec) else spec.context
    return [str(name) for name in names]


def none_fields(spec: TreeSpec) -> list[str]:
    """The fields of a dataclass that are None, and have no child."""
    if is_registered_by_pytorch(spec):
        return [str(name) for name in spec.context[1]]
    return [field.name for field in dataclasses.fields(spec.type) if field.name not in spec.context]


def is_registered_by_pytorch(spec: TreeSpec) -> bool:
    """Whether a dataclass is a pytree by torch.export.register_dataclass."""
    return len(spec.context) == 2 and all(isinstance(names, list) for names in spec.context)


def parameter_names(exported: ExportedProgram) -> list[str]:
    """The names of the positional arguments that a call may give by name, in order."""
    given: list[str] | None = exported.graph_module.meta.get(PARAMETER_NAMES)
    if given is not None:
        return given
    # A program that the user exported knows the names of what was given, of which the first are positional.
    names = exported.module_call_graph[0].signature.forward_arg_names or []
    assert exported.call_spec.in_spec is not None
    return list(names)[: exported.call_spec.in_spec.child(0).num_children]


def class_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
