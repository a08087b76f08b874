"""How the invocations of a workgroup reduce a row of a tile to one number that all of them get."""

from __future__ import annotations

from terrace.lowering.target.gpu.fragment import Fragment
from terrace.lowering.target.gpu.fragment_memory import FragmentMemory, elements
from terrace.mlir import arith, gpu, ir, memref
from terrace.passes import LocatedPassError

WORKGROUP = "#gpu.address_space<workgroup>"
"""The memory space of memory that a workgroup shares."""

_NEUTRAL = {"sum": 0.0, "max": float("-inf")}


def _combine(left: ir.Value, right: ir.Value, kind: str) -> ir.Value:
    return arith.addf(left, right) if kind == "sum" else arith.maximumf(left, right)


def reduce_over_workgroup(
    memory: FragmentMemory, tile: Fragment, sizes: list[ir.Value], kind: str, scratch: ir.Value
) -> ir.Value:
    """Reduce a tile of one row. `scratch` holds a number of each invocation; a tree over it halves at each step."""
    element_type = tile.type.element_type
    if not isinstance(element_type, ir.FloatType):
        raise LocatedPassError(ir.Location.current, f"'loop.reduce_tile' op has no lowering for {element_type}")
    b = memory.b
    own = _reduce_fragment(memory, tile, sizes, kind)
    number = gpu.thread_id(gpu.Dimension.x)
    gpu.barrier()  # the numbers of the reduction before have been read
    memref.store(own, scratch, [number])
    gpu.barrier()
    half = ir.MemRefType(scratch.type).shape[0] // 2
    while half:
        with b.when(b.less(number, half)):
            other = memref.load(scratch, [b.value(b.add(number, half))])
            memref.store(_combine(memref.load(scratch, [number]), other, kind), scratch, [number])
        gpu.barrier()
        half //= 2
    return memref.load(scratch, [b.value(0)])


def _reduce_fragment(memory: FragmentMemory, tile: Fragment, sizes: list[ir.Value], kind: str) -> ir.Value:
    """The elements of this invocation that count, combined; what lies out of bounds is replaced by the neutral one."""
    neutral = arith.constant(tile.type.element_type, _NEUTRAL[kind])
    total = None
    for (row, column), value in zip(elements(tile.type), tile.values, strict=True):
        inside = memory.inside(tile.type, row, column, sizes)
        counted = value if inside is None else arith.select(inside, value, neutral)
        total = counted if total is None else _combine(total, counted, kind)
    assert total is not None
    return total
