"""Reading a kernel, and the two things every generator does with one: epilogues and its loop-level function."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.element_types import ELEMENT_TYPES, ElementType
from terrace.errors import PassError
from terrace.lowering.graph.payload import JUMPING, emit
from terrace.lowering.graph.payload_types import cast, compute_type
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.mlir import func, ir
from terrace.passes import fail


@dataclasses.dataclass(frozen=True)
class KernelView:
    """What cost models, generators and reports read of a kernel, a `func.func` that begins with `kernel.schedule`.

    `generator` is the name of its family. `constant` says of each tensor argument whether it is a weight wherever the
    kernel is called. `rule` is that of its root's element types. `memory` holds the loop-level memref of each tensor
    argument, then of each result.
    """

    function: func.FuncOp
    generator: str
    space: IterationSpace
    constant: tuple[bool, ...]
    rule: TypeRule | None = None
    memory: tuple[ir.Value, ...] = ()

    @functools.cached_property
    def schedule(self) -> Schedule:
        """Refuses a kernel that has none."""
        op = schedule_op(self.function)
        if not attributes_of(op).schedule:
            raise fail(self.function, f"@{self.name} has no schedule yet; run schedule-kernels first")
        return Schedule.from_attribute(op.schedule, self.space)

    @property
    def name(self) -> str:
        return str(self.function.name.value)

    @property
    def block(self) -> ir.Block:
        return self.function.entry_block

    @property
    def arguments(self) -> list[ir.Value]:
        """The tensor arguments."""
        return [a for a in self.block.arguments if isinstance(a.type, ir.RankedTensorType)]

    @property
    def types(self) -> tuple[ElementType, ...]:
        """The element types of the tensor arguments, then of the results."""
        return tuple(ELEMENT_TYPES[str(element_type_of(value))] for value in [*self.arguments, *self.returned])

    @property
    def operand_types(self) -> tuple[ElementType, ...]:
        """The element types of the root's operands."""
        return tuple(ELEMENT_TYPES[name] for name in self._rule.operands)

    @property
    def accumulator(self) -> ir.Type:
        """What the root computes and sums in."""
        return ir.Type.parse(self._rule.accumulator)

    @property
    def _rule(self) -> TypeRule:
        assert self.rule is not None, "elementwise kernels have no root"
        return self.rule

    @property
    def operations(self) -> list[ir.Operation]:
        """The body without the schedule and the terminator."""
        body = [op.operation for op in self.block.operations][:-1]
        return [op for op in body if op.name != "kernel.schedule"]

    @property
    def returned(self) -> list[ir.Value]:
        return list(self.block.operations[-1].operation.operands)

    @property
    def root(self) -> ir.Operation:
        """The op that the generator is named after: the first that is neither a constant nor elementwise."""
        for operation in self.operations:
            if operation.name != "arith.constant" and operation.name not in ELEMENTWISE_OPS:
                return operation
        raise fail(self.function, "has no root op; use the elementwise generator")

    @property
    def results_memory(self) -> tuple[ir.Value, ...]:
        return self.memory[len(self.arguments) :]

    def memory_of(self, value: ir.Value) -> ir.Value:
        """The memref of an argument; the root's operands must be arguments."""
        for argument, memory in zip(self.arguments, self.memory, strict=False):
            if argument == value:
                return memory
        raise fail(self.function, "the operands of the root op must be arguments of the kernel")

    def layout_of(self, value: ir.Value) -> Any:
        for argument, layout in zip(self.arguments, self.schedule.layouts, strict=True):
            if argument == value:
                return layout
        return None

    def refuse(self, message: str) -> PassError:
        return fail(self.function, f"@{self.name}: {message}")

    def check_schedule(
        self, tiled: Sequence[str], blocked: Sequence[str], staged: Sequence[str] = (), laid_out: Sequence[int] = ()
    ) -> None:
        """Refuse a schedule that asks for what this generator cannot do, where ignoring it would mislead."""
        schedule = self.schedule
        for what, sizes, able, neutral in (
            ("tile", schedule.tile_sizes, tiled, 1),
            ("block", schedule.block_sizes, blocked, 0),
        ):
            for name, size in sizes.items():
                if size != neutral and name not in able:
                    raise self.refuse(f"{what} size of '{name}' must be {neutral}, as {self.generator} does not cut it")
        for name in schedule.staged:
            if name not in staged:
                raise self.refuse(f"{self.generator} cannot stage '{name}'")
        for number, layout in enumerate(schedule.layouts):
            if layout is not None and number not in laid_out:
                raise self.refuse(f"{self.generator} wants argument {number} row-major")


@contextlib.contextmanager
def workgroups(b: LoopBuilder, kernel: KernelView, sizes: Mapping[str, Index]) -> Iterator[dict[str, Index]]:
    """The body of one workgroup: where its block starts in each dimension of `sizes` that is cut into blocks.

    The blocks of parallel dimensions are spread over workgroups, those of others follow each other.
    """
    schedule = kernel.schedule
    for name in schedule.parallel:
        if name not in sizes:
            raise kernel.refuse(f"{kernel.generator} cannot run '{name}' in parallel")
    bounds = [b.ceildiv(sizes[d], schedule.block(d)) if schedule.block(d) else 1 for d in schedule.parallel]
    with contextlib.ExitStack() as stack:
        ids = stack.enter_context(b.parallel(bounds))
        start = {d: b.mul(i, schedule.block(d)) for d, i in zip(schedule.parallel, ids, strict=True)}
        for dim, size in sizes.items():
            if schedule.block(dim) and dim not in schedule.parallel:
                start[dim] = stack.enter_context(b.for_each(0, size, schedule.block(dim)))
        yield start


