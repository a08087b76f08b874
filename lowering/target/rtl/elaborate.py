"""From a kernel at the level "hls" to a circuit: loops unrolled as they say, arrays as memories or registers.

The same attributes are pragmas in the C++ of the kernel. What has no circuit is refused with its place.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

from terrace.dialects.base import shape_of, to_python
from terrace.dialects.hardware import COPIES, PARTITION, PIPELINE, RANGE, Partition
from terrace.lowering.target.hls.addresses import (
    body_copies,
    bounds_of,
    constant_index,
    flattened,
    loops_in,
    trip_count,
)
from terrace.lowering.target.hls.numbers import NUMBER_FORMAT
from terrace.lowering.target.hls.weights import dense_elements
from terrace.lowering.target.rtl.circuit import (
    Branch,
    Circuit,
    Counter,
    Linear,
    Load,
    Loop,
    Memory,
    Node,
    Pipeline,
    Register,
    RegisterArray,
    Segment,
    Step,
    Store,
    Write,
    pipelines,
    segments,
)
from terrace.lowering.target.rtl.indexing import as_linear, flat, place_of, quotient, remainder
from terrace.lowering.target.rtl.operators import circuit_of
from terrace.lowering.target.rtl.ranges import spans_of
from terrace.lowering.target.rtl.registers import read_element, write_element
from terrace.lowering.target.rtl.values import PREDICATES, Values, signed, signed_width, span_of
from terrace.lowering.target.rtl.weights import globals_of, is_weight
from terrace.lowering.target.rtl.work import Work
from terrace.mlir import func, ir, walk
from terrace.passes import fail

MAX_REGISTERS = 4096
"""Elements of an array whose elements are registers: each is a multiplexer's input."""

MOST_ROUNDS = 3
"""How often a circuit is made with what is known of its registers from the last time."""

_FLOAT_BITS = {"f32": "<f", "f64": "<d"}


def element_width(operation: ir.Operation, type_: ir.Type) -> int:
    """The bits of an integer, or of a float, which can be moved but not computed with."""
    if isinstance(type_, (ir.IntegerType, ir.FloatType)):
        return int(type_.width)
    raise fail(operation, f"has a value of type {type_}, which has no circuit")


def _labels(block: ir.Block, prefix: str = "loop") -> Iterator[tuple[ir.Operation, str]]:
    """The loops of a block and the labels that they have in the C++."""
    for number, loop in enumerate(loops_in(block), 1):
        yield loop, f"{prefix}_{number}"
        yield from _labels(loop.regions[0].blocks[0], f"{prefix}_{number}")


