"""Running `iree-compile`, always in a process of its own: a crash of it becomes a `CompileError`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from terrace.errors import CompileError
from terrace.mlir import ir

_SHOWN_LINES = 40
_CRASHES = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)


def iree_compile_path() -> str:
    """The compiler driver of the iree-base-compiler package of this environment."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if (folder / "iree-compile").exists():
            return str(folder / "iree-compile")
    raise CompileError(
        "iree-compile is not beside this Python; install it with `pip install iree-base-compiler==3.13.0`"
    )


def program_text(module: ir.Operation) -> str:
    """A module as IREE parses it: generic form, as the two MLIRs differ in their pretty forms."""
    return module.get_asm(print_generic_op_form=True, assume_verified=True)


def compile_program(text: str, flags: Sequence[str]) -> bytes:
    """Compile a program's text to a .vmfb; raises CompileError with IREE's diagnostics."""
    with tempfile.TemporaryDirectory(prefix="terrace-") as folder:
        output = Path(folder) / "program.vmfb"
        # By stdin, as the name of a source file would become a part of the program.
        command = [iree_compile_path(), "-", "-o", str(output), *flags]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=_environment())
        if done.returncode:
            raise CompileError(_explain(done, flags))
        return output.read_bytes()


def _environment() -> dict[str, str]:
    # A crash prints a stack trace that needs no symbolizer to be of use.
    return {**os.environ, "LLVM_DISABLE_SYMBOLIZATION": "1"}


def _explain(done: subprocess.CompletedProcess[str], flags: Sequence[str]) -> str:
    crash = _crash(done.returncode)
    what = f"crashed with {crash.name}" if crash else f"failed with exit code {done.returncode}"
    lines = done.stderr.strip().splitlines()
    shown = "\n".join(lines[:_SHOWN_LINES]) + ("\n..." if len(lines) > _SHOWN_LINES else "")
    return f"iree-compile {what} (flags: {' '.join(flags)}):\n{shown}"


def _crash(code: int) -> signal.Signals | None:
    """The signal that a process died of. The iree-compile of the wheel is a script, which ends with its low byte."""
    number = -code if code < 0 else 256 - code
    return signal.Signals(number) if code < 0 or number in _CRASHES else None
