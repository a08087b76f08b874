"""The numbers of the compile report: multiply-accumulates and bytes of known shapes."""

from __future__ import annotations

from typing import Any

import pytest
from terrace.compiler.layer_report import layer_graph, merge_layers
from terrace.compiler.module_interface import entries_of
from terrace.dialects.context import create_context
from terrace.lowering.conversion.convert_graph_to_kernel import ConvertGraphToKernel
from terrace.mlir import ir, parse_module
from terrace.passes import run_passes

CONV = """{strides = array<i64: 1, 1>, padding = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>,
          groups = %d : i64, layout = "%s"}"""

MATMUL = '"graph.matmul"(%0, %1) {transpose_rhs = false}'

# name: arguments, op, result, MACs, bytes, whose code runs it
CASES: dict[str, tuple[list[str], str, str, int | None, int | None, str]] = {
    "matmul": (["5x7xf32", "7x3xf32"], MATMUL, "5x3xf32", 105, 284, "terrace"),
    "leading dimensions": (
        ["2x5x7xf32", "3x7xf32"], '"graph.matmul"(%0, %1) {transpose_rhs = true}', "2x5x3xf32", 210, 484, "terrace",
    ),
    "dynamic": (["?x7xf32", "7x3xf32"], MATMUL, "?x3xf32", None, None, "terrace"),
    "float64": (["5x7xf64", "7x3xf64"], MATMUL, "5x3xf64", 105, 568, "iree"),
    "grouped conv2d": (
        ["1x6x6x8xf32", "12x4x3x3xf32"], f'"graph.conv2d"(%0, %1) {CONV % (2, "NHWC")}', "1x4x4x12xf32",
        4 * 4 * 12 * 4 * 9, 4 * (288 + 432 + 192), "terrace",
    ),
    "grouped conv2d, NCHW": (
        ["1x8x6x6xf32", "12x4x3x3xf32"], f'"graph.conv2d"(%0, %1) {CONV % (2, "NCHW")}', "1x12x4x4xf32",
        4 * 4 * 12 * 4 * 9, 4 * (288 + 432 + 192), "iree",
    ),
    "conv_transpose2d": (
        ["1x6x4x4xf32", "6x5x2x2xf32"],
        '"graph.conv_transpose2d"(%0, %1) {strides = array<i64: 2, 2>, padding = array<i64: 0, 0>,'
        ' output_padding = array<i64: 0, 0>, dilations = array<i64: 1, 1>, groups = 1 : i64, layout = "NCHW"}',
        "1x5x8x8xf32", 6 * 16 * 5 * 4, 4 * (96 + 120 + 320), "iree",
    ),
    "attention": (
        ["2x5x8xf32", "2x7x8xf32", "2x7x3xf32"], '"graph.attention"(%0, %1, %2) {scale = 1.0 : f64, is_causal = false}',
        "2x5x3xf32", 2 * 5 * 7 * (8 + 3), 4 * (80 + 112 + 42 + 30), "terrace",
    ),
    "relu": (["5x7xf32"], '"graph.relu"(%0)', "5x7xf32", 0, 280, "terrace"),
}  # fmt: skip


def rows_of(text: str) -> list[dict[str, Any]]:
    context = create_context()
    module = parse_module(text, context)
    with context, ir.Location.unknown():
        run_passes([ConvertGraphToKernel()], module.operation)
        return merge_layers(layer_graph(entries_of(module.operation)["main"])["layers"])


def function(arguments: list[str], body: str, result: str) -> str:
    parameters = ", ".join(f"%{i}: tensor<{type_}>" for i, type_ in enumerate(arguments))
    return f"func.func @main({parameters}) -> tensor<{result}> {{\n{body}\n  return %r : tensor<{result}>\n}}"


@pytest.mark.parametrize("name", CASES)
def test_work_of_one_op(name: str) -> None:
    arguments, op, result, macs, size, by = CASES[name]
    types = ", ".join(f"tensor<{type_}>" for type_ in arguments)
    (row,) = rows_of(function(arguments, f"  %r = {op} : ({types}) -> tensor<{result}>", result))
    assert (row["macs"], row["bytes"], row["by"], row["calls"]) == (macs, size, by, 1)


LINALG = {
    "linalg.matmul ins(%0, %1 : tensor<5x7xf32>, tensor<7x3xf32>) outs(%2 : tensor<5x3xf32>) -> tensor<5x3xf32>": 105,
    "linalg.add ins(%2, %2 : tensor<5x3xf32>, tensor<5x3xf32>) outs(%2 : tensor<5x3xf32>) -> tensor<5x3xf32>": 0,
}


