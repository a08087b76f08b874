"""Contexts in which Terrace's dialects are loaded."""

from __future__ import annotations

import sys

from terrace.dialects import graph, kernel, loop
from terrace.mlir import ext, ir


class Terrace(ext.Dialect, name="terrace"):
    """The namespace of attributes that are no dialect's own, such as `terrace.target` of a module."""


def create_context() -> ir.Context:
    """A fresh context in which Terrace's dialects are loaded.

    MLIR's multithreading is off: its C++ workers deadlock when they call a verifier written in Python.
    """
    context = ir.Context()
    context.enable_multithreading(False)
    with context, ir.Location.unknown():
        for dialect in (graph.Graph, kernel.Kernel, loop.Loop, Terrace):
            dialect.load()
            # For every op it meets, the bindings try to import the dialect's module beside their own; finding none,
            # they search the disk again for the next op, which took two thirds of verification.
            sys.modules.setdefault(f"torch_mlir.dialects.{dialect.DIALECT_NAMESPACE}", sys.modules[dialect.__module__])
    return context
