"""Kernels that give several results: chosen for models of PyTorch, and equal to eager on every target."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import terrace
import torch
from e2e_models import assert_close, eager
from terrace.runtime.model import CompiledModel
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

Tensors = tuple[torch.Tensor, ...]


class Model(nn.Module):
    """A layer, or two, and what `forward` computes of them and its inputs."""

    def __init__(self, compute: Callable[..., Tensors], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self._compute = compute

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Tensors:
        return self._compute(x, y, *self.layers)


def activation_and_sum(x: torch.Tensor, y: torch.Tensor, layer: nn.Module) -> Tensors:
    h = layer(x)
    return torch.relu(h), h + y


def read_by_another_op(x: torch.Tensor, y: torch.Tensor, layer: nn.Module) -> Tensors:
    h = layer(x)
    return F.softmax(h, -1), torch.relu(h) + y


def feedback(x: torch.Tensor, y: torch.Tensor, layer: nn.Module) -> Tensors:
    """The last sum reads the first one by way of a softmax: it is a kernel of its own."""
    h = layer(x) + y
    return torch.relu(h) + F.softmax(h, -1), h


def cell(x: torch.Tensor, y: torch.Tensor, layer: nn.Module) -> Tensors:
    c = torch.sigmoid(x) * y + torch.tanh(x - y)
    return torch.sigmoid(y) * torch.tanh(c), c


def branches(x: torch.Tensor, y: torch.Tensor, layer: nn.Module) -> Tensors:
    p = x + y
    return torch.relu(p), torch.exp(-p), F.softmax(p, -1)


def types(x: torch.Tensor, y: torch.Tensor, layer: nn.Module) -> Tensors:
    p = x * y
    return p.to(torch.bfloat16), p + x, (10 * p).to(torch.int32)


def types_of_product(x: torch.Tensor, y: torch.Tensor, layer: nn.Module) -> Tensors:
    h = layer(x)
    return torch.relu(h), (h + y).to(torch.int32)


def comparison(x: torch.Tensor, y: torch.Tensor, layer: nn.Module) -> Tensors:
    """Which no kernel stores."""
    p = x + y
    return p > x, torch.where(p > x, p, y), p * y


COMPUTED = (
    activation_and_sum,
    read_by_another_op,
    feedback,
    cell,
    branches,
    types,
    types_of_product,
    comparison,
)
CASES = {compute.__name__: compute for compute in COMPUTED}
"""Each has one kernel of several results."""
SIZE = 24


def model_of(case: str) -> nn.Module:
    torch.manual_seed(0)
    return Model(CASES[case], nn.Linear(SIZE, SIZE)).eval()


def inputs(rows: int) -> Tensors:
    torch.manual_seed(rows)
    return torch.randn(rows, SIZE), torch.randn(rows, SIZE)


def check(compiled: CompiledModel, model: nn.Module, rows: int) -> None:
    args = inputs(rows)
    for found, expected in zip(compiled(*args), eager(model, *args), strict=True):
        assert found.shape == expected.shape and found.dtype == expected.dtype
        if found.numel() and found.dtype.is_floating_point:
            assert_close(found, expected)
        else:
            assert torch.equal(found, expected)


def kernels_of_several_results(compiled: CompiledModel) -> int:
    heads = [line for line in compiled.ir("kernel").splitlines() if "func.func private" in line]
    return sum("-> (" in line for line in heads)


@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("case", CASES)
def test_on_a_cpu(case: str, rows: int) -> None:
    model = model_of(case)
    compiled = terrace.compile(model, inputs(rows))
    assert kernels_of_several_results(compiled) == (rows > 0)
    check(compiled, model, rows)


@pytest.mark.parametrize("case", CASES)
def test_any_number_of_rows(case: str) -> None:
    model, rows = model_of(case), Dim("rows", min=0, max=100)
    compiled = terrace.compile(model, inputs(5), dynamic_shapes=({0: rows}, {0: rows}))
    assert kernels_of_several_results(compiled) == 1
    for count in (0, 1, 5, 33):
        check(compiled, model, count)


@pytest.mark.parametrize("case", CASES)
def test_in_bfloat16(case: str) -> None:
    """Within what eager's rounding of each op is off, against float32."""
    model = model_of(case).bfloat16()
    args = tuple(x.bfloat16() for x in inputs(5))
    compiled = terrace.compile(model, args)
    assert kernels_of_several_results(compiled) == 1
    exact = eager(model.float(), *(x.float() for x in args))
    for found, rounded, expected in zip(compiled(*args), eager(model.bfloat16(), *args), exact, strict=True):
        assert found.dtype == rounded.dtype
        if not found.dtype.is_floating_point:
            continue  # a comparison or a truncation of numbers that are rounded elsewhere
        error = (rounded.float() - expected.float()).abs().max()
        assert (found.float() - expected.float()).abs().max() <= error + 2.0**-9 * expected.float().abs().max()


@pytest.mark.parametrize("case", [case for case in CASES if case != "types"])
def test_in_hardware(case: str) -> None:
    """Each result has a memory of its own. No circuit holds bf16."""
    model = model_of(case)
    check(terrace.compile(model, inputs(5), target="hls"), model, 5)


@pytest.mark.vulkan
@pytest.mark.parametrize("case", CASES)
def test_on_a_gpu(case: str) -> None:
    """What has bf16 stays apart, as the GPU's kernels do not compute with it."""
    model = model_of(case)
    compiled = terrace.compile(model, inputs(5), target="vulkan")
    assert kernels_of_several_results(compiled) == 1
    check(compiled, model, 5)


def many(x: torch.Tensor, y: torch.Tensor, layer: nn.Module) -> Tensors:
    h = layer(x)
    return tuple(torch.relu(h + number) for number in range(40))


@pytest.mark.parametrize("target", ["cpu", "hls"])
def test_more_results_than_a_kernel_gives(target: str) -> None:
    model = Model(many, nn.Linear(SIZE, SIZE)).eval()
    compiled = terrace.compile(model, inputs(5), target=target)
    assert kernels_of_several_results(compiled) > 0
    check(compiled, model, 5)
