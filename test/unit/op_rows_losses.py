"""Rows of the sweep that are losses: by classes, probabilities, distances and margins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

if TYPE_CHECKING:
    from op_rows import Row

KINDS = ("none", "mean", "sum")

LOSSES: dict[str, Row] = {
    "cross_entropy": lambda s: [
        F.cross_entropy(s.m, s.p[:, 0], reduction=r, label_smoothing=e) for r in KINDS for e in (0.0, 0.2)
    ],
    "cross_entropy_ignoring": lambda s: (
        *(F.cross_entropy(s.m, s.p[:, 0], ignore_index=int(c), reduction=r) for c in (0, 2, -100) for r in KINDS),
        F.cross_entropy(s.m, s.p[:, 0] * 0 - 100),
        F.cross_entropy(s.m, s.p[:, 0] * 0 - 100, reduction="sum"),
        F.cross_entropy(s.m, s.p[:, 0], s.m[0].abs(), ignore_index=1, label_smoothing=0.1),
    ),
    "cross_entropy_weighted": lambda s: [F.cross_entropy(s.m, s.p[:, 0], s.m[0].abs(), reduction=r) for r in KINDS],
    "cross_entropy_of_images": lambda s: (
        F.cross_entropy(s.smooth, s.smooth[:, 0].abs().long() % 3),
        F.cross_entropy(s.smooth, s.smooth[:, 0].abs().long() % 3, ignore_index=1, reduction="none"),
        F.cross_entropy(s.m, s.m.softmax(1)),
        F.cross_entropy(s.m, s.m.softmax(1), label_smoothing=0.3, reduction="none"),
        F.cross_entropy(s.m[0], s.p[0, 0]),
    ),
    "cross_entropy_special": lambda s: (
        F.cross_entropy(s.x, s.p[:, 0], reduction="none"),
        F.cross_entropy(s.m * 1e4, s.p[:, 0]),
        F.cross_entropy(s.m.masked_fill(s.b, -float("inf")), s.p[:, 0], reduction="none"),
    ),
    "nll": lambda s: (
        *(F.nll_loss(s.m, s.p[:, 0], reduction=r) for r in KINDS),
        *(F.nll_loss(s.m, s.p[:, 0], s.m[0].abs(), ignore_index=3, reduction=r) for r in KINDS),
        F.nll_loss(s.smooth, s.smooth[:, 0].abs().long() % 3),
        F.nll_loss(s.smooth, s.smooth[:, 0].abs().long() % 3, ignore_index=0, reduction="sum"),
        F.nll_loss(s.m[0], s.p[0, 0]),
        F.nll_loss(s.m[:0], s.p[:0, 0]),
    ),
    "binary_cross_entropy": lambda s: (
        *(F.binary_cross_entropy(s.m.sigmoid(), s.m.flip(0).sigmoid(), reduction=r) for r in KINDS),
        F.binary_cross_entropy(s.b.float(), s.b.flip(0).float(), reduction="none"),
        F.binary_cross_entropy(s.m.sigmoid(), s.b.float(), s.m[0].abs()),
    ),
    "binary_cross_entropy_with_logits": lambda s: (
        *(F.binary_cross_entropy_with_logits(s.m, s.b.float(), reduction=r) for r in KINDS),
        F.binary_cross_entropy_with_logits(s.x, s.b.float(), reduction="none"),
        F.binary_cross_entropy_with_logits(s.m * 200, s.b.float(), s.m[0].abs(), pos_weight=s.m[1].abs()),
    ),
    "divergence": lambda s: (
        *(F.kl_div(s.m, s.m.flip(0).softmax(1), reduction=r) for r in (*KINDS, "batchmean")),
        *(F.kl_div(s.m, s.m.flip(0), reduction=r, log_target=True) for r in KINDS),
        F.kl_div(s.x, s.b.float(), reduction="none"),
    ),
    "distances": lambda s: (
        *(
            f(s.m, s.m.flip(0), reduction=r)
            for f in (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss)
            for r in KINDS
        ),
        *(f(s.x, s.y, reduction="none") for f in (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss)),
        F.smooth_l1_loss(s.m, s.m.flip(0), beta=0.0),
        F.smooth_l1_loss(s.m, s.m.flip(0), beta=2.5),
        F.huber_loss(s.m, s.m.flip(0), delta=0.3),
        F.mse_loss(s.none, s.none),
        F.l1_loss(s.none, s.none, reduction="sum"),
    ),
    "poisson": lambda s: (
        F.poisson_nll_loss(s.m, s.p.float()),
        F.poisson_nll_loss(s.m.abs(), s.p.float(), log_input=False, full=True),
    ),
    "margins": lambda s: (
        F.margin_ranking_loss(s.m[0], s.m[1], s.b[0] * 2.0 - 1, margin=0.5),
        F.hinge_embedding_loss(s.m, s.b * 2.0 - 1, margin=0.7),
        F.soft_margin_loss(s.m, s.b * 2.0 - 1),
        F.cosine_embedding_loss(s.m, s.m.flip(0), s.b[:, 0] * 2.0 - 1, margin=0.1),
        F.triplet_margin_loss(s.m, s.m.flip(0), s.m + 1, swap=True),
        F.multilabel_soft_margin_loss(s.m, s.b.float()),
        F.multi_margin_loss(s.m, s.p[:, 0]),
        F.multi_margin_loss(s.m, s.p[:, 0], p=2, margin=0.5, weight=s.m[0].abs(), reduction="none"),
    ),
    "margins_of_labels": lambda s: [
        F.multilabel_margin_loss(v, t, reduction=r)
        for v, t in ((s.m, s.p - 1), (s.m, s.p), (s.m[0], s.p[0] - 1))
        for r in KINDS
    ],
}
