"""Reproducers: each file is there, is small, and the command in it and in the message fails in the same way."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import terrace
from terrace.compiler import Request, Text, lower
from terrace.dialects.context import create_context
from terrace.failing_op import op_at
from terrace.lowering.debugging.commands import compile_command, errors_in, shell_text
from terrace.mlir import arith, ir
from terrace.passes import Pass, PassRaisedError
from terrace.processes import run_program
from terrace.tools import reduce
from terrace.tools.reduce import main as reduce_tool

sys.path.insert(0, str(Path(__file__).parent / "Inputs"))

from failing_passes import BreakTypes, FailHere, RefuseOp, SlipOnTwo

INPUTS = Path(__file__).parent / "Inputs"
MODEL = """
"graph.parameter"() {sym_name = "w", type = tensor<16x16xf32>} : () -> ()
func.func @main(%x: tensor<4x8xf32>, %v: tensor<8x16xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<16x16xf32>
  %0 = "graph.matmul"(%x, %v) {transpose_rhs = false} : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
  %1 = "graph.relu"(%0) : (tensor<4x16xf32>) -> tensor<4x16xf32>
  %2 = "graph.softmax"(%1) {axis = 1 : i64} : (tensor<4x16xf32>) -> tensor<4x16xf32>
  %3 = "graph.matmul"(%2, %w) {transpose_rhs = false} : (tensor<4x16xf32>, tensor<16x16xf32>) -> tensor<4x16xf32>
  return %1, %3 : tensor<4x16xf32>, tensor<4x16xf32>
}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reproducers go here."""
    monkeypatch.setenv("TERRACE_REPRODUCER_DIR", str(tmp_path / "out"))
    return tmp_path / "out"


def failing(compile_: Callable[[], Any]) -> terrace.CompileError:
    with pytest.raises(terrace.CompileError) as caught:
        compile_()
    return caught.value


def with_pass(point: str, *passes: Pass | str) -> terrace.CompileError:
    """The error of compiling MODEL, which needs no parameters for it, with passes at a point."""
    return failing(lambda: lower(Text(MODEL), Request.of(options={"passes": {point: list(passes)}})))


def run_again(error: terrace.CompileError, folder: Path) -> tuple[str, str]:
    """The module in the only file of `folder`, and what its command says; the message and the file hold the command."""
    (file,) = folder.iterdir()
    command, _, module = file.read_text().partition("\n")
    command = command.removeprefix("// ")
    assert str(error).endswith(f"fails in the same way:\n  {command}") and str(file) in command
    words = shlex.split(command)
    tool = {"terrace-opt": "terrace.tools.opt", "terrace-compile": "terrace.tools.compile"}[words[0]]
    environment = {**os.environ, "TERRACE_REPRODUCER_DIR": "off"}
    done = subprocess.run(
        [sys.executable, "-m", tool, *words[1:]], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    return module, done.stderr


def test_the_kernel_that_fails_is_left_alone(folder: Path) -> None:
    error = with_pass("after-kernel", "cse", RefuseOp())
    module, said = run_again(error, folder)
    assert "'graph.softmax' op is not wanted" in said and "'graph.softmax' op is not wanted" in str(error)
    assert "pass 'refuse-op' failed" in said
    assert module.count("func.func") == 1 and "graph.matmul" not in module and "graph.parameter" not in module


def test_what_fails_together_stays_together(folder: Path) -> None:
    """Two ops of one function; what lies between them goes, and so do the symbols that nothing needs."""
    error = with_pass("after-import", SlipOnTwo())
    assert isinstance(error, PassRaisedError) and "raised KeyError at" in str(error)
    module, said = run_again(error, folder)
    assert "raised KeyError at" in said and "'graph.matmul'" in said
    assert module.count("graph.matmul") == 2 and "graph.softmax" not in module and "graph.relu" not in module


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_traceback_that_holds_an_op_that_was_not_made() -> None:
    """Its constructor raised: a number that no attribute holds."""
    with create_context(), ir.Location.unknown(), ir.InsertionPoint(ir.Module.create().body):
        with pytest.raises(RuntimeError) as caught:
            arith.constant(ir.IndexType.get(), 1 << 80)
        assert op_at(caught.tb) is None


def test_a_pass_of_terrace_with_its_options(folder: Path) -> None:
    text = lower(Text(MODEL), until="kernel").ir["kernel"].replace('generator = "row_reduction"', 'generator = "none"')
    error = failing(lambda: lower(Text(text)))
    module, said = run_again(error, folder)
    assert "names no generator 'none'" in said
    assert "--pass-pipeline='builtin.module(convert-kernel-to-loop)'" in str(error)
    assert module.count("func.func") == 1 and "softmax" in module


def test_a_pass_that_leaves_invalid_ir(folder: Path) -> None:
    module, said = run_again(with_pass("after-loop", BreakTypes()), folder)
    assert "type of return operand" in said or "does not match" in said or "entry block" in said
    assert len(module.splitlines()) < 12


def test_what_a_users_pass_leaves_illegal_begins_at_that_pass(folder: Path) -> None:
    error = with_pass(
        "before-schedule", "func.func(convert-linalg-to-loops)", "empty-tensor-to-alloc-tensor", RefuseOp()
    )
    assert "refuse-op" in str(error)
    run_again(error, folder)


def test_a_failure_where_the_text_cannot_be_read_starts_higher_up(folder: Path) -> None:
    """After convert-loop-to-iree the module holds attributes of IREE's: the command begins at the loops."""
    text = (INPUTS / "cnn.mlir").read_text().replace("@cnn", "@main")
    passes = {"after-iree": [RefuseOp(op="stream.executable")]}
    error = failing(lambda: lower(Text(text), Request.of(options={"passes": passes})))
    module, said = run_again(error, folder)
    assert "'stream.executable' op is not wanted" in said
    assert "stream.executable" not in module and "loop.parallel" in module


