"""The only file that imports CIRCT's bindings, which are an optional package: hardware modules, made and printed.

They hold an MLIR of their own: nothing of `terrace.mlir` can be passed to them.
"""

from __future__ import annotations

import dataclasses
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from terrace.errors import TargetError
from terrace.machine import BLOCK_MEMORY_BITS

try:
    import circt
    from circt import ir
    from circt.dialects import hw
    from circt.passmanager import PassManager
except ImportError as error:
    raise TargetError(
        f"SystemVerilog needs CIRCT, which cannot be imported ({error}); pip install 'mlir-terrace[hls]'"
    ) from error

Value: TypeAlias = ir.Value

_CLEAN = "builtin.module(canonicalize,cse)"
_MAKE_MEMORIES = "builtin.module(hw.module(lower-seq-hlmem))"
_PASSES = "builtin.module(lower-seq-to-sv,canonicalize,cse,hw.module(prettify-verilog))"
_MEMORIES = ("seq.hlmem", "sv.reg")
_STYLE = "disallowLocalVariables,disallowPackedArrays,locationInfoStyle=none,emittedLineLength=110"


@dataclasses.dataclass(frozen=True)
class Cell:
    """An input or an op of a module: its name, the bits of its result (0 if that is not one integer), the places in the
    list of cells of what it reads, and an integer that its kind may have: the lowest bit of an extract, the number of a
    constant, the predicate of a comparison. A memory has the bits of an element, and the number of elements. `names`
    are the name of an input, a register or a memory, or those of what an instance or the end of the module reads. Each
    result of an instance has a cell behind it, "result", that reads it.
    """

    op: str
    width: int
    reads: tuple[int, ...]
    number: int = 0
    names: tuple[str, ...] = ()


