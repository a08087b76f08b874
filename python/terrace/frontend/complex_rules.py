"""What each op on complex tensors is in real ops. An op that has no rule here is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._ops import OpOverload, OpOverloadPacket

from terrace.frontend import complex_functions as f
from terrace.frontend.complex_functions import multiply, nonzero, product, select
from terrace.frontend.complex_pairs import Pair, Value, as_tensor, full_parts, pair_in, parts, static, view_as_complex
from terrace.frontend.own_operators import border_pad

aten = torch.ops.aten
prims = torch.ops.prims


def made_of_reals(target: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What an op without complex operands makes: a tensor of one number."""
    name = target.overloadpacket.__name__
    if name in ("full", "full_like", "new_full"):
        *sizes, number = args
        re, im = (number.real, number.imag) if isinstance(number, complex) else (number, 0.0)
        return Pair(target(*sizes, float(re), **kwargs), target(*sizes, float(im), **kwargs))
    if name == "scalar_tensor":
        re, im = parts(args[0])
        return Pair(target(float(re), **kwargs), target(float(im or 0), **kwargs))
    if name in CREATORS:
        return target(*args, **kwargs)
    return NotImplemented


CREATORS = (
    *("ones", "zeros", "empty", "ones_like", "zeros_like", "empty_like", "new_ones", "new_zeros", "new_empty", "eye"),
    *("empty_strided", "new_empty_strided"),
)
"""Ops that make a real tensor of no number that is given."""


