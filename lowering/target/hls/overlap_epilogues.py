"""`overlap-epilogues`: what follows the sums of a tile is computed while the next tile is summed.

A tile is begun (its sums are zero), summed along a nest of loops, and finished, one result after the other. With all of
it in that nest, which then has one tile more to finish the last one, the hardware runs through the nest without a
pause: sums of one tile, results of the tile before. Where a tile has more results than the nest has iterations, several
are finished in each.
"""

from __future__ import annotations

import dataclasses
import math

from terrace.dialects.base import shape_of, to_attribute
from terrace.dialects.hardware import PARTITION, UNROLL
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.kernels.circuit_tile import lanes_of
from terrace.lowering.target.hls.addresses import accesses, constant_index, flat_moves, is_register, trip_count
from terrace.mlir import arith, func, ir, memref, operation_of, scf, walk
from terrace.passes import Pass


def _index(number: int) -> ir.Value:
    return arith.constant(ir.IndexType.get(), number)


_EQUAL, _BELOW, _ABOVE = 0, 6, 8
"""Predicates of arith.cmpi: ==, unsigned < and >."""


@dataclasses.dataclass(frozen=True)
class _Tile:
    """A loop over tiles: `start` sets the sums, `nest` adds to them, the loops of `finish` go over the results."""

    loop: ir.Operation
    sums: ir.Operation
    start: ir.Operation
    nest: tuple[ir.Operation, ...]
    finish: tuple[ir.Operation, ...]

    @staticmethod
    def of(loop: ir.Operation) -> _Tile | None:
        """The parts of a loop's body; None if it has others."""
        body = [view.operation for view in loop.regions[0].blocks[0].operations][:-1]
        loops = [op for op in body if op.name == "scf.for"]
        arrays = [op for op in body if op.name == "memref.alloca"]
        others = [op for op in body if op not in loops and op not in arrays and not op.name.startswith("arith.")]
        if len(loops) != 3 or len(arrays) != 1 or others or len(loop.results) or not trip_count(loop):
            return None
        nest, finish = _nest(loops[1]), _nest(loops[2])
        if nest is None or finish is None:
            return None
        found = _Tile(loop, arrays[0], loops[0], nest, finish)
        return found if found.fits() else None

    def fits(self) -> bool:
        """Whether sums are integers in registers, all parts keep to their roles, and the nest is short enough."""
        sums = self.sums.results[0]
        type_ = ir.MemRefType(sums.type)
        finish = self.finish[0]
        if not type_.rank or not isinstance(type_.element_type, ir.IntegerType) or not is_register(sums):
            return False
        if not all(map(_counts_from_zero, self.finish)) or self.lanes is None:
            return False
        if any(op.name in ("scf.for", "scf.if") for op in walk(finish) if op not in self.finish):
            return False
        starts = all(access.is_store and access.memory == sums for access in accesses(self.start))
        finishes = all(not access.is_store or not is_register(access.memory) for access in accesses(finish))
        stored = {access.memory for access in accesses(finish) if access.is_store}
        parts = (self.nest[0], finish)
        reads = {access.memory for part in parts for access in accesses(part) if not access.is_store}
        return starts and finishes and not stored & reads

    @property
    def steps(self) -> int:
        return math.prod(trip_count(loop) or 0 for loop in self.nest)

    @property
    def results(self) -> int:
        return math.prod(trip_count(loop) or 0 for loop in self.finish)

    @property
    def lanes(self) -> int | None:
        """How many results are finished in an iteration; None if this does not work or pay."""
        row = self.row
        are_adjacent = len(self.finish) > 1 and self.moves(self.finish[-2]) == {row}
        return lanes_of(trip_count(self.loop) or 0, self.steps, self.results, row, are_adjacent)

    @property
    def row(self) -> int:
        """How many results the innermost loop finishes that are beside each other in memory."""
        return trip_count(self.finish[-1]) or 1 if self.moves(self.finish[-1]) == {1} else 1

    def moves(self, loop: ir.Operation) -> set[int | None]:
        """How far results are apart that a loop of `finish` stores."""
        index = loop.regions[0].blocks[0].arguments[0]
        stores = [access for access in accesses(self.finish[0]) if access.is_store]
        return {(flat_moves(access) or {}).get(index) for access in stores}


