"""Each level's text is an entry: it gives the same program, and an edited schedule gives other loops, same results."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import terrace
import torch
from e2e_models import assert_close, eager, example
from terrace import levels
from terrace.compiler import Lowered, PyTorch, Text, lower
from terrace.dialects.context import create_context
from terrace.lowering.kernels.schedule import Cut, Schedule
from terrace.lowering.kernels.view import is_kernel, schedule_op
from terrace.mlir import ir, parse_module
from terrace.runtime.model import CompiledModel
from torch import nn

LEVELS = (*levels.LEVELS, "iree")


class SmallCnn(nn.Module):
    """A convolution of each kind, batch norm, a residual, a pool and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.pointwise = nn.Conv2d(32, 32, 1)
        self.classifier = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.pointwise(self.depthwise(x)))
        return self.classifier(x.mean([2, 3]))


def small_cnn() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    return SmallCnn().eval(), (torch.randn(2, 3, 20, 20),)


def transformer_block() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    module = example("bert_base")
    torch.manual_seed(0)
    model = module.Layer(64, 4, 160)
    module.randomize(model)
    return model.eval(), (torch.randn(1, 37, 64),)


@dataclasses.dataclass(frozen=True)
class Case:
    """A model, lowered and compiled, with all that its texts read."""

    model: nn.Module
    args: tuple[torch.Tensor, ...]
    lowered: Lowered
    compiled: CompiledModel
    parameters: dict[str, np.ndarray]


@pytest.fixture(scope="module", params=[small_cnn, transformer_block])
def case(request: pytest.FixtureRequest) -> Case:
    model, args = request.param()
    lowered = lower(PyTorch(model, args))
    sources = {**lowered.symbols, **lowered.parameters}
    return Case(model, args, lowered, CompiledModel(lowered.artifact()), {name: sources[name]() for name in sources})


def test_it_agrees_with_eager(case: Case) -> None:
    assert_close(case.compiled(*case.args), eager(case.model, *case.args))


@pytest.mark.parametrize("level", LEVELS)
def test_a_text_gives_the_same_program(case: Case, level: str) -> None:
    """The same texts further down, to the letter, and the same results, to the bit."""
    again = lower(Text(case.compiled.ir(level), case.parameters))
    assert again.ir == {below: case.lowered.ir[below] for below in LEVELS[LEVELS.index(level) :]}
    compiled = CompiledModel(again.artifact())
    assert compiled.signature == case.compiled.signature
    assert torch.equal(compiled(*case.args), case.compiled(*case.args))


@pytest.mark.parametrize("level", LEVELS)
def test_lowering_stops_where_it_is_told_to(case: Case, level: str) -> None:
    stopped = lower(Text(case.compiled.ir("graph"), case.parameters), until=level)
    assert stopped.ir == {above: case.lowered.ir[above] for above in LEVELS[: LEVELS.index(level) + 1]}


def test_a_text_is_not_raised(case: Case) -> None:
    with pytest.raises(terrace.CompileError, match="the text is at the level 'loop'"):
        lower(Text(case.compiled.ir("loop"), case.parameters), until="kernel")


# ---------------------------------------------------------------------------------------------------------------------
# Edited schedules
# ---------------------------------------------------------------------------------------------------------------------

Edit = Callable[[Schedule], Schedule]
"""Gives another schedule; the same one leaves the kernel alone."""


def edit_schedules(text: str, edit: Edit) -> str:
    """Kernel text whose schedules `edit` has changed, by the bindings."""
    context = create_context()
    module = parse_module(text, context)
    with context, ir.Location.unknown():
        for function in [op for op in module.body.operations if is_kernel(op)]:
            op = schedule_op(function).operation
            op.attributes["schedule"] = edit(Schedule.from_attribute(op.attributes["schedule"])).to_attribute()
        return module.operation.get_asm()


def with_cut(schedule: Schedule, cut: Cut) -> Schedule:
    return Schedule(tuple(cut if old.memory == cut.memory else old for old in schedule.cuts))


