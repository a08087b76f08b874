"""Tensors of uint8: builtin types drop the sign, and graph ops read 8 bits as a signed number.

So they are taken by casts, which know the sign of what they read, and by ops whose results have the same bits for
numbers of either sign. `terrace.frontend.unsigned` does all others in wider integers.
"""

from __future__ import annotations

from collections.abc import Iterable

from terrace.dialects import graph
from terrace.lowering.conversion.torch_to_graph.torch_op import cast, is_bool, is_float, is_unsigned, scalar
from terrace.mlir import ir

CASTS = frozenset({"torch.aten.to.dtype", "torch.aten._to_copy", "torch.prims.convert_element_type"})

# fmt: off
OF_EITHER_SIGN = frozenset(f"torch.aten.{name}" for name in (
    "add.Scalar", "add.Tensor", "alias", "bitwise_and.Scalar", "bitwise_and.Tensor", "bitwise_not",
    "bitwise_or.Scalar", "bitwise_or.Tensor", "bitwise_xor.Scalar", "bitwise_xor.Tensor", "bmm", "cat", "clone",
    "convolution", "detach", "expand", "gather", "index_select", "mm", "mul.Scalar", "mul.Tensor", "permute",
    "select.int", "slice.Tensor", "squeeze.dims", "sub.Scalar", "sub.Tensor", "transpose.int", "unsqueeze", "view",
    "where.ScalarOther", "where.ScalarSelf", "where.self",
))
# fmt: on
"""Ops that have a builder for every form, and whose uint8 result is made of the last 8 bits of their operands."""


def takes_unsigned(name: str, operands: Iterable[ir.Value], results: Iterable[ir.Value]) -> bool:
    """Whether the builder of a torch op is right on uint8, where its operands or results are that."""
    if any(is_unsigned(result.type) for result in results):
        return name in CASTS | OF_EITHER_SIGN
    return name in CASTS or not any(is_unsigned(operand.type) for operand in operands)


def cast_unsigned(value: ir.Value, element_type: ir.Type) -> ir.Value:
    """A tensor of uint8, held as i8, in another element type."""
    if is_bool(element_type) or element_type.width == 8:
        return cast(value, element_type)
    wide = ir.IntegerType.get_signless(32) if is_float(element_type) else element_type
    number = graph.BitwiseAndOp.build(cast(value, wide), scalar(255, wide))
    return cast(number, element_type)


def cast_to_unsigned(value: ir.Value, element_type: ir.Type) -> ir.Value:
    """Another tensor as uint8, held as i8: the last 8 bits of its numbers, of floats as int64, as PyTorch has it."""
    whole = cast(value, ir.IntegerType.get_signless(64)) if is_float(value.type.element_type) else value
    return cast(whole, element_type)
