"""Random ops as arithmetic on random bits, which `graph.random_bits` makes of the seed of a call.

The bits come by an op of our own, `terrace::random_bits`: `number_streams` gives each use a stream and the program an
argument for the seed. Where a distribution is computed from uniform numbers, its source is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

aten = torch.ops.aten

SEED = "terrace_seed"
"""The placeholder of the seed, after all others."""

_library = torch.library.Library("terrace", "FRAGMENT")
_library.define(
    "random_bits(Tensor seed, SymInt[] size, int stream) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,)
)


@torch.library.register_fake("terrace::random_bits", lib=_library)
def _(seed: torch.Tensor, size: Sequence[int], stream: int) -> torch.Tensor:
    return torch.empty(size, dtype=torch.int64, device=seed.device)


RANDOM_BITS = torch.ops.terrace.random_bits.default


def number_streams(graph: torch.fx.Graph) -> bool:
    """Give the random ops of `graph` the seed, a placeholder, and a stream each; False if there is none."""
    nodes = [node for node in graph.nodes if node.target is RANDOM_BITS]
    if not nodes:
        return False
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    with graph.inserting_before(placeholders[-1].next if placeholders else next(iter(graph.nodes))):
        seed = graph.placeholder(SEED)
    seed.meta["val"] = nodes[0].args[0].meta["val"]
    for stream, node in enumerate(nodes):
        node.args = (seed, node.args[1], stream)
    graph.eliminate_dead_code()
    return True


def bits(size: Sequence[int]) -> torch.Tensor:
    """64 random bits in each element."""
    # The tensor stands for the seed until there is one.
    return RANDOM_BITS(aten.zeros.default([], dtype=torch.int64), size, 0)


def uniform(size: Sequence[int], dtype: torch.dtype, *, zero: bool = True) -> torch.Tensor:
    """Multiples of the type's precision in [0, 1), or without `zero` in (0, 1]."""
    precision = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}[dtype]
    high = aten.bitwise_and.Scalar(aten.__rshift__.Scalar(bits(size), 64 - precision), (1 << precision) - 1)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    return ((high if zero else high + 1).to(wide) * 2.0**-precision).to(dtype)


