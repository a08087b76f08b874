"""The machine's peaks, as one core reaches them through the same path that the kernels take.

Each program is one loop kernel, built as ops at the loop level: multiply-adds, or steps of an atom, whose accumulators
never leave the registers; or loads of the same memory again and again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from terrace.dialects import loop
from terrace.dialects.context import create_context
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.target.cpu.atoms import CpuAtom
from terrace.lowering.target.cpu.backend import CpuBackend
from terrace.lowering.target.iree.compiler import compile_program, program_text
from terrace.mlir import arith, func, ir, math, memref, parse_module
from terrace.passes import run_passes
from terrace.target import CpuDescription, Target

ACCUMULATORS = 12
"""Independent chains: more than latency times units of any CPU described so far, and few enough for 16 registers."""

STREAMS = 4
"""Parts of memory that are read side by side: of one alone, a core of a Zen 4 reads a fifth less in the same time."""

ROWS_READ = STREAMS * ACCUMULATORS
"""Vectors that a step reads."""

STEPS = 1 << 20
"""Enough that the call itself is below a hundredth of the time."""

Fill = Callable[[LoopBuilder, ir.Value, ir.Value], ir.Value]
"""Builds the loops of a kernel, from what it reads and the first accumulators; gives the last ones."""


def peak_flops(cpu: CpuDescription, atom: CpuAtom | None = None) -> int:
    """Operations of one call of the program of `peak_text`, two to each product."""
    return 2 * ACCUMULATORS * STEPS * cpu.lanes * (1 if atom is None else atom.depth)


def peak_program(target: Target) -> bytes:
    """The program for a resolved target, whose `main` takes `ACCUMULATORS` vectors of floats."""
    assert target.cpu is not None, "the target is not resolved"
    backend = CpuBackend(target)
    context = create_context()
    module = parse_module(peak_text(target.cpu.lanes), context)
    with context, ir.Location.unknown():
        run_passes(backend.lower(), module.operation)
        return compile_program(program_text(module.operation), backend.iree_flags())


def peak_text(lanes: int, atom: CpuAtom | None = None) -> str:
    """The program of multiply-adds of float32, or of an atom's steps; `main` takes `ACCUMULATORS` vectors."""
    shape = (ACCUMULATORS, lanes)

    def multiply_adds(b: LoopBuilder, source: ir.Value, start: ir.Value) -> ir.Value:
        """Each chain is x = x * 0.5 + 1, which stays near 2."""
        half, one = (b.splat(shape, ir.F32Type.get(), value) for value in (0.5, 1.0))
        return b.reduce(0, STEPS, 1, start, lambda _, chains: math.fma(chains, half, one))

    def steps(b: LoopBuilder, source: ir.Value, start: ir.Value) -> ir.Value:
        assert atom is not None
        shapes = ((ACCUMULATORS, atom.depth), (1, lanes, atom.depth))
        lhs, rhs = (b.splat(shape, ir.Type.parse(type_), 1) for shape, type_ in zip(shapes, atom.types, strict=False))
        contract = functools.partial(b.contract, lhs, rhs, atom=atom.name, unsigned_lhs=atom.unsigned_lhs)
        return b.reduce(0, STEPS, 1, start, lambda _, chains: contract(chains))

    return _program(atom.types[2] if atom else "f32", ACCUMULATORS, lanes, steps if atom else multiply_adds)


def read_text(lanes: int, rows: int, times: int) -> str:
    """A program that reads `rows` vectors of float32, a multiple of `ROWS_READ`, so many times: `STREAMS` parts of them
    side by side.
    """
    part = rows // STREAMS

    def loads(b: LoopBuilder, source: ir.Value, start: ir.Value) -> ir.Value:
        def step(row: Index, sums: ir.Value) -> ir.Value:
            places = [b.add(row, stream * part) for stream in range(STREAMS)]
            read = [b.load(source, [place, 0], (ACCUMULATORS, lanes), [0, 1]) for place in places]
            return functools.reduce(arith.addf, read, sums)

        return b.reduce(0, times, 1, start, lambda _, sums: b.reduce(0, part, ACCUMULATORS, sums, step))

    return _program("f32", rows, lanes, loads)


def _program(element: str, rows: int, lanes: int, fill: Fill) -> str:
    """A program at the loop level that reads `rows` vectors; it gives the accumulators, so that none is dead."""
    with create_context(), ir.Location.unknown():
        module, type_ = ir.Module.create(), ir.Type.parse(element)
        argument, result = (ir.RankedTensorType.get([count, lanes], type_) for count in (rows, ACCUMULATORS))
        with ir.InsertionPoint(module.body):
            kernel = func.FuncOp("peak", ([argument], [result]), visibility="private")
            kernel.attributes[LOOP_KERNEL] = ir.UnitAttr.get()
            main = func.FuncOp("main", ([argument], [result]))
        with ir.InsertionPoint(kernel.add_entry_block()):
            _fill_kernel(kernel, fill)
        with ir.InsertionPoint(main.add_entry_block()):
            func.ReturnOp(func.CallOp(kernel, list(main.entry_block.arguments)).results)
        module.operation.verify()
        return str(module)


def _fill_kernel(kernel: func.FuncOp, fill: Fill) -> None:
    b = LoopBuilder(kernel.entry_block)
    tensors = [ir.RankedTensorType(type_) for type_ in (*kernel.type.inputs, *kernel.type.results)]
    source, result = (ir.MemRefType.get(tensor.shape, tensor.element_type) for tensor in tensors)
    read = loop.ToBufferOp(kernel.arguments[0], source).memory
    written = memref.alloc(result, [], [])
    with b.parallel([1]):
        start = b.load(read, [0, 0], result.shape, [0, 1])
        b.store(fill(b, read, start), written, [0, 0], [0, 1])
    func.ReturnOp([loop.ToTensorOp(written, tensors[1]).tensor])
