"""Terrace's own dialects: `graph` (what is computed), `kernel` (how it is cut), `loop` (what runs)."""

from __future__ import annotations


def load_dialects() -> None:
    """Load every Terrace dialect into the current context (once; loading again does nothing)."""
    from terrace.dialects import graph, kernel, loop
    from terrace.mlir import ir

    for dialect in (graph.Graph, kernel.Kernel, loop.Loop):
        if not ir.Context.current.is_dialect_loaded(dialect.DIALECT_NAMESPACE):
            dialect.load()
