"""Group and instance norm by our generator against float64, channels first and last, and values that hurt.

Tolerance: 2e-6 * max|y|, also where the mean is 1000 times the deviation; in half precisions half a unit in the last
place of the largest element beside that.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import terrace
import torch
import torch.nn.functional as F
from terrace.target import CpuDescription

SHAPES = (
    ((1, 4, 1, 1), 2),
    ((3, 6), 3),
    ((2, 512), 2),
    ((2, 8, 5, 7), 4),
    ((1, 3, 200, 7), 3),
    ((2, 6, 4, 4, 4), 1),
    ((2, 40, 33), 4),
    ((2, 51, 3, 5), 51),
    ((1, 80, 9, 8), 2),
)
"""Images, and the groups of their channels: narrow and wide ones, of one channel, of one pixel, longer than a block."""

Norm = Callable[[torch.Tensor, int, torch.Tensor, torch.Tensor], torch.Tensor]


def first(x: torch.Tensor, groups: int, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return F.silu(F.group_norm(x, groups, scale, shift))


def last(x: torch.Tensor, groups: int, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Between two pools of images in NHWC."""
    if x.dim() != 4:
        return first(x, groups, scale, shift)
    return F.max_pool2d(first(F.max_pool2d(x, 1), groups, scale, shift), 1)


class Norms(torch.nn.Module):
    def __init__(self, norm: Norm, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm = norm
        vectors = [torch.rand(2, shape[1], dtype=torch.float64) + 0.5 for shape, _ in SHAPES]
        self.vectors = torch.nn.ParameterList(v.to(dtype) for v in vectors)

    def forward(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        pairs = zip(images, SHAPES, self.vectors, strict=True)
        return [self.norm(x, groups, *vectors) for x, (_, groups), vectors in pairs]


def images(dtype: torch.dtype, shift: float = 0.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(shape, generator=generator) + shift).to(dtype) for shape, _ in SHAPES]


def check(found: list[torch.Tensor], model: Norms, inputs: list[torch.Tensor]) -> None:
    with torch.no_grad():
        wanted = model.double()([x.double() for x in inputs])
    model.to(inputs[0].dtype)
    for y, want, (shape, groups) in zip(found, wanted, SHAPES, strict=True):
        largest = want.abs().max().item()
        digit = 0 if y.dtype == torch.float32 else torch.finfo(y.dtype).eps * largest / 2
        assert (y.double() - want).abs().max().item() <= 2e-6 * largest + 1e-7 + digit, (shape, groups)


@pytest.mark.parametrize("norm", [first, last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_shape(norm: Norm, dtype: torch.dtype) -> None:
    model = Norms(norm, dtype).eval()
    compiled = terrace.compile(model, (images(dtype),))
    assert {row["by"] for row in compiled.report().rows} == {"terrace"}
    for shift in (0.0, 1000.0) if dtype == torch.float32 else (0.0, 3.0):
        inputs = images(dtype, shift)
        check(compiled(inputs), model, inputs)


@pytest.mark.parametrize("norm", [first, last])
def test_bad_values_reach_their_group_as_in_eager(norm: Norm) -> None:
    """Of images with several groups, and of those with several images."""
    model, inputs = Norms(norm, torch.float32).eval(), images(torch.float32)
    for x, bad in zip(inputs, (float("nan"), float("inf"), float("-inf")) * 3, strict=True):
        x.view(-1)[x.numel() // 3] = bad
    with torch.no_grad():
        expected = model(inputs)
    for found, eager in zip(terrace.compile(model, (inputs,))(inputs), expected, strict=True):
        torch.testing.assert_close(found, eager, rtol=1e-4, atol=1e-5, equal_nan=True)


class Dynamic(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        narrow, wide = (F.max_pool2d(F.group_norm(F.max_pool2d(v, 1), 2), 1) for v in (x, y))
        return [F.group_norm(x, 3), F.instance_norm(x), F.group_norm(y, 1), narrow, wide]


@pytest.mark.parametrize("threads", [1, 2])
def test_batch_and_image_known_at_run_time(threads: int) -> None:
    """One compile: no image, one, several; a pixel, and more than a block of sums. Two workers share them."""
    dims = {axis: torch.export.Dim.DYNAMIC for axis in (0, 2, 3)}
    x, y = torch.randn(2, 6, 5, 7), torch.randn(3, 80, 2, 3)
    target = terrace.Target(threads=threads, cpu=CpuDescription(workers=threads))
    compiled = terrace.compile(Dynamic(), (x, y), dynamic_shapes=(dims, dims), target=target)
    assert {row["by"] for row in compiled.report().rows} == {"terrace"}
    for n, h, w in ((1, 1, 2), (5, 3, 3), (2, 21, 33), (0, 4, 4)):
        x, y = torch.randn(n, 6, h, w) + 100, torch.randn(n, 80, w, h) - 5
        with torch.no_grad():
            wanted = Dynamic()(x.double(), y.double()) if n else Dynamic()(x, y)
        for found, want in zip(compiled(x, y), wanted, strict=True):
            assert found.shape == want.shape
            torch.testing.assert_close(found.double(), want.double(), rtol=0, atol=1e-5)


def test_instance_norm_by_given_statistics() -> None:
    """It is a batch norm then, which what is before takes up."""
    norm = torch.nn.InstanceNorm2d(6, affine=True, track_running_stats=True).eval()
    norm.running_mean, norm.running_var = torch.randn(6), torch.rand(6) + 0.5
    model, x = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), norm), torch.randn(2, 3, 9, 9)
    compiled = terrace.compile(model.eval(), (x,))
    assert [row["op"] for row in compiled.report().rows if "conv2d" in row["op"]] == ["conv2d+add"]
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)


def test_what_native_group_norm_gives() -> None:
    class Native(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return torch.native_group_norm(x, None, None, 2, 6, 15, 3, 1e-5)

    x = torch.randn(2, 6, 3, 5)
    torch.testing.assert_close(terrace.compile(Native(), (x,))(x), Native()(x), rtol=1e-5, atol=1e-5)
