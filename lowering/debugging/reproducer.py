"""Reproducers: when a pass or the native compiler fails, a file and the command that fails in the same way.

The file begins with the command, as a comment. It is cut down to the kernel that fails, by `terrace-reduce`, and the
command is run before it is given to anybody. Parameters are symbols at every level, so no weights are needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from terrace import progress
from terrace.errors import CompileError, PassError
from terrace.lowering.debugging.commands import TOOLS, errors_in, opt_command, reproducer_text, shell_text
from terrace.lowering.pipeline.parser import innermost_name, split_passes
from terrace.lowering.pipeline.verify_level import VerifyLevel
from terrace.lowering.target.iree.compiler import IreeCompileError
from terrace.mlir import ir
from terrace.passes import Pass, PassFailure, run_passes
from terrace.processes import python_command
from terrace.storage.files import write_file

FOLDER_VARIABLE = "TERRACE_REPRODUCER_DIR"
"""Names the folder for reproducers; "off" for none."""

OFF = "off"

_PASS_SECONDS, _PROGRAM_SECONDS = 20, 60
"""How long cutting may take, for a pass and for iree-compile."""
_STARTING_SECONDS = 120
"""How much longer a process may take that starts, compiles and ends."""

ProgramCommand = Callable[[Path], list[str]]
"""The `terrace-compile` command for a file with a program."""


@contextlib.contextmanager
def reproducing(folder: str | None, program_command: ProgramCommand | None = None) -> Iterator[None]:
    """Add to the message of a CompileError raised inside where its reproducer is, and how to run it.

    `folder` None is what `FOLDER_VARIABLE` says, or else a new one for temporary files; with "off" nothing is written.
    `program_command` is how iree-compile is run again, where that may fail inside.
    """
    try:
        yield
    except CompileError as error:
        wanted = os.environ.get(FOLDER_VARIABLE) if folder is None else folder
        note = "" if wanted == OFF else _note(error, wanted, program_command)
        if note:
            error.args = (f"{error}\n{note}", *error.args[1:])
        raise


def _note(error: CompileError, wanted: str | None, program_command: ProgramCommand | None) -> str:
    failure = _failure(error)
    program = error.program if isinstance(error, IreeCompileError) and program_command is not None else None
    if failure is None and program is None:
        return ""
    try:
        with progress.stage("reproducer"):
            folder = Path(tempfile.mkdtemp(prefix="terrace-reproducer-") if wanted is None else wanted).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            if failure is not None:
                return _reproduce_pass(*failure, folder)
            assert program is not None and program_command is not None
            expected = errors_in(f"error: {error}")
            path = folder / f"iree-compile-{_digest(program)}.mlir"
            return _reproduce(path, program, program_command(path), expected, _PROGRAM_SECONDS)[1]
    except OSError as problem:
        return f"note: no reproducer was written: {problem}"


def _failure(error: BaseException | None) -> tuple[PassFailure, str] | None:
    """The failure of a pass that led to `error`, and its message."""
    while error is not None:
        if isinstance(error, PassError) and error.failure is not None:
            return error.failure, error.message
        error = error.__cause__ or error.__context__
    return None


def _reproduce_pass(failure: PassFailure, message: str, folder: Path) -> str:
    """Try the failing pass alone on what it got, then the passes from the start."""
    note = ""
    tried: list[Path] = []
    expected = errors_in(f"error: {message}")
    passes = _steps_until_failure(failure)
    # The work of a check is that of the pass before it.
    last = len(passes) - (2 if isinstance(passes[-1], VerifyLevel) else 1)
    for start in dict.fromkeys((max(last, 0), 0)):
        module = _before(failure, passes[:start])
        if module is None:
            continue
        text, rest = module.get_asm(assume_verified=True), passes[start:]
        path = folder / f"{innermost_name(rest[0])}-{_digest(text)}.mlir"
        command = opt_command(path, rest, failure.verify, module.context.allow_unregistered_dialects)
        works, note = _reproduce(path, text, command, expected, _PASS_SECONDS)
        if works:
            for useless in tried:
                useless.unlink()
            break
        tried.append(path)
    return note


def _steps_until_failure(failure: PassFailure) -> list[Pass]:
    """All that ran, each step by itself, up to the step that failed."""
    passes = split_passes(failure.passes[: failure.number + 1])
    for number in range(len(split_passes(failure.passes[: failure.number])), len(passes)):
        if _before(failure, passes[: number + 1]) is None:
            return passes[: number + 1]
    return passes


def _before(failure: PassFailure, passes: Sequence[Pass]) -> ir.Operation | None:
    """The module after `passes`, or None if they fail."""
    module = failure.start.clone()
    try:
        run_passes(passes, module, verify=failure.verify)
    except PassError:
        return None
    return module


def _reproduce(path: Path, text: str, command: list[str], expected: list[str], seconds: float) -> tuple[bool, str]:
    """Write the file, cut it down, and say which command fails in the same way, if one does."""
    whole = reproducer_text(command, text)
    write_file(path, whole)
    _run("terrace.tools.reduce", [str(path), f"--seconds={seconds}", "--", *command], seconds + _STARTING_SECONDS)
    is_cut = path.read_text(encoding="utf-8") != whole
    works = _fails_as(command, expected)
    if is_cut and not works:
        write_file(path, whole)
        is_cut, works = False, _fails_as(command, expected)
    if not works:
        return False, f"note: {path} holds the module that failed; no command of Terrace's tools fails alike on it"
    what = "the part of the module that fails" if is_cut else "the module"
    return True, f"note: {path} holds {what}; this command fails in the same way:\n  {shell_text(command)}"


def _fails_as(command: Sequence[str], expected: list[str]) -> bool:
    done = _run(TOOLS[command[0]], command[1:], _STARTING_SECONDS)
    return done is not None and done.returncode > 0 and errors_in(done.stderr) == expected


def _run(module: str, arguments: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str] | None:
    """Run a tool of this package, which writes no reproducers of its own; None if it takes too long."""
    environment = {**os.environ, FOLDER_VARIABLE: OFF}
    command = python_command(module, arguments)
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=seconds, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
