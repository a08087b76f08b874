"""A pass outside of Terrace."""

import dataclasses

from terrace.mlir import ir, walk
from terrace.passes import Pass, fail


@dataclasses.dataclass(frozen=True)
class CountOps(Pass):
    """Write the number of ops on the module, and refuse more than `at-most`."""

    name = "count-ops"
    at_most: int = 100

    def run(self, module: ir.Operation) -> None:
        """Count."""
        operations = list(walk(module))
        if len(operations) > self.at_most:
            raise fail(operations[self.at_most], f"is one of {len(operations)}, more than {self.at_most}")
        module.attributes["test.ops"] = ir.IntegerAttr.get(ir.IndexType.get(), len(operations))
