"""`loop.lookup_tile` on a CPU: of vectors by permutes of bytes (AVX-512 VBMI's `vpermi2b`), else element by element.

A table is a few registers for each byte of its elements: two of 64 bytes are permuted together, and from 128 elements
on the index's highest bit chooses between two results. (Intel SDM, volume 2; AMD APM, volume 4.)
"""

from __future__ import annotations

import numpy as np
from terrace.lowering.graph.evaluation.arrays import dense_array
from terrace.lowering.graph.payload_types import compare, constant
from terrace.lowering.target.constant_tables import table_memory
from terrace.lowering.target.cpu.tile import Piece, narrowed, widened
from terrace.mlir import arith, ir, llvm, memref, vector

FEATURES = frozenset({"avx512vbmi", "avx512bw"})
"""What permutes need."""

LANES = 64
"""Bytes of a register."""


def look_up(table: ir.DenseElementsAttr, indices: ir.Value, piece: Piece) -> ir.Value:
    """table[i] for each index of a piece, from a constant in memory; lanes that nobody stores repeat the last."""
    memory = table_memory(table)
    scalars = [indices] if piece.lanes == 1 else [vector.extract(indices, [], [i]) for i in range(piece.count)]
    found = [memref.load(memory, [arith.index_cast(ir.IndexType.get(), s)]) for s in scalars]
    found += [found[-1]] * (piece.lanes - len(found))
    made = piece.type_of(table.type.element_type)
    return found[0] if piece.lanes == 1 else vector.from_elements(made, found)


class Permuted:
    """A table of integers in registers, made at the insertion point; `fits` says of which that can be."""

    def __init__(self, table: ir.DenseElementsAttr) -> None:
        array = dense_array(table)
        self.element, self.bytes, self.is_long = table.type.element_type, array.itemsize, array.size > 2 * LANES
        columns = np.zeros((array.itemsize, 4 * LANES), np.int8)
        for number in range(array.itemsize):
            columns[number, : array.size] = (array >> 8 * number).astype(np.int8)
        self.columns = {number: self._quarters(column) for number, column in enumerate(columns) if column.any()}

    @staticmethod
    def fits(table: ir.DenseElementsAttr) -> bool:
        array = dense_array(table)
        return array.size <= 4 * LANES and array.dtype.kind == "i" and array.itemsize <= 4

    def look_up(self, indices: ir.Value, piece: Piece) -> ir.Value:
        """table[i] for each index of a piece, which is a vector."""
        narrow, type_ = (ir.VectorType.get([piece.lanes], element) for element in (_byte(), self.element))
        places, whole = widened(arith.trunci(narrow, indices), LANES), constant(type_, 0)
        for number, quarters in self.columns.items():
            found = _unsigned(narrowed(self._permuted(quarters, places), narrow), type_)
            found = arith.shli(found, constant(type_, 8 * number)) if number else found
            whole = found if number == min(self.columns) else arith.ori(whole, found)
        return whole

    def _permuted(self, quarters: list[ir.Value], places: ir.Value) -> ir.Value:
        def half(first: ir.Value, second: ir.Value) -> ir.Value:
            name = "llvm.x86.avx512.vpermi2var.qi.512"
            return llvm.call_intrinsic(places.type, name, [first, places, second], [], [])

        low = half(*quarters[:2])
        if not self.is_long:
            return low
        return arith.select(compare("lt", places, constant(places.type, 0)), half(*quarters[2:]), low)

    @staticmethod
    def _quarters(column: np.ndarray) -> list[ir.Value]:
        type_ = ir.VectorType.get([LANES], _byte())
        parts = [[ir.IntegerAttr.get(_byte(), int(byte)) for byte in part] for part in column.reshape(4, LANES)]
        return [arith.constant(type_, ir.DenseElementsAttr.get(part, type_)) for part in parts]


def _byte() -> ir.Type:
    return ir.IntegerType.get_signless(8)


def _unsigned(value: ir.Value, type_: ir.Type) -> ir.Value:
    """Bytes, as unsigned, in a type that is no narrower."""
    return value if value.type == type_ else arith.extui(type_, value)
