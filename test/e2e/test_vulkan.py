"""Models on this machine's Vulkan device, which may be Mesa's software one: they agree with eager, on our kernels.

A call costs such a device some 10 ms, and the first one compiles the shaders: inputs are small.
"""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import terrace
import torch
from e2e_models import assert_close, eager, example, other_input
from terrace.errors import CompileError
from torch import nn

pytestmark = pytest.mark.vulkan


class Functions(nn.Module):
    functions = (torch.sin, torch.cos, torch.tan, torch.expm1, torch.log1p, torch.log, torch.atan, nn.functional.elu)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [function(x) for function in self.functions]


def test_functions_of_large_and_small_numbers() -> None:
    """Compilers of drivers reorder sums: what they must not lose is not made of them.

    Powers of e err by |x| units in the last place more, as Vulkan's own exp may.
    """
    x = torch.cat([torch.linspace(-9, 9, 91), torch.tensor([1e-9, -1e-9, 1e-4, 1e7, -1e30, 3e38, torch.inf])])
    for found, function in zip(
        terrace.compile(Functions(), (x,), target="vulkan")(x), Functions.functions, strict=True
    ):
        want = function(x.double()).float()
        np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-6, atol=1e-12, err_msg=function.__name__)


def _encoder() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Two layers of a transformer's encoder; its sizes are multiples of tiles, whose code is the shortest."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(64, nhead=2, dim_feedforward=128, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval(), (torch.randn(2, 32, 64),)


def _case(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    if name == "encoder":
        return _encoder()
    model, args = example(name).build()
    sizes = {"resnet18": (1, 3, 64, 64), "super_resolution": (1, 1, 48, 56)}
    return model, (torch.randn(sizes[name]),) if name in sizes else args


@pytest.mark.parametrize("name", ["lenet", "resnet18", "encoder", "super_resolution"])
def test_models_agree_with_eager(name: str) -> None:
    model, (x,) = _case(name)
    compiled = terrace.compile(model, (x,), target="vulkan")
    for value in (x, other_input(x)):
        assert_close(compiled(value), eager(model, value))
    assert compiled.report().mac_share > 0.99


class Counter(nn.Module):
    """A model with state, and results that share memory with it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3, 5))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.total.add_(x)
        return self.total, torch.softmax(self.total * 2, -1)


def test_functions_that_the_device_lacks_are_refused() -> None:
    """IREE's checks after each pass refuse them: without, `exp` of float64 compiled, and gave other numbers."""

    class Exponential(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.double().exp()

    with pytest.raises(CompileError, match=r"'spirv.GL.Exp' op operand #0 must be 16/32-bit float"):
        terrace.compile(Exponential(), (torch.randn(4, 6),), target="vulkan")


def test_state_stays_on_the_device() -> None:
    x = torch.randn(3, 5)
    compiled = terrace.compile(Counter(), (x,), target="vulkan")
    first, _ = compiled(x)
    second, soft = compiled(x)
    torch.testing.assert_close(first, x)
    torch.testing.assert_close(second, 2 * x)
    torch.testing.assert_close(soft, torch.softmax(4 * x, -1))
    compiled.load_state({"total": x})
    np.testing.assert_array_equal(compiled.state()["total"], x.numpy())
    compiled.reset()
    torch.testing.assert_close(compiled(x)[0], x)


def test_a_forked_child_goes_on_with_the_state() -> None:
    """It opens the device anew. It ends by `os._exit`: Mesa's own exit handler joins threads that are not there."""
    x = torch.randn(3, 5)
    compiled = terrace.compile(Counter(), (x,), target="vulkan")
    compiled(x)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(not torch.equal(compiled(x)[0], 2 * x))
    assert os.waitpid(child, 0)[1] == 0
    torch.testing.assert_close(compiled(x)[0], 2 * x)


def test_results_outlive_the_model(tmp_path: Path) -> None:
    """Readback of sizes that are no multiple of any alignment, from a file; inputs that are not contiguous."""
    model = nn.Linear(7, 13).eval()
    x = torch.randn(7, 3).T
    path = tmp_path / "linear.terrace"
    terrace.compile(model, (x,), target="vulkan").save(path)
    loaded = terrace.load(path)
    results = [loaded(x * scale) for scale in range(20)]
    del loaded
    for scale, result in enumerate(results):
        assert_close(result, eager(model, x * scale))


def test_inputs_are_not_kept() -> None:
    """An input may change after the call, and the same memory may come again."""
    compiled = terrace.compile(nn.ReLU(), (torch.zeros(4099),), target="vulkan")
    x = np.ones(4099, np.float32)
    first = compiled(x)
    x[:] = 3
    second = compiled(x)
    assert first.max() == first.min() == 1 and second.max() == second.min() == 3


@dataclasses.dataclass(frozen=True)
class Dynamic:
    """A program with `?`, the sizes of its inputs by those of `?`, and what these are."""

    model: nn.Module
    shapes: tuple[tuple[str | int, ...], ...]
    cases: tuple[dict[str, int], ...]

    def inputs(self, sizes: dict[str, int]) -> tuple[torch.Tensor, ...]:
        return tuple(torch.randn([sizes.get(str(d), d) for d in shape]) for shape in self.shapes)  # type: ignore[misc]


class Product(nn.Module):
    """A matmul between unknown sizes, with an epilogue."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.relu(x @ y)


DYNAMIC = {
    "matmul": Dynamic(
        Product(),
        (("m", "k"), ("k", "n")),
        ({"m": 1, "k": 1, "n": 1}, {"m": 33, "k": 70, "n": 65}, {"m": 64, "k": 16, "n": 32}, {"m": 3, "k": 5, "n": 1}),
    ),
    "softmax": Dynamic(nn.Softmax(-1), (("m", "n"),), ({"m": 1, "n": 1}, {"m": 5, "n": 64}, {"m": 17, "n": 1000})),
    "layer_norm": Dynamic(nn.LayerNorm(96), (("m", "n", 96),), ({"m": 1, "n": 1}, {"m": 3, "n": 7})),
}


@pytest.mark.parametrize("name", DYNAMIC)
def test_dynamic_sizes(name: str) -> None:
    """Sizes of one, of a tile, of several, and of no multiple. (IREE's vulkan driver takes no empty buffers.)"""
    case = DYNAMIC[name]
    names = sorted({str(d) for shape in case.shapes for d in shape if isinstance(d, str)})
    dims = {d: torch.export.Dim(d, min=1, max=4096) for d in names}
    dynamic = tuple({axis: dims[str(d)] for axis, d in enumerate(s) if isinstance(d, str)} for s in case.shapes)
    args = case.inputs(dict(zip(names, (5, 6, 7), strict=False)))
    compiled = terrace.compile(case.model.eval(), args, target="vulkan", dynamic_shapes=dynamic)
    for sizes in case.cases:
        values = case.inputs(sizes)
        assert_close(compiled(*values), eager(case.model, *values))
