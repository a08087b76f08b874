"""What comes after the loop level: what makes a program of a target's lowered text, and what else it can run.

IREE is every target's toolchain but that of hardware, whose C++ is a program of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from terrace.mlir import ir
from terrace.passes import Pass
from terrace.target import TARGETS, Target

Source = Callable[[], np.ndarray]


class Toolchain(Protocol):
    """The last steps of compiling."""

    level: str
    """The level of the text that it takes."""
    generators: tuple[str, ...]
    """The kernel generators that it wants used."""
    element_types: tuple[str, ...]
    """The element types that its kernels compute with."""
    reduced_types: tuple[str, ...]
    """The element types that its reductions take beside f32."""
    program_name: str
    """The name of the program's member in an artifact."""

    def rest(self) -> list[Pass]:
        """The passes that prepare, at the loop level, what is no kernel."""

    def text(self, module: ir.Operation) -> str:
        """The text of a module at `level`."""

    def link(self, text: str, flags: Sequence[str], parameters: Mapping[str, Source]) -> tuple[bytes, set[str]]:
        """The program, and the names of the parameters that it reads at run time."""


TOOLCHAINS = {
    "cpu": "terrace.lowering.target.cpu.toolchain:CpuToolchain",
    "cuda": "terrace.lowering.target.iree.toolchain:IreeOnlyToolchain",
    "hip": "terrace.lowering.target.iree.toolchain:IreeOnlyToolchain",
    "hls": "terrace.lowering.target.hls.toolchain:HlsToolchain",
    "vulkan": "terrace.lowering.target.gpu.toolchain:GpuToolchain",
}
"""The toolchains of targets; one that is not here takes IREE as it is."""

_IREE = "terrace.lowering.target.iree.toolchain:IreeToolchain"


def backend_of(target: Target) -> Any:
    """What lowers for a resolved target."""
    module, _, name = TARGETS[target.name].partition(":")
    return getattr(importlib.import_module(module), name)(target)


def toolchain_of(target: str) -> Toolchain:
    """The toolchain of a target, by the target's name."""
    module, _, name = TOOLCHAINS.get(target, _IREE).partition(":")
    found: Any = getattr(importlib.import_module(module), name)()
    toolchain: Toolchain = found
    return toolchain
