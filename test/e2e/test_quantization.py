"""int8 end to end: digits, blocks with residuals and pools, numbers that hurt; hardware gives the CPU's very bits."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import terrace
import torch
from quantized import check_bits, int8, needs_compiler
from terrace.compiler import PyTorch, Request, Text, lower
from terrace.errors import CompileError
from torch import nn
from torch.nn import functional as F


def load_example() -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / "digits.py"
    spec = importlib.util.spec_from_file_location("example_digits", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def compile_both(model: nn.Module, x: torch.Tensor, *samples: Any) -> list[terrace.CompiledModel]:
    return [terrace.compile(model.eval(), (x,), target=t, options=int8(*(samples or (x,)))) for t in ("cpu", "hls")]


# ---------------------------------------------------------------------------------------------------------------------
# Digits
# ---------------------------------------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_digits(name: str) -> None:
    pytest.importorskip("sklearn")
    example = load_example()
    torch.set_num_threads(1)
    digits = example.Digits.load()
    model = example.train(example.MODELS[name], digits)
    with torch.no_grad():
        exact = example.accuracy(model(digits.test_images), digits.test_labels)
    assert exact > 0.95
    cpu, hls = (example.compile_int8(model, digits, target) for target in ("cpu", "hls"))
    scores = check_bits([cpu, hls], digits.test_images)
    assert example.accuracy(scores, digits.test_labels) >= exact - example.ALLOWED_LOSS
    products = [line for line in cpu.ir("graph").splitlines() if "graph.matmul" in line or "graph.conv2d" in line]
    assert products and all("xi8>, tensor" in line and line.endswith("xi32>") for line in products)


# ---------------------------------------------------------------------------------------------------------------------
# Blocks
# ---------------------------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """What ResNets are made of: strides, padding, batch norms, a residual sum, pools, the mean of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.depthwise, self.last = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)
        self.shortcut, self.head = nn.Conv2d(3, 8, 1, stride=2), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm(self.first(x)))
        y = F.relu(self.last(F.relu(self.depthwise(y))) + self.shortcut(x))
        y = F.avg_pool2d(F.max_pool2d(y, 3, 2, 1) + 1.0, 2)
        return self.head(F.adaptive_avg_pool2d(y, 1).flatten(1))


@needs_compiler
def test_a_residual_block() -> None:
    torch.manual_seed(0)
    model, x = Residual().eval(), torch.randn(2, 3, 17, 20)
    compiled = compile_both(model, x)
    result = check_bits(compiled, x, torch.randn_like(x), 10 * x)
    with torch.no_grad():
        expected = model(x)
    assert (result - expected).abs().max() < 0.08 * expected.abs().max()
    assert all(row["by"] == "terrace" for row in compiled[1].report().rows)


@needs_compiler
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_a_transformer_layer(activation: str) -> None:
    """Attention, residual sums, layer norms and GELU, all in integers."""
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation=activation).eval()
    samples = [torch.randn(2, 8, 32) for _ in range(4)]
    compiled = compile_both(model, samples[0], *samples)
    x = torch.randn(2, 8, 32)
    result = check_bits(compiled, x, *samples, 100 * x)
    with torch.no_grad():
        expected = model(x)
    assert (result - expected).abs().max() < 0.06 * expected.abs().max()
    text = compiled[0].ir("graph")
    main = text[text.index("func.func") :].splitlines()
    floats = {line.partition('"graph.')[2].partition('"')[0] for line in main if "graph." in line and "f32>" in line}
    assert floats == {"quantize", "dequantize", "yield"}
    assert text.count("graph.integer_softmax") == 1 and text.count("graph.integer_layer_norm") == 2


class Causal(nn.Module):
    """Attention with a mask of infinities."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + x
        return F.scaled_dot_product_attention(x, x, x, is_causal=True)


def test_a_mask_of_infinities_stays_in_float32() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 6, 4)
    compiled = terrace.compile(Causal(), (x,), options=int8(x))
    assert "graph.softmax" in compiled.ir("graph") and "graph.scaled_add" in compiled.ir("graph")
    expected = Causal()(x)
    assert (compiled(x) - expected).abs().max() < 0.03 * expected.abs().max()


class Functions(nn.Module):
    """Functions by table, products of two tensors and by numbers, differences, minima of rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.sigmoid(x) * torch.tanh(x) - F.silu(x) * 0.5
        return (y - 0.25).amax(1) + y.mean(1) + y.sum(1) * 0.01


