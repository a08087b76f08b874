"""The example models answer to their inputs: weights are scaled so that a wrong kernel cannot hide."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "models").glob("*.py"))
NORMS = (torch.nn.LayerNorm, torch.nn.GroupNorm, torch.nn.RMSNorm)


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(module: ModuleType) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """The example, with smaller sizes if it names any."""
    model, args = module.build(**getattr(module, "SMALL", {}))
    return model, args


def other_input(value: torch.Tensor) -> torch.Tensor:
    """Another random input of the same kind."""
    torch.manual_seed(1)
    return torch.randn_like(value) if value.is_floating_point() else torch.randint_like(value, 0, int(value.max()))


def first_result(model: torch.nn.Module, args: Sequence[torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        result = model(*args)
    return result if isinstance(result, torch.Tensor) else result[0]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_outputs_depend_on_inputs(path: Path) -> None:
    """Another value of any input moves the output by 100 times the tolerance that end-to-end tests use."""
    model, args = build(load(path))
    first = first_result(model, args)
    tolerance = 1e-4 * first.abs().max() + 1e-5
    for index, value in enumerate(args):
        second = first_result(model, [*args[:index], other_input(value), *args[index + 1 :]])
        assert (first - second).abs().max() >= 100 * tolerance


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_build_is_reproducible(path: Path) -> None:
    """Two builds have the same weights and inputs, in evaluation mode, with no identity among the norms."""
    module = load(path)
    (model, xs), (again, ys) = build(module), build(module)
    assert all(torch.equal(x, y) for x, y in zip(xs, ys, strict=True)) and not model.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            assert norm.running_mean is not None and norm.running_var is not None
            for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                assert value.std() > 0.01
        elif isinstance(norm, NORMS):
            assert norm.weight.std() > 0.01
