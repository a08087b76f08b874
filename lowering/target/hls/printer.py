"""The printer of Vitis HLS C++: from functions of scf, arith, math and memref with hardware attributes.

One C++ function per function. Memory that a function takes or @main allocates is flat (so that a reshape costs nothing)
and addressed by one expression; arrays inside kernels keep their dimensions, which pragmas partition. What has one
reader is written where it is read. What has no C++ here is refused with the place of the op, never printed wrong.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from terrace.dialects.base import shape_of, to_python
from terrace.dialects.hardware import COPIES, DATAFLOW, PARTITION, PIPELINE, STREAM, UNROLL
from terrace.lowering.target.hls.addresses import trip_count
from terrace.lowering.target.hls.calls import (
    argument_copies,
    argument_partition,
    calls_of,
    is_weight_on_chip,
    may_write,
    root_of,
    users_of_memory,
)
from terrace.lowering.target.hls.convert_loop_to_hls import INPUTS, PORT
from terrace.lowering.target.hls.expressions import file_type, is_atom, strip
from terrace.lowering.target.hls.inlining import is_load_read_before_writes, is_read_once
from terrace.lowering.target.hls.numbers import Floats, numbers_of
from terrace.lowering.target.hls.stream_order import is_stream
from terrace.mlir import func, ir, walk
from terrace.passes import fail

TOP = "model"
"""The name of @main in C++."""


def identifier(name: str) -> str:
    """A symbol's name as C++ takes it."""
    cleaned = re.sub(r"\W", "_", name)
    return cleaned if not cleaned[:1].isdigit() else f"_{cleaned}"


