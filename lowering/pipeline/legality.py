"""Which ops are legal at each level. Checked at every boundary, so that a pass that leaves something behind is found
there and not in a crash further down."""

from __future__ import annotations

import pkgutil

from terrace.mlir import ir
from terrace.passes import fail
from terrace.target import TARGETS

UPSTREAM = ("arith.", "builtin.", "func.", "linalg.", "math.", "scf.", "tensor.", "tm_tensor.")
"""What the importer and the reference conversion leave beside our own ops, at every level."""

_SYMBOLS = tuple(
    f"graph.{name}" for name in ("constant", "load", "load_state", "parameter", "part", "state", "store_state")
)

LEGAL: dict[str, tuple[str, ...]] = {
    "graph": (*UPSTREAM, "graph."),
    "kernel": (*UPSTREAM, "graph.", "kernel."),
    # Inside loop functions; the program around them is linalg, or where that does not run only calls and reshapes.
    "loop": (*UPSTREAM, *_SYMBOLS, "graph.reshape", "loop.", "memref.", "vector."),
}
"""For each level of every target, the names of legal ops, or the prefixes of their names up to the dot."""

# fmt: off
UNKNOWN_TO_IREE = frozenset({
    "linalg.abs", "linalg.add", "linalg.ceil", "linalg.div", "linalg.div_unsigned", "linalg.erf", "linalg.exp",
    "linalg.floor", "linalg.log", "linalg.max", "linalg.min", "linalg.mul", "linalg.negf", "linalg.powf",
    "linalg.reciprocal", "linalg.round", "linalg.rsqrt", "linalg.select", "linalg.sqrt", "linalg.square", "linalg.sub",
    "linalg.tanh",
})
# fmt: on
"""The named ops of our MLIR's linalg that IREE 3.13's MLIR lacks."""


def legal_at(level: str) -> tuple[str, ...]:
    """`LEGAL`, for the levels of programs, too: their backends know."""
    if level in LEGAL:
        return LEGAL[level]
    target = next(target for target in TARGETS.values() if target.level == level)
    legal: tuple[str, ...] = pkgutil.resolve_name(target.backend).legal
    return legal


def check_level(module: ir.Operation, level: str) -> None:
    """Raise PassError, naming the op and its place, if `module` holds an op that is not legal at `level`."""
    legal = legal_at(level)
    for view in module.regions[0].blocks[0].operations:
        _check(view.operation, level, legal)


def _check(operation: ir.Operation, level: str, legal: tuple[str, ...]) -> None:
    if not operation.name.startswith(legal):
        raise fail(operation, f"is not legal at the level '{level}'; no pass converted it")
    if level not in ("graph", "kernel") and operation.name in UNKNOWN_TO_IREE:
        raise fail(operation, "is not known to IREE's linalg; emit a linalg.generic instead")
    if operation.name == "graph.constant":
        return  # an expression that is evaluated when the artefact is written: graph ops at every level
    for region in operation.regions:
        for block in region.blocks:
            for child in block.operations:
                _check(child.operation, level, legal)
