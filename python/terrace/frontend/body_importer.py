"""Imports control flow: `scf.if`, `scf.while` and `scf.for` on builtin tensors and numbers, bodies in their regions.

A counted loop takes a slice of each of its sequences at each turn, and puts what it stacks into a tensor made before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch_mlir.extras.fx_importer import GraphNodeImporter

from terrace.dialects.base import element_type_of, shape_of
from terrace.frontend.bodies import bodies_of, results_of
from terrace.lowering.conversion.torch_to_graph.torch_op import convert_types, dim, index_constant, to_index, to_torch
from terrace.mlir import DYNAMIC, ir, scf, tensor

NUMBERS = {"!torch.bool": ("i1", 1), "!torch.int": ("i64", 64)}
"""How the `torch_c` dialect names the builtin type of a number, and its bits."""


class BodyImporter(GraphNodeImporter):
    """An importer of nodes that knows the ops whose bodies hang on their nodes (`frontend/bodies.py`)."""

    def _import_hop_cond(self, loc: ir.Location, node: torch.fx.Node, hop: HigherOrderOperator) -> None:
        arguments: Any = node.args
        predicate, _, _, operands = arguments
        values = self._arguments(loc, operands)
        types = self._types_of(node.meta["val"])
        with loc:
            branch = scf.IfOp(self._condition(loc, predicate), self._builtin(types), has_else=True)
            for body, block in zip(bodies_of(node), (branch.then_block, branch.else_block), strict=True):
                with ir.InsertionPoint(block):
                    scf.yield_(self._fill(loc, body, values, self._builtin(types)))
            self._bind(node, branch.results, types)

    def _import_hop_while_loop(self, loc: ir.Location, node: torch.fx.Node, hop: HigherOrderOperator) -> None:
        arguments: Any = node.args
        _, _, carried, others = arguments
        values = self._arguments(loc, others)
        condition, body = bodies_of(node)
        types = self._types_of(node.meta["val"])
        builtin = self._builtin(types)
        with loc:
            initial = self._lowered(self._arguments(loc, carried), builtin)
            loop = scf.WhileOp(builtin, initial)
            before, after = (
                region.blocks.append(*builtin, arg_locs=[loc] * len(builtin)) for region in (loop.before, loop.after)
            )
            with ir.InsertionPoint(before):
                (goes_on,) = self._import_body(loc, condition, [*self._raised(before.arguments, types), *values])
                scf.condition(self._truth(goes_on), list(before.arguments))
            with ir.InsertionPoint(after):
                scf.yield_(self._fill(loc, body, [*self._raised(after.arguments, types), *values], builtin))
            self._bind(node, loop.results, types)

    def _import_hop_scan(self, loc: ir.Location, node: torch.fx.Node, hop: HigherOrderOperator) -> None:
        arguments: Any = node.args
        _, carried, sequences, others, sizes = arguments
        values = self._arguments(loc, others)
        (body,) = bodies_of(node)
        types = self._types_of(node.meta["val"])
        builtin, count = self._builtin(types), len(carried)
        with loc:
            initial = self._lowered(self._arguments(loc, carried), builtin[:count])
            raw = self._arguments(loc, sequences)
            whole = self._lowered(raw, self._builtin([value.type for value in raw]))
            length = dim(whole[0], 0)
            slice_types = [node.meta["val"] for node in body.find_nodes(op="placeholder")][count : count + len(whole)]
            sliced = self._types_of(slice_types)
            inner_sizes = map(to_index, self._arguments(loc, sizes))
            stacked = [empty_stack(type_, length, inner_sizes) for type_ in builtin[count:]]
            loop = scf.ForOp(index_constant(0), length, index_constant(1), [*initial, *stacked])
            with ir.InsertionPoint(loop.body):
                turn, inner = loop.induction_variable, list(loop.inner_iter_args)
                slices = [row_of(value, turn, type_) for value, type_ in zip(whole, self._builtin(sliced), strict=True)]
                given = [*self._raised(inner[:count], types[:count]), *self._raised(slices, sliced), *values]
                row_types = [row_type(type_) for type_ in builtin[count:]]
                results = self._fill(loc, body, given, [*builtin[:count], *row_types])
                rows = zip(results[count:], inner[count:], strict=True)
                scf.yield_([*results[:count], *(with_row(stack, turn, row) for row, stack in rows)])
            self._bind(node, loop.results, types)

    def _import_body(self, loc: ir.Location, body: torch.fx.Graph, values: Sequence[ir.Value]) -> list[ir.Value]:
        """Import a body that takes `values` at the insertion point, into its block; what it gives."""
        importer = type(self)(self.fx_importer, self._c, self._cc, ir.InsertionPoint.current.block)
        for placeholder, value in zip(body.find_nodes(op="placeholder"), values, strict=True):
            importer.bind_node_value(placeholder, value)
        importer.import_nodes(body.nodes, skip_placeholders_outputs=True)
        return importer._arguments(loc, results_of(body))

    def _fill(
        self, loc: ir.Location, body: torch.fx.Graph, values: Sequence[ir.Value], types: Sequence[ir.Type]
    ) -> list[ir.Value]:
        """The same, as values of builtin types."""
        return self._lowered(self._import_body(loc, body, values), types)

    def _arguments(self, loc: ir.Location, values: Sequence[Any]) -> list[ir.Value]:
        return [self._import_argument(loc, value) for value in values]

    def _bind(self, node: torch.fx.Node, results: Sequence[ir.Value], types: Sequence[ir.Type]) -> None:
        """Let the results stand for what `node` gives, a tuple."""
        self._multi_result_nodes.add(node)
        for number, value in enumerate(self._raised(results, types)):
            self.bind_node_value(node, value, number)

    def _types_of(self, values: Sequence[Any]) -> list[ir.Type]:
        """The torch types of what nodes give."""
        return [self._cc.value_info_to_type(value) for value in values]

    def _builtin(self, types: Sequence[ir.Type]) -> list[ir.Type]:
        return convert_types(types, self._c)

    def _condition(self, loc: ir.Location, predicate: object) -> ir.Value:
        return self._truth(self._import_argument(loc, predicate))

    def _truth(self, value: ir.Value) -> ir.Value:
        """A torch tensor of one truth value, or a number, as an i1."""
        (type_,) = self._builtin([value.type])
        (lowered,) = self._lowered([value], [type_])
        if not isinstance(type_, ir.RankedTensorType):
            return lowered
        return tensor.extract(lowered, [index_constant(0)] * len(shape_of(type_)))

    def _lowered(self, values: Sequence[ir.Value], types: Sequence[ir.Type]) -> list[ir.Value]:
        """Torch values as builtin ones of these types, of which a `?` may be known elsewhere."""
        return [lowered(value, type_, *self._builtin([value.type])) for value, type_ in zip(values, types, strict=True)]

    def _raised(self, values: Sequence[ir.Value], types: Sequence[ir.Type]) -> list[ir.Value]:
        """Builtin values as torch values of these types."""
        return [raised(value, type_) for value, type_ in zip(values, types, strict=True)]


def lowered(value: ir.Value, type_: ir.Type, own_type: ir.Type) -> ir.Value:
    """A torch value, whose builtin type is `own_type`, as a builtin one of `type_`."""
    if not isinstance(own_type, ir.RankedTensorType):
        return ir.Operation.create(f"torch_c.to_{NUMBERS[str(value.type)][0]}", [own_type], [value]).results[0]
    builtin = ir.Operation.create("torch_c.to_builtin_tensor", [own_type], [value]).results[0]
    return builtin if own_type == type_ else tensor.cast(type_, builtin)


def raised(value: ir.Value, type_: ir.Type) -> ir.Value:
    """A builtin value as one of the torch type `type_`."""
    if isinstance(value.type, ir.RankedTensorType):
        return to_torch(value, type_)
    return ir.Operation.create(f"torch_c.from_{NUMBERS[str(type_)][0]}", [type_], [value]).results[0]


def empty_stack(type_: ir.Type, length: ir.Value, sizes: Iterator[ir.Value]) -> ir.Value:
    """A tensor of `type_` to write rows to, as many as `length`; its other dynamic sizes are the next of `sizes`."""
    rows, *inner = shape_of(type_)
    known = [length if rows == DYNAMIC else rows, *(next(sizes) if size == DYNAMIC else size for size in inner)]
    return tensor.EmptyOp(known, element_type_of(type_)).result


def row_type(type_: ir.Type) -> ir.Type:
    return ir.RankedTensorType.get(shape_of(type_)[1:], element_type_of(type_))


def _at_row(value: ir.Value, row: ir.Value) -> dict[str, Any]:
    """Where a row of `value` is, as the arguments of a slice."""
    shape = shape_of(value)
    dynamic = [dim(value, axis) for axis, size in enumerate(shape) if axis and size == DYNAMIC]
    return {
        "offsets": [row],
        "sizes": dynamic,
        "strides": [],
        "static_offsets": [DYNAMIC, *[0] * (len(shape) - 1)],
        "static_sizes": [1, *shape[1:]],
        "static_strides": [1] * len(shape),
    }


def row_of(value: ir.Value, row: ir.Value, type_: ir.Type) -> ir.Value:
    """The row `row` of `value`."""
    return tensor.ExtractSliceOp(type_, value, **_at_row(value, row)).result


def with_row(value: ir.Value, place: ir.Value, row: ir.Value) -> ir.Value:
    """`value` with `row` at `place`."""
    return tensor.InsertSliceOp(row, value, **_at_row(value, place)).result
