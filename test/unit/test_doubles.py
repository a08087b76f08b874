"""Products, softmax and norms in float64 by our kernels on a CPU, to a few digits of float64, as eager."""

from __future__ import annotations

import pytest
import terrace
import torch
import torch.nn.functional as F

SIZES = ((1, 2, 1), (1, 7, 33), (5, 1, 3), (37, 13, 1), (17, 31, 33), (3, 300, 17), (20, 1200, 70))
"""(m, k, n): more terms than a chunk, rows and columns that fill no vector."""


class Doubles(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList(torch.randn(n, k, dtype=torch.float64) for _, k, n in SIZES)

    def forward(self, left: list[torch.Tensor], right: list[torch.Tensor]) -> list[torch.Tensor]:
        made = []
        for x, y, weight in zip(left, right, self.weights, strict=True):
            made += [x @ y, F.gelu(F.linear(x, weight)), torch.bmm(x.expand(3, *x.shape), y.expand(3, *y.shape))]
            made += [torch.softmax(x, 0), torch.softmax(x, 1), F.layer_norm(x, x.shape[1:]), F.group_norm(y, 1)]
        return made


@pytest.fixture(scope="module")
def compiled() -> terrace.CompiledModel:
    torch.manual_seed(0)
    left, right = inputs()
    return terrace.compile(Doubles().eval(), (left, right), target=terrace.Target(threads=1))


def inputs() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    made = [[torch.randn(m, k, generator=generator), torch.randn(k, n, generator=generator)] for m, k, n in SIZES]
    left, right = zip(*((x.double(), y.double()) for x, y in made), strict=True)
    return list(left), list(right)


def test_all_are_ours(compiled: terrace.CompiledModel) -> None:
    assert {row["by"] for row in compiled.report().rows} == {"terrace"}


def test_against_eager(compiled: terrace.CompiledModel) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        expected = Doubles().eval()(*inputs())
    for found, want in zip(compiled(*inputs()), expected, strict=True):
        assert found.dtype == torch.float64
        assert (found - want).abs().max().item() <= 2e-14 * max(1.0, want.abs().max().item()), want.shape
