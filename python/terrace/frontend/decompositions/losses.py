"""Losses of which PyTorch's own decomposition is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten


def multilabel_margin_loss(
    value: torch.Tensor, target: torch.Tensor, reduction: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The margins of all labels before the first -1 from all other classes, and which classes are labels.

    PyTorch's decomposition counts each label that is not there as class 0.
    """
    rows, labels = (tensor if tensor.ndim == 2 else tensor.reshape(1, -1) for tensor in (value, target))
    count = rows.shape[1]
    classes = torch.arange(count, device=value.device)
    end = torch.where(labels == -1, classes, count).amin(-1, keepdim=True)
    is_there = classes < end
    chosen = aten.gather.default(rows, 1, torch.where(is_there, labels, 0)).unsqueeze(2)
    is_there = is_there.unsqueeze(2)
    is_label = torch.logical_and(labels.unsqueeze(2) == classes, is_there).any(1)
    margins = (1 - chosen + rows.unsqueeze(1)).clamp(min=0)
    is_counted = torch.logical_and(is_there, torch.logical_not(is_label).unsqueeze(1))
    loss = torch.where(is_counted, margins, 0).sum((1, 2)) / count
    loss = loss.reshape(target.shape[:-1]) if reduction == 0 else loss.mean() if reduction == 1 else loss.sum()
    return loss, is_label.to(value.dtype).reshape(target.shape)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.multilabel_margin_loss_forward.default: multilabel_margin_loss,
}
