"""Look-ups in slices whose elements are not beside each other in memory."""

from __future__ import annotations

import terrace
import torch
from torch import nn


class LookUps(nn.Module):
    def forward(self, a: torch.Tensor, i: torch.Tensor) -> tuple[torch.Tensor, ...]:
        second = a[..., 1]
        return (
            *(second[i], second[i, i], a[:, :, 1:][i], second.gather(0, i[None]), second.index_select(1, i)),
            *(second.diagonal(), second.flatten()[i], second[::2, 1:].take(i), second.reshape(2, 6)[:, i]),
        )


def test_look_ups_in_slices() -> None:
    """With sizes that are no powers of 2, for which IREE reads under a mask."""
    a, i = torch.arange(24.0).view(3, 4, 2), torch.tensor([2, 0, 1])
    for found, expected in zip(terrace.compile(LookUps(), (a, i))(a, i), LookUps()(a, i), strict=True):
        assert torch.equal(found, expected)