@pytest.mark.parametrize("op", LINALG)
def test_work_of_linalg(op: str) -> None:
    (row,) = rows_of(function(["5x7xf32", "7x3xf32", "5x3xf32"], f"  %r = {op}", "5x3xf32"))
    assert (row["macs"], row["by"]) == (LINALG[op], "iree")


def test_work_of_a_linalg_convolution() -> None:
    op = """  %r = linalg.conv_2d_nhwc_hwcf {strides = dense<2> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}
      ins(%0, %1 : tensor<1x9x9x4xf32>, tensor<3x3x4x6xf32>) outs(%2 : tensor<1x4x4x6xf32>) -> tensor<1x4x4x6xf32>"""
    (row,) = rows_of(function(["1x9x9x4xf32", "3x3x4x6xf32", "1x4x4x6xf32"], op, "1x4x4x6xf32"))
    assert row["macs"] == 4 * 4 * 6 * 9 * 4


def test_calls_of_one_kernel_are_one_row() -> None:
    body = """  %a = "graph.relu"(%0) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %r = "graph.matmul"(%a, %0) {transpose_rhs = false} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %b = "graph.relu"(%r) : (tensor<4x4xf32>) -> tensor<4x4xf32>"""
    relu, matmul = rows_of(function(["4x4xf32"], body, "4x4xf32"))
    assert (relu["op"], relu["calls"], relu["bytes"]) == ("relu", 2, 256)
    assert (matmul["op"], matmul["calls"], matmul["macs"]) == ("matmul", 1, 64)


def test_ops_of_a_refused_group_have_its_reason() -> None:
    body = """  %r = "graph.fusion"() ({
    %a = "graph.matmul"(%0, %0) {transpose_rhs = false} : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xf64>
    %b = "graph.relu"(%a) : (tensor<4x4xf64>) -> tensor<4x4xf64>
    "graph.yield"(%b) : (tensor<4x4xf64>) -> ()
  }) : () -> tensor<4x4xf64>"""
    rows = rows_of(function(["4x4xf64"], body, "4x4xf64"))
    assert [(row["op"], row["why"]) for row in rows] == [
        ("matmul", "element type f64 of graph.matmul"),
        ("relu", "element type f64 of graph.matmul"),
    ]


# -- layers -----------------------------------------------------------------------------------------------------------


def graph_of(text: str) -> dict[str, Any]:
    context = create_context()
    module = parse_module(text, context)
    with context, ir.Location.unknown():
        run_passes([ConvertGraphToKernel()], module.operation)
        return layer_graph(entries_of(module.operation)["main"])


def figures(layer: dict[str, Any]) -> list[int | None]:
    return [layer[key] for key in ("macs", "read", "written", "weights", "live")]


LINEAR = """
"graph.parameter"() {sym_name = "fc.weight", type = tensor<3x7xf32>} : () -> ()
"graph.parameter"() {sym_name = "fc.bias", type = tensor<3xf32>} : () -> ()
func.func @main(%x: tensor<5x7xf32>) -> tensor<5x3xf32> {
  %w = "graph.load"() {symbol = @fc.weight} : () -> tensor<3x7xf32>
  %b = "graph.load"() {symbol = @fc.bias} : () -> tensor<3xf32>
  %0 = "graph.fusion"() ({
    %1 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<5x7xf32>, tensor<3x7xf32>) -> tensor<5x3xf32>
    %2 = "graph.add"(%1, %b) : (tensor<5x3xf32>, tensor<3xf32>) -> tensor<5x3xf32>
    "graph.yield"(%2) : (tensor<5x3xf32>) -> ()
  }) : () -> tensor<5x3xf32>
  return %0 : tensor<5x3xf32>
}"""


def test_a_linear() -> None:
    """x is 5x7, W 3x7, b 3, y 5x3, of 4 bytes each; W and b are weights, x and y the working set."""
    graph = graph_of(LINEAR)
    (layer,) = graph["layers"]
    weights = 4 * (3 * 7 + 3)
    assert figures(layer) == [5 * 7 * 3, 4 * 5 * 7 + weights, 4 * 5 * 3, weights, 4 * (5 * 7 + 5 * 3)]
    assert (layer["module"], layer["inputs"], graph["outputs"]) == ("fc", ["input 0"], ["0"])


def test_a_convolution() -> None:
    """An image of 6x6x8 and filters of 12x8x3x3 give 4x4x12; both come from outside, so none is a weight."""
    op = f'"graph.conv2d"(%0, %1) {CONV % (1, "NHWC")} : (tensor<1x6x6x8xf32>, tensor<12x8x3x3xf32>) -> '
    (layer,) = graph_of(function(["1x6x6x8xf32", "12x8x3x3xf32"], f"  %r = {op} tensor<1x4x4x12xf32>", "1x4x4x12xf32"))[
        "layers"
    ]
    image, filters, result = 4 * 6 * 6 * 8, 4 * 12 * 8 * 9, 4 * 4 * 4 * 12
    assert figures(layer) == [4 * 4 * 12 * 8 * 9, image + filters, result, 0, image + filters + result]


