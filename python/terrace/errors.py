"""The exceptions that Terrace raises. Every message names what failed, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class TerraceError(Exception):
    """Base of all errors that Terrace raises on purpose."""


class CompileError(TerraceError):
    """A model or a module could not be compiled: a pass refused it, or a native compiler failed or crashed."""


class ModelImportError(CompileError):
    """A PyTorch model could not be exported or brought into the graph dialect.

    `operations` names the ops that are to blame, as the torch dialect calls them, where they are known.
    """

    def __init__(self, message: str, operations: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.operations = tuple(operations)


class PassError(CompileError):
    """A pass failed; the message carries the located diagnostics that it reported.

    `message` is what went wrong, without the place. `failure` is the `terrace.passes.PassFailure` to run it again from,
    when the pass ran in a pipeline.
    """

    failure: Any = None

    def __init__(self, text: str, message: str | None = None) -> None:
        super().__init__(text)
        self.message = text if message is None else message


class PipelineError(TerraceError):
    """A pass pipeline is malformed, names an unknown pass, or gives a pass a wrong option."""


class TargetError(TerraceError):
    """A target is unknown, its fields are inconsistent, or this machine cannot run code made for it."""


class ArtifactError(TerraceError):
    """A `.terrace` file is truncated, foreign, or of an unknown version."""


class MissingPackageError(TerraceError, ImportError):
    """Something was asked for that needs a package which is not installed."""


class InputError(TerraceError, TypeError, ValueError):
    """A compiled model was called with inputs of a wrong number, structure, shape or dtype."""


class CheckError(TerraceError, RuntimeError):
    """A check in a program failed while it ran. It gave no result, and its state is what it was before the call."""


class IndexRangeError(CheckError, IndexError):
    """An index lies outside the dimension that it counts in."""


class DivisionByZeroError(CheckError, ZeroDivisionError):
    """An integer was divided by zero."""
