"""What cannot be compiled or run is refused with an error that says what, where and what to do."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import terrace
import torch
from terrace.lowering.target.iree import compiler as iree_compiler
from terrace.runtime.model import CompiledModel
from terrace.tools.compile import main
from torch import nn

NEGATE = """
func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "graph.neg"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
"""


class Unsupported(nn.Module):
    """Holds an op that neither we nor torch-mlir have."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvalsh(x + 1)


@pytest.fixture(scope="module")
def linear() -> CompiledModel:
    return terrace.compile(nn.Linear(4, 2).eval(), (torch.ones(3, 4),))


def test_an_unsupported_op_is_named_with_the_users_line() -> None:
    line = inspect.getsourcelines(Unsupported.forward)[1] + 1
    with pytest.raises(terrace.ModelImportError, match=rf"(?s)test_errors\.py:{line}.*eigh") as raised:
        terrace.compile(Unsupported(), (torch.eye(3),))
    assert "Write" in str(raised.value)


def test_an_unsupported_op_leaves_a_reproducer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The op alone, in the torch dialect."""
    monkeypatch.setenv("TERRACE_REPRODUCER_DIR", str(tmp_path))
    with pytest.raises(terrace.ModelImportError, match="this command fails in the same way:\n  terrace-opt"):
        terrace.compile(Unsupported(), (torch.eye(3),))
    (file,) = tmp_path.iterdir()
    module = file.read_text()
    assert "torch.aten._linalg_eigh" in module and "linalg.generic" not in module and "graph.add" not in module


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((torch.ones(3, 5),), r"args\[0\]: expected float32\[3, 4\], found float32\[3, 5\]"),
        ((torch.ones(3),), r"args\[0\]: expected float32\[3, 4\], found float32\[3\]"),
        ((torch.ones(3, 4, dtype=torch.float64),), r"expected float32\[3, 4\], found float64\[3, 4\]; convert it"),
        ((), "argument .input. is missing; the model was compiled with .*input"),
        ((torch.ones(3, 4), 1), "args: expected 1 positional arguments, found 2"),
        (([[1.0]],), r"args\[0\]: expected a tensor"),
        ((torch.ones(3, 4, device="meta"),), r"args\[0\]: expected a tensor on the CPU"),
    ],
)
def test_wrong_inputs(linear: CompiledModel, args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(terrace.InputError, match=message):
        linear(*args)


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"target": "tpu"}, terrace.TargetError, "unknown target 'tpu'; known are"),
        ({"target": 3}, terrace.TargetError, "a name or a terrace.Target, got int"),
        ({"precision": "low"}, terrace.CompileError, "unknown precision 'low'; known are highest, high, medium"),
        ({"options": ["quantize"]}, terrace.CompileError, "options must be a dict of .*quantize.*; got list"),
        ({"options": {"fast": True}}, terrace.CompileError, "unknown option 'fast'; known are"),
        ({"options": {"iree_flags": "--x"}}, terrace.CompileError, "must be a list of str"),
        ({"options": {"iree_flags": ["--no-such-flag"]}}, terrace.CompileError, "(?s)failed with exit code.*no-such-f"),
    ],
)
def test_wrong_settings(keywords: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        terrace.compile(nn.Linear(4, 2), (torch.ones(3, 4),), **keywords)


def test_what_is_no_model() -> None:
    with pytest.raises(terrace.ModelImportError, match="ExportedProgram, got int"):
        terrace.compile(3)  # type: ignore[arg-type]
    with pytest.raises(terrace.ModelImportError, match="ExportedProgram, got TopLevelTracedModule"):
        terrace.compile(torch.jit.trace(nn.Linear(4, 2), torch.ones(3, 4)), (torch.ones(3, 4),))
    with pytest.raises(terrace.CompileError, match="the text of a level as a str, got bytes"):
        terrace.compile_mlir(b"module {}")  # type: ignore[arg-type]
    with pytest.raises(terrace.CompileError, match="the text is not valid at any level"):
        terrace.compile_mlir("module {")
    with pytest.raises(terrace.CompileError, match="the text is not valid at any level"):
        terrace.compile_mlir("stream.executable {")


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_model_without_weights(device: str) -> None:
    model = nn.Linear(4, 2, device="meta")
    with pytest.raises(terrace.ModelImportError, match=r"'weight' of Linear is on the meta device.*to_empty"):
        terrace.compile(model, (torch.ones(3, 4, device=device),))


def test_wrong_parameters_of_a_text(linear: CompiledModel) -> None:
    text = linear.ir("graph")
    weight, bias = np.ones((2, 4), np.float32), np.ones(2, np.float32)
    with pytest.raises(terrace.CompileError, match="no parameter 'weight' was given"):
        terrace.compile_mlir(text, {"bias": bias})
    with pytest.raises(terrace.CompileError, match=r"'weight' is float32\[4, 2\], but declared as float32\[2, 4\]"):
        terrace.compile_mlir(text, {"bias": bias, "weight": weight.T})
    with pytest.raises(terrace.CompileError, match="'weight' is float64"):
        terrace.compile_mlir(text, {"bias": bias, "weight": weight.astype(np.float64)})
    with pytest.raises(terrace.CompileError, match="'weight' is a list; give a tensor or an array"):
        terrace.compile_mlir(text, {"bias": bias, "weight": weight.tolist()})
    for unreadable in (torch.ones(2, 4, device="meta"), torch.ones(2, 4).to_sparse()):
        with pytest.raises(terrace.CompileError, match="values of parameter 'weight' cannot be read"):
            terrace.compile_mlir(text, {"bias": bias, "weight": unreadable})
    with pytest.raises(terrace.CompileError, match="a dict of arrays or the path of a file, got int"):
        terrace.compile_mlir(text, 3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        terrace.compile_mlir(text, "nowhere")


# ---------------------------------------------------------------------------------------------------------------------
# Crashes of iree-compile
# ---------------------------------------------------------------------------------------------------------------------


def stub(path: Path, body: str) -> str:
    """A program in the place of iree-compile."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_a_crash_of_iree_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stub(tmp_path / "iree-compile", "cat > /dev/null; echo Stack dump >&2; kill -SEGV $$")
    monkeypatch.setattr(iree_compiler, "iree_compile_path", lambda: path)
    with pytest.raises(terrace.CompileError, match=r"(?s)iree-compile crashed with SIGSEGV.*Stack dump"):
        terrace.compile_mlir(NEGATE)


