"""Reading a kernel, and the two things every generator does with one: epilogues and its loop-level function."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Container, Mapping, Sequence
from typing import Any

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.element_types import ELEMENT_TYPES, ElementType
from terrace.errors import PassError
from terrace.lowering.graph.payload import JUMPING, emit
from terrace.lowering.graph.payload_types import compute_type, rounded
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.packing import Copy, Packing
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.mlir import func, ir
from terrace.passes import fail


@dataclasses.dataclass(frozen=True)
class KernelView:
    """What cost models, generators and reports read of a kernel, a `func.func` that begins with `kernel.schedule`.

    `generator` is the name of its family, `operands` are the names of its root's operands, `rule` is that of its root's
    element types. `constant` says of each tensor argument whether it is a weight wherever the kernel is called.
    `memory` holds the loop-level memref of each tensor argument, then of each result; `beside` those that a packing
    stores beside an operand, by the operand's name.
    """

    function: func.FuncOp
    generator: str
    space: IterationSpace
    operands: tuple[str, ...]
    constant: tuple[bool, ...]
    rule: TypeRule | None = None
    memory: tuple[ir.Value, ...] = ()
    beside: Mapping[str, tuple[ir.Value, ...]] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def schedule(self) -> Schedule:
        """Refuses a kernel that has none."""
        op = schedule_op(self.function)
        if not attributes_of(op).schedule:
            raise fail(self.function, f"@{self.name} has no schedule yet; run schedule-kernels first")
        return Schedule.from_attribute(op.schedule)

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

    def packing_of(self, value: ir.Value) -> Packing | None:
        """How an operand of the root is laid out before the kernel runs."""
        names = zip(self.operands, self.root.operands, strict=False)
        return next((self.schedule.packed.get(name) for name, operand in names if operand == value), None)

    def packings(self) -> Mapping[int, Packing]:
        """Those arguments that are laid out before the kernel runs, by number, and how."""
        found: dict[int, Packing] = {}
        for name, how in self.schedule.packed.items():
            if name not in self.operands:
                known = ", ".join(self.operands) or "none that can be laid out"
                raise self.refuse(f"{self.generator} has no operand '{name}'; it has {known}")
            operand = self.root.operands[self.operands.index(name)]
            if list(self.root.operands).count(operand) > 1:
                raise self.refuse(f"cannot lay out '{name}', which is another operand of {self.root.name}, too")
            found[self.arguments.index(operand)] = how
        return found

    def refuse(self, message: str) -> PassError:
        return fail(self.function, f"@{self.name}: {message}")

    def check_schedule(
        self,
        tiled: Sequence[str],
        blocked: Sequence[str],
        staged: Sequence[str] = (),
        packed: Sequence[str] = (),
        leaving: Mapping[str, str] | None = None,
        atoms: bool = False,
        for_atoms: Sequence[str] = (),
    ) -> None:
        """Refuse a schedule that asks for what this generator cannot do, where ignoring it would mislead.

        `leaving` names the form in which a result may leave local memory. Operands `for_atoms` may enter it packed.
        """
        if self.schedule.atom is not None and not atoms:
            raise self.refuse(f"{self.generator} multiplies by no atom, got '{self.schedule.atom}'")
        for memory, able, entering, parts in (
            ("device", (), packed, {}),
            ("local", blocked, staged, leaving or {}),
            ("register", tiled, (), {}),
        ):
            cut = self.schedule.cut(memory)
            kinds = [self.space.kinds[self.space.names.index(name)] for name in cut.sizes]
            if memory == "register" and kinds != sorted(kinds):
                raise self.refuse("what is summed must come last in the order for 'register'")
            for name, size in cut.sizes.items():
                if name not in able and (memory, size) != ("register", 1):
                    raise self.refuse(f"'{name}' must not be cut for '{memory}', as {self.generator} does not cut it")
            if memory == "register" and cut.parallel:
                raise self.refuse("nothing is parallel in the cut for 'register'")
            for name, how in cut.enters.items():
                copied = isinstance(how, Copy) or (memory == "local" and name in for_atoms)
                if name not in entering or copied != (memory == "local"):
                    raise self.refuse(f"'{name}' cannot enter '{memory}' by {how.name}; {self.generator} cannot do it")
            for name, how in cut.leaves.items():
                if parts.get(name) != how.name:
                    raise self.refuse(f"'{name}' cannot leave '{memory}' by {how.name}; {self.generator} cannot do it")


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

    A result is stored as soon as it is computed: else the tiles of all would be held until the end.
    """
    tiles, unrounded = dict(computed), set(computed)
    waiting = list(zip(kernel.returned, kernel.results_memory, strict=True))

    def store(given: Container[ir.Value]) -> None:
        for value, memory in [pair for pair in waiting if pair[0] in given]:
            b.store(tile_of(value), memory, place.offsets, place.axes, valid=place.valid)
            waiting.remove((value, memory))

    def tile_of(value: ir.Value) -> ir.Value:
        if value not in tiles:
            tiles[value] = load_operand(b, kernel.memory_of(value), shape_of(value), place)
        return tiles[value]

    store(computed)
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
                operands = [rounded(t, element_type_of(v)) if v in unrounded else t for v, t in pairs]
            tile = emit(operation.name, attributes_of(operation), operands, compute_type(element_type))
            is_cast = operation.name == "graph.cast" and any(
                use.owner != kernel.block.operations[-1] for use in result.uses
            )
            tiles[result] = rounded(tile, element_type) if is_cast else tile
            unrounded.add(result)
        store((result,))
    store(kernel.returned)


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
