"""The example models through every level and IREE: they agree with eager, and our kernels do the work."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import terrace
import torch
from e2e_models import assert_close, eager, example, multiply_adds, other_input, tolerance
from terrace.runtime.model import CompiledModel
from terrace.storage.artifact import read_artifact
from torch import nn

SHARES = {"lenet": 0.99, "resnet18": 0.99, "mobilenet_v2": 0.99, "super_resolution": 0.99, "bert_base": 0.95}
"""The part of the multiply-accumulates that our kernels must run, by model."""


@dataclasses.dataclass(frozen=True)
class Case:
    """An example model, compiled."""

    name: str
    model: nn.Module
    x: torch.Tensor
    compiled: CompiledModel


@pytest.fixture(scope="module", params=list(SHARES))
def case(request: pytest.FixtureRequest) -> Case:
    """Each model is compiled once for all tests of it."""
    model, (x,) = example(request.param).build()
    return Case(request.param, model, x, terrace.compile(model, (x,)))


def test_agrees_with_eager(case: Case) -> None:
    for x in (case.x, other_input(case.x)):
        assert_close(case.compiled(x), eager(case.model, x))


def test_outputs_depend_on_inputs(case: Case) -> None:
    """A program that ignored its input would not pass: outputs differ by 100 times the tolerance, or more."""
    first, second = case.compiled(case.x), case.compiled(other_input(case.x))
    assert (first - second).abs().max() >= 100 * tolerance(first)


def test_our_kernels_run_the_macs(case: Case) -> None:
    """The share, of a total that PyTorch's counter confirms: products that nobody counted would raise the share."""
    report = case.compiled.report()
    total = sum(row["macs"] for row in report.rows)
    assert total == multiply_adds(case.model, (case.x,))
    ours = sum(row["macs"] for row in report.rows if row["by"] == "terrace")
    assert report.mac_share == ours / total >= SHARES[case.name]


def test_every_level_is_there(case: Case) -> None:
    for level, word in (("graph", '"graph.'), ("kernel", '"kernel.schedule"'), ("loop", "loop.")):
        assert word in case.compiled.ir(level)
    assert "stream.executable" in case.compiled.ir("iree")
    assert str(case.compiled.report()).count("\n") > 5


def test_inputs_are_not_written(case: Case) -> None:
    before = case.x.clone()
    case.compiled(case.x)
    assert torch.equal(case.x, before)


class Tied(nn.Module):
    """A language model's ends: the table of its embedding is the weight of its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(24, 517, bias=False)
        self.embedding = nn.Embedding(517, 24)
        self.embedding.weight = self.head.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(tokens).relu())


def test_a_tied_weight_is_stored_once(tmp_path: Path) -> None:
    model, tokens = Tied().eval(), torch.tensor([[0, 516, 7, 31, 32]])
    compiled = terrace.compile(model, (tokens,))
    assert_close(compiled(tokens), eager(model, tokens))
    compiled.save(tmp_path / "m.terrace")
    (stored,) = read_artifact(tmp_path / "m.terrace").parameters.values()
    blocks, depth, columns = stored.shape  # Whole blocks, of whatever width: less than one is padding.
    assert depth == 24 and 0 <= blocks * columns - 517 < columns
