"""Compile ResNet-18 for the CPU, run it, compare with PyTorch, and print whose code runs which kernel."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import terrace
import torch

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-4, 1e-5


def build_resnet18() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """The model of examples/models/resnet18.py (random weights) and its example inputs."""
    path = Path(__file__).parent / "models" / "resnet18.py"
    spec = importlib.util.spec_from_file_location("resnet18", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model, args = module.build()
    return model.eval(), args


def main() -> int:
    """Returns 0 if Terrace agrees with PyTorch within the tolerance, else 1."""
    model, args = build_resnet18()
    with torch.no_grad():
        expected = model(*args)

    started = time.perf_counter()
    compiled = terrace.compile(model, args)
    print(f"compiled ResNet-18 in {time.perf_counter() - started:.1f} s\n")
    print(compiled.report())

    error = (compiled(*args) - expected).abs().max().item()
    tolerance = RELATIVE_TOLERANCE * expected.abs().max().item() + ABSOLUTE_TOLERANCE
    agrees = error <= tolerance
    print(f"\nmax |terrace - eager| = {error:.3e}, tolerance {tolerance:.3e}: {'ok' if agrees else 'FAILED'}")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