def _nest(loop: ir.Operation) -> tuple[ir.Operation, ...] | None:
    """A loop and those in it down to the one whose body computes; None where a count is unknown.

    That one holds loops over registers, which are unrolled.
    """
    if not trip_count(loop):
        return None
    body = [view.operation for view in loop.regions[0].blocks[0].operations][:-1]
    inner = [op for op in body if op.name == "scf.for" and UNROLL not in op.attributes]
    if len(inner) != 1 or any(op not in inner and not op.name.startswith("arith.") for op in body):
        return (loop,)
    rest = _nest(inner[0])
    return None if rest is None else (loop, *rest)


def _counts_from_zero(loop: ir.Operation) -> bool:
    return (constant_index(loop.operands[0]), constant_index(loop.operands[2])) == (0, 1)


class _Overlap:
    """Rewrites one loop over tiles."""

    def __init__(self, function: func.FuncOp, tile: _Tile) -> None:
        self.function, self.tile = function, tile
        self.index = tile.loop.regions[0].blocks[0].arguments[0]
        self.inner = tile.nest[-1].regions[0].blocks[0]
        self.earlier: dict[ir.Value, ir.Value] = {}
        """Values of the tile before, by those of the tile."""

    def run(self) -> None:
        tile = self.tile
        tile.sums.move_before(self.function.entry_block.operations[0].operation)
        with ir.InsertionPoint(tile.sums), tile.loop.location:
            results = memref.alloca(ir.MemRefType(tile.sums.results[0].type), [], [])
            results.owner.attributes[PARTITION] = tile.sums.attributes[PARTITION]
        old_end = tile.loop.operands[1]
        with ir.InsertionPoint(tile.loop), tile.loop.location:
            step = constant_index(tile.loop.operands[2]) or 1
            end = (constant_index(tile.loop.operands[0]) or 0) + step * (trip_count(tile.loop) or 0)
            tile.loop.operands[1] = _index(end + step)
        self.sum_and_keep(old_end, results)
        self.finish_earlier(results, step)

    def sum_and_keep(self, end: ir.Value, results: ir.Value) -> None:
        """In the nest: begin the sums in its first iteration, add, and keep them in its last."""
        tile, body = self.tile, [view.operation for view in self.inner.operations][:-1]
        with ir.InsertionPoint.at_block_begin(self.inner), tile.loop.location:
            there = scf.IfOp(arith.cmpi(_BELOW, self.index, end))
            with ir.InsertionPoint(there.then_block):
                first = scf.IfOp(self.at("first"))
                with ir.InsertionPoint(first.then_block):
                    begun = scf.YieldOp([])
                last = scf.IfOp(self.at("last"))
                with ir.InsertionPoint(last.then_block):
                    self.keep(results, [])
                    scf.YieldOp([])
                scf.YieldOp([])
        tile.start.move_before(begun.operation)
        # Conditions are computed before what they are about.
        for operation in body:
            operation.move_before(last.operation)

    def keep(self, results: ir.Value, indices: list[ir.Value]) -> None:
        """Copy the sums, by loops over the dimensions that have no index yet."""
        shape = shape_of(results)
        if len(indices) == len(shape):
            memref.store(memref.load(self.tile.sums.results[0], indices), results, indices)
            return
        size = shape[len(indices)]
        loop = scf.ForOp(_index(0), _index(size), _index(1))
        loop.attributes[UNROLL] = to_attribute(size)
        with ir.InsertionPoint(loop.body):
            self.keep(results, [*indices, loop.induction_variable])
            scf.YieldOp([])

    def at(self, place: str) -> ir.Value:
        """Whether all loops of the nest are in their first or last iteration."""
        found = None
        for loop in self.tile.nest:
            start, step = (constant_index(loop.operands[number]) or 0 for number in (0, 2))
            wanted = start if place == "first" else start + step * ((trip_count(loop) or 1) - 1)
            is_there = arith.cmpi(_EQUAL, loop.regions[0].blocks[0].arguments[0], _index(wanted))
            found = is_there if found is None else arith.andi(found, is_there)
        assert found is not None
        return found

    def finish_earlier(self, results: ir.Value, step: int) -> None:
        """In the nest: the results of the tile before, some in an iteration."""
        tile, lanes = self.tile, self.tile.lanes or 1
        # Before the nest's last iteration keeps the sums of this tile, in place of what is finished here.
        with ir.InsertionPoint.at_block_begin(self.inner), tile.finish[0].location:
            place = self.place()
            some = arith.cmpi(_ABOVE, self.index, tile.loop.operands[0])
            there = scf.IfOp(arith.andi(some, arith.cmpi(_BELOW, place, _index(tile.results // lanes))))
            with ir.InsertionPoint(there.then_block):
                before = arith.subi(self.index, _index(step))
                self.earlier = {self.index: before, tile.sums.results[0]: results}
                end = scf.YieldOp([])
        rows = max(1, lanes // tile.row)
        with ir.InsertionPoint(end), tile.finish[0].location:
            lane_row, end = self.lane(rows, end)
        with ir.InsertionPoint(end), tile.finish[0].location:
            lane, end = self.lane(lanes // rows, end)
        with ir.InsertionPoint(end), tile.finish[0].location:
            if lane_row is not None:
                place = arith.addi(arith.muli(place, _index(rows)), lane_row)
            self.earlier |= self.places(place, lanes // rows, lane)
        for loop in tile.finish:
            for operation in [view.operation for view in loop.regions[0].blocks[0].operations][:-1]:
                if operation not in tile.finish:
                    operation.move_before(end.operation)
                    for number, operand in enumerate(operation.operands):
                        operation.operands[number] = self.moved(operand, operation)
        tile.finish[0].erase()

    @staticmethod
    def lane(count: int, end: ir.OpView) -> tuple[ir.Value | None, ir.OpView]:
        """An unrolled loop over so many lanes, if they are several: its index, and the end of what is in it."""
        if count == 1:
            return None, end
        loop = scf.ForOp(_index(0), _index(count), _index(1))
        loop.attributes[UNROLL] = to_attribute(count)
        with ir.InsertionPoint(loop.body):
            return loop.induction_variable, scf.YieldOp([])

    def places(self, place: ir.Value, lanes: int, lane: ir.Value | None) -> dict[ir.Value, ir.Value]:
        """The indices of the loops of `finish`, of a lane of an iteration of the nest."""
        *outer, last = (loop.regions[0].blocks[0].arguments[0] for loop in self.tile.finish)
        parts = (trip_count(self.tile.finish[-1]) or 1) // lanes
        if parts == 1:
            column = _index(0)
        else:
            column = arith.remui(place, _index(parts)) if outer else place
            place = arith.divui(place, _index(parts)) if outer else place
        column = arith.muli(column, _index(lanes)) if lanes > 1 else column
        column = arith.addi(column, lane) if lane is not None else column
        found = {last: column}
        for number, index in enumerate(outer):
            inner = math.prod(trip_count(loop) or 1 for loop in self.tile.finish[number + 1 : -1])
            found[index] = arith.divui(place, _index(inner)) if inner > 1 else place
            place = arith.remui(place, _index(inner)) if inner > 1 else place
        return found

    def place(self) -> ir.Value:
        """The number of an iteration of the nest."""
        total, inner = None, self.tile.steps
        for loop in self.tile.nest:
            inner //= trip_count(loop) or 1
            index = loop.regions[0].blocks[0].arguments[0]
            start, step = (constant_index(loop.operands[number]) or 0 for number in (0, 2))
            count = arith.subi(index, _index(start)) if start else index
            count = arith.divui(count, _index(step)) if step > 1 else count
            count = arith.muli(count, _index(inner)) if inner > 1 else count
            total = count if total is None else arith.addi(total, count)
        assert total is not None
        return total

    def moved(self, value: ir.Value, before: ir.Operation) -> ir.Value:
        """A value of the tile before."""
        if value in self.earlier:
            return self.earlier[value]
        owner = operation_of(value)
        if owner is None or owner.block != self.tile.loop.regions[0].blocks[0]:
            return value
        operands = [self.moved(operand, before) for operand in owner.operands]
        with ir.InsertionPoint(before), owner.location:
            attributes = dict(owner.attributes.items())
            made = ir.Operation.create(owner.name, [r.type for r in owner.results], operands, attributes)
        self.earlier[value] = made.results[0]
        return made.results[0]


@dataclasses.dataclass(frozen=True)
class OverlapEpilogues(Pass):
    """Finish each tile of integer sums while the next one is summed."""

    name = "overlap-epilogues"

    def run(self, module: ir.Operation) -> None:
        for function in loop_kernels(module):
            tiles = [tile for op in walk(function.operation) if op.name == "scf.for" and (tile := _Tile.of(op))]
            for tile in tiles:
                _Overlap(function, tile).run()
