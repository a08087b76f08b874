"""Four products of int8 at a time: `vpdpbusd` of AVX-512 VNNI and of AVX-VNNI (Intel SDM, volume 2; AMD APM, volume 4).

Bytes of lhs are unsigned, those of rhs signed; sums are exact and wrap in int32.
"""

from __future__ import annotations

import dataclasses

from terrace.lowering.target.cpu.atoms import CpuAtom
from terrace.mlir import ir, llvm


def _step(accumulator: ir.Value, rhs: ir.Value, lhs: ir.Value) -> ir.Value:
    bits = 32 * ir.VectorType(accumulator.type).shape[0]
    return llvm.call_intrinsic(accumulator.type, f"llvm.x86.avx512.vpdpbusd.{bits}", [accumulator, lhs, rhs], [], [])


INT8_DOT = CpuAtom(
    name="int8_dot",
    types=("i8", "i8", "i32"),
    depth=4,
    speed=4.0,
    unsigned_lhs=True,
    features=("avx512vnni", "avx512vl", "avx512bw"),
    lanes=(4, 8, 16),
    step=_step,
)

INT8_DOT_256 = dataclasses.replace(INT8_DOT, name="int8_dot_256", features=("avx2", "avxvnni"), lanes=(4, 8))
"""The same without AVX-512: LLVM gives the instruction the encoding that the CPU has."""
