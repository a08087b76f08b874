"""What a design takes of a device, estimated from its IR: memory and multipliers. Pure functions of the module."""

from __future__ import annotations

import math
from typing import Any

from terrace.dialects.base import shape_of, to_python
from terrace.dialects.hardware import COPIES, DATAFLOW, PARTITION, STREAM
from terrace.lowering.target.hls.addresses import body_copies
from terrace.lowering.target.hls.calls import argument_partition, users_of_memory
from terrace.lowering.target.hls.numbers import NUMBER_FORMAT
from terrace.machine import BLOCK_MEMORY_BITS
from terrace.mlir import ir, operation_of, walk
from terrace.number_format import FixedPoint

BLOCK_BITS = 18 << 10
"""A block RAM of AMD's devices, as half of one of 36 Kb."""

DSP_BLOCKS = {"arith.addf": 2, "arith.mulf": 3, "arith.subf": 2, "math.exp": 7, "math.fma": 5}
"""DSP blocks of a float32 operator (AMD's floating-point operators on UltraScale); of others, products of integers have
some.
"""

DSP_BITS = 18, 27
"""The operands of the multiplier of a DSP block, signs included; a longer operand is cut into parts of a bit less."""


def dsp_blocks(loop: ir.Operation) -> int:
    """The DSP blocks of the operators in a loop's body, inner unrolled loops counted as often as they are copied."""
    total = 0
    for operation in walk(loop):
        copies, parent = 1, operation.parent
        while parent is not None and parent.operation != loop:
            copies *= body_copies(parent.operation)
            parent = parent.operation.parent
        total += (_product_blocks(operation) or DSP_BLOCKS.get(operation.name, 0)) * copies
    return total


def _product_blocks(operation: ir.Operation) -> int:
    """The DSP blocks of a product of integers, whose operands are as wide as they were before they were extended."""
    if operation.name != "arith.muli" or not isinstance(operation.results[0].type, ir.IntegerType):
        return 0
    widths = sorted(map(_own_width, operation.operands))
    parts = [1 if width <= bits else -(-width // (bits - 1)) for width, bits in zip(widths, DSP_BITS, strict=True)]
    return math.prod(parts)


def _own_width(value: ir.Value) -> int:
    owner = operation_of(value)
    source = owner.operands[0] if owner is not None and owner.name in ("arith.extsi", "arith.extui") else value
    return int(ir.IntegerType(source.type).width)


def element_bits(element: ir.Type, format_: FixedPoint | None) -> int:
    """The bits of an element in memory."""
    if isinstance(element, ir.F32Type) and format_ is not None:
        return format_.width
    width: int = element.width if isinstance(element, (ir.IntegerType, ir.FloatType)) else 32
    return width


def blocks(elements: int, bits: int, banks: int = 1) -> int:
    """Half blocks (18 Kb) for so many elements in so many banks."""
    per_bank = -(-elements // banks) * bits
    return 0 if per_bank <= BLOCK_MEMORY_BITS else banks * -(-per_bank // BLOCK_BITS)


def format_of(module: ir.Operation) -> FixedPoint | None:
    """The number format of a module at the level "hls"."""
    if NUMBER_FORMAT not in module.attributes:
        return None
    return FixedPoint.parse(str(to_python(module.attributes[NUMBER_FORMAT])))


def memory_blocks(type_: ir.Type, format_: FixedPoint | None, banks: int = 1) -> int:
    """Half blocks for an array of a memref type."""
    memory = ir.MemRefType(type_)
    return blocks(math.prod(shape_of(type_)), element_bits(memory.element_type, format_), banks)


def design_blocks(module: ir.Operation) -> int:
    """Half blocks of weights on chip, local arrays and buffers; a buffer of a dataflow function is there twice."""
    format_, total = format_of(module), 0
    banks = _banks_of_weights(module)
    for operation in walk(module):
        if operation.name == "memref.global":
            name = to_python(operation.attributes["sym_name"])
            total += memory_blocks(to_python(operation.attributes["type"]), format_, banks.get(name, 1))
        elif operation.name in ("memref.alloc", "memref.alloca"):
            total += _array_blocks(operation, format_)
    return total


def _array_blocks(operation: ir.Operation, format_: FixedPoint | None) -> int:
    spec = to_python(operation.attributes[PARTITION]) if PARTITION in operation.attributes else {}
    if spec.get("kind") == "complete" or STREAM in operation.attributes:
        return 0
    copies = to_python(operation.attributes[COPIES]) if COPIES in operation.attributes else 1
    copies *= 2 if operation.name == "memref.alloc" and DATAFLOW in operation.parent.attributes else 1
    return copies * memory_blocks(operation.results[0].type, format_, spec.get("factor", 1))


def _banks_of_weights(module: ir.Operation) -> dict[Any, int]:
    """The banks of each weight on chip, by its symbol: those of the arguments that it is given as."""
    found: dict[Any, int] = {}
    for operation in walk(module):
        if operation.name == "memref.get_global":
            specs = [argument_partition(user) for user in users_of_memory(operation.results[0])]
            factors = [spec.get("factor", 1) for spec in specs if spec is not None]
            found[to_python(operation.attributes["name"])] = max([1, *factors])
    return found
