"""What the text of a level must hold beyond what the verifiers see, op by op: bodies, symbols, ends of recursion."""

from __future__ import annotations

from collections.abc import Iterator

from terrace.dialects.base import to_python
from terrace.dialects.graph import types_in
from terrace.mlir import func, ir, walk
from terrace.passes import fail

_SYMBOLS = {
    "graph.load": ("symbol", ("graph.parameter", "graph.constant", "graph.part")),
    "graph.load_state": ("symbol", ("graph.state",)),
    "graph.store_state": ("symbol", ("graph.state",)),
    "graph.part": ("constant", ("graph.constant",)),
    "graph.state": ("initial", ("graph.parameter", "graph.constant", "graph.part")),
}
"""For each op that names a symbol: its attribute, and the ops that it may name."""


def verify_text(module: ir.Operation) -> None:
    """Raise LocatedPassError at what no pass could handle, though each op by itself is valid."""
    declared = {}
    for view in module.regions[0].blocks[0].operations:
        operation = view.operation
        if isinstance(view, func.FuncOp) and not len(operation.regions[0].blocks):
            raise fail(operation, f"@{view.name.value} has no body; Terrace compiles no calls of other code")
        if "sym_name" in operation.attributes:
            declared[to_python(operation.attributes["sym_name"])] = operation
    for operation in walk(module):
        _check_symbol(operation, declared)
    _check_recursion(declared)


def _check_symbol(operation: ir.Operation, declared: dict[str, ir.Operation]) -> None:
    if operation.name not in _SYMBOLS:
        return
    attribute, kinds = _SYMBOLS[operation.name]
    name = to_python(operation.attributes[attribute])
    found = declared.get(name)
    if found is None or found.name not in kinds:
        what = "nothing" if found is None else f"a '{found.name}' op"
        raise fail(operation, f"@{name} names {what}, not a {' or '.join(kinds)}")
    expected = _type_of(operation, name, found)
    is_result = len(operation.results) == 1
    value = operation.results[0] if is_result else operation.operands[0] if len(operation.operands) else None
    actual = to_python(operation.attributes["type"]) if value is None else value.type
    if actual != expected:
        raise fail(operation, f"@{name} is of type {expected}, not {actual}")


def _type_of(operation: ir.Operation, name: str, found: ir.Operation) -> ir.Type:
    """The type of what an op means by the symbol `name`, which `found` declares."""
    type_: ir.Type = to_python(found.attributes["type"])
    if operation.name != "graph.part":
        return type_
    types, number = types_in(type_), to_python(operation.attributes["number"])
    if not 0 <= number < len(types):
        raise fail(operation, f"is value {number} of @{name}, which has {len(types)}")
    return types[number]


def _check_recursion(declared: dict[str, ir.Operation]) -> None:
    """Refuse functions and constants that lead back to themselves; without recursion here, for long chains."""
    done: set[str] = set()
    for start, operation in declared.items():
        path: list[tuple[str, Iterator[str]]] = [(start, _named_in(operation, declared))] * (start not in done)
        open_names = {start}
        while path:
            name, rest = path[-1]
            following = next(rest, None)
            if following is None:
                done.add(name)
                open_names.discard(name)
                path.pop()
            elif following in open_names:
                raise fail(declared[following], f"@{following} leads back to itself")
            elif following not in done:
                open_names.add(following)
                path.append((following, _named_in(declared[following], declared)))


def _named_in(operation: ir.Operation, declared: dict[str, ir.Operation]) -> Iterator[str]:
    for inner in (operation, *walk(operation)):
        attribute = {"func.call": "callee", "graph.load": "symbol", "graph.part": "constant"}.get(inner.name)
        name = to_python(inner.attributes[attribute]) if attribute is not None else None
        if name in declared:
            yield name
