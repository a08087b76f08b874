"""What a compile tells while it runs: a line on a terminal, nothing in a pipe, records in the log."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import terrace
from terrace import progress
from terrace.compiler import Text, lower

MODEL = """
func.func @main(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
  return %0 : tensor<4x16xf32>
}
"""
ERASE = "\r\x1b[2K"


def compile_tool(folder: Path, stderr: int, log: str | None = None, to_file: bool = True) -> subprocess.Popen[bytes]:
    """Start terrace-compile on MODEL; its text goes to a file, or to where the rest goes."""
    (folder / "m.mlir").write_text(MODEL)
    output = ["-o", "out.mlir"] if to_file else []
    command = [sys.executable, "-m", "terrace.tools.compile", "m.mlir", "--emit", "loop", *output]
    settings = {"TERM": "xterm", "COLUMNS": "80", **({} if log is None else {"TERRACE_LOG": log})}
    stdout = None if to_file else stderr
    return subprocess.Popen(command, cwd=folder, stdout=stdout, stderr=stderr, env={**os.environ, **settings})


def on_terminal(folder: Path, log: str | None = None, to_file: bool = True) -> str:
    """All that terrace-compile writes on a terminal."""
    ours, theirs = pty.openpty()
    process = compile_tool(folder, theirs, log, to_file)
    os.close(theirs)
    written = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux's end of file of a terminal whose other end is closed.
            chunk = b""
        if not chunk:
            break
        written += chunk
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


def test_a_terminal_shows_each_stage_and_is_left_clean(tmp_path: Path) -> None:
    written = on_terminal(tmp_path)
    lines = written.split(ERASE)
    for stage in ("graph", "kernel", "loop"):
        assert any(line.startswith("terrace ") and f" s: {stage}" in line for line in lines), lines
    (told,) = [line for line in lines if "\n" in line]
    assert re.fullmatch(r"wrote out\.mlir: [\d.]+ KiB\r\n", told) and lines[-1] == ""
    assert all(len(line) < 80 for line in lines)


def test_what_is_printed_on_the_same_terminal_stays_whole(tmp_path: Path) -> None:
    written = on_terminal(tmp_path, to_file=False)
    text = lower(Text(MODEL), until="loop").ir["loop"]
    assert ERASE + text.replace("\n", "\r\n") in written


def test_a_pipe_gets_what_was_written_alone(tmp_path: Path) -> None:
    process = compile_tool(tmp_path, subprocess.PIPE)
    told = process.communicate()[1].decode()
    assert re.fullmatch(r"wrote out\.mlir: [\d.]+ KiB\n", told) and process.returncode == 0


def test_the_log_takes_the_place_of_the_line(tmp_path: Path) -> None:
    written = on_terminal(tmp_path, log="info")
    assert ERASE not in written and "terrace.stages" in written


def test_the_levels_of_the_log(tmp_path: Path) -> None:
    process = compile_tool(tmp_path, subprocess.PIPE, log="info")
    told = process.communicate()[1].decode()
    assert [line.split()[3] for line in told.splitlines()[:-1]] == ["graph", "kernel", "loop"]
    assert "passes, " in told and " ops" in told and "fuse-epilogue" not in told
    process = compile_tool(tmp_path, subprocess.PIPE, log="debug")
    told = process.communicate()[1].decode()
    assert "terrace.passes" in told and "fuse-epilogue{" in told and "terrace.stages" in told


def test_importing_adds_no_handler_and_quiet_is_the_default() -> None:
    handlers = "logging.getLogger('terrace').handlers, logging.root.handlers"
    code = f"import logging, terrace; terrace.compile_mlir; print({handlers})"
    environment = {name: value for name, value in os.environ.items() if name != "TERRACE_LOG"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout, done.stderr) == ("[] []\n", "")


def test_records_go_where_the_program_says(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="terrace"):
        lower(Text(MODEL), until="graph")
    assert {record.name for record in caplog.records} == {"terrace.passes", "terrace.stages"}
    assert any("choose-layout" in record.message for record in caplog.records)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(terrace.TerraceError, match="unknown log level 'loud'; known are debug, info"):
        terrace.logging.set_level("loud")


def test_without_a_terminal_the_items_pass_as_they_are() -> None:
    with progress.shown():
        assert list(progress.track(["a", "b"], "kernel")) == ["a", "b"]


class Terminal(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


def test_the_line_counts_kernels_and_keeps_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_TICK", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    with progress.shown(), progress.stage("loop"):
        progress.say("convert-kernel-to-loop (1/6)")
        for _ in progress.track(["a", "b", "c"], "kernel"):
            time.sleep(0.1)
        with progress.shown():  # A compile inside of one shows nothing of its own.
            pass
    lines = terminal.getvalue().split(ERASE)
    for number in (1, 2, 3):
        assert f"terrace 0 s: loop: convert-kernel-to-loop (1/6): kernel {number}/3" in lines
    assert lines[-1] == ""


def test_a_failure_leaves_the_terminal_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(terrace.CompileError):
        terrace.compile_mlir("module { func.func @other() { return } }")
    assert terminal.getvalue().endswith(ERASE)
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(terrace.CompileError):
        terrace.compile_mlir("module {")
    assert terminal.getvalue().endswith(ERASE), "a dumb terminal shows nothing"


def test_a_bar() -> None:
    assert progress.bar(0, 7) == progress.bar(0, 0) == f"[{'.' * 20}]"
    assert progress.bar(3, 4) == f"[{'#' * 15}{'.' * 5}]"
    assert progress.bar(4, 4) == f"[{'#' * 20}]"


def test_nothing_is_told_of_a_part_of_a_stage(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "terrace"), progress.stage("tune"):
        with progress.untold():
            lower(Text(MODEL), until="loop")
        with progress.stage("told"):
            pass
    assert [record.getMessage().split()[2] for record in caplog.records] == ["told", "tune"]
