"""The ops that are not elementwise as reference cases, each static and dynamic."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from reference_cases import Case, both, randn
from terrace.dialects import graph

INF, NAN = float("inf"), float("nan")
HALF = torch.float16


def nchw(reference: Any) -> Any:
    """`reference`, which takes and gives NCHW images, as a function of NHWC images."""
    return lambda x, *rest: reference(x.permute(0, 3, 1, 2), *rest).permute(0, 2, 3, 1)


def image_cases(
    name: str, op: Any, operands: tuple[torch.Tensor, ...], attributes: dict[str, Any], reference: Any, **tolerance: Any
) -> list[Case]:
    """The case in both layouts, each static and dynamic; `operands[0]` and `reference` are NCHW."""
    image, *rest = operands
    nhwc = (image.permute(0, 2, 3, 1).contiguous(), *rest)
    cases = both(f"{name}_nchw", op, operands, {**attributes, "layout": "NCHW"}, reference, **tolerance)
    return cases + both(f"{name}_nhwc", op, nhwc, {**attributes, "layout": "NHWC"}, nchw(reference), **tolerance)


def contraction_cases() -> list[Case]:
    """matmul, batch_matmul and attention. A sum of k products of normal numbers errs by about k * 6e-8."""
    cases = []
    for i, (lhs, n) in enumerate(
        [((5, 7), 3), ((2, 3, 17), 33), ((1, 1), 1), ((0, 4), 3), ((3, 0), 2), ((2, 2, 3, 4), 5)]
    ):
        weight = randn(n, lhs[-1], seed=1)
        cases += both(
            f"linear_{i}", graph.MatmulOp, (randn(*lhs), weight), {"transpose_rhs": True}, F.linear, atol=1e-5
        )
        operands = (randn(*lhs), weight.T.contiguous())
        cases += both(f"matmul_{i}", graph.MatmulOp, operands, {"transpose_rhs": False}, torch.matmul, atol=1e-5)
    for i, (batch, m, k, n) in enumerate([((2,), 3, 5, 7), ((2, 3), 17, 8, 1), ((0,), 2, 3, 4), ((1, 2, 2), 1, 1, 3)]):
        lhs_, rhs_ = randn(*batch, m, k), randn(*batch, k, n, seed=1)
        cases += both(f"bmm_{i}", graph.BatchMatmulOp, (lhs_, rhs_), {"transpose_rhs": False}, torch.matmul, atol=1e-5)
        cases += both(
            f"bmm_t_{i}",
            graph.BatchMatmulOp,
            (lhs_, rhs_.mT.contiguous()),
            {"transpose_rhs": True},
            lambda a, b: a @ b.mT,
            atol=1e-5,
        )
    half = (randn(4, 300, dtype=HALF), randn(300, 5, dtype=HALF, seed=1))
    cases += both("matmul_half", graph.MatmulOp, half, {"transpose_rhs": False}, torch.matmul, atol=1e-3)
    bfloat = (randn(2, 4, 300, dtype=torch.bfloat16), randn(2, 300, 5, dtype=torch.bfloat16, seed=1))
    cases += both("bmm_bfloat", graph.BatchMatmulOp, bfloat, {"transpose_rhs": False}, torch.matmul, atol=1e-3)
    return cases


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    scale: float = 1.0,
    is_causal: bool = False,
    inner_heads: Sequence[int] = (),
) -> torch.Tensor:
    """The definition, in the operands' type."""
    tensors = (query, key, value)
    query, key, value = (x.transpose(-3, -2) if i in inner_heads else x for i, x in enumerate(tensors))
    if query.ndim > 2 and query.shape[-3] != key.shape[-3]:
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    scores = query @ key.mT * scale
    if mask is not None:
        scores = scores + mask
    if is_causal:
        scores = scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -INF)
    result = scores.softmax(-1) @ value
    return result.transpose(-3, -2) if 3 in inner_heads else result


