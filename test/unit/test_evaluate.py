"""The evaluator of constant expressions, against torch in float64 and by hand."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from random_numbers import RNG
from terrace.dialects.context import create_context
from terrace.errors import CompileError
from terrace.lowering.graph.evaluation import Constants
from terrace.mlir import parse_module

X = RNG.uniform(0.1, 2.0, (2, 3, 4))
Y = RNG.uniform(-2.0, 2.0, (3, 1))


def run(body: str, type_: str, **parameters: Any) -> np.ndarray:
    """Evaluate the constant of `body`, in which `%name` is the parameter `name`; a parameter is (array, type)."""
    declared = "".join(
        f'"graph.parameter"() {{sym_name = "{name}", type = {kind}}} : () -> ()\n'
        for name, (_, kind) in parameters.items()
    )
    loads = "".join(
        f'%{name} = "graph.load"() {{symbol = @{name}}} : () -> {kind}\n' for name, (_, kind) in parameters.items()
    )
    text = f"""{declared}
    "graph.constant"() ({{
      {loads}
      {body}
      "graph.yield"(%result) : ({type_}) -> ()
    }}) {{sym_name = "c", type = {type_}}} : () -> ()"""
    return Constants(parse_module(text, create_context())).evaluate("c", lambda name: parameters[name][0])


UNARY = {
    "abs": torch.abs,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "erf": torch.erf,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "floor": torch.floor,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "log": torch.log,
    "log1p": torch.log1p,
    "neg": torch.neg,
    "relu": torch.relu,
    "rsqrt": torch.rsqrt,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "sin": torch.sin,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
}


@pytest.mark.parametrize("name", sorted(UNARY))
def test_unary(name: str) -> None:
    x = X if name in ("log", "log1p", "rsqrt", "sqrt") else 4 * X - 4
    kind = "tensor<2x3x4xf64>"
    found = run(f'%result = "graph.{name}"(%x) : ({kind}) -> {kind}', kind, x=(x, kind))
    np.testing.assert_allclose(found, UNARY[name](torch.from_numpy(x)).numpy(), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    kind = "tensor<2x3x4xf64>"
    op = f'%result = "graph.gelu"(%x) {{approximate = "{approximate}"}} : ({kind}) -> {kind}'
    expected = F.gelu(torch.from_numpy(4 * X - 4), approximate=approximate).numpy()
    np.testing.assert_allclose(run(op, kind, x=(4 * X - 4, kind)), expected, rtol=1e-12, atol=1e-15)


BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "pow": torch.pow,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}


@pytest.mark.parametrize("name", sorted(BINARY))
def test_binary_broadcasts(name: str) -> None:
    x, y = "tensor<2x3x4xf64>", "tensor<3x1xf64>"
    found = run(f'%result = "graph.{name}"(%x, %y) : ({x}, {y}) -> {x}', x, x=(X, x), y=(Y, y))
    expected = BINARY[name](torch.from_numpy(X), torch.from_numpy(Y)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize(("predicate", "function"), [("lt", np.less), ("ge", np.greater_equal), ("ne", np.not_equal)])
def test_compare_and_select(predicate: str, function: Any) -> None:
    x = "tensor<3x1xf64>"
    found = run(
        f"""%zero = arith.constant dense<0.0> : tensor<f64>
        %mask = "graph.compare"(%x, %zero) {{predicate = "{predicate}"}} : ({x}, tensor<f64>) -> tensor<3x1xi1>
        %result = "graph.select"(%mask, %x, %zero) : (tensor<3x1xi1>, {x}, tensor<f64>) -> {x}""",
        x,
        x=(Y, x),
    )
    np.testing.assert_array_equal(found, np.where(function(Y, 0), Y, 0))


@pytest.mark.parametrize("kind", ["sum", "mean", "max", "min", "prod"])
def test_reduce(kind: str) -> None:
    op = f'%result = "graph.reduce"(%x) {{kind = "{kind}", axes = array<i64: 0, 2>, keepdims = true}}'
    found = run(f"{op} : (tensor<2x3x4xf64>) -> tensor<1x3x1xf64>", "tensor<1x3x1xf64>", x=(X, "tensor<2x3x4xf64>"))
    np.testing.assert_allclose(found, getattr(np, kind)(X, axis=(0, 2), keepdims=True), rtol=1e-14)


def test_contractions() -> None:
    """Both ways round of the right-hand side."""
    found = run(
        """%p = "graph.batch_matmul"(%x, %x) {transpose_rhs = true}
          : (tensor<2x3x4xf64>, tensor<2x3x4xf64>) -> tensor<2x3x3xf64>
        %result = "graph.matmul"(%p, %y) {transpose_rhs = false}
          : (tensor<2x3x3xf64>, tensor<3x1xf64>) -> tensor<2x3x1xf64>""",
        "tensor<2x3x1xf64>",
        x=(X, "tensor<2x3x4xf64>"),
        y=(Y, "tensor<3x1xf64>"),
    )
    np.testing.assert_allclose(found, X @ X.transpose(0, 2, 1) @ Y, rtol=1e-14)


def test_layout_ops_keep_elements() -> None:
    """Every element of a chain of layout ops comes out as it went in, in a type that numpy does not know."""
    x = np.arange(24).reshape(2, 3, 4).astype(ml_dtypes.bfloat16)
    found = run(
        """%0 = "graph.permute"(%x) {permutation = array<i64: 2, 0, 1>} : (tensor<2x3x4xbf16>) -> tensor<4x2x3xbf16>
        %1 = "graph.reshape"(%0) : (tensor<4x2x3xbf16>) -> tensor<4x6xbf16>
        %2 = "graph.slice"(%1) {starts = array<i64: 0, 1>, stops = array<i64: -1, 6>, steps = array<i64: 2, 1>}
          : (tensor<4x6xbf16>) -> tensor<2x5xbf16>
        %3 = "graph.concat"(%2, %2) {axis = 0 : i64} : (tensor<2x5xbf16>, tensor<2x5xbf16>) -> tensor<4x5xbf16>
        %4 = "graph.pad"(%3) {low = array<i64: 0, 1>, high = array<i64: 1, 0>, value = 7.0 : f64}
          : (tensor<4x5xbf16>) -> tensor<5x6xbf16>
        %result = "graph.broadcast"(%4) : (tensor<5x6xbf16>) -> tensor<2x5x6xbf16>""",
        "tensor<2x5x6xbf16>",
        x=(x, "tensor<2x3x4xbf16>"),
    )
    part = x.transpose(2, 0, 1).reshape(4, 6)[::2, 1:]
    expected = np.full((5, 6), 7, ml_dtypes.bfloat16)
    expected[:4, 1:] = np.concatenate([part, part])
    assert found.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(found, np.broadcast_to(expected, (2, 5, 6)))


def test_pack_pads_and_blocks() -> None:
    """The example of the op's docstring, with 5 channels in blocks of 4."""
    x = RNG.standard_normal((5, 2, 3, 3)).astype(np.float32)
    found = run(
        """%result = "graph.pack"(%x) {outer_permutation = array<i64: 0, 2, 3, 1>, inner_dims = array<i64: 0>,
          inner_tiles = array<i64: 4>} : (tensor<5x2x3x3xf32>) -> tensor<2x3x3x2x4xf32>""",
        "tensor<2x3x3x2x4xf32>",
        x=(x, "tensor<5x2x3x3xf32>"),
    )
    for o in range(8):
        expected = x[o].transpose(1, 2, 0) if o < 5 else 0
        np.testing.assert_array_equal(found[o // 4, ..., o % 4], np.broadcast_to(expected, (3, 3, 2)))


@pytest.mark.parametrize("imaginary", [False, True])
def test_roots_of_unity(imaginary: bool) -> None:
    found = run(
        f'%result = "graph.roots_of_unity"() {{length = 6 : i64, imaginary = {str(imaginary).lower()}}}'
        " : () -> tensor<3x5xf32>",
        "tensor<3x5xf32>",
    )
    roots = np.exp(2j * np.pi * np.outer(range(3), range(5)) / 6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, roots.imag if imaginary else roots.real, rtol=0, atol=6e-8)


def test_embedding() -> None:
    table = RNG.standard_normal((5, 2)).astype(np.float32)
    found = run(
        '%result = "graph.embedding"(%t, %i) : (tensor<5x2xf32>, tensor<3xi64>) -> tensor<3x2xf32>',
        "tensor<3x2xf32>",
        t=(table, "tensor<5x2xf32>"),
        i=(np.array([4, 0, 4]), "tensor<3xi64>"),
    )
    np.testing.assert_array_equal(found, table[[4, 0, 4]])
    blocks = np.pad(table, ((0, 1), (0, 0))).reshape(3, 2, 2).transpose(0, 2, 1)
    found = run(
        '%result = "graph.embedding"(%t, %i) : (tensor<3x2x2xf32>, tensor<3xi64>) -> tensor<3x2xf32>',
        "tensor<3x2xf32>",
        t=(blocks, "tensor<3x2x2xf32>"),
        i=(np.array([4, 0, 4]), "tensor<3xi64>"),
    )
    np.testing.assert_array_equal(found, table[[4, 0, 4]])


@pytest.mark.parametrize("row", [-1, 5])
def test_an_index_out_of_range_is_refused(row: int) -> None:
    with pytest.raises(CompileError, match=rf"'graph\.embedding' op picks row {row} of a table of 5"):
        run(
            '%result = "graph.embedding"(%t, %i) : (tensor<5x2xf32>, tensor<2xi64>) -> tensor<2x2xf32>',
            "tensor<2x2xf32>",
            t=(np.zeros((5, 2), np.float32), "tensor<5x2xf32>"),
            i=(np.array([0, row]), "tensor<2xi64>"),
        )


def test_integers_are_exact_and_wrap() -> None:
    """Neither beyond 2^53, where float64 rounds, nor at the end of the type."""
    x = np.array([2**60 + 1, 2**63 - 1])
    found = run(
        """%one = arith.constant dense<[0, 1]> : tensor<2xi64>
        %result = "graph.add"(%x, %one) : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>""",
        "tensor<2xi64>",
        x=(x, "tensor<2xi64>"),
    )
    assert found.tolist() == [2**60 + 1, -(2**63)]


def test_rounds_once() -> None:
    """(x + 2^-30) - x in f32 is what float64 says, not 0."""
    x = np.ones(3, np.float32)
    found = run(
        """%tiny = arith.constant dense<9.31322574615478515625e-10> : tensor<f32>
        %0 = "graph.add"(%x, %tiny) : (tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
        %result = "graph.sub"(%0, %x) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>""",
        "tensor<3xf32>",
        x=(x, "tensor<3xf32>"),
    )
    np.testing.assert_array_equal(found, np.full(3, 2.0**-30, np.float32))


@pytest.mark.parametrize(("kind", "bits"), [("bf16", 8), ("f8E5M2", 3), ("f8E4M3FN", 4), ("f16", 11)])
@pytest.mark.parametrize("cast", [False, True])
def test_narrow_types_are_rounded_once(kind: str, bits: int, cast: bool) -> None:
    """By float32, the numbers beside the middle of two neighbours would become that middle, and go to the even one."""
    unit = 2.0 ** (1 - bits)
    middle = np.array([1 + unit / 2, 1 + 3 * unit / 2, -1 - unit / 2, 0.5 + unit / 4])
    less, more = np.array([1, 1 + unit, -1, 0.5]), np.array([1 + unit, 1 + 2 * unit, -1 - unit, 0.5 + unit / 2])
    even = np.where(np.array([True, False, True, True]), less, more)
    away = np.sign(middle) * 2.0**-40
    x = np.stack([middle - away, middle, middle + away, np.array([np.nan, np.inf, -0.0, 2.0**-300])])
    wanted = np.stack([less, even, more, np.array([np.nan, np.inf, -0.0, 0.0])])
    if kind == "f8E4M3FN":
        wanted[3, 1] = np.nan  # it has no infinity
    # The values come in float64, are still so when they are rounded, and are read back exactly.
    narrow, wide = f"tensor<4x4x{kind}>", "tensor<4x4xf64>"
    op = f'%0 = "graph.cast"(%x) : ({wide}) -> {narrow}'
    if cast:
        found = run(f'{op}\n%result = "graph.cast"(%0) : ({narrow}) -> {wide}', wide, x=(x, wide))
    else:
        text = f'%result = "graph.neg"(%x) : ({narrow}) -> {narrow}'
        found = -run(text, narrow, x=(x, narrow)).astype(np.float64)
    np.testing.assert_array_equal(found, wanted)
    assert np.signbit(found[3, 2])


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("bf16", [1.00390625, 2.7], [1.0, 2.703125]),
        ("i32", [-1.9, 2.7], [-1, 2]),
        ("i1", [0.0, 0.3], [False, True]),
    ],
)
def test_cast(kind: str, values: list[float], expected: list[Any]) -> None:
    """A cast to a narrower type rounds to the nearest, to an integer truncates, to a boolean asks for zero."""
    op = f'"graph.cast"(%x) : (tensor<2xf32>) -> tensor<2x{kind}>'
    back = f'"graph.cast"(%0) : (tensor<2x{kind}>) -> tensor<2xf64>'
    found = run(f"%0 = {op}\n%result = {back}", "tensor<2xf64>", x=(np.array(values, np.float32), "tensor<2xf32>"))
    assert found.tolist() == [float(value) for value in expected]


