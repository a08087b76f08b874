"""Reads and updates at indices as reference cases, each static and dynamic."""

from __future__ import annotations

import functools
import math

import torch
from reference_cases import Case, both, randn
from terrace.dialects import graph

HALF = torch.float16


def embedding_cases() -> list[Case]:
    cases: list[Case] = []
    table = randn(11, 6)
    for dtype, shape in ((torch.int64, (2, 3)), (torch.int32, (5,)), (torch.int64, ()), (torch.int64, (0, 2))):
        rows = (torch.arange(torch.Size(shape).numel()).reshape(shape) * 7 % 11).to(dtype)
        name = f"embedding_{str(dtype)[6:]}_{'x'.join(map(str, shape))}"
        cases += both(name, graph.EmbeddingOp, (table, rows), {}, lambda t, i: t[i.long()])
        blocks = torch.nn.functional.pad(table, (0, 0, 0, 1)).reshape(3, 4, 6).permute(0, 2, 1).contiguous()
        cases += both(
            f"{name}_in_blocks",
            graph.EmbeddingOp,
            (blocks, rows),
            {},
            lambda t, i: t.permute(0, 2, 1).reshape(-1, 6)[i.long()],
        )
    return cases


def gather_cases() -> list[Case]:
    """Elements with indices of their own, of fewer rows than there are; rows and columns with one index each."""
    value, places = randn(4, 5, 6), torch.arange(24).reshape(3, 4, 2) * 7 % 4
    cases: list[Case] = []
    for axis in range(3):
        gather = functools.partial(torch.gather, dim=axis)
        pick = functools.partial(lambda axis, x, i: x.index_select(axis, i.flatten()), axis)
        cases += both(
            f"gather_{axis}",
            graph.GatherOp,
            (value, places),
            {"axis": axis},
            lambda x, i, gather=gather: gather(x, index=i),
        )
        listed = torch.tensor([3, 0, 3], dtype=torch.int32).reshape([-1 if place == axis else 1 for place in range(3)])
        cases += both(f"pick_{axis}", graph.GatherOp, (value, listed), {"axis": axis}, pick)
    return cases


def resample_cases() -> list[Case]:
    """Two terms and one, along each axis; a weight of 0 beside an infinity; half precision with weights of float32."""
    value, cases = randn(4, 5, 6).abs(), list[Case]()
    value[1, 2, 3], value[3, 4, 5] = math.inf, math.nan

    def weigh(axis: int, x: torch.Tensor, i: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        picked = x.movedim(axis, -1).to(w.dtype)[..., i.long()]
        return (picked * w).sum(-1).movedim(-1, axis).to(x.dtype)

    for axis in range(3):
        places = torch.arange(14).reshape(7, 2) % 4
        for terms, dtype in ((2, torch.float32), (1, torch.float32), (2, HALF)):
            weights = randn(7, terms, seed=2).abs() * (torch.arange(7).unsqueeze(1) != 3)
            cases += both(
                f"resample_{axis}_{terms}_{str(dtype)[6:]}",
                graph.ResampleOp,
                (value.to(dtype), places[:, :terms], weights),
                {"axis": axis},
                functools.partial(weigh, axis),
            )
    return cases


def scatter_cases() -> list[Case]:
    """Places that are met twice, sources that are larger or one number, NaN, truth values."""
    value, source, places = randn(4, 5, 6), randn(3, 4, 4, seed=1), torch.arange(24).reshape(3, 4, 2) * 7 % 4
    source[0, 1, 0], value[1, 1, 1] = math.nan, math.inf
    names = {"replace": None, "sum": "sum", "prod": "prod", "max": "amax", "min": "amin"}
    cases: list[Case] = []
    for (kind, reduce), axis in zip(names.items(), (0, 1, 2, 0, 1), strict=True):

        def update(
            x: torch.Tensor, i: torch.Tensor, s: torch.Tensor, axis: int = axis, by: str | None = reduce
        ) -> torch.Tensor:
            return x.scatter(axis, i, s) if by is None else x.scatter_reduce(axis, i, s, by)

        unique = torch.arange(3)[:, None, None].expand(3, 4, 2).contiguous()
        operands = (value, unique if kind == "replace" else places, source)
        cases += both(f"scatter_{kind}", graph.ScatterOp, operands, {"axis": axis, "kind": kind}, update)
    rows = torch.tensor([2, 0, 2]).reshape(3, 1, 1)
    for kind in ("sum", "prod"):
        add = functools.partial(
            lambda by, x, i, s: (
                x.index_reduce(0, i.flatten(), s, by) if by == "prod" else x.index_add(0, i.flatten(), s)
            ),
            kind,
        )
        cases += both(
            f"rows_{kind}", graph.ScatterOp, (value, rows, randn(3, 5, 6, seed=2)), {"axis": 0, "kind": kind}, add
        )
    columns = torch.tensor([5, 0]).reshape(1, 1, 2)
    fill = (value, columns, torch.full((1, 1, 1), 2.0))
    # Of two tensors of size 1 along a dimension there is one point.
    cases += both("one_point", graph.ScatterOp, fill, {"axis": 2, "kind": "replace"}, fill_first)
    truths = (torch.tensor([[False, True, False]]), torch.tensor([[0, 0, 1]]), torch.tensor([[True, False, False]]))
    cases += both("truths", graph.ScatterOp, truths, {"axis": 1, "kind": "sum"}, lambda x, i, s: x.scatter_add(1, i, s))
    return cases


def fill_first(x: torch.Tensor, i: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    result = x.clone()
    result[0, 0, i.flatten()] = 2.0
    return result


FAMILIES = {"embedding": embedding_cases, "gather": gather_cases, "resample": resample_cases, "scatter": scatter_cases}