@dataclasses.dataclass(frozen=True)
class Port:
    """An argument of the top function: "input", "weight" (of a symbol) or "output".

    Files hold elements of the type `file_type`, the design takes and gives `c_type`.
    """

    name: str
    role: str
    c_type: str
    file_type: str
    shape: tuple[int, ...]
    symbol: str = ""
    is_stream: bool = False

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class _Function:
    """Prints one function."""

    def __init__(self, function: func.FuncOp, globals_: dict[str, str], numbers: Floats) -> None:
        self.function, self.globals, self.numbers = function, globals_, numbers
        self.lines: list[str] = []
        self.depth = 0
        self.names: dict[ir.Value, str] = {}
        self.flat: set[ir.Value] = set()
        self.on_chip = _weights_on_chip(function)
        self.streams = _streams(function)
        self.count = 0
        self.loops: list[int] = [0]
        self.handlers: dict[str, Callable[[ir.Operation], None]] = {
            "arith.constant": self.constant,
            "func.call": self.call,
            "func.return": self.return_,
            "memref.alloc": self.alloc,
            "memref.alloca": self.alloca,
            "memref.copy": self.copy,
            "memref.get_global": self.get_global,
            "memref.load": self.load,
            "memref.reinterpret_cast": self.reinterpret_cast,
            "memref.store": self.store,
            "scf.for": self.for_,
            "scf.if": self.if_,
        }

    # -- text -----------------------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        self.lines.append("  " * self.depth + text)

    def pragma(self, text: str) -> None:
        self.lines.append(f"#pragma HLS {text}")

    def fresh(self, hint: str) -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def type_name(self, operation: ir.Operation | ir.OpView, type_: ir.Type) -> str:
        return self.known(operation, self.numbers.type_name(type_), type_)

    def memory_type(self, operation: ir.Operation | ir.OpView, memory: ir.Value) -> str:
        """The type of the elements of a memory; weights on chip may have one of their own."""
        element = ir.MemRefType(memory.type).element_type
        name = self.numbers.global_type(element) if memory in self.on_chip else self.numbers.memory_type(memory)
        return self.known(operation, name, element)

    @staticmethod
    def known(operation: ir.Operation | ir.OpView, name: str | None, type_: ir.Type) -> str:
        if name is None:
            raise fail(operation, f"has a value of type {type_}, which has no C++ here")
        return name

    # -- functions ------------------------------------------------------------------------------------------------

    def print(self, name: str, arguments: list[str]) -> list[str]:
        """The whole function; `arguments` names its arguments."""
        entry = self.function.entry_block
        declared = [self.parameter(argument, own) for argument, own in zip(entry.arguments, arguments, strict=True)]
        self.line(f"void {name}({', '.join(declared)}) {{")
        self.depth += 1
        if DATAFLOW in self.function.attributes:
            self.pragma("DATAFLOW")
        self.argument_pragmas()
        self.block(entry)
        self.depth -= 1
        self.line("}")
        return self.lines

    def parameter(self, argument: ir.Value, name: str) -> str:
        if not isinstance(argument.type, ir.MemRefType):
            raise fail(self.function, f"takes {argument.type}; functions in hardware take memory of static shape")
        self.names[argument] = name
        self.flat.add(argument)
        element = self.memory_type(self.function, argument)
        if argument in self.streams:
            return f"hls::stream<{element}> &{name}"
        constant = "" if self.is_written(argument) else "const "
        return f"{constant}{element} {name}[{math.prod(shape_of(argument))}]"

    def is_written(self, memory: ir.Value) -> bool:
        return any(may_write(use.owner.operation, memory) for use in memory.uses)

    def argument_pragmas(self) -> None:
        if "arg_attrs" not in self.function.attributes:
            return
        for argument, attributes in zip(self.function.entry_block.arguments, self.function.arg_attrs, strict=True):
            if PARTITION in attributes:
                self.partition(self.names[argument], self.flat_partition(argument, to_python(attributes[PARTITION])))

    def flat_partition(self, memory: ir.Value, spec: dict[str, Any]) -> dict[str, Any]:
        """The partition of a memory that is printed flat."""
        flat = flat_partition(shape_of(memory), spec)
        if flat is None:
            why = "is no partition of the flat array that the memory is printed as; cut the last dimension"
            raise fail(self.function, f"has memory whose '{PARTITION}' {why} cyclically")
        return flat

    def copies(self, name: str, operation: ir.Operation) -> None:
        """A memory with several ports to read."""
        if COPIES in operation.attributes and to_python(operation.attributes[COPIES]) > 1:
            self.pragma(f"BIND_STORAGE variable={name} type=ram_1wnr")

    def partition(self, name: str, spec: dict[str, Any]) -> None:
        factor = f" factor={spec['factor']}" if "factor" in spec else ""
        self.pragma(f"ARRAY_PARTITION variable={name} type={spec['kind']}{factor} dim={spec['dim']}")

    # -- values ---------------------------------------------------------------------------------------------------

    def value(self, value: ir.Value) -> str:
        return self.names[value]

    def block(self, block: ir.Block) -> None:
        for view in block.operations:
            operation = view.operation
            handler = self.handlers.get(operation.name)
            if handler is not None:
                handler(operation)
            elif operation.name != "scf.yield":
                self.scalar(operation)

    def scalar(self, operation: ir.Operation) -> None:
        """An arith or math op: written where it is read if that is one place, else named."""
        text = None
        if len(operation.results) == 1 and self.numbers.type_name(operation.results[0].type) is not None:
            text = self.numbers.expression(operation, [self.value(v) for v in operation.operands])
        if text is None:
            raise fail(operation, "has no C++ here; lower it first, or leave it out of what compiles for hls")
        self.define(operation, text, inlined=is_read_once(operation))

    def define(self, operation: ir.Operation, text: str, inlined: bool) -> None:
        result = operation.results[0]
        if inlined:
            self.names[result] = text if is_atom(text) else f"({text})"
            return
        kind = self.type_name(operation, result.type)
        name = self.fresh("n" if isinstance(result.type, ir.IndexType) else "v")
        self.line(f"const {kind} {name} = {strip(text)};")
        self.names[result] = name

    def constant(self, operation: ir.Operation) -> None:
        text = self.numbers.literal(operation)
        if text is None:
            raise fail(operation, "is no constant that C++ has here")
        self.names[operation.results[0]] = text

    # -- memory ---------------------------------------------------------------------------------------------------

    def element(self, memory: ir.Value, indices: list[ir.Value]) -> str:
        name, texts = self.names[memory], [self.value(i) for i in indices]
        if memory not in self.flat:
            return name + "".join(f"[{strip(t)}]" for t in texts)
        shape = shape_of(memory)
        terms = []
        for axis, text in enumerate(texts):
            stride = math.prod(shape[axis + 1 :])
            if text != "0":
                terms.append(strip(text) if stride == 1 else f"{text} * {stride}")
        return f"{name}[{' + '.join(terms) or '0'}]"

    def load(self, operation: ir.Operation) -> None:
        memory, *indices = operation.operands
        if memory in self.streams:
            self.define(operation, f"{self.names[memory]}.read()", inlined=False)
            return
        text = self.element(memory, indices)
        if memory in self.on_chip:
            text = self.numbers.from_global(text, operation.results[0].type)
        self.define(operation, text, inlined=is_load_read_before_writes(operation))

    def store(self, operation: ir.Operation) -> None:
        value, memory, *indices = operation.operands
        text = strip(self.value(value))
        if memory in self.streams:
            self.line(f"{self.names[memory]}.write({text});")
        else:
            self.line(f"{self.element(memory, indices)} = {text};")

    def alloca(self, operation: ir.Operation) -> None:
        """An array, or a variable, of a kernel."""
        result = operation.results[0]
        name = self.names[result] = self.fresh("t")
        kind = self.memory_type(operation, result)
        self.line(f"{kind} {name}{''.join(f'[{size}]' for size in shape_of(result))};")
        if PARTITION in operation.attributes:
            self.partition(name, to_python(operation.attributes[PARTITION]))
        self.copies(name, operation)

    def alloc(self, operation: ir.Operation) -> None:
        """A queue or buffer between kernels: static, so that simulation does not need a large stack."""
        result = operation.results[0]
        name = self.names[result] = self.fresh("buffer")
        self.flat.add(result)
        kind = self.memory_type(operation, result)
        if STREAM in operation.attributes:
            self.line(f"static hls::stream<{kind}> {name};")
            self.pragma(f"STREAM variable={name} depth={to_python(operation.attributes[STREAM])}")
            return
        self.line(f"static {kind} {name}[{math.prod(shape_of(result))}];")
        if PARTITION in operation.attributes:
            self.partition(name, self.flat_partition(result, to_python(operation.attributes[PARTITION])))
        self.copies(name, operation)

    def get_global(self, operation: ir.Operation) -> None:
        result = operation.results[0]
        name = self.names[result] = self.globals[to_python(operation.attributes["name"])]
        self.flat.add(result)
        specs = [spec for spec in map(argument_partition, users_of_memory(result)) if spec is not None]
        if specs:  # said where the array is visible, too
            self.partition(name, {**specs[0], "dim": 1})
        if any(argument_copies(user) > 1 for user in users_of_memory(result)):
            self.pragma(f"BIND_STORAGE variable={name} type=rom_np")

    def reinterpret_cast(self, operation: ir.Operation) -> None:
        source, result = operation.operands[0], operation.results[0]
        if source not in self.flat or math.prod(shape_of(source)) != math.prod(shape_of(result)):
            raise fail(operation, "is no reshape of a whole buffer, and has no C++ here")
        self.names[result] = self.names[source]
        self.flat.add(result)

    def copy(self, operation: ir.Operation) -> None:
        source, target = operation.operands
        if not {source, target} <= self.flat or is_stream(source) or is_stream(target):
            raise fail(operation, "copies a queue, or an array of a kernel, and has no C++ here")
        index, label = f"i{self.depth}", self.label()
        self.line(f"{label}: for (int {index} = 0; {index} < {math.prod(shape_of(source))}; {index} += 1) {{")
        self.pragma("PIPELINE II=1")
        copied = f"{self.names[source]}[{index}]"
        if root_of(source) in self.on_chip:
            copied = self.numbers.from_global(copied, ir.MemRefType(source.type).element_type)
        self.line(f"  {self.names[target]}[{index}] = {copied};")
        self.line("}")

    # -- control --------------------------------------------------------------------------------------------------

    def call(self, operation: ir.Operation) -> None:
        callee = identifier(to_python(operation.attributes["callee"]))
        self.line(f"{callee}({', '.join(self.value(v) for v in operation.operands)});")

    def return_(self, operation: ir.Operation) -> None:
        if len(operation.operands):
            raise fail(operation, "returns a value; functions in hardware write to memory they are given")

    def label(self) -> str:
        self.loops[-1] += 1
        return "loop_" + "_".join(str(n) for n in self.loops)

    def for_(self, operation: ir.Operation) -> None:
        if len(operation.results):
            raise fail(operation, "carries values from one iteration to the next, and has no C++ here")
        lower, upper, step = (self.value(v) for v in list(operation.operands)[:3])
        index, label = f"i{self.depth - 1}", self.label()
        body = operation.regions[0].blocks[0]
        self.names[body.arguments[0]] = index
        self.line(f"{label}: for (int {index} = {strip(lower)}; {index} < {upper}; {index} += {step}) {{")
        self.depth += 1
        self.loops.append(0)
        if PIPELINE in operation.attributes:
            self.pragma(f"PIPELINE II={to_python(operation.attributes[PIPELINE])}")
        if UNROLL in operation.attributes:
            factor = to_python(operation.attributes[UNROLL])
            self.pragma("UNROLL" if factor == trip_count(operation) else f"UNROLL factor={factor}")
        self.block(body)
        self.loops.pop()
        self.depth -= 1
        self.line("}")

    def if_(self, operation: ir.Operation) -> None:
        if len(operation.results):
            raise fail(operation, "gives values, and has no C++ here")
        self.line(f"if ({strip(self.value(operation.operands[0]))}) {{")
        self.depth += 1
        self.block(operation.regions[0].blocks[0])
        self.depth -= 1
        if len(operation.regions[1].blocks):
            self.line("} else {")
            self.depth += 1
            self.block(operation.regions[1].blocks[0])
            self.depth -= 1
        self.line("}")


