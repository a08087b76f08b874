"""What a graph of `torch.compile(..., backend="terrace")` computes, which memory it writes and shares: as in eager."""

from __future__ import annotations

import concurrent.futures
import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from e2e_models import assert_close
from torch import nn
from torch._dynamo.utils import counters
from torch_compile_harness import assert_close_all, assert_same, compile_strictly, no_graphs

__all__ = ["no_graphs"]


def add_to_first(results: Any) -> None:
    results[0].add_(5)


# -- results and memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(4, 6).t(),
        torch.randn(8, 6)[::2, 1:4],
        torch.randn(1, 6).expand(5, 6),
        torch.randn(3, 5, 4).permute(2, 0, 1),
    ],
    ids=["transposed", "strided", "expanded", "permuted"],
)
def test_inputs_of_any_strides(x: torch.Tensor) -> None:
    assert_same(lambda x: (x.relu() + 1, x.sum(-1)), x)


def test_a_convolution_in_channels_last() -> None:
    assert_same(nn.Conv2d(3, 8, 3), torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last))


def views(x: torch.Tensor) -> Any:
    y = x.exp()
    return y, y.view(-1), y[0], y.t(), y[:, None].expand(-1, 3, -1), y.unbind(0), y


@pytest.mark.parametrize(
    "function",
    [views, lambda x: (x, x.sin()), lambda x: (x.view(-1), x.sin()), lambda x: (x.t()[1:], x)],
    ids=["of_a_result", "the_input_itself", "of_the_input", "of_the_input_and_itself"],
)
def test_views_among_the_results_share_memory(function: Callable[[torch.Tensor], Any]) -> None:
    assert_same(function, torch.randn(3, 4), then=add_to_first)


def writes_a_view(x: torch.Tensor) -> torch.Tensor:
    x[1:].mul_(3)
    flat = x.view(-1)
    flat[0] = 7
    return flat


@pytest.mark.parametrize("function", [lambda x: x.mul_(2).sum(), writes_a_view], ids=["whole", "views"])
def test_inputs_are_written(function: Callable[[torch.Tensor], Any]) -> None:
    assert_same(function, torch.randn(3, 2), calls=2)


