"""`lower-tiles-to-arrays`: tile ops of the loop level become loops over small local arrays, as hardware runs them.

A tile that is kept becomes a `memref.alloca` without its dimensions of size 1, every element of it a register
(`loop.partition` complete). Elementwise ops, and loads of what nobody writes, that have one reader are computed where
they are read, so that a chain of them is one loop nest. A tile that nothing else reads gives its array to the op that
consumes it: accumulators are updated in place. A contraction is a loop nest with k outermost, so that neighbouring
iterations add to different accumulators. `loop.parallel` becomes sequential loops.

In a kernel of integers a tile is what is computed at once: its loops are unrolled, but for those over the results of
sums. Contractions that follow each other, which the taps of a window are, add all their products in one go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from terrace.dialects.base import attributes_of, element_type_of, to_attribute
from terrace.dialects.hardware import PARTITION, UNROLL, partition_attribute
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.graph.payload_types import cast, combine, constant, is_float, multiply_add, neutral, scalar_type
from terrace.lowering.target.constant_tables import table_memory
from terrace.lowering.target.requantize_steps import expand_requantize_tiles
from terrace.lowering.target.tile_access import Access, constant_of, index_constant
from terrace.lowering.target.tile_rebuilder import TileRebuilder, is_elementwise, is_tile, shape_of_tile, splat_of
from terrace.mlir import arith, func, ir, memref, operation_of, scf, walk
from terrace.passes import Pass, fail

MOST_TERMS = 32
"""The most products of integers that are added in one go."""

Indices = Sequence[ir.Value]
Element = Callable[[Indices], ir.Value]


@dataclasses.dataclass(frozen=True)
class CellType:
    """How a tile is held: wherever it is, or `stored` in an array."""

    type: ir.Type
    stored: bool = False


@dataclasses.dataclass(frozen=True)
class Cells:
    """A tile by its elements: `element` emits what reads one. `array` is the memory that holds it, if any does."""

    shape: tuple[int, ...]
    element: Element
    array: ir.Value | None = None

    def write(self, value: ir.Value, indices: Indices) -> None:
        memref.store(value, self.array, _squeezed(self.shape, indices))


def _squeezed(shape: Sequence[int], indices: Indices) -> list[ir.Value]:
    """The indices of the dimensions that an array of a tile keeps."""
    return [i for i, size in zip(indices, shape, strict=True) if size != 1]


def _nest(
    shape: Sequence[int | ir.Value],
    body: Callable[[list[ir.Value]], None],
    done: Indices = (),
    is_unrolled: bool = False,
) -> None:
    """Loops over `shape`, the last dimension innermost; none for a dimension of size 1."""
    if not shape:
        body(list(done))
        return
    size, *inner = shape
    if isinstance(size, int) and size == 1:
        _nest(inner, body, [*done, index_constant(0)], is_unrolled)
        return
    upper = index_constant(size) if isinstance(size, int) else size
    operation = scf.ForOp(index_constant(0), upper, index_constant(1))
    if is_unrolled:
        operation.attributes[UNROLL] = to_attribute(size)
    with ir.InsertionPoint(operation.body):
        _nest(inner, body, [*done, operation.induction_variable], is_unrolled)
        scf.YieldOp([])


def _array(type_: ir.Type) -> Cells:
    """A new array for a tile of this type, or a number."""
    shape = shape_of_tile(type_) if isinstance(type_, ir.VectorType) else ()
    kept = [size for size in shape if size != 1]
    array = memref.alloca(ir.MemRefType.get(kept, scalar_type(type_)), [], [])
    if kept:
        array.owner.attributes[PARTITION] = partition_attribute("complete", 0)
    return Cells(shape, lambda indices: memref.load(array, _squeezed(shape, indices)), array)


def _is_consumed(value: ir.Value) -> bool:
    """Whether a tile has one reader, in the block that makes it, so that nothing reads it afterwards.

    A loop that carries it on is none: what it overwrites then is read no more.
    """
    readers, owner = [use.owner.operation for use in value.uses], value.owner
    block = owner if isinstance(owner, ir.Block) else owner.operation.block
    return len(readers) == 1 and readers[0].block == block and not _carries_on(readers[0])


def _is_carried_alone(value: ir.Value) -> bool:
    """Whether a tile is all that a loop carries on: its elements are computed in the place of the last ones, of which
    each needs its own only.
    """
    readers = [use.owner.operation for use in value.uses]
    return len(readers) == 1 and _carries_on(readers[0]) and len(readers[0].operands) == 1


def _has_one_sink(value: ir.Value) -> bool:
    """Whether all that is computed of a tile goes, by elementwise ops of its shape, to one op of the same block.

    Then its elements are computed in that op's loops, where equal ones are one.
    """
    block, sinks, pending, seen = value.owner.operation.block, list[ir.Operation](), [value], set[ir.Value]()
    while pending:
        for use in pending.pop().uses:
            reader = use.owner.operation
            results = list(reader.results)
            if reader.block != block or _carries_on(reader):
                return False
            is_step = is_elementwise(reader) and shape_of_tile(results[0].type) == shape_of_tile(value.type)
            if not is_step:
                sinks += [] if reader in sinks else [reader]
            elif results[0] not in seen:
                seen.add(results[0])
                pending.append(results[0])
    return len(sinks) == 1


def _adds_on(operation: ir.Operation) -> bool:
    """Whether all that a contraction gives is what another one of the block adds to."""
    uses = list(operation.results[0].uses)
    if len(uses) != 1 or uses[0].owner.operation.name != "loop.contract_tile":
        return False
    return uses[0].operand_number == 2 and uses[0].owner.operation.block == operation.block


def _is_of_integers(function: func.FuncOp) -> bool:
    """Whether a kernel has no floating point at all."""
    values = [*function.entry_block.arguments, *(r for op in walk(function.operation) for r in op.results)]
    types = [element_type_of(v) if isinstance(v.type, (ir.ShapedType, ir.VectorType)) else v.type for v in values]
    return not any(isinstance(type_, ir.FloatType) for type_ in types)


def _has_memory(loop: ir.Operation) -> bool:
    return any(op.name in ("loop.load_tile", "loop.store_tile") for op in walk(loop))


def _trips(loop: ir.Operation) -> int | None:
    """How often a loop with constant bounds runs."""
    lower, upper, step = (constant_of(bound) for bound in list(loop.operands)[:3])
    return None if lower is None or upper is None or not step else len(range(lower, upper, step))


def _carries_on(operation: ir.Operation) -> bool:
    return operation.name == "scf.yield" and operation.parent.operation.name == "scf.for"


class _Lowering(TileRebuilder[Cells, CellType]):
    """Rebuilds one function with loops over arrays, which hold the tiles that blocks give and loops carry."""

    machine = "arrays"

    def __init__(self, function: func.FuncOp) -> None:
        super().__init__()
        self.unrolls = _is_of_integers(function)
        loops = [op for op in walk(function.operation) if op.name == "scf.for" and any(map(is_tile, op.results))]
        self.is_at_once = self.unrolls and not any(_has_memory(op) or _trips(op) is None for op in loops)
        """Whether no loop goes over parts of what is summed: a tile is all of it."""
        self.carried_loops = 0
        """How many loops around carry a tile."""
        self.is_summed = False
        """Whether there is a sum already: what follows is about its results, of which hardware has one at a time."""
        self.products: dict[ir.Value, list[Callable[[Indices], list[ir.Value]]]] = {}
        """The products of contractions that the next one adds, by what they would be the result of."""
        self.places: dict[ir.Value, Cells] = {}
        """The arrays of what loops carry and conditions give; a number is the only element of one."""
        self.handlers |= {
            "loop.alloc": self.alloc,
            "loop.broadcast_tile": self.broadcast_tile,
            "loop.contract_tile": self.contract_tile,
            "loop.index_tile": self.index_tile,
            "loop.load_tile": self.load_tile,
            "loop.lookup_tile": self.lookup_tile,
            "loop.parallel": self.parallel,
            "loop.reduce_tile": self.reduce_tile,
            "loop.store_tile": self.store_tile,
            "loop.yield": lambda operation: None,
            "memref.prefetch": lambda operation: None,  # there are no caches
        }

    # -- loops ----------------------------------------------------------------------------------------------------

    def nest(self, shape: Sequence[int], body: Callable[[list[ir.Value]], None], *, begins: bool = False) -> None:
        """The loops of a tile; `begins` those that set a sum or add to it."""
        is_unrolled = self.unrolls and (begins or self.carried_loops > 0 or not self.is_summed)
        _nest(shape, body, is_unrolled=is_unrolled)

    def fill(self, tile: Cells, to: Cells, *, begins: bool = False) -> Cells:
        self.nest(tile.shape, lambda indices: to.write(tile.element(indices), indices), begins=begins)
        return to

    # -- tiles ----------------------------------------------------------------------------------------------------

    def holding(self, type_: ir.Type) -> CellType:
        return CellType(type_)

    def retyped(self, holding: CellType, type_: ir.Type) -> CellType:
        """Elements are computed of elements, wherever those are."""
        return CellType(type_)

    def convert(self, tile: Cells, holding: CellType) -> Cells:
        return tile if tile.array is not None else self.fill(tile, _array(holding.type))

    def wanted(self, operation: ir.Operation, number: int) -> CellType | None:
        """What is read several times is not computed each time."""
        is_reread = (operation.name == "loop.contract_tile" and number < 2) or operation.name == "loop.broadcast_tile"
        return CellType(operation.operands[number].type, stored=True) if is_reread else None

    def set_elements(self, value: ir.Value, element: Element, keep: bool = False) -> None:
        """The tile of `value`, in an array if `keep`."""
        tile = Cells(shape_of_tile(value.type), element)
        self.set_tile(value, self.convert(tile, CellType(value.type)) if keep else tile)

    def source(self, value: ir.Value) -> Cells:
        """An operand by its elements; a number is one without indices."""
        return self.tile(value) if is_tile(value) else Cells((), lambda _: self.plain(value))

    def owned(self, value: ir.Value, *, begins: bool = False) -> Cells:
        """An operand in an array that its reader may overwrite."""
        tile = self.source(value)
        if tile.array is not None and _is_consumed(value):
            return tile
        return self.fill(tile, _array(value.type), begins=begins)

    def elementwise(self, operation: ir.Operation) -> None:
        result, location = operation.results[0], operation.location
        type_ = element_type_of(result)
        if operation.name == "arith.constant":
            number = splat_of(operation)
            self.set_elements(result, lambda _: arith.constant(type_, number))
            return
        if operation.name == "vector.broadcast":
            spread = self.plain(operation.operands[0])
            self.set_elements(result, lambda _: spread)
            return
        operands = [self.tile(v) if is_tile(v) else self.plain(v) for v in operation.operands]
        attributes = dict(operation.attributes.items())

        def element(indices: Indices) -> ir.Value:
            with location:
                values = [v.element(indices) if isinstance(v, Cells) else v for v in operands]
                return ir.Operation.create(operation.name, [type_], values, attributes).results[0]

        is_computed_later = _is_consumed(result) or _is_carried_alone(result) or _has_one_sink(result)
        self.set_elements(result, element, keep=not is_computed_later)

    def index_tile(self, operation: ir.Operation) -> None:
        start, result, dim = self.plain(operation.operands[0]), operation.results[0], attributes_of(operation).dim
        type_ = element_type_of(result)
        self.set_elements(result, lambda indices: arith.index_cast(type_, arith.addi(start, indices[dim])))

    def lookup_tile(self, operation: ir.Operation) -> None:
        """An element of a constant array for each index."""
        source, result, table = self.tile(operation.operands[0]), operation.results[0], operation.attributes["table"]

        def element(indices: Indices) -> ir.Value:
            return memref.load(table_memory(table), [arith.index_cast(ir.IndexType.get(), source.element(indices))])

        self.set_elements(result, element, keep=not _is_consumed(result))

    def broadcast_tile(self, operation: ir.Operation) -> None:
        source = self.tile(operation.operands[0], self.wanted(operation, 0))
        self.set_elements(operation.results[0], lambda indices: source.element([*indices[:-1], index_constant(0)]))

    def reduce_tile(self, operation: ir.Operation) -> None:
        source, kind = self.tile(operation.operands[0]), attributes_of(operation).kind
        _require_whole(operation, list(operation.operands)[1:], source.shape)
        result, type_ = _array(operation.results[0].type), element_type_of(operation.results[0])
        *outer, size = source.shape

        def row(indices: list[ir.Value]) -> None:
            at = [*indices, index_constant(0)]
            result.write(constant(type_, neutral(kind, type_)), at)
            self.nest([size], lambda last: step(indices, last))

        def step(indices: list[ir.Value], last: list[ir.Value]) -> None:
            at = [*indices, index_constant(0)]
            result.write(combine(kind, result.element(at), source.element([*indices, *last])), at)

        self.nest(outer, row)
        self.is_summed |= not self.unrolls
        self.set_tile(operation.results[0], result)

    def contract_tile(self, operation: ir.Operation) -> None:
        self.refuse_atom(operation)
        lhs, rhs = (self.tile(operation.operands[i], self.wanted(operation, i)) for i in (0, 1))
        total, type_ = operation.operands[2], element_type_of(operation.operands[2])

        def products(at: Indices) -> list[ir.Value]:
            *rows, column = at
            pairs = [
                (lhs.element([*rows, index_constant(k)]), rhs.element([index_constant(k), column]))
                for k in range(rhs.shape[0])
            ]
            return [arith.muli(*(cast(v, type_) for v in pair)) for pair in pairs]

        earlier = self.products.get(total, [])
        if earlier:
            total = self.first_sum(total)
        if not is_float(type_) and _adds_on(operation):
            self.products[operation.results[0]] = [*earlier, products]
            return
        result = self.owned(total)

        def step(indices: list[ir.Value]) -> None:
            k, *rows, column = indices
            at = [*rows, column]
            left, right = (cast(v, type_) for v in (lhs.element([*rows, k]), rhs.element([k, column])))
            result.write(multiply_add(left, right, result.element(at)), at)

        def whole(at: list[ir.Value]) -> None:
            """All products of an element, added in pairs: sums of integers have no order."""
            terms = [term for each in [*earlier, products] for term in each(at)]
            while len(terms) > 1:
                pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
                terms = [arith.addi(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
            result.write(arith.addi(result.element(at), terms[0]), at)

        if is_float(type_) or (rhs.shape[0] > MOST_TERMS and not self.unrolls):
            self.nest([rhs.shape[0], *result.shape], step, begins=True)
        else:
            self.nest(result.shape, whole, begins=True)
        # A sum that is made at once goes through the same pipeline as its results.
        self.is_summed |= not self.unrolls
        self.set_tile(operation.results[0], result)

    def first_sum(self, total: ir.Value) -> ir.Value:
        """What the first of some contractions that follow each other adds to."""
        while total in self.products:
            total = total.owner.operation.operands[2]
        return total

    # -- memory ---------------------------------------------------------------------------------------------------

    def load_tile(self, operation: ir.Operation) -> None:
        access, result = Access.of(operation.opview, self.plain), operation.results[0]
        _require_whole(operation, access.sizes, shape_of_tile(result.type))
        owner, at = operation_of(access.memory), _place(access)
        read_only = owner is not None and owner.name == "loop.to_buffer"
        keep = not (read_only and _is_consumed(result))
        self.set_elements(result, lambda indices: memref.load(access.memory, at(indices)), keep)

    def store_tile(self, operation: ir.Operation) -> None:
        access, tile = Access.of(operation.opview, self.plain), self.tile(operation.operands[0])
        _require_whole(operation, access.sizes, tile.shape)
        at = _place(access)
        self.nest(tile.shape, lambda indices: memref.store(tile.element(indices), access.memory, at(indices)))

    def alloc(self, operation: ir.Operation) -> None:
        self.values[operation.results[0]] = memref.alloca(operation.results[0].type, [], [])

    # -- control --------------------------------------------------------------------------------------------------

    def parallel(self, operation: ir.Operation) -> None:
        """Its body in sequential loops."""
        old = operation.regions[0].blocks[0]

        def body(indices: list[ir.Value]) -> None:
            self.values.update(zip(old.arguments, indices, strict=True))
            self.block(old)

        _nest([self.plain(bound) for bound in operation.operands], body)

    def for_(self, operation: ir.Operation) -> None:
        """What it carries is in arrays from before the loop."""
        _, *carried = operation.opview.body.arguments
        for first, argument, result in zip(list(operation.operands)[3:], carried, operation.results, strict=True):
            self.places[argument] = self.places[result] = self.owned(first, begins=is_tile(first))
        carries = any(map(is_tile, carried))
        if carries and self.is_at_once and not _has_memory(operation):
            # All that the kernel does with a row is one pipeline, steps of a recurrence too.
            trips = _trips(operation)
            operation.attributes[UNROLL] = to_attribute(trips)
            carries = False
        self.carried_loops += carries
        super().for_(operation)
        self.carried_loops -= carries
        self.is_summed |= carries

    def if_(self, operation: ir.Operation) -> None:
        """Both branches fill the arrays of what it gives."""
        self.places.update((value, _array(value.type)) for value in operation.results)
        super().if_(operation)

    def carried(self, values: Sequence[ir.Value], results: Sequence[ir.Value]) -> list[ir.Value]:
        return []

    def carried_types(self, values: Sequence[ir.Value]) -> list[ir.Type]:
        return []

    def take(self, old: Sequence[ir.Value], new: Sequence[ir.Value]) -> None:
        for value in old:
            if is_tile(value):
                self.set_tile(value, self.places[value])
            else:
                self.values[value] = self.places[value].element([])

    def give(self, values: Sequence[ir.Value], results: Sequence[ir.Value]) -> list[ir.Value]:
        moves = [(v, self.source(v), self.places[result]) for v, result in zip(values, results, strict=True)]
        moves = [move for move in moves if move[1].array is None or move[1].array != move[2].array]
        several = len(moves) > 1  # one may read the array of another
        made = [self.fill(tile, _array(v.type)) if several and is_tile(v) else tile for v, tile, _ in moves]
        for tile, (_, _, to) in zip(made, moves, strict=True):
            self.fill(tile, to)
        return []


def _place(access: Access) -> Callable[[Indices], list[ir.Value]]:
    """The indices in memory of an element of the tile that a load or store moves."""

    def at(indices: Indices) -> list[ir.Value]:
        where = list(access.indices)
        for index, dim, stride in zip(indices, access.dims, access.strides, strict=True):
            if dim >= 0:
                moved = index if stride == 1 else arith.muli(index, index_constant(stride))
                where[dim] = arith.addi(where[dim], moved)
        return where

    return at


def _require_whole(operation: ir.Operation, sizes: Indices, shape: Sequence[int]) -> None:
    """Refuse a tile of which a part may be out of bounds."""
    if any(constant_of(given) != size for given, size in zip(sizes, shape, strict=False)):
        raise fail(operation, "has a tile of dynamic size; hardware needs static shapes")


@dataclasses.dataclass(frozen=True)
class LowerTilesToArrays(Pass):
    """Lower tile ops to loops over small local arrays, and `loop.parallel` to sequential loops."""

    name = "lower-tiles-to-arrays"

    def run(self, module: ir.Operation) -> None:
        for function in loop_kernels(module):
            expand_requantize_tiles(function)
            _Lowering(function).function(function)