def test_what_no_command_shows_is_not_claimed(folder: Path) -> None:
    error = with_pass("after-graph", FailHere(process=os.getpid()))
    assert "no command of Terrace's tools fails alike" in str(error)
    assert "fails in the same way" not in str(error)
    assert len(list(folder.iterdir())) == 2, "the module before the pass, and before the pipeline"


def test_a_script_is_not_run_for_its_passes(tmp_path: Path, folder: Path) -> None:
    """A script that defines a pass and compiles would compile again."""
    script = tmp_path / "script.py"
    source = (INPUTS / "failing_passes.py").read_text()
    script.write_text(
        f"{source}\nfrom terrace.compiler import Request, Text, lower\nopen('runs', 'a').write('x')\n"
        f"lower(Text('''{MODEL}'''), Request.of(options={{'passes': {{'after-graph': [RefuseOp()]}}}}))\n"
    )
    done = subprocess.run([sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "no command of Terrace's tools fails alike" in done.stderr
    assert (tmp_path / "runs").read_text() == "x"


def test_where_files_go(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = {"after-graph": [RefuseOp()]}
    elsewhere = tmp_path / "a b" / "c"
    error = failing(lambda: lower(Text(MODEL), Request.of(options={"passes": passes, "reproducer_dir": elsewhere})))
    run_again(error, elsewhere)
    error = failing(lambda: lower(Text(MODEL), Request.of(options={"passes": passes, "reproducer_dir": "off"})))
    assert not folder.exists() and "holds" not in str(error)
    blocked = tmp_path / "file"
    blocked.write_text("")
    error = failing(lambda: lower(Text(MODEL), Request.of(options={"passes": passes, "reproducer_dir": blocked})))
    assert "is not wanted" in str(error) and "no reproducer was written" in str(error)
    monkeypatch.delenv("TERRACE_REPRODUCER_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a b"))
    error = failing(lambda: lower(Text(MODEL), Request.of(options={"passes": passes})))
    assert f"{tmp_path}/a b/terrace-reproducer-" in str(error)
    with pytest.raises(terrace.CompileError, match="option 'reproducer_dir' must be a path, got 3"):
        lower(Text(MODEL), Request.of(options={"reproducer_dir": 3}))


# ---------------------------------------------------------------------------------------------------------------------
# iree-compile
# ---------------------------------------------------------------------------------------------------------------------


def test_a_crash_of_iree_is_cut_to_the_executable(folder: Path) -> None:
    """An llvm.func aborts IREE's compiler. Sizes are dynamic, and only IREE can read the attributes in this program."""
    text = lower(Text((INPUTS / "cnn.mlir").read_text().replace("@cnn", "@main"))).ir["iree"]
    head, inner, tail = text.rpartition('"builtin.module"() ({')
    broken = (
        '"llvm.func"() <{CConv = #llvm.cconv<ccc>, function_type = !llvm.func<f32 (f32)>, '
        'linkage = #llvm.linkage<external>, sym_name = "expf", visibility_ = 0 : i64}> ({}) : () -> ()'
    )
    error = failing(lambda: terrace.compile_mlir(f"{head}{inner}\n{broken}\n{tail}", {}))
    assert "iree-compile crashed with SIG" in str(error) and "workgroup_local" in text
    module, said = run_again(error, folder)
    assert errors_in(said) == errors_in(f"error: {error}")
    assert "llvm.func" in module
    for op in ('"stream.executable"', '"flow.dispatch"'):
        assert module.count(op) == 1 and text.count(op) > 5


def test_a_part_that_never_ends_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its compiler is in a group of its own, which the trial takes along."""
    command = ["sleep", "73.219"]
    monkeypatch.setattr(reduce, "_run", lambda _: run_program(command, tmp_path))
    began = time.monotonic()
    assert reduce._errors([], began + 0.5) == []
    assert time.monotonic() - began < 30

    def is_left(process: Path) -> bool:
        with contextlib.suppress(OSError):  # It has ended.
            return (process / "cmdline").read_bytes().split(b"\0")[:2] == [word.encode() for word in command]
        return False

    assert not any(map(is_left, Path("/proc").glob("[0-9]*")))


# ---------------------------------------------------------------------------------------------------------------------
# Commands
# ---------------------------------------------------------------------------------------------------------------------


def test_a_program_for_a_gpu_names_it() -> None:
    command = compile_command(Path("p.mlir"), terrace.Target("vulkan", gpu="llvmpipe"), ["--x=1"])
    assert command == ["terrace-compile", "p.mlir", "-o", "p.terrace", "--target=vulkan", "--cpu-features=",
                       "--gpu=llvmpipe", "--iree-flag=--x=1"]  # fmt: skip


def test_commands_as_typed() -> None:
    command = ["terrace-opt", "a b.mlir", "--pass-pipeline=builtin.module(cse{x=1})", "--flag", "--x=1", "-o"]
    typed = "terrace-opt 'a b.mlir' --pass-pipeline='builtin.module(cse{x=1})' --flag --x=1 -o"
    assert shell_text(command) == typed
    assert shlex.split(typed) == command


def test_errors_are_compared_without_places_and_values() -> None:
    told = "f.mlir:3:4: error: 'x.y' op is bad: %12 = ...\nf.mlir:9:1: error: another\nnote: error: none"
    assert errors_in(told) == ["'x.y' op is bad:"]
    told = "terrace-compile: error: iree-compile crashed with SIGSEGV (flags: --a --b):\n<stdin>:1:2: error: failed"
    assert errors_in(told) == ["iree-compile crashed", "failed"]
    assert errors_in("error: iree-compile crashed with SIGKILL (flags: )") == ["iree-compile crashed with SIGKILL"]
    assert errors_in("all is well") == []


def test_nothing_in_the_current_folder_is_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a file of the user's overwritten that is called as a trial could be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numpy.py").write_text("open('ran', 'w').close()\nraise ImportError('planted')\n")
    error = with_pass("after-kernel", "cse", RefuseOp())
    assert "this command fails in the same way" in str(error)
    assert not (tmp_path / "ran").exists()
    (file,) = folder.iterdir()
    mine = file.with_name(f"{file.stem}.trial{file.suffix}")
    mine.write_text("mine")
    words = shlex.split(file.read_text().partition("\n")[0].removeprefix("// "))
    assert reduce_tool([str(file), "--", *words]) == 0
    assert mine.read_text() == "mine" and sorted(folder.iterdir()) == sorted([file, mine])
