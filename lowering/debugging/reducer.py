"""Cutting a module down to a part that still fails: one function of many, then the ops of it that are needed.

An op that goes leaves its results behind as arguments of the function, so any part of a function is a function; what
computes sizes and other numbers stays with the ops that use them. What fails is asked of the caller, once per
candidate; this is delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
The bindings are an argument, as IREE's texts are read by IREE's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from iree.compiler import ir as iree_ir
    from terrace.mlir import ir

    Operation: TypeAlias = ir.Operation | iree_ir.Operation
    Value: TypeAlias = ir.Value | iree_ir.Value
    Attribute: TypeAlias = ir.Attribute | iree_ir.Attribute

Fails = Callable[[str], bool]
"""Whether a text still fails in the same way."""

FUNCTIONS = ("func.func", "util.func")
_BOUND_TO_THE_SIGNATURE = ("arg_attrs", "res_attrs", "terrace_signature")


def cut(module: Operation, bindings: ModuleType, fails: Fails, generic: bool = False) -> str | None:
    """The text of the smallest part of `module` found to fail, or None if nothing could go.

    `module` is a module op and `bindings` the `ir` module that made it; its context must be entered. Texts are in
    generic form if asked for.
    """
    cutter = _Cutter(bindings, fails, generic)
    smaller = cutter.one_function(module) or module
    smaller = cutter.fewer_ops(smaller) or smaller
    smaller = cutter.fewer_symbols(smaller) or smaller
    return None if smaller is module else cutter.text(smaller)


class _Cutter:
    def __init__(self, bindings: ModuleType, fails: Fails, generic: bool) -> None:
        self.bindings = bindings
        self.fails = fails
        self.generic = generic

    def text(self, module: Operation) -> str:
        return str(module.get_asm(print_generic_op_form=self.generic, assume_verified=True))

    def does_fail(self, module: Operation) -> bool:
        try:
            module.verify()
        except self.bindings.MLIRError:
            return False  # A module that cannot be read fails in another way.
        return self.fails(self.text(module))

    def one_function(self, module: Operation) -> Any | None:
        """The module with one function and what that refers to, if that fails; called functions first."""
        names = [_symbol(op) for op in _operations(module) if op.name in FUNCTIONS]
        if len(names) == 1:
            return None
        called = _called(module)
        for name in sorted(names, key=lambda name: name not in called):
            candidate = _kept(module, [name])
            if self.does_fail(candidate):
                return candidate
        return None

    def fewer_ops(self, module: Operation) -> Any | None:
        """The module with fewer ops in its first function that nothing calls."""
        roots = _roots(module)
        if not roots:
            return None
        *body, end = _body(module, roots[0])
        helps = self._helper_test(body)
        removable = [i for i, op in enumerate(body) if not helps(op) or _is_used_by_none_but(end, op)]

        def fails(items: list[int]) -> bool:
            return self.does_fail(self._with_ops(module, roots[0], items))

        # Most often it is a kernel, or something beside the kernels; either half by itself is a program as good as any.
        symbols = {_symbol(op) for op in _operations(module)}
        launches = [i for i in removable if _references(body[i]) & symbols]
        beside = [i for i in removable if i not in launches]
        halves = [half for half in (launches, beside) if 0 < len(half) < len(removable)]
        kept = _minimize(next((half for half in halves if fails(half)), removable), fails)
        return None if len(kept) == len(removable) else self._with_ops(module, roots[0], kept)

    def fewer_symbols(self, module: Operation) -> Any | None:
        """The module with fewer of the other symbols: all that its uncalled functions reach, and of the rest few."""
        names = [_symbol(op) for op in _operations(module) if _symbol(op)]
        roots = _roots(module)
        others = [number for number, name in enumerate(names) if name not in roots]
        kept = _minimize(others, lambda items: self.does_fail(_kept(module, [*roots, *(names[i] for i in items)])))
        smaller = _kept(module, [*roots, *(names[i] for i in kept)])
        return smaller if len(_operations(smaller)) < len(_operations(module)) else None

    def _with_ops(self, module: Operation, name: str, kept: Iterable[int]) -> Any:
        """A copy in which the function `name` has only the ops numbered `kept`, and the constants that they use."""
        copy = module.clone()
        (function,) = (op for op in _operations(copy) if _symbol(op) == name)
        block = function.regions[0].blocks[0]
        *body, end = [view.operation for view in block.operations]
        helps = self._helper_test(body)
        end_name, location = end.name, end.location
        end.erase()
        staying = set(kept)
        for number, operation in reversed(list(enumerate(body))):
            used = [result for result in operation.results if _is_used(result)]
            if number in staying or (helps(operation) and used):
                continue
            for result in used:
                result.replace_all_uses_with(block.add_argument(result.type, location))
            operation.erase()
        for number in reversed(range(len(block.arguments))):
            if not _is_used(block.arguments[number]):
                block.erase_argument(number)
        unused = [r for view in block.operations for r in view.operation.results if not _is_used(r)]
        returned = [r for r in unused if self._is_tensor(r)] or unused
        with location, self.bindings.InsertionPoint(block):
            self.bindings.Operation.create(end_name, operands=returned)
        self._set_type(function, [argument.type for argument in block.arguments], [r.type for r in returned])
        return copy

    def _helper_test(self, body: list[Any]) -> Callable[[Any], bool]:
        """Whether an op of a body is none that fails by itself: it has no operands, or makes numbers beside tensors."""
        has_tensors = any(self._is_tensor(result) for op in body for result in op.results)

        def helps(operation: Operation) -> bool:
            is_source = not len(operation.operands) and not len(operation.regions)
            results = list(operation.results)
            return is_source or (has_tensors and bool(results) and not any(map(self._is_tensor, results)))

        return helps

    def _is_tensor(self, value: Value) -> bool:
        return isinstance(value.type, self.bindings.ShapedType) or str(value.type).startswith("!torch.vtensor")

    def _set_type(self, function: Operation, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        type_ = self.bindings.FunctionType.get(inputs, results)
        function.attributes["function_type"] = self.bindings.TypeAttr.get(type_)
        for stale in _BOUND_TO_THE_SIGNATURE:
            if stale in function.attributes:
                del function.attributes[stale]


def _operations(module: Operation) -> list[Any]:
    return [view.operation for view in module.regions[0].blocks[0].operations]


def _body(module: Operation, name: str) -> list[Any]:
    (function,) = (op for op in _operations(module) if _symbol(op) == name)
    return [view.operation for view in function.regions[0].blocks[0].operations]


def _is_used_by_none_but(end: Operation, operation: Operation) -> bool:
    return all(use.owner == end for result in operation.results for use in result.uses)


def _symbol(operation: Operation) -> str:
    return str(operation.attributes["sym_name"].value) if "sym_name" in operation.attributes else ""


def _called(module: Operation) -> set[str]:
    """The symbols that are referred to."""
    found: set[str] = set()
    return found.union(*(_references(op) for op in _operations(module)))


def _roots(module: Operation) -> list[str]:
    """The functions that nothing calls."""
    called = _called(module)
    return [_symbol(op) for op in _operations(module) if op.name in FUNCTIONS and _symbol(op) not in called]


def _is_used(value: Value) -> bool:
    return next(iter(value.uses), None) is not None


def _kept(module: Operation, roots: Iterable[str]) -> Any:
    """A copy with only the symbols that `roots` reach, and the ops without a symbol that refer to none but those."""
    symbols = {_symbol(op): op for op in _operations(module) if _symbol(op)}
    reached: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name in symbols and name not in reached:
            reached.add(name)
            pending += _references(symbols[name])
    copy = module.clone()
    for operation in _operations(copy):
        names = {_symbol(operation)} if _symbol(operation) else _references(operation) & set(symbols)
        if not names <= reached:
            operation.erase()
    return copy


def _references(operation: Operation) -> set[str]:
    """Every symbol that an op or an op inside it may refer to: references, and strings, which may be meant so, too."""
    found: set[str] = set()
    for name, attribute in operation.attributes.items():
        if name != "sym_name":
            found |= _names_in(attribute)
    for region in operation.regions:
        for block in region.blocks:
            for child in block.operations:
                found |= _references(child.operation)
    return found


def _names_in(attribute: Attribute) -> set[str]:
    value = getattr(attribute, "value", None)
    if isinstance(value, str):
        return {value}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return set(value)  # A nested reference.
    if type(attribute).__name__ == "ArrayAttr":
        return set().union(*map(_names_in, attribute))
    return set()


def _minimize(items: Iterable[int], fails: Callable[[list[int]], bool]) -> list[int]:
    """A small part of `items`, in order, for which `fails` holds: what is left when no chunk can go."""
    left = list(items)
    if not left or fails([]):
        return []
    chunks = 2
    while len(left) > 1:
        size = -(-len(left) // chunks)
        parts = [left[start : start + size] for start in range(0, len(left), size)]
        rests = [[item for item in left if item not in part] for part in parts] if len(parts) > 2 else []
        smaller = next((part for part in parts + rests if fails(part)), None)
        if smaller is not None:
            chunks = 2 if smaller in parts else max(chunks - 1, 2)
            left = smaller
        elif size == 1:
            break
        else:
            chunks = min(2 * chunks, len(left))
    return left
