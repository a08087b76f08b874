"""The points at which a compile runs a user's passes, and the passes of other packages."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import terrace
from terrace.compiler import Request, Text, lower
from terrace.lowering.pipeline.user_passes import POINTS, user_passes
from terrace.mlir import ir, walk
from terrace.passes import Pass, UpstreamPass, fail

MODEL = """
func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
  %1 = "graph.relu"(%0) : (tensor<4x16xf32>) -> tensor<4x16xf32>
  return %1 : tensor<4x16xf32>
}
"""


@dataclasses.dataclass(frozen=True)
class Look(Pass):
    """Writes down which ops it sees."""

    name = "look"
    seen: ClassVar[list[set[str]]] = []

    def run(self, module: ir.Operation) -> None:
        """Look."""
        self.seen.append({op.name for op in walk(module)})


@dataclasses.dataclass(frozen=True)
class LeaveMemref(Pass):
    """Makes an op that is not legal above the loops."""

    name = "leave-memref"

    def run(self, module: ir.Operation) -> None:
        """Make it."""
        main = module.regions[0].blocks[0].operations[0]
        with ir.InsertionPoint.at_block_begin(main.entry_block), main.location:
            ir.Operation.create("memref.alloc", [ir.Type.parse("memref<4xf32>")], attributes={
                "operandSegmentSizes": ir.DenseI32ArrayAttr.get([0, 0])})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Refuse(Pass):
    """Refuses the first op."""

    name = "refuse"

    def run(self, module: ir.Operation) -> None:
        """Refuse it."""
        raise fail(module.regions[0].blocks[0].operations[0], "is not to my liking")


def passes(**at: Any) -> dict[str, Any]:
    return {"passes": {name.replace("_", "-"): given for name, given in at.items()}}


@pytest.mark.parametrize(
    ("point", "is_there"),
    [
        ("after-import", lambda ops: {"graph.matmul", "graph.relu"} <= ops and "graph.fusion" not in ops),
        ("after-graph", lambda ops: "graph.fusion" in ops),
        ("before-schedule", lambda ops: "func.call" in ops and "graph.fusion" not in ops),
        ("after-kernel", lambda ops: "kernel.schedule" in ops),
        ("after-loop", lambda ops: "loop.parallel" in ops and "kernel.schedule" not in ops),
        ("after-iree", lambda ops: "stream.executable" in ops),
    ],
)
def test_each_point_sees_its_level(point: str, is_there: Callable[[set[str]], bool]) -> None:
    Look.seen.clear()
    lower(Text(MODEL), Request.of(options={"passes": {point: [Look()]}}))
    (ops,) = Look.seen
    assert is_there(ops), ops


def test_the_hardware_target_has_a_last_point_of_its_own() -> None:
    Look.seen.clear()
    lower(Text(MODEL), Request.of("hls", options=passes(after_hls=[Look()])))
    assert len(Look.seen) == 1
    with pytest.raises(terrace.CompileError, match="last level of this target is 'hls': it has no 'after-iree'"):
        lower(Text(MODEL), Request.of("hls", options=passes(after_iree=[Look()])))
    with pytest.raises(terrace.CompileError, match="last level of this target is 'iree': it has no 'after-hls'"):
        lower(Text(MODEL), Request.of(options=passes(after_hls=[Look()])))


def test_what_a_pass_changes_stays_changed() -> None:
    """A pass of MLIR's, as text, between ours."""
    text = MODEL.replace(
        '%1 = "graph.relu"', '%2 = "graph.exp"(%0) : (tensor<4x16xf32>) -> tensor<4x16xf32>\n  %1 = "graph.relu"'
    )
    lowered = lower(Text(text), Request.of(options=passes(after_import="canonicalize,func.func(cse)")), until="graph")
    assert "graph.exp" not in lowered.ir["graph"]


