"""Running `iree-compile`, always in a process of its own: a crash of it becomes a `CompileError`.

Its temporary files are in a folder of its own, which goes however the call ends.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from terrace import progress
from terrace.errors import CompileError
from terrace.lowering.target.iree.syntax import respell
from terrace.mlir import ir
from terrace.processes import run_program

_SHOWN_LINES = 40
_FULL = os.strerror(errno.ENOSPC).encode()
_CPU, _UNVERIFIED = "--iree-hal-target-device=local", "--verify=false"
"""IREE checks the program when it is read, and again after each pass, which takes as long as the rest of its work.

For a GPU those checks are what refuses ops that the device lacks, as `exp` of float64.
"""


class IreeCompileError(CompileError):
    """iree-compile refused `program`, or crashed on it."""

    def __init__(self, message: str, program: str) -> None:
        super().__init__(message)
        self.program = program


def iree_compile_path() -> str:
    """The program inside the iree-base-compiler package of this environment.

    Not the script of that name beside Python: that one starts this one, which then outlives it when it is killed.
    """
    package = importlib.util.find_spec("iree.compiler")
    for folder in (package and package.submodule_search_locations) or []:
        path = Path(folder) / "_mlir_libs" / "iree-compile"
        if path.exists():
            return str(path)
    raise CompileError("there is no iree-compile; install it with `pip install iree-base-compiler==3.13.0`")


def program_text(module: ir.Operation) -> str:
    """A module as IREE parses it: generic form, as the two MLIRs differ in their pretty forms."""
    return respell(module.get_asm(print_generic_op_form=True, assume_verified=True))


def compile_program(text: str, flags: Sequence[str]) -> bytes:
    """Compile a program's text to a .vmfb; raises CompileError with IREE's diagnostics."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="terrace-")
    except OSError as error:
        raise CompileError(f"no folder for temporary files ({error}); set TMPDIR to one with room") from error
    progress.say("iree-compile")
    with folder:
        # By stdin, as the name of a source file would become a part of the program.
        command, given = [iree_compile_path(), "-", "-o", "-", *flags], text.encode()
        done = run_program([*command, *[_UNVERIFIED] * (_CPU in flags)], folder.name, given=given)
        if done.returncode and _CPU in flags:  # Once more with the checks: they find the pass that is to blame.
            done = run_program(command, folder.name, given=given)
    if done.returncode and _FULL in done.stderr:
        where = os.path.dirname(folder.name)
        raise CompileError(f"the disk is full: iree-compile needs room in {where}; free some, or set TMPDIR elsewhere")
    if done.returncode:
        raise IreeCompileError(_explain(done, flags), text)
    return done.stdout


def assemble_program(text: str, flags: Sequence[str]) -> str:
    """The assembly that iree-compile makes of a program for a CPU; empty for a device that has none."""
    with tempfile.TemporaryDirectory(prefix="terrace-") as folder:
        dump = f"--iree-hal-dump-executable-intermediates-to={folder}"
        command = [iree_compile_path(), "-", "-o", os.devnull, *flags, dump]
        done = run_program(command, folder, given=text.encode())
        if done.returncode:
            raise CompileError(_explain(done, flags))
        return "".join(path.read_text() for path in sorted(Path(folder).glob("*.s")))


def _explain(done: subprocess.CompletedProcess[bytes], flags: Sequence[str]) -> str:
    code = done.returncode
    what = f"crashed with {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    shown = "\n".join(lines[:_SHOWN_LINES]) + ("\n..." if len(lines) > _SHOWN_LINES else "")
    return f"iree-compile {what} (flags: {' '.join(flags)}):\n{shown}"
