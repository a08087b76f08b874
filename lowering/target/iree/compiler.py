"""Running `iree-compile`, always in a process of its own: a crash of it becomes a `CompileError`.

Nothing of it outlives the call: whatever ends the call, Ctrl-C included, its processes are killed and its files go.
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

_SHOWN_LINES = 40
_FULL = os.strerror(errno.ENOSPC).encode()


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
        done = _run([iree_compile_path(), "-", "-o", "-", *flags], text.encode(), folder.name)
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
        done = _run([iree_compile_path(), "-", "-o", os.devnull, *flags, dump], text.encode(), folder)
        if done.returncode:
            raise CompileError(_explain(done, flags))
        return "".join(path.read_text() for path in sorted(Path(folder).glob("*.s")))


def _run(command: Sequence[str], text: bytes, folder: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with its temporary files in `folder`; when this is interrupted, all its processes are killed."""
    # A crash prints a stack trace that needs no symbolizer to be of use.
    environment = {**os.environ, "LLVM_DISABLE_SYMBOLIZATION": "1", "TMPDIR": folder}
    pipe = subprocess.PIPE
    # A process group of its own holds the linkers that it starts, which ignore Ctrl-C.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, process_group=0) as process:
        try:
            output, errors = process.communicate(text)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _explain(done: subprocess.CompletedProcess[bytes], flags: Sequence[str]) -> str:
    code = done.returncode
    what = f"crashed with {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    shown = "\n".join(lines[:_SHOWN_LINES]) + ("\n..." if len(lines) > _SHOWN_LINES else "")
    return f"iree-compile {what} (flags: {' '.join(flags)}):\n{shown}"
