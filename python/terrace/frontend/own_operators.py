"""Ops that PyTorch lacks.

Our decompositions are made of those that graph ops follow from; they have one result, where PyTorch's have two.
`resize_nearest` stands for PyTorch's ops until it is decomposed.
"""

from __future__ import annotations

import torch

_LIBRARY = torch.library.Library("terrace", "DEF")
_LIBRARY.define("argsort(Tensor self, int dim, bool descending) -> Tensor")
_LIBRARY.define("arg_scan(Tensor self, int dim, str kind) -> Tensor")
_LIBRARY.define("topk(Tensor self, int dim, int count, bool descending) -> Tensor")
_LIBRARY.define("scan(Tensor self, int dim, str kind) -> Tensor")
_LIBRARY.define("resize_nearest(Tensor self, SymInt[] sizes, float[] scales, float offset) -> Tensor")


def _resized(value: torch.Tensor, sizes: list[int], scales: object, offset: object) -> torch.Tensor:
    return value.new_empty([*value.shape[:2], *sizes])


_LIBRARY.impl("resize_nearest", _resized, "Meta")


_LIBRARY.define("resample(Tensor self, Tensor indices, Tensor weights, int axis) -> Tensor")


def _resampled(value: torch.Tensor, indices: torch.Tensor, weights: object, axis: int) -> torch.Tensor:
    return value.new_empty([*value.shape[:axis], indices.shape[0], *value.shape[axis + 1 :]])


_LIBRARY.impl("resample", _resampled, "Meta")


_LIBRARY.define("border_pad(Tensor self, int[] low, int[] high, str mode) -> Tensor")


def _padded(value: torch.Tensor, low: list[int], high: list[int], mode: object) -> torch.Tensor:
    return value.new_empty([before + size + after for before, size, after in zip(low, value.shape, high, strict=True)])


_LIBRARY.impl("border_pad", _padded, "Meta")


def _places(value: torch.Tensor, dim: int, how: object) -> torch.Tensor:
    return torch.empty(value.shape, dtype=torch.int64, device=value.device)


for _name in ("argsort", "arg_scan"):
    _LIBRARY.impl(_name, _places, "Meta")


def _first_places(value: torch.Tensor, dim: int, count: int, descending: object) -> torch.Tensor:
    sizes = [count if axis == dim % value.ndim else size for axis, size in enumerate(value.shape)]
    return torch.empty(sizes, dtype=torch.int64, device=value.device)


_LIBRARY.impl("topk", _first_places, "Meta")
_LIBRARY.impl("scan", lambda value, dim, kind: torch.empty(value.shape, dtype=value.dtype, device=value.device), "Meta")

argsort = torch.ops.terrace.argsort.default
"""`graph.argsort`."""

arg_scan = torch.ops.terrace.arg_scan.default
"""`graph.arg_scan`."""

scan = torch.ops.terrace.scan.default
"""`graph.scan`."""

topk = torch.ops.terrace.topk.default
"""`graph.topk`."""

resize_nearest = torch.ops.terrace.resize_nearest.default
"""A resize by nearest neighbours; scales of 0 follow from the sizes."""

resample = torch.ops.terrace.resample.default
"""`graph.resample`; the axis counts from the front."""

border_pad = torch.ops.terrace.border_pad.default
"""`graph.border_pad`, along all axes."""