def attention_cases() -> list[Case]:
    """attention with and without mask, causal, one length, half precision."""
    cases = []
    for i, (batch, rows, columns, width) in enumerate([((2, 3), 5, 7, 8), ((1,), 1, 1, 1), ((2,), 9, 9, 16)]):
        operands = (
            randn(*batch, rows, width),
            randn(*batch, columns, width, seed=1),
            randn(*batch, columns, 4, seed=2),
        )
        for is_causal in (False, True):
            attributes = {"scale": width**-0.5, "is_causal": is_causal}
            reference = functools.partial(attention, **attributes)
            cases += both(
                f"attention_{i}_{int(is_causal)}", graph.AttentionOp, operands, attributes, reference, atol=1e-6
            )
        mask = torch.where(randn(columns, seed=3) > 0.8, -INF, 0.0)
        mask[0] = 0.0
        cases += both(
            f"attention_mask_{i}",
            graph.AttentionOp,
            (*operands, mask),
            {"scale": 0.5, "is_causal": False},
            functools.partial(attention, scale=0.5),
            atol=1e-6,
        )
    for i, (batch, heads, own) in enumerate([((), 4, 2), ((3,), 6, 2), ((2,), 4, 1)]):
        operands = (randn(*batch, heads, 5, 8), randn(*batch, own, 7, 8, seed=1), randn(*batch, own, 7, 4, seed=2))
        attributes = {"scale": 0.3, "is_causal": True}
        reference = functools.partial(attention, **attributes)
        name = f"attention_grouped_{i}"
        cases.append(Case(name, graph.AttentionOp, operands, attributes, reference, atol=1e-6))
    for inner in ([0, 1, 2, 3], [1], [2, 3]):
        outer = (randn(2, 3, 5, 8), randn(2, 3, 7, 8, seed=1), randn(2, 3, 7, 4, seed=2))
        operands = tuple(x.transpose(1, 2).contiguous() if i in inner else x for i, x in enumerate(outer))
        attributes = {"scale": 0.3, "is_causal": False, "inner_heads": inner}
        reference = functools.partial(attention, **attributes)
        name = f"attention_inner_{len(inner)}"
        cases += both(name, graph.AttentionOp, operands, attributes, reference, atol=1e-6)
    half = tuple(randn(2, 6, 8, dtype=HALF, seed=i) for i in range(3))
    cases += both(
        "attention_half",
        graph.AttentionOp,
        half,
        {"scale": 0.3, "is_causal": True},
        functools.partial(attention, scale=0.3, is_causal=True),
        atol=1e-5,
    )
    return cases


def pad_image(x: torch.Tensor, padding: Sequence[int], value: float = 0.0) -> torch.Tensor:
    """`x` padded by (top, bottom, left, right)."""
    top, bottom, left, right = padding
    return F.pad(x, (left, right, top, bottom), value=value)


