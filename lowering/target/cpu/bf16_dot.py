"""Two products of bfloat16 at a time: AVX-512's `vdpbf16ps` (Intel SDM, volume 2; AMD APM, volume 4).

Products and sums are float32, rounded to nearest even; denormal operands and results are zero.
"""

from __future__ import annotations

from terrace.lowering.target.cpu.atoms import CpuAtom
from terrace.mlir import ir, llvm


def _step(accumulator: ir.Value, rhs: ir.Value, lhs: ir.Value) -> ir.Value:
    bits = 32 * ir.VectorType(accumulator.type).shape[0]
    name = f"llvm.x86.avx512bf16.dpbf16ps.{bits}"
    return llvm.call_intrinsic(accumulator.type, name, [accumulator, rhs, lhs], [], [])


BF16_DOT = CpuAtom(
    name="bf16_dot",
    types=("bf16", "bf16", "f32"),
    depth=2,
    speed=2.0,
    features=("avx512bf16", "avx512vl", "avx512bw"),
    # Those CPUs have tiles for bfloat16, and make vdpbf16ps of several steps: half as fast as a multiply-add.
    slow_with="amx-bf16",
    lanes=(4, 8, 16),
    step=_step,
)
