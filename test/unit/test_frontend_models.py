"""What whole models do around their ops: views of memory, tensors without dimensions, modes of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from frontend_reference import compare_with_eager
from terrace.errors import ModelImportError
from torch import nn
from torch.export import Dim


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(*args)


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


STRIDED = {
    "pool_of_channels_last": (lambda x: F.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), 1), (2, 8, 8, 3)),
    "overlapping": (lambda x: x.as_strided((3, 4), (2, 1), 1), (4, 6)),
    "of_a_transpose": (lambda x: x.t().as_strided((3, 4), (2, 1), 1), (4, 6)),
    "of_a_slice": (lambda x: x[1:].as_strided((3, 4), (2, 1), 7), (4, 6)),
    "of_its_own": (lambda x: x.as_strided((3, 4), (2, 1), 2).as_strided((2,), (3,), 2), (4, 6)),
    "scalar": (lambda x: x.as_strided((), (), 5), (4, 6)),
    "empty": (lambda x: x.as_strided((0, 3), (1, 1)), (4, 6)),
    "repeating": (lambda x: x.as_strided((2, 3), (0, 1)), (4, 6)),
    "whole_and_permuted": (lambda x: x.as_strided((6, 4), (1, 6)), (4, 6)),
}


@pytest.mark.parametrize("name", STRIDED)
def test_strided_reads(name: str) -> None:
    function, shape = STRIDED[name]
    compare_with_eager(Calls(function), (randn(*shape),))


def test_strided_reads_of_dynamic_sizes() -> None:
    dynamic = (({0: Dim.AUTO},),)
    pool = Calls(lambda x: F.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), 1))
    compare_with_eager(pool, (randn(2, 8, 8, 3),), dynamic, [(randn(5, 8, 8, 3),)])
    rows = Calls(lambda x: x.as_strided((x.shape[0], 3), (6, 1), 2))
    compare_with_eager(rows, (randn(4, 6),), dynamic, [(randn(9, 6),)])


def test_an_axis_is_dropped_that_is_1_by_arithmetic() -> None:
    every = Calls(lambda x: x[:, ::64].squeeze(1) * 2)
    compare_with_eager(every, (randn(2, 40),), (({1: Dim.AUTO},),), [(randn(2, 64),)])


def test_an_argument_called_like_a_builtin() -> None:
    class Resize(nn.Module):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return torch.ops.aten.upsample_nearest2d(input, [18, 48], 3.0, 4.0)

    compare_with_eager(Resize(), (randn(1, 2, 6, 12),))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
        lambda x: F.adaptive_avg_pool1d(x[0], 4),
        lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True, return_indices=True),
        lambda x: torch.ops.prims.prod(x, (0, 1)),
        lambda x: x[0, 0, 0] + torch.arange(x.shape[3], dtype=torch.float64),
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: F.interpolate(x, scale_factor=(2.5, 0.75), mode="nearest-exact"),
        # Sizes that are not those of the scales.
        lambda x: torch.ops.aten.upsample_nearest2d(x, [18, 48], 3.0, 4.0),
        lambda x: torch.ops.aten.upsample_nearest2d(x, [18, 48], None, scales_w=4.0),
        lambda x: torch.ops.aten.upsample_nearest2d(x, [12, 16], 3.0, 4.0),  # at one size twice the image's
        lambda x: torch.ops.aten.upsample_nearest2d(x, [12, 160], 3.0, 4.0),
        lambda x: torch.ops.aten._upsample_nearest_exact1d(x[0], [48], 4.0),
        lambda x: torch.ops.aten.upsample_nearest3d(x[None], [7, 18, 48], 2.0, 3.0, 4.0),
    ],
)
def test_programs_of_any_size(function: Callable[..., Any]) -> None:
    # Exported where windows are uneven; called where they are even, and where a size is 1.
    dynamic = (({0: Dim.AUTO, 1: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO},),)
    others = [(randn(*shape),) for shape in ((3, 2, 6, 8), (1, 1, 10, 5), (2, 1, 2, 3))]
    compare_with_eager(Calls(function), (randn(2, 3, 7, 9),), dynamic, others)


STRIDES_OF_SIZES = {
    "offset": lambda x: x.as_strided((2, 2), (1, 2), x.shape[1]) * 1,
    "scatter_at_offset": lambda x: x.as_strided_scatter(x[:2, :2] * 2, (2, 2), (1, 2), x.shape[1]),
    "scatter_by_strides": lambda x: x.as_strided_scatter(x[:4, 0] * 2, (4,), (x.shape[1] + 1,)),
}


@pytest.mark.parametrize("name", STRIDES_OF_SIZES)
def test_strides_and_offsets_of_dynamic_sizes(name: str) -> None:
    dynamic = (({1: Dim("n", min=5)},),)
    compare_with_eager(Calls(STRIDES_OF_SIZES[name]), (randn(5, 8),), dynamic, [(randn(5, 9),)])


def test_an_offset_that_only_a_view_tells() -> None:
    model = Calls(lambda x: x.flatten()[x.shape[1] :].as_strided((2, 2), (1, 2)) * 1)
    with pytest.raises(
        ModelImportError, match=r"aten\.as_strided at .*test_frontend_models\.py:\d+.*give it the offset"
    ):
        compare_with_eager(model, (randn(5, 8),), (({1: Dim("n", min=5)},),))


def test_channels_last_argument() -> None:
    compare_with_eager(nn.AdaptiveAvgPool2d(1), (randn(2, 3, 8, 8).to(memory_format=torch.channels_last),))


def test_memory_that_a_program_does_not_have() -> None:
    gaps = Calls(lambda x: x.as_strided((2, 2), (6, 1)))
    with pytest.raises(ModelImportError, match=r"aten\.as_strided at .*test_frontend_models\.py:\d+.*contiguous"):
        compare_with_eager(gaps, (randn(8, 6)[::2],))
    beyond = Calls(lambda x: x.as_strided((3, 3), (6, 1)))
    with pytest.raises(ModelImportError, match=r"aten\.as_strided at .*test_frontend_models\.py:\d+.*beyond"):
        compare_with_eager(beyond, (randn(4, 6)[:2],))


ALONG = {
    "softmax": lambda x: x.softmax(-1),
    "softmax_float64": lambda x: x.softmax(0, dtype=torch.float64),
    "log_softmax": lambda x: x.log_softmax(0),
    "logsumexp": lambda x: x.logsumexp(0),
    "cumsum": lambda x: x.cumsum(0),
    "cumprod": lambda x: x.cumprod(0),
    "sort": lambda x: x.sort(0),
    "topk": lambda x: x.topk(1, 0),
    "argmax": lambda x: x.argmax(),
    "argmin": lambda x: x.argmin(0, keepdim=True),
    "max": lambda x: x.max(0),
    "max_of_all": lambda x: x.max(),
    "max_of_two": lambda x: torch.max(x, torch.ones(3)),
    "prod": lambda x: x.prod(0),
    "var": lambda x: x.var(0, correction=0),
    "any": lambda x: (x > 0).any(0),
    "gather": lambda x: x.gather(0, torch.tensor([0, 0])),
    "scatter": lambda x: x.scatter(0, torch.tensor(0), torch.tensor(5.0)),
}


@pytest.mark.parametrize("name", ALONG)
def test_along_a_dimension_of_a_scalar(name: str) -> None:
    compare_with_eager(Calls(ALONG[name]), (torch.tensor(3.0),))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_softmax_of_a_scalar_that_is_not_finite(value: float) -> None:
    both = Calls(lambda x: (x.softmax(0), x.log_softmax(0), x.logsumexp(0)))
    compare_with_eager(both, (torch.tensor(value),))


WITHOUT_RANDOM_NUMBERS = {
    "native_dropout": lambda x: torch.native_dropout(x, 0.5, False),
    "native_dropout_of_nothing": lambda x: torch.native_dropout(x, 0.0, True),
    "rrelu": lambda x: F.rrelu(x, 0.1, 0.5, False),
    "rrelu_of_its_own_slopes": nn.RReLU().eval(),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.5, False),
}


@pytest.mark.parametrize("name", WITHOUT_RANDOM_NUMBERS)
def test_evaluation_draws_no_random_numbers(name: str) -> None:
    compare_with_eager(Calls(WITHOUT_RANDOM_NUMBERS[name]), (randn(4, 6),))
