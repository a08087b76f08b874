"""The boundary of a level: a pass that changes nothing and refuses an op that is not legal there."""

from __future__ import annotations

import dataclasses
from typing import Literal

from terrace.levels import TEXTS
from terrace.lowering.pipeline.legality import check_level
from terrace.mlir import ir
from terrace.passes import LocatedPassError, Pass


@dataclasses.dataclass(frozen=True)
class VerifyLevel(Pass):
    """Refuse ops that are not legal at a level."""

    name = "verify-level"

    level: Literal[TEXTS] = "graph"  # type: ignore[valid-type]  # Known when the targets are.
    """The level whose ops are legal."""

    after: str = ""
    """The pass that ran just before, a user's, which the error then names."""

    def run(self, module: ir.Operation) -> None:
        try:
            check_level(module, self.level)
        except LocatedPassError as error:
            if not self.after:
                raise
            raise LocatedPassError(error.location, f"{error.message} (found after pass '{self.after}')") from error
