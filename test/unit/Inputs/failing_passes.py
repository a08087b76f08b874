"""Passes that fail, for the tests of reproducers."""

from __future__ import annotations

import dataclasses
import os

from terrace.mlir import ir, walk
from terrace.passes import Pass, fail


@dataclasses.dataclass(frozen=True)
class RefuseOp(Pass):
    """Refuses modules that hold an op."""

    name = "refuse-op"
    op: str = "graph.softmax"

    def run(self, module: ir.Operation) -> None:
        """Refuse the op."""
        for operation in walk(module):
            if operation.name == self.op:
                raise fail(operation, "is not wanted")


@dataclasses.dataclass(frozen=True)
class SlipOnTwo(Pass):
    """Raises an exception that is no refusal, at the second op of a name."""

    name = "slip-on-two"
    op: str = "graph.matmul"

    def run(self, module: ir.Operation) -> None:
        """Look up what is not there."""
        if sum(operation.name == self.op for operation in walk(module)) > 1:
            {}[self.op]


@dataclasses.dataclass(frozen=True)
class BreakTypes(Pass):
    """Leaves a function that returns another type than it says."""

    name = "break-types"

    def run(self, module: ir.Operation) -> None:
        """Change the type of the first function."""
        function = next(op for op in walk(module) if op.name == "func.func")
        function.attributes["function_type"] = ir.TypeAttr.parse("() -> i64")


@dataclasses.dataclass(frozen=True)
class FailHere(Pass):
    """Fails in one process only."""

    name = "fail-here"
    process: int = -1

    def run(self, module: ir.Operation) -> None:
        """Fail."""
        if os.getpid() == self.process:
            raise fail(module, "is in the wrong process")
