"""IREE as the end of a target: it compiles what is no kernel of ours, and iree-compile makes the program."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from terrace.dialects.base import to_python
from terrace.lowering.conversion.convert_graph_to_linalg import ConvertGraphToLinalg
from terrace.lowering.pipeline.legality import UPSTREAM
from terrace.lowering.target.backend import Backend, Source
from terrace.lowering.target.iree.compiler import assemble_program, compile_program, program_text
from terrace.lowering.target.iree.convert_loop_to_iree import ConvertLoopToIree
from terrace.lowering.target.iree.expand_math import ExpandMath
from terrace.lowering.target.iree.fold_slices_into_extracts import FoldSlicesIntoExtracts
from terrace.lowering.target.iree.interface import interface_text
from terrace.lowering.target.iree.unroll_loops import UnrollLoops
from terrace.mlir import ir, walk
from terrace.passes import Pass

_DIALECTS = ("flow", "hal", "stream", "util")
"""IREE's own, which only its programs have."""

_OP = re.compile(rf'^ *(%[^=\n]*= *)?"?({"|".join(_DIALECTS)})\.[a-z]', re.MULTILINE)


class IreeBackend(Backend):
    """From the level "iree" to a .vmfb. Without families, IREE's code generation makes the whole program."""

    level = "iree"
    has_views = True
    legal = (*UPSTREAM, "flow.", "gpu.", "iree_tensor_ext.", "llvm.", "memref.", "stream.", "util.", "vector.")

    @classmethod
    def reads(cls, text: str) -> bool:
        return _OP.search(text) is not None

    @classmethod
    def interface(cls, text: str, name: str | None = None) -> str:
        return interface_text(text, name)

    @classmethod
    def is_program(cls, module: ir.Operation) -> bool:
        top = [view.operation for view in module.regions[0].blocks[0].operations]
        public = [op for op in top if op.name == "func.func" and "sym_visibility" not in op.attributes]
        # A program without kernels and parameters shows it in the functions that are called alone.
        return any(
            op.name.partition(".")[0] in _DIALECTS for op in (*top, *(op for host in public for op in walk(host)))
        )

    @classmethod
    def program_parameters(cls, module: ir.Operation) -> dict[str, ir.Type]:
        globals_ = [op.operation for op in module.regions[0].blocks[0].operations if op.operation.name == "util.global"]
        return {
            str(to_python(op.attributes["sym_name"])): to_python(op.attributes["type"])
            for op in globals_
            if "initial_value" in op.attributes and str(op.attributes["initial_value"]).startswith("#flow.parameter")
        }

    def rest(self) -> list[Pass]:
        return [ConvertGraphToLinalg()]

    def lower(self) -> list[Pass]:
        # IREE has no good sin, log1p and the like, and cannot look up in some slices.
        return [*self.lower_kernels(), ExpandMath(), FoldSlicesIntoExtracts(), UnrollLoops(), ConvertLoopToIree()]

    def lower_kernels(self) -> list[Pass]:
        """The part that is about kernels alone."""
        return []

    def kernel_passes(self) -> list[Pass]:
        return [pass_ for pass_ in self.lower() if not isinstance(pass_, ConvertLoopToIree)]

    def assembly(self, text: str, flags: Sequence[str]) -> str:
        return assemble_program(text, flags)

    def text(self, module: ir.Operation) -> str:
        return program_text(module)

    def link(self, text: str, flags: Sequence[str], parameters: Mapping[str, Source]) -> tuple[bytes, set[str]]:
        return compile_program(text, flags), set(parameters)
