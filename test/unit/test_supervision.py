"""Limits and crashes: what a pass or a text does to the process, and what is said of it."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest
import terrace
from terrace.dialects.context import create_context
from terrace.errors import CompileError, PassError
from terrace.failing_op import op_that_ends
from terrace.mlir import ir, parse_module, walk
from terrace.passes import LimitError, Pass, UpstreamPass, run_passes
from terrace.supervision import MEMORY_VARIABLE, SECONDS_VARIABLE, Limits, announce, rehearse

RELU = """\
func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> {
  %0 = "graph.relu"(%a) : (tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
"""
SOON = Limits(0.5, 1 << 40)


@dataclasses.dataclass(frozen=True)
class NeverEnds(Pass):
    """Loops at the first relu."""

    name = "never-ends"

    def run(self, module: ir.Operation) -> None:
        for op in walk(module):
            while op.name == "graph.relu":
                time.sleep(0.01)


@dataclasses.dataclass(frozen=True)
class TakesAll(Pass):
    """Fills the memory."""

    name = "takes-all"

    def run(self, module: ir.Operation) -> None:
        taken = []
        while len(taken) < 4000:
            taken.append(bytearray(b"x") * (1 << 20))


@dataclasses.dataclass(frozen=True)
class ErasesWhatIsUsed(Pass):
    """Erases a relu that the terminator uses."""

    name = "erases-what-is-used"

    def run(self, module: ir.Operation) -> None:
        for op in walk(module):
            if op.name == "graph.relu":
                op.erase()


def relu() -> ir.Operation:
    return parse_module(RELU, create_context()).operation


def test_a_pass_that_never_ends_is_ended_and_named_with_its_op(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "0.5")
    with pytest.raises(LimitError, match=r"-:2:8: error: pass 'never-ends' took longer than 0\.5 s .*at 'graph.relu'"):
        run_passes([NeverEnds()], relu())


def test_a_pass_that_fills_the_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    monkeypatch.setenv(MEMORY_VARIABLE, str(used + 200))
    with pytest.raises(LimitError, match="'takes-all' used more than"):
        run_passes([TakesAll()], relu())


def test_the_line_that_erases_a_used_op_is_shown() -> None:
    with pytest.raises(PassError, match=r"cannot be erased while 'func.return' op uses") as caught:
        run_passes([ErasesWhatIsUsed()], relu())
    assert caught.value.__cause__ is not None
    assert "run" in [frame.name for frame in traceback.extract_tb(caught.value.__cause__.__traceback__)]


def test_a_rehearsal_tells_crashes_and_limits_by_step() -> None:
    def crash() -> None:
        announce("step two")
        ctypes.string_at(0)

    assert rehearse(lambda: None, SOON) is None
    assert rehearse(lambda: 1 / 0, SOON) is None
    crashed = rehearse(crash, SOON)
    assert crashed is not None and crashed.crashed and crashed.reason == "crashed with SIGSEGV"
    assert crashed.step == "step two"
    slow = rehearse(lambda: time.sleep(60), SOON)
    assert slow is not None and not slow.crashed and "took longer than 0.5 s" in slow.reason


@pytest.mark.parametrize(("op", "times"), [("graph.relu", 1), ("graph.tanh", 0)])
def test_a_pass_is_rehearsed_for_the_ops_that_it_is_there_for(
    op: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsed: list[Limits] = []
    monkeypatch.setattr("terrace.passes.rehearse", lambda work, limits: rehearsed.append(limits))
    module = parse_module(RELU, create_context())
    run_passes([UpstreamPass("symbol-dce", lambda found: found.name == op)], module.operation)
    assert len(rehearsed) == times


def test_ctrl_c_ends_a_rehearsal_at_once() -> None:
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        rehearse(lambda: time.sleep(60), Limits(100, 1 << 40))
    assert time.monotonic() - began < 5
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # Nothing is left behind.


def test_the_op_that_ends_a_native_pass_badly_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_alone(text: str, op: ir.Operation) -> None:
        if op.name == "graph.relu":
            ctypes.string_at(0)

    monkeypatch.setattr("terrace.failing_op._run_alone", run_alone)
    found = op_that_ends("inline", relu())
    assert found is not None and found.name == "graph.relu"


def test_a_native_pass_that_crashes_leaves_the_process_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrace.passes.rehearse", lambda work, limits: rehearse(lambda: ctypes.string_at(0), limits))
    with pytest.raises(LimitError, match="pass 'inline' crashed with SIGSEGV"):
        run_passes([UpstreamPass("inline")], relu())


def test_text_that_is_nested_too_deeply_is_an_error() -> None:
    with pytest.raises(CompileError, match="reading the text crashed with SIGSEGV"):
        terrace.compile_mlir(f"module attributes {{a = {'[' * 100_000}{']' * 100_000}}} {{}}")


def test_a_command_ends_by_a_signal_to_it() -> None:
    """The parent passes the signal on, and nothing of the command is left."""
    code = (
        "import sys, time; sys.argv[1:] = []\n"
        "from terrace.supervision import enter_supervised\n"
        "enter_supervised('tool'); print('started', flush=True)\n"
        "try: time.sleep(60)\n"
        "except KeyboardInterrupt: print('interrupted'); sys.exit(130)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "interrupted\n"
        assert process.wait(10) == 130


TUPLE = """"graph.parameter"() {sym_name = "w", type = tensor<2xf32>} : () -> ()
"graph.constant"() ({
  %0 = "graph.load"() {symbol = @LOADED} : () -> tensor<2xf32>
  %1 = builtin.unrealized_conversion_cast %0, %0 : tensor<2xf32>, tensor<2xf32> to tuple<tensor<2xf32>, tensor<2xf32>>
  "graph.yield"(%1) : (tuple<tensor<2xf32>, tensor<2xf32>>) -> ()
}) {sym_name = "c", type = tuple<tensor<2xf32>, tensor<2xf32>>} : () -> ()
"graph.part"() {sym_name = "p", type = tensor<2xf32>, constant = @c, number = 1 : i64} : () -> ()
func.func @main() -> tensor<2xf32> {
  %0 = "graph.load"() {symbol = @p} : () -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
"""
PARTS = TUPLE.replace("@LOADED", "@w")
TEXTS = {
    "a part of none": (PARTS.replace("number = 1", "number = 2"), ":7:1: error: .* is value 2 of @c, which has 2"),
    "a part before the first": (PARTS.replace("number = 1", "number = -1"), "is value -1 of @c, which has 2"),
    "a part of another type": (
        PARTS.replace('"p", type = tensor<2xf32>', '"p", type = tensor<3xf32>'),
        "@c is of type tensor<2xf32>, not tensor<3xf32>",
    ),
    "a part of a parameter": (PARTS.replace("constant = @c", "constant = @w"), "@w names a 'graph.parameter' op"),
    "a load of a tuple": (PARTS.replace("symbol = @p", "symbol = @c"), "@c is of type tuple<.*>, not tensor<2xf32>"),
    "a constant of its own part": (TUPLE.replace("@LOADED", "@p"), "leads back to itself"),
    "no body": ("func.func private @f()\n", "@f has no body"),
    "recursion": (
        "func.func @f() {\n  call @f() : () -> ()\n  return\n}\n",
        "leads back",
    ),
    "absent symbol": (
        'func.func @f() {\n  %0 = "graph.load"() {symbol = @w} : () -> tensor<2xf32>\n  return\n}\n',
        "@w names nothing",
    ),
    "signature": ("func.func @f() attributes {terrace_signature = 1 : i64} {\n  return\n}\n", "of @f is malformed"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_no_pass_could_handle_is_refused(name: str) -> None:
    text, said = TEXTS[name]
    with pytest.raises(CompileError, match=said):
        terrace.compile_mlir(text)


def test_parts_of_a_constant_compile() -> None:
    w = np.array([1.5, -2], np.float32)
    np.testing.assert_array_equal(terrace.compile_mlir(PARTS, {"w": w})(), w)


@pytest.mark.parametrize("signature", ["3 : i64", '"{"', '"[]"', '"{}"'])
def test_a_malformed_signature_is_refused_where_it_stands(signature: str) -> None:
    text = RELU.replace("-> tensor<2xf32> {", f"-> tensor<2xf32> attributes {{terrace_signature = {signature}}} {{", 1)
    with pytest.raises(CompileError, match=r"-:1:1: error: terrace_signature of @main is malformed"):
        terrace.compile_mlir(text)
