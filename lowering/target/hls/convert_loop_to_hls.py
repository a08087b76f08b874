"""`convert-loop-to-hls`: functions on tensors become functions on memory that their caller gives, as hardware has it.

A kernel takes its operands and then its results as memrefs. @main takes the model's inputs, then the weights that are
too large for on-chip memory, then the outputs; it allocates what lies between kernels, and a reshape is another view of
the same memory. A smaller weight is a `memref.global` of the symbol's name: one without a value is a parameter, whose
elements are written when the artefact is. What is no kernel is refused: nothing else runs it on this target.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from terrace.dialects.base import shape_of, to_attribute, to_python
from terrace.lowering.analysis.loop_kernels import (
    LOOP_KERNEL,
    argument_buffers,
    loop_kernels,
    require_body,
    result_buffers,
)
from terrace.lowering.target.hls.numbers import NUMBER_FORMAT
from terrace.mlir import DYNAMIC, func, ir, memref, operation_of
from terrace.number_format import FLOAT, FixedPoint
from terrace.passes import Pass, fail

INPUTS = "hls.inputs"
"""The attribute of @main that counts the inputs of the model, its first arguments."""

PORT = "hls.port"
"""The attribute of an argument of @main that is a weight: the symbol whose elements it points to."""


def _memref_type(operation: ir.Operation | ir.OpView, type_: ir.Type) -> ir.Type:
    """The memory of a tensor."""
    if not isinstance(type_, ir.RankedTensorType) or DYNAMIC in shape_of(type_):
        raise fail(operation, f"has a value of type {type_}; hardware needs tensors of static shape")
    return ir.MemRefType.get(shape_of(type_), ir.RankedTensorType(type_).element_type)


def _view(memory: ir.Value, type_: ir.Type) -> ir.Value:
    """`memory`, which is contiguous, with another shape."""
    if memory.type == type_:
        return memory
    owner = operation_of(memory)
    if owner is not None and owner.name == "memref.reinterpret_cast":
        return _view(owner.operands[0], type_)
    shape = shape_of(type_)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    attributes = {
        "static_offsets": ir.DenseI64ArrayAttr.get([0]),
        "static_sizes": ir.DenseI64ArrayAttr.get(shape),
        "static_strides": ir.DenseI64ArrayAttr.get(strides),
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get([1, 0, 0, 0]),
    }
    return ir.Operation.create("memref.reinterpret_cast", [type_], [memory], attributes).results[0]


def _set_arguments(function: func.FuncOp, types: Sequence[ir.Type]) -> None:
    function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(list(types), []))
    if "arg_attrs" in function.attributes:
        del function.attributes["arg_attrs"]


def _convert_kernel(function: func.FuncOp) -> None:
    """Buffers of arguments and results become arguments."""
    entry, location = function.entry_block, function.operation.location
    tensors = list(entry.arguments)
    types = [_memref_type(function, argument.type) for argument in tensors]
    for buffer, type_ in zip(argument_buffers(function), types, strict=True):
        buffer.replace_all_uses_with(entry.add_argument(type_, location))
        buffer.owner.erase()
    outputs = result_buffers(function)
    return_ = entry.operations[len(entry.operations) - 1].operation
    made = [value.owner for value in return_.operands]
    with ir.InsertionPoint(return_), return_.location:
        func.ReturnOp([])
    for operation in (return_, *made):
        operation.erase()
    for buffer in outputs:
        buffer.replace_all_uses_with(entry.add_argument(buffer.type, location))
        buffer.owner.erase()
    for _ in tensors:
        entry.erase_argument(0)
    _set_arguments(function, [a.type for a in entry.arguments])


class _Main:
    """Rewrites @main."""

    def __init__(self, module: ir.Operation, function: func.FuncOp, kernels: set[str], rom_elements: int) -> None:
        self.module, self.function, self.kernels, self.rom_elements = module, function, kernels, rom_elements
        self.entry = function.entry_block
        self.memory: dict[ir.Value, ir.Value] = {}
        self.globals: dict[str, ir.Type] = {}
        self.ports: dict[str, ir.Value] = {}
        self.handlers: dict[str, Callable[[ir.Operation], None]] = {
            "arith.constant": self.constant,
            "func.call": self.call,
            "func.return": self.return_,
            "graph.load": self.load,
            "graph.reshape": self.reshape,
        }

    def convert(self) -> None:
        location, inputs = self.function.operation.location, list(self.entry.arguments)
        for argument in inputs:
            memory = self.entry.add_argument(_memref_type(self.function, argument.type), location)
            self.memory[argument] = memory
        operations = [view.operation for view in self.entry.operations]
        for operation in operations:
            handler = self.handlers.get(operation.name)
            if handler is None:
                raise fail(operation, "is no kernel; run require-kernels first, which says why")
            with ir.InsertionPoint(operation), operation.location:
                handler(operation)
        for operation in reversed(operations):
            operation.erase()
        for _ in inputs:
            self.entry.erase_argument(0)
        self._finish(len(inputs))

    def _finish(self, inputs: int) -> None:
        """The new signature; ports carry the names of their symbols."""
        arguments = list(self.entry.arguments)
        _set_arguments(self.function, [a.type for a in arguments])
        names = {argument: symbol for symbol, argument in self.ports.items()}
        if names:
            self.function.attributes["arg_attrs"] = ir.ArrayAttr.get(
                [ir.DictAttr.get({PORT: to_attribute(names[a])} if a in names else {}) for a in arguments]
            )
        self.function.attributes[INPUTS] = to_attribute(inputs)

    def _global(self, symbol: str, type_: ir.Type, value: ir.Attribute | None = None) -> ir.Value:
        if symbol not in self.globals:
            self.globals[symbol] = type_
            attributes = {
                "sym_name": to_attribute(symbol),
                "sym_visibility": to_attribute("private"),
                "type": ir.TypeAttr.get(type_),
                "initial_value": ir.UnitAttr.get() if value is None else value,
            }
            with ir.InsertionPoint.at_block_begin(self.module.regions[0].blocks[0]):
                ir.Operation.create("memref.global", attributes=attributes)
        return memref.get_global(type_, ir.FlatSymbolRefAttr.get(symbol))

    def load(self, operation: ir.Operation) -> None:
        symbol, result = str(to_python(operation.attributes["symbol"])), operation.results[0]
        type_ = _memref_type(operation, result.type)
        if math.prod(shape_of(type_)) <= self.rom_elements:
            self.memory[result] = self._global(symbol, type_)
            return
        if symbol not in self.ports:
            self.ports[symbol] = self.entry.add_argument(type_, operation.location)
        self.memory[result] = self.ports[symbol]

    def constant(self, operation: ir.Operation) -> None:
        result = operation.results[0]
        if not isinstance(result.type, ir.RankedTensorType):
            raise fail(operation, "is not legal beside kernels in hardware")
        type_, value = _memref_type(operation, result.type), operation.attributes["value"]
        if not isinstance(value, ir.DenseElementsAttr):
            raise fail(operation, "has elements that cannot be read; hardware needs them")
        self.memory[result] = self._global(f"constant_{len(self.globals)}", type_, value)

    def reshape(self, operation: ir.Operation) -> None:
        type_ = _memref_type(operation, operation.results[0].type)
        self.memory[operation.results[0]] = _view(self.memory[operation.operands[0]], type_)

    def call(self, operation: ir.Operation) -> None:
        callee = str(to_python(operation.attributes["callee"]))
        if callee not in self.kernels:
            raise fail(operation, f"calls @{callee}, which is no kernel; nothing else runs in hardware")
        outputs = [memref.alloc(_memref_type(operation, r.type), [], []) for r in operation.results]
        self.memory.update(zip(operation.results, outputs, strict=True))
        operands = [self.memory[v] for v in operation.operands]
        func.CallOp([], ir.FlatSymbolRefAttr.get(callee), [*operands, *outputs])

    def return_(self, operation: ir.Operation) -> None:
        """A kernel writes straight into an output; what is no result of one is copied."""
        for value in operation.operands:
            memory = self.memory[value]
            output = self.entry.add_argument(_memref_type(operation, value.type), operation.location)
            owner = operation_of(memory)
            root = owner.operands[0] if owner is not None and owner.name == "memref.reinterpret_cast" else memory
            allocation = operation_of(root)
            if allocation is None or allocation.name != "memref.alloc":
                memref.copy(memory, output)
                continue
            with ir.InsertionPoint(allocation):
                root.replace_all_uses_with(_view(output, root.type))
            for known, where in self.memory.items():  # another result that is the same is copied from the output
                if where == root:
                    self.memory[known] = output
            allocation.erase()
        func.ReturnOp([])


@dataclasses.dataclass(frozen=True)
class ConvertLoopToHls(Pass):
    """Turn functions on tensors into functions on memory, weights of up to `rom_elements` into on-chip arrays."""

    name = "convert-loop-to-hls"
    rom_elements: int = 1 << 16
    number_format: str = FLOAT

    def run(self, module: ir.Operation) -> None:
        if FixedPoint.parse(self.number_format) is not None:
            module.attributes[NUMBER_FORMAT] = to_attribute(self.number_format)
        operations = [view.operation for view in module.regions[0].blocks[0].operations]
        kernels = loop_kernels(module)
        names = {function.name.value for function in kernels}
        for operation in operations:
            if operation.name == "func.func" and LOOP_KERNEL not in operation.attributes:
                require_body(operation.opview)
                _Main(module, operation.opview, names, self.rom_elements).convert()
        for function in kernels:
            _convert_kernel(function)
        for operation in operations:
            if operation.name in ("graph.parameter", "graph.constant", "graph.part"):
                operation.erase()