def convolution_cases() -> list[Case]:
    """conv2d and conv_transpose2d: strides, dilations, groups, depthwise, lopsided padding."""
    settings = [
        # image, weight, strides, padding, dilations, groups
        ((2, 3, 9, 8), (5, 3, 3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 1),
        ((1, 4, 7, 9), (6, 2, 3, 2), [2, 1], [1, 0, 2, 1], [1, 2], 2),
        ((1, 6, 8, 8), (6, 1, 3, 3), [2, 2], [1, 1, 1, 1], [1, 1], 6),
        ((1, 3, 5, 5), (6, 1, 3, 3), [1, 1], [0, 0, 0, 0], [1, 1], 3),
        ((1, 4, 1, 1), (7, 4, 1, 1), [1, 1], [0, 0, 0, 0], [1, 1], 1),
        ((0, 2, 4, 4), (3, 2, 3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 1),
        ((1, 3, 4, 3), (5, 3, 3, 2), [2, 2], [0, 0, 0, 0], [1, 1], 1),
        ((1, 4, 3, 4), (6, 2, 2, 2), [2, 3], [0, 0, 1, 0], [1, 2], 2),
        ((2, 4, 3, 5), (4, 1, 2, 2), [2, 2], [0, 0, 0, 0], [1, 1], 4),
    ]
    cases = []
    for i, (image, weight, strides, padding, dilations, groups) in enumerate(settings):
        attributes = {"strides": strides, "padding": padding, "dilations": dilations, "groups": groups}

        def reference(x: Any, w: Any, a: dict[str, Any] = attributes) -> torch.Tensor:
            return F.conv2d(pad_image(x, a["padding"]), w, None, a["strides"], 0, a["dilations"], a["groups"])

        operands = (randn(*image), randn(*weight, seed=1))
        cases += image_cases(f"conv_{i}", graph.Conv2dOp, operands, attributes, reference, atol=1e-5)
        if i < 3:
            half = tuple(x.to(HALF) for x in operands)
            cases += image_cases(f"conv_half_{i}", graph.Conv2dOp, half, attributes, reference, atol=1e-4)
    return cases


def transposed_cases() -> list[Case]:
    """conv_transpose2d, padding wider than the kernel's reach included."""
    settings = [
        # image, weight, strides, padding, output padding, dilations, groups
        ((2, 3, 4, 5), (3, 4, 3, 3), [2, 2], [1, 1], [1, 0], [1, 1], 1),
        ((1, 4, 3, 3), (4, 3, 2, 3), [1, 3], [0, 1], [0, 2], [2, 1], 2),
        ((1, 2, 6, 6), (2, 2, 1, 2), [1, 2], [1, 2], [0, 1], [1, 1], 1),
        ((1, 3, 2, 2), (3, 1, 2, 2), [2, 2], [0, 0], [0, 0], [1, 1], 3),
    ]
    cases = []
    names = ("strides", "padding", "output_padding", "dilations")
    for i, (image, weight, *values, groups) in enumerate(settings):
        attributes = {**dict(zip(names, values, strict=True)), "groups": groups}

        def reference(x: Any, w: Any, a: dict[str, Any] = attributes) -> torch.Tensor:
            return F.conv_transpose2d(
                x, w, None, a["strides"], a["padding"], a["output_padding"], a["groups"], a["dilations"]
            )

        operands = (randn(*image), randn(*weight, seed=1))
        cases += image_cases(f"transposed_{i}", graph.ConvTranspose2dOp, operands, attributes, reference, atol=1e-5)
    return cases


def pooling_cases() -> list[Case]:
    """Pools with padding, dilation, ceil mode, NaN."""
    settings = [
        # image, kernel, strides, symmetric padding, dilations, ceil mode
        ((2, 3, 8, 9), [2, 2], [2, 2], [0, 0], [1, 1], False),
        ((1, 2, 7, 7), [3, 3], [2, 2], [1, 1], [1, 1], False),
        ((1, 2, 6, 9), [3, 2], [2, 2], [1, 1], [1, 1], True),
        ((1, 1, 5, 5), [3, 3], [3, 4], [1, 1], [1, 1], True),
        ((1, 2, 9, 9), [2, 3], [1, 2], [1, 1], [2, 2], True),
        ((1, 5, 7, 7), [7, 7], [7, 7], [0, 0], [1, 1], False),
        ((2, 2, 3, 5), [2, 2], [2, 2], [0, 0], [1, 1], False),
        ((1, 3, 6, 4), [3, 2], [2, 3], [0, 0], [2, 1], False),
    ]
    cases = []
    for i, (shape, kernel, strides, padding, dilations, ceil_mode) in enumerate(settings):
        image = randn(*shape)
        attributes = {
            "kernel": kernel,
            "strides": strides,
            "padding": [padding[0]] * 2 + [padding[1]] * 2,
            "dilations": dilations,
            "ceil_mode": ceil_mode,
        }
        with_nan = image.clone()
        with_nan[0, 0, 2, 3] = NAN
        largest = functools.partial(
            F.max_pool2d, kernel_size=kernel, stride=strides, padding=padding, dilation=dilations, ceil_mode=ceil_mode
        )
        cases += image_cases(f"max_{i}", graph.MaxPool2dOp, (with_nan,), attributes, largest)
        if dilations != [1, 1]:
            continue
        for include in (True, False):
            mean = functools.partial(
                F.avg_pool2d,
                kernel_size=kernel,
                stride=strides,
                padding=padding,
                ceil_mode=ceil_mode,
                count_include_pad=include,
            )
            cases += image_cases(
                f"avg_{i}_{int(include)}",
                graph.AvgPool2dOp,
                (image,),
                {**attributes, "count_include_pad": include},
                mean,
                atol=1e-6,
            )
    return cases


def normalization_cases() -> list[Case]:
    """softmax and the norms, on values far from zero too: one-pass variance fails there."""
    cases = []
    for i, (shape, axis) in enumerate([((5, 7), 1), ((3, 4, 5), 1), ((4,), 0), ((2, 1), 1), ((0, 3), 1), ((3, 33), 0)]):
        cases += both(
            f"softmax_{i}",
            graph.SoftmaxOp,
            (30 * randn(*shape),),
            {"axis": axis},
            functools.partial(torch.softmax, dim=axis),
            rtol=3e-6,
            atol=1e-9,
        )
    cases += both(
        "softmax_half",
        graph.SoftmaxOp,
        (randn(3, 40, dtype=HALF),),
        {"axis": 1},
        functools.partial(torch.softmax, dim=1),
        atol=1e-7,
    )
    hidden = torch.tensor([[0.0, -INF, 1.0], [-INF, -INF, -INF], [NAN, 0.0, 1.0]])
    cases += both("softmax_inf", graph.SoftmaxOp, (hidden,), {"axis": 1}, functools.partial(torch.softmax, dim=1))
    for i, (shape, tail) in enumerate([((2, 5, 16), (16,)), ((3, 4, 5), (4, 5)), ((4, 1), (1,)), ((0, 8), (8,))]):
        operands = (100 + randn(*shape), randn(*tail, seed=1), randn(*tail, seed=2))
        # x - mean at 100 loses 100 * 6e-8 absolutely, whatever the algorithm.
        cases += both(
            f"layer_norm_{i}",
            graph.LayerNormOp,
            operands,
            {"epsilon": 1e-5},
            lambda x, s, b: F.layer_norm(x, s.shape, s, b, 1e-5),
            atol=1e-4,
        )
        cases += both(
            f"rms_norm_{i}",
            graph.RmsNormOp,
            operands[:2],
            {"epsilon": 1e-6},
            lambda x, s: F.rms_norm(x, s.shape, s, 1e-6),
            atol=1e-6,
        )
    half = (randn(3, 64, dtype=HALF), randn(64, dtype=HALF, seed=1), randn(64, dtype=HALF, seed=2))
    cases += both(
        "layer_norm_half",
        graph.LayerNormOp,
        half,
        {"epsilon": 1e-5},
        lambda x, s, b: F.layer_norm(x, s.shape, s, b, 1e-5),
        atol=1e-5,
    )
    for i, (shape, groups) in enumerate([((2, 6, 5, 3), 3), ((1, 4, 7), 4), ((3, 4), 1)]):
        operands = (randn(*shape), randn(shape[1], seed=1), randn(shape[1], seed=2))
        cases += both(
            f"group_norm_{i}",
            graph.GroupNormOp,
            operands,
            {"groups": groups, "epsilon": 1e-5, "axis": 1},
            functools.partial(lambda x, s, b, g: F.group_norm(x, g, s, b, 1e-5), g=groups),
            atol=1e-5,
        )
    last = (randn(2, 3, 5, 6), randn(6, seed=1), randn(6, seed=2))
    cases += both(
        "group_norm_last",
        graph.GroupNormOp,
        last,
        {"groups": 3, "epsilon": 1e-5, "axis": 3},
        lambda x, s, b: F.group_norm(x.movedim(-1, 1), 3, s, b, 1e-5).movedim(1, -1),
        atol=1e-5,
    )
    for i, (shape, axis) in enumerate([((2, 5, 4, 3), 1), ((2, 4, 3, 5), 3), ((7, 3), 1)]):
        size = shape[axis]
        vectors = [randn(size, seed=i) for i in range(1, 5)]
        vectors[1] = vectors[1].abs() + 0.1
        cases += both(
            f"batch_norm_{i}",
            graph.BatchNormOp,
            (randn(*shape), *vectors),
            {"epsilon": 1e-5, "axis": axis},
            functools.partial(batch_norm, axis=axis),
            atol=1e-6,
        )
    return cases


def batch_norm(
    x: torch.Tensor, mean: torch.Tensor, var: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, axis: int
) -> torch.Tensor:
    """torch.nn.functional.batch_norm along any axis."""
    return F.batch_norm(x.movedim(axis, 1), mean, var, scale, shift, eps=1e-5).movedim(1, axis)


REDUCERS = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin}


def reduction_cases() -> list[Case]:
    """reduce over every kind, axes at both ends, none, all; embedding."""
    cases = []
    value = randn(4, 5, 7)
    for (kind, reducer), axes, keepdims in itertools.product(
        REDUCERS.items(), ([0], [2], [0, 2], [0, 1, 2]), (False, True)
    ):
        attributes = {"kind": kind, "axes": axes, "keepdims": keepdims}
        name = f"{kind}_{''.join(map(str, axes))}_{int(keepdims)}"
        cases += both(
            name,
            graph.ReduceOp,
            (value,),
            attributes,
            functools.partial(reducer, dim=axes, keepdim=keepdims),
            atol=1e-5,
        )
    prod = functools.partial(torch.prod, dim=1)
    cases += both("prod", graph.ReduceOp, (value,), {"kind": "prod", "axes": [1], "keepdims": False}, prod, atol=1e-6)
    none = {"kind": "sum", "axes": [], "keepdims": False}
    cases += both("sum_no_axes", graph.ReduceOp, (value,), none, lambda x: x)
    empty = {"kind": "sum", "axes": [0], "keepdims": False}
    cases += both("sum_empty", graph.ReduceOp, (torch.zeros(0, 3),), empty, functools.partial(torch.sum, dim=0))
    nan = torch.tensor([[1.0, NAN], [INF, -INF]])
    for kind in ("max", "min"):
        attributes = {"kind": kind, "axes": [1], "keepdims": False}
        reducer = functools.partial(REDUCERS[kind], dim=1)
        cases += both(f"{kind}_nan", graph.ReduceOp, (nan,), attributes, reducer)
        integers = torch.tensor([[3, -5, 2], [-(2**31), 2**31 - 1, 0]], dtype=torch.int32)
        cases += both(f"{kind}_int32", graph.ReduceOp, (integers,), attributes, reducer)
        cases += both(f"{kind}_bool", graph.ReduceOp, (integers > 0,), attributes, reducer)
    long = torch.arange(12).reshape(3, 4) - 5
    attributes = {"kind": "sum", "axes": [0], "keepdims": False}
    cases += both("sum_int64", graph.ReduceOp, (long,), attributes, functools.partial(torch.sum, dim=0))
    half = {"kind": "mean", "axes": [1], "keepdims": True}
    cases += both(
        "mean_half",
        graph.ReduceOp,
        (10 + randn(2, 999, dtype=HALF),),
        half,
        functools.partial(torch.mean, dim=1, keepdim=True),
    )
    ties = torch.tensor([[2.0, math.nan, -1.0, 2.0, -0.0, 0.0, math.nan], [3.0, 1.0, 2.0, 3.0, 3.0, -math.inf, 1.0]])
    for descending in (False, True):
        order = functools.partial(torch.argsort, dim=1, descending=descending, stable=True)
        attributes = {"axis": 1, "descending": descending}
        cases += both(f"argsort_{descending}", graph.ArgsortOp, (ties,), attributes, order)
        first = functools.partial(lambda order, x: order(x)[:, :3], order)
        cases += both(f"topk_{descending}", graph.TopkOp, (ties,), attributes | {"count": 3}, first)
    for kind, scan in (("max", torch.cummax), ("min", torch.cummin)):
        places = functools.partial(lambda scan, x: scan(x, 1).indices, scan)
        cases += both(f"arg_scan_{kind}", graph.ArgScanOp, (ties,), {"axis": 1, "kind": kind}, places)
        extremes = functools.partial(lambda scan, x: scan(x, 1).values, scan)
        for name, value in {"": ties, "_int32": integers, "_half": ties.half()}.items():
            cases += both(f"scan_{kind}{name}", graph.ScanOp, (value,), {"axis": 1, "kind": kind}, extremes)
    for kind, scan in (("sum", torch.cumsum), ("prod", torch.cumprod)):
        for name, value in {"": randn(4, 5, 7), "_int64": long, "_half": randn(4, 5, 7, dtype=HALF)}.items():
            so_far = functools.partial(scan, dim=1)
            cases += both(f"scan_{kind}{name}", graph.ScanOp, (value,), {"axis": 1, "kind": kind}, so_far)
    return cases


def layout_cases() -> list[Case]:
    """permute, slice, concat, pad and pack (reshape and broadcast take sizes: see test_reference.py)."""
    cases = []
    value = randn(4, 5, 7)
    for permutation in ([0, 1, 2], [2, 0, 1], [1, 0, 2]):
        name = f"permute_{''.join(map(str, permutation))}"
        cases += both(
            name,
            graph.PermuteOp,
            (value,),
            {"permutation": permutation},
            functools.partial(torch.permute, dims=permutation),
        )
    slices = [([1, 0, 2], [3, 5, 7], [1, 1, 1]), ([0, 1, 0], [4, 4, 7], [2, 1, 3]), ([2, 0, 0], [2, 5, 7], [1, 1, 1])]
    for i, (starts, stops, steps) in enumerate(slices):
        key = tuple(slice(*item) for item in zip(starts, stops, steps, strict=True))
        cases.append(
            Case(
                f"slice_{i}",
                graph.SliceOp,
                (value,),
                {"starts": starts, "stops": stops, "steps": steps},
                functools.partial(lambda x, key: x[key], key=key),
            )
        )
    open_slice = {"starts": [1, 0, 9], "stops": [-1, -1, -1], "steps": [2, 1, 1]}
    cases.append(
        Case("slice_open_dynamic", graph.SliceOp, (value,), open_slice, lambda x: x[1::2, :, 9:], dynamic=True)
    )
    parts = (randn(2, 3), randn(2, 1, seed=1), randn(2, 0, seed=2), randn(2, 4, seed=3))
    cases += both("concat_1", graph.ConcatOp, parts, {"axis": 1}, lambda *x: torch.cat(x, 1))
    cases += both("concat_0", graph.ConcatOp, (value, value), {"axis": 0}, lambda *x: torch.cat(x, 0))
    cases += both(
        "concat_int", graph.ConcatOp, (torch.arange(3), torch.arange(4)), {"axis": 0}, lambda *x: torch.cat(x, 0)
    )
    pads = {"low": [1, 0, 2], "high": [0, 0, 3], "value": -1.5}
    for mode in ("reflect", "replicate", "circular"):
        around = {"low": [0, 2, 1], "high": [0, 0, 2], "mode": mode}
        border = functools.partial(F.pad, pad=(1, 2, 2, 0), mode=mode)
        cases += both(f"border_pad_{mode}", graph.BorderPadOp, (randn(2, 3, 5),), around, border)
    cases += both("pad", graph.PadOp, (value,), pads, lambda x: F.pad(x, (2, 3, 0, 0, 1, 0), value=-1.5))
    cases += both(
        "pad_int",
        graph.PadOp,
        (torch.arange(3),),
        {"low": [1], "high": [2], "value": 4.0},
        lambda x: F.pad(x, (1, 2), value=4),
    )
    for i, (shape, permutation, dims, tiles) in enumerate(
        [
            ((64, 5, 3, 3), [0, 2, 3, 1], [0], [32]),
            ((7, 5), [0, 1], [0, 1], [4, 2]),
            ((7, 5), [1, 0], [1, 0], [4, 3]),
            ((3,), [0], [0], [1]),
        ]
    ):
        attributes = {"outer_permutation": permutation, "inner_dims": dims, "inner_tiles": tiles}
        reference = functools.partial(pack, permutation=permutation, dims=dims, tiles=tiles)
        cases += both(f"pack_{i}", graph.PackOp, (randn(*shape),), attributes, reference)
    return cases


def pack(x: torch.Tensor, permutation: list[int], dims: list[int], tiles: list[int]) -> torch.Tensor:
    """The blocked layout of graph.pack, one blocked dimension after another."""
    for axis, tile in zip(dims, tiles, strict=True):
        missing = -x.shape[axis] % tile
        x = torch.cat([x, x.new_zeros([*x.shape[:axis], missing, *x.shape[axis + 1 :]])], axis)
        x = x.unflatten(axis, (-1, tile)).movedim(axis + 1, -1)
    return x.permute([*permutation, *range(len(permutation), x.dim())])


def fourier_cases() -> list[Case]:
    """roots_of_unity: a square, a part with a length of its own, a length of 1, none."""
    cases = []
    for (rows, columns, length), imaginary, kind in itertools.product(
        ((7, 7, 7), (3, 129, 256), (2, 2, 1), (0, 4, 4)), (False, True), ("f32", "f64")
    ):

        def expected(
            rows: int = rows, columns: int = columns, length: int = length, imaginary: bool = imaginary
        ) -> torch.Tensor:
            places = torch.outer(torch.arange(rows), torch.arange(columns)) % length
            angles = 2 * torch.pi * places.double() / length
            return torch.sin(angles) if imaginary else torch.cos(angles)

        name = f"roots_{rows}x{columns}_of_{length}_{int(imaginary)}_{kind}"
        attributes = {"length": length, "imaginary": imaginary}
        tolerance = {"rtol": 0.0, "atol": 1e-7 if kind == "f32" else 1e-15}
        cases.append(
            Case(name, graph.RootsOfUnityOp, (), attributes, expected, result=([rows, columns], kind), **tolerance)
        )
    return cases


FAMILIES = {
    "contraction": contraction_cases,
    "attention": attention_cases,
    "convolution": convolution_cases,
    "transposed": transposed_cases,
    "pooling": pooling_cases,
    "normalization": normalization_cases,
    "reduction": reduction_cases,
    "layout": layout_cases,
    "fourier": fourier_cases,
}
