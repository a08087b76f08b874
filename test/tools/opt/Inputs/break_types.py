"""A pass with a defect."""

from terrace.mlir import ir
from terrace.passes import Pass


class BreakTypes(Pass):
    """Leaves IR that does not verify: a function returns another type than it says."""

    name = "break-types"

    def run(self, module: ir.Operation) -> None:
        """Give the first function a type that its body does not have."""
        function = next(iter(module.regions[0].blocks[0]))
        function.attributes["function_type"] = ir.TypeAttr.parse("() -> i64")


class Slip(Pass):
    """Raises an exception that is no refusal."""

    name = "slip"

    def run(self, module: ir.Operation) -> None:
        """Look up what is not there."""
        {}["lost"]
