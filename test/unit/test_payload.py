"""The scalar payload builds valid IR for scalars and vectors of every element type, or says that it does not."""

from __future__ import annotations

import itertools

import pytest
from terrace.dialects.base import Attributes
from terrace.dialects.context import create_context
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.graph import payload
from terrace.mlir import func, ir

FLOATS = ("f16", "bf16", "f32", "f64")
INTEGERS = ("i1", "i8", "i32", "i64")
ATTRIBUTES = Attributes(
    {"approximate": "tanh", "predicate": "lt", "lhs_multiplier": 3, "rhs_multiplier": -5, "shift": 7}
)
FIELDS = {"input": "T", "lhs": "T", "rhs": "T", "condition": "i1", "on_true": "T", "on_false": "T"}
OPERANDS = {
    name: [FIELDS[field] for field in op.__annotations__ if field in FIELDS] for name, op in ELEMENTWISE_OPS.items()
}
"""The types of every op's operands; `T` is the one under test."""

QUANTIZED = {
    "graph.quantize": ("f32", "f32"),
    "graph.dequantize": ("T", "f32"),
    "graph.requantize": ("i32", "i32", "i32"),
    "graph.scaled_add": ("i8", "i8"),
    "graph.lookup": ("i8",),
}
"""The operand types of the ops of quantised arithmetic."""
OPERANDS |= {name: list(types) for name, types in QUANTIZED.items()}

FLOAT_ONLY = {f"graph.{name}" for name in payload.FLOAT.keys() - payload.INTEGER.keys()}
INTEGER_ONLY = {f"graph.{name}" for name in payload.INTEGER.keys() - payload.FLOAT.keys()}
NOT_ON_BOOLEANS = {"graph.div", "graph.neg", "graph.shift_left", "graph.shift_right", "graph.sub"}


def emit_function(name: str, element: str, wrap: str, result: str | None = None) -> ir.Module:
    """A module whose function holds the payload of op `name` on types such as `vector<2x4xf32>`."""
    with create_context(), ir.Location.unknown():
        types = [ir.Type.parse(wrap.format(element if kind == "T" else kind)) for kind in OPERANDS[name]]
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            block = func.FuncOp("f", (types, [])).add_entry_block()
        with ir.InsertionPoint(block):
            type_ = ir.Type.parse("i1" if name == "graph.compare" else result or element)
            value = payload.emit(name, ATTRIBUTES, list(block.arguments), type_)
            assert value.type == ir.Type.parse(wrap.format(type_))
            func.ReturnOp([])
        module.operation.verify()
    return module


WRAPS = ("{}", "vector<16x{}>", "vector<2x4x{}>", "vector<{}>")


@pytest.mark.parametrize("name", sorted(ELEMENTWISE_OPS.keys() - QUANTIZED.keys()))
def test_payload_of_every_type(name: str) -> None:
    """Scalars and vectors alike; an op without a meaning for a type is refused by name of the type."""
    for element, wrap in itertools.product(FLOATS + INTEGERS, WRAPS):
        refused = element in (INTEGERS if name in FLOAT_ONLY else FLOATS if name in INTEGER_ONLY else ())
        refused = refused or (element == "i1" and name in NOT_ON_BOOLEANS)
        if refused:
            with pytest.raises(payload.PayloadError, match=f"element type {element}"):
                emit_function(name, element, wrap)
        else:
            emit_function(name, element, wrap)


@pytest.mark.parametrize("name", sorted(QUANTIZED.keys() - {"graph.lookup"}))
def test_payload_of_quantised_arithmetic(name: str) -> None:
    for element, wrap in itertools.product(("i8", "i16", "i32"), WRAPS):
        emit_function(name, element, wrap, result="f32" if name == "graph.dequantize" else element)


def test_relu_is_one_comparison_and_one_select() -> None:
    """The form that becomes a single maxps and keeps NaN."""
    text = str(emit_function("graph.relu", "f32", "vector<16x{}>"))
    assert "arith.cmpf olt" in text
    assert "arith.select" in text
    assert "maximumf" not in text


def test_half_precision_is_computed_wide_and_rounded_once() -> None:
    """One widening per operand and one rounding at the end, however many steps the op has."""
    text = str(emit_function("graph.gelu", "bf16", "vector<16x{}>"))
    assert text.count("arith.extf") == 1
    assert text.count("arith.truncf") == 1
