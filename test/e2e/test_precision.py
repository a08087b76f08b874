"""Precision modes: what "medium" rounds, and that nothing else is; without the machine's step it is float32."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import terrace
import torch
from terrace.runtime.cpu_features import host_features
from terrace.target import COMPUTE_FEATURES
from torch import nn

HOST = tuple(sorted(COMPUTE_FEATURES & set(host_features())))
needs_bf16_dot = pytest.mark.skipif(
    not set(HOST) >= {"avx512bf16", "avx512vl", "avx512bw"} or "amx-bf16" in HOST,
    reason="this CPU has no AVX-512 BF16, or a slow one",
)

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(333, 70), (9, 333)),
    "one row": (lambda: nn.Linear(64, 33, bias=False), (1, 64)),
    "conv": (lambda: nn.Conv2d(3, 20, 7, stride=2, padding=3), (2, 3, 33, 31)),
    "1x1": (lambda: nn.Conv2d(17, 40, 1), (1, 17, 9, 9)),
    "groups": (lambda: nn.Conv2d(10, 30, 3, padding=1, groups=5), (1, 10, 8, 8)),
    "depthwise": (lambda: nn.Conv2d(24, 24, 3, padding=1, groups=24), (1, 24, 8, 8)),
    "winograd": (lambda: nn.Conv2d(64, 60, 3, padding=1), (1, 64, 31, 29)),
}


class Network(nn.Module):
    """Convolutions with a residual, a pool, a head: activations that are read rounded, exact, and both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 24, 3, padding=1), nn.Conv2d(24, 24, 3, padding=1)
        self.norm, self.pool, self.head = nn.BatchNorm2d(24), nn.MaxPool2d(2), nn.Linear(24 * 16, 10)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.head(self.pool(torch.relu(x + self.norm(self.second(x)))).flatten(1))


def compiled(model: nn.Module, x: torch.Tensor, precision: str, **target: object) -> torch.Tensor:
    return terrace.compile(model, (x,), target=terrace.Target(threads=1, **target), precision=precision)(x)


@needs_bf16_dot
@pytest.mark.parametrize("name", LAYERS)
def test_medium_rounds_operands_and_nothing_else(name: str) -> None:
    """float64 products of the rounded operands are as near as float32 sums are; those of the exact ones are not."""
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer, x = make().eval(), torch.randn(shape)
    exact, rounded = copy.deepcopy(layer).double(), copy.deepcopy(layer)
    rounded.weight.data = rounded.weight.data.bfloat16().float()
    y = compiled(layer, x, "medium").double()
    wanted, narrow = exact(x.double()), rounded.double()(x.bfloat16().double())
    near, far = (narrow, wanted) if name != "depthwise" else (wanted, narrow)
    assert (y - near).abs().max() <= (5e-6 if name == "winograd" else 2e-6) * near.abs().max()
    assert (y - far).abs().max() >= 1e-4 * near.abs().max()


@needs_bf16_dot
def test_a_network_in_medium_is_nearer_than_in_bfloat16() -> None:
    torch.manual_seed(0)
    model, x = Network().eval(), torch.randn(2, 3, 8, 8)
    exact = copy.deepcopy(model).double()(x.double())

    def error(y: torch.Tensor) -> float:
        return ((y.double() - exact).square().mean() / exact.square().mean()).sqrt().item()

    medium, whole = error(compiled(model, x, "medium")), error(copy.deepcopy(model).bfloat16()(x.bfloat16()))
    assert 1e-4 < medium < whole
    assert error(compiled(model, x, "highest")) < medium / 100


@pytest.mark.parametrize(
    ("precision", "features"), [("high", HOST), ("medium", tuple(f for f in HOST if "bf16" not in f))]
)
def test_where_nothing_is_faster_it_is_float32(precision: str, features: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    model, x = Network().eval(), torch.randn(2, 3, 8, 8)
    found, wanted = compiled(model, x, precision, features=features), compiled(model, x, "highest", features=features)
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())


@needs_bf16_dot
@pytest.mark.parametrize("hurting", [float("nan"), float("inf"), -float("inf"), 3.4e38, 1e-40])
def test_numbers_that_hurt(hurting: float) -> None:
    """NaN and infinities pass; the largest numbers round to infinity, as in PyTorch; a denormal is next to nothing."""
    layer, x = nn.Linear(5, 3), torch.ones(2, 5)
    x[0, 2] = hurting
    y, wanted = compiled(layer, x, "medium"), layer(x.bfloat16().float())
    torch.testing.assert_close(y, wanted, rtol=2e-2, atol=1e-2, equal_nan=True)
