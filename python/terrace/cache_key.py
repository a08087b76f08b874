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
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import terrace
from terrace.target import TARGETS, Target

PACKAGES = ("torch", "torch-mlir", "iree-base-compiler")
"""The packages whose versions are part of each key."""


OPTIONS = {"iree_flags"}
"""The options whose effect follows from what they hold, which is plain data. Any other keeps a compilation out."""


def key_of(content: str | None, target: Target, options: Mapping[str, Any], **settings: str) -> str | None:
    """The key, 64 hexadecimal digits, of compiling `content` (the text of a model) for a resolved target.

    None if no key can stand for the result: it has no text, code or files outside of Terrace take part, or Terrace's
    own files changed since this process imported them.
    """
    given = {name: value for name, value in options.items() if value}
    is_known = content is not None and OPTIONS.issuperset(given) and TARGETS[target.name].startswith("terrace.")
    if not is_known or _names_a_file(given.get("iree_flags", [])) or not is_code_current():
        return None
    described = {"content": content, "target": target.to_json(), "options": given, "settings": settings}
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    whole = json.dumps({**described, "code": _code(), "versions": versions}, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def _names_a_file(flags: Iterable[str]) -> bool:
    return any(os.path.exists(part) for flag in flags for part in flag.partition("=")[2].split(",") if part)


def is_code_current() -> bool:
    """Whether no file of Terrace is younger than its import, so that the files say what runs."""
    return all(path.stat().st_mtime <= terrace.IMPORTED_AT for _, path in _modules())


@functools.cache
def _code() -> str:
    """A hash of every module, by its name and contents."""
    digest = hashlib.sha256()
    for name, path in _modules():
        contents = path.read_bytes()
        digest.update(f"{name} {len(contents)}\n".encode())
        digest.update(contents)
    return digest.hexdigest()


def _modules() -> Iterator[tuple[str, Path]]:
    """Every file of the package, which may lie in several folders, by its name."""
    for package in ("terrace", "terrace.dialects", "terrace.lowering"):
        spec = importlib.util.find_spec(package)
        for location in (spec and spec.submodule_search_locations) or []:
            for path in sorted(Path(location).rglob("*.py")):
                if path.is_file():  # An editor's lock is a link to nowhere.
                    yield f"{package}/{path.relative_to(location)}", path
