"""Imported ops, by family, against eager PyTorch: through the reference conversion to linalg and IREE."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import terrace
import torch
import torch.nn.functional as F
from frontend_reference import compare_with_eager
from torch import nn

IMAGE, MATRIX, ROWS = (2, 4, 8, 8), (2, 8), (2, 5, 8)


class Calls(nn.Module):
    """A module around a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def activations(x: torch.Tensor) -> list[torch.Tensor]:
    exact = [F.relu6(x), F.leaky_relu(x), F.elu(x), F.selu(x), F.celu(x), F.gelu(x), F.gelu(x, approximate="tanh")]
    smooth = [F.silu(x), F.hardswish(x), F.hardsigmoid(x), F.softplus(x), F.mish(x), F.glu(x), F.logsigmoid(x)]
    return [*exact, *smooth, F.softmax(x, 0), F.log_softmax(x, -1), x.clamp(min=0), x.clamp(-1, 1), F.hardtanh(x)]


def arithmetic(x: torch.Tensor) -> list[torch.Tensor]:
    positive = x.abs() + 0.5
    powers = [x**2, x**3, positive**0.5, positive**-0.5, x**-1, positive**1.7, torch.pow(2, x), positive**x]
    sums = [2 - x * 3, x / 2, torch.add(x, x, alpha=2), torch.sub(x, x, alpha=0.5), torch.rsub(x, 1, alpha=2)]
    single = [
        -x,
        x.reciprocal(),
        positive.log(),
        x.sin(),
        x.cos(),
        x.exp(),
        x.floor(),
        x.ceil(),
        torch.erf(x),
        x.sign(),
    ]
    return [*powers, *sums, *single, torch.maximum(x, -x), torch.minimum(x, -x), x.round(), torch.atan(x)]


def truth(x: torch.Tensor) -> list[torch.Tensor]:
    both, either = (x > 0) & (x < 1), (x > 1) | (x < -1)
    parts = [both, either, ~both, both ^ either, torch.logical_not(x), x.isnan(), x.isfinite(), x >= x.mean()]
    return [part.float() for part in parts] + [torch.where(x > 0, x, 0.0), x.masked_fill(x > 0, -1e9)]


def integers(x: torch.Tensor) -> list[torch.Tensor]:
    plain = [x + 1, x * 2, -x, x.abs(), x.clamp(1, 3), x.sum(), x.sum(1), x.max(), x // 2, x % 3]
    mixed = [x.float() / 2, x / 2, x + 0.5, x.to(torch.int32) + 1, (x > 2).long(), (x == 2.5).long(), (x > 0) + x]
    return [*plain, *mixed]


def reductions(x: torch.Tensor) -> list[torch.Tensor]:
    whole = [x.mean(), x.sum(), x.max(), x.min(), x.std(), x.norm()]
    partial = [x.sum(1), x.amax((1, 2), keepdim=True), x.amin(-1), x.prod(1), x.var(1), x.logsumexp(1), x.mean((2, 3))]
    return [*whole, *partial, x.argmax(1), x.cumsum(1), *x.max(1), (x > 0).sum(1)]


def pools(x: torch.Tensor) -> list[torch.Tensor]:
    maximum = [F.max_pool2d(x, 3, 2, 1), F.max_pool2d(x, 3, 2, ceil_mode=True), F.max_pool2d(x, 2, dilation=2)]
    mean = [F.avg_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)]
    return [*maximum, *mean, *(F.adaptive_avg_pool2d(x, size) for size in (1, 2, 3)), F.adaptive_max_pool2d(x, 2)]


def layouts(x: torch.Tensor) -> list[torch.Tensor]:
    shapes = [x.flatten(1), x.view(2, -1), x.unsqueeze(-1), x[:, :1].squeeze(1), x.expand(3, 2, 4, 8, 8)]
    order = [x.permute(0, 2, 3, 1), x.transpose(1, -1), x.flip(1), x.roll(1, 2), x.repeat(1, 2, 1, 1)]
    parts = [x[:, 1:3], x[:, ::2], x[..., -1], x[:, -2:], *x.chunk(2, 1), *x.split([1, 3], 1), *x.unbind(1)]
    joined = [torch.stack([x, x], 1), torch.cat([x, x], 1), F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2)]
    padded = [F.pad(x, (1, 2, 0, 1)), F.pad(x, (1, 1), value=2.0), F.pad(x, (1, 1, 1, 1), "reflect"), F.pad(x, (-1, 2))]
    return [*shapes, *order, *parts, *joined, *padded]