@needs_compiler
def test_functions_and_products() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 37)
    compiled = compile_both(Functions(), x, x)
    result = check_bits(compiled, x, 5 * x)
    expected = Functions()(x)
    assert (result - expected).abs().max() < 0.06 * expected.abs().max()


class Unknown(nn.Module):
    """An op without a rule between two that have one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 12), nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.rsqrt(self.first(x).abs() + 1.0))


@needs_compiler
def test_what_has_no_rule_stays_in_float32() -> None:
    torch.manual_seed(0)
    model, x = Unknown().eval(), torch.randn(6, 12)
    cpu = terrace.compile(model, (x,), options=int8(x))
    assert "graph.rsqrt" in cpu.ir("graph") and "tensor<6x12xf32>" in cpu.ir("graph")
    assert (cpu(x) - model(x)).abs().max() < 0.05 * model(x).abs().max()


# ---------------------------------------------------------------------------------------------------------------------
# Layers of torch.nn
# ---------------------------------------------------------------------------------------------------------------------


class With(nn.Module):
    """A function of the input and of parameters of these shapes."""

    def __init__(self, function: Callable[..., torch.Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ParameterList([torch.rand(shape) + 0.5 for shape in shapes])

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs, *self.layers)


class First(nn.Module):
    """The first result of a layer, which reads its input `count` times."""

    def __init__(self, layer: nn.Module, count: int = 1) -> None:
        super().__init__()
        self.layer, self.count = layer, count

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(*[x] * self.count)[0]


class Tokens(nn.Module):
    """Embeddings of tokens and of their places, as BERT has them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.last = nn.Embedding(10, 8), nn.Embedding(16, 8), nn.Linear(8, 4)
        self.register_buffer("numbers", torch.arange(16)[None])

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.last(self.words(ids) + self.places(self.numbers[:, : ids.shape[1]]))


