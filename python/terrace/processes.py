"""Running other programs so that nothing of them outlives the call: whatever ends it, all that they started is killed.

`subprocess.run` kills the program itself only. A compiler driver then leaves its compilers and linkers running. No
program is taken from the current folder, and no Python that is started imports from there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence


def find_program(name: str) -> str | None:
    """The path of a program on PATH, or None; entries that mean the current folder do not count."""
    return shutil.which(name, path=_search_path())


def _search_path() -> str:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(filter(os.path.isabs, folders))


def python_command(module: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs a module of ours in a new Python, whatever lies in the current folder."""
    return [sys.executable, "-P", "-m", module, *arguments]


def run_program(
    command: Sequence[str],
    temporary: str | os.PathLike[str],
    *,
    given: bytes = b"",
    folder: str | os.PathLike[str] | None = None,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program in `folder`, or where we are, with its temporary files in `temporary` and `given` on its stdin.

    OSError if it cannot be started, `subprocess.TimeoutExpired` after `seconds`.
    """
    # A crash of LLVM prints a stack trace that needs no symbolizer to be of use.
    added = {"TMPDIR": os.path.abspath(temporary), "LLVM_DISABLE_SYMBOLIZATION": "1"}
    added |= {"PATH": _search_path(), "PYTHONSAFEPATH": "1"}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, **added},
        process_group=0,  # Linkers ignore Ctrl-C; a group can be killed as a whole.
    ) as process:
        try:
            output, errors = process.communicate(given, seconds)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):  # All of it has ended meanwhile.
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(list(command), process.returncode, output, errors)
