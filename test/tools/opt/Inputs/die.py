"""A pass that takes the process down with it."""

import os
import signal

from terrace.mlir import ir
from terrace.passes import Pass


class Die(Pass):
    """Dies, as a pass of MLIR's with a defect does."""

    name = "die"

    def run(self, module: ir.Operation) -> None:
        """Die."""
        os.kill(os.getpid(), signal.SIGKILL)
