"""Which parameters and constants a program reads when it runs."""

from __future__ import annotations

from terrace.dialects.base import to_python
from terrace.mlir import ir, walk


def used_symbols(module: ir.Operation) -> set[str]:
    """The symbols that a function reads, or that a state starts from."""
    used: set[str] = set()
    for view in module.regions[0].blocks[0].operations:
        if view.operation.name == "graph.state":
            used.add(str(to_python(view.operation.attributes["initial"])))
        elif view.operation.name == "func.func":
            loads = [op for op in walk(view.operation) if op.name == "graph.load"]
            used.update(str(to_python(op.attributes["symbol"])) for op in loads)
    return used
