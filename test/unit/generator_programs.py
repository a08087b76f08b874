"""The programs of `test_generators.py`: for each generator, the shapes that hurt, one program a family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from graph_program import Program
from random_numbers import RNG
from terrace.dialects import graph
from terrace.lowering.graph.builders import splat
from terrace.mlir import ir

Array = np.ndarray


def uniform(*shape: int, dtype: str = "float32") -> Array:
    return RNG.uniform(-1, 1, shape).astype(dtype)


def f32() -> ir.Type:
    return ir.F32Type.get()


# -- contractions -----------------------------------------------------------------------------------------------------

MATMULS = [(1, 1, 1), (1, 7, 33), (5, 1, 3), (37, 13, 1), (17, 31, 33), (3, 300, 17), (64, 100, 130)]
"""(m, k, n)"""


def matmuls() -> Program:
    """Weights and activations on the right, both ways round; leading dimensions; an operand used twice."""
    program = Program()
    with program as p:
        for m, k, n in MATMULS:
            x = p.argument(uniform(m, k))
            for transposed, shape in ((True, (n, k)), (False, (k, n))):
                for kind in (p.parameter, p.argument):
                    y = graph.MatmulOp.build(x, kind(uniform(*shape)), transpose_rhs=transposed)
                    p.result(f"matmul {m}x{k}x{n} transposed={transposed} {kind.__name__}", y)
        x = p.argument(uniform(2, 1, 5, 11))
        p.result("leading dimensions", graph.MatmulOp.build(x, p.parameter(uniform(11, 19)), transpose_rhs=False))
        square = p.argument(uniform(9, 9))
        p.result("x times its transpose", graph.MatmulOp.build(square, square, transpose_rhs=True))
    return program


def batch_matmuls() -> Program:
    program = Program()
    with program as p:
        for batch, m, k, n in [((1,), 1, 1, 1), ((3,), 17, 5, 33), ((2, 3), 20, 64, 20), ((5,), 7, 1, 1)]:
            x = p.argument(uniform(*batch, m, k))
            for transposed, shape in ((True, (n, k)), (False, (k, n))):
                y = graph.BatchMatmulOp.build(x, p.argument(uniform(*batch, *shape)), transpose_rhs=transposed)
                p.result(f"batch_matmul {batch} {m}x{k}x{n} transposed={transposed}", y)
        x = p.argument(uniform(2, 6, 4))
        weight = p.parameter(uniform(2, 4, 9))
        p.result("a weight on the right", graph.BatchMatmulOp.build(x, weight, transpose_rhs=False))
    return program


CONVS: dict[str, dict[str, Any]] = {
    "1x1": {"image": (1, 5, 7, 3), "weight": (4, 3, 1, 1)},
    "3x3, padding 1": {"image": (1, 9, 11, 5), "weight": (33, 5, 3, 3), "padding": (1, 1, 1, 1)},
    "stride 2, batch 3": {"image": (3, 9, 8, 4), "weight": (6, 4, 3, 3), "strides": (2, 2), "padding": (1, 1, 1, 1)},
    "stride 3, uneven": {"image": (1, 13, 10, 2), "weight": (5, 2, 2, 3), "strides": (3, 1), "padding": (0, 2, 1, 0)},
    "dilation 2": {"image": (1, 9, 9, 3), "weight": (4, 3, 3, 3), "dilations": (2, 2), "padding": (2, 2, 2, 2)},
    "dilation, stride": {"image": (2, 11, 11, 3), "weight": (17, 3, 3, 2), "dilations": (3, 1), "strides": (1, 2)},
    "two groups": {"image": (1, 6, 6, 6), "weight": (8, 3, 3, 3), "groups": 2, "padding": (1, 1, 1, 1)},
    "wide groups": {"image": (1, 4, 4, 4), "weight": (80, 2, 1, 1), "groups": 2},
    "depthwise": {"image": (2, 7, 7, 37), "weight": (37, 1, 3, 3), "groups": 37, "padding": (1, 1, 1, 1)},
    "depthwise, stride 2": {"image": (1, 8, 8, 5), "weight": (5, 1, 5, 5), "groups": 5, "strides": (2, 2)},
    "depthwise, multiplier": {"image": (1, 5, 5, 6), "weight": (12, 1, 3, 3), "groups": 6, "padding": (1, 1, 1, 1)},
    "depthwise, edges": {"image": (1, 4, 45, 20), "weight": (20, 1, 5, 5), "groups": 20, "padding": (2, 1, 0, 4)},
    "depthwise, narrow": {"image": (1, 2, 2, 3), "weight": (3, 1, 5, 5), "groups": 3, "padding": (2, 2, 2, 2)},
    "depthwise, wide padding": {
        **{"image": (2, 3, 3, 17), "weight": (17, 1, 2, 2), "groups": 17},
        **{"padding": (4, 4, 5, 5), "strides": (2, 3)},
    },
    "depthwise, dilation": {
        **{"image": (1, 9, 31, 4), "weight": (4, 1, 3, 3), "groups": 4},
        **{"padding": (2, 3, 5, 1), "strides": (1, 2), "dilations": (3, 2)},
    },
    "7x7, stride 2": {"image": (1, 16, 16, 3), "weight": (8, 3, 7, 7), "strides": (2, 2), "padding": (3, 3, 3, 3)},
    "one channel": {"image": (1, 8, 8, 1), "weight": (1, 1, 5, 5), "padding": (2, 2, 2, 2)},
    "one channel to many": {"image": (1, 8, 8, 1), "weight": (19, 1, 3, 3)},
    "one column": {"image": (1, 12, 3, 4), "weight": (7, 4, 3, 3)},
    "one row": {"image": (1, 1, 30, 4), "weight": (5, 4, 1, 3), "padding": (0, 0, 1, 1)},
    "one pixel, padding": {"image": (1, 1, 1, 8), "weight": (16, 8, 3, 3), "padding": (1, 1, 1, 1)},
    "asymmetric": {"image": (1, 6, 7, 3), "weight": (4, 3, 4, 4), "padding": (1, 2, 0, 3)},
    "only to the right": {"image": (1, 6, 7, 3), "weight": (4, 3, 3, 3), "padding": (0, 0, 0, 2)},
    "wide padding": {"image": (1, 3, 3, 2), "weight": (3, 2, 2, 2), "padding": (4, 4, 5, 5), "strides": (2, 3)},
}


def conv(p: Program, image: ir.Value, weight: ir.Value, **attributes: Any) -> ir.Value:
    """A conv2d in NHWC, all that is not given at its neutral value."""
    neutral = {"strides": (1, 1), "padding": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}
    given = {**neutral, **attributes}
    lists = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    return graph.Conv2dOp.build(image, weight, layout="NHWC", **lists)


def convs(constant: bool) -> Program:
    """Every case of CONVS, its weights a parameter or an argument."""
    program = Program()
    with program as p:
        for name, case in CONVS.items():
            attributes = {key: value for key, value in case.items() if key not in ("image", "weight")}
            image, weight = p.argument(uniform(*case["image"])), uniform(*case["weight"])
            p.result(name, conv(p, image, p.parameter(weight) if constant else p.argument(weight), **attributes))
    return program


# -- epilogues --------------------------------------------------------------------------------------------------------


def epilogues() -> Program:
    """What contractions do to their result before it is stored."""
    program = Program()
    with program as p:
        x, b = p.argument(uniform(2, 13, 20)), p.parameter(uniform(33))
        y = graph.MatmulOp.build(x, p.parameter(uniform(33, 20)), transpose_rhs=True)
        p.result("bias, gelu", graph.GeluOp.build(graph.AddOp.build(y, b), approximate="none"))
        y = graph.MatmulOp.build(x, p.parameter(uniform(33, 20)), transpose_rhs=True)
        p.result("residual", graph.ReluOp.build(graph.AddOp.build(y, p.argument(uniform(2, 13, 33)))))
        y = graph.MatmulOp.build(x, p.parameter(uniform(33, 20)), transpose_rhs=True)
        p.result("an operand for each row", graph.MulOp.build(y, p.argument(uniform(2, 13, 1))))
        y = graph.MatmulOp.build(x, p.parameter(uniform(33, 20)), transpose_rhs=True)
        p.result("a mask over part of the batch", graph.AddOp.build(y, p.argument(uniform(13, 33))))
        q, k = p.argument(uniform(2, 3, 9, 8)), p.argument(uniform(2, 3, 9, 8))
        scores = graph.BatchMatmulOp.build(q, k, transpose_rhs=True)
        scaled = graph.MulOp.build(scores, splat(0.125, f32()))
        p.result("scale and mask", graph.AddOp.build(scaled, p.argument(uniform(2, 1, 9, 9))))
        square = p.argument(uniform(7, 7))
        y = graph.MatmulOp.build(square, p.parameter(uniform(7, 7)), transpose_rhs=False)
        p.result("lhs again", graph.AddOp.build(y, square))
        rhs = p.parameter(uniform(7, 7))
        y = graph.MatmulOp.build(p.argument(uniform(2, 7, 7)), rhs, transpose_rhs=False)
        p.result("rhs again", graph.AddOp.build(y, rhs))
        _conv_epilogues(p)
    return program


def _conv_epilogues(p: Program) -> None:
    image, bias = p.argument(uniform(2, 6, 5, 8)), p.parameter(uniform(8))
    weights, padding = [p.parameter(uniform(8, 8, 3, 3)) for _ in range(3)], (1, 1, 1, 1)
    y = graph.AddOp.build(conv(p, image, weights[0], padding=padding), bias)
    p.result("conv, bias, residual", graph.ReluOp.build(graph.AddOp.build(y, p.argument(uniform(2, 6, 5, 8)))))
    p.result("its own image", graph.AddOp.build(conv(p, image, weights[1], padding=padding), image))
    y = conv(p, image, p.parameter(uniform(8, 1, 3, 3)), padding=padding, groups=8)
    p.result("depthwise, hardswish", graph.HardswishOp.build(graph.AddOp.build(y, bias)))
    y = conv(p, image, weights[2], padding=padding)
    p.result("a gate for each channel", graph.MulOp.build(y, p.argument(uniform(2, 1, 1, 8))))


# -- elementwise ------------------------------------------------------------------------------------------------------

BROADCASTS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((), ()),
    ((1,), (1,)),
    ((7,), ()),
    ((3, 1), (1, 5)),
    ((2, 3, 4), (3, 1)),
    ((2, 3, 4), (2, 1, 4)),
    ((2, 3, 4), (1, 3, 1)),
    ((2, 1, 3, 1, 4), (2, 5, 1, 3, 1)),
    ((1, 1, 65), (33, 1, 1)),
    ((4, 2, 3, 5, 2), (3, 5, 1)),
    ((100,), (1,)),
]


def elementwise() -> Program:
    """Every way to broadcast, and every element type that kernels hold."""
    program = Program()
    with program as p:
        for left, right in BROADCASTS:
            x, y = p.argument(uniform(*left)), p.argument(uniform(*right))
            p.result(f"{left} + {right}", graph.AddOp.build(graph.ReluOp.build(x), y))
        for dtype in ("int16", "int32", "int64"):
            x, y = (p.argument(RNG.integers(-99, 99, (3, 19)).astype(dtype)) for _ in range(2))
            z = graph.SubOp.build(graph.MulOp.build(x, y), graph.MaximumOp.build(x, y))
            p.result(dtype, graph.SelectOp.build(graph.CompareOp.build(x, y, predicate="lt"), z, x))
        x, y = p.argument(uniform(5, 9, dtype="float64")), p.argument(uniform(9, dtype="float64"))
        p.result("float64", graph.ExpOp.build(graph.MulOp.build(x, y)))
        x, y = p.argument(uniform(6, 21)), p.argument(uniform(6, 1))
        chosen = graph.SelectOp.build(graph.CompareOp.build(x, y, predicate="ge"), x, y)
        p.result("compare and select", graph.TanhOp.build(chosen))
        i64 = ir.RankedTensorType.get([6, 21], ir.IntegerType.get_signless(64))
        ten = graph.MulOp.build(x, splat(10.0, f32()))
        p.result("cast", graph.CastOp.build(ten, result_type=i64))
    return program


def truth_values() -> Program:
    """Comparisons that are results, masks that are operands, and what is computed of both; one of each shape."""
    program = Program()
    with program as p:
        for left, right in [*BROADCASTS, ((65, 67), (65, 67))]:
            x = p.argument(np.asarray(SPECIAL[RNG.integers(0, len(SPECIAL), left)]))
            y = p.argument(np.asarray(uniform(*right)))
            mask, other = (p.argument(np.asarray(RNG.uniform(size=shape) < 0.5)) for shape in (left, right))
            compared = p.result(f"{left} < {right}", graph.CompareOp.build(x, y, predicate="lt"))
            either = p.result(f"{left} or {right}", graph.AddOp.build(mask, other))
            both = graph.MulOp.build(graph.CompareOp.build(compared, other, predicate="ge"), either)
            p.result(f"{left}, {right} by masks", graph.SelectOp.build(both, x, y))
            i64 = ir.RankedTensorType.get(left, ir.IntegerType.get_signless(64))
            p.result(f"{left}, {right} as numbers", graph.CastOp.build(mask, result_type=i64))
            p.result(f"{left}, {right} as masks", graph.CastOp.build(x, result_type=mask.type))
            p.result(f"{left}, {right} twice", graph.SelectOp.build(mask, graph.MaximumOp.build(mask, mask), mask))
    return program


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, -3e38, 100, -100], "f")


def special_values() -> Program:
    """NaN, infinities and denormals (IREE's workers flush these to zero)."""
    program = Program()
    with program as p:
        x, y = p.argument(SPECIAL), p.argument(SPECIAL[:, None])
        for op in (graph.ReluOp, graph.AbsOp, graph.SigmoidOp, graph.TanhOp):
            p.result(op.OPERATION_NAME, op.build(x))
        p.result("gelu", graph.GeluOp.build(x, approximate="none"))
        p.result("exp", graph.ExpOp.build(x))
        for op in (graph.ExpOp, graph.SigmoidOp, graph.SiluOp):  # of a number that the compiler knows to be NaN
            p.result(f"{op.OPERATION_NAME} of NaN", op.build(graph.MulOp.build(x, splat(float("nan"), f32()))))
        p.result("maximum", graph.MaximumOp.build(x, y))
        p.result("minimum", graph.MinimumOp.build(x, y))
        compared = graph.CompareOp.build(x, y, predicate="ne")
        p.result("select", graph.SelectOp.build(compared, x, y))
    return program


# -- sizes known at run time ------------------------------------------------------------------------------------------

Dynamic = tuple[Program, Callable[..., list[Array]]]
"""A program, and what makes its inputs for a choice of sizes."""


def rows() -> Program:
    """Softmax and norms along rows, with epilogues; more columns than a tile, and fewer."""
    program = Program()
    with program as p:
        for shape in [(1, 1), (5, 3), (2, 3, 67), (4, 300)]:
            x, n = p.argument(10 * uniform(*shape)), shape[-1]
            scale, shift = p.parameter(uniform(n)), p.parameter(uniform(n))
            for axis in range(len(shape)):
                p.result(f"softmax {shape} along {axis}", graph.SoftmaxOp.build(x, axis=axis))
            normal = graph.LayerNormOp.build(x, scale, shift, epsilon=1e-5)
            p.result(f"layer_norm {shape}", graph.GeluOp.build(normal, approximate="none"))
            p.result(f"rms_norm {shape}", graph.RmsNormOp.build(x, scale, epsilon=1e-6))
    return program


def dynamic() -> Dynamic:
    """Every size `?` that may be: (m, k, n, b) of products, (n, h, w) of images, all of an elementwise group's."""

    def inputs(m: int, k: int, n: int, b: int) -> list[Array]:
        image = (b, max(m, 1) + 2, max(n, 1) + 2, 3)
        shapes = [(m, k), (k, n), (b, m, k), (b, k, n), (b, n, k), image, (b, m, n), (m, 1), (n,)]
        return [uniform(*shape) for shape in shapes]

    program = Program()
    with program as p:
        sample = inputs(3, 4, 5, 2)
        known = {5: (0, 1, 2), 7: (0,)}
        x, y, bx, by, bt, image, z, row, column = (
            p.argument(array, known.get(i, range(array.ndim))) for i, array in enumerate(sample)
        )
        product = graph.MatmulOp.build(x, y, transpose_rhs=False)
        p.result("m, k, n", graph.AddOp.build(graph.MulOp.build(product, row), column))
        p.result("b, m, k, n", graph.BatchMatmulOp.build(bx, by, transpose_rhs=False))
        p.result("transposed", graph.BatchMatmulOp.build(bx, bt, transpose_rhs=True))
        p.result("images", graph.ReluOp.build(conv(p, image, p.parameter(uniform(5, 3, 3, 3)))))
        weight = p.parameter(uniform(5, 3, 3, 3))
        p.result("padded images", conv(p, image, weight, padding=(1, 1, 2, 1), strides=(2, 1)))
        depthwise = p.parameter(uniform(3, 1, 3, 3))
        p.result("depthwise", conv(p, image, depthwise, padding=(1, 1, 1, 1), groups=3))
        p.result("elementwise", graph.MulOp.build(graph.AddOp.build(z, row), column))
        wide = p.parameter(uniform(33, 7))
        rows = p.argument(uniform(3, 2, 7), (0, 1))
        p.result("leading", graph.ReluOp.build(graph.MatmulOp.build(rows, wide, transpose_rhs=True)))
    return program, lambda m, k, n, b: [*inputs(m, k, n, b), uniform(m, b, 7)]


# -- one kernel of each kind, for edits and targets -------------------------------------------------------------------


def one_of_each() -> Program:
    """A kernel of every kind, its arithmetic exact in any order of tiles: equal schedules or not, results are equal."""
    program = Program()
    with program as p:
        x = p.argument(uniform(50, 40))
        y = graph.MatmulOp.build(x, p.parameter(uniform(70, 40)), transpose_rhs=True)
        p.result("matmul", graph.ReluOp.build(graph.AddOp.build(y, p.parameter(uniform(70)))))
        p.result("matmul_right", graph.MatmulOp.build(x, p.argument(uniform(40, 37)), transpose_rhs=False))
        q, k = p.argument(uniform(3, 30, 24)), p.argument(uniform(3, 35, 24))
        p.result("batch_matmul", graph.BatchMatmulOp.build(q, k, transpose_rhs=True))
        image = p.argument(uniform(2, 14, 13, 8))
        y = conv(p, image, p.parameter(uniform(40, 8, 3, 3)), padding=(1, 1, 1, 1))
        p.result("conv2d", graph.ReluOp.build(graph.AddOp.build(y, p.parameter(uniform(40)))))
        y = conv(p, image, p.parameter(uniform(8, 1, 3, 3)), padding=(1, 1, 1, 1), groups=8, strides=(2, 1))
        p.result("depthwise", y)
        y = conv(p, image, p.parameter(uniform(24, 4, 3, 2)), groups=2)
        p.result("grouped", y)
        z = graph.AddOp.build(p.argument(uniform(6, 30, 50)), p.argument(uniform(6, 1, 50)))
        p.result("elementwise", graph.ReluOp.build(z))
    return program
