"""All that an import depends on of an ExportedProgram, as text: equal texts mean equal modules, signatures and symbols.

Values of parameters are not in it, as no pass reads them; who shares memory with whom is. Nor are the user's lines:
`source.lines_of` gives those. What the text cannot stand for, such as an op of the user's own, whose decomposition is
code of theirs, makes a program that has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx.node import Argument

from terrace.frontend.dynamic_dimensions import DIMENSION_NAMES
from terrace.frontend.export import parameter_names
from terrace.frontend.exported_signature import example_shapes
from terrace.frontend.symbol_names import tensor_identity, tensors_of

PLAIN = (type(None), bool, int, float, complex, str, torch.dtype, torch.layout, torch.device, torch.memory_format)
SYMBOLIC = (torch.SymBool, torch.SymFloat, torch.SymInt)
BUILTIN_NAMESPACES = ("aten", "prim", "prims")
BUILTIN_MODULES = ("_operator", "builtins", "math", "torch")


class _NoText(Exception):
    """Something in a program has no text that stands for it."""


def fingerprint(exported: ExportedProgram) -> str | None:
    """The text; None if there is none."""
    try:
        return "\n".join(_lines(exported))
    except _NoText:
        return None


def _lines(exported: ExportedProgram) -> Iterator[str]:
    yield f"default {torch.get_default_dtype()}"
    call = exported.call_spec
    yield _without_address(f"call {parameter_names(exported)} {call.in_spec!r} {call.out_spec!r}")
    for spec in exported.graph_signature.input_specs:
        if spec.kind in (InputKind.CUSTOM_OBJ, InputKind.TOKEN):
            raise _NoText
        yield _without_address(f"input {spec!r}")
    for output in exported.graph_signature.output_specs:
        yield _without_address(f"output {output!r}")
    yield f"dimensions {exported.graph_module.meta.get(DIMENSION_NAMES)} {exported._guards_code}"
    yield f"examples {example_shapes(exported)}"
    for symbol, bounds in exported.range_constraints.items():
        yield f"range {symbol} {bounds}"
    first: dict[object, str] = {}
    for name, tensor in tensors_of(exported).items():
        value = _value(tensor)  # First, as a sparse tensor has no identity.
        yield f"tensor {name} {first.setdefault(tensor_identity(tensor), name)} {value}"
    yield from _graph_lines(exported.graph_module)


def _graph_lines(module: torch.fx.GraphModule) -> Iterator[str]:
    for node in module.graph.nodes:
        words = [node.op, node.name, _target(node, module), _argument(node.args), _argument(node.kwargs)]
        modules = [str(path) for path, _ in node.meta.get("nn_module_stack", {}).values()]
        # What the report calls a layer by.
        called = str(node.meta.get("torch_fn", [""])[0])
        yield " ".join([*words, _value(node.meta.get("val")), str(modules), called])
        if node.op == "get_attr":
            yield from _graph_lines(getattr(module, str(node.target)))
            yield "end"


def _target(node: torch.fx.Node, module: torch.fx.GraphModule) -> str:
    """The name of what a node calls, if it is PyTorch's own."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload) and target.namespace in BUILTIN_NAMESPACES:
        return str(target)
    if isinstance(target, torch._ops.HigherOrderOperator) and type(target).__module__.startswith("torch."):
        return f"higher order {target.name()}"
    if callable(target) and getattr(target, "__module__", None) in BUILTIN_MODULES:
        return f"{target.__module__}.{target.__qualname__}"
    if node.op == "get_attr" and isinstance(getattr(module, str(target), None), torch.fx.GraphModule):
        return str(target)
    if node.op in ("placeholder", "output"):
        return str(target)
    raise _NoText


def _argument(value: Argument) -> str:
    """An argument of a node."""
    if isinstance(value, torch.fx.Node):
        return f"%{value.name}"
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, SYMBOLIC):
        return f"<{value}>"
    if isinstance(value, slice):
        return f"slice({_joined((value.start, value.stop, value.step))})"
    if isinstance(value, (list, tuple)):
        return f"[{_joined(value)}]"
    if isinstance(value, dict):
        return f"{{{_joined(item for pair in value.items() for item in pair)}}}"
    raise _NoText


def _joined(values: Iterable[Any]) -> str:
    return ", ".join(_argument(value) for value in values)


def _value(value: Argument) -> str:
    """What a node gives: its type."""
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided:
            raise _NoText
        return f"{value.dtype}{list(value.shape)}{list(value.stride())}{value.device}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item) for item in value)}]"
    return _argument(value)


def _without_address(text: str) -> str:
    """The text of an object, if it is made of contents: the address of one says nothing in another process."""
    if " at 0x" in text:
        raise _NoText
    return text