def products(x: torch.Tensor) -> list[torch.Tensor]:
    batched = [x @ x.transpose(-1, -2), x @ x[:, :1], x @ x[0, 0], torch.einsum("bchw,bdhw->bcd", x, x)]
    vectors = [x[0, 0, 0] @ x[0, 0], x @ x[0, 0, 0], x[0, 0, 0] @ x[0, 0, 1]]
    added = [torch.addmm(x[0, 0], x[0, 0], x[0, 1]), torch.baddbmm(x[0], x[0], x[1], beta=0.5, alpha=2)]
    return [*batched, *vectors, *added, F.linear(x[0, 0, 0], x[0, 0])]


def attentions(x: torch.Tensor) -> list[torch.Tensor]:
    attention = F.scaled_dot_product_attention
    mask = torch.ones(8, 8, dtype=torch.bool).tril()
    masked = [attention(x, x, x, is_causal=True), attention(x, x, x, mask), attention(x, x, x, mask.float())]
    return [*masked, attention(x, x[:, :2], x[:, :2], enable_gqa=True, scale=0.3)]


def factories(x: torch.Tensor) -> list[torch.Tensor]:
    filled = [torch.zeros_like(x), torch.ones(2, 8) + x, torch.full((2,), 3.0), x.new_zeros(3), torch.eye(8) @ x.t()]
    return [*filled, torch.arange(8) + x, torch.linspace(0, 1, 8) + x, torch.tril(torch.ones(8, 8)), torch.triu(x)]


def writes(x: torch.Tensor) -> list[torch.Tensor]:
    """Negative indices count from the end; torch-mlir wrote outside of the tensor for them."""
    rows, columns = torch.tensor([-1, 0]), torch.tensor([1, -2])
    masked, rowed, placed, crossed = (x.clone() for _ in range(4))
    masked[x > 0] = 0.0
    rowed[x[:, 0] > 0] = -1.0
    placed[:, columns] = 3.0
    crossed[rows, columns] *= 2
    several = x.index_put((rows,), x[:2] * 2, accumulate=True)
    return [masked, rowed, placed, crossed, several, x.scatter(1, columns.abs().expand(2, 2), 1.5)]


def orders(x: torch.Tensor) -> list[torch.Tensor]:
    """Sorting and what is made of it, and places found by comparison."""
    pairs = [*x.sort(-1, descending=True), *x.topk(3), *x.kthvalue(2, 1), *x.kthvalue(2, 0, keepdim=True)]
    return [*pairs, torch.bucketize(x, torch.tensor([-1.0, 0.0, 1.0])), x.argsort(0)]


def rolls(x: torch.Tensor) -> list[torch.Tensor]:
    """Shifts of both signs, beyond the size, and over the flattened tensor."""
    return [x.roll((-1, 3), (0, 1)), x.roll(19, -1), x.roll(-17, 1), x.roll(3), x.roll(0, 0)]


def remainders(x: torch.Tensor) -> list[torch.Tensor]:
    divided = [x % -1.5, torch.fmod(x, 0.7), torch.floor_divide(x, 0.7), torch.div(x, 0.7, rounding_mode="trunc")]
    distances = [torch.cdist(x, x + 1), torch.cdist(x, x + 1, p=1), torch.hypot(x, 1 - x), torch.hypot(x - x, x - x)]
    return [*divided, *distances, torch.erfc(x), x.abs().log10(), x.abs().log2(), x.abs().log1p()]


def determinants(x: torch.Tensor) -> list[torch.Tensor]:
    """Also of matrices whose first pivot, or every one, is 0."""
    zero = torch.cat([x[:, :1] * 0, x[:, 1:].flip(-1)], 1).transpose(1, 2)
    return [torch.linalg.det(x), torch.linalg.det(x.flip(1) * (1 - torch.eye(4))), torch.linalg.det(zero)] + [
        *torch.linalg.slogdet(x),
        *torch.linalg.slogdet(zero),
    ]