def normal(size: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Box and Muller, "A note on the generation of random normal deviates", 1958."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    radius = torch.sqrt(-2 * torch.log(uniform(size, wide, zero=False)))
    return (radius * torch.cos(uniform(size, wide) * (2 * math.pi))).to(dtype)


def float_type(dtype: torch.dtype | None, like: torch.Tensor | None = None) -> torch.dtype:
    if dtype is not None:
        return dtype
    return torch.get_default_dtype() if like is None else like.dtype


def rand(size: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any) -> torch.Tensor:
    return uniform(size, float_type(dtype))


def rand_like(value: torch.Tensor, *, dtype: torch.dtype | None = None, **_: Any) -> torch.Tensor:
    return uniform(value.shape, float_type(dtype, value))


def randn(size: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any) -> torch.Tensor:
    return normal(size, float_type(dtype))


def randn_like(value: torch.Tensor, *, dtype: torch.dtype | None = None, **_: Any) -> torch.Tensor:
    return normal(value.shape, float_type(dtype, value))


def integers(low: int, high: int, size: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """From `low` to `high` - 1: 63 bits modulo their number, which favours none by more than 2^-31 for ranges of 32."""
    positive = aten.bitwise_and.Scalar(bits(size), (1 << 63) - 1)
    return (aten.remainder.Scalar(positive, high - low) + low).to(dtype)


def randint(high: int, size: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any) -> torch.Tensor:
    return integers(0, high, size, dtype or torch.int64)


def randint_low(
    low: int, high: int, size: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any
) -> torch.Tensor:
    return integers(low, high, size, dtype or torch.int64)


def randint_like(value: torch.Tensor, high: int, *, dtype: torch.dtype | None = None, **_: Any) -> torch.Tensor:
    return integers(0, high, value.shape, dtype or value.dtype)


def randint_like_low(
    value: torch.Tensor, low: int, high: int, *, dtype: torch.dtype | None = None, **_: Any
) -> torch.Tensor:
    return integers(low, high, value.shape, dtype or value.dtype)


def randperm(count: int, *, dtype: torch.dtype | None = None, **_: Any) -> torch.Tensor:
    """The order of random keys; two of 64 bits are never equal in practice."""
    return torch.argsort(bits([count])).to(dtype or torch.int64)


def bernoulli(probability: torch.Tensor, generator: None = None) -> torch.Tensor:
    return (uniform(probability.shape, torch.float32) < probability).to(probability.dtype)


def bernoulli_p(value: torch.Tensor, p: float = 0.5, generator: None = None) -> torch.Tensor:
    return (uniform(value.shape, torch.float32) < p).to(value.dtype)


def uniform_like(value: torch.Tensor, low: float = 0.0, high: float = 1.0, generator: None = None) -> torch.Tensor:
    return uniform(value.shape, value.dtype) * (high - low) + low


def normal_like(value: torch.Tensor, mean: float = 0.0, std: float = 1.0, generator: None = None) -> torch.Tensor:
    return normal(value.shape, value.dtype) * std + mean


def normal_of_mean(mean: torch.Tensor, std: torch.Tensor | float = 1.0, generator: None = None) -> torch.Tensor:
    shape = torch.broadcast_shapes(mean.shape, std.shape) if isinstance(std, torch.Tensor) else mean.shape
    return normal(shape, mean.dtype) * std + mean


def normal_of_std(mean: float, std: torch.Tensor, generator: None = None) -> torch.Tensor:
    return normal(std.shape, std.dtype) * std + mean


def normal_of_size(
    mean: float, std: float, size: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any
) -> torch.Tensor:
    return normal(size, float_type(dtype)) * std + mean


def log_normal(value: torch.Tensor, mean: float = 1.0, std: float = 2.0, generator: None = None) -> torch.Tensor:
    return torch.exp(normal_like(value, mean, std))


def exponential(value: torch.Tensor, rate: float = 1.0, generator: None = None) -> torch.Tensor:
    return -torch.log(uniform(value.shape, value.dtype, zero=False)) / rate


def geometric(value: torch.Tensor, p: float, generator: None = None) -> torch.Tensor:
    """Trials until the first success, 1 or more."""
    wide = torch.log(uniform(value.shape, torch.float32, zero=False)) / math.log1p(-p)
    return torch.clamp(torch.ceil(wide), min=1).to(value.dtype)


def cauchy(value: torch.Tensor, median: float = 0.0, sigma: float = 1.0, generator: None = None) -> torch.Tensor:
    return median + sigma * torch.tan(math.pi * (uniform(value.shape, value.dtype) - 0.5))


def multinomial(weights: torch.Tensor, count: int, replacement: bool = False, generator: None = None) -> torch.Tensor:
    """Indices of the last axis, as often as their weights say; without replacement by a race of exponential times."""
    if not replacement:
        times = -torch.log(uniform(weights.shape, torch.float32, zero=False)) / weights.float()
        return torch.topk(times, count, dim=-1, largest=False).indices
    sums = torch.cumsum(weights.float(), dim=-1)
    drawn = uniform([*weights.shape[:-1], count], torch.float32) * sums[..., -1:]
    return (drawn.unsqueeze(-1) >= sums.unsqueeze(-2)).to(torch.int64).sum(-1).clamp(max=weights.shape[-1] - 1)


def native_dropout(value: torch.Tensor, p: float, train: bool | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The kept elements, scaled, and which they are."""
    if train is False or p == 0:
        return value.clone(), torch.ones_like(value, dtype=torch.bool)
    if p == 1:
        return torch.zeros_like(value), torch.zeros_like(value, dtype=torch.bool)
    kept = uniform(value.shape, torch.float32) >= p
    return torch.where(kept, value * (1 / (1 - p)), 0), kept


def rrelu_with_noise(
    value: torch.Tensor,
    noise: torch.Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The values with random slopes below 0, and the slopes; in evaluation the mean slope."""
    if not training:
        return torch.nn.functional.leaky_relu(value, (lower + upper) / 2), noise.clone()
    slopes = torch.where(value <= 0, uniform_like(value, lower, upper), 1)
    return value * slopes, slopes


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Attention that drops weights, as the products it consists of; all other stays whole."""
    if dropout_p == 0 or enable_gqa:
        return NotImplemented
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.where(mask, 0.0, -math.inf).to(scores.dtype)
    weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
    return native_dropout(weights, dropout_p, True)[0] @ value


RANDOM: dict[Any, Callable[..., Any]] = {
    aten.bernoulli.default: bernoulli,
    aten.bernoulli.p: bernoulli_p,
    aten.cauchy.default: cauchy,
    aten.exponential.default: exponential,
    aten.geometric.default: geometric,
    aten.log_normal.default: log_normal,
    aten.multinomial.default: multinomial,
    aten.native_dropout.default: native_dropout,
    aten.normal.Tensor_Tensor: normal_of_mean,
    aten.normal.Tensor_float: normal_of_mean,
    aten.normal.float_Tensor: normal_of_std,
    aten.normal.float_float: normal_of_size,
    aten.normal_functional.default: normal_like,
    aten.rand.default: rand,
    aten.rand_like.default: rand_like,
    aten.randint.default: randint,
    aten.randint.low: randint_low,
    aten.randint_like.default: randint_like,
    aten.randint_like.low_dtype: randint_like_low,
    aten.randn.default: randn,
    aten.randn_like.default: randn_like,
    aten.randperm.default: randperm,
    aten.rrelu_with_noise_functional.default: rrelu_with_noise,
    aten.scaled_dot_product_attention.default: attention,
    aten.uniform.default: uniform_like,
}
"""The decomposition of each random op; one that returns NotImplemented leaves the op as it is."""
