"""Slices, concats, pads and broadcasts by kernels: elements keep their bits, whatever their type, at any size."""

from __future__ import annotations

import itertools

import pytest
import terrace
import torch
from terrace import Target
from torch import nn
from torch.export import Dim
from torch.nn.functional import pad

TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.int16, torch.int64, torch.bool]
RUN = "a run of memory: a view, or written in place"
READ_THROUGH = "read by what is no kernel, which may read through it"
SHAPES = [(2, 3, 70), (3, 4, 5), (3, 1, 16), (5, 17, 1)]


class Copies(nn.Module):
    """Each of them along each axis, and along several."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a, b, c = x.shape
        slices = [x[:, :1], x[:, : b - 1], x[..., 2:], x[1:, :, ::2], x[::2], x[..., ::3], x[1:, 1:, 1:]]
        stretched = [x[:, :1].expand(a, 6, c), x[..., :1].expand(2, a, b, 7), x[:, None].expand(a, 3, b, c)]
        joined = [torch.cat([x, x[:, :1], x], 1), torch.cat([x, x], -1), torch.cat([x, x + x], 0)]
        one = True if x.dtype is torch.bool else 7
        padded = [
            pad(x, (1, 2)),
            pad(x, (0, 0, 3, 1, 1, 1), value=one),
            pad(x, (0, 0, 0, 0, 0, 2)),
            pad(x, (0, 3, 2, 0)),
        ]
        return tuple(y.contiguous() for y in (*slices, *stretched, *joined, *padded))


def drawn(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-99, 99, shape, generator=generator).to(dtype)


def check(compiled: terrace.CompiledModel, x: torch.Tensor) -> None:
    for number, (found, expected) in enumerate(zip(compiled(x), Copies()(x), strict=True)):
        assert found.dtype == expected.dtype and torch.equal(found, expected), (number, x.shape)


@pytest.mark.parametrize(("dtype", "shape"), list(zip(TYPES, itertools.cycle(SHAPES), strict=False)), ids=str)
def test_every_type(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x = drawn(shape, dtype)
    check(terrace.compile(Copies(), (x,)), x)


def test_bits_stay() -> None:
    """A NaN keeps its payload, in half precision too, which kernels compute with as float32."""
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).reshape(256, 256)
    for dtype in (torch.float16, torch.bfloat16):
        compiled = terrace.compile(Columns(), (x.view(dtype),))
        assert {row["by"] for row in compiled.report().rows} == {"terrace"}
        assert torch.equal(compiled(x.view(dtype)).view(torch.int16), Columns()(x))


class Columns(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 3:200].contiguous()


@pytest.mark.parametrize("features", [("avx2", "fma"), None], ids=str)
def test_sizes_known_at_run_time(features: tuple[str, ...] | None) -> None:
    """One compile; `x` has two sizes that are drawn later, and the rows of a kernel are shared among workers."""
    target = Target(threads=2) if features is None else Target(threads=2, features=features)
    sizes = {"x": {0: Dim("rows", min=5, max=900), 2: Dim("columns", min=9, max=900)}}
    compiled = terrace.compile(Copies(), (drawn((60, 7, 90), torch.float32),), target=target, dynamic_shapes=sizes)
    reasons = {row["why"] for row in compiled.report().rows if row["by"] != "terrace"}
    assert reasons == {RUN, READ_THROUGH}  # where the last row starts is a size; IREE fuses it with the slice before
    for rows, columns in ((60, 90), (5, 9), (9, 64), (6, 65), (600, 130)):
        check(compiled, drawn((rows, 7, columns), torch.float32))


def test_work_is_shared() -> None:
    x = drawn((64, 200, 130), torch.float32)
    compiled = terrace.compile(Copies(), (x,), target=Target(threads=2))
    shares = [row["workgroups"] for row in compiled.report().rows if row["by"] == "terrace"]
    assert sum(count > 1 for count in shares) > len(shares) // 2  # others are small, or move their first dimension
    check(compiled, x)


class Rotated(nn.Module):
    """Halves that change places, and what reads a part by an index."""

    def forward(self, x: torch.Tensor, i: torch.Tensor) -> tuple[torch.Tensor, ...]:
        half = x.shape[-1] // 2
        return torch.cat([-x[..., half:], x[..., :half]], -1), x[:, 1:][i], x[2:].sqrt()


def test_what_is_left_to_others() -> None:
    """IREE moves slices straight to their places, reads through them, and takes runs of memory as they are."""
    x, i = drawn((5, 6, 8), torch.float32).abs(), torch.tensor([4, 0])
    compiled = terrace.compile(Rotated(), (x, i))
    copied = {(row["op"], row["why"]) for row in compiled.report().rows if row["op"] in ("slice", "concat")}
    straight = [("slice", "a part of a concat, moved straight to its place")]
    straight += [("concat", "a slice among its parts, which is moved straight to its place")]
    assert copied == {("slice", "generator copy"), *straight, ("slice", RUN)}
    for found, expected in zip(compiled(x, i), Rotated()(x, i), strict=True):
        torch.testing.assert_close(found, expected)
