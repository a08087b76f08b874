"""The ops that `coverage_types.py` runs in every type: what each computes, and of which inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

Inputs = Callable[[torch.dtype], tuple[torch.Tensor, ...]]


@dataclasses.dataclass(frozen=True)
class Op:
    """A function of tensors, and its inputs in a type."""

    function: Callable[..., Any]
    inputs: Inputs


def values(*shape: int, seed: int = 0) -> Callable[[torch.dtype], torch.Tensor]:
    """Numbers of a type: of the normal distribution, small integers of both signs, truth values."""

    def build(dtype: torch.dtype) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed + sum(shape))
        if dtype == torch.bool:
            return torch.randint(0, 2, shape, generator=generator).bool()
        if dtype.is_floating_point or dtype.is_complex:
            wide = torch.randn(shape, generator=generator)
            return (torch.complex(wide, wide.flip(0)) if dtype.is_complex else wide).to(dtype)
        return torch.randint(0 if not dtype.is_signed else -6, 7, shape, generator=generator).to(dtype)

    return build


def given(*builders: Callable[[torch.dtype], torch.Tensor]) -> Inputs:
    return lambda dtype: tuple(build(dtype) for build in builders)


def fixed(tensor: torch.Tensor) -> Callable[[torch.dtype], torch.Tensor]:
    """The same of every type: indices and conditions."""
    return lambda dtype: tensor


ONE = given(values(5, 7))
TWO = given(values(5, 7), values(5, 7, seed=9))
DIVISION = given(
    values(5, 7), lambda dtype: values(5, 7, seed=9)(dtype).masked_fill(values(5, 7, seed=9)(dtype) == 0, 2)
)
"""Without integers by zero, which eager refuses."""

IMAGE = values(2, 4, 9, 11)
PLACES = fixed(torch.tensor([[3, 0, 4, 1, 1, 2, 0]]))
ROWS = fixed(torch.tensor([4, 0, 4]))
APART = fixed(torch.tensor([4, 0]))
CONDITION = fixed(torch.arange(35).view(5, 7) % 3 == 0)
VECTOR = values(7, seed=3)

OPS: dict[str, Op] = {
    **{
        name: Op(getattr(torch, name), ONE)
        for name in ("abs", "neg", "relu", "sign", "square", "exp", "log", "sqrt", "rsqrt", "reciprocal", "sin", "tanh",
                     "sigmoid", "erf", "floor", "round", "isnan", "bitwise_not", "logical_not")
    },
    **{
        name: Op(getattr(torch, name), TWO)
        for name in ("add", "sub", "mul", "div", "pow", "maximum", "eq", "lt", "atan2",
                     "bitwise_and", "bitwise_left_shift", "logical_or")
    },
    "floor_divide": Op(torch.floor_divide, DIVISION),
    "remainder": Op(torch.remainder, DIVISION),
    "gelu": Op(F.gelu, ONE),
    "silu": Op(F.silu, ONE),
    "clamp": Op(lambda x: torch.clamp(x, 0, 2), ONE),
    "where": Op(torch.where, given(CONDITION, values(5, 7), values(5, 7, seed=9))),
    "to float32": Op(lambda x: x.to(torch.float32), ONE),
    "to int32": Op(lambda x: x.to(torch.int32), ONE),
    "to bool": Op(lambda x: x.to(torch.bool), ONE),
    "sum": Op(lambda x: x.sum(1), ONE),
    "mean": Op(lambda x: x.mean(1), ONE),
    "prod": Op(lambda x: x.prod(1), ONE),
    "amax": Op(lambda x: x.amax(0), ONE),
    "argmax": Op(lambda x: x.argmax(1), ONE),
    "any": Op(lambda x: x.any(1), ONE),
    "var": Op(lambda x: x.var(1), ONE),
    "cumsum": Op(lambda x: x.cumsum(1), ONE),
    "cummax": Op(lambda x: x.cummax(1).values, ONE),
    "sort": Op(lambda x: x.sort(dim=1, stable=True), ONE),
    "topk": Op(lambda x: x.topk(3, 1).values, ONE),
    "matmul": Op(torch.matmul, given(values(5, 7), values(7, 6))),
    "bmm": Op(torch.bmm, given(values(3, 5, 7), values(3, 7, 6))),
    "linear": Op(F.linear, given(values(5, 7), values(6, 7), values(6))),
    "conv1d": Op(F.conv1d, given(values(2, 4, 13), values(3, 4, 3), values(3))),
    "conv2d": Op(lambda x, w, b: F.conv2d(x, w, b, padding=1), given(IMAGE, values(3, 4, 3, 3), values(3))),
    "conv2d depthwise": Op(lambda x, w: F.conv2d(x, w, groups=4), given(IMAGE, values(4, 1, 3, 3))),
    "conv_transpose2d": Op(lambda x, w: F.conv_transpose2d(x, w, stride=2), given(IMAGE, values(4, 3, 3, 3))),
    "attention": Op(F.scaled_dot_product_attention, given(*(values(1, 2, 6, 8, seed=n) for n in range(3)))),
    "softmax": Op(lambda x: x.softmax(1), ONE),
    "log_softmax": Op(lambda x: x.log_softmax(1), ONE),
    "layer_norm": Op(lambda x, w, b: F.layer_norm(x, (7,), w, b), given(values(5, 7), VECTOR, VECTOR)),
    "group_norm": Op(lambda x: F.group_norm(x, 2), given(IMAGE)),
    "max_pool2d": Op(lambda x: F.max_pool2d(x, 3, 2, 1), given(IMAGE)),
    "avg_pool2d": Op(lambda x: F.avg_pool2d(x, 3, 2, 1), given(IMAGE)),
    "adaptive_avg_pool2d": Op(lambda x: F.adaptive_avg_pool2d(x, 3), given(IMAGE)),
    "interpolate nearest": Op(lambda x: F.interpolate(x, scale_factor=2), given(IMAGE)),
    "interpolate bilinear": Op(lambda x: F.interpolate(x, size=(13, 5), mode="bilinear"), given(IMAGE)),
    "transpose": Op(lambda x: x.t().contiguous(), ONE),
    "cat": Op(lambda x, y: torch.cat((x, y), 1), TWO),
    "pad": Op(lambda x: F.pad(x, (1, 2, 3, 0)), ONE),
    "flip": Op(lambda x: x.flip(1), ONE),
    "roll": Op(lambda x: x.roll(2, 1), ONE),
    "tril": Op(torch.tril, ONE),
    "slice": Op(lambda x: x[1:4, ::2].clone(), ONE),
    "gather": Op(lambda x, i: x.gather(0, i), given(values(5, 7), PLACES)),
    "index_select": Op(lambda x, i: x.index_select(0, i), given(values(5, 7), ROWS)),
    "embedding": Op(lambda x, i: F.embedding(i, x), given(values(5, 7), ROWS)),
    "index_put": Op(lambda x, i, y: x.index_put((i,), y), given(values(5, 7), APART, values(2, 7))),
    "index_add": Op(lambda x, i, y: x.index_add(0, i, y), given(values(5, 7), ROWS, values(3, 7))),
    "scatter_add": Op(lambda x, i, y: x.scatter_add(0, i, y), given(values(5, 7), PLACES, values(1, 7))),
    "masked_fill": Op(lambda x, m: x.masked_fill(m, 1), given(values(5, 7), CONDITION)),
}  # fmt: skip
