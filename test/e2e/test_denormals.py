"""Denormal numbers are kept as in PyTorch, by our kernels and by IREE's, and flushing stays the caller's matter."""

from __future__ import annotations

import pytest
import terrace
import torch

SMALL = torch.tensor([1e-40, -1e-40, 2e-45, -0.0, 1.5e-38, 1.0, 3e-39]).repeat(11)


def ours(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return x * 0.5 + 1e-40, x.reshape(11, 7).sum(1), torch.relu(x)


class OurKernels(torch.nn.Module):
    """A program in which IREE computes nothing: the kernels keep denormals by themselves."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return ours(x)


class Denormals(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        double = x.double() * 1e-270
        return (
            x > 0,
            *ours(x),
            x.cumsum(0),
            torch.sort(x).values,
            double * 1e-5,
            x.half().float(),
            x.reshape(7, 11) @ x[:11],
        )


def flushes() -> bool:
    """Whether this thread takes denormals for zero now."""
    return bool((torch.tensor([1e-40]) * 1).item() == 0)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("model", "by"), [(OurKernels(), {"terrace"}), (Denormals(), {"terrace", "iree"})])
def test_denormals_are_kept(model: torch.nn.Module, by: set[str], threads: int) -> None:
    """As eager does by default, also in a thread that flushes; which it does as before after the call."""
    compiled = terrace.compile(model, (SMALL,), target=terrace.Target(threads=threads))
    owners = {row["by"] for row in compiled.report().rows}
    assert owners == by
    expected = model(SMALL)
    for flush in (False, True, False):
        assert torch.set_flush_denormal(flush)
        try:
            results = compiled(SMALL)
            assert flushes() == flush
        finally:
            torch.set_flush_denormal(False)
        for result, wanted in zip(results, expected, strict=True):
            assert torch.equal(result, wanted)