def like(op: OpOverloadPacket) -> Callable[..., Any]:
    """The rule of an op that takes the form of a complex tensor, or of a real one for a complex."""

    def rule(value: Pair | torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        template = value.re if isinstance(value, Pair) else value
        if args and op in (aten.full_like, aten.new_full):
            *sizes, number = args
            re, im = parts(number)
            return Pair(op(template, *sizes, re, **kwargs), op(template, *sizes, im or 0.0, **kwargs))
        return op(template, *args, **kwargs)

    return rule


def convert(value: Pair | torch.Tensor, dtype: torch.dtype | None = None, **_: Any) -> Any:
    """A conversion, which `to_type` makes of the value: the imaginary part goes where the result is real."""
    return nonzero(value) if dtype == torch.bool else value


def by_parts(op: OpOverloadPacket) -> Callable[..., Any]:
    """The rule of an op that does the same to both parts, and has one complex operand, the first."""

    def rule(value: Pair, *args: Any, **kwargs: Any) -> Any:
        re, im = op(value.re, *args, **kwargs), op(value.im, *args, **kwargs)
        return [Pair(*both) for both in zip(re, im, strict=True)] if isinstance(re, (list, tuple)) else Pair(re, im)

    return rule


def by_all_parts(op: OpOverload | OpOverloadPacket, takes_indices: bool = True) -> Callable[..., Any]:
    """The rule of an op that moves elements of several operands: to the parts of each, zeros for what is real.

    Where it `takes_indices`, integers are these and truths are masks.
    """

    def rule(*args: Any, **kwargs: Any) -> Any:
        flat = [item for arg in args for item in (arg if isinstance(arg, (list, tuple)) else [arg])]
        example = pair_in(flat)

        def side(value: Any, index: int) -> Any:
            if isinstance(value, (list, tuple)):
                return [side(item, index) for item in value]
            is_value = isinstance(value, (Pair, complex)) or (
                isinstance(value, torch.Tensor) and (value.is_floating_point() or not takes_indices)
            )
            return full_parts(value, example)[index] if is_value else value

        return Pair(*(op(*(side(arg, index) for arg in args), **kwargs) for index in (0, 1)))

    return rule


def equal(left: Value, right: Value) -> torch.Tensor:
    return ~unequal(left, right)


def unequal(left: Value, right: Value) -> torch.Tensor:
    (a, b), (c, d) = parts(left), parts(right)
    im = d != 0 if b is None else b != (0 if d is None else d)
    return torch.ne(a, c) | im


def isclose(left: Pair, right: Pair, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> torch.Tensor:
    """By the distance of the two, as PyTorch decomposes it."""
    actual, size = f.absolute(f.subtract(left, right)), f.absolute(right)
    close = equal(left, right) | (torch.isfinite(actual) & (actual <= atol + abs(rtol * size)))
    return close | (unequal(left, left) & unequal(right, right)) if equal_nan else close


def of_either(op: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    """The rule of a question that one part answers with yes."""
    return lambda value: op(value.re) | op(value.im)


def of_truth(op: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    """The rule of a logical op: on what is not zero."""

    def rule(*args: Any, **kwargs: Any) -> torch.Tensor:
        truths = [nonzero(arg) if isinstance(arg, (Pair, torch.Tensor)) else arg for arg in args]
        return op(*truths, **kwargs)

    return rule


def masked_fill(value: Pair, mask: torch.Tensor, number: Value) -> Pair:
    return select(mask, number, value)


def product_of_elements(value: Pair, dim: int | None = None, keepdim: bool = False, **_: Any) -> Pair:
    """Halves are multiplied with each other until one element is left."""
    parts_ = (value.re.flatten(), value.im.flatten()) if dim is None else (value.re, value.im)
    axis = 0 if dim is None else dim
    re, im = (part.movedim(axis, 0) for part in parts_)
    length = static(re.shape[0])
    if length == 0:
        re, im = re.new_ones([1, *re.shape[1:]]), im.new_zeros([1, *im.shape[1:]])
    while length > 1:
        half = length // 2
        made = f.scale(Pair(re[:half], im[:half]), Pair(re[half : 2 * half], im[half : 2 * half]))
        re, im = torch.cat([made.re, re[2 * half :]]), torch.cat([made.im, im[2 * half :]])
        length -= half
    if not keepdim:
        return Pair(re[0], im[0])
    return Pair(re.movedim(0, axis), im.movedim(0, axis))


def variance(value: Pair, *args: Any, **kwargs: Any) -> torch.Tensor:
    return aten.var(value.re, *args, **kwargs) + aten.var(value.im, *args, **kwargs)


def norm(value: Pair, p: float | None = 2, *args: Any, **kwargs: Any) -> torch.Tensor:
    return aten.linalg_vector_norm.default(f.absolute(value), 2 if p is None else p, *args, **kwargs)


def vector_or_matrix_norm(
    value: Pair, order: float | None = None, dim: Sequence[int] | None = None, *args: Any, **kwargs: Any
) -> torch.Tensor:
    """That of a matrix, of order 2, is no norm of its elements."""
    is_matrix = order is not None and (value.re.ndim if dim is None else len(dim)) == 2
    return NotImplemented if is_matrix else norm(value, order, dim, *args, **kwargs)


def index_add(
    value: Pair | torch.Tensor, dim: int, index: torch.Tensor, source: Pair | torch.Tensor, *, alpha: complex = 1
) -> Pair:
    return by_all_parts(aten.index_add.default)(value, dim, index, multiply(source, alpha) if alpha != 1 else source)


def pad(value: Pair, sizes: Sequence[int], number: complex = 0) -> Pair:
    re, im = parts(number)
    return Pair(aten.constant_pad_nd(value.re, sizes, re), aten.constant_pad_nd(value.im, sizes, im or 0))


BY_PARTS = (
    *(aten._unsafe_view, aten.alias, aten.clone, aten.contiguous, aten.cumsum, aten.detach, aten.diagonal, aten.expand),
    *(aten.expand_copy, aten.flip, aten.gather, aten.index, aten.index_select, aten.mean, aten.permute, aten.repeat),
    *(aten.roll, aten.select, aten.slice, aten.split, aten.split_with_sizes, aten.squeeze, aten.sum, aten.t),
    *(aten.transpose, aten.unbind, aten.unsqueeze, aten.flatten, aten.view, aten.view_copy, aten.reshape, aten.unfold),
    *(aten._reshape_alias, aten.col2im, aten.im2col, aten.avg_pool2d, aten.tril, aten.triu, aten._unsafe_index),
    *(aten.chunk, aten.narrow, aten.lift_fresh_copy, aten.unfold_copy, aten.slice_copy, aten.select_copy, aten.trace),
    *(aten.reflection_pad1d, aten.reflection_pad2d, aten.replication_pad1d, aten.replication_pad2d, aten.rot90),
    *(prims.squeeze, prims.transpose, prims.view_of, prims.split_dim, prims.collapse_view, prims.broadcast_in_dim),
    border_pad.overloadpacket,
    *(aten.permute_copy, aten.transpose_copy, aten.unsqueeze_copy, aten.squeeze_copy, aten.diagonal_copy),
)
"""Ops that do the same to both parts."""

BY_ALL_PARTS = {
    **dict.fromkeys((aten.cat, aten.copy, aten.diagonal_scatter, aten.select_scatter, aten.slice_scatter), False),
    **dict.fromkeys((aten._unsafe_index_put, aten.index_copy, aten.index_put, aten.masked_scatter), True),
    aten.scatter_add: True,
    aten.stack: False,
}
"""Ops that move elements of several operands, and whether they take indices."""

RULES: dict[Any, Callable[..., Any]] = {
    **{op: by_parts(op) for op in BY_PARTS},
    **{op: by_all_parts(op, takes_indices) for op, takes_indices in BY_ALL_PARTS.items()},
    **{op: product(op) for op in (aten.bmm, aten.dot, aten.matmul, aten.mm, aten.mv)},
    **{
        op: like(op)
        for op in (
            *(aten.empty_like, aten.full_like, aten.new_empty, aten.new_full, aten.new_ones, aten.new_zeros),
            *(aten.ones_like, aten.zeros_like),
        )
    },
    aten._conj: f.conjugate,
    aten._conj_copy: f.conjugate,
    aten._conj_physical: f.conjugate,
    aten._neg_view: f.negative,
    aten._to_copy: convert,
    aten.abs: f.absolute,
    aten.add: f.add,
    aten.addmm: f.addmm,
    aten.all: of_truth(aten.all),
    aten.angle: f.angle,
    aten.any: of_truth(aten.any),
    aten.complex: Pair,
    aten.conj_physical: f.conjugate,
    aten.constant_pad_nd: pad,
    aten.convolution: f.convolution,
    aten.cos: f.cosine,
    aten.cosh: f.hyperbolic_cosine,
    aten.div: f.divide,
    aten.eq: equal,
    aten.exp: f.exponential,
    aten.fill: lambda value, number: select(torch.full_like(value.re, True, dtype=torch.bool), number, value),
    aten.imag: lambda value: value.im,
    aten.index_add: index_add,
    aten.isclose: isclose,
    aten.isfinite: lambda value: torch.isfinite(value.re) & torch.isfinite(value.im),
    aten.isinf: of_either(torch.isinf),
    aten.isnan: of_either(torch.isnan),
    aten.linalg_norm.default: vector_or_matrix_norm,
    aten.linalg_vector_norm: norm,
    aten.linear: f.linear,
    aten.log: f.natural_logarithm,
    aten.log10: f.logarithm(10),
    aten.log2: f.logarithm(2),
    aten.logical_and: of_truth(torch.logical_and),
    aten.logical_not: of_truth(torch.logical_not),
    aten.logical_or: of_truth(torch.logical_or),
    aten.logical_xor: of_truth(torch.logical_xor),
    aten.masked_fill: masked_fill,
    aten.mul: multiply,
    aten.ne: unequal,
    aten.neg: f.negative,
    aten.norm: norm,
    aten.polar: f.polar,
    aten.pow: f.power,
    aten.prod: product_of_elements,
    aten.real: lambda value: value.re,
    aten.reciprocal: f.reciprocal,
    aten.resolve_conj: lambda value: value,
    aten.resolve_neg: lambda value: value,
    aten.rsqrt: lambda value: f.reciprocal(f.root(value)),
    aten.rsub: f.reverse_subtract,
    aten.scatter.src: by_all_parts(aten.scatter.src),
    aten.sgn: f.sign,
    aten.sigmoid: f.sigmoid,
    aten.sin: f.turned(f.hyperbolic_sine),
    aten.sinh: f.hyperbolic_sine,
    aten.sqrt: f.root,
    aten.square: f.square,
    aten.sub: f.subtract,
    aten.tan: f.turned(f.hyperbolic_tangent),
    aten.tanh: f.hyperbolic_tangent,
    aten.var: variance,
    aten.view_as_complex: view_as_complex,
    aten.view_as_complex_copy: view_as_complex,
    aten.view_as_real: as_tensor,
    aten.view_as_real_copy: as_tensor,
    aten.where: select,
    prims.convert_element_type: convert,
}
"""The rule of each op, by all of its overloads."""
