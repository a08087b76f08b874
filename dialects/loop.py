"""The loop dialect: WHAT RUNS. Loops over memrefs around tile ops; what a target lowers.

A tile is a value of a builtin `vector` type of any rank: a piece of an array that is held close to the arithmetic
(registers on a CPU, registers of all invocations of a workgroup on a GPU, arrays of registers in hardware). Elementwise
work on tiles is arith and math ops on these vectors. Sequential loops are `scf.for`, conditions `scf.if`, which carry
and give any number of tiles and numbers; this dialect adds what upstream lacks. No op depends on a target.

How a tile is held is the target's affair, and no op converts one: where what multiplies wants its operands held
otherwise than they are made, each is made so (loads, constants, elementwise ops), or converted right where it is made.
"""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from collections.abc import Sequence
from typing import Any

from terrace.dialects.base import I64Array, attributes_of, format_shape, require, shape_of, verify
from terrace.mlir import DYNAMIC, ext, ir

Operand = ext.Operand
Result = ext.Result
Index = ir.IndexType
Memref = ir.MemRefType
Tile = ir.VectorType
Table = Any
"""A dense attribute, which the bindings' constraint language cannot name."""

LOCAL = "local"
"""The memory space (a string attribute) of scratch memory that one workgroup shares; no attribute means global."""


class Loop(ext.Dialect, name="loop"):
    """The namespace `loop.`"""


def _check_access(operation: ir.Operation, tile: ir.Type, memory: ir.Type, indices: int, sizes: int) -> None:
    """What load_tile and store_tile share: `dims` and `strides` relate each tile dimension to one of memory."""
    attrs = attributes_of(operation)
    rank, shape = len(ir.MemRefType(memory).shape), shape_of(tile)
    require(indices == rank, f"needs {rank} indices for {memory}, got {indices}")
    require(
        len(attrs.dims) == len(shape),
        f"attribute 'dims' must have {len(shape)} elements, one for each of the tile",
    )
    require(len(attrs.strides) == len(shape), f"attribute 'strides' must have {len(shape)} elements")
    require(sizes in (0, len(shape)), f"needs no sizes or {len(shape)}, got {sizes}")
    require(all(-1 <= d < rank for d in attrs.dims), f"attribute 'dims' is out of range for {memory}")
    require(all(1 <= s < 1 << 31 for s in attrs.strides), "attribute 'strides' must be positive and less than 2^31")
    bounds, last = ir.MemRefType(memory).shape, dict[int, int]()
    for d, size, stride in zip(attrs.dims, shape, attrs.strides, strict=True):
        last[d] = last.get(d, 0) + (size - 1) * stride
    inside = sizes > 0 or all(d < 0 or bounds[d] == DYNAMIC or moved < bounds[d] for d, moved in last.items())
    require(inside, f"tile {tile} at strides {attrs.strides} is larger than {memory} and has no sizes")
    require(
        ir.VectorType(tile).element_type == ir.MemRefType(memory).element_type,
        f"tile {tile} and memory {memory} differ in element type",
    )


def _check_same_type(op: ir.Operation) -> None:
    """A tensor and its memory, which has the tensor's elements, or bytes that stand for truth values."""
    left, right = ir.ShapedType(op.operands[0].type), ir.ShapedType(op.results[0].type)
    are_bytes = {str(type_.element_type) for type_ in (left, right)} == {"i1", "i8"}
    require(
        list(left.shape) == list(right.shape) and (left.element_type == right.element_type or are_bytes),
        f"must keep shape and element type: {op.operands[0].type} and {op.results[0].type}",
    )


def _check_numbers(op: ir.Operation) -> None:
    """The result's elements are numbers of the operand's type."""
    source, result = (ir.VectorType(value.type).element_type for value in (op.operands[0], op.results[0]))
    is_number = isinstance(source, (ir.IntegerType, ir.FloatType))
    require(is_number and source == result, f"cannot make a tile of {result} of one of {source}")


