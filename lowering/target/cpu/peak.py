"""The machine's fused multiply-add peak, as one core reaches it through the same path that the kernels take.

The program is a loop kernel whose accumulators never leave the registers, built as ops at the loop level.
"""

from __future__ import annotations

from terrace.dialects import loop
from terrace.dialects.context import create_context
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.target.cpu.backend import CpuBackend
from terrace.lowering.target.iree.compiler import compile_program, program_text
from terrace.mlir import func, ir, math, memref, parse_module, scf
from terrace.passes import run_passes
from terrace.target import CpuDescription, Target

ACCUMULATORS = 12
"""Independent chains: more than latency times units of any CPU described so far, and few enough for 16 registers."""

STEPS = 1 << 20
"""Enough that the call itself is below a hundredth of the time."""


def peak_flops(cpu: CpuDescription) -> int:
    """Floating-point operations of one call of the program."""
    return 2 * ACCUMULATORS * STEPS * cpu.lanes


def peak_program(target: Target) -> bytes:
    """The program for a resolved target, whose `main` takes `ACCUMULATORS` vectors of floats."""
    assert target.cpu is not None, "the target is not resolved"
    backend = CpuBackend(target)
    context = create_context()
    module = parse_module(peak_text(target.cpu.lanes), context)
    with context, ir.Location.unknown():
        run_passes(backend.lower(), module.operation)
        return compile_program(program_text(module.operation), backend.iree_flags())


def peak_text(lanes: int) -> str:
    """The program at the loop level."""
    with create_context(), ir.Location.unknown():
        module = ir.Module.create()
        element = ir.F32Type.get()
        argument, result = (ir.RankedTensorType.get([size], element) for size in (ACCUMULATORS * lanes, lanes))
        with ir.InsertionPoint(module.body):
            kernel = func.FuncOp("peak", ([argument], [result]), visibility="private")
            kernel.attributes[LOOP_KERNEL] = ir.UnitAttr.get()
            main = func.FuncOp("main", ([argument], [result]))
        with ir.InsertionPoint(kernel.add_entry_block()):
            _fill_kernel(kernel.entry_block, lanes)
        with ir.InsertionPoint(main.add_entry_block()):
            func.ReturnOp(func.CallOp(kernel, list(main.entry_block.arguments)).results)
        module.operation.verify()
        return str(module)


def _fill_kernel(entry: ir.Block, lanes: int) -> None:
    """Each chain is x = x * 0.5 + 1, which stays near 2; their sum is the result, so that none is dead."""
    b, element = LoopBuilder(entry), ir.F32Type.get()
    source = loop.ToBufferOp(entry.arguments[0], ir.MemRefType.get([ACCUMULATORS * lanes], element)).memory
    result = memref.alloc(ir.MemRefType.get([lanes], element), [], [])
    with b.parallel([1]):
        starts = [b.load(source, [number * lanes], [lanes], [0]) for number in range(ACCUMULATORS)]
        half, one = (b.splat([lanes], element, value) for value in (0.5, 1.0))
        chains = scf.ForOp(b.value(0), b.value(STEPS), b.value(1), starts)
        with ir.InsertionPoint(chains.body):
            scf.YieldOp([math.fma(value, half, one) for value in chains.inner_iter_args])
        total = chains.results[0]
        for value in list(chains.results)[1:]:
            total = math.fma(value, half, total)
        b.store(total, result, [0], [0])
    func.ReturnOp([loop.ToTensorOp(result, ir.RankedTensorType.get([lanes], element)).tensor])
