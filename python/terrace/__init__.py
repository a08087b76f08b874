"""Terrace: a deep-learning compiler made of MLIR dialects and passes written in Python.

Names resolve on first use, so that `import terrace` costs milliseconds: `terrace.load` brings in IREE's runtime, and
only `terrace.compile` the compilers and torch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from typing import TYPE_CHECKING, Any

from terrace import loaded_code

if TYPE_CHECKING:
    from terrace import logging as logging
    from terrace.compiler import compile as compile
    from terrace.compiler import compile_mlir as compile_mlir
    from terrace.errors import ArtifactError as ArtifactError
    from terrace.errors import CompileError as CompileError
    from terrace.errors import InputError as InputError
    from terrace.errors import MissingPackageError as MissingPackageError
    from terrace.errors import ModelImportError as ModelImportError
    from terrace.errors import PassError as PassError
    from terrace.errors import PipelineError as PipelineError
    from terrace.errors import TargetError as TargetError
    from terrace.errors import TerraceError as TerraceError
    from terrace.frontend.register_lowering import register_lowering as register_lowering
    from terrace.runtime.model import CompiledModel as CompiledModel
    from terrace.runtime.model import load as load
    from terrace.storage import cache
    from terrace.target import Target as Target

# Before any other module of Terrace is imported.
loaded_code.install()

_HOME = {
    "ArtifactError": "terrace.errors",
    "CompileError": "terrace.errors",
    "CompiledModel": "terrace.runtime.model",
    "InputError": "terrace.errors",
    "MissingPackageError": "terrace.errors",
    "ModelImportError": "terrace.errors",
    "PassError": "terrace.errors",
    "PipelineError": "terrace.errors",
    "Target": "terrace.target",
    "TargetError": "terrace.errors",
    "TerraceError": "terrace.errors",
    "compile": "terrace.compiler",
    "compile_mlir": "terrace.compiler",
    "load": "terrace.runtime.model",
    "register_lowering": "terrace.frontend.register_lowering",
}
"""The module that defines each name of the API."""

__all__ = [
    "ArtifactError",
    "CompileError",
    "CompiledModel",
    "InputError",
    "MissingPackageError",
    "ModelImportError",
    "PassError",
    "PipelineError",
    "Target",
    "TargetError",
    "TerraceError",
    "cache",
    "compile",
    "compile_mlir",
    "load",
    "logging",
    "register_lowering",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Reading the metadata takes longer than all of this import.
        value: Any = importlib.metadata.version("mlir-terrace-runtime")
    elif name == "logging":
        value = importlib.import_module("terrace.logging")
    elif name == "cache" or name in _HOME:
        from terrace.collector import collecting_seldom
        from terrace.installed import needing_compiler

        with needing_compiler(f"terrace.{name}"), collecting_seldom():
            home = importlib.import_module(_HOME.get(name, "terrace.storage.cache"))
        value = home if name == "cache" else getattr(home, name)
    else:
        raise AttributeError(f"module 'terrace' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if "TERRACE_LOG" in os.environ:
    importlib.import_module("terrace.logging").set_level(os.environ["TERRACE_LOG"])