def flat_partition(shape: Sequence[int], spec: dict[str, Any]) -> dict[str, Any] | None:
    """The partition of a flat array that cuts it as `spec` cuts the array of `shape`, or None if there is none."""
    dim, kind = spec["dim"] - 1, spec["kind"]
    if kind == "complete":
        if dim < 0 or math.prod(shape) == shape[dim]:
            return {"kind": kind, "dim": 1}
        kind = "cyclic" if math.prod(shape[dim + 1 :]) == 1 else "block"
    is_same = math.prod(shape[dim + 1 :] if kind == "cyclic" else shape[:dim]) == 1
    return {"kind": kind, "dim": 1, "factor": spec.get("factor", shape[dim])} if is_same else None


def _given(function: func.FuncOp, is_so: Callable[[ir.Value], bool], what: str) -> set[ir.Value]:
    """The arguments for which `is_so` holds of what every call gives; `what` that is, for messages."""
    found, seen = set[ir.Value](), set[ir.Value]()
    for call in [] if function.is_external else calls_of(function):
        for argument, operand in zip(function.entry_block.arguments, call.operands, strict=True):
            if argument in seen and is_so(operand) != (argument in found):
                raise fail(call, f"gives {what} where another call does not, or the reverse; copy the function")
            seen.add(argument)
            if is_so(operand):
                found.add(argument)
    return found


