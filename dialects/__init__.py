"""Terrace's own dialects: `graph` (what is computed), `kernel` (how it is cut), `loop` (what runs)."""

from __future__ import annotations

import sys


def load_dialects() -> None:
    """Load every Terrace dialect into the current context (once; loading again does nothing)."""
    from terrace.dialects import graph, kernel, loop
    from terrace.mlir import ir

    for dialect in (graph.Graph, kernel.Kernel, loop.Loop):
        if not ir.Context.current.is_dialect_loaded(dialect.DIALECT_NAMESPACE):
            dialect.load()
        # For every op it meets, the bindings try to import the dialect's module beside their own; finding none, they
        # search the disk again for the next op, which took two thirds of verification.
        sys.modules.setdefault(f"torch_mlir.dialects.{dialect.DIALECT_NAMESPACE}", sys.modules[dialect.__module__])
