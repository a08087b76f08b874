"""Prints a scheduled circuit as SystemVerilog, through CIRCT: `go` starts it, `done` is set in its last cycle.

One that can start anew before it has ended (`restart.py`) sets `ready` in the last cycle in which it cannot, and
`a0_done` in the last one in which it reads argument 0.

Control is a token that goes from step to step: `go` of a segment is set in its first cycle, a register later in its
second, and so on; nothing waits between one step and the next. A value that is used later than it is made goes through
a register for each cycle between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from terrace.lowering.target.rtl.circuit import (
    Branch,
    Circuit,
    Counter,
    Load,
    Loop,
    Memory,
    Node,
    Pipeline,
    Register,
    Segment,
    Step,
    Store,
    Write,
    behind,
)
from terrace.lowering.target.rtl.restart import Restart
from terrace.lowering.target.rtl.schedule import Schedule, SegmentSchedule, late_writes

if TYPE_CHECKING:
    from terrace.circt import Module, Value

_SHIFTS = {"shl": "shl", "shrs": "shrs", "shru": "shru"}
_WIRES = ("sext", "zext")
"""What only gives a value more bits."""

_PLAIN = {"add": "add", "and": "and", "or": "or", "sub": "sub", "xor": "xor"}


def port_name(memory: Memory, bank: int, copy: int = 0) -> str:
    """The start of the names of the ports of a bank, or of one of its copies."""
    name = memory.name if memory.banks == 1 else f"{memory.name}_bank{bank}"
    return f"{name}_copy{copy}" if copy else name


def done_port(memory: Memory) -> str:
    """The port that says that an argument was read."""
    return f"{memory.name}_done"


def is_read(memory: Memory) -> bool:
    """Whether a memory that is read comes from outside."""
    return memory.argument is not None


def restart_ports(restart: Restart | None) -> list[tuple[str, int]]:
    """The outputs of a kernel that starts anew before it has ended."""
    if restart is None:
        return []
    return [("ready", 1), *((done_port(memory), 1) for memory in restart.reads if is_read(memory))]


class _Values:
    """The values of one segment, each in the cycles that need it."""

    def __init__(self, printer: _Printer, name: str, counters: Sequence[Counter], times: SegmentSchedule) -> None:
        self.printer, self.design, self.times = printer, printer.design, times
        self.name, self.counters = name, counters
        self.written = {a.register for a in times.at if isinstance(a, Write)}
        self.made: dict[tuple[Node, int], Any] = {}
        self.known: set[Node] = set()
        """Those that have a value in their first cycle."""
        self.steady: dict[Node, bool] = {}

    def at(self, node: Node, cycle: int) -> Any:
        """A value in a cycle."""
        if node.op == "constant":
            return self.design.constant(node.detail, node.width)
        for each in behind(node, self.known):
            self.known.add(each)
            if each.op != "constant":
                self.made[each, self.times.ready(each)] = self.fresh(each)
        first = self.times.ready(node)
        if self.is_steady(node):
            # It waits in a register once, not in one for each cycle, and where it is in one anyway, in none.
            cycle = min(cycle, first + int(bool(node.inputs)))
        if node.op in _WIRES and cycle > first:
            # What is kept is the value before its sign was extended.
            if (node, cycle) not in self.made:
                self.made[node, cycle] = _operator(self.design, node, [self.at(n, cycle) for n in node.inputs])
            return self.made[node, cycle]
        assert cycle >= first, f"{node.op} is used in cycle {cycle}, before cycle {first}"
        for later in range(first + 1, cycle + 1):
            if (node, later) not in self.made:
                name = f"{self.name}_{node.op}{node.number}_cycle{later}"
                self.made[node, later] = self.design.delayed(name, self.made[node, later - 1])
        return self.made[node, cycle]

    def is_steady(self, node: Node) -> bool:
        """Whether a value stays the same for as long as the segment runs."""
        if node not in self.steady:
            if node.op == "read":
                self.steady[node] = node.detail[0] not in self.written
            else:
                changes = node.op == "loaded" or (node.op == "counter" and node.detail in self.counters)
                self.steady[node] = not changes and all(self.is_steady(n) for n in node.inputs)
        return self.steady[node]

    def fresh(self, node: Node) -> Any:
        design, start = self.design, self.times.start[node]
        if node.op == "counter":
            return self.printer.counter(node)
        if node.op == "read":
            return self.printer.register(node.detail[0])
        if node.op == "loaded":
            return self.printer.loaded(*node.detail)
        operands = [self.at(n, start) for n in node.inputs]
        if node.op != "multiply":
            return _operator(design, node, operands)
        left, right = operands
        return design.product(f"{self.name}_product{node.number}", left, right, node.width)


def _operator(design: Module, node: Node, operands: list[Any]) -> Any:
    """The gates of a value."""
    if node.op in _PLAIN:
        return design.comb(_PLAIN[node.op], *operands)
    if node.op in _SHIFTS:
        return design.comb(_SHIFTS[node.op], *operands)
    if node.op == "compare":
        return design.compare(node.detail, *operands)
    if node.op == "mux":
        return design.comb("mux", *operands)
    if node.op in ("sext", "zext"):
        return design.extended(operands[0], node.width, node.op == "sext")
    if node.op == "concat":
        return design.comb("concat", *operands, width=node.width)
    if node.op == "part":
        return design.part(operands[0], node.detail, node.width)
    if node.op in ("divide", "remainder"):
        return design.comb("divu" if node.op == "divide" else "modu", *operands)
    if node.op == "element":
        index, *elements = operands
        return _selected(design, elements, index)
    assert node.op == "linear", node.op
    return _linear(design, node, operands)


def _chosen(design: Module, given: Sequence[tuple[Any, tuple[Any, ...]]]) -> tuple[Any, tuple[Any, ...]]:
    """Values of those given whose condition holds, the last of them, and whether one does: a tree of multiplexers."""
    if len(given) == 1:
        return given[0]
    half = len(given) // 2
    (before, earlier), (after, later) = _chosen(design, given[:half]), _chosen(design, given[half:])
    values = (design.comb("mux", after, new, old) for new, old in zip(later, earlier, strict=True))
    return design.comb("or", before, after), tuple(values)


def _selected(design: Module, elements: list[Any], index: Value) -> Any:
    """A tree of multiplexers, by the bits of the index."""
    bit = 0
    while len(elements) > 1:
        choose = design.part(index, bit, 1)
        pairs = [elements[i : i + 2] for i in range(0, len(elements), 2)]
        elements = [design.comb("mux", choose, p[1], p[0]) if len(p) == 2 else p[0] for p in pairs]
        bit += 1
    return elements[0]


def _linear(design: Module, node: Node, operands: list[Any]) -> Any:
    """A linear sum of shifted terms: a multiplication by a constant must not take a DSP block."""
    factors, constant = node.detail
    total = None if constant == 0 else design.constant(constant, node.width)
    for factor, operand, source in zip(factors, operands, node.inputs, strict=True):
        wide = design.extended(operand, node.width, sign=source.low < 0)
        for bit in range(abs(factor).bit_length()):
            if not abs(factor) >> bit & 1 or bit >= node.width:
                continue
            term = wide
            if bit:
                low = design.part(wide, 0, node.width - bit)
                term = design.comb("concat", low, design.constant(0, bit), width=node.width)
            if factor < 0:
                term = design.comb("sub", design.constant(0, node.width), term)
            total = term if total is None else design.comb("add", total, term)
    return design.constant(0, node.width) if total is None else total


class _Printer:
    """Makes the design of one circuit."""

    def __init__(self, circuit: Circuit, times: Schedule, restart: Restart | None) -> None:
        from terrace.circt import Module

        self.circuit, self.times, self.restart = circuit, times, restart
        self.released: dict[str, Any] = {}
        """What says that the kernel may start anew, or has read an argument, by port."""
        accesses = [a for found in times.values() for a in found.at if not isinstance(a, Write)]
        copies = {a: copy for found in times.values() for a, copy in found.copies.items()}
        self.read = sorted({(a.memory.name, b, copy) for a, copy in copies.items() for b in a.banks})
        self.stored = sorted({(a.memory.name, a.bank) for a in accesses if isinstance(a, Store)})
        self.late = late_writes(times)
        inputs, outputs = self.ports()
        self.design = Module(circuit.name, [("go", 1), *inputs], [("done", 1), *restart_ports(restart), *outputs])
        self.counters: dict[Counter, Any] = {}
        self.registers: dict[Register, Any] = {}
        self.copies = copies
        self.reads: dict[tuple[Memory, int, int], list[tuple[Any, Any]]] = {}
        self.stores: dict[tuple[Memory, int], list[tuple[Any, Any, Any, Any]]] = {}
        self.writes: dict[Register, list[tuple[Any, Any]]] = {}
        self.elements: dict[tuple[Memory, int, int], Any] = {}
        self.registered: dict[Any, Any] = {}
        """Registers before ports, by what they hold."""
        self.chosen: dict[tuple[tuple[Any, ...], tuple[Any, ...]], Any] = {}
        """What ports have, by the cycles and values of their accesses."""
        self.local: dict[tuple[Memory, int, int], Any] = {}

    def ports(self) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        inputs, outputs = [], []
        for memory in self.circuit.arguments:
            for bank in range(memory.banks):
                for copy in [c for name, b, c in self.read if (name, b) == (memory.name, bank)]:
                    name = port_name(memory, bank, copy)
                    outputs.append((f"{name}_read_address", memory.address_width))
                    inputs.append((f"{name}_read_data", memory.width))
                name = port_name(memory, bank)
                if (memory.name, bank) in self.stored:
                    outputs += [(f"{name}_write", 1), (f"{name}_write_address", memory.address_width)]
                    outputs.append((f"{name}_write_data", memory.width))
        return inputs, outputs

    def make(self) -> Module:
        """The module, ended."""
        design = self.design
        go = design.inputs["go"]
        last = self.steps(self.circuit.steps, go)
        done = go if last is None else last
        if self.late:
            done = design.delayed("written", done, 0)
        outputs = {"done": done, **self.released}
        for register, made in self.registers.items():
            self.connect_register(register, made)
        for memory in self.circuit.memories:
            for bank in range(memory.banks):
                self.connect_bank(memory, bank, outputs)
        design.end(outputs)
        return design

    # -- what holds values ----------------------------------------------------------------------------------------

    def counter(self, node: Node) -> Any:
        counter = node.detail
        if counter not in self.counters:
            self.counters[counter] = self.design.register(counter.name, node.width, counter.first)
        return self.counters[counter]

    def register(self, register: Register) -> Any:
        if register not in self.registers:
            self.registers[register] = self.design.register(register.name, register.width)
        return self.registers[register]

    def loaded(self, load: Load, bank: int) -> Any:
        memory, copy = load.memory, self.copies[load]
        name, key = port_name(memory, bank, copy), (memory, bank, copy)
        if memory.argument is not None:
            return self.design.inputs[f"{name}_read_data"]
        if memory.contents and key not in self.elements:
            rom = self.design.rom(name, memory.contents, memory.width)
            self.elements[key] = self.design.rom_read(rom, f"{name}_data", memory.address_width, memory.width)
        if key not in self.elements:
            made = self.design
            address, enable = made.constant(0, memory.address_width), made.constant(1, 1)
            self.elements[key] = made.memory_read(self.own(memory, bank, copy), address, enable, memory.width)
        return self.elements[key]

    def own(self, memory: Memory, bank: int, copy: int) -> Any:
        key = (memory, bank, copy)
        if key not in self.local:
            self.local[key] = self.design.memory(port_name(memory, bank, copy), max(2, memory.depth), memory.width)
        return self.local[key]

    def connect_register(self, register: Register, made: Value) -> None:
        writes = self.writes.get(register)
        value = made
        if writes:
            enable, (data,) = _chosen(self.design, [(enable, (data,)) for enable, data in writes])
            value = self.design.comb("mux", enable, data, made)
        self.design.connect(made, value)

    def connect_bank(self, memory: Memory, bank: int, outputs: dict[str, Any]) -> None:
        """Each port belongs to the access whose cycle it is."""
        design, name = self.design, port_name(memory, bank)
        copies = sorted(copy for m, b, copy in self.reads if (m, b) == (memory, bank))
        for copy in copies:
            self.connect_reads((memory, bank, copy), outputs)
        stores = self.stores.get((memory, bank), [])
        if not stores:
            return
        valid, enables, places, elements = zip(*stores, strict=True)
        enable, _ = _chosen(design, [(condition, ()) for condition in enables])
        address, data = (self.of_cycle(valid, values) for values in (places, elements))
        if memory in self.late:
            enable = self.late_port(f"{name}_writes", enable, 0)
            address, data = self.late_port(f"{name}_to", address), self.late_port(f"{name}_element", data)
        if memory.argument is not None:
            outputs |= {f"{name}_write": enable, f"{name}_write_address": address, f"{name}_write_data": data}
            return
        for copy in copies:
            design.memory_write(self.own(memory, bank, copy), address, data, enable)

    def of_cycle(self, valid: tuple[Any, ...], values: tuple[Any, ...]) -> Any:
        """The value of the access whose cycle it is; made once for ports that have the same."""
        if (valid, values) not in self.chosen:
            pairs = [(condition, (value,)) for condition, value in zip(valid, values, strict=True)]
            self.chosen[valid, values] = values[0] if len({*values}) == 1 else _chosen(self.design, pairs)[1][0]
        return self.chosen[valid, values]

    def late_port(self, name: str, value: Value, reset: int | None = None) -> Any:
        """A value of a port, a cycle later: in the register of a port that has the same. A constant needs none."""
        if getattr(value.owner, "name", "") == "hw.constant" and reset is None:
            return value
        if value not in self.registered:
            self.registered[value] = self.design.delayed(name, value, reset)
        return self.registered[value]

    def connect_reads(self, key: tuple[Memory, int, int], outputs: dict[str, Any]) -> None:
        """The address of a copy of a bank."""
        memory, reads = key[0], self.reads[key]
        address = self.of_cycle(*zip(*reads, strict=True))
        if memory.argument is not None:
            outputs[f"{port_name(*key)}_read_address"] = address
        elif memory.contents:
            self.design.connect_address(self.elements[key], address)
        elif key in self.elements:
            self.elements[key].owner.operands[1] = address

    # -- control --------------------------------------------------------------------------------------------------

    def steps(self, steps: Sequence[Step], go: Value) -> Any:
        """Run steps one after the other; what is set in the last cycle of the last, or None if there are none."""
        last = None
        for step in steps:
            start = go if last is None else self.design.delayed(f"{step.name}_go", last, 0)
            if isinstance(step, Segment):
                made = self.segment(step, start)
            elif isinstance(step, Loop):
                made = self.loop(step, start)
            else:
                made = self.pipeline(step, start) if isinstance(step, Pipeline) else self.branch(step, start)
            last = last if made is None else made
        return last

    def segment(self, segment: Segment, go: Value) -> Any:
        if segment not in self.times:
            return None
        return self.actions(segment, (), go)

    def actions(self, segment: Segment, counters: Sequence[Counter], go: Value) -> Any:
        """All that a segment does, which `go` starts; what is set in its last cycle."""
        times = self.times[segment]
        values = _Values(self, segment.name, counters, times)
        valid = [go]
        for cycle in range(1, times.depth):
            valid.append(self.design.delayed(f"{segment.name}_cycle{cycle}", valid[-1], 0))
        for action, cycle in times.at.items():
            now = valid[cycle]
            if isinstance(action, Load):
                address = values.at(action.address, cycle)
                for bank in action.banks:
                    self.reads.setdefault((action.memory, bank, times.copies[action]), []).append((now, address))
                continue
            enable = now
            if action.enable.op != "constant":
                enable = self.design.comb("and", now, values.at(action.enable, cycle))
            data = values.at(action.data, cycle)
            if isinstance(action, Store):
                address = values.at(action.address, cycle)
                self.stores.setdefault((action.memory, action.bank), []).append((now, enable, address, data))
            else:
                self.register(action.register)
                self.writes.setdefault(action.register, []).append((enable, data))
        return valid[-1]

    def count(self, counter: Counter, advance: Value) -> Any:
        """Move a counter on, at the end of a cycle in which `advance` is set; whether it is at its last value."""
        design = self.design
        width = max(counter.first.bit_length(), counter.last.bit_length(), 1)
        if min(counter.first, counter.last) < 0:
            width = max((-min(counter.first, counter.last) - 1).bit_length(), width) + 1
        if counter not in self.counters:
            self.counters[counter] = design.register(counter.name, width, counter.first)
        index = self.counters[counter]
        is_last = design.compare("eq", index, design.constant(counter.last, width))
        design.hinted(is_last, f"{counter.name}_is_last")
        following = design.comb("add", index, design.constant(counter.step, width))
        first = design.constant(counter.first, width)
        moved = design.comb("mux", is_last, first, following)
        design.connect(index, design.comb("mux", advance, moved, index))
        return is_last

    def loop(self, loop: Loop, go: Value) -> Any:
        design = self.design
        again = design.register(f"{loop.name}_again", 1, 0)
        end = self.steps(loop.steps, design.hinted(design.comb("or", go, again), f"{loop.name}_start"))
        if end is None:
            again.owner.erase()
            return None
        is_last = self.count(loop.counter, end)
        design.connect(again, design.comb("and", end, design.comb("xor", is_last, design.constant(1, 1))))
        return design.comb("and", end, is_last)

    def pipeline(self, pipeline: Pipeline, go: Value) -> Any:
        if pipeline.body not in self.times:
            return None
        design, times = self.design, self.times[pipeline.body]
        again = design.register(f"{pipeline.name}_again", 1, 0)
        issue = design.hinted(design.comb("or", go, again), f"{pipeline.name}_start")
        is_last = self.design.constant(1, 1)
        for counter in reversed(pipeline.counters):
            own = self.count(counter, design.comb("and", issue, is_last))
            is_last = design.comb("and", is_last, own)
        following = design.comb("and", issue, design.comb("xor", is_last, design.constant(1, 1)))
        for cycle in range(1, times.interval):
            following = design.delayed(f"{pipeline.name}_wait{cycle}", following, 0)
        design.connect(again, following)
        self.actions(pipeline.body, pipeline.counters, issue)
        lasts = [design.comb("and", issue, is_last)]
        for cycle in range(1, max(times.depth, times.interval)):
            lasts.append(design.delayed(f"{pipeline.name}_last{cycle}", lasts[-1], 0))
        if self.restart is not None:
            self.released = {"ready": lasts[times.interval - 1]}
            self.released |= {done_port(m): lasts[cycle] for m, cycle in self.restart.reads.items() if is_read(m)}
        return lasts[times.depth - 1]

    def branch(self, branch: Branch, go: Value) -> Any:
        design = self.design
        empty = SegmentSchedule(0)
        _start(branch.condition, empty)
        condition = _Values(self, branch.name, (), empty).at(branch.condition, 0)
        design.hinted(condition, f"{branch.name}_condition")
        chosen = design.hinted(design.comb("and", go, condition), f"{branch.name}_then")
        refused = design.comb("and", go, design.comb("xor", condition, design.constant(1, 1)))
        design.hinted(refused, f"{branch.name}_else")
        then, otherwise = self.steps(branch.then, chosen), self.steps(branch.otherwise, refused)
        last = design.comb("or", chosen if then is None else then, refused if otherwise is None else otherwise)
        return design.hinted(last, f"{branch.name}_last")


def _start(node: Node, times: SegmentSchedule) -> None:
    """All values of a condition in one cycle."""
    times.start[node] = 0
    for operand in node.inputs:
        _start(operand, times)


def module_of(circuit: Circuit, times: Schedule, restart: Restart | None = None) -> Module:
    """A circuit as a module. Raises TargetError if CIRCT is not installed."""
    return _Printer(circuit, times, restart).make()
