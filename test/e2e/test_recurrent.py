"""LSTM, GRU and RNN layers as loops, beside eager PyTorch: directions, layers, biases, projections, lengths."""

from __future__ import annotations

from typing import Any

import pytest
import terrace
import torch
from e2e_models import assert_close
from terrace.compiler import PyTorch, lower
from torch import nn
from torch.utils._pytree import tree_leaves


class Given(nn.Module):
    """A layer that begins in the states that it is given."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor, *states: torch.Tensor) -> Any:
        return self.layer(x, states if len(states) > 1 else states[0])


def check(model: nn.Module, *calls: tuple[torch.Tensor, ...], **options: Any) -> Any:
    compiled = terrace.compile(model.eval(), calls[0], **options)
    for arguments in calls:
        with torch.no_grad():
            expected = model(*arguments)
        for found, wanted in zip(tree_leaves(compiled(*arguments)), tree_leaves(expected), strict=True):
            assert_close(found, wanted)
    return compiled


def test_a_long_layer_is_a_loop_over_one_product() -> None:
    compiled = check(nn.LSTM(8, 16, bidirectional=True), (torch.randn(75, 3, 8),))
    text = compiled.ir("kernel")
    assert text.count("scf.for") == 2
    # Products: of the input, for all steps, and of the state with each gate.
    macs = sum(row["macs"] or 0 for row in compiled.report().rows)
    assert macs == 2 * 75 * 3 * (8 + 16) * 64
    products = [row["shape"] for row in compiled.report().rows if row["op"].startswith("matmul")]
    assert all(shape in ([225, 64], [3, 16]) for shape in products) and [225, 64] in products


@pytest.mark.parametrize(
    ("layer", "states"),
    [
        (nn.GRU(5, 7, num_layers=2, batch_first=True), 0),
        (nn.GRU(5, 7, bias=False, bidirectional=True), 1),
        (nn.LSTM(5, 7, num_layers=2, bidirectional=True, batch_first=True, bias=False), 2),
        (nn.RNN(5, 7, nonlinearity="relu"), 1),
        (nn.RNN(5, 7, bidirectional=True), 0),
    ],
    ids=["gru", "gru both ways", "lstm", "rnn relu", "rnn tanh"],
)
def test_layers(layer: nn.RNNBase, states: int) -> None:
    shape = (4, 41, 5) if layer.batch_first else (41, 4, 5)
    ways = layer.num_layers * (1 + layer.bidirectional)
    given = [torch.randn(ways, 4, 7) for _ in range(states)]
    check(Given(layer) if states else layer, (torch.randn(shape), *given))


@pytest.mark.parametrize("length", [1, 3])
def test_few_steps(length: int) -> None:
    compiled = check(nn.GRU(5, 7, bidirectional=True), (torch.randn(length, 4, 5),))
    assert "scf.for" not in compiled.ir("kernel")


def test_projections() -> None:
    layer = nn.LSTM(5, 7, num_layers=2, proj_size=3, bidirectional=True)
    check(Given(layer), (torch.randn(20, 2, 5), torch.randn(4, 2, 3), torch.randn(4, 2, 7)))


def test_float64_and_no_batch() -> None:
    check(nn.LSTM(5, 7).double(), (torch.randn(19, 2, 5, dtype=torch.float64),))
    check(nn.GRU(5, 7), (torch.randn(19, 5),))


def test_few_steps_are_quantised() -> None:
    layer, x = nn.LSTM(8, 16), torch.randn(3, 2, 8)
    compiled = terrace.compile(layer.eval(), (x,), options={"quantize": "int8", "calibration": [(x,)]})
    assert "i8" in compiled.ir("graph")
    torch.testing.assert_close(compiled(x)[0], layer(x)[0].detach(), atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("layers", "steps"), [(1, 16), (4, 8)])
def test_steps_of_a_turn(layers: int, steps: int) -> None:
    """A step is four products and one kernel for the gates: as many steps as 80 launches have, 320 in all loops."""
    layer = nn.LSTM(8, 16, layers, bidirectional=layers > 1)
    lowered = lower(PyTorch(layer.eval(), (torch.randn(64, 2, 8),), None, None))
    loops = layers * (1 + layer.bidirectional)
    launches = lowered.ir["iree"].count("flow.dispatch")
    assert loops * steps * 5 <= launches < loops * (steps * 5 + 4)


def test_the_turns_of_a_loop_do_not_overlap() -> None:
    """On two workers, 19 of 20 calls failed: memory that a turn takes was not there yet."""

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.top = nn.LSTM(128, 64, batch_first=True), nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.top(self.layer(x)[0][:, -1])

    check(Last(), *[(torch.rand(2, 32, 128),) for _ in range(20)], target=terrace.Target(threads=2))