NESTED = """
"graph.parameter"() {sym_name = "p", type = tensor<2xf32>} : () -> ()
"graph.constant"() ({
  %0 = "graph.load"() {symbol = @p} : () -> tensor<2xf32>
  %1 = "graph.exp"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  "graph.yield"(%1) : (tensor<2xf32>) -> ()
}) {sym_name = "inner", type = tensor<2xf32>} : () -> ()
"graph.constant"() ({
  %0 = "graph.load"() {symbol = @inner} : () -> tensor<2xf32>
  %1 = "graph.log"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  "graph.yield"(%1) : (tensor<2xf32>) -> ()
}) {sym_name = "outer", type = tensor<2xf32>} : () -> ()
"""


def test_constants_of_constants_round_once() -> None:
    module = parse_module(NESTED, create_context())
    p = np.array([1e-9, 20.3], np.float32)
    found = Constants(module).evaluate("outer", {"p": p}.__getitem__)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.log(np.exp(p.astype(np.float64))).astype(np.float32), rtol=1e-7)


@pytest.mark.parametrize(
    ("text", "symbol", "message"),
    [
        (NESTED, "nowhere", "loads @nowhere"),
        (NESTED.replace("symbol = @p", "symbol = @outer"), "outer", "outer -> inner -> outer"),
        (NESTED.replace('sym_name = "p", type = tensor<2x', 'sym_name = "p", type = tensor<3x'), "p", "says \\(3,\\)"),
        (NESTED.replace("graph.exp", "math.exp"), "inner", "'math.exp' op has no rule for constant evaluation"),
    ],
    ids=["unknown", "cycle", "shape", "op"],
)
def test_refuses(text: str, symbol: str, message: str) -> None:
    module = parse_module(text, create_context())
    with pytest.raises(CompileError, match=message):
        Constants(module).evaluate(symbol, lambda name: np.ones(2, np.float32))


