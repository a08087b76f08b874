"""IREE as the toolchain of a target: it compiles what is no kernel of ours, and iree-compile makes the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrace.lowering.conversion.convert_graph_to_linalg import ConvertGraphToLinalg
from terrace.lowering.kernels.group import KERNEL_TYPES
from terrace.lowering.kernels.registry import common_families
from terrace.lowering.target.iree.compiler import compile_program, program_text
from terrace.lowering.target.toolchain import Source
from terrace.mlir import ir
from terrace.passes import Pass


class IreeToolchain:
    """From the level "iree" to a .vmfb."""

    level = "iree"
    generators: tuple[str, ...] = common_families()
    element_types: tuple[str, ...] = KERNEL_TYPES
    reduced_types: tuple[str, ...] = ()
    program_name = "program.vmfb"

    def rest(self) -> list[Pass]:
        return [ConvertGraphToLinalg()]

    def text(self, module: ir.Operation) -> str:
        return program_text(module)

    def link(self, text: str, flags: Sequence[str], parameters: Mapping[str, Source]) -> tuple[bytes, set[str]]:
        return compile_program(text, flags), set(parameters)


class IreeOnlyToolchain(IreeToolchain):
    """Of targets that have no kernels of ours: IREE's code generation makes the whole program."""

    generators = ()