FUNCTIONS = [
    (determinants, (3, 4, 4)),
    (activations, MATRIX),
    (arithmetic, MATRIX),
    (truth, MATRIX),
    (reductions, IMAGE),
    (pools, IMAGE),
    (layouts, IMAGE),
    (products, IMAGE),
    (attentions, IMAGE),
    (factories, MATRIX),
    (writes, (3, 8)),
    (orders, (3, 8)),
    (rolls, MATRIX),
    (remainders, MATRIX),
]


@pytest.mark.parametrize(("function", "shape"), FUNCTIONS, ids=lambda value: getattr(value, "__name__", ""))
def test_functions(function: Callable[..., Any], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    compare_with_eager(Calls(function), (torch.randn(shape),))


def test_integers() -> None:
    torch.manual_seed(0)
    compare_with_eager(Calls(integers), (torch.randint(0, 5, MATRIX),))


def bits(x: torch.Tensor) -> list[torch.Tensor]:
    logic = [x | 4, x ^ 1, x & 3, x | x + 1, ~x, x >> 1, x << 2, x**2, x**3]
    return [*logic, x // 3, -x // 3, x % -3, x % (x * x + 1), torch.fmod(x, 3), torch.div(x, 3, rounding_mode="trunc")]


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_bits(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    compare_with_eager(Calls(bits), (torch.randint(-20, 20, MATRIX, dtype=dtype),))


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "conv1d": (nn.Conv1d(5, 6, 3, padding=1, stride=2), ROWS),
    "conv2d_same_groups": (nn.Conv2d(4, 8, 4, padding="same", groups=2), IMAGE),
    "conv2d_one_image": (nn.Conv2d(4, 8, 3, dilation=2), IMAGE[1:]),
    "conv3d": (nn.Conv3d(4, 5, 3, padding=1), (1, 4, 5, 5, 5)),
    "conv_transpose1d": (nn.ConvTranspose1d(5, 6, 3), ROWS),
    "conv_transpose2d": (nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2), IMAGE),
    "batch_norm": (nn.BatchNorm1d(8), MATRIX),
    "group_norm": (nn.GroupNorm(2, 4), IMAGE),
    "instance_norm": (nn.InstanceNorm2d(4), IMAGE),
    "layer_norm": (nn.LayerNorm((8, 8), elementwise_affine=False), IMAGE),
    "rms_norm": (nn.RMSNorm(8), MATRIX),
    "prelu": (nn.PReLU(8), MATRIX),
    "transformer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), ROWS),
    "max_pool_one_image": (nn.MaxPool2d(2), IMAGE[1:]),
    "avg_pool_one_image": (nn.AvgPool2d(3, 2, 1), IMAGE[1:]),
    "lstm": (nn.LSTM(8, 6, batch_first=True), ROWS),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    torch.manual_seed(0)
    layer, shape = LAYERS[name]
    compare_with_eager(layer.eval(), (torch.randn(shape),))


def test_dynamic_sizes() -> None:
    """One program for several batches and lengths, down to one row."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    others = [(torch.randn(b, n, 8),) for b, n in ((1, 1), (4, 7))]
    compare_with_eager(layer, (torch.randn(2, 5, 8),), ({0: batch, 1: length},), others)


def test_dynamic_rolls_and_writes() -> None:
    """Places that depend on a size which only the call tells."""

    def function(x: torch.Tensor) -> list[torch.Tensor]:
        written = x.clone()
        written[torch.tensor([-1, 0])] = 2.0
        return [written, x.roll((1, -4), (0, 1)), x.roll(9, 0), x.roll(5)]

    # By the whole compiler: IREE alone cannot compile the checks of dynamic places that it fuses.
    shapes = (({0: torch.export.Dim("rows"), 1: torch.export.Dim("columns")},),)
    compiled = terrace.compile(Calls(function), (torch.randn(3, 6),), dynamic_shapes=shapes)
    for x in (torch.randn(3, 6), torch.randn(2, 2), torch.randn(5, 9)):
        assert all(map(torch.equal, compiled(x), function(x)))


def test_lenet() -> None:
    path = Path(__file__).parents[2] / "examples" / "models" / "lenet.py"
    spec = importlib.util.spec_from_file_location("lenet", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    compare_with_eager(*module.build())
