"""Quantised ONNX models stay in integers: products of int8, within a step of what ONNX's reference computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import terrace
import torch
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

TARGET = terrace.Target(threads=1)
RANDOM = np.random.default_rng(0)
TYPES = {"uint8": (np.uint8, 131), "int8": (np.int8, -7), "int8 around 0": (np.int8, 0)}


def model_of(text: str, **weights: Any) -> onnx.ModelProto:
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items())
    return model


def codes(*shape: int, dtype: Any = np.int8) -> np.ndarray[Any, Any]:
    return RANDOM.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)


def scales(*shape: int) -> np.ndarray[Any, Any]:
    return RANDOM.uniform(0.002, 0.01, shape).astype(np.float32)


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return RANDOM.standard_normal(shape).astype(np.float32)


def products(compiled: Any) -> list[bool]:
    """Of each product in the graph, whether it is of integers."""
    lines = [line for line in compiled.ir("graph").splitlines() if '"graph.conv2d"(' in line or "matmul" in line]
    return ["xi8>, tensor" in line and "xi32>" in line for line in lines]


QDQ = """qdq (float[2, 3, 9, 8] x) => (float[2, 5] y) {
    q = QuantizeLinear (x, s, z)
    d = DequantizeLinear (q, s, z)
    dw = DequantizeLinear <axis: int = 0> (w, ws, wz)
    db = DequantizeLinear <axis: int = 0> (b, bs, bz)
    c = Conv <pads: ints = [1, 0, 2, 1], strides: ints = [2, 1]> (d, dw, db)
    r = Relu (c)
    q2 = QuantizeLinear (r, s2, z)
    d2 = DequantizeLinear (q2, s2, z)
    dw2 = DequantizeLinear <axis: int = 0> (w2, ws2)
    c2 = Conv <group: int = 4> (d2, dw2)
    m = GlobalAveragePool (c2)
    q3 = QuantizeLinear (m, s2, z)
    f = Flatten (q3)
    d3 = DequantizeLinear (f, s2, z)
    dl = DequantizeLinear <axis: int = 0> (l, ls)
    g = Gemm <transB: int = 1> (d3, dl, c0)
    q4 = QuantizeLinear (g, s3, z)
    y = DequantizeLinear (q4, s3, z)
}"""


@pytest.mark.parametrize("name", TYPES)
def test_dequantised_operands(name: str) -> None:
    dtype, zero = TYPES[name]
    steps = {"s": np.float32(0.02), "s2": np.float32(0.05), "s3": np.float32(0.04)}
    ws = scales(4)
    weights = {
        "z": dtype(zero), "w": codes(4, 3, 3, 2), "ws": ws, "wz": np.zeros(4, np.int8),
        "b": RANDOM.integers(-900, 900, 4).astype(np.int32), "bs": ws * steps["s"], "bz": np.zeros(4, np.int32),
        "w2": codes(4, 1, 2, 3), "ws2": scales(1), "l": codes(5, 4), "ls": scales(5), "c0": normal(5), **steps,
    }  # fmt: skip
    model, x = model_of(QDQ, **weights), normal(2, 3, 9, 8)
    compiled = terrace.compile(model, target=TARGET)
    assert products(compiled) == [True] * 3
    (want,) = ReferenceEvaluator(model).run(None, {"x": x})
    found = compiled(torch.from_numpy(x))["y"].numpy()
    assert np.abs(found - want).max() <= steps["s3"] * 1.001


SUMS = {
    "conv": ("(uint8[2, 4, 5] x) => (int32[2, 6, 6] y) { y = ConvInteger <pads: ints = [1, 2]> (x, w, z) }",
             {"w": codes(6, 4, 3), "z": np.uint8(9)}),
    "rows": ("(uint8[3, 6] x) => (int32[3, 5] y) { y = MatMulInteger (x, w, z, wz) }",
             {"w": codes(6, 5, dtype=np.uint8), "z": np.uint8(200), "wz": codes(5, dtype=np.uint8)}),
    "each row": ("(int8[3, 6] x) => (int32[3, 5] y) { y = MatMulInteger (x, w, z) }",
                 {"w": codes(6, 5), "z": codes(3, 1)}),
    "batches": ("(int8[2, 3, 6] x) => (int32[2, 3, 4] y) { y = MatMulInteger (x, w) }", {"w": codes(2, 6, 4)}),
}  # fmt: skip


@pytest.mark.parametrize("name", SUMS)
def test_sums_are_exact(name: str) -> None:
    text, weights = SUMS[name]
    model = model_of(f"sums {text}", **weights)
    kind = model.graph.input[0].type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    x = codes(*(dim.dim_value for dim in kind.shape.dim), dtype=dtype)
    compiled = terrace.compile(model, target=TARGET)
    assert products(compiled) == [True]
    (want,) = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_array_equal(compiled(torch.from_numpy(x))["y"].numpy(), want)


def test_operators_of_integers() -> None:
    """QLinearConv, QLinearMatMul and ONNX Runtime's QGemm; a convolution's weight with a zero point goes by floats."""
    results = "uint8[1, 4, 6, 6] y, uint8[1, 4, 6, 5] m, float[3, 4] g, uint8[1, 4, 4, 4] f"
    text = f"""qlinear (uint8[1, 3, 6, 6] x) => ({results}) {{
        y = QLinearConv <pads: ints = [1, 1, 1, 1]> (x, s, z, w, ws, wz, s2, z2, b)
        m = QLinearMatMul (y, s2, z2, v, s, z, s2, z)
        rows = Reshape (m, shape)
        g = com.microsoft.QGemm <transB: int = 1> (rows, s2, z, l, s, z2)
        f = QLinearConv (x, s, z, w, ws, odd, s2, z2)
    }}"""
    weights = {
        "s": np.float32(0.02), "z": np.uint8(120), "w": codes(4, 3, 3, 3), "ws": scales(4), "wz": np.zeros(4, np.int8),
        "s2": np.float32(0.05), "z2": np.uint8(3), "b": RANDOM.integers(-900, 900, 4).astype(np.int32),
        "v": codes(6, 5, dtype=np.uint8), "shape": np.array([3, 40]), "l": codes(4, 40, dtype=np.uint8),
        "odd": np.array([1, 0, 2, -3], np.int8),
    }  # fmt: skip
    model, x = model_of(text, **weights), codes(1, 3, 6, 6, dtype=np.uint8)
    compiled = terrace.compile(model, target=TARGET)
    assert sorted(products(compiled)) == [False, True, True, True]
    found = {name: value.numpy() for name, value in compiled(torch.from_numpy(x)).items()}
    known = copy_without(model, "g")
    for name, want in zip("ymf", ReferenceEvaluator(known).run(None, {"x": x}), strict=True):
        assert np.abs(found[name].astype(int) - want.astype(int)).max() <= 1, name
    rows, matrix = found["m"].reshape(3, 40).astype(int) - 120, weights["l"].T.astype(int) - 3
    np.testing.assert_allclose(found["g"], rows @ matrix * np.float32(0.05) * np.float32(0.02), rtol=1e-5)


def copy_without(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model without an output, and what computes it."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    for values in (copied.graph.output, copied.graph.node):
        kept = [value for value in values if name not in (value.name, *getattr(value, "output", ()))]
        del values[:]
        values.extend(kept)
    return copied
