"""The user's source lines reach every level, so that an error anywhere can name the line to change."""

from __future__ import annotations

import linecache
from pathlib import Path

import torch
from terrace.compiler.pipelines import graph_pipeline, kernel_pipeline, loop_pipeline
from terrace.dialects.context import create_context
from terrace.frontend import import_model
from terrace.lowering.target.cpu.backend import CpuBackend
from terrace.mlir import ir, walk
from terrace.passes import describe_location, run_passes
from terrace.target import CpuDescription, Target

HERE = Path(__file__).name


class Model(torch.nn.Module):
    """A convolution with its epilogue, a softmax, and an op that IREE's code generation runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x).relu()  # line: conv
        x = torch.softmax(x, -1)  # line: softmax
        return x.cumsum(-1)  # line: cumsum


def _lines(module: ir.Operation) -> set[str]:
    """The source lines of this file that ops of `module` stand for, by their `line:` comments."""
    found = set()
    for operation in walk(module):
        file, _, rest = describe_location(operation.location).partition(":")
        if Path(file).name == HERE:
            found.add(linecache.getline(__file__, int(rest.partition(":")[0])).partition("# line: ")[2].strip())
    return found


def test_lines_survive_every_level() -> None:
    context = create_context()
    module = import_model(Model().eval(), (torch.randn(1, 3, 8, 8),), context=context).module.operation
    backend = CpuBackend(Target(features=(), cpu=CpuDescription()))
    expected = {"conv", "softmax", "cumsum"}
    with context, ir.Location.unknown():
        for passes in (
            graph_pipeline(),
            kernel_pipeline(backend.schedule()),
            loop_pipeline(backend.rest()),
            backend.lower(),
        ):
            run_passes(passes, module)
            assert expected <= _lines(module), [str(p) for p in passes]


def test_loops_stand_for_the_line_of_their_op() -> None:
    context = create_context()
    module = import_model(Model().eval(), (torch.randn(1, 3, 8, 8),), context=context).module.operation
    backend = CpuBackend(Target(features=(), cpu=CpuDescription()))
    with context, ir.Location.unknown():
        run_passes([*graph_pipeline(), *kernel_pipeline(backend.schedule()), *loop_pipeline(backend.rest())], module)
        contractions = [op for op in walk(module) if op.name == "loop.contract_tile"]
        assert contractions
        for operation in contractions:
            file, line, _ = describe_location(operation.location).split(":")
            assert Path(file).name == HERE
            assert "line: conv" in linecache.getline(__file__, int(line))
