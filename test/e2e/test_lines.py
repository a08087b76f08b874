"""Convolutions along one axis, as conv1d or of images of width 1: results are eager's, and no permute between them."""

from __future__ import annotations

import pytest
import terrace
import torch
from torch import nn
from torch.nn import functional as F

TARGET = terrace.Target(threads=1)


class Lines(nn.Module):
    """What comes between two convolutions, and after one. `ones` are dimensions of size 1 behind the line."""

    def __init__(self, ones: int) -> None:
        super().__init__()
        conv, more = (nn.Conv2d, (1,)) if ones else (nn.Conv1d, ())
        self.first = conv(6, 8, (3, *more), stride=(2, *more))
        self.second = conv(8, 4, (5, *more), dilation=(2, *more), groups=2)
        self.norm = (nn.BatchNorm2d if ones else nn.BatchNorm1d)(8)
        self.by_channel = nn.Parameter(torch.randn(8, 1, *more))
        self.by_place = nn.Parameter(torch.randn(15, *more))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = F.gelu(self.norm(self.first(x)) * self.by_channel)
        padded = F.pad(y, [0, 0] * (x.dim() - 3) + [3, 1])
        gated = torch.cat([y[:, :4].tanh() * y[:, 4:].sigmoid(), y[:, 2:6]], 1)
        means = y.mean(2), y.sum(1), y.amax((1, 2), keepdim=True), y.sum(-1), y.sum(0)
        scaled = y * y.mean(2, keepdim=True) * self.by_place
        return self.second(y), self.second(padded), self.second(gated), self.second(scaled), y[:, 1:7, ::3], *means


@pytest.mark.parametrize("ones", [0, 1])
@pytest.mark.parametrize("is_dynamic", [False, True])
def test_what_comes_between_two_convolutions(ones: int, is_dynamic: bool) -> None:
    torch.manual_seed(0)
    model = Lines(ones).eval()
    x = torch.randn(3, 6, 31, *[1] * ones)
    sizes = {"x": {0: torch.export.Dim("batch", min=1, max=64)}} if is_dynamic else None
    compiled = terrace.compile(model, (x,), dynamic_shapes=sizes, target=TARGET)
    for rows in (x, x[:1]) if is_dynamic else (x,):
        torch.testing.assert_close(compiled(rows), model(rows), rtol=1e-4, atol=1e-5)


def test_a_chain_has_no_permute_in_its_middle() -> None:
    layers = [nn.Conv1d(6, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 8, 5), nn.SiLU(), nn.Conv1d(8, 4, 3)]
    model = nn.Sequential(*layers).eval()
    x = torch.randn(2, 6, 40)
    compiled = terrace.compile(model, (x,), target=TARGET)
    kinds = [row["kernel"].partition("_")[0] for row in compiled.report().rows]
    assert kinds == ["permute", "conv2d", "conv2d", "conv2d", "permute"]
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)
