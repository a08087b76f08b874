"""float8 is a type for storage: such tensors are float32 inside a program, of numbers that float8 has.

The casts to float8 have rounded them (`decompositions.float8`): IREE would round otherwise than PyTorch. What a program
takes and gives is their bits, as uint8.
"""

from __future__ import annotations

import math

import torch

from terrace.errors import ModelImportError
from terrace.frontend.decompositions.float8 import SATURATES
from terrace.frontend.inserter import Inserter
from terrace.frontend.source import at_line
from terrace.frontend.unsigned import update_value

aten = torch.ops.aten

INFINITY = 0x7C
"""The bits of float8_e5m2's; larger ones, and 0x7F of float8_e4m3fn, are NaN."""


def hold_as_float32(graph: torch.fx.Graph) -> None:
    """Let every op of `graph` that takes or gives float8 take and give float32, and the graph itself uint8."""
    for node in graph.find_nodes(op="call_function", target=aten.view.dtype):
        if is_held(node) or is_held(node.args[0]):
            raise ModelImportError(
                f"the model looks at the bits of float8{at_line(node)}, which is not supported: convert it to float32"
            )
    output = graph.output_node()
    given = {node: node.meta["val"].dtype for node in output.all_input_nodes if is_held(node)}
    held = {decoded_input(graph, node) for node in graph.find_nodes(op="placeholder") if is_held(node)}
    for node in graph.nodes:
        if node.op != "call_function" or not (is_held(node) or held.intersection(node.all_input_nodes)):
            continue
        if is_held(node):
            held.add(node)
        node.args = tuple(torch.float32 if is_float8(value) else value for value in node.args)
        node.kwargs = {name: torch.float32 if is_float8(value) else value for name, value in node.kwargs.items()}
        update_value(node)
    for node, dtype in given.items():
        if node.op != "placeholder":
            output.replace_input_with(node, bits_of(Inserter(graph, output), node, dtype))


def decoded_input(graph: torch.fx.Graph, node: torch.fx.Node) -> torch.fx.Node:
    """What stands for an input of float8, which becomes one of uint8, wherever its number is asked for."""
    value = node.meta["val"]
    node.meta = {name: kept for name, kept in node.meta.items() if name != "tensor_meta"}
    node.meta["val"] = value.to(torch.uint8)
    first = next(other for other in graph.nodes if other.op != "placeholder")
    users = [user for user in node.users if user.op != "output"]
    decoded = number_of(Inserter(graph, first), node, value.dtype)
    for user in users:
        user.replace_input_with(node, decoded)
    return decoded


def is_held(node: torch.fx.Node) -> bool:
    """Whether a node gives float8."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and is_float8(value.dtype)


def is_float8(value: object) -> bool:
    return isinstance(value, torch.dtype) and value in SATURATES


def dropped_bits(dtype: torch.dtype) -> int:
    """How many bits of a float32's fraction a type of float8 lacks."""
    return round(math.log2(torch.finfo(dtype).eps / torch.finfo(torch.float32).eps))


def exponent_scale(dtype: torch.dtype) -> float:
    """What a number is larger by than the float32 with the bits of its exponent and fraction in the same places."""
    return torch.finfo(dtype).smallest_normal / torch.finfo(torch.float32).smallest_normal


def number_of(insert: Inserter, bits: torch.fx.Node, dtype: torch.dtype) -> torch.fx.Node:
    """The float32 that bits, as uint8, stand for."""
    word = insert.call(aten._to_copy.default, bits, dtype=torch.int32)
    size = insert.call(aten.bitwise_and.Scalar, word, 127)
    places = insert.call(aten.full.default, [], dropped_bits(dtype), dtype=torch.int32)
    small = insert.call(aten.view.dtype, insert.call(aten.bitwise_left_shift.Tensor, size, places), torch.float32)
    finite = insert.call(aten.mul.Tensor, small, exponent_scale(dtype))
    largest = 126 if SATURATES[dtype] else INFINITY - 1
    beyond = insert.call(aten.full.default, [], math.nan, dtype=torch.float32)
    if not SATURATES[dtype]:
        infinity = insert.call(aten.full.default, [], math.inf, dtype=torch.float32)
        beyond = insert.call(aten.where.self, insert.call(aten.eq.Scalar, size, INFINITY), infinity, beyond)
    value = insert.call(aten.where.self, insert.call(aten.gt.Scalar, size, largest), beyond, finite)
    is_negative = insert.call(aten.gt.Scalar, word, 127)
    return insert.call(aten.where.self, is_negative, insert.call(aten.neg.default, value), value)


def bits_of(insert: Inserter, value: torch.fx.Node, dtype: torch.dtype) -> torch.fx.Node:
    """The inverse of `number_of`, of a number that `dtype` has."""
    word = insert.call(aten.view.dtype, value, torch.int32)
    size = insert.call(aten.mul.Tensor, insert.call(aten.abs.default, value), 1 / exponent_scale(dtype))
    places = insert.call(aten.full.default, [], dropped_bits(dtype), dtype=torch.int32)
    size = insert.call(aten.bitwise_right_shift.Tensor, insert.call(aten.view.dtype, size, torch.int32), places)
    for is_special, code in ((aten.isinf.default, INFINITY), (aten.isnan.default, 127)):
        known = insert.call(aten.full.default, [], code, dtype=torch.int32)
        size = insert.call(aten.where.self, insert.call(is_special, value), known, size)
    is_negative, negative = insert.call(aten.lt.Scalar, word, 0), insert.call(aten.add.Tensor, size, 128)
    bits = insert.call(aten.where.self, is_negative, negative, size)
    return insert.call(aten._to_copy.default, bits, dtype=torch.uint8)
