"""The ops of quantised arithmetic as reference cases, against Python's exact integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import quantized_reference as exact
import torch
from reference_cases import Case, both
from terrace.dialects import graph

NUMPY = {"i8": np.int8, "i16": np.int16, "i32": np.int32}
EXTREMES = [0, 1, -1, 2, -2, 3, -3, 5, -5, 127, 128, -128, -129, 255, 32767, 65536, 2**30, 2**31 - 1, -(2**31)]
MULTIPLIERS = [0, 1, 3, 2**30, 2**30 + 1, 2**31 - 1, -(2**31) + 1]
SHIFTS = [1, 2, 7, 30, 31, 37, 61, 62]


def int32(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)


def requantize_case(name: str, operands: tuple[torch.Tensor, ...], result: str = "i8") -> list[Case]:
    def expected(*values: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(exact.requantize(*(v.numpy() for v in values), NUMPY[result]))

    shape = list(torch.broadcast_shapes(*(v.shape for v in operands)))
    return both(f"requantize_{name}", graph.RequantizeOp, operands, {}, expected, result=(shape, result))


def requantize_cases() -> list[Case]:
    """Ties, both ends of every type, all widths of products, and operands that broadcast."""
    cube = (int32(EXTREMES)[:, None, None], int32(MULTIPLIERS)[:, None], int32(SHIFTS))
    cases = [case for result in NUMPY for case in requantize_case(f"extremes_{result}", cube, result)]
    # With multiplier 1: eighths around every tie from -17.5 to 17.5.
    cases += requantize_case("ties", (torch.arange(-140, 141, dtype=torch.int32), int32([1]), int32([3])))
    columns = (torch.arange(-6, 6, dtype=torch.int32).reshape(4, 3), int32([3, 5, 7]), int32([1, 2, 3]))
    return cases + requantize_case("columns", columns)


VALUES = [
    *(0.0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 126.5, 127.4, 127.5, 128.0, -127.5, -128.4, -128.5, -129.0),
    *(1e-40, 1e10, -1e10, 3e38, -3e38, float("inf"), float("-inf"), float("nan"), 2147483520.0, -2147483648.0),
]


def quantize_cases() -> list[Case]:
    """Ties, saturation at both ends, infinities and NaN; a scale for all, and one for each row."""
    cases = []
    for result, dtype in NUMPY.items():
        for name, scale in (("one", torch.tensor(1.0)), ("each", torch.tensor([[0.25], [1e-3], [3.0]]))):

            def expected(x: torch.Tensor, s: torch.Tensor, dtype: Any = dtype) -> torch.Tensor:
                return torch.from_numpy(exact.quantize(x.numpy(), s.numpy(), dtype))

            operands = (torch.tensor(VALUES), scale)
            declared = (list(torch.broadcast_shapes(operands[0].shape, scale.shape)), result)
            cases += both(f"quantize_{result}_{name}", graph.QuantizeOp, operands, {}, expected, result=declared)
    return cases


def dequantize_cases() -> list[Case]:
    """Exact below 2^24, rounded to float32 above."""
    cases = []
    for dtype in (torch.int8, torch.int32):
        limits = torch.iinfo(dtype)
        values = torch.tensor([limits.min, -1, 0, 1, 77, limits.max], dtype=dtype)
        for name, scale in (("one", torch.tensor(0.125)), ("each", torch.tensor([[0.1], [3.0]]))):

            def expected(x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
                return (x.float() * s.float()).double()

            label = f"dequantize_{str(dtype).partition('.')[2]}_{name}"
            cases += both(label, graph.DequantizeOp, (values, scale), {}, expected, rtol=0.0)
    return cases


def scaled_add_cases() -> list[Case]:
    """All pairs of ends and zeros, ties both ways, the largest multipliers, and rows that broadcast."""
    left = torch.tensor([-128, -127, -3, -2, -1, 0, 1, 2, 3, 126, 127], dtype=torch.int8)
    cases = []
    for factors in ((1, 1, 1), (1, -1, 1), (3, 5, 3), (2**22, 2**22, 30), (2**22, -(2**22), 22), (4190000, 77777, 22)):

        def expected(x: torch.Tensor, y: torch.Tensor, factors: Any = factors) -> torch.Tensor:
            return torch.from_numpy(exact.scaled_add(x.numpy(), y.numpy(), *factors))

        attributes = dict(zip(("lhs_multiplier", "rhs_multiplier", "shift"), factors, strict=True))
        name = "scaled_add_" + "_".join(str(abs(f)) for f in factors) + ("_minus" if min(factors) < 0 else "")
        cases += both(name, graph.ScaledAddOp, (left[:, None], left), attributes, expected)
    return cases


def sum_cases() -> list[Case]:
    """A sum of int8 in int32."""
    value = torch.full((3, 300), -128, dtype=torch.int8)

    def expected(x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.int32).sum(1, dtype=torch.int32)

    attributes = {"kind": "sum", "axes": [1], "keepdims": False}
    return both("reduce_sum_int8", graph.ReduceOp, (value,), attributes, expected, result=([3], "i32"))


ALL = torch.arange(-128, 128).to(torch.int8)


def lookup_cases() -> list[Case]:
    """Every element of tables of every width."""
    cases = []
    for dtype in (np.int8, np.int16, np.int32):
        table = (np.arange(256)[::-1] * 7919 % 256 - 128).astype(dtype)

        def expected(x: torch.Tensor, table: Any = table) -> torch.Tensor:
            return torch.from_numpy(exact.lookup(x.numpy(), table))

        cases += both(f"lookup_{dtype.__name__}", graph.LookupOp, (ALL.reshape(4, 64),), {"table": table}, expected)
    return cases


ROWS = {
    "usual": torch.from_numpy(np.random.default_rng(0).integers(-128, 128, (3, 2, 37)).astype(np.int8)),
    "ends": torch.tensor([[-128, 127], [127, -128], [127, 127], [-128, -128], [0, 1]], dtype=torch.int8),
    "one": torch.tensor([[5], [-128]], dtype=torch.int8),
    "long": torch.from_numpy(np.random.default_rng(1).integers(-128, 128, (2, 4096)).astype(np.int8)),
}


def row_cases() -> list[Case]:
    """Softmax and layer norm of rows whose elements are equal, far apart, one, and as many as a layer norm takes."""
    cases = []
    for name, value in ROWS.items():
        # Scales below 3e-8, where all exponentials are 2^16, are held by test_quantized_kernels.py: IREE 3.13 compiles
        # the sum, which is then one of a constant, to a single term.
        for scale in (0.05, 1e-4, 40.0):
            table = exact.exponentials(scale)

            def softmax(x: torch.Tensor, table: Any = table) -> torch.Tensor:
                return torch.from_numpy(exact.softmax(x.numpy(), table))

            attributes = {"axis": value.ndim - 1, "table": table}
            cases += both(f"softmax_{name}_{scale}", graph.IntegerSoftmaxOp, (value,), attributes, softmax)
        for epsilon in (0, 1, 2**44):

            def layer_norm(x: torch.Tensor, epsilon: int = epsilon) -> torch.Tensor:
                return torch.from_numpy(exact.layer_norm(x.numpy(), epsilon))

            attributes = {"dims": 1, "epsilon": epsilon}
            label = f"integer_layer_norm_{name}_{epsilon}"
            cases.append(Case(label, graph.IntegerLayerNormOp, (value,), attributes, layer_norm))
    return cases


def contraction_cases() -> list[Case]:
    """Products of int8 at both ends of its range, summed exactly in int32."""
    low, any_ = torch.full((3, 50), -128, dtype=torch.int8), torch.arange(-75, 75).reshape(3, 50).to(torch.int8)
    image = torch.arange(-96, 96).reshape(1, 4, 6, 8).to(torch.int8)
    weight = (torch.arange(5 * 8 * 9) % 255 - 127).reshape(5, 8, 3, 3).to(torch.int8)

    def conv(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        wide = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2).double(), w.double(), padding=1)
        return wide.permute(0, 2, 3, 1).to(torch.int32)

    def product(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return x.to(torch.int32) @ w.to(torch.int32).mT

    transposed, i32 = {"transpose_rhs": True}, "i32"
    cases = both("matmul_int8", graph.MatmulOp, (any_, low), transposed, product, result=([3, 3], i32))
    batch = (any_[None], any_[None])
    cases += both("batch_matmul_int8", graph.BatchMatmulOp, batch, transposed, product, result=([1, 3, 3], i32))
    options = {"strides": [1, 1], "padding": [1, 1, 1, 1], "dilations": [1, 1], "groups": 1, "layout": "NHWC"}
    return [*cases, Case("conv2d_int8", graph.Conv2dOp, (image, weight), options, conv, result=([1, 4, 6, 5], i32))]


def pool_cases() -> list[Case]:
    """Sums of windows, padded and not, in both layouts; the largest of integers, all of them negative."""
    image = (torch.arange(2 * 3 * 6 * 7) % 256 - 128).reshape(2, 3, 6, 7).to(torch.int8)
    options: dict[str, Any] = {"strides": [2, 1], "dilations": [1, 1], "ceil_mode": False}

    def sums(x: torch.Tensor, padding: int) -> torch.Tensor:
        mean = torch.nn.functional.avg_pool2d(x.double(), 3, (2, 1), padding, count_include_pad=True)
        return (mean * 9).round().to(torch.int32)

    cases = []
    for padding in (0, 1):
        attributes = {"kernel": [3, 3], "padding": [padding] * 4, **options}

        def nchw(x: torch.Tensor, padding: int = padding) -> torch.Tensor:
            return sums(x, padding)

        def nhwc(x: torch.Tensor, padding: int = padding) -> torch.Tensor:
            return sums(x.permute(0, 3, 1, 2), padding).permute(0, 2, 3, 1)

        for layout, operand, expected in (("NCHW", image, nchw), ("NHWC", image.permute(0, 2, 3, 1), nhwc)):
            name = f"sum_pool2d_{layout}_{padding}"
            operands = (operand.contiguous(),)
            cases += both(name, graph.SumPool2dOp, operands, {**attributes, "layout": layout}, expected)

    def largest(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.max_pool2d(x.double(), 3, (2, 1), 1).to(torch.int8)

    attributes = {"kernel": [3, 3], "padding": [1] * 4, **options, "layout": "NCHW"}
    negative = ((image.to(torch.int16) - 129) // 2).to(torch.int8)
    return [*cases, Case("max_pool2d_int8", graph.MaxPool2dOp, (negative,), attributes, largest)]


FAMILIES = {
    "requantize": requantize_cases,
    "quantize": quantize_cases,
    "dequantize": dequantize_cases,
    "scaled add": scaled_add_cases,
    "integer sum": sum_cases,
    "lookup": lookup_cases,
    "integer rows": row_cases,
    "integer contraction": contraction_cases,
    "integer pool": pool_cases,
}