class Module:
    """A module of SystemVerilog in the making: `clk`, `rst`, then the given ports.

    Every method that makes a value returns it. A register is made before its next value is known: `connect` gives it.
    """

    def __init__(self, name: str, inputs: Sequence[tuple[str, int]], outputs: Sequence[tuple[str, int]]) -> None:
        self.context = ir.Context()
        circt.register_dialects(self.context)
        with self.context, ir.Location.unknown():
            self.module = ir.Module.create()
            clock = ir.Type.parse("!seq.clock")
            ports = [("clk", clock), ("rst", self.bits(1)), *((n, self.bits(w)) for n, w in inputs)]
            with ir.InsertionPoint(self.module.body):
                made = hw.HWModuleOp(name, ports, [(n, self.bits(w)) for n, w in outputs])
            self.block = made.add_entry_block()
        self.clock, self.reset, *rest = self.block.arguments
        self.inputs = {n: value for (n, _), value in zip(inputs, rest, strict=True)}
        self.widths = dict(outputs)
        self.constants: dict[tuple[int, int], Any] = {}
        self.externals: set[str] = set()

    def bits(self, width: int) -> Any:
        with self.context:
            return ir.IntegerType.get_signless(width)

    def op(self, name: str, results: Sequence[Any], operands: Sequence[Any], /, **attributes: Any) -> Any:
        """An op of any dialect; its result, or None."""
        with self.context, ir.Location.unknown(), ir.InsertionPoint(self.block):
            made = ir.Operation.create(name, list(results), list(operands), attributes)
        return made.results[0] if len(made.results) else None

    def attribute(self, value: int | str | Sequence[int]) -> Any:
        with self.context:
            if isinstance(value, str):
                return ir.StringAttr.get(value)
            if isinstance(value, int):
                return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)
            return ir.DenseI32ArrayAttr.get(list(value))

    # -- values ---------------------------------------------------------------------------------------------------

    def constant(self, number: int, width: int) -> Any:
        key = (number & ((1 << width) - 1), width)
        if key not in self.constants:
            with self.context:
                value = ir.IntegerAttr.get(self.bits(width), key[0] - (1 << width if key[0] >> (width - 1) else 0))
            self.constants[key] = self.op("hw.constant", [self.bits(width)], [], value=value)
        return self.constants[key]

    def comb(self, name: str, *operands: Any, width: int | None = None) -> Any:
        """An op of the dialect comb, whose result has the type of its last operand or so many bits."""
        return self.op(f"comb.{name}", [operands[-1].type if width is None else self.bits(width)], operands)

    def product(self, name: str, left: Value, right: Value, width: int) -> Any:
        """The product of numbers with a sign, one cycle later.

        Written as such: synthesis takes copies of a sign bit for bits of a longer operand. A register has the width
        that makes Verilog extend the operands.
        """
        with self.context:
            none = ir.ArrayAttr.get([])
        text = self.attribute("$signed({{0}}) * $signed({{1}})")
        made = self.op("sv.verbatim.expr", [self.bits(width)], [left, right], format_string=text, symbols=none)
        return self.delayed(name, made)

    def hinted(self, value: Value, name: str) -> Any:
        """The same value; if the text needs a wire for it, then of this name."""
        value.owner.attributes["sv.namehint"] = self.attribute(name)
        return value

    def compare(self, predicate: str, left: Value, right: Value) -> Any:
        order = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
        number = self.attribute(order.index(predicate))
        return self.op("comb.icmp", [self.bits(1)], [left, right], predicate=number)

    def part(self, value: Value, low: int, width: int) -> Any:
        """`width` bits of a value, from bit `low` on."""
        if low == 0 and width == value.type.width:
            return value
        with self.context:
            number = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), low)
        return self.op("comb.extract", [self.bits(width)], [value], lowBit=number)

    def extended(self, value: Value, width: int, sign: bool) -> Any:
        """A value with more bits."""
        more = width - value.type.width
        if more <= 0:
            return self.part(value, 0, width)
        top = self.constant(0, more)
        if sign:
            top = self.comb("replicate", self.part(value, value.type.width - 1, 1), width=more)
        return self.comb("concat", top, value, width=width)

    # -- what holds values ----------------------------------------------------------------------------------------

    def register(self, name: str, width: int, reset: int | None = None) -> Any:
        """A register, to be connected; one without a reset starts undefined."""
        unknown = self.constant(0, width)
        resets = [] if reset is None else [self.reset, self.constant(reset, width)]
        sizes = self.attribute([1, 1, len(resets) // 2, len(resets) // 2, 0])
        operands = [unknown, self.clock, *resets]
        return self.op(
            "seq.compreg", [self.bits(width)], operands, name=self.attribute(name), operandSegmentSizes=sizes
        )

    def connect(self, register: Value, value: Value) -> None:
        """What a register holds from the next cycle on."""
        register.owner.operands[0] = value

    def delayed(self, name: str, value: Value, reset: int | None = None) -> Any:
        """A value one cycle later."""
        made = self.register(name, value.type.width, reset)
        self.connect(made, value)
        return made

    def memory(self, name: str, depth: int, width: int) -> Any:
        with self.context:
            type_ = ir.Type.parse(f"!seq.hlmem<{depth}xi{width}>")
        return self.op("seq.hlmem", [type_], [self.clock, self.reset], sym_name=self.attribute(name))

    def memory_read(self, memory: Value, address: Value, enable: Value, width: int) -> Any:
        """The element one cycle later; the old one if it is written meanwhile."""
        return self.op(
            "seq.read",
            [self.bits(width)],
            [memory, address, enable],
            latency=self.attribute(1),
            operandSegmentSizes=self.attribute([1, 1, 1]),
        )

    def memory_write(self, memory: Value, address: Value, data: Value, enable: Value) -> None:
        self.op("seq.write", [], [memory, address, data, enable], latency=self.attribute(1))

    def rom(self, name: str, contents: Sequence[int] | str, width: int, depth: int | None = None) -> Any:
        """Read-only memory with these elements, or with the `depth` elements of a file of hexadecimal numbers."""
        count = len(contents) if depth is None else depth
        with self.context:
            array, element = (ir.Type.parse(f"!hw.inout<{t}>") for t in (f"uarray<{count}xi{width}>", f"i{width}"))
        made = self.op("sv.reg", [array], [], name=self.attribute(name))
        numbers = [] if isinstance(contents, str) else [self.constant(number, width) for number in contents]
        places = [self.constant(place, max(1, (count - 1).bit_length())) for place in range(len(numbers))]
        with self.context, ir.Location.unknown(), ir.InsertionPoint(self.block):
            body = ir.Operation.create("sv.initial", [], [], regions=1).regions[0].blocks.append()
            with ir.InsertionPoint(body):
                if isinstance(contents, str):
                    file = {"filename": ir.StringAttr.get(contents), "base": ir.Attribute.parse("1 : i32")}
                    ir.Operation.create("sv.readmem", [], [made], file)
                for place, number in zip(places, numbers, strict=True):
                    at = ir.Operation.create("sv.array_index_inout", [element], [made, place]).results[0]
                    ir.Operation.create("sv.bpassign", [], [at, number])
        return made

    def rom_read(self, rom: Value, name: str, address_width: int, width: int) -> Any:
        """The element one cycle after its address, which `connect_address` gives."""
        with self.context:
            element = ir.Type.parse(f"!hw.inout<i{width}>")
        at = self.op("sv.array_index_inout", [element], [rom, self.constant(0, address_width)])
        return self.delayed(name, self.op("sv.read_inout", [self.bits(width)], [at]))

    def connect_address(self, read: Value, address: Value) -> None:
        """Where a `rom_read` reads."""
        read.owner.operands[0].owner.operands[0].owner.operands[1] = address

    # -- modules --------------------------------------------------------------------------------------------------

    def wire(self, name: str, width: int) -> Any:
        """A value that `connect_wire` gives later."""
        with self.context:
            type_ = ir.Type.parse(f"!hw.inout<i{width}>")
        return self.op(
            "sv.read_inout", [self.bits(width)], [self.op("sv.wire", [type_], [], name=self.attribute(name))]
        )

    def connect_wire(self, wire: Value, value: Value) -> None:
        self.op("sv.assign", [], [wire.owner.operands[0], value])

    def instance(
        self, module: str, name: str, inputs: Mapping[str, Value], outputs: Sequence[tuple[str, int]]
    ) -> dict[str, Any]:
        """An instance of another module, which has `clk` and `rst`, too; its outputs by name."""
        given = {"clk": self.clock, "rst": self.reset, **inputs}
        if module not in self.externals:
            ports = [f"in %{port} : {value.type}" for port, value in given.items()]
            ports += [f"out {port} : i{width}" for port, width in outputs]
            with self.context, ir.Location.unknown():
                self.module.body.append(ir.Operation.parse(f"hw.module.extern @{module}({', '.join(ports)})"))
            self.externals.add(module)
        with self.context, ir.Location.unknown(), ir.InsertionPoint(self.block):
            attributes = {
                "instanceName": ir.StringAttr.get(name),
                "moduleName": ir.FlatSymbolRefAttr.get(module),
                "argNames": ir.ArrayAttr.get([ir.StringAttr.get(port) for port in given]),
                "resultNames": ir.ArrayAttr.get([ir.StringAttr.get(port) for port, _ in outputs]),
                "parameters": ir.ArrayAttr.get([]),
            }
            types = [self.bits(width) for _, width in outputs]
            made = ir.Operation.create("hw.instance", types, list(given.values()), attributes)
        return {port: result for (port, _), result in zip(outputs, made.results, strict=True)}

    # -- text -----------------------------------------------------------------------------------------------------

    def end(self, outputs: Mapping[str, Any]) -> None:
        """End the module, whose outputs have these values, and fold what can be."""
        self.op("hw.output", [], [outputs[name] for name in self.widths])
        with self.context, ir.Location.unknown():
            self.module.operation.verify()
            PassManager.parse(_CLEAN).run(self.module.operation)

    def cells(self) -> list[Cell]:
        """The inputs of a module that has ended, and its ops."""
        made = next(view.operation for view in self.module.body.operations if view.operation.name == "hw.module")
        block = made.regions[0].blocks[0]
        operations = [view.operation for view in block.operations]
        places: dict[Value, int] = {argument: place for place, argument in enumerate(block.arguments)}
        count = len(places)
        for op in operations:
            is_instance = op.name == "hw.instance"
            places |= {result: count + place + is_instance for place, result in enumerate(op.results)}
            count += 1 + len(op.results) * is_instance
        inputs = ("clk", "rst", *self.inputs)
        pairs = zip(inputs, block.arguments, strict=True)
        found = [Cell("input", _bits_of(argument), (), names=(name,)) for name, argument in pairs]
        for op in operations:
            reads = tuple(places[operand] for operand in op.operands)
            if op.name == "hw.instance":
                results = zip(_texts(op.attributes["resultNames"]), op.results, strict=True)
                place = len(found)
                found.append(Cell(op.name, 0, reads, names=tuple(_texts(op.attributes["argNames"]))))
                found += [Cell("result", _bits_of(result), (place,), names=(name,)) for name, result in results]
            elif op.name in _MEMORIES:
                elements, bits = _size_of(op)
                found.append(Cell(op.name, bits, reads, elements, _names_of(op)))
            else:
                bits = _bits_of(op.results[0]) if len(op.results) == 1 else 0
                names = tuple(self.widths) if op.name == "hw.output" else _names_of(op)
                found.append(Cell(op.name, bits, reads, _number_of(op), names))
        return found

    def verilog(self) -> str:
        """A module that has ended, as text; it is lowered for that, once."""
        with self.context, ir.Location.unknown():
            operation = self.module.operation
            PassManager.parse(_MAKE_MEMORIES).run(operation)
            self._style_memories()
            PassManager.parse(_PASSES).run(operation)
            operation.attributes["circt.loweringOptions"] = ir.StringAttr.get(_STYLE)
            text = io.StringIO()
            circt.export_verilog(self.module, text)
        return text.getvalue()

    def _style_memories(self) -> None:
        """Tell synthesis what memories are made of; it leaves a small table that is never written to itself."""
        made = next(view.operation for view in self.module.body.operations if view.operation.name == "hw.module")
        for view in made.regions[0].blocks[0].operations:
            if view.operation.name == "sv.reg" and "uarray" in str(view.operation.results[0].type):
                is_large = math.prod(_size_of(view.operation)) > BLOCK_MEMORY_BITS
                users = [use.owner.operation for use in view.operation.results[0].uses]
                if is_large or not any(user.parent.name == "sv.initial" for user in users):
                    style = "block" if is_large else "distributed"
                    text = f'[#sv.attribute<"ram_style" = "\\"{style}\\"">]'
                    view.operation.attributes["sv.attributes"] = ir.Attribute.parse(text)


def _size_of(memory: Any) -> tuple[int, int]:
    """The elements of a memory, and the bits of one."""
    elements, bits = map(int, re.findall(r"(\d+)xi(\d+)", str(memory.results[0].type))[0])
    return elements, bits


def _texts(array: Any) -> list[str]:
    return [ir.StringAttr(each).value for each in array]


def _names_of(operation: Any) -> tuple[str, ...]:
    names = (ir.StringAttr(operation.attributes[n]).value for n in ("name", "sym_name") if n in operation.attributes)
    return tuple(names)


def _bits_of(value: Value) -> int:
    return value.type.width if isinstance(value.type, ir.IntegerType) else 0


def _number_of(operation: Any) -> int:
    for name in ("lowBit", "predicate", "value"):
        if name in operation.attributes:
            return int(operation.attributes[name].value)
    return 0
