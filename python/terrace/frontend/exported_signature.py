"""The signature of an exported program: its pytrees as trees, its placeholders and results as leaves."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ArgumentSpec, ConstantArgument, InputKind, OutputKind
from torch.fx.node import Argument
from torch.utils._pytree import TreeSpec

from terrace.errors import ModelImportError
from terrace.frontend.dynamic_dimensions import OPEN, SINGLE
from terrace.frontend.export import parameter_names
from terrace.frontend.guards import PRESUMED, guards_of
from terrace.frontend.program import Program
from terrace.frontend.size_names import SYMBOLIC, SizeNames, number_or, user_inputs
from terrace.frontend.symbol_names import require_plain
from terrace.signature import Leaf, Signature
from terrace.structure import Tree, context_text

SCALARS = ((torch.SymBool, "bool"), (torch.SymInt, "int64"), (torch.SymFloat, "float64"))


def signature_of(
    exported: ExportedProgram, decomposed: ExportedProgram, program: Program, names: SizeNames
) -> Signature:
    """The inputs and outputs of `exported`; values come from `decomposed`, whose graph `program` holds."""
    signature = decomposed.graph_signature
    values = {node.name: node.meta.get("val") for node in decomposed.graph.nodes}
    arguments = [spec.arg for spec in signature.input_specs if spec.kind == InputKind.USER_INPUT]
    results = [spec.arg for spec in signature.output_specs if spec.kind == OutputKind.USER_OUTPUT]
    inputs = [leaf_of(argument, values, names) for argument in arguments]
    outputs = [leaf_of(result, values, names) for result in results]
    given = [argument.name for argument, leaf in zip(arguments, inputs, strict=True) if leaf is not None]
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
    taken = tree_of(call.in_spec, iter(inputs))
    return Signature(
        taken,
        input_leaves,
        with_arguments(tree_of(call.out_spec, iter(outputs)), taken, output_leaves),
        output_leaves,
        ranges_of(decomposed, input_leaves, names, exported.graph_module.meta.get(OPEN, ())),
        parameter_names(exported),
        program.is_seeded,
        [numbers[argument] for argument in program.written],
        program.checks,
        guards_of(exported, decomposed, names, program.indexed),
    )


def leaf_of(argument: ArgumentSpec, values: dict[str, Any], names: SizeNames) -> Leaf | None:
    """What an input or output is; None for a None."""
    if isinstance(argument, ConstantArgument):
        return None if argument.value is None else Leaf("constant", value=argument.value)
    return leaf_of_value(argument.name, values[argument.name], names)


def leaf_of_value(name: str, value: Argument, names: SizeNames | None = None) -> Leaf:
    """What the fake tensor or symbolic number of the node `name` is."""
    if isinstance(value, torch.Tensor):
        require_plain(f"'{name}', an input or result of the model,", value)
        text = str if names is None else names.text
        shape = [number_or(text, size) for size in value.shape]
        return Leaf("tensor", shape, str(value.dtype).removeprefix("torch."))
    for type_, dtype in SCALARS:
        if isinstance(value, type_):
            return Leaf("scalar", dtype=dtype)
    raise ModelImportError(
        f"'{name}' is a {type(value).__name__}: a compiled model takes and returns tensors and numbers, "
        "in tuples, lists, dicts and dataclasses"
    )


def ranges_of(
    exported: ExportedProgram, inputs: list[Leaf], names: SizeNames, open_names: Collection[str]
) -> dict[str, list[int | None]]:
    """The bounds of each dynamic size of `inputs`, None for no upper one.

    A size without a `torch.export.Dim` may be 0 and 1, too, as in what PyTorch makes of the program: it only reasons as
    if there were two at least.
    """
    sizes = {size for leaf in inputs for size in leaf.shape}
    ranges: dict[str, list[int | None]] = {}
    for symbol, bounds in exported.range_constraints.items():
        name = names.text(symbol)
        low = int(bounds.lower) if bounds.lower.is_Integer else 0
        if name in sizes:
            # The name of a Dim, whose bounds are the user's, is an identifier; other sizes are called x.shape[0].
            bounded = name.isidentifier() and name not in open_names
            low = 0 if low == PRESUMED and not bounded else low
            ranges[name] = [low, int(bounds.upper) if bounds.upper.is_Integer else None]
    return ranges


def example_shapes(exported: ExportedProgram) -> list[list[int]]:
    """The shapes that the example inputs had, [] of a number, where sizes of some are dynamic; else nothing."""
    inputs = [(i, v) for i, v in enumerate(user_inputs(exported)) if isinstance(v, (torch.Tensor, *SYMBOLIC))]
    shapes = [(index, list(value.shape) if isinstance(value, torch.Tensor) else []) for index, value in inputs]
    if all(isinstance(size, int) for _, shape in shapes for size in shape):
        return []
    single = exported.graph_module.meta.get(SINGLE, {})
    return [
        [1 if axis in single.get(index, ()) else _example(size) for axis, size in enumerate(shape)]
        for index, shape in shapes
    ]


def _example(size: int | torch.SymInt) -> int:
    return size if isinstance(size, int) else int(size.node.hint)


def tree_of(spec: TreeSpec, leaves: Iterator[Leaf | None]) -> Tree:
    """A pytree's structure; takes one of `leaves` for each leaf of `spec`, where None stands for a None."""
    if spec.is_leaf():
        return Tree("none" if next(leaves) is None else "leaf")
    if is_registered(spec):
        parts = [tree_of(child, leaves) for child in spec.children()]
        return Tree("registered", parts, [], class_name(spec.type), context_of(spec))
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


