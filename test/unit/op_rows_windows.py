"""Rows of the sweep that look through windows: resizes and pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

if TYPE_CHECKING:
    from op_rows import Row

RESIZES: dict[str, Row] = {
    "nearest_size": lambda s: [
        F.interpolate(v, size=n, mode="nearest") for v, n in ((s.line, 64), (s.image, (13, 2)), (s.volume, (7, 3, 8)))
    ],
    "nearest_scale": lambda s: [
        F.interpolate(v, scale_factor=f, mode="nearest") for v in (s.line, s.image, s.volume) for f in (1.7, 0.4, 2.05)
    ],
    "exact_size": lambda s: [
        F.interpolate(v, size=n, mode="nearest-exact")
        for v, n in ((s.line, 64), (s.image, (13, 2)), (s.volume, (7, 3, 8)))
    ],
    "exact_scale": lambda s: [
        F.interpolate(v, scale_factor=f, mode="nearest-exact")
        for v in (s.line, s.image, s.volume)
        for f in (1.7, 0.4, 2.05)
    ],
    "nearest_types": lambda s: (
        F.interpolate(s.u[None, None], size=(9, 9)),
        F.interpolate(s.d[None, None], scale_factor=1.3),
        F.interpolate(s.smooth, scale_factor=2),
    ),
    "linear": lambda s: (
        F.interpolate(s.line, size=7, mode="linear"),
        F.interpolate(s.line, scale_factor=1.7, mode="linear", align_corners=True),
    ),
    "bilinear": lambda s: (
        F.interpolate(s.smooth, size=(3, 9), mode="bilinear"),
        F.interpolate(s.smooth, scale_factor=1.7, mode="bilinear"),
        F.interpolate(s.smooth, size=(4, 4), mode="bilinear", align_corners=True),
    ),
    "bicubic": lambda s: (
        F.interpolate(s.smooth, size=(3, 9), mode="bicubic"),
        F.interpolate(s.smooth, scale_factor=1.7, mode="bicubic"),
    ),
    "trilinear": lambda s: (F.interpolate(s.volume, size=(3, 7, 5), mode="trilinear"),),
    "antialias": lambda s: [
        F.interpolate(s.smooth, size=n, mode=m, antialias=True)
        for m in ("bilinear", "bicubic")
        for n in ((2, 2), (3, 11))
    ],
    "antialias_special": lambda s: (
        F.interpolate(s.image, size=(3, 2), mode="bilinear", antialias=True),
        F.interpolate(s.smooth, scale_factor=0.6, mode="bilinear", antialias=True),
    ),
    "resize_special": lambda s: [
        F.interpolate(v, size=n, mode=m)
        for v in (s.image, s.smooth.double())
        for m in ("bilinear", "bicubic")
        for n in (1, 6)
    ],
    "resize_corners": lambda s: [
        F.interpolate(s.smooth[:, :, :1], size=n, mode=m, align_corners=True)
        for m in ("bilinear", "bicubic")
        for n in ((1, 5), (3, 1))
    ],
    "border_pads": lambda s: [
        F.pad(v, p, mode=m)
        for m in ("reflect", "replicate", "circular")
        for v, p in (
            (s.line, (2, 1)),
            (s.image, (1, 0, 2, 1)),
            (s.smooth.double(), (0, 1, 1, 0)),
            (s.image[:0], (1, 1, 0, 1)),
        )
    ],
    "border_pads_cut": lambda s: [F.pad(s.image, (1, -1, -1, 2), mode=m) for m in ("reflect", "replicate", "circular")],
    "grid_sample": lambda s: [
        F.grid_sample(s.smooth, s.smooth[:, :2].permute(0, 2, 3, 1) * 2, mode=m, padding_mode=p, align_corners=a)
        for m, a in (("bilinear", False), ("nearest", True), ("bicubic", False))
        for p in ("zeros", "border", "reflection")
    ],
    "shuffles": lambda s: (
        F.pixel_shuffle(s.volume[0, 0].reshape(1, 4, 5, 3), 2),
        F.channel_shuffle(s.volume[0, 0].reshape(1, 4, 5, 3), 2),
        F.pixel_unshuffle(s.smooth[:, :, :6, :4], 2),
    ),
}

POOLS: dict[str, Row] = {
    "adaptive_max": lambda s: [F.adaptive_max_pool2d(s.image, n) for n in ((2, 3), (1, 1), (7, 5), (3, 4), (9, 2))],
    "adaptive_max_indices": lambda s: (
        *F.adaptive_max_pool2d(s.image, (3, 2), True),
        *F.adaptive_max_pool1d(s.image[0, 0], 3, True),
        *F.adaptive_max_pool3d(s.volume, (3, 2, 2), True),
    ),
    "adaptive_max_others": lambda s: (
        F.adaptive_max_pool1d(s.line, 4),
        F.adaptive_max_pool3d(s.volume, (1, 2, 3)),
        F.adaptive_max_pool2d(s.image[0], 2),
    ),
    "adaptive_avg": lambda s: (
        F.adaptive_avg_pool1d(s.line, 4),
        *(F.adaptive_avg_pool2d(s.smooth.contiguous(), n) for n in ((2, 3), 1, (7, 5), (9, 2))),
        F.adaptive_avg_pool3d(s.volume, (3, 2, 2)),
    ),
    "adaptive_avg_special": lambda s: (F.adaptive_avg_pool2d(s.image, (2, 3)), F.adaptive_avg_pool1d(s.image[0], 2)),
    "max_indices": lambda s: (
        *F.max_pool2d(s.image, 3, 2, 1, return_indices=True),
        *F.max_pool2d(s.image, 2, return_indices=True),
        *F.max_pool2d(s.image, (3, 2), (2, 1), ceil_mode=True, return_indices=True),
    ),
    "max_indices_others": lambda s: (
        *F.max_pool1d(s.line, 3, 2, return_indices=True),
        *F.max_pool3d(s.volume, 2, 1, 1, return_indices=True),
        *F.max_pool2d(s.image, 2, 1, dilation=2, return_indices=True),
    ),
    "max": lambda s: (
        F.max_pool1d(s.line, 3, 2, 1),
        F.max_pool2d(s.image, 3, 2, 1),
        F.max_pool3d(s.volume, 2, 2, ceil_mode=True),
        F.max_pool2d(s.image, 3, 2, ceil_mode=True),
    ),
    "avg": lambda s: (
        F.avg_pool1d(s.line, 3, 2, 1),
        F.avg_pool2d(s.smooth, 3, 2, 1),
        F.avg_pool3d(s.volume, 2, 1),
        F.avg_pool2d(s.smooth, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        F.avg_pool2d(s.smooth, 64, ceil_mode=True),
        F.avg_pool2d(s.smooth, (8, 6), (4, 3), ceil_mode=True, divisor_override=3),
    ),
    "avg_divisor": lambda s: (F.avg_pool2d(s.smooth, 2, divisor_override=3), F.lp_pool2d(s.smooth.abs(), 2, 2)),
    "unpool": lambda s: (F.max_unpool2d(*F.max_pool2d(s.smooth[:, :, :6, :4], 2, return_indices=True), 2),),
}
