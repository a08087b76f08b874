"""How the invocations of a workgroup reduce the rows of a tile: one row together, several each its own."""

from __future__ import annotations

from terrace.lowering.graph.payload_types import combine, constant, neutral
from terrace.lowering.target.gpu.fragment import Fragment
from terrace.lowering.target.gpu.fragment_memory import FragmentMemory, elements
from terrace.mlir import arith, gpu, ir, memref

WORKGROUP = "#gpu.address_space<workgroup>"
"""The memory space of memory that a workgroup shares."""


def reduce_over_workgroup(
    memory: FragmentMemory, tile: Fragment, sizes: list[ir.Value], kind: str, scratch: ir.Value
) -> ir.Value:
    """The number that a tile of one row reduces to, which all invocations get. `scratch` holds a number of each; a tree
    over it halves at each step.
    """
    b = memory.b
    (own,) = reduce_rows(memory, tile, sizes, kind)
    number = gpu.thread_id(gpu.Dimension.x)
    gpu.barrier()  # the numbers of the reduction before have been read
    memref.store(own, scratch, [number])
    gpu.barrier()
    half = ir.MemRefType(scratch.type).shape[0] // 2
    while half:
        with b.when(b.less(number, half)):
            other = memref.load(scratch, [b.value(b.add(number, half))])
            memref.store(combine(kind, memref.load(scratch, [number]), other), scratch, [number])
        gpu.barrier()
        half //= 2
    return memref.load(scratch, [b.value(0)])


def reduce_rows(memory: FragmentMemory, tile: Fragment, sizes: list[ir.Value], kind: str) -> list[ir.Value]:
    """The elements of this invocation that count, combined for each of its rows; what lies out of bounds is replaced by
    the neutral one.
    """
    element_type = tile.type.element_type
    nothing = constant(element_type, neutral(kind, element_type))
    totals: dict[int, ir.Value] = {}
    for (row, column), value in zip(elements(tile.type), tile.values, strict=True):
        inside = memory.inside(tile.type, row, column, sizes)
        counted = value if inside is None else arith.select(inside, value, nothing)
        totals[row] = combine(kind, totals[row], counted) if row in totals else counted
    return list(totals.values())