def over_tiles(
    b: LoopBuilder,
    kernel: KernelView,
    sizes: Mapping[str, Index],
    start: Mapping[str, Index],
    body: Callable[[dict[str, Span]], None],
) -> None:
    """Run `body` on every tile of a workgroup's block of the dimensions in `sizes`, which begins at `start`.

    Loops over dimensions that the schedule's order names come first, outermost; the others follow as in `sizes`.
    """
    schedule = kernel.schedule
    order = [d for d in schedule.order if d in sizes] + [d for d in sizes if d not in schedule.order]
    spans: dict[str, Span] = {}

    def loops(remaining: Sequence[str]) -> None:
        if not remaining:
            body(spans)
            return
        dim, *inner = remaining

        def tile(offset: Index, size: int, valid: Index | None) -> None:
            spans[dim] = (offset, size, valid)
            loops(inner)

        b.tiles(start.get(dim, 0), schedule.block(dim), sizes[dim], schedule.tile(dim), tile)

    loops(order)


@dataclasses.dataclass(frozen=True)
class TilePlace:
    """Where a tile of the result stands: an offset per result axis, and the result axis of each tile dimension."""

    offsets: tuple[Index, ...]
    axes: tuple[int, ...]
    shape: tuple[int, ...]
    valid: tuple[Index | None, ...]


def load_operand(b: LoopBuilder, memory: ir.Value, shape: Sequence[int], place: TilePlace) -> ir.Value:
    """The tile at `place` of an operand of this (logical) shape, repeated where it broadcasts to the result."""
    skipped = len(place.offsets) - len(shape)
    indices = [0 if size == 1 else place.offsets[skipped + axis] for axis, size in enumerate(shape)]
    dims = [axis - skipped if axis >= skipped and shape[axis - skipped] != 1 else -1 for axis in place.axes]
    return b.load(memory, indices, place.shape, dims, valid=place.valid)


def store_results(b: LoopBuilder, kernel: KernelView, computed: dict[ir.Value, ir.Value], place: TilePlace) -> None:
    """Run the elementwise ops of the kernel on tiles at `place`, starting from `computed`, and store the results.

    What is of a type for storage alone (bf16) is computed in a wider one and rounded where it is stored. Before that it
    is rounded where the model asks for it, by a cast, and for ops whose result jumps: they see what eager's see.
    """
    tiles, unrounded = dict(computed), set(computed)

    def tile_of(value: ir.Value) -> ir.Value:
        if value not in tiles:
            tiles[value] = load_operand(b, kernel.memory_of(value), shape_of(value), place)
        return tiles[value]

    for operation in kernel.operations:
        result = operation.results[0]
        if result in tiles:
            continue
        element_type = element_type_of(result)
        if operation.name == "arith.constant":
            tiles[result] = _splat(b, kernel, operation, place)
            continue
        with operation.location:
            operands = [tile_of(v) for v in operation.operands]
            if operation.name in JUMPING:
                pairs = zip(operation.operands, operands, strict=True)
                operands = [_as_stored(tile, value) if value in unrounded else tile for value, tile in pairs]
            tile = emit(operation.name, attributes_of(operation), operands, compute_type(element_type))
            tiles[result] = _as_stored(tile, result) if operation.name == "graph.cast" else tile
            unrounded.add(result)
    for value, memory in zip(kernel.returned, kernel.results_memory, strict=True):
        b.store(tile_of(value), memory, place.offsets, place.axes, valid=place.valid)


def _as_stored(tile: ir.Value, value: ir.Value) -> ir.Value:
    """A tile of `value` with its elements rounded to those that a tensor of the value's type holds."""
    element_type = element_type_of(value)
    return cast(cast(tile, element_type), compute_type(element_type))


def _splat(b: LoopBuilder, kernel: KernelView, operation: ir.Operation, place: TilePlace) -> ir.Value:
    value = operation.attributes["value"]
    if not isinstance(value, ir.DenseElementsAttr) or not value.is_splat:
        raise fail(operation, f"must be a splat inside kernel @{kernel.name}; pass other constants as arguments")
    return b.splat(place.shape, compute_type(element_type_of(operation.results[0])), value.get_splat_value().value)


def schedule_op(function: func.FuncOp) -> Any:
    """The `kernel.schedule` of a function, or None if it is no kernel. Upstream passes move constants before it."""
    if function.operation.name != "func.func" or not len(function.operation.regions[0].blocks):
        return None
    for op in function.entry_block.operations:
        if op.operation.name == "kernel.schedule":
            return op
        if op.operation.name != "arith.constant":
            return None
    return None


def is_kernel(operation: ir.Operation) -> bool:
    """Whether an op is a kernel function."""
    return schedule_op(operation) is not None
