"""The key of a compilation: a hash of all that its result depends on, the compilers included.

Terrace is made to be edited, so its own code is part of the key, and not only its version.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from terrace import loaded_code
from terrace.target import TARGETS, Target

PACKAGES = ("iree-base-compiler", "iree-base-runtime", "ml-dtypes", "numpy", "torch", "torch-mlir")
"""The packages whose versions are part of each key."""

COMPILER_FILES = ("iree-compile", "libIREECompiler.so")
"""The parts of iree-compile, which may be a build of one's own under the version of another."""

FAMILY_ENTRY_POINTS = "terrace.kernels"
"""The group of entry points by which packages add kernel families, which take part in every compilation."""

_HEAD = 1 << 16
"""So much of a library has the number of its build; reading all of it takes most of a second."""

OPTIONS = {"iree_flags", "quantize_weights"}
"""The options whose effect follows from what they hold, which is plain data. Any other keeps a compilation out."""


def key_of(kind: str, content: str | None, target: Target, options: Mapping[str, Any], **settings: str) -> str | None:
    """The key, 64 hexadecimal digits, of compiling `content` (the text of a model) for a resolved target.

    `kind` says what `content` is: equal texts of two kinds are two things. None if no key can stand for the result: it
    has no text, code or files outside of Terrace take part, or what Terrace's code is cannot be said.
    """
    given = {name: value for name, value in options.items() if value}
    own = TARGETS.get(target.name)
    is_ours = own is not None and own.backend.startswith("terrace.")
    is_known = content is not None and OPTIONS.issuperset(given) and is_ours
    code = loaded_code.digest()
    if importlib.metadata.entry_points(group=FAMILY_ENTRY_POINTS):
        return None
    if not is_known or _names_a_file(given.get("iree_flags", [])) or code is None:
        return None
    described = {"kind": kind, "content": content, "target": target.to_json(), "options": given, "settings": settings}
    whole = json.dumps({**described, "code": code, "versions": _versions()}, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def _names_a_file(flags: Iterable[str]) -> bool:
    return any(os.path.exists(part) for flag in flags for part in flag.partition("=")[2].split(",") if part)


@functools.cache
def _versions() -> dict[str, str]:
    """Of all that makes programs: the packages, Python, and iree-compile, whose files tell it from other builds."""
    found = {"python": sys.version}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    package = importlib.util.find_spec("iree.compiler")
    for folder in (package and package.submodule_search_locations) or []:
        for name in COMPILER_FILES:
            found[name] = _identity(Path(folder) / "_mlir_libs" / name)
    return found


def _identity(path: Path) -> str:
    """What tells a file from another version of it without reading all of it."""
    try:
        with open(path, "rb") as file:
            status, head = os.fstat(file.fileno()), file.read(_HEAD)
    except OSError:
        return "none"
    return f"{status.st_size} {status.st_mtime_ns} {hashlib.sha256(head).hexdigest()}"
