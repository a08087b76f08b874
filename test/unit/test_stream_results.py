"""Results that are stored past the caches: the same numbers, wherever IREE puts them."""

from __future__ import annotations

import numpy as np
import pytest
import terrace
import torch
from terrace.lowering.target.cpu.stream_results import CACHED_BYTES
from torch import nn

ROWS, COLUMNS = CACHED_BYTES // 4 // 1024 + 5, 1024
AVX2 = ("avx", "avx2", "fma", "sse", "sse2", "sse3", "sse4.1", "sse4.2", "ssse3")


class Joined(nn.Module):
    """A large result behind `first` other elements."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x.flatten()[: self.first] - 1, torch.relu(x * 3).flatten()])


@pytest.mark.parametrize("first", [0, 1, 16, 24])
@pytest.mark.parametrize("target", [{"threads": 1}, {"threads": 2}, {"threads": 1, "features": AVX2}])
def test_a_result_within_a_larger_one(first: int, target: dict[str, object]) -> None:
    x = torch.randn(ROWS, COLUMNS)
    model = Joined(first)
    compiled = terrace.compile(model, (x,), target=terrace.Target(**target))
    np.testing.assert_array_equal(compiled(x).numpy(), model(x).numpy())


def test_a_result_that_the_next_kernel_reads() -> None:
    """Another worker may read what one has stored."""
    x = torch.randn(ROWS, COLUMNS)

    def model(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x * 2).t().contiguous() + torch.softmax(x, -1).t()

    class Model(nn.Module):
        forward = staticmethod(model)

    compiled = terrace.compile(Model(), (x,), target=terrace.Target(threads=2))
    assert "nontemporal = true" in compiled.ir("iree")
    for _ in range(5):
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-6)
