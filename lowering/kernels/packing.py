"""Packings: how an operand is laid out as it enters a cut, and what stores it then. In text they stand by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import element_type_of, require, shape_of
from terrace.dialects.kernel import PACKINGS, PARTS
from terrace.lowering.graph.builders import convert, splat
from terrace.lowering.graph.payload_types import compute_type
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.toom_cook import POINTS, TAPS, weight_matrix
from terrace.mlir import DYNAMIC, arith, ir


@dataclasses.dataclass(frozen=True)
class Packing:
    """How an operand is laid out; `name` is the word in the text."""

    name: ClassVar[str]

    @property
    def attributes(self) -> dict[str, list[int]]:
        """What the text says beside the name."""
        return {field.name: list(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def storage(self, type_: ir.Type) -> tuple[ir.Type, ...]:
        """The tensors that a tensor is stored as, the operand's own first. Raises ShapeError where it does not fit."""
        raise NotImplementedError(f"{self.name} is made inside of a kernel")

    def apply(self, value: ir.Value) -> tuple[ir.Value, ...]:
        """Those tensors, computed by graph ops at the current insertion point."""
        raise NotImplementedError(f"{self.name} is made inside of a kernel")

    def load(
        self,
        b: LoopBuilder,
        memory: ir.Value,
        indices: Sequence[Index],
        shape: Sequence[int],
        dims: Sequence[int],
        valid: Sequence[Index | None] | None = None,
        as_stored: bool = False,
    ) -> ir.Value:
        """The tile at `indices` of the operand, with the meaning of `LoopBuilder.load`, from where it was laid out."""
        return b.load(memory, indices, shape, dims, valid=valid, as_stored=as_stored)

    def _type(self, op: type[graph.PackOp | graph.PadOp], type_: ir.Type) -> ir.Type:
        shaped = ir.ShapedType(type_)
        shape = op.infer([list(shaped.shape)], graph.Attributes(self.attributes))
        assert shape is not None
        return ir.RankedTensorType.get(shape, shaped.element_type)