def _streams(function: func.FuncOp) -> set[ir.Value]:
    """The arguments of a function that are queues."""
    own = [argument for argument in function.entry_block.arguments if is_stream(argument)]
    return {*own, *_given(function, is_stream, "a queue")}


def _weights_on_chip(function: func.FuncOp) -> set[ir.Value]:
    """The arguments of a function that are weights on chip, and the weights that it gets itself."""
    own = [op.results[0] for op in walk(function.operation) if op.name == "memref.get_global"]
    return {*own, *_given(function, is_weight_on_chip, "a weight on chip")}


@dataclasses.dataclass(frozen=True)
class Printed:
    """The C++ of a module: each kernel and the top function, and what they refer to."""

    kernels: dict[str, list[str]]
    top: list[str]
    ports: list[Port]
    globals: dict[str, str]
    """The C++ name of each global symbol."""
    numbers: Floats


def print_module(module: ir.Operation) -> Printed:
    """Print the functions of a module at the level "hls". Raises PassError for what has no C++."""
    operations = [view.operation for view in module.regions[0].blocks[0].operations]
    globals_ = {
        name: f"w_{identifier(name)}"
        for name in (to_python(op.attributes["sym_name"]) for op in operations if op.name == "memref.global")
    }
    kernels, main, numbers = {}, None, numbers_of(module)
    for operation in operations:
        if operation.name == "memref.global":
            continue
        if operation.name != "func.func":
            raise fail(operation, "has no C++ here")
        function = operation.opview
        if function.name.value == "main":
            main = function
            continue
        kernels[function.name.value] = print_kernel(function, globals_, numbers)
    if main is None:
        raise fail(module, "has no function @main")
    ports = _ports(main, numbers)
    top = _Top(main, globals_, numbers, ports)
    return Printed(kernels, top.print(TOP, [port.name for port in ports]), ports, globals_, numbers)


