"""Products of groups of rows, each group by a matrix of its own: what the experts of a mixture compute."""

from __future__ import annotations

import pytest
import terrace
import torch
from torch import nn
from torch.export import Dim

GROUPS, INNER, COLUMNS = 4, 16, 24


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weights = nn.Parameter(torch.randn(GROUPS, COLUMNS, INNER).to(torch.bfloat16))

    def forward(self, rows: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
        return torch._grouped_mm(rows, self.weights.transpose(1, 2), offs=ends)


@pytest.mark.parametrize(
    ("rows", "ends", "dynamic"),
    [(9, [2, 2, 7, 9], False), (3, [0, 1, 1, 3], False), (9, [0, 0, 0, 9], True), (9, [1, 4, 5, 6], False)],
)
def test_rows_meet_the_matrix_of_their_group(rows: int, ends: list[int], dynamic: bool) -> None:
    """Fewer rows than groups, groups of none, rows of no group, and rows that others do not meet: NaN and infinity."""
    model = Experts().eval()
    x = torch.randn(rows, INNER).to(torch.bfloat16)
    x[0], x[1, 0] = torch.nan, torch.inf
    offs = torch.tensor(ends, dtype=torch.int32)
    shapes = ({0: Dim.AUTO}, None) if dynamic else None
    compiled = terrace.compile(model, (x, offs), dynamic_shapes=shapes)
    # What eager gives for rows of no group is not initialised; ours is 0.
    expected = torch.cat([model(x, offs)[: ends[-1]], torch.zeros(rows - ends[-1], COLUMNS).to(torch.bfloat16)])
    torch.testing.assert_close(compiled(x, offs), expected, rtol=2e-2, atol=2e-2, equal_nan=True)