@dataclasses.dataclass(frozen=True)
class Pack(Packing):
    """Blocks, with the meaning of `graph.pack`'s attributes."""

    name = "pack"
    outer_permutation: tuple[int, ...]
    inner_dims: tuple[int, ...]
    inner_tiles: tuple[int, ...]

    def storage(self, type_: ir.Type) -> tuple[ir.Type, ...]:
        return (self._type(graph.PackOp, type_),)

    def apply(self, value: ir.Value) -> tuple[ir.Value, ...]:
        return (graph.PackOp.build(value, **self.attributes),)

    def load(
        self,
        b: LoopBuilder,
        memory: ir.Value,
        indices: Sequence[Index],
        shape: Sequence[int],
        dims: Sequence[int],
        valid: Sequence[Index | None] | None = None,
        as_stored: bool = False,
    ) -> ir.Value:
        """A tile that lies in one block of `inner_dims[0]`. Nothing is out of bounds: blocks are whole.

        Further inner dimensions are what an atom takes together: the tile counts them in groups along the dimension's
        place, has the members of a group as a dimension behind its own, and comes as it is stored.
        """
        block, *together = self.inner_dims
        tiles = dict(zip(self.inner_dims, self.inner_tiles, strict=True))
        rank = len(self.outer_permutation)
        places = {axis: place for place, axis in enumerate(self.outer_permutation)} | {block: rank}
        at = [b.floordiv(indices[axis], tiles.get(axis, 1)) for axis in self.outer_permutation]
        at += [b.mod(indices[block], tiles[block]), *[0] * len(together)]
        sizes = [-(-size // tiles[dim]) if dim in together else size for size, dim in zip(shape, dims, strict=True)]
        sizes += [tiles[axis] for axis in together]
        moves = [places.get(dim, -1) for dim in dims] + list(range(rank + 1, rank + 1 + len(together)))
        return b.load(memory, at, sizes, moves, as_stored=as_stored or bool(together))


@dataclasses.dataclass(frozen=True)
class PackWithSums(Pack):
    """`Pack` of int8 for a step that reads the other operand as unsigned, 128 more than it is: beside the blocks, what
    that adds to each element of the result, negated: -128 times the sum of each column, in int32.

    Columns are along `inner_dims[0]`; all other dimensions are summed.
    """

    name = "pack_with_sums"

    def storage(self, type_: ir.Type) -> tuple[ir.Type, ...]:
        blocks = super().storage(type_)
        require(bool(self.inner_dims), f"{self.name} needs the dimension of columns in its inner_dims")
        shaped = ir.ShapedType(type_)
        is_int8 = shaped.element_type == ir.IntegerType.get_signless(8)
        require(is_int8, f"{self.name} is for i8, got {shaped.element_type}")
        columns = list(shaped.shape)[self.inner_dims[0]]
        return (*blocks, ir.RankedTensorType.get([columns], ir.IntegerType.get_signless(32)))

    def apply(self, value: ir.Value) -> tuple[ir.Value, ...]:
        _, type_ = self.storage(value.type)
        axes = [axis for axis in range(len(shape_of(value))) if axis != self.inner_dims[0]]
        sums = graph.ReduceOp.build(value, kind="sum", axes=axes, keepdims=False, result_type=type_)
        return (*super().apply(value), graph.MulOp.build(sums, splat(-128, element_type_of(sums))))


@dataclasses.dataclass(frozen=True)
class Transform(Packing):
    """Filters [out, in, 3, 3] as Winograd's products multiply them, for tiles of `outputs` results along each axis:
    [out / w][points * points][in][w], in blocks of w = `inner_tiles[0]` output channels. In f32, which the products of
    narrower floats are computed in, too.
    """

    name = "transform"
    outputs: tuple[int, ...]
    inner_tiles: tuple[int, ...]

    def storage(self, type_: ir.Type) -> tuple[ir.Type, ...]:
        shaped = ir.ShapedType(type_)
        outputs, (block,) = self._checked(list(shaped.shape))
        out, depth, *_ = shaped.shape
        held = compute_type(shaped.element_type)
        require(held == ir.F32Type.get(), f"{self.name} is for what is computed in f32, got {shaped.element_type}")
        shape = [-(-out // block), (outputs + TAPS - 1) ** 2, depth, block]
        return (ir.RankedTensorType.get(shape, held),)

    def apply(self, value: ir.Value) -> tuple[ir.Value, ...]:
        """Computed in float64, and rounded once."""
        out, depth, *_ = shape_of(value)
        matrix = weight_matrix(self.outputs[0])
        taps, points = matrix.shape
        f64, own = ir.F64Type.get(), element_type_of(value)
        held = compute_type(own)
        filters = ir.RankedTensorType.get([out * depth, taps], own)
        wide = convert(graph.ReshapeOp.build(value, result_type=filters), f64)
        constant = arith.ConstantOp(
            ir.RankedTensorType.get([taps, points], f64), ir.DenseElementsAttr.get(np.ascontiguousarray(matrix))
        ).result
        products = convert(graph.MatmulOp.build(wide, constant, transpose_rhs=False), held)
        apart = graph.ReshapeOp.build(products, result_type=ir.RankedTensorType.get([out, depth, points], held))
        return Pack((0, 2, 1), (0,), self.inner_tiles).apply(apart)

    def _checked(self, shape: list[int]) -> tuple[int, tuple[int, ...]]:
        known = " or ".join(map(str, POINTS))
        fits = len(set(self.outputs)) == 1 and len(self.outputs) == 2 and self.outputs[0] in POINTS
        require(fits, f"{self.name} needs outputs of {known} along both axes, got {list(self.outputs)}")
        require(len(self.inner_tiles) == 1 and self.inner_tiles[0] >= 1, f"{self.name} needs one positive inner tile")
        is_filter = len(shape) == 4 and shape[2:] == [TAPS, TAPS] and DYNAMIC not in shape
        require(is_filter, f"{self.name} is for filters [out, in, {TAPS}, {TAPS}], got {shape}")
        return self.outputs[0], self.inner_tiles


@dataclasses.dataclass(frozen=True)
class PackRows(Packing):
    """Filters [out, in, kh, kw] for few input channels: [out / w][kh][terms / q][w][q], where the columns of a window
    row and their channels are one dimension, filled up with zeros to a multiple of `terms`. `inner_tiles` are w and q.
    """

    name = "pack_rows"
    inner_tiles: tuple[int, ...]
    terms: tuple[int, ...]

    def storage(self, type_: ir.Type) -> tuple[ir.Type, ...]:
        shaped = ir.ShapedType(type_)
        fits = len(self.inner_tiles) == 2 and len(self.terms) == 1 and min(*self.inner_tiles, *self.terms) >= 1
        require(fits and self.terms[0] % self.inner_tiles[1] == 0, f"{self.name} needs inner tiles w, q and terms of q")
        require(
            shaped.rank == 4 and DYNAMIC not in shaped.shape, f"{self.name} is for static filters [out, in, kh, kw]"
        )
        (out, depth, kh, kw), (block, together) = list(shaped.shape), self.inner_tiles
        terms = -(-kw * depth // self.terms[0]) * self.terms[0]
        shape = [-(-out // block), kh, terms // together, block, together]
        return (ir.RankedTensorType.get(shape, shaped.element_type),)

    def apply(self, value: ir.Value) -> tuple[ir.Value, ...]:
        out, depth, kh, kw = shape_of(value)
        rows = graph.PermuteOp.build(value, permutation=[0, 2, 3, 1])
        merged = ir.RankedTensorType.get([out, kh, kw * depth], element_type_of(value))
        missing = -kw * depth % self.terms[0]
        flat = graph.ReshapeOp.build(rows, result_type=merged)
        whole = graph.PadOp.build(flat, value=0.0, low=[0, 0, 0], high=[0, 0, missing]) if missing else flat
        return Pack((0, 1, 2), (0, 2), self.inner_tiles).apply(whole)

    def load(
        self,
        b: LoopBuilder,
        memory: ir.Value,
        indices: Sequence[Index],
        shape: Sequence[int],
        dims: Sequence[int],
        valid: Sequence[Index | None] | None = None,
        as_stored: bool = False,
    ) -> ir.Value:
        """A tile [terms, output channels] of one block, at [channel, term, window row, 0], as `Pack` gives it."""
        (block, together), (channel, term, row, _), (terms, width) = self.inner_tiles, indices, shape
        at = [b.floordiv(channel, block), row, b.floordiv(term, together), b.mod(channel, block), 0]
        return b.load(memory, at, [terms // together, width, together], [2, 3, 4], as_stored=True)


@dataclasses.dataclass(frozen=True)
class Pad(Packing):
    """Zeros around, with the meaning of `graph.pad`'s attributes."""

    name = "pad"
    low: tuple[int, ...]
    high: tuple[int, ...]

    def storage(self, type_: ir.Type) -> tuple[ir.Type, ...]:
        return (self._type(graph.PadOp, type_),)

    def apply(self, value: ir.Value) -> tuple[ir.Value, ...]:
        return (graph.PadOp.build(value, value=0.0, **self.attributes),)


@dataclasses.dataclass(frozen=True)
class Copy(Packing):
    """What the cut's part needs, in the form in which the family's loops read it."""

    name = "copy"


PLAIN = Copy()
"""How memory is read that nothing laid out."""


@dataclasses.dataclass(frozen=True)
class Sums(Packing):
    """Of a result, what was added up so far, in the type of its accumulator."""

    name = "sums"


@dataclasses.dataclass(frozen=True)
class Terms(Packing):
    """Of a result that is divided by a sum, its elements before that, which the sum is made of."""

    name = "terms"


_KINDS: dict[str, type[Packing]] = {
    kind.name: kind for kind in (Copy, Pack, PackRows, PackWithSums, Pad, Sums, Terms, Transform)
}
assert set(_KINDS) == {*PACKINGS, *PARTS}


def packing_of(name: str, attributes: dict[str, Any]) -> Packing:
    """The packing that a verified text says."""
    fields: dict[str, Sequence[int]] = {key: tuple(value) for key, value in attributes.items()}
    return _KINDS[name](**fields)
