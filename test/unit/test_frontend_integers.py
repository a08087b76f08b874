"""Integers: products, convolutions, bits of other types, reductions at indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from frontend_reference import compare_with_eager
from torch import nn
from torch.export import Dim


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(*args)


def integers(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    limits = torch.iinfo(dtype)
    low, high = max(limits.min, -1000), min(limits.max, 1000)
    return torch.randint(low, high, shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def test_int8_products_summed_in_int32() -> None:
    args = integers(torch.int8, 17, 16), integers(torch.int8, 16, 8)
    compare_with_eager(Calls(torch._int_mm), args, (({0: Dim.AUTO}, None),), [(integers(torch.int8, 33, 16), args[1])])


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64])
def test_products_wrap(dtype: torch.dtype) -> None:
    products = Calls(
        # The harness reads uint8 as int8, so the results are widened.
        lambda a, b: [y.long() for y in (a @ b, torch.einsum("ij,jk->ik", a, b), a[0] @ b, torch.addmm(a[:, :3], a, b))]
    )
    compare_with_eager(products, (integers(dtype, 5, 7), integers(dtype, 7, 3)))
    convolve = Calls(lambda a, b: nn.functional.conv2d(a, b, padding=1).long())
    compare_with_eager(convolve, (integers(dtype, 1, 2, 5, 5), integers(dtype, 3, 2, 3, 3)))


def test_bytes_of_dynamic_sizes() -> None:
    """Their sizes are numbers, not tensors of bytes."""
    flat = Calls(lambda x: x.float().reshape(x.shape[0], -1) / x.numel())
    compare_with_eager(
        flat, (integers(torch.uint8, 3, 4, 5),), (({0: Dim.AUTO},),), [(integers(torch.uint8, 7, 4, 5),)]
    )


def test_convolution_of_integers_in_3_dimensions() -> None:
    compare_with_eager(
        Calls(nn.functional.conv3d), (integers(torch.int8, 1, 2, 5, 5, 5), integers(torch.int8, 3, 2, 3, 3, 3))
    )


FLOATS = torch.tensor([[1.5, -0.0, float("nan"), -float("inf")], [1e-42, 3e38, -7.25, 2.0]])
VIEWS = {
    "float32_as_int32": (FLOATS, torch.int32),
    "int32_as_float32": (FLOATS.view(torch.int32), torch.float32),
    "float32_as_int8": (FLOATS, torch.int8),
    "float32_as_uint8": (FLOATS, torch.uint8),
    "float32_as_int64": (FLOATS, torch.int64),
    "uint8_as_float32": (FLOATS.view(torch.uint8), torch.float32),
    "int16_as_bfloat16": (FLOATS.bfloat16().view(torch.int16), torch.bfloat16),
    "float64_as_float32": (FLOATS.double(), torch.float32),
    "int8_as_int64": (FLOATS.view(torch.int8), torch.int64),
    "int8_as_uint8": (FLOATS.view(torch.int8), torch.uint8),
    "bool_as_uint8": (FLOATS > 0, torch.uint8),
    "number_as_int32": (FLOATS[0, 0], torch.int32),
    "number_as_bfloat16": (FLOATS[1, 2].bfloat16().view(torch.int16), torch.bfloat16),
}


@pytest.mark.parametrize("name", VIEWS)
def test_bits_as_another_type(name: str) -> None:
    value, dtype = VIEWS[name]
    # Widened to float64, so that each bit but those of a NaN is compared.
    compare_with_eager(Calls(lambda x: x.view(dtype).double()), (value,))


def test_bits_of_dynamic_sizes() -> None:
    dynamic = (({0: Dim.AUTO, 1: Dim.AUTO},),)
    compare_with_eager(Calls(lambda x: x.view(torch.uint8).long()), (FLOATS,), dynamic, [(FLOATS.repeat(3, 2),)])


AT = torch.tensor([[0, 1, 1, 2], [2, 0, 0, 1], [1, 1, 2, 0]])


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.float32])
@pytest.mark.parametrize("keeps_old", [True, False], ids=["with_old", "without_old"])
@pytest.mark.parametrize("reduce", ["amin", "amax", "sum", "prod", "mean"])
def test_reductions_at_indices(reduce: str, keeps_old: bool, dtype: torch.dtype) -> None:
    model = Calls(lambda x, at: x.scatter_reduce(0, at, x * 3, reduce, include_self=keeps_old))
    value, dynamic = integers(torch.int64, 3, 4).to(dtype), ({0: Dim.AUTO, 1: Dim.AUTO},) * 2
    compare_with_eager(model, (value, AT), (dynamic,), [(value[:, :2], AT[:, :2])])


def test_reductions_of_slices_at_indices() -> None:
    rows = torch.tensor([0, 0, 2])
    compare_with_eager(Calls(lambda x: x.index_reduce(0, rows, x * 2, "amax")), (integers(torch.int32, 3, 4),))
    compare_with_eager(
        Calls(lambda x: x.index_reduce(1, rows, x[:, :3], "mean", include_self=False)), (integers(torch.int32, 3, 4),)
    )
