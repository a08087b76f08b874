"""The target "hls": the C++ project is the program, as a ZIP archive; simulating it needs a C++ compiler."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from terrace.dialects.context import create_context
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.conversion.convert_graph_to_kernel import ConvertGraphToKernel
from terrace.lowering.conversion.convert_kernel_to_loop import ConvertKernelToLoop
from terrace.lowering.kernels.group import KERNEL_TYPES
from terrace.lowering.kernels.registry import families_for
from terrace.lowering.pipeline.verify_level import VerifyLevel
from terrace.lowering.target.backend import Backend, Source
from terrace.lowering.target.hls.convert_loop_to_hls import ConvertLoopToHls
from terrace.lowering.target.hls.interface import design_types, design_weights, is_design
from terrace.lowering.target.hls.lower_tiles_to_arrays import LowerTilesToArrays
from terrace.lowering.target.hls.overlap_epilogues import OverlapEpilogues
from terrace.lowering.target.hls.project import project_files
from terrace.lowering.target.hls.require_kernels import RequireKernels
from terrace.lowering.target.hls.schedule_kernels_for_hls import ScheduleKernelsForHls
from terrace.lowering.target.hls.set_dataflow import SetDataflow
from terrace.lowering.target.hls.set_hardware_attributes import SetHardwareAttributes
from terrace.lowering.target.hls.verify_hardware_attributes import VerifyHardwareAttributes
from terrace.lowering.transforms.hoist_constants import HoistConstants
from terrace.machine import CircuitMachine
from terrace.mlir import func, ir, parse_module
from terrace.passes import Pass, UpstreamPass, run_passes
from terrace.target import HlsDescription

if TYPE_CHECKING:
    from terrace.compiler.request import Request

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every file: equal models have equal bytes."""


class HlsBackend(Backend):
    """From the level "hls" to a project."""

    level = "hls"
    legal = ("arith.", "builtin.", "func.", "math.", "memref.", "scf.")
    families = families_for(CircuitMachine)
    element_types = tuple(name for name in KERNEL_TYPES if ELEMENT_TYPES[name].held.name == name)
    reduced_types = ("f64", "i32", "i64")
    # Integers have circuits of ours: what leaves them for floating point ends a kernel.
    apart = ("graph.dequantize",)
    checks_indices = False
    takes_entries = False

    @classmethod
    def is_program(cls, module: ir.Operation) -> bool:
        return is_design(module)

    @classmethod
    def program_types(cls, main: func.FuncOp) -> tuple[Sequence[ir.Type], Sequence[ir.Type]]:
        return design_types(main)

    @classmethod
    def program_parameters(cls, module: ir.Operation) -> dict[str, ir.Type]:
        return design_weights(module)

    @property
    def hls(self) -> HlsDescription:
        assert self.target.hls is not None, "the target is not resolved"
        return self.target.hls

    def schedule(self, request: Request | None = None) -> list[Pass]:
        return [ScheduleKernelsForHls()]

    def lower(self) -> list[Pass]:
        return [
            LowerTilesToArrays(),
            ConvertLoopToHls(rom_elements=self.hls.rom_elements, number_format=self.hls.number_format),
            # Index arithmetic with zeros, and constants of every loop, from the two passes before.
            UpstreamPass("canonicalize"),
            UpstreamPass("cse"),
            OverlapEpilogues(),
            SetDataflow(interface=self.hls.interface, bram=self.hls.bram),
            SetHardwareAttributes(max_unroll=self.hls.max_unroll, dsp=self.hls.dsp, bram=self.hls.bram),
            VerifyHardwareAttributes(),
        ]

    def rest(self) -> list[Pass]:
        """Nothing else runs in hardware; images that schedules want padded are padded by kernels, too."""
        return [
            # What takes part in no kernel must be known: constants of constants, too.
            HoistConstants(all_constants=True),
            ConvertGraphToKernel(self.families, self.element_types, self.reduced_types),
            *self.schedule(),
            ConvertKernelToLoop(),
            RequireKernels(),
        ]

    def text(self, module: ir.Operation) -> str:
        return module.get_asm(assume_verified=True)

    def link(self, text: str, flags: Sequence[str], parameters: Mapping[str, Source]) -> tuple[bytes, set[str]]:
        context = create_context()
        module = parse_module(text, context)
        with context, ir.Location.unknown():
            # The text may have been edited: C simulation does not show an attribute that the hardware contradicts.
            run_passes([VerifyLevel(level=self.level), VerifyHardwareAttributes()], module.operation)
            files = project_files(module.operation, lambda symbol: parameters[symbol]())
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, contents in files.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), contents)
        # Those on chip, too: co-simulation reads them.
        return packed.getvalue(), set(design_weights(module.operation))
