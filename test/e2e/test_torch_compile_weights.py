"""`torch.compile(..., backend="terrace")` packs weights ahead of time, and follows every change of them nonetheless."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from e2e_models import assert_close
from terrace.torch_compile import region
from torch import nn
from torch._dynamo.utils import counters
from torch_compile_harness import STRICT, compile_strictly, no_graphs

__all__ = ["no_graphs"]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The programs that were loaded."""
    loaded: list[Any] = []
    real = region.CompiledModel

    def load(artifact: Any) -> Any:
        loaded.append(weakref.ref(model := real(artifact)))
        return model

    monkeypatch.setattr(region, "CompiledModel", load)
    return loaded


def build() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)).eval()


def step(model: nn.Sequential) -> None:
    """One of an optimizer, with momentum and so two writes for each parameter."""
    with torch.enable_grad():
        nn.Sequential(*model)(torch.randn(3, 2, 6, 6)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9).step()


def write_one_element(model: nn.Sequential) -> None:
    model[4].weight[2, 77] += 5


def swap_data(model: nn.Sequential) -> None:
    model[4].weight.data = torch.randn(4, 128)


def write_data(model: nn.Sequential) -> None:
    """As averages of weights are often kept: PyTorch does not count this write."""
    model[4].weight.data.mul_(0.9).add_(torch.randn(4, 128))


def replace_parameter(model: nn.Sequential) -> None:
    model[4].weight = nn.Parameter(torch.randn(4, 128))


def train_statistics(model: nn.Sequential) -> None:
    model[1].running_var.mul_(3)


CHANGES = [
    step,
    lambda model: model.load_state_dict(build().state_dict()),
    write_one_element,
    swap_data,
    write_data,
    replace_parameter,
    train_statistics,
]


def test_changes_are_followed(loads: list[Any]) -> None:
    """Of any kind, in any order: the next call has the new weights, and loads them once."""
    model = build()
    compiled = compile_strictly(model)
    x = torch.randn(3, 2, 6, 6)
    for change in CHANGES:
        change(model)
        before = len(loads)
        for _ in range(3):
            assert_close(compiled(x), nn.Sequential(*model)(x))
        assert len(loads) == before + 1
    assert counters["terrace"] == {"compiled": 1}


def test_weights_are_packed_ahead_only_if_watched() -> None:
    from terrace.torch_compile.region import Region

    seen: dict[str, list[str]] = {}
    real = Region.__init__

    def spy(self: Any, graph_module: Any, imported: Any, options: Any) -> None:
        seen[options.parameters] = sorted(imported.weights.values())
        real(self, graph_module, imported, options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Region, "__init__", spy)
        x = torch.randn(3, 2, 6, 6)
        for how in ("watched", "inputs"):
            torch._dynamo.reset()
            model = build()
            compiled = torch.compile(model, backend="terrace", options={**STRICT, "parameters": how})
            for change in (step, write_data):
                assert_close(compiled(x), nn.Sequential(*model)(x))
                change(model)
            assert_close(compiled(x), nn.Sequential(*model)(x))
    assert len(seen["watched"]) == 8, "weight and bias, twice; weight, bias, mean and variance"
    assert seen["inputs"] == []


def test_weights_that_change_with_every_call_make_it_pytorchs(loads: list[Any]) -> None:
    model = nn.Linear(4, 3)
    compiled = compile_strictly(model)
    x = torch.randn(2, 4)
    with pytest.warns(UserWarning, match="its weights change with nearly every call"):
        for _ in range(30):
            model.weight.add_(0.01)
            assert_close(compiled(x), nn.functional.linear(x, model.weight, model.bias))
    assert len(loads) == 1 + region.FREE_RELOADS
    assert counters["terrace"] == {"compiled": 1, "left to PyTorch": 1}


def test_weights_that_change_now_and_then_do_not(loads: list[Any]) -> None:
    model = nn.Linear(4, 3)
    compiled = compile_strictly(model)
    x = torch.randn(2, 4)
    for call in range(120):
        if call % 10 == 0:
            model.weight.add_(1)
        assert_close(compiled(x), nn.functional.linear(x, model.weight, model.bias))
    assert len(loads) == 12 and counters["terrace"] == {"compiled": 1}


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).relu()


def test_layers_of_one_class_share_a_graph_but_not_weights(loads: list[Any]) -> None:
    layers = [Layer() for _ in range(3)]
    for layer in layers:
        layer.compile(backend="terrace", options=STRICT)
    x = torch.randn(2, 4)
    for _ in range(2):
        for layer in layers:
            assert_close(layer(x), layer.linear(x).relu())
    assert len(loads) == 3 and counters["terrace"] == {"compiled": 1}


def test_weights_die_with_their_model(loads: list[Any]) -> None:
    def run(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return layer(x).relu()

    compiled: Callable[..., torch.Tensor] = compile_strictly(run)
    x = torch.randn(2, 4)
    layers = [nn.Linear(4, 3) for _ in range(2)]
    for layer in layers:
        assert_close(compiled(layer, x), run(layer, x))
    assert [model() is not None for model in loads] == [True, True]
    del layers[0], layer
    gc.collect()
    assert [model() is not None for model in loads] == [False, True]


def test_weights_made_in_inference_mode_are_pytorchs_or_inputs() -> None:
    with torch.inference_mode():
        model = nn.Linear(4, 3)
        x = torch.randn(2, 4)
        for how, left in (("watched", 1), ("inputs", 0)):
            torch._dynamo.reset()
            counters.clear()
            compiled = torch.compile(model, backend="terrace", options={**STRICT, "parameters": how})
            for _ in range(2):
                assert_close(compiled(x), nn.functional.linear(x, model.weight, model.bias))
                model.weight[0, 0] += 1
            assert counters["terrace"]["left to PyTorch"] == left
