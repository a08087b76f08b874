"""Four products of int8 at a time without VNNI: AVX2's `vpmaddwd` on pairs of int16 (Intel SDM, volume 2).

`vpmaddubsw` multiplies bytes at once, but its sums of two saturate in int16. Here the even and the odd bytes are
widened to int16, whose products are added in int32: exact, and no shuffle is needed. Bytes of lhs are unsigned, those
of rhs signed, as for `vpdpbusd`.
"""

from __future__ import annotations

from terrace.lowering.graph.payload_types import constant
from terrace.lowering.target.cpu.atoms import CpuAtom
from terrace.mlir import arith, ir, llvm

_INSTRUCTIONS = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd"}


def _step(accumulator: ir.Value, rhs: ir.Value, lhs: ir.Value) -> ir.Value:
    lanes = ir.VectorType(accumulator.type).shape[0]
    words = ir.VectorType.get([2 * lanes], ir.IntegerType.get_signless(16))
    # IREE 3.13 loses the sign of what `vector.bitcast` gives: these are LLVM's.
    left, right = (llvm.bitcast(words, value) for value in (lhs, rhs))
    byte = constant(words, 8)
    even = arith.andi(left, constant(words, 255)), arith.shrsi(arith.shli(right, byte), byte)
    odd = arith.shrui(left, byte), arith.shrsi(right, byte)
    sums = [llvm.call_intrinsic(accumulator.type, _INSTRUCTIONS[lanes], [*pair], [], []) for pair in (even, odd)]
    return arith.addi(accumulator, arith.addi(*sums))


INT8_PAIRS = CpuAtom(
    name="int8_pairs",
    types=("i8", "i8", "i32"),
    depth=4,
    # 119 GOP/s of a whole 128x768x3072 on a Zen 4 held to AVX2, whose multiply-adds of float32 reach about 100 there.
    speed=1.2,
    unsigned_lhs=True,
    features=("avx2",),
    lanes=(4, 8),
    step=_step,
)
