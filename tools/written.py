"""The files that tools write: what they are called, and what is told of them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from terrace import progress
from terrace.errors import CompileError
from terrace.report.words import size

_FILE_NAME = re.compile(r"[\w$-][\w.$-]{0,199}", re.ASCII)


def file_name(kernel: str) -> str:
    """The name of a kernel, for a file or folder of its own. CompileError for one that may lead elsewhere."""
    if not _FILE_NAME.fullmatch(kernel):
        raise CompileError(
            f"no file can be called as kernel {kernel!r:.80}; give it a name of up to 200 letters, digits and _ . $ -"
        )
    return kernel


def tell_written(*paths: str | os.PathLike[str]) -> None:
    """A line to stderr for each file, and for each folder with all that is in it: its name and its size."""
    progress.hide()
    for path in map(Path, paths):
        if path.is_dir():
            files = [file for file in path.rglob("*") if file.is_file()]
            total = size(sum(file.stat().st_size for file in files))
            print(f"wrote {path}{os.sep}: {len(files)} files, {total}", file=sys.stderr)
        elif path.is_file():
            print(f"wrote {path}: {size(path.stat().st_size)}", file=sys.stderr)
