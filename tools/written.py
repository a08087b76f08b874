"""What the tools tell of the files that they wrote."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from terrace import progress
from terrace.report.words import size


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
