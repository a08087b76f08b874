"""The engines that `terrace-bench --peers` compares with compute what PyTorch does, on a tiny network each.

Those of the extra `peers` are skipped where they are not installed, as in CI.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from terrace.tools.bench.case import Case, Contest, in_type
from terrace.tools.bench.peers import PEERS, Peer, PeerError, Task, missing, refusing
from torch import nn

TOLERANCES = {"f32": 1e-5, "bf16": 0.02, "i8": 0.05}


def contest() -> Contest:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)).eval()
    return Contest(model, (torch.randn(1, 3, 6, 6),), {})


def task(type_: str, folder: Path) -> Task:
    case = Case("tiny", "models", "tiny", contest)
    return Task((case if type_ == "f32" else in_type(case, type_)).build(), type_, 1, folder)


@pytest.mark.parametrize(
    ("peer", "type_"),
    [pytest.param(peer, type_, id=f"{peer.name}-{type_}") for peer in PEERS for type_ in peer.types],
)
def test_a_peer_computes_what_pytorch_does(peer: Peer, type_: str, tmp_path: Path) -> None:
    if missing(peer):
        pytest.skip(f"REQUIRES: {', '.join(missing(peer))}")
    work = task(type_, tmp_path)
    with torch.no_grad():
        call = peer.prepare(work)
        expected = work.contest.model(*work.contest.args)
        for _ in range(2):
            error = (torch.as_tensor(call()) - expected).abs().max()
            assert error <= TOLERANCES[type_] * expected.abs().max()
            # The weights are constants to it, which it has packed as it wants them.
            for parameter in work.contest.model.parameters():
                parameter.zero_()
        assert (error > 1e-4) == (type_ != "f32")  # Narrow it is, where it should be.


class Strange(nn.Module):
    """What neither ONNX nor linalg has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(x)


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer.name != "inductor"], ids=lambda peer: peer.name)
def test_a_peer_says_what_it_cannot_run(peer: Peer, tmp_path: Path) -> None:
    if missing(peer):
        pytest.skip(f"REQUIRES: {', '.join(missing(peer))}")
    work = task("f32", tmp_path)
    strange = dataclasses.replace(work.contest, model=Strange(), args=(torch.randn(3, 3),))
    with pytest.raises(PeerError, match=r"."):
        peer.prepare(dataclasses.replace(work, contest=strange))


def test_bfloat16_has_no_arrays(tmp_path: Path) -> None:
    work = task("f32", tmp_path)
    halves = dataclasses.replace(work.contest, args=(torch.zeros(2, dtype=torch.bfloat16),))
    with pytest.raises(PeerError, match="NumPy: Got unsupported ScalarType BFloat16"):
        _ = dataclasses.replace(work, contest=halves).arrays


def test_errors_of_an_engine_are_told_by_their_first_line() -> None:
    with pytest.raises(PeerError, match=r"^it: one$"), refusing("it", KeyError, ValueError):
        raise ValueError("\n one\ntwo")
    with pytest.raises(PeerError, match=r"^it: RuntimeError$"), refusing("it", RuntimeError):
        raise RuntimeError
    with pytest.raises(TypeError), refusing("it", RuntimeError):
        raise TypeError
