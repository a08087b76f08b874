"""IREE as the end of a target: it compiles what is no kernel of ours, and iree-compile makes the program."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from terrace.lowering.conversion.convert_graph_to_linalg import ConvertGraphToLinalg
from terrace.lowering.target.backend import Backend, Source
from terrace.lowering.target.iree.compiler import compile_program, program_text
from terrace.lowering.target.iree.convert_loop_to_iree import ConvertLoopToIree
from terrace.lowering.target.iree.expand_math import ExpandMath
from terrace.lowering.target.iree.fold_slices_into_extracts import FoldSlicesIntoExtracts
from terrace.lowering.target.iree.interface import interface_text
from terrace.mlir import ir
from terrace.passes import Pass

_OP = re.compile(r'^ *(%[^=\n]*= *)?"?(flow|hal|stream|util)\.[a-z]', re.MULTILINE)
"""An op of IREE's own dialects, which only its programs have."""


class IreeBackend(Backend):
    """From the level "iree" to a .vmfb. Without families, IREE's code generation makes the whole program."""

    level = "iree"

    @classmethod
    def reads(cls, text: str) -> bool:
        return _OP.search(text) is not None

    @classmethod
    def interface(cls, text: str, name: str | None = None) -> str:
        return interface_text(text, name)

    def rest(self) -> list[Pass]:
        return [ConvertGraphToLinalg()]

    def lower(self) -> list[Pass]:
        # IREE has no good sin, log1p and the like, and cannot look up in some slices.
        return [*self.lower_kernels(), ExpandMath(), FoldSlicesIntoExtracts(), ConvertLoopToIree()]

    def lower_kernels(self) -> list[Pass]:
        """The part that is about kernels alone."""
        return []

    def text(self, module: ir.Operation) -> str:
        return program_text(module)

    def link(self, text: str, flags: Sequence[str], parameters: Mapping[str, Source]) -> tuple[bytes, set[str]]:
        return compile_program(text, flags), set(parameters)
