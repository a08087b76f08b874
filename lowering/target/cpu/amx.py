"""Blocks of 16 rows of 64 bytes that are multiplied at once: AMX's `tdpbf16ps` and `tdpbssd` (Intel SDM, volume 2).

A block is a value of LLVM's type `x86_amx`: LLVM gives it one of the 8 tile registers, configures these where a kernel
begins (`ldtilecfg`) and releases them where it ends. All blocks are whole: registers of other sizes would have to be
configured beside them.

Of bfloat16, products and sums are float32, rounded to nearest even; denormal operands and results are zero. Sums of
int8, both signed, are exact and wrap in int32.
"""

from __future__ import annotations

from terrace.lowering.target.cpu.atoms import CpuAtom, Step
from terrace.mlir import arith, ir, llvm

ROWS, ROW_BYTES = 16, 64
"""What a block is."""


def block_type() -> ir.Type:
    """The type of a block."""
    return ir.Type.parse("!llvm.x86_amx")


def zero_block() -> ir.Value:
    """A block of zeros."""
    return llvm.call_intrinsic(block_type(), "llvm.x86.tilezero.internal", _size(), [], [])


def load_block(pointer: ir.Value, stride: ir.Value) -> ir.Value:
    """The block whose first row is at a pointer, rows `stride` bytes (an i64) apart."""
    return llvm.call_intrinsic(block_type(), "llvm.x86.tileloadd64.internal", [*_size(), pointer, stride], [], [])


def store_block(block: ir.Value, pointer: ir.Value, stride: ir.Value) -> None:
    """Store a block, rows `stride` bytes apart."""
    llvm.call_intrinsic(None, "llvm.x86.tilestored64.internal", [*_size(), pointer, stride, block], [], [])


def _size() -> list[ir.Value]:
    return [_i16(ROWS), _i16(ROW_BYTES)]


def _i16(number: int) -> ir.Value:
    return arith.constant(ir.IntegerType.get_signless(16), number)


def _step_of(instruction: str) -> Step:
    def step(accumulator: ir.Value, rhs: ir.Value, lhs: ir.Value) -> ir.Value:
        operands = [*_size(), _i16(ROW_BYTES), accumulator, lhs, rhs]
        return llvm.call_intrinsic(block_type(), f"llvm.x86.{instruction}.internal", operands, [], [])

    return step


AMX_BF16 = CpuAtom(
    name="amx_bf16",
    types=("bf16", "bf16", "f32"),
    depth=2,
    # Half of what is multiplied in registers: the rest of the time they are loaded.
    speed=8.0,
    block=(ROWS, 16, 32),
    features=("amx-bf16", "amx-tile", "avx512bw", "avx512vl"),
    lanes=(16,),
    step=_step_of("tdpbf16ps"),
)

AMX_INT8 = CpuAtom(
    name="amx_int8",
    types=("i8", "i8", "i32"),
    depth=4,
    speed=16.0,
    block=(ROWS, 16, 64),
    features=("amx-int8", "amx-tile", "avx512bw", "avx512vl"),
    lanes=(16,),
    step=_step_of("tdpbssd"),
)