def is_registered(spec: TreeSpec) -> bool:
    """Whether a container is of a class that somebody has registered as a pytree, and no other kind that we know."""
    known = (tuple, list, dict, OrderedDict)
    is_class = isinstance(spec.type, type) and not dataclasses.is_dataclass(spec.type)
    return is_class and not issubclass(spec.type, known) and spec.type.__module__ != "torch.return_types"


def context_of(spec: TreeSpec) -> str:
    """What an object of a registered class holds beside tensors, which each call must bring again."""
    try:
        return context_text(spec.context)
    except TypeError as error:
        raise ModelImportError(
            f"a {spec.type.__name__} among the inputs or outputs holds what is no plain data ({error}), which is not"
            " supported: use tuples, lists, dicts, named tuples and dataclasses"
        ) from error


def with_arguments(outputs: Tree, inputs: Tree, leaves: list[Leaf]) -> Tree:
    """`outputs`, whose parts of registered classes say which arguments they are; raises where one is none."""
    given = [part for part, _ in placed(inputs) if part.kind == "registered"]
    ranges = [list(places) for part, places in placed(inputs) if part.kind == "registered"]
    first = iter(range(outputs.leaf_count()))

    def bound(tree: Tree) -> Tree:
        if tree.kind == "leaf":
            next(first)
            return tree
        if tree.kind != "registered":
            return dataclasses.replace(tree, items=[bound(item) for item in tree.items])
        own = [leaves[next(first)].argument for _ in range(tree.leaf_count())]
        number = next((number for number, places in enumerate(ranges) if places == own), None)
        if number is None or given[number].context != tree.context:
            raise ModelImportError(
                f"the model returns a {tree.type_name} that is none of its arguments, which is not supported: return"
                " its tensors"
            )
        return dataclasses.replace(tree, argument=number)

    return bound(outputs)


def placed(tree: Tree, start: int = 0) -> Iterator[tuple[Tree, range]]:
    """A tree and all its parts, outermost first, each with the numbers of its leaves."""
    yield tree, range(start, start + tree.leaf_count())
    for item in tree.items:
        yield from placed(item, start)
        start += item.leaf_count()


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


def class_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
