"""Norms as those that the graph dialect has."""

from __future__ import annotations

from typing import Any

import torch
from torch_mlir.extras.fx_decomp_util import get_decomposition_table

aten = torch.ops.aten


def instance_norm(
    value: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    variance: torch.Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> torch.Tensor:
    """A group norm of groups of one channel; or a batch norm, by given statistics."""
    channels = value.shape[1]
    if not use_input_stats:
        return aten.batch_norm.default(value, weight, bias, mean, variance, False, momentum, eps, False)
    if mean is None and variance is None and isinstance(channels, int):
        return aten.group_norm.default(value, channels, weight, bias, eps, False)
    rest = (mean, variance, use_input_stats, momentum, eps, cudnn_enabled)
    result: torch.Tensor = aten.instance_norm.default.decompose(value, weight, bias, *rest)
    return result


def native_group_norm(
    value: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    batch: int,
    channels: int,
    pixels: int,
    groups: int,
    eps: float,
) -> Any:
    """What else it gives is computed where it is used."""
    rule = get_decomposition_table()[aten.native_group_norm.default]
    _, mean, deviation = rule(value, weight, bias, batch, channels, pixels, groups, eps)
    if not isinstance(value.shape[1], int):
        return NotImplemented
    return aten.group_norm.default(value, groups, weight, bias, eps, False), mean, deviation


DECOMPOSITIONS = {
    aten.instance_norm.default: instance_norm,
    aten.native_group_norm.default: native_group_norm,
}
