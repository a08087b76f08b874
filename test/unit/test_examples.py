"""The example models answer to their inputs: weights are scaled so that a wrong kernel cannot hide."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "models").glob("*.py"))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def other_input(value: torch.Tensor) -> torch.Tensor:
    """Another random input of the same kind."""
    torch.manual_seed(1)
    return torch.randn_like(value) if value.is_floating_point() else torch.randint_like(value, 0, int(value.max()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_outputs_depend_on_inputs(path: Path) -> None:
    """Two inputs give outputs at least 100 times the tolerance apart, the tolerance that end-to-end tests use."""
    model, (x,) = load(path).build()
    with torch.no_grad():
        first, second = model(x), model(other_input(x))
    tolerance = 1e-4 * first.abs().max() + 1e-5
    assert (first - second).abs().max() >= 100 * tolerance


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_build_is_reproducible(path: Path) -> None:
    """Two builds have the same weights and inputs, in evaluation mode, with no identity among the norms."""
    module = load(path)
    (model, (x,)), (again, (y,)) = module.build(), module.build()
    assert torch.equal(x, y) and not model.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            assert norm.running_mean is not None and norm.running_var is not None
            for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                assert value.std() > 0.01
