"""The kernels that `terrace-bench` measures: one op each, or a few.

Convolutions take and give NHWC tensors, so that the case is the kernel and not a change of layout; their peers get the
same memory as PyTorch's channels_last. torch is imported where a case is built: `--list` and `--help` need none.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from terrace.tools.bench.case import Case, Contest, in_type

if TYPE_CHECKING:
    import torch
    from torch import nn

# ---------------------------------------------------------------------------------------------------------------------
# Matrix products
# ---------------------------------------------------------------------------------------------------------------------


def _matmul(m: int, n: int, k: int) -> Contest:
    import torch
    from torch import nn

    class Matmul(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x @ y

    x, y = torch.randn(m, k), torch.randn(k, n)
    return Contest(Matmul(), (x, y), {"torch": lambda: x @ y})


def _linear(m: int, n: int, k: int) -> Contest:
    import torch
    from torch import nn

    model, x = nn.Linear(k, n), torch.randn(m, k)
    return Contest(model, (x,), {"torch": lambda: model(x)})


def matmul_case(name: str, m: int, n: int, k: int, *, constant: bool) -> Case:
    """A product [m, k] x [k, n], by a constant weight (with bias) or of two inputs. Names give m x n x k."""
    build = _linear if constant else _matmul
    what = f"linear {m}x{k} -> {m}x{n}, weight constant" if constant else f"matmul {m}x{k} x {k}x{n}, both inputs"
    return Case(name, "kernels", what, lambda: build(m, n, k), flops=2 * m * n * k)


def _bfloat16() -> Contest:
    contest = _linear(128, 3072, 768)
    model, x = contest.model.bfloat16(), contest.args[0].bfloat16()
    return Contest(model, (x,), {"torch": lambda: model(x)}, tolerance=2**-7)


def _in_turn(count: int, n: int, k: int, weights: str) -> Contest:
    import torch
    from torch import nn

    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(k, n, bias=False) for _ in range(count))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([layer(x) for layer in self.layers]).sum(0)

    model, x = Layers(), torch.randn(1, k)
    return Contest(
        model, (x,), {"torch float32": lambda: model(x)}, options={"quantize_weights": weights}, tolerance=0.2
    )


def weights_case(name: str, count: int, n: int, k: int, weights: str, bits: float) -> Case:
    """Products of one row by so many weights in turn, more than caches hold, stored in so many bits an element."""
    what = f"{count} products 1x{k} -> 1x{n} in turn, weights {weights}, activations float32"
    size = round(count * n * k * bits / 8)
    return Case(name, "weights", what, lambda: _in_turn(count, n, k, weights), bytes=size)


# ---------------------------------------------------------------------------------------------------------------------
# Convolutions
# ---------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution on a square image of `size`, padded to keep the size at stride 1."""

    inputs: int
    outputs: int
    size: int
    kernel: int
    stride: int = 1
    groups: int = 1

    @property
    def flops(self) -> int:
        rows = -(-self.size // self.stride)
        return 2 * rows * rows * self.outputs * self.kernel**2 * self.inputs // self.groups


def _conv(conv: Conv) -> Contest:
    import torch
    from torch import nn

    class ChannelsLast(nn.Module):
        def __init__(self, conv: nn.Conv2d) -> None:
            super().__init__()
            self.conv = conv

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    layer = nn.Conv2d(conv.inputs, conv.outputs, conv.kernel, conv.stride, padding=conv.kernel // 2, groups=conv.groups)
    image = torch.randn(1, conv.size, conv.size, conv.inputs)
    view = image.permute(0, 3, 1, 2)
    padding, stride, dilation = tuple(map(int, layer.padding)), layer.stride, layer.dilation
    weight = layer.weight.detach().contiguous(memory_format=torch.channels_last)

    def torch_conv() -> torch.Tensor:
        result = torch.nn.functional.conv2d(view, weight, layer.bias, stride, padding, dilation, layer.groups)
        return result.permute(0, 2, 3, 1)

    peers: dict[str, Callable[[], Any]] = {"torch": torch_conv}
    if torch.backends.mkldnn.is_available():
        peers["torch prepacked"] = _prepacked(layer, padding, view)
    return Contest(ChannelsLast(layer), (image,), peers)


def _prepacked(layer: nn.Conv2d, padding: Sequence[int], view: torch.Tensor) -> Callable[[], Any]:
    """oneDNN with the weights already in the order that it wants, as torch.compile's inductor calls it."""
    import torch

    reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
    geometry = [list(padding), list(layer.stride), list(layer.dilation), layer.groups]
    weight = reorder(layer.weight.detach().to_mkldnn(), *geometry, list(view.shape))

    def call() -> Any:
        run = torch.ops.mkldnn._convolution_pointwise
        return run(view, weight, layer.bias, *geometry, "none", [], "").permute(0, 2, 3, 1)

    return call


def conv_case(name: str, conv: Conv) -> Case:
    """A convolution with bias, weights constant."""
    groups = f", groups {conv.groups}" if conv.groups > 1 else ""
    what = (
        f"conv {conv.kernel}x{conv.kernel} {conv.inputs}->{conv.outputs}, image {conv.size}x{conv.size}, "
        f"stride {conv.stride}{groups}, weights constant"
    )
    return Case(name, "kernels", what, lambda: _conv(conv), flops=conv.flops)


# ---------------------------------------------------------------------------------------------------------------------
# Attention
# ---------------------------------------------------------------------------------------------------------------------


def _attention(heads: int, length: int, width: int, is_causal: bool) -> Contest:
    import torch
    from torch import nn

    class Attention(nn.Module):
        def forward(self, *projections: torch.Tensor) -> torch.Tensor:
            query, key, value = (x.view(1, length, heads, width).transpose(1, 2) for x in projections)
            y = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=is_causal)
            return y.transpose(1, 2).reshape(1, length, heads * width)

    model, args = Attention(), tuple(torch.randn(1, length, heads * width) for _ in range(3))
    return Contest(model, args, {"torch": lambda: model(*args)})


def attention_case(name: str, heads: int, length: int, width: int, *, is_causal: bool = False) -> Case:
    """Attention between the projections of a transformer, heads taken apart and joined again on both sides."""
    kind = "causal attention" if is_causal else "attention"
    flops = 4 * heads * length * length * width // (2 if is_causal else 1)
    what = f"{kind}, {heads} heads of {width}, {length} tokens, heads inside"
    return Case(name, "kernels", what, lambda: _attention(heads, length, width, is_causal), flops=flops)


# ---------------------------------------------------------------------------------------------------------------------
# Elementwise work and rows
# ---------------------------------------------------------------------------------------------------------------------


def _gelu(shape: tuple[int, ...]) -> Contest:
    import torch
    from torch import nn

    x = torch.randn(shape)
    return Contest(nn.GELU(), (x,), {"torch": lambda: torch.nn.functional.gelu(x)})


def _add_relu(shape: tuple[int, ...]) -> Contest:
    import torch
    from torch import nn

    class AddRelu(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch.relu(x + y)

    x, y = torch.randn(shape), torch.randn(shape)
    return Contest(AddRelu(), (x, y), {"torch": lambda: torch.relu(x + y)})


def memory_case(name: str, what: str, shape: tuple[int, ...], tensors: int, build: Callable[..., Contest]) -> Case:
    """Work that reads and writes `tensors` tensors of `shape` in all."""
    text = f"{what}, {'x'.join(map(str, shape))}"
    return Case(name, "kernels", text, lambda: build(shape), bytes=4 * tensors * math.prod(shape))


def _softmax(shape: tuple[int, ...]) -> Contest:
    import torch
    from torch import nn

    x = torch.randn(shape)
    return Contest(nn.Softmax(-1), (x,), {"torch": lambda: torch.softmax(x, -1)})


def _layer_norm(shape: tuple[int, ...]) -> Contest:
    import torch
    from torch import nn

    model, x = nn.LayerNorm(shape[-1]), torch.randn(shape)
    nn.init.uniform_(model.weight, 0.5, 1.5)
    nn.init.normal_(model.bias, std=0.1)
    return Contest(model, (x,), {"torch": lambda: model(x)})


def _embedding(shape: tuple[int, ...]) -> Contest:
    import torch
    from torch import nn

    model, rows = nn.Embedding(30522, shape[1]), torch.randint(0, 30522, shape[:1])
    return Contest(model, (rows,), {"torch": lambda: model(rows)})


def _index_add(shape: tuple[int, ...]) -> Contest:
    import torch
    from torch import nn

    class IndexAdd(nn.Module):
        def forward(self, x: torch.Tensor, rows: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
            return x.index_add(0, rows, source)

    x, rows, source = torch.randn(512, shape[1]), torch.randint(0, 512, shape[:1]), torch.randn(shape)
    return Contest(IndexAdd(), (x, rows, source), {"torch": lambda: x.index_add(0, rows, source)})


def _of_rows(function: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...]) -> Contest:
    import torch
    from torch import nn

    class OfRows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(x)

    x = torch.randn(shape)
    return Contest(OfRows(), (x,), {"torch": lambda: function(x)})


def _cumsum(shape: tuple[int, ...]) -> Contest:
    return _of_rows(lambda x: x.cumsum(-1), shape)


def _topk(shape: tuple[int, ...]) -> Contest:
    return _of_rows(lambda x: x.topk(8).values, shape)


def _sort(shape: tuple[int, ...]) -> Contest:
    return _of_rows(lambda x: x.sort(-1).values, shape)


def _matvec(size: int) -> Contest:
    return _linear(1, size, size)


_FLOAT32 = (
    matmul_case("matmul-512", 512, 512, 512, constant=False),
    matmul_case("matmul-1024", 1024, 1024, 1024, constant=False),
    matmul_case("matmul-2048", 2048, 2048, 2048, constant=False),
    matmul_case("matmul-1024x1024x8192", 1024, 1024, 8192, constant=False),
    matmul_case("linear-128x3072x768", 128, 3072, 768, constant=True),
    matmul_case("linear-128x768x3072", 128, 768, 3072, constant=True),
    Case("matvec-4096", "kernels", "linear 1x4096 -> 1x4096, weight constant", lambda: _matvec(4096), bytes=4 << 24),
    weights_case("matvec-int4-8x4096", 8, 4096, 4096, "int4", 4.5),
    weights_case("matvec-int8-4x4096", 4, 4096, 4096, "int8", 8),
    conv_case("conv3x3-64-56", Conv(64, 64, 56, 3)),
    conv_case("conv1x1-64-256-56", Conv(64, 256, 56, 1)),
    conv_case("conv3x3-256-14", Conv(256, 256, 14, 3)),
    conv_case("conv7x7-3-64-224", Conv(3, 64, 224, 7, stride=2)),
    conv_case("depthwise3x3-144-56", Conv(144, 144, 56, 3, groups=144)),
    conv_case("depthwise3x3-144-56-s2", Conv(144, 144, 56, 3, stride=2, groups=144)),
    attention_case("attention-vit_b16", 12, 197, 64),
    attention_case("attention-gpt2-128", 12, 128, 64, is_causal=True),
    attention_case("attention-gpt2-1024", 12, 1024, 64, is_causal=True),
    memory_case("softmax-4096", "softmax of rows", (4096, 4096), 2, _softmax),
    memory_case("layer-norm-128x768", "layer norm of rows", (128, 768), 2, _layer_norm),
    memory_case("layer-norm-4096", "layer norm of rows", (4096, 4096), 2, _layer_norm),
    memory_case("embedding-128x768", "rows of a table of 30522", (128, 768), 2, _embedding),
    memory_case("index-add-2048x128", "rows added to some of 512", (2048, 128), 3, _index_add),
    memory_case("cumsum-4096x1000", "running sums of rows", (4096, 1000), 2, _cumsum),
    memory_case("topk-4096x1000", "the largest 8 of rows", (4096, 1000), 1, _topk),
    memory_case("sort-4096x1000", "rows in order", (4096, 1000), 2, _sort),
    memory_case("gelu-128x3072", "gelu", (128, 3072), 2, _gelu),
    memory_case("add-relu-56x56x256", "relu(x + y)", (1, 56, 56, 256), 3, _add_relu),
)
_NARROW = ("linear-128x3072x768", "conv3x3-64-56", "depthwise3x3-144-56")

KERNELS = (
    *_FLOAT32,
    Case(
        "linear-bfloat16", "kernels", "linear 128x768 -> 128x3072 of bfloat16", _bfloat16, "bf16", 2 * 128 * 3072 * 768
    ),
    *(in_type(case, type_) for type_ in ("bf16", "i8") for case in _FLOAT32 if case.name in _NARROW),
)
"""In the order in which they run."""
