"""Ops of float32 models in hardware, simulated, against eager PyTorch: masks, reductions, places, constants."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import terrace
import torch
from torch import nn

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating a design needs g++")

NAN, INF = float("nan"), float("inf")


class Function(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def leaves(result: Any) -> list[torch.Tensor]:
    return list(result) if isinstance(result, tuple) else [result]


def check(model: nn.Module, *inputs: torch.Tensor, target: str = "hls") -> None:
    with torch.no_grad():
        expected = leaves(model(*inputs))
    found = leaves(terrace.compile(model.eval(), inputs, target=target)(*inputs))
    for ours, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-5, equal_nan=True)


def masked_twice(x: torch.Tensor) -> torch.Tensor:
    mask = x > 0
    return torch.where(mask, x, -x) + mask.float()


def masked_around_a_product(x: torch.Tensor) -> torch.Tensor:
    mask = x > 0
    return (x * mask) @ x.t() * mask[:, :3]


MASKS: dict[str, Callable[[torch.Tensor], Any]] = {
    "result": lambda x: x > 0,
    "twice": masked_twice,
    "around a product": masked_around_a_product,
    "sums": lambda x: ((x > 0).sum(1), torch.where(x > 0, x, 0.0).sum(1), torch.count_nonzero(x, dim=1)),
    "layouts": lambda x: torch.cat([(x > 0).t(), (x < 1).view(5, 3)], 1).float(),
    "logic": lambda x: ((x > 0) & (x < 1)) | torch.isnan(x) ^ torch.isinf(x),
    "any and all": lambda x: ((x > 0).any(1), (x > 0).all(0), torch.any(x), torch.all(x, dim=1, keepdim=True)),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks(name: str) -> None:
    x = torch.tensor([[1.0, -1, 0.5, NAN, 2], [-0.0, 0.0, 3, -INF, INF], [1, 2, 3, 4, 5]])
    check(Function(MASKS[name]), x if name != "around a product" else torch.nan_to_num(x, 0.25, 2, -2))


def test_a_mask_is_taken() -> None:
    x = torch.randn(3, 5)
    check(Function(lambda x, mask: torch.where(mask, x, 0.0)), x, x > 0)


REDUCTIONS: dict[str, Callable[[torch.Tensor], Any]] = {
    "var": lambda x: (x.var(1), x.var(0, unbiased=False), x.var(), torch.var_mean(x, 1)[0]),
    "std": lambda x: (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5),
    "norms": lambda x: tuple(torch.linalg.vector_norm(x, p, dim=1) for p in (1, 2, INF, -INF)),
    "whole norm": torch.linalg.vector_norm,
    "prod": lambda x: (x.prod(1), x.prod(0, keepdim=True)),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("shape", [(3, 5), (1, 7), (4, 1)])
def test_reductions(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape) + 100 * (name == "var")
    with_nan = x.clone()
    with_nan[0, 0] = NAN
    for value in (x, with_nan):
        check(Function(REDUCTIONS[name]), value)


def test_reductions_of_integers() -> None:
    limits = torch.iinfo(torch.int64)
    x = torch.tensor([[limits.min, limits.max, 0], [-1, limits.min, 7], [5, 5, 5]])
    check(Function(lambda x: (x.amin(1), x.amax(0), x.sum(1), x.amin(), x.prod(0))), x)
    check(Function(lambda x: (x.amin(1), x.amax(0), x.sum(1))), x.clamp(-(2**31), 2**31 - 1).int())


def places(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return x.argmax(1), x.argmin(1), x.argmax(), x.argmin(), x.argmax(0, keepdim=True)


@pytest.mark.parametrize("target", ["cpu", "hls"])
def test_places_of_extremes(target: str) -> None:
    """The first of equal ones; NaN comes before any number; minus infinity alone is an extreme, too."""
    rows = [[1.0, NAN, 3, NAN], [2, 2, 2, 2], [-0.0, 0, -0.0, 0], [INF, 1, INF, -INF], [-INF] * 4]
    check(Function(places), torch.tensor(rows), target=target)
    check(Function(places), torch.tensor([[3, 9, 9], [-1, -(2**62), 5]]), target=target)
    check(Function(places), torch.randn(4, 1), target=target)


def test_constants_of_constants() -> None:
    check(
        Function(lambda x: 1 - x + torch.arange(5.0) * torch.arange(2, 12, 2) + torch.tensor(3).float()),
        torch.ones(3, 5),
    )


def test_maxima_of_windows_of_a_line() -> None:
    line = torch.tensor([[[1.0, NAN, 3, 4, -9, -8, -INF], [-1, -2, -3, INF, -5, -6, -7]]])
    check(nn.Sequential(nn.MaxPool1d(3, 2, 1, ceil_mode=True), nn.MaxPool1d(2, 1, 0, 2)), line)


@pytest.mark.parametrize("name", ["plain", "strided", "grouped"])
def test_transposed_convolutions(name: str) -> None:
    """Nothing of turning the weight around is left in the program."""
    layer, shape = {
        "plain": (nn.utils.parametrizations.weight_norm(nn.ConvTranspose1d(2, 3, 4)), (1, 2, 5)),
        "strided": (nn.ConvTranspose1d(2, 3, 4, stride=3, padding=1, output_padding=1), (2, 2, 5)),
        "grouped": (nn.ConvTranspose2d(4, 6, (1, 3), stride=2, groups=2), (1, 4, 3, 2)),
    }[name]
    check(layer, torch.randn(shape))


@pytest.mark.parametrize("target", ["cpu", "hls"])
@pytest.mark.parametrize("dim", [0, 1])
def test_weight_norm_is_a_constant(target: str, dim: int) -> None:
    """Nothing of it is left in the program: the weight is computed once."""
    model, x = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 3, 3), dim=dim).eval(), torch.randn(1, 2, 8)
    check(model, x, target=target)
    text = terrace.compile(model, (x,), target=target).ir("graph")
    main = text[text.index("func.func") :]
    assert "graph.sqrt" not in main and "graph.reduce" not in main and "linalg.generic" not in main
