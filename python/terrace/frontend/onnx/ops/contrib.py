"""Operators of ONNX Runtime's domain, com.microsoft, that exported transformers hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.table import onnx_op

DOMAIN = "com.microsoft"


@onnx_op("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=DOMAIN)
def skip_layer_norm(node: Node, x: Tensor, skip: Tensor, gamma: Tensor, *rest: Tensor | None) -> Any:
    """Results: the norm, (mean, inverse deviation: left out), the sum that was normalised."""
    simple = node.op.startswith("SkipSimplified")
    beta, bias = (None, *rest, None)[:2] if simple else (*rest, None, None)[:2]
    summed = x + skip
    if bias is not None:
        summed = summed + bias
    eps = node.get("epsilon", 1e-12)
    sizes = [x.shape[-1]]
    y = F.rms_norm(summed, sizes, gamma, eps) if simple else F.layer_norm(summed, sizes, gamma, beta, eps)
    return y, None, None, summed


@onnx_op("SimplifiedLayerNormalization", domain=DOMAIN)
@onnx_op("SimplifiedLayerNormalization")
def simplified_layer_norm(node: Node, x: Tensor, scale: Tensor) -> Tensor:
    return F.rms_norm(x, [x.shape[-1]], scale, node.get("epsilon", 1e-5))


@onnx_op("Gelu", domain=DOMAIN)
def gelu(node: Node, x: Tensor) -> Tensor:
    return F.gelu(x)


@onnx_op("BiasGelu", domain=DOMAIN)
def bias_gelu(node: Node, x: Tensor, bias: Tensor) -> Tensor:
    return F.gelu(x + bias)


@onnx_op("FastGelu", domain=DOMAIN)
def fast_gelu(node: Node, x: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.gelu(x if bias is None else x + bias, approximate="tanh")


@onnx_op("QuickGelu", domain=DOMAIN)
def quick_gelu(node: Node, x: Tensor) -> Tensor:
    return x * torch.sigmoid(node.get("alpha", 1.702) * x)


@onnx_op("FusedMatMul", domain=DOMAIN)
def fused_matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    a = a.transpose(-1, -2) if node.get("transA", 0) else a
    b = b.transpose(-1, -2) if node.get("transB", 0) else b
    y = torch.matmul(a, b)
    return y if node.get("alpha", 1.0) == 1 else y * node["alpha"]


@onnx_op("Attention", domain=DOMAIN)
def attention(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """Self-attention with one product for query, key and value; `mask` is 0 where a key [batch, keys] is left out."""
    heads = node["num_heads"]
    product = torch.matmul(x, weight)
    if bias is not None:
        product = product + bias
    sizes = node.get("qkv_hidden_sizes", [weight.shape[1] // 3] * 3)
    query, key, value = (split_heads(part, heads) for part in product.split(sizes, -1))
    allowed = None
    if mask is not None:
        if mask.dim() == 1:
            if mask.shape[0] != x.shape[0]:
                raise node.error("has a mask of starts and ends, which is not supported")
            mask = torch.arange(x.shape[1]) < mask.unsqueeze(1)
        allowed = masked(node, mask, query.dtype)
    y = F.scaled_dot_product_attention(
        query, key, value, allowed, is_causal=bool(node.get("unidirectional", 0)), scale=node.get("scale") or None
    )
    return merge_heads(y)


def masked(node: Node, mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores [batch, heads, queries, keys]: something low where `mask`, of fewer axes, is 0."""
    allowed = (mask != 0).reshape(mask.shape[0], *(1,) * (4 - mask.dim()), *mask.shape[1:])
    return torch.where(allowed, 0.0, node.get("mask_filter_value", -10000.0)).to(dtype)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[batch, length, hidden] as [batch, heads, length, each]."""
    return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


@onnx_op("MultiHeadAttention", domain=DOMAIN)
def multi_head_attention(
    node: Node, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, bias: Tensor | None = None,
    mask: Tensor | None = None, added: Tensor | None = None, past_key: Tensor | None = None,
    past_value: Tensor | None = None,
) -> Any:  # fmt: skip
    heads = node["num_heads"]
    if key is None or value is None:
        raise node.error("has packed inputs, which are not supported")
    if bias is not None:
        sizes = [query.shape[-1], key.shape[-1] if key.dim() == 3 else query.shape[-1]]
        own = bias.split([*sizes, bias.shape[0] - sum(sizes)])
        query = query + own[0]
        key, value = (key + own[1], value + own[2]) if key.dim() == 3 else (key, value)
    q = split_heads(query, heads)
    k, v = (part if part.dim() == 4 else split_heads(part, heads) for part in (key, value))
    if past_key is not None and past_value is not None:
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
    bias_of_scores = added
    if mask is not None:
        shift = masked(node, mask, q.dtype)
        bias_of_scores = shift if added is None else added + shift
    y = F.scaled_dot_product_attention(
        q, k, v, bias_of_scores, is_causal=bool(node.get("unidirectional", 0)), scale=node.get("scale") or None
    )
    return merge_heads(y), k, v


@onnx_op("RotaryEmbedding", domain=DOMAIN)
def rotary(node: Node, x: Tensor, position: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Halves of each head turned by the angle of its position.

    `x` is [batch, length, hidden] or [batch, heads, length, each].
    """
    width = 2 * cos.shape[1]
    partial = node.get("rotary_embedding_dim", 0)
    heads = x if x.dim() == 4 else split_heads(x, node.get("num_heads", 0) or x.shape[-1] // width)
    rows = position if position.dim() == 2 else position + torch.arange(heads.shape[2])
    rows = rows.reshape(-1, heads.shape[2])
    c, s = F.embedding(rows, cos).unsqueeze(1), F.embedding(rows, sin).unsqueeze(1)
    own, rest = (heads[..., :partial], heads[..., partial:]) if partial else (heads, None)
    y = turned(own, c, s, bool(node.get("interleaved", 0)))
    y = y if rest is None else torch.cat([y, rest], -1)
    return y if x.dim() == 4 else merge_heads(y)


def turned(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> Tensor:
    """Pairs of numbers turned: neighbours if interleaved, else those of the two halves."""
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else x.chunk(2, -1)
    parts = (a * cos - b * sin, b * cos + a * sin)
    return torch.stack(parts, -1).flatten(-2) if interleaved else torch.cat(parts, -1)


@onnx_op("GroupQueryAttention", domain=DOMAIN)
def group_query_attention(
    node: Node, query: Tensor, key: Tensor | None, value: Tensor | None, past_key: Tensor | None,
    past_value: Tensor | None, last: Tensor, total: Tensor, cos: Tensor | None = None, sin: Tensor | None = None,
) -> Any:  # fmt: skip
    """Causal attention with fewer heads of keys than of queries. `last` [batch] is the place of each last key.

    The cache is a tensor that grows, past keys before the new ones. All of `past` has to count, which is checked:
    prompts of unequal length are taken where there is no past.
    """
    heads, groups = node["num_heads"], node["kv_num_heads"]
    if key is None or value is None:
        each = query.shape[-1] // (heads + 2 * groups)
        query, key, value = query.split([heads * each, groups * each, groups * each], -1)
    q, k, v = split_heads(query, heads), split_heads(key, groups), split_heads(value, groups)
    new = q.shape[2]
    before = past_key.shape[2] if past_key is not None else 0
    if not isinstance(before, int) or before:
        torch._assert_async((last + 1 == before + new).all(), "a cache with places that do not count is not supported")
    places = torch.arange(new) + before
    if node.get("do_rotary", 0):
        assert cos is not None and sin is not None
        c, s = F.embedding(places, cos), F.embedding(places, sin)
        way = bool(node.get("rotary_interleaved", 0))
        q, k = turned(q, c, s, way), turned(k, c, s, way)
    if past_key is not None and past_value is not None:
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
    columns = torch.arange(k.shape[2])
    allowed = columns <= places.unsqueeze(1)
    if (window := node.get("local_window_size", -1)) > 0:
        allowed = allowed & (columns > places.unsqueeze(1) - window)
    live = columns <= last.reshape(-1, 1, 1, 1)
    y = F.scaled_dot_product_attention(
        q, k, v, allowed & live, scale=node.get("scale") or None, enable_gqa=heads != groups
    )
    return merge_heads(y), k, v


@onnx_op("MatMulNBits", domain=DOMAIN)
def matmul_n_bits(
    node: Node, x: Tensor, packed: Tensor, scales: Tensor, zeros: Tensor | None = None, groups: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """x times a matrix [N, K] of unsigned integers of `bits`, packed low first, in blocks along K with a scale each."""
    bits, size, rows, columns = node.get("bits", 4), node["block_size"], node["N"], node["K"]
    if bits not in (2, 4, 8) or groups is not None:
        raise node.error(f"has {bits} bits{' and an index of groups' if groups is not None else ''}: not supported")
    blocks = -(-columns // size)
    codes = unpacked(packed.reshape(rows, -1), bits).reshape(rows, blocks, size)
    offset: Tensor | float = float(1 << (bits - 1))
    if zeros is not None:
        zero = zeros if zeros.is_floating_point() else unpacked(zeros.reshape(rows, -1), bits)[:, :blocks]
        offset = zero.reshape(rows, blocks, 1).to(x.dtype)
    weight = (codes.to(x.dtype) - offset) * scales.reshape(rows, blocks, 1)
    return F.linear(x, weight.reshape(rows, -1)[:, :columns], bias)


def unpacked(packed: Tensor, bits: int) -> Tensor:
    """The numbers in bytes [rows, bytes], low bits first."""
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8)
    return ((packed.unsqueeze(-1) >> shifts) & ((1 << bits) - 1)).flatten(1)
