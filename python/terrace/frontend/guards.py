"""What torch.export found that sizes and numbers must meet, as data for the signature.

An ExportedProgram holds its guards as Python text over its inputs: `(2*L['a'].size()[0]) == L['b'].size()[1]`.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sympy
import torch
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import ShapeGuardPythonPrinter, free_unbacked_symbols
from torch.utils._sympy.value_ranges import ValueRanges

from terrace.errors import ModelImportError
from terrace.frontend.size_names import SizeNames, guard_texts, is_symbol, symbolic_sizes, user_inputs
from terrace.guards import Expression

Indexed = Sequence[tuple[Any, torch.Size]]
"""The sizes that indices count in, and the indices' shapes."""

PRESUMED = 2
"""The least size that PyTorch takes every dynamic one to have while it traces; at calls there may be less."""

BINARY = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
}  # fmt: skip
COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
CONNECTIVES = {ast.And: "and", ast.Or: "or"}
SYMPY_OPERATORS = {"Add": "+", "FloorDiv": "//", "Mod": "%", "Mul": "*"}
UNARY = {ast.Not: "not", ast.USub: "neg"}
CALLS = {
    "abs": "abs", "float": "float", "int": "trunc", "math.ceil": "ceil", "math.floor": "floor", "math.trunc": "trunc",
    "max": "max", "min": "min", "round": "round", "torch.sym_float": "float",
}  # fmt: skip


def guards_of(
    exported: ExportedProgram, decomposed: ExportedProgram, names: SizeNames, indexed: Indexed
) -> list[Expression]:
    """All guards of `exported`, those that decomposing it added, and those that `indexed` sizes must meet.

    Raises `ModelImportError` for one that is no arithmetic.
    """
    texts = [*guard_texts(exported, decomposed), *asserted(decomposed)]
    expressions = [*linear_sizes(decomposed, names), *number_ranges(decomposed, names)]
    expressions += [expression_of(text, names) for text in dict.fromkeys(texts) if is_about_sizes(text)]
    expressions += nonempty(indexed, decomposed, names)
    return [each for index, each in enumerate(expressions) if each not in expressions[:index] and not is_trivial(each)]


def is_trivial(expression: Expression) -> bool:
    """Whether a guard always holds: PyTorch has found sizes to be equal since it made it."""
    return expression is True or (
        isinstance(expression, list) and expression[0] in ("==", "<=", ">=") and expression[1] == expression[2]
    )


def is_about_sizes(text: str) -> bool:
    """Whether a guard speaks of more than where PyTorch keeps the elements, which a program reads from anywhere."""
    return ".stride()" not in text and ".storage_offset()" not in text


def asserted(exported: ExportedProgram) -> Iterator[str]:
    """What the graph asserts of sizes alone, as such text."""
    for node in exported.graph.find_nodes(op="call_function", target=torch.ops.aten._assert_scalar.default):
        condition = node.args[0].meta["val"] if isinstance(node.args[0], torch.fx.Node) else node.args[0]
        if isinstance(condition, torch.SymBool) and not free_unbacked_symbols(condition):
            sources = condition.node.shape_env.var_to_sources
            yield ShapeGuardPythonPrinter(sources, lambda source: source.name, sources).doprint(condition.node.expr)


def nonempty(indexed: Indexed, exported: ExportedProgram, names: SizeNames) -> Iterator[Expression]:
    """That there is an element, or no index; not where it depends on more than sizes of arguments."""
    known = {name for name in names.references.values() if isinstance(name, str)}
    for size, shape in indexed:
        counts = [count for count in shape if not isinstance(count, int) or count == 0]
        numbers = [found for number in (size, *counts) if (found := in_names(number, names, known)) is not None]
        if least(size, exported) <= 0 and len(numbers) == 1 + len(counts):
            yield ["or", [">", numbers[0], 0], *(["==", count, 0] for count in numbers[1:])]


