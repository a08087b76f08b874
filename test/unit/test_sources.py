"""What is compiled and how: texts are told apart by their ops, not by their words, and a request is checked once."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import terrace
import torch
from terrace.compiler import PyTorch, Request, Text, lower
from terrace.compiler.request import OPTIONS
from terrace.compiler.sources import parse_level
from terrace.errors import CompileError
from terrace.target import Target
from torch import nn

RELU = """func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = "graph.relu"(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}"""

# -- texts ------------------------------------------------------------------------------------------------------------


class Pool(nn.Module):
    """Its weight is called as an op of IREE's is."""

    def __init__(self) -> None:
        super().__init__()
        self.util = nn.Module()
        self.util.global_pool = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layer: nn.Linear = self.util.global_pool  # type: ignore[assignment, union-attr]
        return torch.relu(layer(x))


@pytest.mark.parametrize("target", ["cpu", "hls"])
def test_a_parameter_may_be_called_as_an_op_is(target: str) -> None:
    model, x = Pool().eval(), torch.randn(2, 4)
    lowered = lower(PyTorch(model, (x,)), Request.of(target))
    assert "util.global_pool.weight" in lowered.ir["graph"]
    values = {**model.state_dict(), **{name: source() for name, source in lowered.parameters.items()}}
    for level, text in lowered.ir.items():
        again = lower(Text(text, values), until=None)
        assert list(again.ir) == list(lowered.ir)[list(lowered.ir).index(level) :]
        assert again.parameters.keys() == lowered.parameters.keys()
    compiled = terrace.compile_mlir(lowered.ir["graph"], values)
    if target == "cpu":
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)


def test_a_line_of_a_text_may_begin_as_an_op_does() -> None:
    text = RELU.replace(
        '"graph.relu"(%x) :', '"graph.relu"(%x) {\n  util.global = 1,\nhal.device = "flow.parameter"} :'
    )
    assert parse_level(text, None, None)[1] is None
    x = np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8)
    np.testing.assert_array_equal(terrace.compile_mlir(text)(x), np.maximum(x, 0))


PRETTY = """util.global private @w = #flow.parameter.named<"model"::"w"> : tensor<4xf32>
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %w = util.global.load @w : tensor<4xf32>
  %0 = arith.addf %x, %w : tensor<4xf32>
  return %0 : tensor<4xf32>
}"""


def test_a_program_as_iree_writes_it() -> None:
    """Our MLIR cannot parse it."""
    w, x = np.arange(4, dtype=np.float32), np.ones(4, np.float32)
    np.testing.assert_array_equal(terrace.compile_mlir(PRETTY, {"w": w})(x), w + x)


def test_a_program_without_kernels_and_parameters_is_one() -> None:
    text = lower(Text("func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> { return %x : tensor<4xf32> }")).ir["iree"]
    backend = parse_level(text, None, None)[1]
    assert backend is not None and backend.level == "iree"


@pytest.mark.parametrize("target", ["hls", "vulkan"])
def test_a_program_of_another_target_is_refused(target: str) -> None:
    program = lower(Text(RELU), Request.of("hls" if target == "vulkan" else "cpu"))
    (level, text) = list(program.ir.items())[-1]
    # A program in IREE's own form, too, which our MLIR cannot parse.
    texts = [text, PRETTY] if level == "iree" else [text]
    given = Target(target, gpu="ampere") if target == "vulkan" else target
    for given_text in texts:
        with pytest.raises(CompileError, match=f"at the level '{level}', which target '{target}' does not have"):
            lower(Text(given_text), Request.of(given))


@pytest.mark.parametrize("named", [True, False])
def test_only_the_backend_of_a_known_target_is_imported(named: bool) -> None:
    text = RELU if not named else f'module attributes {{terrace.target = {{name = "cpu"}}}} {{ {RELU} }}'
    code = f"""
import sys
from terrace.compiler import Request, Text, lower
lower(Text({text!r}), Request.of({None if named else "cpu"!r}), until="loop")
print([name for name in sys.modules if name.startswith("terrace.lowering.target.") and name.endswith(".backend")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cpu.backend" in done.stdout and "hls" not in done.stdout and "gpu" not in done.stdout


# -- requests ---------------------------------------------------------------------------------------------------------


def test_a_request_is_checked_wherever_it_is_made() -> None:
    with pytest.raises(CompileError, match="unknown precision 'low'; known are highest, high, medium"):
        Request.of(precision="low")
    with pytest.raises(CompileError, match="unknown precision 'low'"):
        dataclasses.replace(Request(), precision="low")  # type: ignore[arg-type]
    with pytest.raises(CompileError, match=f"unknown option 'fast'; known are {', '.join(OPTIONS)}"):
        Request.of(options={"fast": True})
    with pytest.raises(CompileError, match="unknown option 'target'"):
        Request.of(options={"target": "cpu"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        Request().quantize = "int8"  # type: ignore[misc]


def test_a_target_has_nothing_left_open() -> None:
    assert Request.of().target is None
    resolved = Request.of("cpu").target
    assert resolved is not None and resolved == Request().resolved() and resolved.cpu is not None
    assert Request().resolved(Target("hls")).name == "hls"
    assert Request.of("cpu").resolved(Target("hls")).name == "cpu"


def test_the_precision_follows_pytorch() -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        assert Request.of().precision == "medium"
        assert Request.of(precision="high").precision == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
