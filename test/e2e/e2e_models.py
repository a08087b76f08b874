"""What the end-to-end tests share: the example models, the tolerance, and independent counts of work."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

EXAMPLES = Path(__file__).parents[2] / "examples" / "models"


def example(name: str) -> ModuleType:
    """The module of an example model."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def other_input(value: torch.Tensor) -> torch.Tensor:
    """Another random input of the same kind."""
    torch.manual_seed(1)
    return torch.randn_like(value) if value.is_floating_point() else torch.randint_like(value, 0, int(value.max()))


def tolerance(expected: torch.Tensor) -> float:
    """The bound of the precision "highest"."""
    return 1e-4 * expected.abs().max().item() + 1e-5


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """`found` is what "highest" promises of `expected`: same shape and dtype, and no element beyond the bound."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    error = (found.double() - expected.double()).abs().max().item()
    assert error <= tolerance(expected), f"off by {error}, allowed is {tolerance(expected)}"


def eager(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """What PyTorch computes."""
    with torch.no_grad():
        return model(*args, **kwargs)


def multiply_adds(model: nn.Module, args: tuple[Any, ...]) -> int:
    """What PyTorch's own counter finds: half of its operations of matrix products, convolutions and attention."""
    # The math kernel of attention consists of matrix products, which the counter knows.
    with FlopCounterMode(display=False) as counter, nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        eager(model, *args)
    return counter.get_total_flops() // 2


def products(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a report that are matrix products, whoever runs them; the two of an attention are one."""
    return [row for row in rows if "matmul" in row["op"] or "attention" in row["op"]]