def in_names(size: torch.SymInt | sympy.Expr | int, names: SizeNames, known: Collection[str]) -> Expression | None:
    """A size as data, over `known` names; None for one that depends on others."""
    expression = size.node.expr if isinstance(size, torch.SymInt) else size
    if isinstance(expression, int) or expression.is_Integer:
        return int(expression)
    if names.text(expression) in known:
        return names.text(expression)
    operator = SYMPY_OPERATORS.get(type(expression).__name__)
    operands = [found for each in expression.args if (found := in_names(each, names, known)) is not None]
    if operator is None or len(operands) < len(expression.args):
        return None
    return functools.reduce(lambda lhs, rhs: [operator, lhs, rhs], operands)


def least(size: int | torch.SymInt, exported: ExportedProgram) -> int:
    """The least that a size can be; 0 if only PyTorch's reasoning tells, which takes every size for 2 or more."""
    bounds = None if isinstance(size, int) else exported.range_constraints.get(size.node.expr)
    if isinstance(size, int):
        return size
    return int(bounds.lower) if bounds and bounds.lower.is_Integer and bounds.lower != PRESUMED else 0


def expression_of(text: str, names: SizeNames) -> Expression:
    """A guard's text as data; True for one that always holds."""
    try:
        expression = converted(ast.parse(text, mode="eval").body, names.references)
    except (KeyError, SyntaxError) as error:
        raise ModelImportError(
            f"the exported model holds a guard that is no arithmetic on sizes, `{text}` ({error}): export it with other"
            " dynamic_shapes"
        ) from error
    return expression


def converted(node: ast.expr, references: Mapping[str, Expression]) -> Expression:
    """An expression of Python's as data. Raises KeyError for what has none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        return node.value
    if isinstance(node, ast.BoolOp):
        return [CONNECTIVES[type(node.op)], *(converted(value, references) for value in node.values)]
    if isinstance(node, ast.UnaryOp):
        return [UNARY[type(node.op)], converted(node.operand, references)]
    if isinstance(node, ast.BinOp):
        return [BINARY[type(node.op)], converted(node.left, references), converted(node.right, references)]
    if isinstance(node, ast.Compare):
        operands = [converted(operand, references) for operand in (node.left, *node.comparators)]
        each = [[COMPARISONS[type(op)], *operands[at : at + 2]] for at, op in enumerate(node.ops)]
        return each[0] if len(each) == 1 else ["and", *each]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in CALLS:
        return [CALLS[ast.unparse(node.func)], *(converted(argument, references) for argument in node.args)]
    return references[ast.unparse(node)]


def linear_sizes(exported: ExportedProgram, names: SizeNames) -> Iterator[Expression]:
    """What sizes like `2*b + 1` must meet where no input has the size `b`: that there is a `b`, in its range."""
    bound = {size.node.expr for value in user_inputs(exported) for size in symbolic_sizes(value)}
    for expression in bound:
        roots = expression.free_symbols - bound
        if expression.is_Symbol or not roots:
            continue
        (root, *others) = roots
        factor, rest = expression.coeff(root), expression.subs(root, 0)
        if others or not (factor.is_Integer and rest.is_Integer and expression == factor * root + rest):
            raise ModelImportError(
                f"the size {names.text(expression)} does not tell {names.text(root)}: pass a tensor of it"
            )
        distance: Expression = ["-", names.text(expression), int(rest)] if rest else names.text(expression)
        yield ["==", ["%", distance, int(factor)], 0]
        yield from in_range(["//", distance, int(factor)], exported.range_constraints.get(root))


def number_ranges(exported: ExportedProgram, names: SizeNames) -> Iterator[Expression]:
    """The ranges of the numbers among the inputs; those of sizes stand in the signature."""
    for value in user_inputs(exported):
        if is_symbol(value):
            yield from in_range(names.text(value), exported.range_constraints.get(value.node.expr))


def in_range(expression: Expression, bounds: ValueRanges[sympy.Expr] | None) -> Iterator[Expression]:
    """That an expression lies in a range of PyTorch's."""
    if bounds is not None and bounds.lower.is_Integer:
        yield [">=", expression, int(bounds.lower)]
    if bounds is not None and bounds.upper.is_Integer:
        yield ["<=", expression, int(bounds.upper)]
