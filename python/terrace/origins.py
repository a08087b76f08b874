"""Which op of the model an op of ours stands for: a name in its location, around the source line.

The importer writes `loc("conv2d_1@stem.0"("model.py":3:0))`: the name that torch.export gave the call of the model's
own function, and the submodule that made it. Passes keep and fuse locations as they keep lines. Texts have none.
"""

from __future__ import annotations

import dataclasses
import re

from terrace.mlir import ir

_NAME = re.compile(r"(\w+)_(\d+)@(.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Origin:
    """A call of a PyTorch function: `op`, the `number` of the call among those of it, and the submodule's `path`."""

    op: str
    number: int
    path: str

    def around(self, location: ir.Location) -> ir.Location:
        """`location`, with this name."""
        return ir.Location.name(f"{self.op}_{self.number}@{self.path}", location, context=location.context)


def origins_of(location: ir.Location) -> list[Origin]:
    """The origins in a location, each once, in their order."""
    return list(dict.fromkeys(_all(location)))


def renamed(location: ir.Location, op: str) -> ir.Location:
    """The place of a part that a pass makes of an op, called by its own name; a location without origin as it is."""
    origins = origins_of(location)
    return dataclasses.replace(origins[0], op=op).around(location) if origins else location


def _all(location: ir.Location) -> list[Origin]:
    if isinstance(location, ir.NameLoc):
        found = _NAME.fullmatch(location.name_str)
        return [Origin(found[1], int(found[2]), found[3])] if found else _all(location.child_loc)
    if isinstance(location, ir.CallSiteLoc):
        return _all(location.callee)
    if isinstance(location, ir.FusedLoc):
        return [origin for part in location.locations for origin in _all(part)]
    return []
