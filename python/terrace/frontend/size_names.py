"""What the user calls the dynamic sizes and numbers of a model.

A size has the name that its `torch.export.Dim` has; one without is `x.shape[0]`, of the argument `x`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import sympy
import torch
from torch._dynamo.source import ConstantSource
from torch.export import ExportedProgram
from torch.export.exported_program import _convert_guards_to_code
from torch.export.graph_signature import InputKind
from torch.fx.node import Argument
from torch.utils import _pytree as pytree

from terrace.frontend.dynamic_dimensions import DIMENSION_NAMES
from terrace.frontend.export import parameter_names
from terrace.guards import Expression

Path = tuple[str, str]
"""The name of an argument, and how Python reaches a part of it: ("x", "['a'][0]")."""

SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)


@dataclasses.dataclass(frozen=True)
class SizeNames:
    """`names` has the user's name for each symbol of PyTorch's, by the symbol's own.

    `references` has what PyTorch's guards call the sizes and numbers of inputs, such as `L['x'].size()[0]`, and what
    they are: numbers, or names in the signature.
    """

    names: dict[str, str] = dataclasses.field(default_factory=dict)
    references: dict[str, Expression] = dataclasses.field(default_factory=dict)

    def text(self, expression: int | torch.SymInt | torch.SymBool | sympy.Basic) -> str:
        """A size or a relation of sizes in the user's names; u0 and the like are numbers that the model computes."""

        def name(symbol: re.Match[str]) -> str:
            return self.names.get(symbol[0], "the number" if symbol[0].startswith("u") else "the size")

        return re.sub(r"\b[suz]\d+\b", name, str(expression))


def size_names(exported: ExportedProgram, decomposed: ExportedProgram) -> SizeNames:
    """The names of what `decomposed` takes, which is `exported` in other ops."""
    given: dict[int, dict[int, str]] = exported.graph_module.meta.get(DIMENSION_NAMES, {})
    inputs = list(zip(input_paths(exported), user_inputs(decomposed), strict=True))
    names: dict[str, str] = {}
    for index, (path, value) in enumerate(inputs):
        for axis, size in enumerate(value.shape if isinstance(value, torch.Tensor) else ()):
            own = given.get(index, {}).get(axis)
            if is_symbol(size) and (own is not None or str(size) not in names):
                names[str(size)] = own or f"{user_path(path)}.shape[{axis}]"
        if is_symbol(value):
            names.setdefault(str(value), user_path(path))
    names = root_names(inputs) | names
    found = SizeNames(names)
    aliases = variadic_aliases(exported, guard_texts(exported, decomposed))
    for path, value in inputs:
        for key in aliases(path):
            found.references.update(references(key, path, value, found))
    return found


def user_inputs(exported: ExportedProgram) -> list[Any]:
    """The values of the inputs that are no parameters and buffers: fake tensors, symbolic numbers, constants."""
    values = {node.name: node.meta.get("val") for node in exported.graph.nodes}
    specs = [spec for spec in exported.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT]
    return [getattr(spec.arg, "value", values.get(spec.arg.name)) for spec in specs]


def input_paths(exported: ExportedProgram) -> list[Path]:
    """Where each input stands: (name of the argument, how Python reaches it from there)."""
    spec = exported.call_spec.in_spec
    assert spec is not None
    names = parameter_names(exported)
    # Tensors, as some containers find their leaves by what they are.
    stand_ins = [torch.empty(0, device="meta") for _ in range(spec.num_leaves)]
    leaves, _ = pytree.tree_flatten_with_path(pytree.tree_unflatten(stand_ins, spec))
    paths = []
    for (_, first, *rest), _ in leaves:
        if isinstance(first, pytree.SequenceKey):
            name = (names[first.idx] if first.idx < len(names) else "") or f"args[{first.idx}]"
        else:
            name = str(getattr(first, "key", first))
        paths.append((name, pytree.keystr(tuple(rest))))
    return paths


def user_path(path: Path) -> str:
    return "".join(path)


def number_or(text: Callable[[Any], str], size: int | torch.SymInt) -> int | str:
    """A size: a number, also where PyTorch found a dynamic one to have one value only, or its `text`."""
    expression = size.node.expr if isinstance(size, torch.SymInt) else size
    return int(expression) if isinstance(expression, int) or expression.is_Integer else text(size)


def is_symbol(value: Argument) -> bool:
    """Whether a size or number is a symbol by itself, and no arithmetic on one."""
    return isinstance(value, SYMBOLIC) and value.node.expr.is_Symbol


def root_names(inputs: list[tuple[Path, Any]]) -> dict[str, str]:
    """The names of the symbols that only sizes like `2*b` are made of, where a `torch.export.Dim` gave them one."""
    names = {}
    for _, value in inputs:
        for size in symbolic_sizes(value):
            for root in size.node.expr.free_symbols:
                for source in size.node.shape_env.var_to_sources.get(root, ()):
                    if isinstance(source, ConstantSource):
                        names[str(root)] = source.source_name
    return names


def symbolic_sizes(value: Argument) -> list[Any]:
    """The dynamic sizes of an input, if it is a tensor."""
    shape: tuple[Any, ...] = tuple(value.shape) if isinstance(value, torch.Tensor) else ()
    return [size for size in shape if isinstance(size, torch.SymInt)]


def guard_texts(exported: ExportedProgram, decomposed: ExportedProgram) -> list[str]:
    """The guards of `exported`, and those that decomposing it added."""
    return [*exported._guards_code, *_convert_guards_to_code(decomposed.graph_module)]


def variadic_aliases(exported: ExportedProgram, guards: list[str]) -> Callable[[Path], list[str]]:
    """A function that gives what `guards` call an input: `L['x'][0]`, for a path.

    PyTorch names the arguments that `*rest` takes both `rest_0` and `L['rest'][0]`, and those of `**more` as keys;
    where TorchDynamo read the model, all inputs by number, as `L['flat_args'][0]`.
    """
    paths = input_paths(exported)
    known = list(dict.fromkeys(name for name, _ in paths))
    unknown = {name for text in guards for name in re.findall(r"L\['(\w+)'\]", text)} - set(known)
    named = set(parameter_names(exported))

    def aliases(path: Path) -> list[str]:
        name, rest = path
        found = [f"L[{name!r}]{rest}"]
        if "flat_args" not in known:
            found.append(f"L['flat_args'][{paths.index(path)}]")
        for other in unknown:
            variadic = [n for n in known if n.startswith((f"{other}_", "args["))]
            if name in variadic:
                found.append(f"L[{other!r}][{variadic.index(name)}]{rest}")
            elif name not in named:
                found.append(f"L[{other!r}][{name!r}]{rest}")
        return found

    return aliases


def references(key: str, path: Path, value: Argument, names: SizeNames) -> dict[str, Expression]:
    """What guards call the sizes of an input, or the number that it is, and what these are."""
    if isinstance(value, torch.Tensor):
        sizes = [number_or(names.text, size) for size in value.shape]
        return {f"{key}.size()[{axis}]": size for axis, size in enumerate(sizes)}
    if isinstance(value, SYMBOLIC):
        return {key: user_path(path)}
    return {key: value} if isinstance(value, (int, float, str)) else {}