class Cache(nn.Module):
    """Keys by position, in a buffer that is written in place."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(4, 4)
        self.register_buffer("keys", torch.zeros(6, 4))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        self.keys.index_copy_(0, at, self.project(x))
        self.count += 1
        return x @ self.keys.t() * self.count


def test_buffers_are_written() -> None:
    assert_same(Cache(), torch.randn(1, 4), torch.tensor([3]), calls=3)
    norm = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU()).train()
    assert_same(norm, torch.randn(2, 2, 6, 6), calls=3)


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda x: (x * 3 // 2, x % 4, x << 1, x.float().mean()), torch.arange(-5, 9)),
        (lambda x: x * 3 + x.sum(), torch.arange(-5, 9, dtype=torch.int32)),
        (lambda x: x + 200, torch.arange(90, dtype=torch.uint8)),
        (lambda x: (~x, x.any(), x & (x ^ True)), torch.tensor([True, False])),
        (lambda x: x @ x.t(), torch.randn(4, 6).double()),
        (lambda x: x * 2, torch.tensor(3.0)),
        (lambda x: x.sum().item() + x.shape[0], torch.arange(4)),
        (lambda x: x.relu().sum(0), torch.randn(0, 4)),
    ],
    ids=["int64", "int32", "uint8", "bool", "float64", "scalar", "item", "empty"],
)
def test_element_types(function: Callable[[torch.Tensor], Any], x: torch.Tensor) -> None:
    assert_same(function, x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_floats(dtype: torch.dtype) -> None:
    """Against float64 of the same weights and input: not further off than a few roundings."""
    model = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8)).to(dtype)
    x = torch.randn(4, 6, dtype=dtype)
    found, expected = compile_strictly(model)(x), copy.deepcopy(model).double()(x.double())
    assert found.dtype == dtype
    assert (found.double() - expected).abs().max() <= 8 * torch.finfo(dtype).eps * expected.abs().max()


def structured(x: torch.Tensor, *, mask: torch.Tensor | None = None, parts: dict[str, Any]) -> dict[str, Any]:
    y = x.sin() if mask is None else x * mask
    return {"a": y + parts["more"][0], "b": [y.cos(), (None, 3)], "max": torch.max(y, 1), "n": x.shape[0]}


def test_structures_keywords_none_and_numbers() -> None:
    x, parts = torch.randn(3, 4), {"more": [torch.ones(4)]}
    compiled = compile_strictly(structured)
    for mask in (None, torch.ones(3, 1)):
        assert_close_all(compiled(x, mask=mask, parts=parts), structured(x, mask=mask, parts=parts))


def test_a_number_that_changes_is_an_argument() -> None:
    def run(x: torch.Tensor, by: int, scale: float) -> Any:
        return x * by + scale, by + x.shape[0]

    compiled = compile_strictly(run, dynamic=True)
    for size, by, scale in ((3, 2, 0.5), (5, 7, 1.5), (4, -3, 2.5)):
        x = torch.randn(size)
        assert_close_all(compiled(x, by, scale), run(x, by, scale))


# -- what stays with PyTorch ------------------------------------------------------------------------------------------


def test_random_numbers_are_pytorchs() -> None:
    """With the same seed, the numbers that eager draws, in its order."""

    def run(x: torch.Tensor) -> torch.Tensor:
        return (x.sin() + torch.rand(4)).exp() * torch.randn(4)

    x = torch.randn(4)
    torch.manual_seed(1)
    expected = run(x)
    torch.manual_seed(1)
    assert_close(compile_strictly(run)(x), expected)


def test_dropout_in_training() -> None:
    x = torch.ones(100, 100)
    found = compile_strictly(lambda x: F.dropout(x * 1.5, 0.25, training=True) - 1)(x)
    assert set(found.unique().tolist()) == {-1.0, 1.0}
    assert 0.2 < (found < 0).double().mean() < 0.3


def lgamma(x: torch.Tensor) -> torch.Tensor:
    return (x.sin() * 0.5).lgamma().relu()


def test_pytorch_runs_the_op_that_cannot_be_imported() -> None:
    x = torch.randn(8)
    with pytest.warns(UserWarning, match=r"(?s)PyTorch runs a part of .* at .*test_torch_compile_graphs.*lgamma"):
        found = torch.compile(lgamma, backend="terrace")(x)
    assert_close(found, lgamma(x))
    assert counters["terrace"] == {"compiled": 2, "left to PyTorch": 1}, "what is before and after it is compiled"


def test_fallback_can_be_refused() -> None:
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match="lgamma"):
        compile_strictly(lgamma)(torch.randn(8))


def test_complex_numbers_stay_with_pytorch() -> None:
    assert_same(lambda x: torch.fft.fft(x.exp()).abs() * 2, torch.randn(8))
    assert counters["terrace"] == {"compiled": 2}


def test_branches_inside_the_graph() -> None:
    def run(x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, torch.sin, torch.cos, (x * 2,)) + 1

    compiled = compile_strictly(run, fullgraph=True)
    for x in (torch.ones(3), -torch.ones(3)):
        assert_close(compiled(x), run(x))


def test_autocast() -> None:
    def run(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return F.linear(x, weight)

    x, weight = torch.randn(3, 4), torch.randn(5, 4)
    found = compile_strictly(run)(x, weight)
    assert found.dtype == torch.bfloat16
    assert (found.float() - x @ weight.t()).abs().max() <= 0.02 * (x.abs() @ weight.t().abs()).max()


# -- gradients --------------------------------------------------------------------------------------------------------


def test_gradients_are_those_of_eager() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    plain = copy.deepcopy(model)
    compiled = compile_strictly(model)
    optimizers = [torch.optim.SGD(each.parameters(), 1e-3) for each in (model, plain)]
    with torch.enable_grad():
        for _ in range(8):  # After a few steps, PyTorch runs the forward, too.
            x = torch.randn(5, 2, 6, 6)
            for each, optimizer in zip((compiled, plain), optimizers, strict=True):
                optimizer.zero_grad()
                each(x).square().sum().backward()
                optimizer.step()
    for (name, one), other in zip(model.state_dict().items(), plain.state_dict().values(), strict=True):
        assert_close(one, other), name
    assert counters["terrace"] == {"compiled": 1, "left to PyTorch": 1}


def test_a_forward_with_gradients_packs_weights_once() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    compiled = compile_strictly(model)
    with torch.enable_grad():
        for _ in range(20):
            x = torch.randn(2, 4)
            assert_close(compiled(x).detach(), model(x).detach())
    assert counters["terrace"] == {"compiled": 1}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_modes_without_gradients(mode: Callable[[], Any]) -> None:
    model = nn.Linear(4, 3)
    compiled = compile_strictly(model)
    x = torch.randn(2, 4)
    with torch.enable_grad(), mode():
        found = compiled(x)
        assert found.is_inference() == (mode is torch.inference_mode) and not found.requires_grad
        assert_close(found, model(x))
    with torch.enable_grad():
        assert compiled(x).requires_grad


# -- threads ----------------------------------------------------------------------------------------------------------


def test_threads() -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    compiled = compile_strictly(model)
    inputs = [torch.randn(3, 16) for _ in range(40)]
    expected = [model(x) for x in inputs]

    def call(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # A setting of each thread.
            return compiled(x)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found, other in zip(pool.map(call, inputs), expected, strict=True):
            assert_close(found, other)