ROWS, SEQUENCE, SIGNAL, IMAGE, VOLUME = (4, 8), (2, 5, 8), (2, 4, 9), (2, 4, 9, 9), (1, 2, 5, 5, 5)
KINDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), SIGNAL),
    "conv1d groups": (lambda: nn.Conv1d(4, 8, 3, groups=4), SIGNAL),
    "conv1d relu conv1d": (lambda: nn.Sequential(nn.Conv1d(4, 6, 3), nn.ReLU(), nn.Conv1d(6, 4, 1)), SIGNAL),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3), IMAGE),
    "conv3d": (lambda: nn.Conv3d(2, 3, 3), VOLUME),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2), SIGNAL),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), IMAGE),
    "conv_transpose2d groups": (lambda: nn.ConvTranspose2d(4, 8, 2, 2, groups=2), IMAGE),
    "conv_transpose3d": (lambda: nn.ConvTranspose3d(2, 3, 2, 2), VOLUME),
    "bilinear": (lambda: First(nn.Bilinear(8, 8, 3), 2), ROWS),
    "layer_norm": (lambda: nn.LayerNorm(8), ROWS),
    "layer_norm without scale": (lambda: nn.LayerNorm(8, elementwise_affine=False), ROWS),
    "group_norm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "batch_norm1d": (lambda: nn.BatchNorm1d(4), SIGNAL),
    "batch_norm2d": (lambda: nn.BatchNorm2d(4), IMAGE),
    "instance_norm": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "rms_norm": (lambda: nn.RMSNorm(8), ROWS),
    "prelu": (nn.PReLU, ROWS),
    "conv2d prelu": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.PReLU(4)), IMAGE),
    "attention": (lambda: First(nn.MultiheadAttention(8, 2, batch_first=True), 3), SEQUENCE),
    "lstm": (lambda: First(nn.LSTM(8, 6, batch_first=True)), SEQUENCE),
    "gru": (lambda: First(nn.GRU(8, 6, batch_first=True)), SEQUENCE),
    "rnn": (lambda: First(nn.RNN(8, 6, batch_first=True)), SEQUENCE),
    "transposed conv3d": (lambda: nn.ConvTranspose3d(2, 3, 2, stride=2), (1, 2, 3, 3, 3)),
    "unfold": (lambda: With(lambda x, w: F.unfold(x, 3).transpose(1, 2) @ w, (36, 5)), IMAGE),
    "weight_norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 6, 3)), SIGNAL),
    "layer scale": (lambda: With(lambda x, w, g: F.conv2d(x, w) * g.view(1, -1, 1, 1), (4, 4, 1, 1), (4,)), IMAGE),
    "sliced places": (lambda: With(lambda x, p: x + p[:5], (9, 8)), SEQUENCE),
    "expanded token": (
        lambda: With(lambda x, t, p: torch.cat([t.expand(2, -1, -1), x], 1) + p[:, :6], (1, 1, 8), (1, 9, 8)),
        SEQUENCE,
    ),
    "reshaped minus": (lambda: With(lambda x, p: p.view(1, 8) - x, (8,)), ROWS),
    "permuted": (lambda: With(lambda x, p: x - p.t(), (8, 4)), ROWS),
    "cast": (lambda: With(lambda x, p: x * p.half().float().reshape(1, 8), (2, 4)), ROWS),
    "repeated": (lambda: With(lambda x, p: x + p.repeat(2), (4,)), ROWS),
    "pooled": (lambda: With(lambda x, p: x + F.max_pool1d(p[None], 2)[0], (8, 16)), (1, 8)),
    "softmax of a parameter": (lambda: With(lambda x, p: x * torch.softmax(p, 0), (8,)), ROWS),
    "product of parameters": (lambda: With(lambda x, p, q: x * (p * q).reshape(8), (2, 4), (2, 4)), ROWS),
    "exponential": (lambda: With(lambda x, p: torch.exp(p).view(1, 8) * x, (8,)), ROWS),
    "one number": (lambda: With(lambda x, p: x * 2 + p.view(1, 1), ()), ROWS),
    "left operand": (lambda: With(lambda x, p: p.reshape(3, 8) @ x.t(), (24,)), ROWS),
    "bias and term": (lambda: With(lambda x, w, b: (x @ w + b) * 0.5 + (x + b), (8, 8), (8,)), ROWS),
    "two forms of one": (lambda: With(lambda x, p: (x + p[:8].view(8)) * p[2:10].reshape(1, 8), (12,)), ROWS),
    "no elements": (lambda: With(lambda x, p: x + p[:0], (4, 8)), (0, 8)),
    "several results": (lambda: With(lambda x, p: x.topk(4, -1).values[..., :2] + p, (2,)), SEQUENCE),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_layer_compiles_and_agrees(name: str) -> None:
    """Within 4 % of the largest result: some rounding to 1/254 of the largest value each."""
    torch.manual_seed(0)
    make, shape = KINDS[name]
    model, x = make().eval(), torch.randn(shape)
    compiled = terrace.compile(model, (x,), options=int8(x))
    with torch.no_grad():
        expected = model(x)
    assert compiled(x).shape == expected.shape
    if expected.numel():
        assert (compiled(x) - expected).abs().max() <= 0.04 * expected.abs().max()


def test_embeddings_of_tokens_and_of_places() -> None:
    torch.manual_seed(0)
    model, ids = Tokens().eval(), torch.randint(0, 10, (2, 5))
    compiled = terrace.compile(model, (ids,), options=int8(ids))
    with torch.no_grad():
        expected = model(ids)
    assert (compiled(ids) - expected).abs().max() <= 0.03 * expected.abs().max()


def test_what_has_nothing_in_int8_compiles() -> None:
    model, ids = nn.Embedding(10, 4), torch.tensor([[1, 9, 0]])
    compiled = terrace.compile(model, (ids,), options=int8(ids))
    assert torch.equal(compiled(ids), model(ids).detach())