def test_a_compiler_that_does_not_read_its_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stub(tmp_path / "iree-compile", "exit 3")
    monkeypatch.setattr(iree_compiler, "iree_compile_path", lambda: path)
    with pytest.raises(terrace.CompileError, match="failed with exit code 3"):
        terrace.compile_mlir(NEGATE)


# ---------------------------------------------------------------------------------------------------------------------
# Files and machines
# ---------------------------------------------------------------------------------------------------------------------


def test_missing_cpu_features_are_refused_at_load(tmp_path: Path) -> None:
    """A program for another CPU (XOP went with AMD's Bulldozer) is compiled, but not loaded here."""
    path = tmp_path / "model.terrace"
    source = tmp_path / "model.mlir"
    source.write_text(NEGATE)
    assert main([str(source), "-o", str(path), "--cpu-features", "avx2,fma,f16c,xop"]) == 0
    with pytest.raises(terrace.TargetError, match="CPU features that this machine lacks: xop; compile it here"):
        terrace.load(path)


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nobody can make a file, root included."""
    folder = tmp_path / "locked"
    folder.mkdir()
    really_open: Callable[..., Any] = open

    def refuse(file: Any, mode: str = "r", *rest: Any, **keywords: Any) -> Any:
        if str(file).startswith(str(folder)) and set(mode) & set("wxa"):
            raise PermissionError(13, "Permission denied", str(file))
        return really_open(file, mode, *rest, **keywords)

    monkeypatch.setattr("builtins.open", refuse)
    return folder


def test_saving_where_nothing_can_be_written_leaves_nothing(linear: CompiledModel, read_only: Path) -> None:
    with pytest.raises(PermissionError):
        linear.save(read_only / "model.terrace")
    assert os.listdir(read_only) == []


@pytest.mark.parametrize("flags", [["-o", "x.terrace"], ["--emit", "loop", "-o", "x.mlir"], ["--dump-dir", "dump"]])
def test_a_failing_tool_leaves_nothing(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message on stderr, exit code 1, no file and no part of one."""
    monkeypatch.chdir(tmp_path)
    Path("m.mlir").write_text('func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> { "graph.what"() : () -> () }')
    assert main(["m.mlir", *flags]) == 1
    assert capsys.readouterr().err.startswith("terrace-compile: error: the text is not valid")
    assert os.listdir() == ["m.mlir"]


def test_the_tool_names_what_is_wrong_with_a_factory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("import torch\ndef bad():\n    return 1 / 0\ndef other():\n    return 3\n")
    for name, message in (
        ("mine.py:bad", "mine.py:bad failed at .*mine.py:3: ZeroDivisionError"),
        ("mine.py:other", r"must return \(model, args\)"),
        ("mine.py:none", "defines no function 'none'"),
        ("none.py:build", "there is no file none.py"),
        ("no.such.module:build", "No module named 'no'"),
        ("none.mlir", "No such file"),
    ):
        assert main([name, "-o", "x.terrace"]) == 1
        captured = capsys.readouterr().err
        assert captured.startswith("terrace-compile: error: ") and captured.count("\n") == 1
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(captured)


@pytest.mark.parametrize(
    "arguments",
    [[], ["m.mlir"], ["m.mlir", "--emit", "cubin"], ["m.mlir", "--precision", "high", "-o", "x"],
     ["m.py:build", "--parameters", "p.irpa", "-o", "x"], ["m.mlir", "--emit", "loop", "--dump-dir", "d"]],
)  # fmt: skip
def test_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (
            torch.ones(3, 4),
            None,
            r"args must be a tuple, .*write \(x,\) for one; got Tensor \(.*test_errors\.py:\d+\)",
        ),
        ("x", None, "args must be a tuple, .*got str"),
        ((), [torch.ones(3, 4)], r"kwargs must be a dict, .*got list \(.*test_errors\.py:\d+\)"),
    ],
)
def test_arguments_that_are_no_tuple_or_dict(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(terrace.ModelImportError, match=message):
        terrace.compile(nn.Linear(4, 2), args, kwargs)


class Noisy(nn.Module):
    """Code of a user that asks for the mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if self.training else x


@pytest.mark.parametrize(
    ("model", "named"),
    [(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), r"'1' \(BatchNorm1d\)"), (Noisy(), "Noisy")],
)
def test_a_model_in_train_mode_warns_at_the_users_line(model: nn.Module, named: str) -> None:
    with pytest.warns(UserWarning, match=rf"in train mode, in which {named} computes .* model\.eval\(\)") as caught:
        terrace.compile(model, (torch.ones(3, 4),))
    assert {warning.filename for warning in caught if "train mode" in str(warning.message)} == {__file__}


@pytest.mark.filterwarnings("error:the model is in train mode")
def test_a_model_without_modes_does_not_warn() -> None:
    terrace.compile(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.0), nn.ReLU()), (torch.ones(3, 4),))
