"""Every example model, compiled for the CPU, agrees with eager PyTorch.

Models that name smaller sizes in `SMALL` are built with them. `python test/e2e/test_zoo.py [MODEL ...]` compiles the
full sizes instead and prints the table of the documentation: whose code runs the multiply-accumulates, the error as a
part of the tolerance, and the seconds that compiling took.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import terrace
import torch
from torch.utils import _pytree as pytree

MODELS = Path(__file__).parents[2] / "examples" / "models"
NAMES = sorted(path.stem for path in MODELS.glob("*.py"))


def load(name: str) -> ModuleType:
    """The example of that name as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", MODELS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def error_of(compiled: terrace.CompiledModel, model: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> float:
    """The largest error of any result against eager, as a part of the tolerance 1e-4 * max|y| + 1e-5."""
    with torch.no_grad():
        expected = pytree.tree_leaves(model(*args))
    found = pytree.tree_leaves(compiled(*args))
    errors = []
    for have, want in zip(found, expected, strict=True):
        assert have.shape == want.shape and have.dtype == want.dtype
        tolerance = 1e-4 * want.abs().max().item() + 1e-5
        errors.append((have.double() - want.double()).abs().max().item() / tolerance)
    return max(errors)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_eager(name: str) -> None:
    """The results are eager's, and multiply-accumulates run our kernels."""
    module = load(name)
    model, args = module.build(**getattr(module, "SMALL", {}))
    compiled = terrace.compile(model, args)
    assert error_of(compiled, model, args) <= 1
    assert compiled.report().mac_share >= 0.9


def test_models_come_and_go(tmp_path: Path) -> None:
    """Dropping a model just after its call crashed Python when an IREE worker still held its parameters."""
    module = load("alexnet")
    model, args = module.build(**module.SMALL)
    terrace.compile(model, args).save(tmp_path / "alexnet.terrace")
    for _ in range(60):
        assert terrace.load(tmp_path / "alexnet.terrace")(*args).isfinite().all()


def report_row(name: str) -> str:
    """The line of the table for one model at its full size."""
    model, args = load(name).build()
    start = time.perf_counter()
    compiled = terrace.compile(model, args)
    seconds = time.perf_counter() - start
    report = compiled.report()
    macs = sum(row["macs"] or 0 for row in report.rows)
    ours = sum(row["by"] == "terrace" for row in report.rows)
    error = error_of(compiled, model, args)
    return (
        f"| {name} | {macs / 1e6:,.1f} | {report.mac_share:.1%} | {ours} of {len(report.rows)} "
        f"| {error:.3f} | {seconds:.1f} |"
    )


if __name__ == "__main__":
    print("| model | million MACs | by our kernels | kernels | error / tolerance | compile, s |")
    print("|---|--:|--:|--:|--:|--:|")
    for selected in sys.argv[1:] or NAMES:
        print(report_row(selected), flush=True)