def test_dynamic_places() -> None:
    """A slice of a parameter whose length is known when the program runs takes over the parameter's scale."""
    torch.manual_seed(0)
    model, x = With(lambda x, w, p: (x @ w) + p[:, : x.shape[1]], (8, 8), (1, 16, 8)).eval(), torch.randn(2, 5, 8)
    shapes = (({1: torch.export.Dim("n", min=2, max=16)},),)
    compiled = terrace.compile(model, (x,), dynamic_shapes=shapes, options=int8(x))
    for inputs in (x, x[:, :3]):
        assert (compiled(inputs) - model(inputs)).abs().max() <= 0.03 * model(inputs).abs().max()


def test_a_computed_mask_of_infinities_stays_in_float32_through_a_view() -> None:
    torch.manual_seed(0)

    def masked(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        mask = torch.where(x[:, :, 0] > 1.0, -torch.inf, 0.0).view(2, 1, 5)
        return torch.softmax(x @ weight @ x.transpose(1, 2) + mask, -1) @ x

    model, x = With(masked, (8, 8)).eval(), torch.randn(2, 5, 8)
    assert (x[:, :, 0] > 1.0).any()
    compiled = terrace.compile(model, (x,), options=int8(x))
    assert (compiled(x) - model(x)).abs().max() <= 0.06 * model(x).abs().max()


def test_the_report_names_what_stays_in_float32() -> None:
    model, x = nn.Sequential(nn.Linear(8, 8), nn.RMSNorm(8), nn.Linear(8, 4)).eval(), torch.randn(4, 8)
    report = terrace.compile(model, (x,), options=int8(x)).report()
    floats = str(report).splitlines()[-1].removeprefix("in float32, beside int8: ").split(", ")
    assert floats and all("norm" in name and "matmul" not in name for name in floats), floats
    assert "beside int8" not in str(terrace.compile(model, (x,)).report())


# ---------------------------------------------------------------------------------------------------------------------
# Numbers that hurt
# ---------------------------------------------------------------------------------------------------------------------


def hurt(case: str) -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(6, 4)
    with torch.no_grad():
        if case == "zero channels":  # one with a bias and one without
            layer.weight[:2] = 0
            layer.bias[0] = 0
        elif case == "tiny channel":  # its bias would not fit 32 bits at the scale of its weights
            layer.weight[1] *= 1e-12
        elif case == "all zeros":
            layer.weight.zero_()
            layer.bias.zero_()
        elif case == "huge and tiny":
            layer.weight[0] *= 1e20
            layer.weight[1] *= 1e-30
    return layer


@needs_compiler
@pytest.mark.parametrize("case", ["zero channels", "tiny channel", "all zeros", "huge and tiny"])
def test_weights_that_hurt(case: str) -> None:
    layer, x = hurt(case), torch.randn(5, 6)
    result = check_bits(compile_both(layer, x), x, 3 * x)
    with torch.no_grad():
        expected = layer(x)
    assert (result - expected).abs().max() <= 0.03 * expected.abs().max()


@needs_compiler
def test_calibration_by_zeros() -> None:
    """A tensor that was only seen to be zero has scale 1: what differs from it later is rounded to whole numbers."""
    torch.manual_seed(0)
    layer = nn.Linear(6, 4, bias=False)
    x = torch.randn(5, 6)
    compiled = compile_both(layer, x, torch.zeros(5, 6))
    result = check_bits(compiled, x, torch.zeros(5, 6))
    assert torch.equal(result, result.round())
    assert compiled[0](torch.zeros(5, 6)).abs().max() == 0


@needs_compiler
def test_inputs_that_hurt() -> None:
    """NaN is 0, infinities and what was never seen saturate, exact halves go to the even neighbour."""

    class Same(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    # The range 127 makes the scale 1, and that of the sum 2: integers come out as they are rounded.
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 127.5, -127.5, -128.5, 1e30, -1e30, torch.nan, 1e-40, 126.5])
    compiled = compile_both(Same(), x, torch.full_like(x, 127.0))
    wanted = torch.tensor([0.0, 2, 2, 0, -2, -2, 127, -128, -128, 127, -128, 0, 0, 126])
    result = check_bits(compiled, x, torch.full_like(x, torch.inf), torch.full_like(x, -torch.inf))
    assert torch.equal(result, 2 * wanted)