class LoadTileOp(Loop.Operation, name="load_tile", traits=[]):
    """Reads a tile: element (i0, i1, ...) comes from memory at `indices`, moved by it*strides[t] in dimension dims[t].

    A tile dimension whose `dims` entry is -1 does not move: the element is repeated along it. Moves in one dimension of
    memory add up: dims [0, 1, 0] with strides [4, 1, 1] put four neighbours along a column beside each other. With
    `sizes`, only the first sizes[t] elements along tile dimension t are in bounds; the others are not read and their
    value is undefined.
    """

    source: Operand[Memref]
    indices: Sequence[Operand[Index]]
    sizes: Sequence[Operand[Index]]
    dims: I64Array
    strides: I64Array
    tile: Result[Tile]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(
            self,
            lambda: _check_access(op, op.results[0].type, op.operands[0].type, len(self.indices), len(self.sizes)),
        )


class StoreTileOp(Loop.Operation, name="store_tile"):
    """Writes a tile where `load_tile` would read it; with `sizes`, only the elements in bounds. No `dims` may be -1.

    A kernel for a GPU writes an element of global memory at most once, and reads none that it writes: invocations wait
    for each other's accesses to local memory alone.
    """

    tile: Operand[Tile]
    destination: Operand[Memref]
    indices: Sequence[Operand[Index]]
    sizes: Sequence[Operand[Index]]
    dims: I64Array
    strides: I64Array

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    def _check(self, op: ir.Operation) -> None:
        _check_access(op, op.operands[0].type, op.operands[1].type, len(self.indices), len(self.sizes))
        attrs, reached = attributes_of(op), dict[int, int]()
        require(-1 not in attrs.dims, "cannot store along a repeated dimension")
        for stride, d, size in sorted(zip(attrs.strides, attrs.dims, shape_of(op.operands[0]), strict=True)):
            require(stride > reached.get(d, 0), "moves that add up in one dimension of memory must not meet again")
            reached[d] = reached.get(d, 0) + (size - 1) * stride


