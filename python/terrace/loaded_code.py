"""The code of Terrace that this process runs: the code object of each module, noted when it is imported.

A file says what the next process will run. It may have changed since this one read it, and kept its times; a module
may have come from elsewhere. So the loader notes what it executes, and only of modules that are not loaded is the file
asked.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import marshal
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

PACKAGES = ("terrace", "terrace.dialects", "terrace.lowering")
"""What takes part in making a program; the tools do not."""

_NOT_NOTED = ("terrace", __name__)
"""Imported before anything can be noted. No program depends on them."""


class _Loader(SourceFileLoader):
    """Notes what it executes."""

    def exec_module(self, module: ModuleType) -> None:
        code = self.get_code(module.__name__)
        if code is None:
            raise ImportError(f"{self.path} has no code", name=module.__name__)
        _note(module, code)
        exec(code, module.__dict__)


class _Finder:
    """Finds modules of Terrace as the other finders do, and gives them a loader that notes their code."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith("terrace."):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((spec for finder in others if (spec := finder.find_spec(name, path, target))), None)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


_noted: dict[str, tuple[ModuleType, CodeType]] = {}
_digests: dict[str, bytes] = {}
"""Of modules that are loaded, and of others by their files, as they were when first asked for."""
_mixed: set[str] = set()
"""Modules that were loaded twice, from different code: parts of both may run."""


def install() -> None:
    """Note the code of every module of Terrace that is imported from now on."""
    sys.meta_path.insert(0, _Finder())


def _note(module: ModuleType, code: CodeType) -> None:
    name = module.__name__
    known = _noted.get(name)
    if known is not None and code_digest(known[1]) != code_digest(code):
        _mixed.add(name)
    _noted[name] = module, code
    _digests.pop(name, None)


def digest() -> str | None:
    """A hash of all of Terrace's code: what runs of the modules that are loaded, what is on disk of the others.

    None if that cannot be said: a module was loaded again from other code, or not by Python's loader of files.
    """
    loaded = [name for name in sys.modules if _takes_part(name)]
    if _mixed or any(name not in _noted or _noted[name][0] is not sys.modules[name] for name in loaded):
        return None
    for name in loaded:
        _digests[name] = _digests.get(name) or code_digest(_noted[name][1])
    for name, path in _files().items():
        if name not in _digests:
            code = SourceFileLoader(name, path).get_code(name)
            _digests[name] = b"" if code is None else code_digest(code)
    whole = hashlib.sha256()
    for name in sorted(_digests):
        whole.update(name.encode() + _digests[name])
    return whole.hexdigest()


@functools.cache
def _takes_part(name: str) -> bool:
    is_ours = any(name == package or name.startswith(f"{package}.") for package in PACKAGES)
    return is_ours and name not in _NOT_NOTED and not name.startswith("terrace.tools")


@functools.cache
def _files() -> dict[str, str]:
    """The files of all modules, by name. The packages may lie in several folders."""
    found = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for location in (spec and spec.submodule_search_locations) or []:
            for path in sorted(Path(location).rglob("*.py")):
                parts = path.relative_to(location).with_suffix("").parts
                name = ".".join([package, *(part for part in parts if part != "__init__")])
                if _takes_part(name) and path.is_file():  # An editor's lock is a link to nowhere.
                    found[name] = str(path)
    return found


def code_digest(code: CodeType) -> bytes:
    """A hash of what `code` does: where it stands, in which file and line, is no part of it."""
    state = hashlib.sha256()
    _feed(state, code)
    return state.digest()


def _feed(state: hashlib._Hash, code: CodeType) -> None:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    own = (
        tuple(constant for constant in code.co_consts if not isinstance(constant, CodeType))
        if inner
        else code.co_consts
    )
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_qualname, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    # Version 0 writes values alone: later ones also say which of them are one object, which varies.
    state.update(marshal.dumps((counts, names, own, code.co_code, code.co_exceptiontable), 0))
    for constant in inner:
        _feed(state, constant)
