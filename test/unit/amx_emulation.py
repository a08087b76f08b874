"""AMX for machines without it: each instruction on blocks becomes plain code, so that everything else of a kernel runs.

The addresses, the strides, what fills blocks up, and what is held in them between loops stay those of the kernel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
from terrace.dialects import loop
from terrace.lowering.graph.payload_types import constant
from terrace.lowering.target.cpu import amx, atoms
from terrace.lowering.target.cpu.lower_tiles_to_vector import LowerTilesToVector
from terrace.mlir import arith, ir, llvm, math, scf, vector, walk

WORDS, ROWS = 16, 16
NEEDED = {"avx512bw", "avx512vl"}
"""The features that the emulated atoms need."""


def emulate_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give targets with `NEEDED` the atoms of AMX, and their instructions other code."""
    own = [dataclasses.replace(atom, features=tuple(sorted(NEEDED))) if atom.block else atom for atom in atoms.atoms()]
    assert any(atom == dataclasses.replace(amx.AMX_INT8, features=atom.features) for atom in own)
    run = LowerTilesToVector.run

    def lower(self: LowerTilesToVector, module: ir.Operation) -> None:
        run(self, module)
        replace_intrinsics(module)

    monkeypatch.setattr(atoms, "atoms", lambda: tuple(own))
    monkeypatch.setattr(LowerTilesToVector, "run", lower)


def replace_intrinsics(module: ir.Operation) -> None:
    """Blocks become vectors of their words, in memory while they are multiplied."""
    with module.context, ir.Location.unknown():
        block, words = amx.block_type(), ir.VectorType.get([WORDS * ROWS], _i32())
        operations = list(walk(module))
        for op in operations:
            for value in [*op.results, *(a for region in op.regions for b in region.blocks for a in b.arguments)]:
                if value.type == block and op.name != "llvm.call_intrinsic":
                    value.set_type(words)
        for op in operations:
            emit = _EMITTERS.get(op.attributes["intrin"].value) if op.name == "llvm.call_intrinsic" else None
            if emit is None:
                continue
            with ir.InsertionPoint(op):
                made = emit(_block_of(op), *op.operands)
            if op.results:
                assert made is not None
                op.results[0].replace_all_uses_with(made)
            op.erase()


def _i32() -> ir.Type:
    return ir.IntegerType.get_signless(32)


def _row() -> ir.VectorType:
    return ir.VectorType.get([WORDS], _i32())


def _block_of(op: ir.Operation) -> ir.Block:
    while op.name != "loop.parallel":
        op = op.parent.operation
    return op.regions[0].blocks[0]


def _check(*sizes: ir.Value) -> None:
    """All blocks are whole."""
    assert [size.owner.operation.attributes["value"].value for size in sizes] == [16, 64, 64][: len(sizes)]


def _zero(body: ir.Block, rows: ir.Value, columns: ir.Value) -> ir.Value:
    _check(rows, columns)
    return constant(ir.VectorType.get([WORDS * ROWS], _i32()), 0)


def _pointers(pointer: ir.Value, stride: ir.Value) -> Iterator[ir.Value]:
    address = llvm.ptrtoint(stride.type, pointer)
    for row in range(ROWS):
        yield llvm.inttoptr(pointer.type, arith.addi(address, arith.muli(stride, arith.constant(stride.type, row))))


def _load(body: ir.Block, rows: ir.Value, columns: ir.Value, pointer: ir.Value, stride: ir.Value) -> ir.Value:
    result = _zero(body, rows, columns)
    for row, at in enumerate(_pointers(pointer, stride)):
        words = llvm.load(_row(), at, alignment=1)
        result = vector.insert_strided_slice(words, result, [row * WORDS], [1])
    return result


def _store(body: ir.Block, rows: ir.Value, columns: ir.Value, pointer: ir.Value, stride: ir.Value, block: ir.Value):  # type: ignore[no-untyped-def]
    _check(rows, columns)
    for row, at in enumerate(_pointers(pointer, stride)):
        words = vector.extract_strided_slice(_row(), block, [row * WORDS], [WORDS], [1])
        llvm.StoreOp(words, at, alignment=1)


Products = Callable[[ir.Value, ir.Value, ir.Value], ir.Value]


def _multiply(products: Products) -> Callable[..., ir.Value]:
    """For each row, and each word of it, the products of a word of lhs with a row of rhs."""

    def emit(body: ir.Block, *operands: ir.Value) -> ir.Value:
        *sizes, accumulator, lhs, rhs = operands
        _check(*sizes)
        local = ir.MemRefType.get([WORDS * ROWS], _i32(), memory_space=ir.StringAttr.get(loop.LOCAL))
        with ir.InsertionPoint.at_block_begin(body):
            sums, left, right = (loop.AllocOp(local).operation.results[0] for _ in range(3))
        zero, one, size = (arith.constant(ir.IndexType.get(), number) for number in (0, 1, WORDS))
        for value, memory in ((accumulator, sums), (lhs, left), (rhs, right)):
            vector.store(value, memory, [zero])
        rows = scf.ForOp(zero, size, one)
        with ir.InsertionPoint(rows.body):
            start = arith.muli(rows.induction_variable, size)
            words = scf.ForOp(zero, size, one, [vector.load(_row(), sums, [start])])
            with ir.InsertionPoint(words.body):
                k = words.induction_variable
                word = vector.load(ir.VectorType.get([1], _i32()), left, [arith.addi(start, k)])
                word = vector.broadcast(_row(), vector.extract(word, [], [0]))
                row = vector.load(_row(), right, [arith.muli(k, size)])
                scf.YieldOp([products(words.inner_iter_args[0], word, row)])
            vector.store(words.results[0], sums, [start])
            scf.YieldOp([])
        return vector.load(accumulator.type, sums, [zero])

    return emit


def _bf16_products(total: ir.Value, lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    floats, high, shift = ir.VectorType.get([WORDS], ir.F32Type.get()), constant(_row(), -65536), constant(_row(), 16)
    total = arith.bitcast(floats, total)
    for half in (lambda v: arith.shli(v, shift), lambda v: arith.andi(v, high)):
        total = math.fma(*(arith.bitcast(floats, half(value)) for value in (lhs, rhs)), total)
    return arith.bitcast(_row(), total)


def _int8_products(total: ir.Value, lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    for place in range(0, 32, 8):
        up = constant(_row(), 24 - place)
        left, right = (arith.shrsi(arith.shli(value, up), constant(_row(), 24)) for value in (lhs, rhs))
        total = arith.addi(total, arith.muli(left, right))
    return total


_EMITTERS: dict[str, Callable[..., ir.Value | None]] = {
    "llvm.x86.tilezero.internal": _zero,
    "llvm.x86.tileloadd64.internal": _load,
    "llvm.x86.tilestored64.internal": _store,
    "llvm.x86.tdpbf16ps.internal": _multiply(_bf16_products),
    "llvm.x86.tdpbssd.internal": _multiply(_int8_products),
}
