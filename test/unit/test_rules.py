"""The tables of rules about ops: the ops that each has no rule for, with the reason, so that none is forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from terrace.dialects import graph
from terrace.dialects.context import create_context
from terrace.dialects.graph_macs import MACS, macs_of
from terrace.dialects.rules import RuleTable
from terrace.errors import PassError
from terrace.lowering.conversion.convert_graph_to_linalg import REFERENCES
from terrace.lowering.graph.evaluation import EVALUATION
from terrace.lowering.graph.payload import FLOAT, INTEGER
from terrace.lowering.graph.payload_quantized import QUANTIZED
from terrace.lowering.quantization.quantizer import QUANTIZATION
from terrace.mlir import DYNAMIC, ir, parse_module, walk

OPS = {op.OPERATION_NAME for op in graph.Graph.operations if hasattr(op, "OPERATION_NAME")}


def named(names: str) -> list[str]:
    return [f"graph.{name}" for name in names.split()]


def because(*reasons: tuple[str, str]) -> dict[str, str]:
    """Names of ops, apart by spaces, and the reason of them all."""
    return {name: reason for names, reason in reasons for name in named(names)}


SYMBOLS = "constant load load_state parameter part state store_state"
MOVES = "decode encode border_pad broadcast concat embedding gather pack pad permute reshape slice"
ROUNDING = "dequantize lookup quantize requantize scaled_add integer_layer_norm integer_softmax sum_pool2d"
ELEMENTWISE = (
    "abs add bitcast bitwise_and bitwise_or bitwise_xor cast ceil compare copysign cos div erf exp expm1 floor fmod"
    " gelu hardsigmoid hardswish log log1p maximum minimum mul neg pow relu round rsqrt select shift_left"
    " shift_right sigmoid silu sin sqrt sub tanh"
)

WITHOUT: dict[str, tuple[RuleTable[Any], dict[str, str]]] = {
    "references": (
        REFERENCES,
        because(
            (SYMBOLS, "what outlives a call becomes a global of the program"),
            ("yield", "goes with the op that it ends"),
        ),
    ),
    "evaluation": (
        EVALUATION,
        because(
            (f"{SYMBOLS} fusion yield", "computes nothing: structure, or state that calls change"),
            ("random_bits", "every call draws anew"),
        ),
    ),
    "macs": (
        MACS,
        because(
            (f"{SYMBOLS} fusion yield", "computes nothing; what a fusion holds is counted op by op"),
            (f"{MOVES} argsort arg_scan topk", "moves, rounds or compares elements"),
            (ELEMENTWISE, "sums nothing"),
            (ROUNDING, "rounds integers; sums without products"),
            ("avg_pool2d max_pool2d reduce scan scatter", "sums or compares without products"),
            (
                "batch_norm group_norm layer_norm resample rms_norm softmax",
                "few operations for each element that is moved",
            ),
            ("random_bits roots_of_unity", "makes numbers of nothing"),
        ),
    ),
    "quantisation": (
        QUANTIZATION,
        because(
            (f"{SYMBOLS} fusion yield", "computes nothing; functions are quantised before ops are fused"),
            (ROUNDING, "computes in integers already"),
            ("batch_norm attention", "taken apart before, into ops that have rules"),
            ("bitcast bitwise_and bitwise_or bitwise_xor", "computes in integers that stand for themselves"),
            ("shift_left shift_right random_bits", "computes in integers that stand for themselves"),
            ("argsort arg_scan topk", "gives integers that stand for themselves"),
            ("cast compare select copysign abs neg maximum minimum", "exact in float, and cheap"),
            ("ceil floor log log1p round rsqrt sqrt", "jumps or is steep somewhere: 256 values do not say what it is"),
            ("div fmod pow", "a function of two tensors, which no table of 256 values holds"),
            (
                "border_pad broadcast concat embedding gather pad pack resample roots_of_unity scatter",
                "moves or weighs elements, makes them of nothing, or updates a few, in float",
            ),
            (
                "conv_transpose2d decode encode encoded_matmul group_norm rms_norm scan",
                "has no integer form: stays in float",
            ),
        ),
    ),
}
"""Each table, and the ops that it has no rule for."""


@pytest.mark.parametrize("table", WITHOUT)
def test_every_op_has_a_rule_or_a_reason(table: str) -> None:
    rules, without = WITHOUT[table]
    assert not rules.op_names & set(without), "these have a rule"
    assert OPS - rules.op_names == set(without)
    assert rules.op_names <= OPS


def test_every_elementwise_op_has_a_payload() -> None:
    """By element type; without one, its reference and its kernels would refuse every type."""
    found = {f"graph.{name}" for name in (*FLOAT, *INTEGER, *QUANTIZED, "bitcast", "cast", "compare", "select")}
    assert found == set(graph.ELEMENTWISE_OPS)


def first(text: str) -> ir.Operation:
    return next(iter(walk(parse_module(text, create_context()).operation)))


@pytest.fixture
def relu() -> Iterable[ir.Operation]:
    """At line 2."""
    text = """func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
      %0 = "graph.relu"(%x) : (tensor<2xf32>) -> tensor<2xf32>
      return %0 : tensor<2xf32>
    }"""
    module = parse_module(text, create_context())
    yield module.body.operations[0].regions[0].blocks[0].operations[0].operation


def test_a_table_finds_the_rule_of_an_op(relu: ir.Operation) -> None:
    table: RuleTable[str] = RuleTable("tests")
    assert table.add(graph.ReluOp, graph.AbsOp)("rule") == "rule"
    assert (relu in table, table.get(relu), table.of(relu), list(table)) == (True, "rule", "rule", ["rule", "rule"])
    assert table.op_names == {"graph.relu", "graph.abs"}


def test_an_op_without_a_rule_is_refused_where_it_stands(relu: ir.Operation) -> None:
    table: RuleTable[str] = RuleTable("tests")
    assert (relu in table, table.get(relu)) == (False, None)
    with pytest.raises(PassError, match=r":2:12: error: 'graph\.relu' op has no rule for tests"):
        table.of(relu)


def test_a_second_rule_of_a_class_is_an_error() -> None:
    table: RuleTable[str] = RuleTable("tests")
    table.add(graph.ReluOp)("one")
    with pytest.raises(ValueError, match=r"'graph\.relu' has a rule for tests already"):
        table.add(graph.AbsOp, graph.ReluOp)("two")


IMAGE = "strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>"


@pytest.mark.parametrize(
    ("op", "operands", "result", "count"),
    [
        ('"graph.matmul"{transpose_rhs = false}', ("2x3x4", "4x5"), "2x3x5", 2 * 3 * 5 * 4),
        ('"graph.matmul"{transpose_rhs = true}', ("?x4", "5x4"), "?x5", DYNAMIC),
        ('"graph.batch_matmul"{transpose_rhs = true}', ("2x3x4", "2x5x4"), "2x3x5", 2 * 3 * 5 * 4),
        (
            f'"graph.conv2d"{{padding = array<i64: 0, 0, 0, 0>, groups = 2 : i64, layout = "NHWC", {IMAGE}}}',
            ("1x5x6x4", "8x2x3x3"),
            "1x3x4x8",
            3 * 4 * 8 * 2 * 9,
        ),
        (
            '"graph.conv_transpose2d"{padding = array<i64: 0, 0>, output_padding = array<i64: 0, 0>, '
            f'groups = 1 : i64, layout = "NCHW", {IMAGE}}}',
            ("1x4x5x6", "4x3x2x2"),
            "1x3x6x7",
            4 * 5 * 6 * 3 * 4,
        ),
        ('"graph.attention"{scale = 1.0, is_causal = true}', ("2x3x4", "2x5x4", "2x5x7"), "2x3x7", 2 * 3 * 5 * (4 + 7)),
        ('"graph.relu"{}', ("2x3",), "2x3", 0),
    ],
)
def test_macs(op: str, operands: tuple[str, ...], result: str, count: int) -> None:
    name, _, attributes = op.partition("{")
    types = [f"tensor<{shape}xf32>" for shape in operands]
    arguments = ", ".join(f"%a{i}: {type_}" for i, type_ in enumerate(types))
    values = ", ".join(f"%a{i}" for i in range(len(types)))
    text = f"""func.func @f({arguments}) {{
      %0 = {name}({values}) {{{attributes} : ({", ".join(types)}) -> tensor<{result}xf32>
      return
    }}"""
    module = parse_module(text, create_context())
    assert macs_of(module.body.operations[0].regions[0].blocks[0].operations[0].operation) == count
