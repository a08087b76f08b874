"""The rows of the sweep: calls of PyTorch whose numbers come from decompositions and from torch-mlir's lowerings.

A row is a function of `Inputs`; a family of rows is one compiled program. Rows give tensors of any type: integers and
truth values are compared exactly, floating point to `ULPS` units in the last place unless `TOLERANCES` says more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from op_rows_functions import ACTIVATIONS, FUNCTIONS
from op_rows_losses import LOSSES
from op_rows_moves import CREATION, INDICES, LOOKUPS, MOVES, WRITES
from op_rows_narrow import NARROW
from op_rows_reductions import PRODUCTS, REDUCTIONS
from op_rows_windows import POOLS, RESIZES

NAN, INF = float("nan"), float("inf")
BIG = 2**62


@dataclasses.dataclass
class Inputs:
    """What the rows compute with: values and shapes that hurt."""

    x: torch.Tensor  # f32 [5, 7], not contiguous: NaN, infinities, zeros of both signs, ties, denormals
    y: torch.Tensor  # the same elements, so that every special value meets others
    m: torch.Tensor  # f32 [5, 7], moderate numbers
    z: torch.Tensor  # f32 []
    i: torch.Tensor  # i64 [5, 7], beyond 2^53
    j: torch.Tensor  # i64 [5, 7], divisors, none of them 0
    k: torch.Tensor  # i32 [5, 7], from -40 to 70
    n: torch.Tensor  # i8 [5, 7], all bits
    u: torch.Tensor  # u8 [5, 7], all bits
    b: torch.Tensor  # bool [5, 7]
    p: torch.Tensor  # i64 [5, 7], places from 0 to 4
    one: torch.Tensor  # f32 [1, 1]
    none: torch.Tensor  # f32 [0, 3]
    line: torch.Tensor  # f32 [1, 2, 11]
    image: torch.Tensor  # f32 [1, 2, 7, 5], with ties, a NaN and an infinity
    smooth: torch.Tensor  # f32 [2, 3, 7, 5], moderate numbers, channels last
    volume: torch.Tensor  # f32 [1, 1, 4, 5, 3]
    d: torch.Tensor  # f64 [5, 7], the special values and wider ones


def make_inputs() -> Inputs:
    """The same at every call."""
    draw = torch.Generator().manual_seed(8)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw)

    def integers(low: int, high: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.randint(low, high, (5, 7), generator=draw).to(dtype)

    def shuffled(values: torch.Tensor) -> torch.Tensor:
        return values.flatten()[torch.randperm(values.numel(), generator=draw)].reshape(7, 5).t()

    special = [NAN, NAN, INF, -INF, 0.0, -0.0, 1.0, 1.0, -1.0, 2.5, 2.5, -2.5, 3.0, -3.0, 0.5, 1e-30, 3e38, -3e38, 7.0]
    values = torch.cat([torch.tensor(special), 3 * randn(35 - len(special))])
    large = torch.tensor([BIG + 5, -BIG - 7, 2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1, 0, 1, -1, 97, -97, 5, 5])
    image = torch.randint(-3, 4, (1, 2, 7, 5), generator=draw).float()
    image[0, 0, 2, 3], image[0, 1, 4, 1], image[0, 0, 5, 0] = NAN, INF, -INF
    divisors = integers(-9, 0, torch.int64)
    divisors[::2] = integers(1, 10**6, torch.int64)[::2]
    divisors[1, :3] = torch.tensor([BIG, -BIG, 2**53 + 1])
    return Inputs(
        x=shuffled(values),
        y=shuffled(values),
        m=randn(5, 7),
        z=torch.tensor(-1.5),
        i=shuffled(torch.cat([large, torch.randint(-20, 20, (35 - len(large),), generator=draw)])),
        j=divisors,
        k=integers(-40, 70, torch.int32),
        n=integers(-128, 128, torch.int8),
        u=integers(0, 256, torch.uint8),
        b=integers(0, 2, torch.bool),
        p=integers(0, 5, torch.int64),
        one=torch.tensor([[2.0]]),
        none=torch.zeros(0, 3),
        line=randn(1, 2, 11),
        image=image,
        smooth=randn(2, 3, 7, 5).contiguous(memory_format=torch.channels_last),
        volume=torch.randint(-3, 4, (1, 1, 4, 5, 3), generator=draw).float(),
        d=shuffled(values.double() * 1e200),
    )


Row = Callable[[Inputs], Any]

ARITHMETIC: dict[str, Row] = {
    "fmod": lambda s: (
        torch.fmod(s.x, s.y),
        torch.fmod(s.m * 100, 0.7),
        torch.fmod(s.d, s.x),
        torch.fmod(s.x.half(), s.y.half()),
    ),
    "remainder": lambda s: (torch.remainder(s.x, s.y), s.x % -1.5, torch.remainder(2.5, s.y), s.d % s.x),
    "floor_divide": lambda s: (s.x // s.y, s.x // -1.5, torch.floor_divide(s.d, s.x), s.x.bfloat16() // s.y.bfloat16()),
    "div_mode": lambda s: (
        [torch.div(s.x, v, rounding_mode=m) for m in ("floor", "trunc") for v in (s.y, 0.7)]
        + [torch.ops.aten.div.Scalar_mode(s.x, 0.7, rounding_mode="floor")]
    ),
    "hypot": lambda s: (
        torch.hypot(s.x, s.y),
        torch.hypot(s.d, s.d.t().reshape(5, 7)),
        torch.hypot(s.x.half(), s.y.half()),
    ),
    "copysign": lambda s: (
        torch.copysign(s.x, s.y),
        torch.copysign(s.m, -0.0),
        torch.copysign(s.i, s.x),
        torch.signbit(s.x),
    ),
    "signbit": lambda s: (torch.signbit(torch.copysign(s.one, s.y)), torch.signbit(s.i), torch.signbit(s.x * 0)),
    "bounds": lambda s: (
        s.x.clamp_min(s.y),
        s.x.clamp_max(s.y),
        s.x.clamp(-1.0, 2.0),
        s.x.clamp(-1.0, NAN),
        torch.maximum(s.x, torch.tensor(NAN)),
        torch.fmax(s.x, s.y),
        torch.fmin(s.x, s.y),
    ),
    "extremes": lambda s: (
        torch.maximum(s.x, s.y),
        torch.minimum(s.x, s.y),
        torch.maximum(s.u, s.u.flip(0)),
        torch.minimum(s.i, s.j),
    ),
    "rounding": lambda s: (
        s.x.round(),
        s.x.trunc(),
        s.x.frac(),
        (s.m * 100).round(decimals=-1),
        s.x.ceil(),
        s.x.floor(),
        torch.fix(s.x),
    ),
    "nan_to_num": lambda s: (s.x.nan_to_num(), s.x.nan_to_num(1.0, 2.0, 3.0), s.d.nan_to_num()),
    "is": lambda s: (s.x.isnan(), s.x.isinf(), s.x.isfinite(), torch.isposinf(s.x), torch.isneginf(s.x), s.i.isnan()),
    "sign": lambda s: (s.x.sign(), s.x.sgn(), s.i.sign(), s.n.sign(), s.x.abs(), s.i.abs(), s.n.abs()),
    "heaviside": lambda s: (torch.heaviside(s.x, s.m), torch.heaviside(s.x, s.one)),
    "shrinks": lambda s: (F.hardshrink(s.x), F.softshrink(s.x), F.threshold(s.x, 0.5, -7.0), F.relu6(s.x)),
    "lerp": lambda s: (
        torch.lerp(s.m, s.m.flip(0), 0.3),
        torch.lerp(s.m, s.m.flip(0), s.m),
        torch.addcmul(s.x, s.y, s.m, value=2),
    ),
    "addcdiv": lambda s: (torch.addcdiv(s.m, s.x, s.y), torch.addcdiv(s.m, s.m, s.m + 9, value=-2)),
    "compare": lambda s: (
        s.x < s.y,
        s.x == s.y,
        s.x != s.y,
        s.x >= s.y,
        s.x <= s.y,
        s.i > s.j,
        s.u > 200,
        s.x.eq(s.y),
        s.i == 2**53 + 1,
    ),
    "where": lambda s: (torch.where(s.x > s.y, s.x, s.y), torch.where(s.b, s.x, 0.0), s.x.masked_fill(s.b, -INF)),
    "logical": lambda s: (
        torch.logical_and(s.x, s.y),
        torch.logical_or(s.x, s.b),
        torch.logical_xor(s.x, s.y),
        torch.logical_not(s.x),
    ),
    "degrees": lambda s: (
        torch.deg2rad(s.x),
        torch.rad2deg(s.x),
        s.x.square(),
        s.x.reciprocal(),
        s.x.rsqrt(),
        s.x.sqrt(),
    ),
    "ldexp": lambda s: (torch.ldexp(s.m, s.p), torch.ldexp(s.m, -s.p)),
    "scalars": lambda s: (s.z // 0.7, s.z % 0.7, torch.fmod(s.z, 0.7), torch.hypot(s.z, s.z), torch.copysign(s.z, s.m)),
    "empty": lambda s: (
        s.none // 2,
        s.none % 2,
        torch.hypot(s.none, s.none),
        torch.copysign(s.none, -1.0),
        s.none.fmod(2),
    ),
}

INTEGERS: dict[str, Row] = {
    "floor": lambda s: (
        s.i // s.j,
        s.i // 97,
        s.i // -97,
        torch.div(s.i, s.j, rounding_mode="floor"),
        s.k // 7,
        s.n // 3,
        s.u // 7,
    ),
    "trunc": lambda s: [
        torch.div(v, w, rounding_mode="trunc") for v, w in ((s.i, s.j), (s.i, 97), (s.k, -7), (s.n, 3), (s.u, 7))
    ],
    "remainder": lambda s: (
        s.i % s.j,
        s.i % 97,
        s.i % -97,
        s.k % 7,
        s.n % -3,
        s.u % 7,
        torch.remainder(s.i, s.j),
        97 % s.j,
    ),
    "fmod": lambda s: (
        torch.fmod(s.i, s.j),
        torch.fmod(s.i, 97),
        torch.fmod(s.k, -7),
        torch.fmod(s.n, 3),
        torch.fmod(s.u, 7),
    ),
    "minus_one": lambda s: (s.k // -1, s.k % -1, torch.fmod(s.k, -1), s.n // -1),
    "powers": lambda s: (
        s.i**2,
        s.i**3,
        s.i**7,
        s.i**0,
        s.k ** (s.p.int() - 3),
        s.n ** s.p.to(torch.int8),
        s.n**5,
        s.u**3,
    ),
    "shifts": lambda s: (
        s.i << s.k,
        s.i >> s.k,
        s.i << 3,
        s.i >> 4,
        s.i << 64,
        s.i >> 64,
        s.k << s.p,
        s.k >> s.p,
        s.k << 32,
        s.k >> 32,
    ),
    "narrow_shifts": lambda s: (
        s.n << s.p,
        s.n >> s.p,
        s.n << 8,
        s.n >> 8,
        s.u << s.p,
        s.u >> s.p,
        s.u << 9,
        s.u >> 9,
        5 << s.p,
        -5 >> s.p,
    ),
    "negative_shifts": lambda s: (s.i << -s.p, s.i >> -s.p, s.n >> -s.p, s.u >> -s.p, s.k << -s.p),
    "bits": lambda s: (
        s.i & s.j,
        s.i | s.j,
        s.i ^ s.j,
        ~s.i,
        s.i & 15,
        s.u & 15,
        s.u | 1,
        s.n ^ -1,
        ~s.u,
        s.b & s.b.flip(0),
        ~s.b,
    ),
    "arithmetic": lambda s: (
        s.i + s.j,
        s.i - s.j,
        s.i * s.j,
        -s.i,
        s.n + s.n,
        s.n * s.n,
        s.u + s.u,
        s.u * s.u,
        s.u - 200,
        -s.u,
    ),
    "mixed": lambda s: (s.i + s.x, s.u + s.n, s.b + s.n, s.k * 0.5, s.i / s.j, s.u / 3, s.b * s.x),
    "casts": lambda s: (
        s.i.float(),
        s.i.double(),
        s.u.float(),
        s.n.to(torch.uint8),
        s.u.to(torch.int8),
        s.i.to(torch.int32),
        s.x.bool(),
        s.u.bool(),
    ),
    "clamps": lambda s: (
        s.i.clamp(-5, 2**54),
        s.i.clamp(min=3),
        s.u.clamp(10, 200),
        s.n.clamp_max(3),
        s.i.clamp_min(s.j),
    ),
    "sums": lambda s: (
        s.i.sum(),
        s.i.sum(0),
        s.n.sum(1),
        s.u.sum(),
        s.b.sum(0),
        s.p.prod(1),
        s.u.prod(0),
        s.i.cumsum(1),
        s.u.cumsum(0),
    ),
    "extremes": lambda s: (
        s.i.max(),
        s.i.min(),
        s.u.max(),
        s.u.min(),
        s.n.amax(0),
        s.i.amin(1),
        s.u.amax(1),
        s.u.amin(0),
        s.i.amax((0, 1)),
    ),
    "scalars": lambda s: (s.i[0, 0] // 7, s.i[0, 0] % 7, s.i[1, 1] << 2, s.i[2, 2] ** 2),
}

ORDER: dict[str, Row] = {
    "argmax": lambda s: (
        s.x.argmax(),
        s.x.argmax(0),
        s.x.argmax(1, keepdim=True),
        s.i.argmax(1),
        s.u.argmax(0),
        s.z.argmax(),
        s.b.int().argmax(1),
    ),
    "argmin": lambda s: (
        s.x.argmin(),
        s.x.argmin(0),
        s.x.argmin(1, keepdim=True),
        s.i.argmin(1),
        s.u.argmin(0),
        s.z.argmin(0),
    ),
    "max": lambda s: (
        *s.x.max(1),
        *s.x.max(0, keepdim=True),
        *s.i.max(1),
        *s.u.max(0),
        *s.b.max(1),
        *s.z.max(0),
        *s.n.max(-1),
    ),
    "min": lambda s: (
        *s.x.min(1),
        *s.x.min(0, keepdim=True),
        *s.i.min(1),
        *s.u.min(0),
        *s.b.min(1),
        *s.z.min(0),
        *s.n.min(-1),
    ),
    "aminmax": lambda s: (*s.x.aminmax(), *s.x.aminmax(dim=1), *s.m.aminmax(dim=0, keepdim=True), *s.i.aminmax(dim=1)),
    "sort": lambda s: (
        s.x.sort(1)[0],
        *torch.sort(s.x, dim=0, stable=True),
        *torch.sort(s.x, dim=1, stable=True, descending=True),
        *torch.sort(s.i, dim=1, stable=True),
    ),
    "sort_others": lambda s: (
        *torch.sort(s.u, dim=0, stable=True),
        *s.n.sort(1, True),
        s.b.sort(1)[0],
        *s.z.sort(),
        *s.one.sort(),
        s.none.sort(0)[0],
    ),
    "argsort": lambda s: (
        torch.argsort(s.x, dim=1, stable=True),
        torch.argsort(s.x, dim=0, descending=True, stable=True),
        s.m.argsort(0),
        s.m.argsort(-1, True),
    ),
    "topk": lambda s: (
        s.x.topk(3, 1)[0],
        s.x.topk(2, 0, largest=False)[0],
        *s.m.topk(4),
        *s.m.topk(2, 0, False),
        s.i.topk(3)[0],
        *s.z.topk(1),
    ),
    "kthvalue": lambda s: (
        *s.m.kthvalue(2),
        *s.m.kthvalue(3, 0, keepdim=True),
        s.x.kthvalue(5, 1)[0],
        s.i.kthvalue(2)[0],
        *s.z.kthvalue(1),
    ),
    "median": lambda s: (
        s.x.median(),
        *s.x.median(0),
        *s.m.median(1),
        *s.m.median(0, keepdim=True),
        s.i.median(1)[0],
        s.m.median(),
        s.z.median(),
    ),
    "nanmedian": lambda s: (
        s.x.nanmedian(),
        s.x.nanmedian(0)[0],
        *s.m.nanmedian(1),
        (s.x * NAN).nanmedian(1)[0],
        s.i.nanmedian(1)[0],
    ),
    "mode": lambda s: (
        *s.p.mode(1),
        *s.p.mode(0, keepdim=True),
        s.m.round().mode(1)[0],
        s.u.mode(1)[0],
        s.z.mode(0)[0],
        s.one.mode(1)[0],
    ),
    "cummax": lambda s: (
        *s.x.cummax(1),
        *s.x.cummax(0),
        *s.i.cummax(1),
        *s.u.cummax(0),
        *s.z.cummax(0),
        *s.one.cummax(0),
    ),
    "cummin": lambda s: (
        *s.x.cummin(1),
        *s.x.cummin(0),
        *s.i.cummin(1),
        *s.u.cummin(0),
        *s.z.cummin(0),
        s.none.cummin(1)[0],
    ),
    "searchsorted": lambda s: (
        torch.searchsorted(s.m.sort(1)[0], s.x),
        torch.searchsorted(s.m[0].sort()[0], s.x, right=True),
    ),
    "bucketize": lambda s: (
        torch.bucketize(s.x, s.m[0].sort()[0]),
        torch.bucketize(s.x, s.m[0].sort()[0], right=True),
        torch.bucketize(s.i, s.i[0].sort()[0]),
        torch.bucketize(2.5, s.m[0].sort()[0]),
    ),
    "quantile": lambda s: (s.m.quantile(0.3, 1), s.m.quantile(0.5)),
    "any": lambda s: (
        s.x.any(),
        s.x.all(),
        s.b.any(1),
        s.b.all(0),
        (s.x > 0).any((0, 1)),
        s.u.any(0),
        s.none.all(0),
        s.none.any(0),
        s.x.isnan().any(1),
    ),
    "counts": lambda s: (
        s.x.count_nonzero(),
        s.x.count_nonzero(0),
        s.i.count_nonzero(1),
        torch.bincount(s.p[0], minlength=6),
    ),
}

FAMILIES: dict[str, dict[str, Row]] = {
    "arithmetic": ARITHMETIC,
    "integers": INTEGERS,
    "functions": FUNCTIONS,
    "activations": ACTIVATIONS,
    "order": ORDER,
    "reductions": REDUCTIONS,
    "products": PRODUCTS,
    "moves": MOVES,
    "indices": INDICES,
    "writes": WRITES,
    "lookups": LOOKUPS,
    "creation": CREATION,
    "losses": LOSSES,
    "resizes": RESIZES,
    "pools": POOLS,
    "narrow": NARROW,
}

ULPS = 8
"""How far floating point may be from eager: units in the last place of an element, or of the largest one."""
