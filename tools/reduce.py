"""`terrace-reduce`: cut an .mlir file down to what makes a command of Terrace's fail.

    terrace-reduce bad.mlir -- terrace-opt bad.mlir --pass-pipeline='builtin.module(my-pass)'

The file is replaced each time a smaller one fails in the same way: with the same first error. Exit codes: 0 done,
1 the command does not fail or the file cannot be read, 2 wrong command line.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from terrace.dialects.context import create_context
from terrace.errors import CompileError
from terrace.lowering.debugging.commands import TOOLS, errors_in
from terrace.lowering.debugging.reducer import cut
from terrace.lowering.target.iree.interface import read_program
from terrace.mlir import ir, load_torch_dialects
from terrace.parsing import read_text
from terrace.storage.files import write_file
from terrace.supervision import enter_supervised

PATIENCE, LEAST_PATIENCE = 10.0, 5.0
"""How long a part may run: so many times what the whole took, and at least so many seconds. Some parts never end."""

GRACE = 2.0
"""Seconds that a trial has to end what it started."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code. argparse exits with 2 by itself."""
    if arguments is None:
        enter_supervised("terrace-reduce")
    parser = argparse.ArgumentParser(
        prog="terrace-reduce", description="Cut an .mlir file down to what makes a command fail."
    )
    parser.add_argument("file", metavar="FILE", help="the file to cut, in place")
    parser.add_argument("--seconds", type=float, default=60, metavar="N", help="when to stop (default: after 60)")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="after --: terrace-opt or terrace-compile")
    options = parser.parse_args(arguments)
    if options.command[0] not in TOOLS or options.file not in options.command:
        parser.error(f"the command must be one of {', '.join(TOOLS)}, with {options.file} among its arguments")
    try:
        return _reduce(Path(options.file), options.command, options.seconds)
    except (CompileError, OSError) as error:
        print(f"terrace-reduce: error: {error}", file=sys.stderr)
        return 1


def _reduce(path: Path, command: Sequence[str], seconds: float) -> int:
    until = time.monotonic() + seconds
    text = read_text(str(path))
    importlib.import_module(TOOLS[command[0]])  # Before it is forked.
    began = time.monotonic()
    expected = _errors(command, until)
    patience = max(LEAST_PATIENCE, PATIENCE * (time.monotonic() - began))
    if not expected:
        print("terrace-reduce: error: the command does not fail with an error", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="terrace-reduce-") as folder:
        _cut_file(path, Path(folder) / path.name, command, expected, (until, patience))
    print(f"{path}: {len(text.splitlines())} lines cut to {len(path.read_text(encoding='utf-8').splitlines())}")
    return 0


def _cut_file(
    path: Path, trial: Path, command: Sequence[str], expected: list[str], limits: tuple[float, float]
) -> None:
    """Cut the file at `path`; what may replace it is tried at `trial`, until a time and for so many seconds each."""
    until, patience = limits
    text = path.read_text(encoding="utf-8")
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("//"))
    trial_command = [str(trial) if argument == str(path) else argument for argument in command]

    def fails(candidate: str) -> bool:
        if time.monotonic() > until:
            return False
        trial.write_text(header + candidate, encoding="utf-8")
        if _errors(trial_command, min(until, time.monotonic() + patience)) != expected:
            return False
        write_file(path, header + candidate)
        return True

    _cut(text, fails, generic=command[0] == "terrace-compile")


def _cut(text: str, fails: Callable[[str], bool], generic: bool) -> None:
    """Cut as our MLIR reads the text, else as IREE does. IREE's MLIR reads no pretty forms but its own."""
    context = create_context()
    load_torch_dialects(context)
    context.allow_unregistered_dialects = True
    with context, ir.Location.unknown():
        try:
            module = ir.Module.parse(text)
        except ir.MLIRError:
            pass  # IREE's attributes are known to IREE only.
        else:
            cut(module.operation, ir, fails, generic)
            return
    program, bindings = read_program(text)
    with program.context, bindings.Location.unknown():
        cut(program.operation, bindings, fails, generic=True)


def _errors(command: Sequence[str], until: float) -> list[str]:
    """The errors that a command of ours prints, or none if it succeeds, crashes, or runs beyond a time.

    It runs in a fork of this process, which starts a hundred times faster than a new one.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        # What it started ends with it: `run_program` sees to that, whatever is raised.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
        try:
            os.write(write_end, json.dumps(_run(command)).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    # What it writes is short, and comes all at once.
    with open(read_end, "rb") as result:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if select.select([result], [], [], max(until - time.monotonic(), 0.0))[0]:
                break
            os.kill(child, number)
            until = time.monotonic() + GRACE
        written = result.read()
    os.waitpid(child, 0)
    errors: list[str] = json.loads(written) if written else []
    return errors


def _run(command: Sequence[str]) -> list[str]:
    run = importlib.import_module(TOOLS[command[0]]).main
    written = io.StringIO()
    with contextlib.redirect_stderr(written), contextlib.redirect_stdout(io.StringIO()):
        code = run(list(command[1:]))
    return errors_in(written.getvalue()) if code else []


if __name__ == "__main__":
    sys.exit(main())
