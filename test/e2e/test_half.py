"""Models in bfloat16 and float16 on a CPU: our kernels run them, no further from float32 than eager is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import terrace
import torch
import torch.nn.functional as F
from terrace.runtime.cpu_features import host_features
from terrace.target import COMPUTE_FEATURES
from torch import nn

HALVES = (torch.bfloat16, torch.float16)


class Block(nn.Module):
    """A transformer's block: attention, norms, GELU, residuals."""

    def __init__(self, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal
        self.norms = nn.ModuleList([nn.LayerNorm(48), nn.RMSNorm(48)])
        self.mix, self.out = nn.Linear(48, 144), nn.Linear(48, 48)
        nn.init.normal_(self.mix.weight, std=0.5)  # Scores of some tens, of which a rounding shows.
        self.up, self.down = nn.Linear(48, 100), nn.Linear(100, 48)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = [part.unflatten(-1, (3, 16)).transpose(1, 2) for part in self.mix(self.norms[0](x)).chunk(3, -1)]
        mixed = F.scaled_dot_product_attention(*heads, is_causal=self.is_causal).transpose(1, 2).flatten(2)
        x = x + self.out(mixed)
        return x + self.down(F.gelu(self.up(self.norms[1](x))))


class Gates(nn.Module):
    """Elementwise work of many kinds, in a row."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(x) * torch.tanh(y) + F.silu(x - y)
        return torch.where(gate > 0, gate.square(), F.hardswish(gate)) / (1 + y.abs())


def _images() -> nn.Module:
    norm = nn.BatchNorm2d(17)
    for value, low in ((norm.running_mean, -1), (norm.running_var, 0.2), (norm.weight, 0.5), (norm.bias, -1)):
        nn.init.uniform_(value, low, 2)
    return nn.Sequential(
        nn.Conv2d(3, 17, 3, padding=1), norm, nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(17, 17, 3, padding=1, groups=17), nn.Hardswish(), nn.AvgPool2d(2, 1), nn.Conv2d(17, 33, 1, stride=2),
    )  # fmt: skip


def _randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


LEFT = {"broadcast", "causal_mask", "pad", "permute", "slice"}
"""What is IREE's, of any type: moves, and a mask made of indices."""

MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], tuple[torch.Tensor, ...]]]] = {
    "mlp": (
        lambda: nn.Sequential(nn.Linear(65, 129), nn.GELU(), nn.Linear(129, 31), nn.Softmax(-1)),
        lambda: (_randn(7, 65),),
    ),
    "one row": (lambda: nn.Linear(301, 1), lambda: (_randn(1, 301),)),
    "block": (lambda: Block(False), lambda: (2 * _randn(2, 13, 48),)),
    "causal block": (lambda: Block(True), lambda: (2 * _randn(1, 33, 48),)),
    "gates": (Gates, lambda: (3 * _randn(5, 67), _randn(67))),
    "images": (_images, lambda: (_randn(2, 3, 15, 13),)),
}


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_at_most_eagers_error(name: str, half: torch.dtype) -> None:
    """The error is summed over several inputs: one element may be luckier in eager."""
    torch.manual_seed(0)
    make, inputs = MODELS[name]
    model = make().eval().to(half)
    batches = [tuple(x.to(half) for x in inputs()) for _ in range(32)]
    compiled = terrace.compile(model, batches[0])
    strange = [row["op"] for row in compiled.report().rows if row["by"] != "terrace"]
    assert set(strange) <= LEFT
    with torch.no_grad():
        eager = [model(*batch) for batch in batches]
        model.float()
        wanted = [model(*(x.float() for x in batch)) for batch in batches]
    ours = [compiled(*batch) for batch in batches]
    assert all(y.dtype is half for y in ours)
    errors = [
        sum(float((y.float() - w).square().sum()) for y, w in zip(outputs, wanted, strict=True)) ** 0.5
        for outputs in (ours, eager)
    ]
    assert 0 < errors[0] <= errors[1]


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize("atoms", [True, False])
def test_special_values(half: torch.dtype, atoms: bool) -> None:
    """NaN, infinities, zeros and the smallest numbers, through a product and through what follows it.

    The CPU's step for bfloat16 takes denormal numbers for zero.
    """
    features = sorted(COMPUTE_FEATURES & host_features())
    target = terrace.Target(features=tuple(f for f in features if atoms or f != "avx512bf16"))
    limits = torch.finfo(half)
    special = [float("nan"), float("inf"), -float("inf"), -0.0, limits.max, limits.smallest_normal, limits.eps]
    tiny = torch.tensor([1], dtype=torch.int16).view(half).item()
    x = torch.diag(torch.tensor([*special, tiny], dtype=torch.float32)).to(half)
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU()).eval().to(half)
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(8))
        compiled = terrace.compile(model, (x,), target=target)
        if "bf16_dot" in compiled.ir("kernel"):
            assert atoms and half is torch.bfloat16
            x[-1, -1] = 0
            wanted = model.float()(x.float()).to(half)
            x[-1, -1] = tiny
        else:
            wanted = model.float()(x.float()).to(half)
        torch.testing.assert_close(compiled(x), wanted, rtol=0, atol=0, equal_nan=True)
