"""Sampling of images at points that are known when the program runs: `grid_sampler_2d`.

The image becomes rows of channels, one a pixel, with a row of zeros for all that is outside. Then a point is a weighted
sum of a few rows, `resample`, and places and weights are computed once for all channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._decomp import decomposition_table

from terrace.frontend.decompositions.interpolation import CUBIC, keys
from terrace.frontend.own_operators import resample

aten = torch.ops.aten
BILINEAR, NEAREST, BICUBIC = range(3)
ZEROS, BORDER, REFLECTION = range(3)

MOST = 1 << 24
"""Pixels of an image whose numbers float32 holds exactly."""

TAPS = {BILINEAR: (0, 1), NEAREST: (0, 0), BICUBIC: (-1, 2)}
"""The first and the last pixel along an axis that a point takes, counted from the one that it is in."""


def reflected(places: torch.Tensor, low: float, span: Any) -> torch.Tensor:
    """Places mirrored at both ends of what begins at `low`, until they are within; in the arithmetic of eager."""
    distance = (places - low).abs()
    beyond = distance - torch.trunc(distance / (2 * span)) * (2 * span)
    return torch.minimum(beyond, 2 * span - beyond) + low


def within(places: torch.Tensor, size: int, padding: int, align_corners: bool) -> torch.Tensor:
    """Places along an axis as the padding mode moves those outside; what is no number is the first."""
    if padding == ZEROS:
        return places
    if padding == REFLECTION:
        single = align_corners and isinstance(size, int) and size == 1
        low, span = (0.0, size - 1) if align_corners else (-0.5, size)
        places = places * 0.0 if single else reflected(places, low, span)
    return torch.where(places.isnan(), 0.0, places.clamp(0, size - 1))


def along(
    places: torch.Tensor, size: int, mode: int, padding: int, align_corners: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pixels [t, n] along an axis of n points at `places` [1, n], as floats, and their weights."""
    first, last = TAPS[mode]
    offsets = torch.arange(first, last + 1, dtype=places.dtype).unsqueeze(1)
    if mode == BICUBIC:
        pixel = torch.floor(places)
        weights = keys((places - pixel - offsets).abs(), CUBIC)
        return within(pixel + offsets, size, padding, align_corners), weights
    places = within(places, size, padding, align_corners)
    if mode == NEAREST:
        return torch.round(places), torch.ones_like(places)
    pixel = torch.floor(places)
    part = places - pixel
    return pixel + offsets, torch.where(offsets == 0, 1 - part, part)


def grid_sampler_2d(
    value: torch.Tensor,
    grid: torch.Tensor,
    interpolation_mode: int = BILINEAR,
    padding_mode: int = ZEROS,
    align_corners: bool = False,
) -> torch.Tensor:
    batch, channels, *sizes = value.shape
    points = grid.shape[1:3]
    is_known = all(isinstance(size, int) for size in (*value.shape, *points))
    is_usual = not is_known or 0 in (batch, channels, *points) or sizes[0] * sizes[1] > MOST
    if is_usual or value.dtype not in (torch.float32, torch.float64):
        usual: torch.Tensor = decomposition_table[aten.grid_sampler_2d.default](
            value, grid, interpolation_mode, padding_mode, align_corners
        )
        return usual
    height, width = sizes
    pixels = []
    for coordinate, size in ((1, height), (0, width)):
        scale = (size - 1) / 2 if align_corners else size / 2
        places = grid[..., coordinate].reshape(1, -1) * scale + (size - 1) / 2
        pixels.append(along(places, size, interpolation_mode, padding_mode, align_corners))
    (y, by_y), (x, by_x) = pixels
    y, by_y, x, by_x = y.unsqueeze(1), by_y.unsqueeze(1), x.unsqueeze(0), by_x.unsqueeze(0)
    count = batch * height * width
    images = torch.arange(batch).repeat_interleave(points[0] * points[1]) * (height * width)
    is_inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    inside = torch.where(is_inside, y * width + x, 0.0).to(torch.int64) + images
    indices = torch.where(is_inside, inside, count)
    weights = by_y * by_x
    rows = value.permute(0, 2, 3, 1).reshape(count, channels)
    rows = aten.constant_pad_nd.default(rows, [0, 0, 0, 1], 0.0)
    sampled = resample(rows, indices.flatten(0, 1).t(), weights.flatten(0, 1).t(), 0)
    return sampled.reshape(batch, *points, channels).permute(0, 3, 1, 2)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {aten.grid_sampler_2d.default: grid_sampler_2d}
