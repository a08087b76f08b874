"""Passes of other packages and files: by entry points of the group `terrace.passes`, or loaded by name.

    [project.entry-points."terrace.passes"]
    count-matmuls = "my_package.count_matmuls:CountMatmuls"

Entry points are read when a name is looked up that is no pass of Terrace's or MLIR's, and imported when used.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrace.errors import PipelineError
from terrace.passes import Pass

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "terrace.passes"

_loaded: dict[str, type[Pass]] = {}


@functools.cache
def _entry_points() -> dict[str, list[EntryPoint]]:
    """The entry points of the group by name; one that two packages define has two."""
    from importlib import metadata  # Slow to import, and rarely needed.

    found: dict[str, list[EntryPoint]] = {}
    for entry in metadata.entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def plugin_names() -> list[str]:
    """The names of all passes of other packages and files, sorted."""
    return sorted({*_loaded, *_entry_points()})


def installed_names() -> list[str]:
    """The names that entry points give."""
    return sorted(_entry_points())


def find_plugin(name: str) -> type[Pass]:
    """The pass `name` of `plugin_names`. Raises PipelineError if its package is at fault."""
    if name in _loaded:
        return _loaded[name]
    entries = _entry_points()[name]
    if len({entry.value for entry in entries}) > 1:
        raise PipelineError(f"pass '{name}' is defined twice: {' and '.join(map(_describe, entries))}")
    try:
        found = entries[0].load()
    except (ImportError, AttributeError) as error:
        raise PipelineError(f"pass '{name}', {_describe(entries[0])}, cannot be imported: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Pass)):
        raise PipelineError(f"pass '{name}', {_describe(entries[0])}, is no subclass of terrace.passes.Pass")
    if found.name != name:
        raise PipelineError(f"pass '{name}', {_describe(entries[0])}, calls itself '{found.name}'")
    return found


def _describe(entry: EntryPoint) -> str:
    owner = f" of the package {entry.dist.name}" if entry.dist is not None else ""
    return f"the entry point {entry.value}{owner}"


def load_plugin(file: str) -> list[str]:
    """Run a Python file and register the passes that it defines; their names. Raises PipelineError if it has none."""
    path = Path(file).resolve()
    if not path.is_file():
        raise PipelineError(f"there is no file '{file}'")
    name = f"terrace_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PipelineError(f"'{file}' is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Before it runs: dataclasses look their module up.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    found = {item.name: item for item in vars(module).values() if _is_pass_of(item, name)}
    if not found:
        raise PipelineError(f"'{file}' defines no subclass of terrace.passes.Pass that has a name")
    _loaded.update(found)
    return list(found)


def _is_pass_of(item: Any, module: str) -> bool:
    return inspect.isclass(item) and issubclass(item, Pass) and item.__module__ == module and bool(item.name)
