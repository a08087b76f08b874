"""ONNX models: what ONNX's reference evaluator computes, by the model's names; sizes that are open; clear refusals."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import terrace
import torch
from onnx import TensorProto, helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator
from terrace.errors import CheckError, ModelImportError
from terrace.frontend import lines_of
from terrace.frontend.onnx import export_onnx
from terrace.frontend.source import origin_of
from terrace.tools.compile import main

TARGET = terrace.Target(threads=1)
RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return RANDOM.standard_normal(shape).astype(np.float32)


def model_of(text: str, **weights: np.ndarray[Any, Any]) -> onnx.ModelProto:
    """A model from ONNX's text, with initialisers."""
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    return model


def agrees(model: onnx.ModelProto, compiled: Any, **inputs: np.ndarray[Any, Any]) -> None:
    expected = ReferenceEvaluator(model).run(None, inputs)
    found = compiled(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    for output, want in zip(model.graph.output, expected, strict=True):
        value = found[output.name].numpy()
        assert (value.shape, value.dtype) == (want.shape, want.dtype), output.name
        np.testing.assert_allclose(value, want, rtol=1e-4, atol=1e-5 * (np.abs(want).max(initial=0) + 1))


CNN = """cnn (float[batch, 3, 12, 10] image) => (float[batch, 5] scores, float[batch, 8, 6, 5] features) {
    y = Conv <pads: ints = [1, 1, 1, 1], strides: ints = [2, 2]> (image, w, b)
    n = BatchNormalization (y, scale, shift, mean, variance)
    features = Relu (n)
    p = GlobalAveragePool (features)
    shape = Shape (p)
    zero = Constant <value_int: int = 0> ()
    rows = Gather (shape, zero)
    axis = Constant <value_ints: ints = [0]> ()
    row = Unsqueeze (rows, axis)
    rest = Constant <value_ints: ints = [-1]> ()
    both = Concat <axis: int = 0> (row, rest)
    flat = Reshape (p, both)
    scores = Gemm <transB: int = 1> (flat, last, bias)
}"""


def cnn() -> onnx.ModelProto:
    weights = {"w": normal(8, 3, 3, 3), "b": normal(8), "scale": normal(8), "shift": normal(8), "mean": normal(8),
               "variance": normal(8) ** 2, "last": normal(5, 8), "bias": normal(5)}  # fmt: skip
    return model_of(CNN, **weights)


def test_a_network_of_any_batch(tmp_path: Path) -> None:
    """Weights in a file beside the model; the batch is open, also where the example has one image."""
    model, path = cnn(), tmp_path / "cnn.onnx"
    apart = copy.deepcopy(model)  # Saving takes the weights away.
    onnx.save(apart, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    compiled = terrace.compile(path, (normal(1, 3, 12, 10),), target=TARGET)
    for batch in (1, 4):
        agrees(model, compiled, image=normal(batch, 3, 12, 10))
    assert [str(leaf) for leaf in compiled.signature.input_leaves] == ["float32[batch, 3, 12, 10]"]
    assert all(row["by"] == "terrace" for row in compiled.report().rows if row["macs"])


def test_places_are_those_of_the_nodes() -> None:
    """What an op is of has the node's name, a line is its number."""
    module = export_onnx(cnn(), (), None, None).graph_module
    origins = [origin for node in module.graph.nodes if (origin := origin_of(node))]
    assert {"y", "n", "features", "scores"} <= {origin.path for origin in origins}
    lines = [line for line in lines_of(module) if line]
    assert lines[0] == "cnn.onnx:1" and lines[-1] == "cnn.onnx:13"


def test_without_an_example_named_sizes_are_open() -> None:
    model = cnn()
    agrees(model, terrace.compile(model, target=TARGET), image=normal(3, 3, 12, 10))


def test_control_flow_and_state_between_steps() -> None:
    model = model_of(
        """flow (float[2, 3] x, bool[1] flag, int64[1] trips) => (float[2, 3] chosen, float[2, 3] grown) {
            chosen = If (flag) <
                then_branch = yes () => (float[2, 3] a) { a = Mul (x, three) },
                else_branch = no () => (float[2, 3] b) { b = Neg (x) }
            >
            go = Constant <value: tensor = bool {1}> ()
            count = Squeeze (trips)
            grown = Loop (count, go, x) <
                body = step (int64 i, bool goes, float[2, 3] before) => (bool goes_on, float[2, 3] after) {
                    goes_on = Identity (goes)
                    after = Mul (before, two)
                }
            >
        }""",
        two=np.array([2.0], np.float32),
    )
    (branch,) = (one.g for one in model.graph.node[0].attribute if one.name == "then_branch")
    branch.initializer.append(numpy_helper.from_array(np.array([3.0], np.float32), "three"))
    compiled = terrace.compile(model, target=TARGET)
    for flag, trips in ((True, 3), (False, 0)):
        agrees(model, compiled, x=normal(2, 3), flag=np.array([flag]), trips=np.array([trips]))


LAYERS = {
    "lstm": ("(float[6, 2, 4] x) => (float[6, 1, 2, 5] y) { y = LSTM <hidden_size: int = 5> (x, w, r, b) }",
             {"w": normal(1, 20, 4), "r": normal(1, 20, 5), "b": normal(1, 40)}),
    "quantised": ("(float[3, 4] x) => (float[3, 5] y) { q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z)"
                  " e = DequantizeLinear (w, t) y = MatMul (d, e) }",
                  {"s": np.float32(0.05), "z": np.uint8(128), "w": RANDOM.integers(-9, 9, (4, 5), np.int8),
                   "t": np.float32(0.1)}),
    "resize": ("(float[1, 2, 4, 5] x) => (float[1, 2, 7, 10] y)"
               " { y = Resize <mode: string = \"linear\"> (x, , , sizes) }", {"sizes": np.array([1, 2, 7, 10])}),
    "pools": ("(float[1, 2, 7, 5] x) => (float[1, 2, 3, 2] y, int64[1, 2, 3, 2] i)"
              " { y, i = MaxPool <kernel_shape: ints = [2, 3], strides: ints = [2, 2]> (x) }", {}),
    "a function": ("(float[2, 3, 4] x) => (float[2, 3, 4] y) { z = Softplus (x) y = Softsign (z) }", {}),
    "norms": ("(float[2, 3, 4] x) => (float[2, 3, 4] y) { y = MeanVarianceNormalization <axes: ints = [0]> (x) }", {}),
    "scatter": ("(float[4, 3] x) => (float[4, 3] y) { y = ScatterND <reduction: string = \"add\"> (x, i, u) }",
                {"i": np.array([[0], [-1], [0]]), "u": normal(3, 3)}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    text, weights = LAYERS[name]
    model = model_of(f"layer {text}", **weights)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    agrees(model, terrace.compile(model, target=TARGET), x=normal(*shape))


def test_names_inside_an_operator_s_definition_are_its_own() -> None:
    """HannWindow is defined by other nodes; initialisers that are called like what these give are others."""
    model = model_of("window () => (float[8] y) { y = HannWindow <periodic: int = 0> (n) }", n=np.array(8))
    (body,) = (onnx.defs.get_schema("HannWindow", 21).function_body,)
    names = {name for node in body.node for name in (*node.input, *node.output)}
    model.graph.initializer.extend(numpy_helper.from_array(np.array([7.0]), name) for name in names)
    compiled = terrace.compile(model, target=TARGET)
    np.testing.assert_allclose(compiled()["y"].numpy(), np.hanning(8), atol=1e-6)
    # What its size is at a call, they are no more.
    model = model_of("window (int64 n) => (float[8] y) { y = HannWindow <periodic: int = 0> (n) }")
    model.graph.initializer.extend(numpy_helper.from_array(np.array(7), name) for name in names)
    compiled = terrace.compile(model, (torch.tensor(8),), target=TARGET)
    np.testing.assert_allclose(compiled(torch.tensor(8))["y"].numpy(), np.hanning(8), atol=1e-6)


def test_the_other_name_of_onnx_s_domain() -> None:
    """By it the version is found: a softmax was over all axes but the first before 13."""
    model = model_of("named (float[2, 3, 4] x) => (float[2, 3, 4] y) { y = Softmax (x) }")
    model.opset_import[0].domain = "ai.onnx"
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(terrace.compile(model, (x,), target=TARGET)(x)["y"], x.softmax(-1))


def test_packed_weights_of_onnx_runtime() -> None:
    """MatMulNBits: blocks of 16 along K, four bits, low first."""
    codes, scales, x = RANDOM.integers(0, 16, (5, 32)), np.abs(normal(5, 2)), normal(3, 32)
    packed = (codes[:, 0::2] | codes[:, 1::2] << 4).astype(np.uint8).reshape(5, 2, 8)
    text = """packed (float[3, 32] x) => (float[3, 5] y) {
        y = com.microsoft.MatMulNBits <K: int = 32, N: int = 5, bits: int = 4, block_size: int = 16> (x, w, s)
    }"""
    compiled = terrace.compile(model_of(text, w=packed, s=scales.reshape(-1)), target=TARGET)
    weight = (codes - 8.0) * np.repeat(scales, 16, 1)
    np.testing.assert_allclose(compiled(torch.from_numpy(x))["y"].numpy(), x @ weight.T, rtol=1e-4, atol=1e-4)


def test_axes_that_only_the_call_brings_are_checked() -> None:
    model = model_of(
        "sums (float[2, 3, 4] x, int64[1] axes) => (float[2, 4] y) { y = ReduceSum <keepdims: int = 0> (x, axes) }"
    )
    x, axes = torch.from_numpy(normal(2, 3, 4)), torch.tensor([1])
    compiled = terrace.compile(model, (x, axes), target=TARGET)
    torch.testing.assert_close(compiled(x, axes)["y"], x.sum(1))
    with pytest.raises(CheckError, match=r"input 'axes' has to be \[1\], as in the example"):
        compiled(x, torch.tensor([0]))


def test_a_branch_that_does_not_fit_the_example() -> None:
    """The other one is taken, which is checked; a weight that both read stays a parameter."""
    model = model_of(
        """rates (float[9, 4] x, int64 rate) => (float[rows, columns] y) {
            high = Equal (rate, known)
            w = Unsqueeze (weight, axis)
            v = Squeeze (w, axis)
            y = If (high) <
                then_branch = yes () => (float[p, q] a) { a = MatMul (v, x) },
                else_branch = no () => (float[r, s] b) { b = MatMul (x, v) }
            >
        }""",
        known=np.array(16), weight=normal(9, 9), axis=np.array([0]),
    )  # fmt: skip
    x = normal(9, 4)
    with pytest.warns(UserWarning, match="the model's branches are those of the example"):
        compiled = terrace.compile(model, (x, np.array(16)), target=TARGET)
    agrees(model, compiled, x=x, rate=np.array(16))
    with pytest.raises(CheckError, match="input 'rate' has to be 16, as in the example"):
        compiled(torch.from_numpy(x), torch.tensor(8))
    with pytest.warns(UserWarning, match="the model's branches"):
        exported = export_onnx(model, (x, np.array(16)), None, None)
    assert not [name for name, value in exported.constants.items() if value.numel() > 64]


def test_the_tool_compiles_a_file(tmp_path: Path) -> None:
    path, written = tmp_path / "cnn.onnx", tmp_path / "cnn.terrace"
    onnx.save(cnn(), path)
    assert main([str(path), "-o", str(written), "--threads", "1", "--precision", "highest"]) == 0
    agrees(onnx.load(path), terrace.load(written), image=normal(2, 3, 12, 10))


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelImportError, match="there is no ONNX file"):
        terrace.compile(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelImportError, match="is no ONNX model"):
        terrace.compile(tmp_path / "bad.onnx")
    node = helper.make_node("Conv", ["x"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    refused = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]))
    with pytest.raises(ModelImportError, match="ONNX's checker refuses the model"):
        terrace.compile(refused)
    twisted = model_of("g (float[2] x) => (float[2] y) { [first] y = com.microsoft.QuickGelu <twist: int = 1> (x) }")
    with pytest.raises(ModelImportError, match=r"QuickGelu 'first' .*attributes that are not supported: twist"):
        terrace.compile(twisted)
    narrow = helper.make_tensor("w", TensorProto.INT4, [2], [1, 2])
    model = model_of("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    model.graph.initializer.append(narrow)
    with pytest.raises(ModelImportError, match="element type INT4 is not supported"):
        terrace.compile(model)
    strange = model_of("g (float[2] x) => (float[2] y) { [first] y = com.microsoft.Inverse (x) }")
    with pytest.raises(ModelImportError, match=r"Inverse 'first' .*com.microsoft::Inverse of opset 1 is not supported"):
        terrace.compile(strange)
    with pytest.raises(ModelImportError, match="the model takes image; got picture"):
        terrace.compile(cnn(), (), {"picture": normal(1, 3, 12, 10)})