class _Elaboration:
    """Makes the circuit of one kernel. `spans` are ranges of its own registers and memories, by their names."""

    def __init__(
        self, function: func.FuncOp, spans: Mapping[str, tuple[int, int]], product_bits: tuple[int, int]
    ) -> None:
        self.function, self.spans = function, spans
        self.values = Values(product_bits)
        self.names: dict[ir.Value, Linear | Node | Memory | RegisterArray] = {}
        self.memories: list[Memory] = []
        self.tables: dict[str, Memory] = {}
        self.arrays = 0
        self.labels = dict(_labels(function.entry_block))
        self.steps: list[Step] = []
        self.held: dict[Node, Register] = {}
        self.condition = self.values.true
        self.bounds: list[tuple[Linear, int]] = []
        """What is known of indices where the condition holds."""
        self.counts: dict[str, int] = {}
        self.place = "body"
        """The name of what is around."""
        self.work = Work(Segment(self.place))
        self.pipeline: ir.Operation | None = None
        self.handlers = {
            "arith.constant": self.constant,
            "func.return": lambda _: None,
            "memref.alloca": self.alloca,
            "memref.get_global": self.table,
            "memref.load": self.load,
            "memref.store": self.store,
            "scf.for": self.for_,
            "scf.if": self.if_,
        }

    def run(self) -> Circuit:
        entry = self.function.entry_block
        if NUMBER_FORMAT in self.function.operation.parent.attributes:
            floats = [a for a in entry.arguments if isinstance(ir.MemRefType(a.type).element_type, ir.FloatType)]
            if floats:
                raise fail(self.function, "holds fixed-point numbers, which have no circuit here; quantize to int8")
        attributes = (
            list(self.function.arg_attrs) if "arg_attrs" in self.function.attributes else [{}] * len(entry.arguments)
        )
        for number, (argument, own) in enumerate(zip(entry.arguments, attributes, strict=True)):
            spec = to_python(own[PARTITION]) if PARTITION in own else None
            made = self.memory(self.function.operation, argument, f"a{number}", spec, number)
            made.copies = to_python(own[COPIES]) if COPIES in own else 1
            low, high = to_python(own[RANGE]) if RANGE in own else span_of(made.width)
            made.span = (low, high) if made.width > 1 else None
            self.names[argument] = made
        self.block(entry)
        self.flush()
        pipelined = {pipeline.body for pipeline in pipelines(self.steps)}
        for segment in segments(self.steps):
            if segment.actions and segment not in pipelined:
                segment.name = self.fresh(f"{segment.name}_work", "")
        return Circuit(self.function.name.value, self.memories, self.steps)

    # -- segments -------------------------------------------------------------------------------------------------

    def fresh(self, name: str, mark: str = "_copy") -> str:
        """A name of its own: the first is `name`, the next ones carry `mark` and a number."""
        self.counts[name] = self.counts.get(name, 0) + 1
        return name if self.counts[name] == 1 else f"{name}{mark}{self.counts[name]}"

    def flush(self) -> None:
        """End the segment."""
        self.close()
        # One that does nothing yet may still have to keep a value for a later one.
        self.work.segment.name = self.place
        self.steps.append(self.work.segment)
        self.work = Work(Segment(self.place))

    def close(self) -> None:
        for register, (data, enable) in self.work.written.items():
            if register not in self.work.private:
                own = self.values.truncated(data, register.width)
                self.work.segment.actions.append(Write(register, own, enable))

    def steps_of(self, place: str, fill: Callable[[], None]) -> list[Step]:
        """The steps that `fill` makes, which have this name."""
        outer, self.steps, outer_place, self.place = self.steps, [], self.place, place
        fill()
        self.flush()
        found, self.steps, self.place = self.steps, outer, outer_place
        return found

    def here(self, node: Node) -> Node:
        """A value in this segment: one that another computed is kept in a register."""
        if node.home is None or node.home is self.work.segment:
            return node
        return self.values.extended(self.values.read(self.kept_register(node), self.work.segment), node.width)

    def kept_register(self, node: Node) -> Register:
        """The register that keeps a value of a segment, without the bits that repeat its sign."""
        kept = self.values.narrowed(node)
        if kept not in self.held:
            assert kept.home is not None
            name = self.fresh(f"{kept.home.name}_kept", "")
            self.held[kept] = Register(name, kept.width, (kept.low, kept.high))
            kept.home.actions.append(Write(self.held[kept], kept, self.values.true))
        return self.held[kept]

    # -- values ---------------------------------------------------------------------------------------------------

    def index(self, value: ir.Value) -> Linear:
        found = self.names[value]
        if isinstance(found, Linear):
            return Linear.of({self.here(node): factor for node, factor in found.terms}, found.constant)
        assert isinstance(found, Node)
        return as_linear(self.here(found))

    def data(self, value: ir.Value) -> Node:
        found = self.names[value]
        assert isinstance(found, Node), "the value is no index"
        return self.here(found)

    def block(self, block: ir.Block) -> None:
        for view in block.operations:
            operation = view.operation
            handler = self.handlers.get(operation.name)
            if handler is not None:
                handler(operation)
            elif operation.name != "scf.yield":
                self.scalar(operation)

    def constant(self, operation: ir.Operation) -> None:
        type_, value = operation.results[0].type, to_python(operation.attributes["value"])
        if isinstance(type_, ir.IndexType):
            self.names[operation.results[0]] = Linear((), int(value))
            return
        width = element_width(operation, type_)
        if isinstance(value, float):
            layout = _FLOAT_BITS.get(str(type_))
            if layout is None:
                raise fail(operation, f"is a constant of type {type_}, which has no circuit")
            value = int.from_bytes(struct.pack(layout, value), "little")
        self.names[operation.results[0]] = self.values.constant(int(value), width)

    def scalar(self, operation: ir.Operation) -> None:
        if len(operation.results) != 1 or operation.regions:
            raise self.refused(operation)
        result, operands = operation.results[0], list(operation.operands)
        is_index = [isinstance(v.type, ir.IndexType) for v in (result, *operands)]
        if any(is_index):
            self.names[result] = self.index_op(operation)
            return
        width = element_width(operation, result.type)
        moves = operation.name == "arith.select"
        if not moves and any(isinstance(v.type, ir.FloatType) for v in (result, *operands)):
            raise fail(operation, "computes with floating point, which has no circuit here; quantize the model")
        predicate = to_python(operation.attributes["predicate"]) if operation.name == "arith.cmpi" else None
        made = circuit_of(self.values, operation.name, [self.data(v) for v in operands], width, predicate)
        if made is None:
            raise self.refused(operation)
        self.names[result] = made

    @staticmethod
    def refused(operation: ir.Operation) -> Exception:
        return fail(operation, "has no circuit here; lower it first, or simulate the C++ only")

    def index_op(self, operation: ir.Operation) -> Linear | Node:
        name, operands = operation.name, list(operation.operands)
        if name == "arith.index_cast":
            if isinstance(operands[0].type, ir.IndexType):
                return self.values.linear(self.index(operands[0]), element_width(operation, operation.results[0].type))
            return as_linear(self.data(operands[0]))
        if len(operands) != 2 or not all(isinstance(v.type, ir.IndexType) for v in operands):
            raise self.refused(operation)
        left, right = (self.index(v) for v in operands)
        if name in ("arith.addi", "arith.subi"):
            return left.plus(right, 1 if name == "arith.addi" else -1)
        if name == "arith.cmpi":
            return self.values.compare_indices(PREDICATES[to_python(operation.attributes["predicate"])], left, right)
        if name == "arith.muli" and not (left.terms and right.terms):
            return left.times(right.constant) if not right.terms else right.times(left.constant)
        if name in ("arith.divui", "arith.remui") and not right.terms and right.constant > 0 and left.low >= 0:
            return (quotient if name == "arith.divui" else remainder)(self.values, left, right.constant)
        raise self.refused(operation)

    # -- memory ---------------------------------------------------------------------------------------------------

    def memory(
        self, operation: ir.Operation, value: ir.Value, name: str, spec: Partition | None, argument: int | None
    ) -> Memory:
        if not isinstance(value.type, ir.MemRefType):
            raise fail(operation, f"takes {value.type}; circuits take memory of static shape")
        shape = tuple(shape_of(value))
        made = Memory(name, shape, element_width(operation, ir.MemRefType(value.type).element_type), argument)
        if spec is not None:
            if spec["dim"] == 0:
                raise fail(
                    operation, "has a memory cut in single elements, which a circuit has registers for; name one dim"
                )
            made.dim = spec["dim"] - 1
            made.banks = spec.get("factor", shape[made.dim])
            made.kind = "block" if spec["kind"] == "block" else "cyclic"
        self.memories.append(made)
        return made

    def alloca(self, operation: ir.Operation) -> None:
        result = operation.results[0]
        shape = tuple(shape_of(result))
        spec = to_python(operation.attributes[PARTITION]) if PARTITION in operation.attributes else None
        self.arrays += 1
        name = f"t{self.arrays}"
        is_cut_whole = spec is not None and (spec["dim"] == 0 or (spec["kind"] == "complete" and len(shape) == 1))
        if shape and not is_cut_whole:
            made = self.memory(operation, result, name, spec, None)
            made.span = self.spans.get(name)
            made.width = made.width if made.span is None else signed_width(*made.span)
            made.copies = to_python(operation.attributes[COPIES]) if COPIES in operation.attributes else 1
            self.names[result] = made
            return
        width, count = element_width(operation, ir.MemRefType(result.type).element_type), math.prod(shape)
        if count > MAX_REGISTERS:
            raise fail(operation, f"needs {count} registers, more than {MAX_REGISTERS}; leave out '{PARTITION}'")
        elements = [self.own_register(f"{name}_{i}" if shape else name, width) for i in range(count)]
        if self.pipeline is not None:
            self.work.private.update(elements)
        self.names[result] = RegisterArray(shape, elements, width)

    def own_register(self, name: str, width: int) -> Register:
        span = self.spans.get(name)
        return Register(name, width if span is None else signed_width(*span), span)

    def table(self, operation: ir.Operation) -> None:
        """A table of constants, as read-only memory."""
        symbol = to_python(operation.attributes["name"])
        found = globals_of(self.function.operation.parent).get(symbol)
        if found is None or is_weight(found):
            raise fail(operation, f"reads @{symbol}, which is no table of constants of the module")
        if symbol not in self.tables:
            memory = self.memory(operation, operation.results[0], f"table{len(self.tables) + 1}", None, None)
            elements = dense_elements(found.attributes["initial_value"]).ravel().tolist()
            memory.contents = tuple(int(element) & ((1 << memory.width) - 1) for element in elements)
            if memory.width > 1:
                numbers = [signed(element, memory.width) for element in memory.contents]
                memory.span = min(numbers), max(numbers)
            self.tables[symbol] = memory
        self.names[operation.results[0]] = self.tables[symbol]

    def indices(self, indices: Sequence[ir.Value]) -> list[Linear]:
        return [self.index(value) for value in indices]

    def load(self, operation: ir.Operation) -> None:
        memory, *indices = operation.operands
        array = self.names[memory]
        if isinstance(array, RegisterArray):
            where = flat(array.shape, self.indices(indices))
            self.names[operation.results[0]] = read_element(self.values, self.work, array, where)
            return
        assert isinstance(array, Memory)
        at = self.indices(indices)
        whole, place = flat(array.shape, at), place_of(self.values, array, at, self.bounds)
        # What is known of the address where a condition holds may not be known elsewhere.
        key = (array, whole, place, self.work.versions.get(array, 0))
        if key not in self.work.loaded:
            load = Load(array, whole, place.banks, self.values.linear(place.address, array.address_width))
            load.nodes = [self.values.loaded(load, b, self.work.segment) for b in place.banks]
            self.work.loaded[key] = load
            self.work.segment.actions.append(load)
        nodes = [self.values.narrowed(node) for node in self.work.loaded[key].nodes]
        found = self.values.element(nodes, self.values.linear(place.which))
        self.names[operation.results[0]] = self.values.extended(
            found, element_width(operation, operation.results[0].type)
        )

    def store(self, operation: ir.Operation) -> None:
        value, memory, *indices = operation.operands
        array, data = self.names[memory], self.data(value)
        if isinstance(array, RegisterArray):
            where = flat(array.shape, self.indices(indices))
            write_element(self.values, self.work, array, where, data, self.here(self.condition))
            return
        assert isinstance(array, Memory)
        self.work.versions[array] = self.work.versions.get(array, 0) + 1
        at = self.indices(indices)
        whole, place = flat(array.shape, at), place_of(self.values, array, at, self.bounds)
        address = self.values.linear(place.address, array.address_width)
        for number, bank in enumerate(place.banks):
            is_it = self.values.compare_indices("eq", place.which, Linear((), number))
            enable = self.values.both(self.here(self.condition), is_it)
            if enable is not self.values.false:
                own = self.values.truncated(data, array.width)
                self.work.segment.actions.append(Store(array, whole, bank, address, own, enable))

    # -- control --------------------------------------------------------------------------------------------------

    def for_(self, operation: ir.Operation) -> None:
        if len(operation.results):
            raise fail(operation, "carries values from one iteration to the next, and has no circuit here")
        trips = trip_count(operation)
        first, step = (constant_index(operation.operands[i]) for i in (0, 2))
        if trips is None or first is None or step is None:
            raise fail(operation, "has bounds that are not constant, and has no circuit here")
        copies = body_copies(operation)
        if trips in (copies, 1):
            self.unrolled(operation, Linear((), first), step, trips)
            return
        if trips == 0:
            return
        if self.pipeline is not None:
            raise fail(operation, "stands in a pipelined loop, so it must be unrolled whole (loop.unroll = trip count)")
        nest = flattened(operation)
        if PIPELINE in nest[-1].attributes:
            self.flush()
            self.pipelined(nest)
            return
        label = self.fresh(self.labels[operation])
        counter, index = self.counted(operation, label)
        self.flush()
        steps = self.steps_of(label, lambda: self.unrolled(operation, index, step, copies))
        self.steps.append(Loop(label, counter, steps))

    def unrolled(self, operation: ir.Operation, index: Linear, step: int, copies: int) -> None:
        """Copies of a body, one for each of so many values of its index."""
        body = operation.regions[0].blocks[0]
        for number in range(copies):
            self.names[body.arguments[0]] = index.plus(Linear((), number * step))
            self.block(body)

    def counted(self, operation: ir.Operation, label: str) -> tuple[Counter, Linear]:
        """The counter of a loop, and its index.

        It counts by one where the index moves by more: a multiple of the banks is seen in the address, not divided.
        """
        first, step = (constant_index(operation.operands[i]) or 0 for i in (0, 2))
        copies = body_copies(operation)
        trips, stride = trip_count(operation), step * copies
        assert trips is not None
        counter = Counter(f"{label}_i", first if stride == 1 else 0, 1, trips // copies)
        return counter, Linear(((self.values.counter(counter), stride),), 0 if stride == 1 else first)

    def pipelined(self, nest: Sequence[ir.Operation]) -> None:
        """The loops of a nest as one pipeline."""
        *outer, operation = nest
        self.pipeline = operation
        label = self.fresh(self.labels[operation])
        self.work = Work(Segment(label))
        counters = []
        for loop in outer:
            counter, index = self.counted(loop, self.fresh(self.labels[loop]))
            counters.append(counter)
            body = loop.regions[0].blocks[0]
            self.names[body.arguments[0]] = index
            for view in body.operations:
                if view.operation.name.startswith("arith."):
                    self.handlers.get(view.operation.name, self.scalar)(view.operation)
        counter, index = self.counted(operation, label)
        copies = body_copies(operation)
        self.unrolled(operation, index, constant_index(operation.operands[2]) or 1, copies)
        self.close()
        if self.work.segment.actions:
            wanted = to_python(operation.attributes[PIPELINE])
            self.steps.append(Pipeline(label, (*counters, counter), wanted, self.work.segment, operation))
        self.pipeline = None
        self.work = Work(Segment(self.place))

    def if_(self, operation: ir.Operation) -> None:
        if len(operation.results):
            raise fail(operation, "gives values, and has no circuit here")
        condition = self.data(operation.operands[0])
        blocks = [list(region.blocks) for region in operation.regions]
        if condition.op == "constant":
            taken = blocks[0 if condition.detail else 1]
            for block in taken:
                self.block(block)
            return
        if any(self.is_kept(inner) for inner in walk(operation)):
            self.branch(operation, condition, blocks)
            return
        outer, outer_bounds = self.condition, self.bounds
        bounds = [(self.index(index), end) for index, end in bounds_of(operation.operands[0])]
        for block, own, known in zip(blocks, (condition, self.values.inverse(condition)), (bounds, []), strict=True):
            self.condition, self.bounds = self.values.both(outer, own), [*outer_bounds, *known]
            for only in block:
                self.block(only)
        self.condition, self.bounds = outer, outer_bounds

    @staticmethod
    def is_kept(operation: ir.Operation) -> bool:
        """Whether an op is a loop that the circuit runs through."""
        if operation.name != "scf.for":
            return False
        copies = body_copies(operation)
        return trip_count(operation) not in (copies, 1)

    def branch(self, operation: ir.Operation, condition: Node, blocks: list[list[ir.Block]]) -> None:
        if self.pipeline is not None or self.condition is not self.values.true:
            raise fail(operation, "holds loops in a condition or a pipeline, and has no circuit here")
        self.flush()
        name = self.fresh(f"{self.place}_if", "")
        if condition.home is not None:
            condition = self.values.read(self.kept_register(condition), None)
        then = self.steps_of(f"{name}_then", self.filling(blocks[0]))
        otherwise = self.steps_of(f"{name}_else", self.filling(blocks[1]))
        self.steps.append(Branch(name, condition, then, otherwise, operation))

    def filling(self, blocks: list[ir.Block]) -> Callable[[], None]:
        """What goes through the one block of a region, or through none."""

        def fill() -> None:
            for block in blocks:
                self.block(block)

        return fill


def elaborate(function: func.FuncOp, product_bits: tuple[int, int]) -> Circuit:
    """The circuit of a kernel, not scheduled yet, for multipliers of so many bits. Raises PassError for what has no
    circuit.

    It is made anew for as long as its sums turn out to need fewer bits.
    """
    spans: dict[str, tuple[int, int]] = {}
    for _ in range(MOST_ROUNDS):
        circuit = _Elaboration(function, spans, product_bits).run()
        found = spans_of(circuit)
        if found == spans:
            break
        spans = found
    return circuit