def test_what_a_later_layer_reads_is_in_the_working_set() -> None:
    """x (64 bytes) waits for the last addition while the first two layers run; a is dead when b has been made."""
    body = """  %a = "graph.softmax"(%0) {axis = 1 : i64} : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %b = "graph.softmax"(%a) {axis = 1 : i64} : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %r = "graph.add"(%b, %0) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>"""
    graph = graph_of(function(["4x4xf32"], body, "4x4xf32"))
    assert [layer["live"] for layer in graph["layers"]] == [128, 192, 192]
    assert [layer["inputs"] for layer in graph["layers"]] == [["input 0"], ["0"], ["1", "input 0"]]


def test_a_tensor_that_is_read_twice_counts_once() -> None:
    body = '  %r = "graph.mul"(%0, %0) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>'
    (layer,) = graph_of(function(["4x4xf32"], body, "4x4xf32"))["layers"]
    assert (layer["read"], layer["written"]) == (64, 64)


def test_a_reshape_is_the_same_memory() -> None:
    """The reshaped x and x itself are one tensor of 64 bytes."""
    body = """  %a = "graph.reshape"(%0) : (tensor<4x4xf32>) -> tensor<2x8xf32>
  %b = "graph.softmax"(%a) {axis = 1 : i64} : (tensor<2x8xf32>) -> tensor<2x8xf32>
  %c = "graph.reshape"(%b) : (tensor<2x8xf32>) -> tensor<4x4xf32>
  %r = "graph.add"(%c, %0) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>"""
    first, second = graph_of(function(["4x4xf32"], body, "4x4xf32"))["layers"]
    assert (first["live"], second["live"], second["read"], second["inputs"]) == (128, 192, 128, ["0", "input 0"])


def test_look_ups_read_what_they_pick() -> None:
    """Three rows of a table of a thousand, and three indices of 8 bytes."""
    body = '  %r = "graph.embedding"(%0, %1) : (tensor<1000x4xf32>, tensor<3xi64>) -> tensor<3x4xf32>'
    (layer,) = graph_of(function(["1000x4xf32", "3xi64"], body, "3x4xf32"))["layers"]
    assert (layer["read"], layer["written"]) == (3 * 4 * 4 + 3 * 8, 3 * 4 * 4)


def terms(layer: dict[str, Any], key: str) -> list[list[Any]]:
    return layer["symbolic"][key]


def test_dynamic_sizes_are_symbols() -> None:
    """x is ?x7, y ?x3: what depends on ? is no number, but a polynomial of the symbol of that size."""
    (layer,) = graph_of(LINEAR.replace("5x", "?x"))["layers"]
    weights = 4 * (3 * 7 + 3)
    assert figures(layer) == [None, None, None, weights, None]
    assert layer["shape"] == ["?", 3]
    assert terms(layer, "macs") == [[7 * 3, "s0_0"]]
    assert sorted(terms(layer, "read")) == [[4 * 7, "s0_0"], [weights]]
    assert terms(layer, "written") == [[4 * 3, "s0_0"]]
    assert terms(layer, "live") == [[4 * (7 + 3), "s0_0"]]


def test_two_dynamic_sizes() -> None:
    """A product of ?x? by ?x3: m·k·3 MACs."""
    op = '"graph.matmul"(%0, %1) {transpose_rhs = false} : (tensor<?x?xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>'
    (layer,) = graph_of(function(["?x?xf32", "?x3xf32"], f"  %r = {op}", "?x3xf32"))["layers"]
    assert terms(layer, "macs") == [[3, "s0_0", "s0_1"]]
    assert sorted(terms(layer, "read")) == [[4, "s0_0", "s0_1"], [12, "s1_0"]]


def test_sizes_that_cannot_be_followed_stay_open() -> None:
    """The size of a slice of unknown length is computed in ways that are not followed: no figure, and no symbol."""
    body = """  %a = tensor.extract_slice %0[%n] [%n] [1] : tensor<?xf32> to tensor<?xf32>
  %r = "graph.relu"(%a) : (tensor<?xf32>) -> tensor<?xf32>"""
    text = function(["?xf32"], body, "?xf32").replace("{\n", "{\n  %n = arith.constant 4 : index\n", 1)
    layers = graph_of(text)["layers"]
    assert all(layer["written"] is None and "written" not in layer.get("symbolic", {}) for layer in layers) and layers
