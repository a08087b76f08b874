"""Kernels of int8: on a CPU and as simulated hardware, both equal to exact integers, whatever the shape."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
import quantized_reference as exact
import terrace
from generator_programs import CONVS, MATMULS, conv
from graph_program import Program, foreign_rows
from random_numbers import RNG
from terrace.dialects import graph
from terrace.dialects.base import shape_of
from terrace.errors import TerraceError
from terrace.lowering.graph.builders import splat
from terrace.mlir import ir

TARGETS = [
    "cpu",
    pytest.param("hls", marks=pytest.mark.skipif(shutil.which("g++") is None, reason="simulation needs g++")),
]


def int8(*shape: int) -> np.ndarray:
    """Numbers of the whole range, both ends among them."""
    values = RNG.integers(-128, 128, shape).astype(np.int8)
    flat = values.reshape(-1)
    flat[:2] = [-128, 127][: flat.size]
    return values


def of_type(shape: list[int], element: str) -> ir.Type:
    return ir.RankedTensorType.get(shape, ir.Type.parse(element))


def product(lhs: ir.Value, rhs: ir.Value, op: Any = graph.MatmulOp, transposed: bool = True) -> ir.Value:
    """A product of matrices of i8, summed in i32."""
    columns = shape_of(rhs)[-2 if transposed else -1]
    shape = [*shape_of(lhs)[:-1], columns]
    return op.build(lhs, rhs, transpose_rhs=transposed, result_type=of_type(shape, "i32"))


def requantized(p: Program, sums: ir.Value, terms: int) -> ir.Value:
    """Bias, then a multiplier and a shift for each channel that keep most results in range; some saturate."""
    channels = shape_of(sums)[-1]
    bias = p.parameter(RNG.integers(-(2**12), 2**12, channels).astype(np.int32))
    multiplier = p.parameter(RNG.integers(2**30, 2**31, channels).astype(np.int32))
    shift = p.parameter(RNG.integers(36, 38, channels).astype(np.int32) + int(np.log2(terms) / 2))
    total = graph.AddOp.build(sums, bias)
    return graph.RequantizeOp.build(total, multiplier, shift, result_type=of_type(shape_of(sums), "i8"))


def matmuls() -> Program:
    program = Program()
    with program as p:
        for m, k, n in MATMULS:
            x = p.argument(int8(m, k))
            for transposed, shape in ((True, (n, k)), (False, (k, n))):
                sums = product(x, p.parameter(int8(*shape)), transposed=transposed)
                p.result(f"matmul {m}x{k}x{n} {transposed}", requantized(p, sums, k))
        q, k_ = p.argument(int8(2, 3, 9, 8)), p.argument(int8(2, 3, 7, 8))
        scores = product(q, k_, graph.BatchMatmulOp)
        i32 = ir.Type.parse("i32")
        whole = graph.RequantizeOp.build(
            scores, splat(3, i32), splat(9, i32), result_type=of_type(shape_of(scores), "i8")
        )
        p.result("batch_matmul", whole)
        p.result("sums of an int8 product", product(q, p.argument(int8(2, 3, 8, 5)), graph.BatchMatmulOp, False))
    return program


def convs() -> Program:
    program = Program()
    with program as p:
        for name, case in CONVS.items():
            attributes = {key: value for key, value in case.items() if key not in ("image", "weight")}
            image, weight = p.argument(int8(*case["image"])), p.parameter(int8(*case["weight"]))
            wrapping = conv(p, image, weight, **attributes)
            sums = conv(p, image, weight, **attributes, result_type=of_type(shape_of(wrapping), "i32"))
            wrapping.owner.erase()  # it only told the shape
            p.result(name, graph.ReluOp.build(requantized(p, sums, int(np.prod(case["weight"][1:])))))
    return program


def depthwise() -> Program:
    """Windows of one row to more than an atom takes together, channels around whole registers, and only the ends."""
    program = Program()
    with program as p:
        for channels, window, strides, dilations, padding in (
            (64, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
            (80, (1, 3), (1, 2), (1, 1), (0, 0, 2, 0)),
            (131, (3, 2), (2, 1), (2, 3), (2, 1, 0, 3)),
            (33, (7, 3), (2, 2), (1, 1), (3, 3, 1, 1)),
            (16, (4, 3), (1, 1), (1, 1), (0, 0, 0, 0)),
        ):
            attributes = {"strides": strides, "dilations": dilations, "padding": padding, "groups": channels}
            for name, pixel, factor in (("any", 0, 0), ("lowest", -128, 127), ("least product", 127, -128)):
                shape = (1, 9, 10, channels), (channels, 1, *window)
                pixels, weights = int8(*shape[0]), int8(*shape[1])
                if pixel:
                    pixels[:], weights[:] = pixel, factor
                image, weight = p.argument(pixels), p.parameter(weights)
                wrapping = conv(p, image, weight, **attributes)
                sums = conv(p, image, weight, **attributes, result_type=of_type(shape_of(wrapping), "i32"))
                wrapping.owner.erase()
                p.result(f"{channels} {window} {name}", requantized(p, sums, int(np.prod(window))))
                p.result(f"sums of {channels} {window} {name}", sums)
    return program


def casts() -> Program:
    """The ways in and out, and what joins two tensors of different scales."""
    program = Program()
    with program as p:
        hurting = np.array([0.5, -0.5, 1.5, 2.5, -2.5, 127.5, -128.5, 300, -300, np.nan, np.inf, -np.inf, 1e-40], "f")
        f32 = ir.F32Type.get()
        for scale in (1.0, 0.37):
            for x in (p.argument(hurting), p.argument((RNG.standard_normal((3, 33)) * 60).astype(np.float32))):
                q = graph.QuantizeOp.build(x, splat(scale, f32), result_type=of_type(shape_of(x), "i8"))
                p.result(f"quantize by {scale} {shape_of(x)}", q)
                p.result(f"and back {scale} {shape_of(x)}", graph.DequantizeOp.build(q, splat(scale, f32)))
        left, right = (p.argument(int8(5, 19)) for _ in range(2))
        for factors in ((4194304, 1234567, 22), (-1, 3, 1), (3, -4194304, 30)):
            attributes = dict(zip(("lhs_multiplier", "rhs_multiplier", "shift"), factors, strict=True))
            p.result(f"sum {factors}", graph.ScaledAddOp.build(left, right, **attributes))
        p.result("permute", graph.PermuteOp.build(left, permutation=[1, 0]))
        p.result("clamp", graph.MinimumOp.build(graph.ReluOp.build(right), splat(6, ir.Type.parse("i8"))))
    return program


def window(**given: Any) -> dict[str, Any]:
    neutral = {"strides": [2, 2], "padding": [0, 0, 0, 0], "dilations": [1, 1], "ceil_mode": False, "layout": "NHWC"}
    return {"kernel": [2, 2], **neutral, **given}


WINDOWS = {
    "2x2": window(),
    "3x3, padded": window(kernel=[3, 3], padding=[1, 1, 1, 1]),
    "hangs over": window(kernel=[3, 2], ceil_mode=True),
    "dilated": window(kernel=[2, 2], strides=[1, 1], dilations=[2, 3]),
    "whole image": window(kernel=[7, 9], strides=[1, 1]),
}


def pools() -> Program:
    """Windows of every kind, reductions along any axes, and the smallest numbers among the elements."""
    program = Program()
    with program as p:
        i32 = ir.Type.parse("i32")
        for name, attributes in WINDOWS.items():
            for channels in (1, 5, 33):
                image = p.argument(int8(2, 7, 9, channels))
                p.result(f"max {name} {channels}", graph.MaxPool2dOp.build(image, **attributes))
                sums = graph.SumPool2dOp.build(image, **attributes)
                p.result(f"sum {name} {channels}", sums)
                mean = graph.RequantizeOp.build(
                    sums, splat(2**30, i32), splat(33, i32), result_type=of_type(shape_of(sums), "i8")
                )
                p.result(f"mean {name} {channels}", mean)
        lowest = p.argument(np.full((1, 7, 9, 3), -128, np.int8))
        p.result("lowest", graph.MaxPool2dOp.build(lowest, **WINDOWS["3x3, padded"]))
        for axes in ([1, 2], [3], [0, 3], [0, 1, 2, 3]):
            image = p.argument(int8(2, 7, 9, 21))
            shape = [1 if axis in axes else size for axis, size in enumerate((2, 7, 9, 21))]
            sums = graph.ReduceOp.build(image, kind="sum", axes=axes, keepdims=True, result_type=of_type(shape, "i32"))
            p.result(f"sum {axes}", sums)
            p.result(f"max {axes}", graph.ReduceOp.build(image, kind="max", axes=axes, keepdims=False))
    return program


def rows() -> Program:
    """Softmax, layer norm with its epilogue, and functions by table, along rows shorter and longer than a tile."""
    program = Program()
    with program as p:
        i32 = ir.Type.parse("i32")
        for shape in [(1, 1), (5, 3), (2, 3, 67), (4, 300)]:
            x, n = p.argument(int8(*shape)), shape[-1]
            for scale in (0.05, 1e-9, 40.0):
                powers = ir.DenseElementsAttr.get(exact.exponentials(scale))
                y = graph.IntegerSoftmaxOp.build(x, axis=len(shape) - 1, table=powers)
                p.result(f"softmax {shape} {scale}", y)
            normal = graph.IntegerLayerNormOp.build(x, dims=1, epsilon=7)
            p.result(f"normal {shape}", normal)
            normal = graph.IntegerLayerNormOp.build(x, dims=1, epsilon=0)
            scale = p.parameter(RNG.integers(-8192, 8193, n).astype(np.int32))
            shift = p.parameter(RNG.integers(-(2**20), 2**20, n).astype(np.int32))
            affine = graph.AddOp.build(graph.MulOp.build(normal, scale), shift)
            type_ = of_type(list(shape), "i8")
            p.result(
                f"affine {shape}",
                graph.RequantizeOp.build(affine, splat(2**30, i32), splat(48, i32), result_type=type_),
            )
            table = RNG.integers(-128, 128, 256).astype(np.int8)
            p.result(f"table {shape}", graph.LookupOp.build(x, table=ir.DenseElementsAttr.get(table)))
        whole = p.argument(int8(3, 4, 5))
        p.result("two dimensions", graph.IntegerLayerNormOp.build(whole, dims=2, epsilon=1))
    return program


def beside_ties(multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """For each factor, a column of numbers whose products are as near to a tie as they come, and of the largest."""
    columns = []
    for m, n in zip(multiplier.tolist(), shift.tolist(), strict=True):
        halves = [(2 * k + 1 << n - 1) // (m or 1) for k in (*range(-4, 4), -129, -128, 126, 127)]
        near = [at + step for at in halves for step in (0, 1)] + [0, 1, -1, 2**31 - 1, -(2**31)]
        columns.append(np.clip(near, -(2**31), 2**31 - 1))
    return np.stack(columns, axis=1).astype(np.int32)


def factors() -> Program:
    """Requantised by all kinds of factors, below one and not, in rows of widths around those of vectors."""
    program = Program()
    with program as p:
        for width in (1, 2, 3, 4, 16, 24, 33, 64, 70):
            for lowest in (1, 31, 40):
                multiplier = RNG.integers(-(2**31) + 1, 2**31, width).astype(np.int32)
                multiplier[:: 2 + width // 5] = 2**30
                multiplier[width // 2 :: 7] = 0
                shift = RNG.integers(lowest, 63, width).astype(np.int32)
                values = p.argument(beside_ties(multiplier, shift))
                scale = p.parameter(multiplier), p.parameter(shift)
                for element in ("i8", "i32"):
                    result = graph.RequantizeOp.build(values, *scale, result_type=of_type(shape_of(values), element))
                    p.result(f"{element} {width} {lowest}", result)
        i32, values = ir.Type.parse("i32"), p.argument(RNG.integers(-20000, 20000, (8, 81)).astype(np.int32))
        for factor in (splat(3 * 2**29, i32), splat(37, i32)), (splat(3 * 2**29, i32), splat(31, i32)):
            small = graph.RequantizeOp.build(values, *factor, result_type=of_type([8, 81], "i8"))
            values = graph.CastOp.build(small, result_type=of_type([8, 81], "i32"))
        p.result("one after another", small)
    return program


PROGRAMS = {
    "depthwise": depthwise,
    "factors": factors,
    "matmuls": matmuls,
    "convs": convs,
    "casts": casts,
    "pools": pools,
    "rows": rows,
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_integers_are_exact_on_every_target(name: str, target: str) -> None:
    program = PROGRAMS[name]()
    compiled = program.compile(target)
    assert [row for row in foreign_rows(compiled) if not row.startswith("permute")] == []
    program.check(compiled)


def test_a_sum_that_may_overflow_is_refused() -> None:
    text = """
    func.func @main(%x: tensor<1x131072xi8>, %w: tensor<1x131072xi8>) -> tensor<1x1xi32> {
      %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<1x131072xi8>, tensor<1x131072xi8>) -> tensor<1x1xi32>
      return %0 : tensor<1x1xi32>
    }
    """
    with pytest.raises(TerraceError, match="sums 131072 products of i8, which may overflow i32: 131071 is the limit"):
        terrace.compile_mlir(text)
