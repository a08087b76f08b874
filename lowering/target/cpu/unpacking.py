"""`loop.unpack_tile` on a CPU: integers of 4 bits looked up in a register, where there is such a permute, or shifted.

A permute reads the low bits of an index only, so that what stands above an integer needs no mask: AVX-512's `vpermps`
reads 4 of 32, `vpermw` 5 of 16, of which the table ignores one (Intel SDM, volume 2; AMD APM, volume 4).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from terrace.lowering.graph.payload_types import cast, constant
from terrace.lowering.target.cpu.tile import Tile, TileType
from terrace.mlir import arith, ir, llvm, vector

TABLE_BITS = 4
"""Those of an integer that a permute looks up."""


@dataclasses.dataclass(frozen=True)
class Permute:
    """Looks vectors of `lanes` indices of `width` bits up, in a table as large as a vector."""

    width: int
    lanes: int
    intrinsic: str
    feature: str


PERMUTES = (
    Permute(32, 16, "llvm.x86.avx512.permvar.sf.512", "avx512f"),
    Permute(16, 32, "llvm.x86.avx512.permvar.hi.512", "avx512bw"),
)


def wanted_codes(usual: TileType) -> TileType:
    """The bytes of a column beside each other, in one lane."""
    words, columns, size = usual.shape
    return dataclasses.replace(usual, shape=(words, columns * size), depth=size)


def unpack(codes: Tile, bits: int, holding: TileType, features: Collection[str]) -> Tile:
    """The integers of `codes`, held as `wanted_codes` says, as numbers; `holding` has `depth` of them in a lane."""
    width = codes.type.depth * 8 // holding.depth
    columns, count = len(codes.type.pieces), width // bits
    values = []
    for row in range(holding.rows):
        word, number = divmod(row, count)
        for value in codes.values[word * columns : (word + 1) * columns]:
            values.append(_integers(value, width, bits, number, holding.element_type, features))
    return Tile(holding, values)


def _integers(
    codes: ir.Value, width: int, bits: int, number: int, element_type: ir.Type, features: Collection[str]
) -> ir.Value:
    """Integer `number` of each `width` bits of a vector of bytes."""
    lanes = ir.VectorType(codes.type).shape[0] * 8 // width
    words = vector.bitcast(ir.VectorType.get([lanes], ir.IntegerType.get_signless(width)), codes)
    permute = next((p for p in PERMUTES if (p.width, p.lanes) == (width, lanes) and p.feature in features), None)
    if bits == TABLE_BITS and permute is not None and ir.FloatType(element_type).width == width:
        index = arith.shrui(words, constant(words.type, bits * number)) if number else words
        return _look_up(permute, index, element_type)
    high = arith.shli(words, constant(words.type, width - bits * (number + 1)))
    integers = arith.shrsi(high, constant(words.type, width - bits))
    # Not to bf16 at once, which few CPUs can; f32 holds these integers, and so does any float.
    return cast(cast(integers, ir.F32Type.get()), element_type)


def _look_up(permute: Permute, index: ir.Value, element_type: ir.Type) -> ir.Value:
    half = 1 << TABLE_BITS - 1
    numbers = [(i + half) % (2 * half) - half for i in range(permute.lanes)]
    type_ = ir.VectorType.get([permute.lanes], element_type)
    table = arith.constant(type_, ir.DenseElementsAttr.get([ir.FloatAttr.get(element_type, n) for n in numbers], type_))
    if permute.width == 32:
        return llvm.call_intrinsic(type_, permute.intrinsic, [table, index], [], [])
    table = vector.bitcast(index.type, table)
    return vector.bitcast(type_, llvm.call_intrinsic(index.type, permute.intrinsic, [table, index], [], []))
