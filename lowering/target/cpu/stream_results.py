"""`stream-results`: what is written of a large result goes to memory past the caches.

A usual store fetches the line that it writes to, which takes as long as reading it, and puts out of the caches what is
read next. Of a result that is larger than these nothing is left for its reader. Non-temporal stores of vectors (x86's
`movntps` and its like: Intel SDM, volume 1, 10.4.6) do neither; they need addresses that are multiples of the vector's
size, of which the index is proved here, and the memory's own address looked at when the kernel runs: IREE may put a
result into a part of a larger one. Such stores are not ordered with others, so a fence follows the last of them.
"""

from __future__ import annotations

import dataclasses
import math

from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.analysis.loop_kernels import loop_kernels, result_buffers
from terrace.lowering.analysis.multiples import divisor_of
from terrace.lowering.target.description import target_of
from terrace.mlir import DYNAMIC, arith, func, ir, llvm, memref, operation_of, scf, vector, walk
from terrace.passes import Pass

CACHED_BYTES = 32 << 20
"""What a core's share of all caches is taken for, at the most."""

LEAST_BYTES = 32
"""A narrower vector leaves too much of a line to be written by others."""


@dataclasses.dataclass(frozen=True)
class StreamResults(Pass):
    """Store vectors of results of `bytes` or more by non-temporal stores, on CPUs that have them."""

    name = "stream-results"
    bytes: int = CACHED_BYTES

    def run(self, module: ir.Operation) -> None:
        target = target_of(module)
        if target is None or "sse2" not in (target.features or ()):
            return
        for function in loop_kernels(module):
            self._stream(function)

    def _stream(self, function: func.FuncOp) -> None:
        streamed = False
        for memory in result_buffers(function, in_place=True):
            users = [use.owner.operation for use in memory.uses]
            others = {user.name for user in users} - {"vector.store", "vector.maskedstore", "memref.store"}
            if _bytes_of(memory) < self.bytes or others != {"loop.to_tensor"}:
                continue  # small, unknown, or read again
            stores = [user for user in users if user.name == "vector.store" and _is_aligned(user)]
            if stores:
                _store_past_caches(memory, stores)
                streamed = True
        if streamed:
            _fence(function)


def _bytes_of(memory: ir.Value) -> int:
    """What memory takes; 0 where that is not known."""
    type_ = ir.MemRefType(memory.type)
    return 0 if DYNAMIC in type_.shape else math.prod(type_.shape) * _element_bytes(type_)


def _element_bytes(type_: ir.MemRefType | ir.VectorType) -> int:
    """0 for a type that kernels do not have."""
    row = ELEMENT_TYPES.get(str(type_.element_type))
    return 0 if row is None else row.bytes


def _vector_bytes(store: ir.Operation) -> int:
    type_ = ir.VectorType(store.operands[0].type)
    return math.prod(type_.shape) * _element_bytes(type_)


def _is_aligned(store: ir.Operation) -> bool:
    """Whether a store is wide, and begins at a multiple of its width behind the memory's begin."""
    _, memory, *indices = store.operands
    type_, width = ir.MemRefType(memory.type), _vector_bytes(store)
    pitch, found = _element_bytes(type_), 0
    for index, size in zip(reversed(indices), reversed(type_.shape), strict=True):
        found = math.gcd(found, divisor_of(index) * pitch)
        pitch *= size
    return width >= LEAST_BYTES and width & (width - 1) == 0 and found % width == 0


def _store_past_caches(memory: ir.Value, stores: list[ir.Operation]) -> None:
    """Make stores non-temporal, if the memory begins at a multiple of the widest."""
    widest = max(map(_vector_bytes, stores))
    producer = operation_of(memory)
    assert producer is not None, "results are allocated"
    with producer.location, ir.InsertionPoint.after(producer):
        address = memref.extract_aligned_pointer_as_index(memory)
        rest = arith.andi(address, arith.constant(address.type, widest - 1))
        fits = arith.cmpi(arith.CmpIPredicate.eq, rest, arith.constant(address.type, 0))
    for store in stores:
        value, _, *indices = store.operands
        with store.location, ir.InsertionPoint(store):
            branch = scf.IfOp(fits, has_else=True)
        with store.location, ir.InsertionPoint(branch.then_block):
            vector.store(value, memory, indices, nontemporal=True, alignment=_vector_bytes(store))
            scf.YieldOp([])
        with store.location, ir.InsertionPoint(branch.else_block):
            vector.store(value, memory, indices)
            scf.YieldOp([])
        store.erase()


def _fence(function: func.FuncOp) -> None:
    """At the end of each worker's part, so that who reads a result next sees all of it."""
    for parallel in [op for op in walk(function.operation) if op.name == "loop.parallel"]:
        body = parallel.regions[0].blocks[0]
        with parallel.location, ir.InsertionPoint.at_block_terminator(body):
            llvm.call_intrinsic(None, "llvm.x86.sse.sfence", [], [], [])