def test_passes_in_every_form() -> None:
    cse, dce = UpstreamPass("cse"), UpstreamPass("symbol-dce")
    for given in ("cse,symbol-dce", ["cse", dce], [cse, "symbol-dce"], (cse, dce), ["cse,symbol-dce"]):
        assert user_passes({"after-loop": given}) == {"after-loop": [cse, dce]}
    assert user_passes({"after-loop": cse}) == {"after-loop": [cse]}


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"after-grph": []}, terrace.CompileError, "unknown point 'after-grph'; did you mean 'after-graph'"),
        ({"later": []}, terrace.CompileError, f"known are {', '.join(POINTS)}"),
        ([Refuse()], terrace.CompileError, "must map points to lists of passes"),
        ({"after-graph": 3}, terrace.CompileError, "at 'after-graph' must be a list of passes or pipeline text, got 3"),
        ({"after-graph": [Refuse]}, terrace.CompileError, "must be a list of passes"),
        ({"after-graph": "csee"}, terrace.PipelineError, "unknown pass 'csee'; did you mean 'cse'"),
    ],
)
def test_wrong_options(option: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lower(Text(MODEL), Request.of(options={"passes": option}))


def test_points_that_are_never_reached_are_refused() -> None:
    text = lower(Text(MODEL), until="kernel").ir["kernel"]
    with pytest.raises(terrace.CompileError, match="at the level 'kernel', past the passes of 'after-graph'"):
        lower(Text(text), Request.of(options=passes(after_graph="cse")))
    lower(Text(text), Request.of(options=passes(before_schedule="cse")))
    program = lower(Text(MODEL)).ir["iree"]
    with pytest.raises(
        terrace.CompileError, match="at the level 'iree', past the passes of 'after-loop' and 'after-iree'"
    ):
        lower(Text(program), Request.of(options=passes(after_loop="cse", after_iree="cse")))


def test_an_error_names_the_users_pass() -> None:
    with pytest.raises(terrace.PassError, match=r"(?s)is not to my liking.*pass 'refuse' failed"):
        lower(Text(MODEL), Request.of(options=passes(after_graph=[Refuse()])))


def test_what_is_illegal_is_found_right_after_the_users_pass() -> None:
    with pytest.raises(terrace.PassError, match=r"'memref.alloc' op is not legal .*found after pass 'leave-memref'"):
        lower(Text(MODEL), Request.of(options=passes(after_import=[LeaveMemref(), Refuse()])))


# ---------------------------------------------------------------------------------------------------------------------
# Entry points
# ---------------------------------------------------------------------------------------------------------------------

COUNT_OPS = Path(__file__).resolve().parents[1] / "tools" / "opt" / "Inputs" / "count_ops.py"


def terrace_opt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run terrace-opt with what lies in `folder` installed."""
    return subprocess.run(
        [sys.executable, "-m", "terrace.tools.opt", *arguments],
        input="func.func @f() { return }",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


def install(folder: Path, package: str, entries: dict[str, str]) -> None:
    """A distribution as pip leaves it, with entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = {value}" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[terrace.passes]\n{lines}\n")
    (folder / "their_passes.py").write_text(COUNT_OPS.read_text())


def test_installed_passes_are_listed_and_run(tmp_path: Path) -> None:
    install(tmp_path, "theirs", {"count-ops": "their_passes:CountOps", "gone": "their_passes:Gone"})
    listed = terrace_opt(tmp_path, "--list-passes").stdout
    assert "Passes of other packages:\n  count-ops  Write the number of ops" in listed
    assert "  gone       broken: pass 'gone', the entry point their_passes:Gone of the package theirs, cannot" in listed
    assert "--count-ops\n      Write the number" in terrace_opt(tmp_path, "--help").stdout
    for arguments in (["--count-ops=at-most=9"], ["--pass-pipeline=builtin.module(cse,count-ops{at-most=9})"]):
        assert "test.ops = 2" in terrace_opt(tmp_path, *arguments).stdout
    near = terrace_opt(tmp_path, "--pass-pipeline=count-op").stderr
    assert "unknown pass 'count-op'; did you mean 'count-ops'" in near


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"x": "their_passes:CountOps"}, "calls itself 'count-ops'"),
        ({"x": "their_passes:fail"}, "is no subclass of terrace.passes.Pass"),
        ({"x": "nowhere:CountOps"}, "cannot be imported: No module named 'nowhere'"),
    ],
)
def test_a_broken_installed_pass_says_whose_it_is(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    install(tmp_path, "theirs", entries)
    done = terrace_opt(tmp_path, "--x")
    assert done.returncode == 2
    assert "of the package theirs" in done.stderr and message in done.stderr


def test_a_pass_of_two_packages_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "theirs", {"count-ops": "their_passes:CountOps"})
    install(tmp_path, "others", {"count-ops": "other_passes:CountOps"})
    done = terrace_opt(tmp_path, "--count-ops")
    assert done.returncode == 2 and "pass 'count-ops' is defined twice" in done.stderr


def test_a_plugin_cannot_replace_a_pass(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(COUNT_OPS.read_text().replace('"count-ops"', '"cse"'))
    done = terrace_opt(tmp_path, f"--load-pass-plugin={plugin}", "--cse")
    assert done.returncode == 2 and "defines a pass 'cse', which is the name of a pass" in done.stderr