def smaller_tiles(schedule: Schedule) -> Schedule:
    """Half as many rows or pixels in a register tile."""
    cut = schedule.cut("register")
    rows = "ow" if "ow" in cut.sizes else "m"
    if cut.sizes.get(rows, 1) < 2:
        return schedule
    return with_cut(schedule, dataclasses.replace(cut, sizes={**cut.sizes, rows: cut.sizes[rows] // 2}))


def sequential(schedule: Schedule) -> Schedule:
    """No parallel dimensions."""
    return with_cut(schedule, dataclasses.replace(schedule.cut("local"), parallel=()))


def nothing_packed(schedule: Schedule) -> Schedule:
    """Nothing packed ahead."""
    return with_cut(schedule, Cut("device"))


@pytest.mark.parametrize("edit", [smaller_tiles, sequential, nothing_packed])
def test_an_edited_schedule_changes_the_loops_only(case: Case, edit: Edit) -> None:
    edited = lower(Text(edit_schedules(case.compiled.ir("kernel"), edit), case.parameters))
    assert edited.ir["loop"] != case.lowered.ir["loop"]
    assert edited.ir["kernel"] != case.lowered.ir["kernel"], "the edited schedule is kept"
    assert_close(CompiledModel(edited.artifact())(*case.args), eager(case.model, *case.args))


# ---------------------------------------------------------------------------------------------------------------------
# Determinism
# ---------------------------------------------------------------------------------------------------------------------


def test_the_same_model_gives_the_same_bytes(case: Case, tmp_path: Path) -> None:
    case.compiled.save(tmp_path / "first.terrace")
    terrace.compile(case.model, case.args).save(tmp_path / "second.terrace")
    assert (tmp_path / "first.terrace").read_bytes() == (tmp_path / "second.terrace").read_bytes()


def test_threads_do_not_change_results(case: Case, tmp_path: Path) -> None:
    one = terrace.compile(case.model, case.args, target=terrace.Target(threads=1))
    assert_close(one(*case.args), case.compiled(*case.args))
    case.compiled.save(tmp_path / "all.terrace")
    alone = terrace.load(tmp_path / "all.terrace", threads=1)
    assert torch.equal(alone(*case.args), case.compiled(*case.args)), "one program, however many run it"


# ---------------------------------------------------------------------------------------------------------------------
# terrace-compile
# ---------------------------------------------------------------------------------------------------------------------


def tool(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "terrace.tools.compile", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_tool_writes_every_level_and_reads_them_back(tmp_path: Path) -> None:
    """In processes of their own: a model to a dump, and a text of the dump to the same program."""
    lenet = Path(__file__).parents[2] / "examples" / "models" / "lenet.py"
    done = tool(f"{lenet}:build", "-o", tmp_path / "m.terrace", "--dump-dir", tmp_path / "dump", "--report")
    assert done.returncode == 0, done.stderr
    assert "of the MACs run Terrace's code" in done.stdout
    model, (x,) = example("lenet").build()
    expected = terrace.load(tmp_path / "m.terrace")(x)
    assert_close(expected, eager(model, x))
    archive = tmp_path / "dump" / "parameters.irpa"
    done = tool(tmp_path / "dump" / "kernel.mlir", "--parameters", archive, "-o", tmp_path / "again.terrace")
    assert done.returncode == 0, done.stderr
    assert torch.equal(terrace.load(tmp_path / "again.terrace")(x), expected)
    for level in ("graph", "loop", "iree"):
        text = (tmp_path / "dump" / f"{level}.mlir").read_text()
        assert torch.equal(terrace.compile_mlir(text, archive)(x), expected)


BUFFERS = """
func.func private @difference(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> attributes {loop.kernel} {
  %mb = "loop.to_buffer"(%b) : (tensor<4xf32>) -> memref<4xf32>
  %ma = "loop.to_buffer"(%a) : (tensor<4xf32>) -> memref<4xf32>
  %c = memref.alloc() : memref<4xf32>
  %c1 = arith.constant 1 : index
  %c0 = arith.constant 0 : index
  "loop.parallel"(%c1) ({
  ^bb0(%i: index):
    %x = "loop.load_tile"(%ma, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<4xf32>, index) -> vector<4xf32>
    %y = "loop.load_tile"(%mb, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<4xf32>, index) -> vector<4xf32>
    %z = arith.subf %x, %y : vector<4xf32>
    "loop.store_tile"(%z, %c, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<4xf32>, memref<4xf32>, index) -> ()
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  %r = "loop.to_tensor"(%c) : (memref<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
}
func.func @main(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @difference(%a, %b) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
"""


def test_the_order_of_buffers_in_a_text_does_not_matter() -> None:
    compiled = terrace.compile_mlir(BUFFERS)
    np.testing.assert_array_equal(compiled(np.full(4, 3, np.float32), np.ones(4, np.float32)), np.full(4, 2))
