"""Rows of the sweep that move elements: views, copies, indices, padding, windows, masks, and tensors from nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from op_rows import Row

NAN, INF = float("nan"), float("inf")

MOVES: dict[str, Row] = {
    "primitive_views": lambda s: (
        torch.ops.prims.squeeze(s.one, [0]),
        torch.ops.prims.view_of(s.z) + 1,
        torch.ops.prims.transpose(s.x, [1, 0]),
        torch.ops.prims.view_of_dtype(s.m, torch.int32),
        torch.ops.prims.split_dim(s.x[:4], 0, 2),
        torch.ops.prims.collapse_view(s.volume, 1, 3),
    ),
    "roll": lambda s: (
        s.x.roll(3, 1),
        s.x.roll(-11, 0),
        s.x.roll(2),
        s.i.roll((1, 9), (0, 1)),
        s.b.roll(1, 0),
        s.none.roll(1, 0),
        s.none.roll(1, 1),
        s.z.roll(1),
        s.u.roll(0, 1),
    ),
    "flip": lambda s: (
        s.x.flip(0),
        s.x.flip(0, 1),
        s.i.flip(-1),
        s.u.flip(0),
        s.none.flip(0),
        s.z.flip(()),
        s.b.fliplr(),
    ),
    "rotate": lambda s: (s.x.rot90(), s.x.rot90(2), s.x.rot90(-1, (0, 1)), s.u.rot90(5), s.b.flipud()),
    "repeat": lambda s: (
        s.x.repeat(2, 1),
        s.x.repeat(2, 1, 3),
        s.x.tile(2),
        s.b.tile((3, 1, 1)),
        s.none.repeat(2, 2),
        s.x.repeat(0, 1),
        s.z.repeat(3),
        s.u.repeat(1, 2),
        s.x.repeat_interleave(2, 1),
        s.x.repeat_interleave(3),
    ),
    "views": lambda s: (
        s.x.reshape(-1),
        s.x.t(),
        s.image.permute(3, 0, 2, 1),
        s.image.movedim(0, -1),
        s.x.unsqueeze(-1),
        s.one.squeeze(),
        s.image.squeeze(0),
        s.volume.squeeze((0, 1)),
        s.x.expand(2, 5, 7),
        s.x.unflatten(1, (7, 1)),
        s.image.flatten(1, 2),
        s.x.swapaxes(0, 1),
        s.none.reshape(3, 0),
        s.none.view(0),
        s.z.reshape(1, 1),
        s.x.ravel(),
        s.x.mT,
        s.x.view_as(s.y),
    ),
    "splits": lambda s: (
        *s.x.split(2),
        *s.x.split([1, 0, 6], 1),
        *s.x.chunk(3, 1),
        *s.x.tensor_split(3, 1),
        *s.x.unbind(0),
        *s.x.hsplit([2, 3]),
        *s.none.split(1),
        *s.none.split(2, 1),
        *s.x.tensor_split((2, 9)),
    ),
    "slices": lambda s: (
        s.x[1:4, ::2],
        s.x[-3:],
        s.x[9:],
        s.x[..., -1],
        s.x[None, 2],
        s.x[3:1],
        s.x.narrow(1, 2, 0),
        s.x.select(1, -2),
        s.u[::3, 1::4],
        s.none[0:0],
        s.x.index_select(0, s.p[0]),
    ),
    "joins": lambda s: (
        torch.cat([s.x, s.y], 1),
        torch.cat([s.x, s.none.reshape(0, 3)[:, :0].reshape(0), s.k]),
        torch.stack([s.x, s.y], -1),
        torch.cat([s.i, s.m]),
        torch.cat([s.x, s.x[:0]]),
        torch.hstack([s.x[0], s.y[0]]),
        torch.vstack([s.x, s.y]),
        torch.dstack([s.b, s.b]),
        torch.column_stack([s.x[:, 0], s.y]),
        torch.stack([s.z, s.z]),
        torch.cat([s.none, s.none], 1),
    ),
    "diagonals": lambda s: (
        s.x.diagonal(),
        s.x.diagonal(2),
        s.x.diagonal(-3),
        s.image.diagonal(1, 2, 3),
        s.x[0].diag(),
        s.x[0].diag(-2),
        s.x.diag(1),
        torch.diag_embed(s.x, 1),
        torch.diagflat(s.i[0], -1),
        s.x.diagonal(7),
        s.b.diagonal(),
        torch.diag_embed(s.b[:2], 0, 0, 2),
    ),
    "triangles": lambda s: (
        s.x.tril(),
        s.x.triu(),
        s.x.tril(2),
        s.i.triu(-1),
        s.b.tril(-2),
        s.image.triu(1),
        s.none.tril(),
        s.u.triu(),
        s.x.tril(-9),
        s.x.triu(-9),
        *torch.tril_indices(3, 5, 1),
        *torch.triu_indices(4, 3, -1),
    ),
    "pad": lambda s: (
        F.pad(s.x, (1, 2)),
        F.pad(s.x, (1, 0, 0, 3), value=NAN),
        F.pad(s.i, (2, 1), value=7),
        F.pad(s.b, (0, 1), value=True),
        F.pad(s.x, (-1, 2)),
        F.pad(s.none, (1, 1, 1, 1), value=-0.0),
        F.pad(s.none.long(), (1, 1, 1, 1), value=3),
        F.pad(s.none, (0, 0, 0, 0)),
        F.pad(s.u, (1, 1), value=200),
        F.pad(s.d, (1, 1), value=1e300),
        F.pad(s.x, (0, 0)),
    ),
    "pad_modes": lambda s: (
        *(F.pad(s.line, (3, 2), m) for m in ("reflect", "replicate", "circular")),
        *(F.pad(s.image, (1, 4, 3, 0), m) for m in ("reflect", "replicate", "circular")),
        *(F.pad(s.volume, (1, 2, 3, 0, 1, 2), m) for m in ("reflect", "replicate", "circular")),
        F.pad(s.image[0], (2, 1, 0, 1), "reflect"),
        F.pad(s.image, (-1, 2, 0, -1), "replicate"),
        F.pad(s.image.long(), (1, 1, 1, 1), "circular"),
    ),
    "unfold": lambda s: (
        s.x.unfold(1, 3, 2),
        s.x.unfold(0, 5, 1),
        s.i.unfold(0, 1, 3),
        F.unfold(s.image, 3),
        F.unfold(s.image, (2, 3), dilation=2, padding=1, stride=(1, 2)),
        F.unfold(s.smooth[0], 2),
    ),
    "fold": lambda s: (
        F.fold(F.unfold(s.smooth, 3), (7, 5), 3),
        F.fold(F.unfold(s.smooth, 2, padding=1, stride=2), (7, 5), 2, padding=1, stride=2),
        F.fold(F.unfold(s.smooth[0], 2, dilation=2), (7, 5), 2, dilation=2),
    ),
    "shuffles": lambda s: (
        F.pixel_shuffle(s.volume[0, 0][None].permute(0, 1, 3, 2), 2),
        F.pixel_unshuffle(s.smooth[..., :6, :4], 2),
        F.channel_shuffle(s.smooth.permute(0, 2, 3, 1), 1),
        F.pixel_shuffle(s.smooth[:, :1], 1),
    ),
    "grids": lambda s: (
        *torch.meshgrid(s.x[0], s.y[:, 0], indexing="ij"),
        *torch.meshgrid(s.x[0], s.y[:, 0], indexing="xy"),
        F.affine_grid(s.m[None, :2, :3], (1, 1, 3, 4), align_corners=False),
        *torch.broadcast_tensors(s.x, s.z),
        *torch.atleast_2d(s.x[0], s.z),
    ),
    "masks": lambda s: (
        torch.where(s.b, s.i, s.p),
        torch.where(s.b, 1, 2.5),
        torch.where(s.b[0], s.x, s.z),
        s.i.masked_fill(s.b, -7),
        s.u.masked_fill(s.b, 255),
        s.x.masked_fill(s.b[:1], s.z),
        s.b.masked_fill(s.b, False),
        s.x.masked_scatter(s.b, s.y),
        s.none.masked_fill(s.none.bool(), 1),
        torch.where(s.b, s.u, 3),
    ),
    "taken": lambda s: (
        s.x.take_along_dim(s.p[:, :3] % 7, 1),
        s.x.take(s.p * 3),
        torch.take(s.i, s.p[0] + 30),
        s.x.index_select(1, s.p[0]),
        s.none.index_select(1, s.p[0] % 3),
        s.z.index_select(0, s.p[0, :1] * 0),
        s.u.index_select(0, s.p[0].int()),
    ),
    "copies": lambda s: (
        torch.empty_like(s.x).copy_(s.y),
        s.i.clone().fill_(3),
        s.x.clone().zero_(),
        s.m.to(torch.float64).copy_(s.x),
        s.x.contiguous(),
        s.x.type_as(s.k),
        s.x.new_tensor(2.0) * s.x,
        s.k.to(torch.int16),
        s.x.to(torch.bfloat16),
        s.u.clone().copy_(s.p),
    ),
    "strided": lambda s: (
        s.x.t().as_strided((3, 2), (2, 1), 1),
        torch.as_strided(s.i.clone(), (2, 3), (0, 2)),
        s.m.as_strided_scatter(s.y[:2, :2], (2, 2), (7, 1), 3),
        s.x.as_strided_scatter(s.y[:2, 0], (2,), (3,)),
    ),
    "bits": lambda s: (s.x.view(torch.int32), s.i.view(torch.float64), s.n.view(torch.uint8), s.d.view(torch.int64)),
}

INDICES: dict[str, Row] = {
    "gather": lambda s: (
        s.x.gather(1, s.p),
        s.i.gather(0, s.p[:2]),
        s.b.gather(1, s.p[:, :1]),
        s.u.gather(0, s.p),
        s.z.gather(0, s.z.long() * 0),
        s.none.gather(0, s.none.long()),
        s.x.gather(1, s.p[:0]),
    ),
    "scatter": lambda s: (
        s.x.scatter(1, s.p[:, :1], s.y),
        s.x.scatter(0, s.p[:1], 2.5),
        s.i.scatter(1, s.p[:, :1], -(2**53) - 1),
        s.b.scatter(0, s.p[:1], True),
        s.u.scatter(1, s.p[:, :1], s.u),
        s.z.scatter(0, s.z.long() * 0, 3.0),
        s.x.scatter(1, s.p[:0], s.y),
    ),
    "scatter_add": lambda s: (
        s.m.scatter_add(1, s.p, s.m),
        s.i.scatter_add(0, s.p, s.i),
        s.x.scatter_add(1, s.p[:, :2], s.y),
        s.n.scatter_add(1, s.p, s.n),
        s.d.scatter_add(0, s.p, s.d),
        s.u.scatter_add(0, s.p, s.u),
    ),
    "scatter_by_name": lambda s: (
        s.m.scatter(1, s.p, s.m, reduce="add"),
        s.m.scatter(1, s.p, s.m, reduce="multiply"),
        s.i.scatter(0, s.p, s.i, reduce="add"),
        s.m.scatter(0, s.p, 2.5, reduce="multiply"),
        s.m.scatter(0, s.p, 0.5, reduce="add"),
        s.k.scatter(0, s.p, 3, reduce="add"),
        s.z.scatter(0, s.z.long() * 0, s.z, reduce="add"),
    ),
    "scatter_reduce": lambda s: [
        v.scatter_reduce(1, s.p, v.flip(0), r, include_self=w)
        for v in (s.m, s.i)
        for r in ("sum", "prod", "mean", "amax", "amin")
        for w in (True, False)
    ],
    "scatter_reduce_special": lambda s: [
        s.x.scatter_reduce(1, s.p, s.y, r, include_self=w)
        for r in ("sum", "prod", "amax", "amin")
        for w in (True, False)
    ],
    "index_reduce": lambda s: [
        v.index_reduce(0, s.p[:, 0], v.flip(0), r, include_self=w)
        for v in (s.m, s.k)
        for r in ("prod", "mean", "amax", "amin")
        for w in (True, False)
    ],
    "index_add": lambda s: (
        s.m.index_add(0, s.p[:, 0], s.m),
        s.m.index_add(1, s.p[0], s.m, alpha=-2),
        s.i.index_add(0, s.p[:, 0], s.i, alpha=3),
        s.z.index_add(0, s.p[0, :1] * 0, s.z.reshape(1)[0]),
        s.m.index_add(0, s.p[:0, 0], s.m[:0]),
        s.n.index_add(0, s.p[:, 0].int(), s.n),
    ),
    "index_copy": lambda s: (
        s.x.index_copy(0, s.p[0, :1], s.y[:1]),
        s.i.index_copy(1, s.p[0, :1], s.i[:, 3:4]),
        s.x.index_fill(1, s.p[0], NAN),
        s.i.index_fill(0, s.p[0, :2], -3),
        s.x.index_fill(0, s.p[0, :2], s.z),
        s.b.index_fill(0, s.p[0, :2], True),
    ),
    "index": lambda s: (
        s.x[s.p[:, 0]],
        s.x[s.p[:, 0], s.p[:, 1]],
        s.x[:, s.p[0]],
        s.image[0, :, s.p[0], s.p[1]],
        s.image[s.p[:1] * 0, 1, s.p[0]],
        s.x[s.p - 5],
        s.u[s.p[0]],
        s.b[s.p[0]],
        s.x[s.p[:0, 0]],
        s.none[:, s.p[0] % 3],
    ),
    "index_put": lambda s: (
        s.x.index_put((s.p[:1, 0],), s.y[0]),
        s.m.index_put((s.p[:, 0],), s.m, accumulate=True),
        s.m.index_put((s.p[:, 0], s.p[:, 1]), s.z, accumulate=True),
        s.i.index_put((s.p[:, 0],), s.i, accumulate=True),
        s.x.index_put((s.b,), s.z),
        s.m.index_put((s.b,), s.z, accumulate=True),
        s.b.index_put((s.p[:1, 0],), s.b[0]),
        s.u.index_put((s.p[:, 0],), s.u, accumulate=True),
        s.n.index_put((s.p[:1, 0],), s.n[1]),
    ),
}

WRITES: dict[str, Row] = {
    "put": lambda s: (
        s.x.put(s.p[:1, 0] * 3, s.y[0, :1]),
        s.m.put(s.p * 4, s.m, accumulate=True),
        s.i.put(s.p[0] - 5, s.i[0] * 0),
        s.m.clone().put_(s.p[:1, :1], s.z.reshape(1, 1)),
        s.k.put(s.p, s.k, accumulate=True),
        s.x.put(s.p[:0], s.x[:0]),
        s.z.put(s.p[:1, 0] * 0, s.one.reshape(1)),
    ),
    "parts_written": lambda s: (
        s.x.select_scatter(s.y[0], 0, 3),
        s.x.select_scatter(s.y[:, 0], 1, -1),
        s.x.slice_scatter(s.y[:2], 0, 1, 3),
        s.x.slice_scatter(s.y[:, :3], 1, 0, 6, 2),
        s.i.slice_scatter(s.i[:1], 0, 4, 9),
        s.u.select_scatter(s.u[0], 0, 1),
        s.b.slice_scatter(s.b[:, :2], 1, -2),
        s.x.slice_scatter(s.y[:0], 0, 2, 2),
    ),
    "diagonals_written": lambda s: (
        s.x.diagonal_scatter(s.y[:, 0]),
        s.x.diagonal_scatter(s.y[0, :5], 1),
        s.x.diagonal_scatter(s.y[0, :3], -2),
        s.image.diagonal_scatter(s.image[:, :, 0, :4], 1, 2, 3),
        s.i.diagonal_scatter(s.i[0, :5]),
        s.b.diagonal_scatter(s.b[0, :5]),
        s.image.diagonal_scatter(s.image[0, 0, :, :, None], 0, -3, 0),
        s.x.clone().fill_diagonal_(NAN),
        s.x.diagonal_scatter(s.y[0, :0], 7),
    ),
    "writes_in_place": lambda s: (
        written(s.x, (slice(1, 3),), s.y[:2]),
        written(s.i, (slice(None), -1), 5),
        written(s.x, (s.p[:1, 0],), s.z),
        written(s.x, (s.b,), NAN),
        written(s.u, (slice(None, None, 2), slice(1, None, 3)), 9),
        written(s.x, (Ellipsis, s.p[0, :1]), s.y[:, :1]),
    ),
    "one_hot": lambda s: (F.one_hot(s.p, 5), F.one_hot(s.p[0], 9), F.one_hot(s.p[0, 0], 5), F.one_hot(s.p[:0], 6)),
    "embedding": lambda s: (
        F.embedding(s.p, s.x),
        F.embedding(s.p.int(), s.m, padding_idx=2),
        F.embedding(s.p[0, 0], s.m),
        F.embedding(s.p[:0], s.m),
    ),
}

LOOKUPS: dict[str, Row] = {
    "embedding_bag": lambda s: [F.embedding_bag(s.p, s.m, mode=m) for m in ("sum", "mean", "max")],
    "embedding_bag_offsets": lambda s: [
        F.embedding_bag(s.p.reshape(-1), s.m, torch.tensor([0, 4, 4, 20]), mode=m, padding_idx=q)
        for m in ("sum", "mean", "max")
        for q in (None, 2)
    ],
    "embedding_bag_sides": lambda s: [
        result
        for value, mode, q in ((s.m, 0, None), (s.d, 0, None), (s.m, 0, 1), (s.m, 1, None))
        for result in torch.embedding_bag(value, s.p[0], s.p[:3, 0] * 0, False, mode, False, None, False, q)[1:]
    ],
    "embedding_bag_nan": lambda s: [
        F.embedding_bag(s.p.reshape(-1), s.x[:, :5].t(), torch.tensor([0, 4, 20]), mode="max", padding_idx=q)
        for q in (None, 2)
    ],
    "embedding_bag_weights": lambda s: (
        F.embedding_bag(s.p, s.m, per_sample_weights=s.m[:, :7], mode="sum"),
        F.embedding_bag(s.p[0], s.m, s.p[0, :1] * 0, mode="sum", per_sample_weights=s.m[0], padding_idx=0),
        F.embedding_bag(s.p[0], s.m, torch.tensor([0, 3, 7]), mode="mean", include_last_offset=True),
        F.embedding_bag(s.p[0], s.m, torch.tensor([0, 3]), mode="max"),
        F.embedding_bag(s.p * 0, s.m, padding_idx=0, mode="mean"),
        F.embedding_bag(s.p * 0, s.m, padding_idx=0, mode="max"),
        F.embedding_bag(s.p.int(), s.m.double(), mode="mean"),
        F.embedding_bag(s.p[:0], s.m, mode="mean"),
        torch.ops.aten._embedding_bag(s.m, s.p[0], s.p[0, :1] * 0)[0],
    ),
    "nonzero": lambda s: torch.argwhere(s.b).sum(0),
    "isin": lambda s: (torch.isin(s.p, s.p[0, :2]), torch.isin(s.i, 5)),
    "unravel": lambda s: torch.unravel_index(s.p, (2, 3)),
}


def written(value: torch.Tensor, places: tuple[object, ...], update: torch.Tensor | float) -> torch.Tensor:
    """A copy of `value` in which `update` is written."""
    copy = value.clone()
    copy[places] = update
    return copy


CREATION: dict[str, Row] = {
    "ranges": lambda s: (
        torch.arange(7),
        torch.arange(-1.5, 2.0, 0.25),
        torch.arange(9, 2, -3),
        torch.linspace(-1, 2, 5),
        torch.linspace(3, 3, 1),
        torch.logspace(0, 3, 4),
        torch.arange(0),
        torch.linspace(0, 1, 0),
        torch.linspace(0, 10, 4, dtype=torch.int64),
        torch.arange(1, 4.0),
        torch.arange(-1.1, 3.3, 0.7),
        torch.arange(0.1, 2, 0.3, dtype=torch.float64),
    ),
    "filled": lambda s: (
        torch.full((2, 3), NAN),
        torch.full((2, 3), 2.0) * s.z,
        torch.ones(3, 1) - s.one,
        torch.full_like(s.i, 2**53 + 1),
        torch.zeros_like(s.u),
        torch.ones(0, 2),
        torch.eye(3, 5),
        torch.eye(2, dtype=torch.int64),
        s.x.new_full((2,), -0.0),
        s.x.new_ones(2, 2),
        s.x.new_zeros(1),
        torch.full((), INF),
        torch.full_like(s.b, True),
        torch.scalar_tensor(2.5),
    ),
    "signal_windows": lambda s: (torch.hann_window(9),),
}
