"""Lets embeddings read the packed form of their table where another use of the same parameter wants it packed.

Tied weights are a look-up table and a matrix: without this the artefact would hold them twice, as the model gave them
and packed. Looking rows up in blocks reads a row in pieces, which is little beside the product. A parameter that
something else reads as it is stays, as it is stored then anyway.
"""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.graph import EmbeddingOp, PackOp
from terrace.lowering.graph.builders import users_of
from terrace.mlir import ir, walk
from terrace.passes import Pass


class SharePackedTables(Pass):
    """Read embedding tables in blocks of rows where that form of the parameter exists."""

    name = "share-packed-tables"

    def run(self, module: ir.Operation) -> None:
        loads: dict[str, list[ir.Operation]] = {}
        for op in walk(module):
            if op.name == "graph.load":
                loads.setdefault(ir.FlatSymbolRefAttr(op.attributes["symbol"]).value, []).append(op)
        for same in loads.values():
            users = [user for load in same for user in users_of(load.results[0])]
            packs = [user for user in users if user.name == PackOp.OPERATION_NAME and is_in_blocks_of_rows(user)]
            lookups = [user for user in users if user.name == EmbeddingOp.OPERATION_NAME]
            if packs and len(packs) + len(lookups) == len(users):
                read_packed(lookups, packs[0])


def is_in_blocks_of_rows(pack: ir.Operation) -> bool:
    """Whether `pack` makes [blocks, width, rows of a block] of [rows, width]."""
    return (integers(pack, "outer_permutation"), integers(pack, "inner_dims")) == ([0, 1], [0])


def integers(operation: ir.Operation, name: str) -> list[int]:
    """An array attribute."""
    return list(ir.DenseI64ArrayAttr(operation.attributes[name]))


def read_packed(lookups: Sequence[ir.Operation], pack: ir.Operation) -> None:
    """Give each of `lookups` its table as `pack` makes it; equal packs become one constant later."""
    for lookup in lookups:
        with lookup.location, ir.InsertionPoint(lookup):
            copy = pack.clone()
        copy.operation.operands[0] = lookup.operands[0]
        lookup.operands[0] = copy.results[0]
