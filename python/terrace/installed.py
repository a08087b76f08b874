"""What is installed: `mlir-terrace-runtime` alone loads and runs models, `mlir-terrace` compiles them, too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from terrace.errors import MissingPackageError


@contextlib.contextmanager
def needing_compiler(what: str) -> Iterator[None]:
    """Around imports of the compiler for `what`: raises MissingPackageError where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"{what} needs the compiler, which is not installed ({error}): pip install mlir-terrace"
        ) from error
