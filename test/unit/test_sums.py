"""Long sums, norms and products against float64: the error is at most 4 times eager's, or 2 units in the last place.

The unit is that of the largest element of the result. Constants are the hardest: their rounding errs to one side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import terrace
import torch
import torch.nn.functional as F

Function = Callable[[torch.Tensor], torch.Tensor]

LONG = 1 << 18


def constant(value: float, count: int = LONG) -> torch.Tensor:
    return torch.full((count,), value)


def uniform(count: int = LONG, shift: float = 0.0) -> torch.Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(0)) + shift


CASES: dict[str, tuple[Function, torch.Tensor]] = {
    "sum": (torch.sum, constant(0.1)),
    "sum of an odd number": (torch.sum, constant(0.7, LONG - 77)),
    "sum of a few tiles": (torch.sum, constant(0.3, 8192)),
    "mean": (torch.mean, uniform(shift=10)),
    "outer axis": (lambda x: x.reshape(-1, 64).sum(0), constant(0.1)),
    "outer and inner axes": (lambda x: x.reshape(32, 64, -1).sum((0, 2)), constant(0.1)),
    "float64": (lambda x: (x.double() / 3).sum(), constant(0.1)),
    "vector_norm": (torch.linalg.vector_norm, constant(0.3)),
    "vector_norm 1": (lambda x: torch.linalg.vector_norm(x, 1), constant(0.3)),
    "vector_norm 3": (lambda x: torch.linalg.vector_norm(x, 3), constant(0.3)),
    "vector_norm inf": (lambda x: torch.linalg.vector_norm(x.reshape(512, -1), float("inf"), dim=1), uniform(shift=-1)),
    "logsumexp": (lambda x: torch.logsumexp(x, 0), uniform()),
    "softmax": (lambda x: torch.softmax(x, 0), uniform()),
    "var": (torch.var, uniform(shift=1000)),
    "layer_norm": (lambda x: F.layer_norm(x.reshape(2, -1), [LONG // 2]), uniform(shift=1000)),
    "layer_norm of short rows": (lambda x: F.layer_norm(x.reshape(-1, 768), [768]), uniform(76800, shift=1000)),
    "group_norm": (lambda x: F.group_norm(x.reshape(1, 4, -1), 2), uniform(shift=1000)),
    "instance_norm": (lambda x: F.instance_norm(x.reshape(1, 4, -1)), uniform(shift=1000)),
    "cumsum": (lambda x: x.cumsum(0), constant(0.1)),
    "cumprod": (lambda x: x.cumprod(0), constant(1.0001, 4096)),
    "nansum": (torch.nansum, constant(0.1)),
    "dot": (lambda x: x @ x, uniform()),
    "matmul": (lambda x: x.reshape(4, -1) @ x.reshape(4, -1).T, uniform(LONG - 4)),
    "matmul of few results": (lambda x: x.reshape(8, -1) @ x.reshape(8, -1).T, uniform(8 * 512)),
    "linear": (lambda x: F.linear(x.reshape(8, -1), x.reshape(8, -1)), uniform()),
    "pool": (lambda x: F.adaptive_avg_pool2d(x.reshape(1, 2, 512, -1), 1), constant(0.1)),
}


class All(torch.nn.Module):
    def __init__(self, functions: list[Function]) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        return [function(x) for function, x in zip(self.functions, inputs, strict=True)]


@pytest.fixture(scope="module")
def static() -> dict[str, torch.Tensor]:
    inputs = [x for _, x in CASES.values()]
    compiled = terrace.compile(All([function for function, _ in CASES.values()]), (inputs,))
    return dict(zip(CASES, compiled(inputs), strict=True))


def check(found: torch.Tensor, function: Function, x: torch.Tensor) -> None:
    want, eager = function(x.double()).double(), function(x)
    error, allowed = ((y.double() - want).abs().max().item() for y in (found, eager))
    unit = float(np.spacing(want.abs().max().to(found.dtype).numpy()))
    assert error <= max(4 * allowed, 2 * unit), f"error {error:.2g}, eager's {allowed:.2g}, unit {unit:.2g}"


@pytest.mark.parametrize("name", CASES)
def test_long_sum(static: dict[str, torch.Tensor], name: str) -> None:
    function, x = CASES[name]
    check(static[name], function, x)


DYNAMIC = ("sum", "mean", "outer axis", "vector_norm", "softmax", "cumsum", "dot", "matmul", "instance_norm")


def test_lengths_known_at_run_time() -> None:
    """One compile; a length below a block of sums, beside one, and far above."""
    functions = [CASES[name][0] for name in DYNAMIC]
    inputs = [CASES[name][1] for name in DYNAMIC]
    compiled = terrace.compile(
        All(functions), (inputs,), dynamic_shapes=([{0: torch.export.Dim.DYNAMIC}] * len(inputs),)
    )
    for length in (64 * 3, 64 * 17, 64 * 257, LONG):
        shorter = [x[:length] for x in inputs]
        for found, function, x in zip(compiled(shorter), functions, shorter, strict=True):
            check(found, function, x)


def test_infinite_sums() -> None:
    """What rounding loses is not carried out of an infinite sum, and NaN stays."""
    rows = torch.full((4, 8192), 3e38)
    rows[1, 5000], rows[2, 100], rows[3] = -float("inf"), float("nan"), -3e38
    found = terrace.compile(All([lambda x: x.sum(1)]), ([rows],))([rows])[0]
    assert found[0] == float("inf")
    assert torch.isnan(found[1:3]).all()
    assert found[3] == -float("inf")
