"""Element types other than float32, end to end: eager's numbers and types, by kernels of ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import terrace
import torch
import torch.nn.functional as F

Values = tuple[torch.Tensor, ...]
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)


class Calls(torch.nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[..., list[torch.Tensor]]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *values: torch.Tensor) -> list[torch.Tensor]:
        return self.function(*values)


def integers(dtype: torch.dtype) -> Values:
    """An image, its weight, and two matrices that are not contiguous, of all numbers of small types."""
    draw, limits = torch.Generator().manual_seed(4), torch.iinfo(dtype)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randint(limits.min, limits.max, shape, generator=draw, dtype=dtype)

    return drawn(2, 3, 9, 7), drawn(5, 3, 3, 3), drawn(37, 19).t(), drawn(37, 19)


def contractions(image: torch.Tensor, weight: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    pooled = F.max_pool2d(image, 3, 2, 1)
    return [x @ y, F.linear(y, x.t()), F.conv2d(image, weight, padding=1, stride=2), pooled, ~x & 21 | x ^ 3]


def of_bytes(image: torch.Tensor, weight: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    """What the sign of eight bits matters to, and Python numbers that eager takes modulo 256."""
    y = y.t()
    made = [
        x + y,
        x - y,
        x * 100,
        x // 7,
        x % 7,
        x // -3,
        x % -5,
        x > -3,
        x < y,
        x >> 3,
        x << 3,
        -x,
        torch.maximum(x, y),
    ]
    made += [
        x.sum(),
        x.amax(1),
        x.sort(1)[0],
        x.float(),
        x.to(torch.int8),
        x.to(torch.int64),
        x.bool(),
        x / y.clamp(min=1),
    ]
    return [*made, image.permute(0, 2, 3, 1).half() / 255, (image.float() * 2.5 - 300).to(torch.uint8)]


def of_truths(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    made = [x + y, x * y, x.clamp(min=y), torch.minimum(x, y), x.sign(), x & y, x | y, ~x]
    made += [x.sum(1, dtype=torch.bool), x.amax(1), y.amin(0)]
    return [*made, torch.isclose(x, y), x.to(torch.uint8)]


def of_doubles(image: torch.Tensor, weight: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
    made = [F.conv2d(image, weight, padding=1), F.max_pool2d(image, 2), F.avg_pool2d(image, 3, 2, 1), x.angle()]
    return [*made, torch.special.erfc(x), torch.isclose(x, x + 1e-9).double(), (100 * x).round()]


def compare(function: Callable[..., list[torch.Tensor]], values: Values) -> None:
    compiled = terrace.compile(Calls(function), values, target=terrace.Target(threads=1))
    ran = {f"{row['kernel']}: {row['why']}" for row in compiled.report().rows if row["by"] != "terrace"}
    assert not {reason for reason in ran if "argsort" not in reason}
    for number, (found, wanted) in enumerate(zip(compiled(*values), function(*values), strict=True)):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), number
        bound = 2e-14 * wanted.abs().max().item() if wanted.dtype == torch.float64 else 0.0
        torch.testing.assert_close(found, wanted, rtol=0, atol=bound, msg=f"result {number}: {{}}".format)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64])
def test_contractions_wrap(dtype: torch.dtype) -> None:
    compare(contractions, integers(dtype))


def test_bytes_have_no_sign() -> None:
    compare(of_bytes, integers(torch.uint8))


def test_truth_values() -> None:
    x, y = torch.tensor([[False, True] * 9]), torch.tensor([[False] * 9 + [True] * 9])
    compare(of_truths, (x, y))


def test_doubles() -> None:
    draw = torch.Generator().manual_seed(5)
    shapes = (2, 3, 9, 7), (5, 3, 3, 3), (37,)
    compare(of_doubles, tuple(torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes))


@pytest.mark.parametrize("source", [torch.float32, torch.float16, torch.float64])
@pytest.mark.parametrize("target", [torch.int8, torch.int16])
def test_floats_beyond_narrow_integers(source: torch.dtype, target: torch.dtype) -> None:
    """In eager their last bits stay, of every element."""
    x = torch.tensor([300.0, -300.5, 40000.0, 65504.0, -1.9, 0.5, float("inf"), -float("inf"), float("nan")] * 4)
    compare(lambda value: [value.to(target)], (x.to(source),))


class Stored(torch.nn.Module):
    """A layer whose weight is of float8."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(6)
        self.weight = torch.nn.Parameter(torch.randn(16, 32, generator=draw).to(dtype), requires_grad=False)
        self.dtype = dtype

    def forward(self, x: torch.Tensor, codes: torch.Tensor) -> list[torch.Tensor]:
        product = F.linear(x, self.weight.to(x.dtype) * 0.5)
        return [product, codes.to(torch.bfloat16), product.to(self.dtype), codes.float().to(self.dtype), codes[3:5]]


@pytest.mark.parametrize("dtype", FLOAT8)
def test_float8_is_storage(dtype: torch.dtype, tmp_path: object) -> None:
    """As parameters, inputs and results; every pattern of bits."""
    model, codes = Stored(dtype), torch.arange(256, dtype=torch.uint8).view(dtype)
    x = torch.randint(-3, 4, (5, 32), generator=torch.Generator().manual_seed(7)) / 8
    compiled = terrace.compile(model, (x, codes), target=terrace.Target(threads=1))
    compiled.save(f"{tmp_path}/stored.terrace")
    assert {row["by"] for row in compiled.report().rows if row["kernel"] != "graph.slice"} == {"terrace"}
    for program in (compiled, terrace.load(f"{tmp_path}/stored.terrace")):
        for found, wanted in zip(program(x, codes), model(x, codes), strict=True):
            assert found.dtype == wanted.dtype
            assert torch.equal(found.float().nan_to_num(nan=7e7), wanted.float().nan_to_num(nan=7e7))