def print_kernel(
    function: func.FuncOp, globals_: dict[str, str], numbers: Floats, *, has_queues: bool = True
) -> list[str]:
    """Print a function that is not @main; its arguments are a0, a1, ..., arrays all of them without `has_queues`."""
    names = [f"a{i}" for i in range(len(function.entry_block.arguments))]
    printer = _Function(function, globals_, numbers)
    if not has_queues:
        printer.streams.clear()
    return printer.print(identifier(function.name.value), names)


class _Top(_Function):
    """Prints @main: as a function with interfaces."""

    def __init__(self, function: func.FuncOp, globals_: dict[str, str], numbers: Floats, ports: list[Port]) -> None:
        super().__init__(function, globals_, numbers)
        self.ports = ports
        self.filled: list[str] = []
        """The lines that give the host what was computed in arrays of the chip."""

    def block(self, block: ir.Block) -> None:
        """A port has no banks: where kernels want some, an array on the chip is between."""
        for port, argument in zip(self.ports, block.arguments, strict=True):
            specs = [spec for spec in map(argument_partition, users_of_memory(argument)) if spec is not None]
            if not specs:
                continue
            name = self.names[argument] = f"{port.name}_banks"
            self.line(f"static {port.c_type} {name}[{port.elements}];")
            self.partition(name, {**specs[0], "dim": 1})
            if port.role == "input":
                self.line(f"move_elements<{port.elements}>({port.name}, {name});")
            else:
                self.filled.append(f"move_elements<{port.elements}>({name}, {port.name});")
        super().block(block)
        for line in self.filled:
            self.line(line)

    def argument_pragmas(self) -> None:
        for port in self.ports:
            if port.is_stream:
                self.pragma(f"INTERFACE axis port={port.name}")
                continue
            self.pragma(f"INTERFACE m_axi port={port.name} offset=slave bundle=gmem_{port.name} depth={port.elements}")
            self.pragma(f"INTERFACE s_axilite port={port.name} bundle=control")
        self.pragma("INTERFACE s_axilite port=return bundle=control")


def _ports(main: func.FuncOp, numbers: Floats) -> list[Port]:
    """What the arguments of @main are: inputs, then weights, then outputs."""
    arguments = list(main.entry_block.arguments)
    attributes = list(main.arg_attrs) if "arg_attrs" in main.attributes else [{} for _ in arguments]
    inputs = to_python(main.attributes[INPUTS]) if INPUTS in main.attributes else 0
    ports: list[Port] = []
    for number, (argument, own) in enumerate(zip(arguments, attributes, strict=True)):
        role = "weight" if PORT in own else "input" if number < inputs else "output"
        same = sum(port.role == role for port in ports)
        memory = ir.MemRefType(argument.type)
        kind, outside = numbers.memory_type(argument), file_type(memory.element_type)
        if kind is None or outside is None:
            raise fail(main, f"takes {memory}, which has no C++ here")
        symbol = to_python(own[PORT]) if PORT in own else ""
        ports.append(Port(f"{role}{same}", role, kind, outside, tuple(memory.shape), symbol, STREAM in own))
    return ports