class ContractTileOp(Loop.Operation, name="contract_tile", traits=[ext.Pure]):
    """accumulator[m..., n] + sum over k of lhs[m..., k] * rhs[k, n]. Each product is added by a fused multiply-add,
    k ascending. Narrower operands (i8 with an accumulator of i32, bf16 with one of f32) are widened to its type first;
    integers keep their sign, but those of lhs are unsigned with the attribute `unsigned_lhs`.

    With the attribute `atom`, the step of a machine by name, the order of the sums is the atom's, and rhs is
    [k / q, n, q], q neighbours along k beside each other. The last q may be more than lhs has; what is missing is zero.
    """

    lhs: Operand[Tile]
    rhs: Operand[Tile]
    accumulator: Operand[Tile]
    result: Result[Tile]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        lhs, rhs, acc = (shape_of(v) for v in op.operands)
        with_atom = "atom" in op.attributes
        require(with_atom or "unsigned_lhs" not in op.attributes, "attribute 'unsigned_lhs' needs an 'atom'")
        rank = 3 if with_atom else 2
        require(len(rhs) == rank, f"rhs must have rank {rank}, got {format_shape(rhs)}")
        depth = rhs[2] if with_atom else 1
        fits = len(lhs) >= 1 and -(-lhs[-1] // depth) == rhs[0]
        require(fits, f"contracted sizes differ: {lhs[-1:]} and {format_shape([rhs[0], *rhs[2:]])}")
        require(acc == [*lhs[:-1], rhs[1]], f"accumulator must be {format_shape([*lhs[:-1], rhs[1]])}")
        require(op.operands[2].type == op.results[0].type, "result and accumulator differ in type")
        left, right, total = (ir.VectorType(v.type).element_type for v in op.operands)
        same_kind = any(all(isinstance(t, kind) for t in (left, total)) for kind in (ir.IntegerType, ir.FloatType))
        widens = same_kind and (left == total or left.width < total.width)
        require(
            left == right and widens,
            f"cannot add products of {left} and {right} to an accumulator of {total}",
        )


REDUCTIONS = ("sum", "max")


class ReduceTileOp(Loop.Operation, name="reduce_tile"):
    """Reduces a tile along its last dimension, which becomes 1, by `kind`: sum, or max (NaN propagates).

    With `sizes`, one per dimension as for `load_tile`, elements out of bounds do not count. The order of additions is
    the target's.
    """

    tile: Operand[Tile]
    sizes: Sequence[Operand[Index]]
    kind: ir.StringAttr
    result: Result[Tile]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        shape = shape_of(op.operands[0])
        kind = attributes_of(op).kind
        require(kind in REDUCTIONS, f"unknown kind '{kind}', expected one of {', '.join(REDUCTIONS)}")
        require(len(op.operands) - 1 in (0, len(shape)), f"needs no sizes or {len(shape)}, got {len(op.operands) - 1}")
        require(
            shape_of(op.results[0]) == [*shape[:-1], 1],
            f"result must be {format_shape([*shape[:-1], 1])}, got {format_shape(shape_of(op.results[0]))}",
        )
        _check_numbers(op)


class AnyTileOp(Loop.Operation, name="any_tile", traits=[ext.Pure]):
    """Whether a tile of truth values holds a true one."""

    tile: Operand[Tile]
    result: Result[ir.IntegerType]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        element, truth = ir.VectorType(op.operands[0].type).element_type, op.results[0].type
        are_bits = isinstance(truth, ir.IntegerType) and truth.width == 1 and element == truth
        require(are_bits, f"must be of i1 and give one, got {op.operands[0].type} and {truth}")


RUNNING = ("sum", "prod", "max", "min")


class ScanTileOp(Loop.Operation, name="scan_tile", traits=[ext.Pure]):
    """The elements of each row of a tile up to each one combined, and of the whole row, a tile [..., 1].

    `kind` is sum, prod, max or min. A NaN is the extreme of all that follow it, and of equal elements the last is
    given. The order in which sums and products are made is the target's.
    """

    tile: Operand[Tile]
    kind: ir.StringAttr
    running: Result[Tile]
    whole: Result[Tile]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        shape, kind = shape_of(op.operands[0]), attributes_of(op).kind
        require(kind in RUNNING, f"unknown kind '{kind}', expected one of {', '.join(RUNNING)}")
        require(op.results[0].type == op.operands[0].type, f"result 0 must be {op.operands[0].type}")
        whole = [*shape[:-1], 1]
        found = shape_of(op.results[1])
        require(found == whole, f"result 1 must be {format_shape(whole)}, got {format_shape(found)}")
        element = ir.VectorType(op.operands[0].type).element_type
        same = ir.VectorType(op.results[1].type).element_type == element
        require(same and isinstance(element, (ir.IntegerType, ir.FloatType)), f"must be of numbers of {element}")


class LookupTileOp(Loop.Operation, name="lookup_tile", traits=[ext.Pure]):
    """table[i] for each element i of a tile of integers; `table` is a dense attribute of one dimension.

    An index below 0 or beyond the table is undefined.
    """

    tile: Operand[Tile]
    table: Table
    result: Result[Tile]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        table = attributes_of(op).table
        require(isinstance(table, ir.DenseElementsAttr), "attribute 'table' must be dense")
        require(len(shape_of(table.type)) == 1, f"attribute 'table' must have one dimension, got {table.type}")
        index, result = (ir.VectorType(v.type) for v in (op.operands[0], op.results[0]))
        require(isinstance(index.element_type, ir.IntegerType), f"indices must be integers, got {index}")
        element = ir.ShapedType(table.type).element_type
        # Without making a type, which wants a location: printing verifies, too, and has none.
        fits = list(result.shape) == list(index.shape) and result.element_type == element
        require(fits, f"result must be {format_shape(list(index.shape))} of {element}, got {result}")


class DotTileOp(Loop.Operation, name="dot_tile", traits=[ext.Pure]):
    """accumulator[..., c] plus the sum of lhs[i][..., c] * rhs[..., c, i] over up to four i, as an atom adds them.

    Elements of lhs are unsigned bytes, those of rhs signed ones; the accumulator is i32, and sums wrap. `atom` names
    the machine's step.
    """

    accumulator: Operand[Tile]
    rhs: Operand[Tile]
    lhs: Sequence[Operand[Tile]]
    atom: ir.StringAttr
    result: Result[Tile]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        (accumulator, rhs, *lhs), result = (ir.VectorType(v.type) for v in op.operands), op.results[0].type
        shape, widths = list(accumulator.shape), [getattr(t.element_type, "width", 0) for t in (accumulator, rhs, *lhs)]
        require(1 <= len(lhs) <= 4, f"needs one to four tiles of lhs, got {len(lhs)}")
        fits = list(rhs.shape) == [*shape, 4] and all(list(t.shape) == shape for t in lhs)
        require(fits, f"lhs must have the shape of {accumulator}, and rhs four neighbours for each element, got {rhs}")
        require(widths == [32, *[8] * (len(lhs) + 1)], f"adds products of i8 to i32, got {rhs} and {accumulator}")
        require(result == accumulator, f"result must be {accumulator}, got {result}")


class RequantizeTileOp(Loop.Operation, name="requantize_tile", traits=[ext.Pure]):
    """tile * multiplier / 2^shift for each element of tiles of i32, rounded and saturated as by `graph.requantize`."""

    tile: Operand[Tile]
    multiplier: Operand[Tile]
    shift: Operand[Tile]
    result: Result[Tile]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        types, result = [ir.VectorType(v.type) for v in op.operands], ir.VectorType(op.results[0].type)
        element = types[0].element_type
        is_i32 = isinstance(element, ir.IntegerType) and element.width == 32
        require(is_i32 and types.count(types[0]) == 3, f"needs three tiles of i32 of one shape, got {types[0]}")
        require(list(result.shape) == list(types[0].shape), f"result must have the shape of {types[0]}, got {result}")
        element = result.element_type
        is_integer = isinstance(element, ir.IntegerType) and element.width in (8, 16, 32)
        require(is_integer, f"result must be i8, i16 or i32, got {result}")


class UnpackTileOp(Loop.Operation, name="unpack_tile", traits=[ext.Pure]):
    """The signed integers of `bits` bits in a tile [w, n, b] of i8, as numbers of the result's type, which holds them.

    The b bytes of a column are a word of c integers, the lowest bits of the first byte first. The result is [w * c, n]:
    integer i of word j at j * c + i. Or it is [w * c / q, n, q], for a contraction by an atom: at (j * c / q + i, h)
    is integer h * c / q + i, so that a run of c / q integers stands at each of the q places.
    """

    codes: Operand[Tile]
    bits: ir.IntegerAttr
    result: Result[Tile]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        codes, result, bits = ir.VectorType(op.operands[0].type), shape_of(op.results[0]), attributes_of(op).bits
        is_bytes = codes.rank == 3 and codes.element_type == ir.IntegerType.get_signless(8)
        require(is_bytes, f"codes must be a tile [w, n, b] of i8, got {codes}")
        require(bits in (1, 2, 4), f"attribute 'bits' must be 1, 2 or 4, got {bits}")
        words, columns, size = codes.shape
        count, together = size * 8 // bits, result[2] if len(result) == 3 else 1
        fits = count % together == 0 and result[:2] == [words * count // together, columns] and len(result) in (2, 3)
        require(
            fits, f"result must have {count} integers of each of {words} x {columns} words, got {op.results[0].type}"
        )


class IndexTileOp(Loop.Operation, name="index_tile", traits=[ext.Pure]):
    """`start` plus each element's position along dimension `dim` of the tile, in an integer type that holds it."""

    start: Operand[Index]
    dim: ir.IntegerAttr
    tile: Result[Tile]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        type_, dim = ir.VectorType(op.results[0].type), attributes_of(op).dim
        require(isinstance(type_.element_type, ir.IntegerType), f"result must be a tile of integers, got {type_}")
        require(0 <= dim < type_.rank, f"attribute 'dim' is out of range for {type_}")


class BroadcastTileOp(Loop.Operation, name="broadcast_tile", traits=[ext.Pure]):
    """Repeats a tile whose last dimension is 1 along that dimension."""

    tile: Operand[Tile]
    result: Result[Tile]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        source, result = shape_of(op.operands[0]), shape_of(op.results[0])
        require(
            source[-1:] == [1] and source[:-1] == result[:-1],
            f"cannot repeat {format_shape(source)} along the last dimension of {format_shape(result)}",
        )
        _check_numbers(op)


class ParallelOp(Loop.Operation, name="parallel"):
    """Runs its body for every index in [0, bounds[0]) x [0, bounds[1]) x ..., in any order, at once if it likes.

    One iteration is the work of one workgroup. `mapping` says for each dimension what it is spread over: "workgroup".
    The bounds are computed by the ops before it in the function from constants and sizes of the function's arguments.
    """

    bounds: Sequence[Operand[Index]]
    mapping: ir.ArrayAttr
    body: ext.Region

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        blocks = list(op.regions[0].blocks) if len(op.regions) else []
        require(len(blocks) == 1, "must have one block")
        require(
            len(blocks[0].arguments) == len(op.operands),
            "needs one index argument in its body for each bound",
        )
        mapping = attributes_of(op).mapping
        require(isinstance(mapping, list) and len(mapping) == len(op.operands), "needs one mapping for each bound")
        require(all(m == "workgroup" for m in mapping), f"mapping must be 'workgroup', got {mapping}")
        require(len(op.operands) <= 3, "has at most 3 dimensions, as workgroups have")


class YieldOp(Loop.Operation, name="yield", traits=[ext.Pure, ir.IsTerminatorTrait]):
    """Ends the body of `loop.parallel`."""

    values: Sequence[Operand[Any]]


class ToBufferOp(Loop.Operation, name="to_buffer"):
    """The memory of a tensor argument of a loop function, read only but where `loop.to_tensor` gives it: then the loops
    update it in place, and the function's result stands for the argument.

    Unlike `bufferization.to_buffer`, upstream canonicalisation does not fold loads of it back into tensor accesses.
    """

    tensor: Operand[ir.RankedTensorType]
    memory: Result[Memref]

    def verify_invariants(self) -> bool:
        return verify(self, lambda: _check_same_type(self.operation))


class ToTensorOp(Loop.Operation, name="to_tensor"):
    """The tensor that a loop function returns: what its loops wrote to `memory`.

    That is an allocation of its own, or the memory of an argument (`loop.to_buffer`).
    """

    memory: Operand[Memref]
    tensor: Result[ir.RankedTensorType]

    def verify_invariants(self) -> bool:
        return verify(self, lambda: _check_same_type(self.operation))


class AllocOp(Loop.Operation, name="alloc"):
    """Scratch memory of static shape in the "local" space, shared by one workgroup, alive in the enclosing body."""

    memory: Result[Memref]

    def verify_invariants(self) -> bool:
        op = self.operation
        return verify(self, lambda: self._check(op))

    @staticmethod
    def _check(op: ir.Operation) -> None:
        type_ = ir.MemRefType(op.results[0].type)
        require(DYNAMIC not in type_.shape, "needs a static shape")
        space = type_.memory_space
        require(
            isinstance(space, ir.StringAttr) and space.value == LOCAL,
            f'must be in memory space "{LOCAL}", got {space}',
        )


__all__ = [
    "LOCAL",
    "AllocOp",
    "AnyTileOp",
    "BroadcastTileOp",
    "ContractTileOp",
    "DotTileOp",
    "IndexTileOp",
    "LoadTileOp",
    "LookupTileOp",
    "Loop",
    "ParallelOp",
    "ReduceTileOp",
    "RequantizeTileOp",
    "ScanTileOp",
    "StoreTileOp",
    "ToBufferOp",
    "ToTensorOp",
    "UnpackTileOp",
    "YieldOp",
]