# ---------------------------------------------------------------------------------------------------------------------
# Calibration and options
# ---------------------------------------------------------------------------------------------------------------------


def test_ranges_are_the_largest_of_all_samples() -> None:
    layer, x = nn.Linear(6, 4).eval(), torch.randn(2, 6)
    texts = [
        lower(PyTorch(layer, (x,)), Request.of(options={"quantize": "int8", "calibration": given}), until="graph").ir[
            "graph"
        ]
        for given in ([x, 3 * x, 2 * x], [3 * x], [(3 * x,), (x,)], [x])
    ]
    assert texts[0] == texts[1] == texts[2] != texts[3]
    options = {"quantize": "int8", "calibration": [{"input": 3 * x}]}
    named = lower(PyTorch(layer, (), {"input": x}), Request.of(options=options), until="graph").ir["graph"]
    assert named.partition("func.func")[0] == texts[0].partition("func.func")[0]


@pytest.mark.parametrize(("number", "what"), [(torch.nan, "NaN"), (torch.inf, "an infinity")])
def test_samples_that_are_no_numbers_are_refused(number: float, what: str) -> None:
    layer, x = nn.Linear(6, 4).eval(), torch.randn(2, 6)
    bad = x.clone()
    bad[1, 2] = number
    message = (
        rf"calibration sample 1 makes argument 0 \(float32 2x6\) {what}, and no scale covers that; leave the sample"
    )
    with pytest.raises(CompileError, match=message):
        lower(PyTorch(layer, (x,)), Request.of(options=int8(x, bad)), until="graph")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"quantize": "int4"},
            "option 'quantize' must be \"int8\", or {'type': \"int8\", 'multiplier_bits': int}, got 'int4'",
        ),
        ({"calibration": [1]}, "option 'calibration' needs option 'quantize'"),
        ({"quantize": "int8", "calibration": 3}, "option 'calibration' must be a list of calls, got int"),
        ({"quantize": "int8"}, "option 'quantize' needs option 'calibration': a list of sample calls"),
        ({"quantize": "int8", "calibration": []}, "option 'quantize' needs option 'calibration'"),
        (int8(torch.ones(2, 6), "x"), r"option 'calibration', sample 1: args\[0\]: expected a tensor float32\[2, 6\]"),
        (int8((torch.ones(2, 6), 1)), "option 'calibration', sample 0: args: expected 1 positional arguments, found 2"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        lower(PyTorch(nn.Linear(6, 4).eval(), (torch.randn(2, 6),)), Request.of(options=options), until="graph")


def test_a_text_without_ranges_is_refused() -> None:
    layer, x = nn.Linear(6, 4).eval(), torch.randn(2, 6)
    text = lower(PyTorch(layer, (x,)), until="graph").ir["graph"]
    with pytest.raises(CompileError, match="option 'quantize' needs option 'calibration'"):
        lower(Text(text, dict(layer.named_parameters())), Request.of(options={"quantize": "int8"}), until="graph")


def test_only_graphs_are_quantised() -> None:
    layer, x = nn.Linear(6, 4).eval(), torch.randn(2, 6)
    text = lower(PyTorch(layer, (x,)), until="kernel").ir["kernel"]
    with pytest.raises(
        CompileError, match="option 'quantize' is for graphs; the text is at the level 'kernel' already"
    ):
        lower(Text(text, dict(layer.named_parameters())), Request.of(options=int8(x)), until="kernel")


@needs_compiler
def test_the_text_of_each_level_is_an_entry() -> None:
    """What a quantised model prints compiles to the same integers."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(9, 7), nn.GELU(), nn.Linear(7, 3), nn.Softmax(-1)).eval(), torch.randn(4, 9)
    compiled = terrace.compile(model, (x,), options=int8(x))
    for level in ("graph", "kernel", "loop"):
        again = terrace.compile_mlir(compiled.ir(level), dict(model.named_parameters()), target="cpu")
        assert torch.equal(again(x), compiled(x)), level
    hardware = terrace.compile_mlir(compiled.ir("graph"), dict(model.named_parameters()), target="hls")
    assert torch.equal(hardware(x), compiled(x))
