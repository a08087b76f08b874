"""Permutations by kernels: elements keep their bits, whatever their type, and whichever dimension becomes the last."""

from __future__ import annotations

import itertools

import pytest
import terrace
import torch
from terrace import Target
from torch import nn

TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.int32, torch.int64, torch.bool]
SHAPES = [(1, 7), (17, 33), (2, 3, 40), (5, 1, 9), (64, 20, 3)]


class Permutations(nn.Module):
    """All permutations of the dimensions but the identity."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        orders = list(itertools.permutations(range(x.dim())))[1:]
        return tuple(x.permute(order).contiguous() for order in orders)


def bits(value: torch.Tensor) -> torch.Tensor:
    return value.contiguous().view({1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[value.itemsize])


def drawn(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Any bits at all: with NaN of several payloads, infinities and denormals."""
    generator = torch.Generator().manual_seed(0)
    if dtype is torch.bool:
        return torch.rand(shape, generator=generator) > 0.5
    count = torch.Size(shape).numel() * dtype.itemsize
    return torch.randint(0, 256, (count,), dtype=torch.uint8, generator=generator).view(dtype).reshape(shape)


@pytest.mark.parametrize("features", [None, ("avx2", "fma")])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_permutation_keeps_bits(dtype: torch.dtype, features: tuple[str, ...] | None) -> None:
    target = Target(threads=1) if features is None else Target(threads=1, features=features)
    for shape in SHAPES:
        x = drawn(shape, dtype)
        compiled = terrace.compile(Permutations(), (x,), target=target)
        for found, expected in zip(compiled(x), Permutations()(x), strict=True):
            assert torch.equal(bits(found), bits(expected)), (shape, found.shape)


def test_permutations_of_unknown_sizes_are_kernels() -> None:
    size = torch.export.Dim("size", min=2, max=4096)
    x = drawn((600, 36, 64), torch.float32)
    target = Target(threads=2)
    compiled = terrace.compile(Permutations(), (x,), target=target, dynamic_shapes={"x": {0: size}})
    assert {row["by"] for row in compiled.report().rows} == {"terrace"}
    for count in (600, 2, 17):
        part = x[:count]
        for found, expected in zip(compiled(part), Permutations()(part), strict=True):
            assert torch.equal(bits(found), bits(expected)), count


def test_permutations_are_shared_among_workers() -> None:
    x = drawn((600, 36, 64), torch.float32)
    compiled = terrace.compile(Permutations(), (x,), target=Target(threads=2))
    assert all(row["workgroups"] > 1 for row in compiled.report().rows)
    for found, expected in zip(compiled(x), Permutations()(x), strict=True):
        assert torch.equal(bits(found), bits(expected))


def test_nothing_is_permuted_to_nothing() -> None:
    x = torch.empty(3, 0, 5)
    for found, expected in zip(terrace.compile(Permutations(), (x,))(x), Permutations()(x), strict=True):
        assert found.shape == expected.shape