@pytest.mark.parametrize("axis", [0, 2])
def test_softmax(axis: int) -> None:
    kind, x = "tensor<2x3x4xf64>", np.where(X > 1.9, np.inf, 300 * Y * X)
    found = run(f'%result = "graph.softmax"(%x) {{axis = {axis} : i64}} : ({kind}) -> {kind}', kind, x=(x, kind))
    np.testing.assert_allclose(found, torch.softmax(torch.from_numpy(x), axis).numpy(), rtol=1e-12, atol=1e-300)


def test_norms() -> None:
    kind, vector, x = "tensor<2x3x4xf64>", "tensor<3x4xf64>", torch.from_numpy(X)
    scale, shift = RNG.uniform(-1, 1, (3, 4)), RNG.uniform(-1, 1, (3, 4))
    given = {"x": (X, kind), "scale": (scale, vector), "shift": (shift, vector)}
    op = '%result = "graph.layer_norm"(%x, %scale, %shift) {epsilon = 1.0e-3 : f64}'
    found = run(f"{op} : ({kind}, {vector}, {vector}) -> {kind}", kind, **given)
    expected = F.layer_norm(x, (3, 4), torch.from_numpy(scale), torch.from_numpy(shift), 1e-3)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12)
    op = '%result = "graph.rms_norm"(%x, %scale) {epsilon = 1.0e-3 : f64}'
    found = run(f"{op} : ({kind}, {vector}) -> {kind}", kind, **given)
    np.testing.assert_allclose(found, F.rms_norm(x, (3, 4), torch.from_numpy(scale), 1e-3).numpy(), rtol=1e-12)


def test_shifts() -> None:
    kind, x = "tensor<8xi8>", np.array([-128, -1, 0, 1, 3, 127, -5, -5], np.int8)
    y = np.array([1, 7, 8, -1, 2, 9, 8, -1], np.int8)
    for name, expected in (("left", [0, -128, 0, 0, 12, 0, 0, 0]), ("right", [-64, -1, 0, 0, 0, 0, -1, -1])):
        op = f'%result = "graph.shift_{name}"(%x, %y) : ({kind}, {kind}) -> {kind}'
        np.testing.assert_array_equal(run(op, kind, x=(x, kind), y=(y, kind)), np.array(expected, np.int8))
