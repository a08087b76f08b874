"""The toolchain of hardware: the C++ project is the program, as a ZIP archive; simulating it needs a C++ compiler."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

from terrace.dialects.context import create_context
from terrace.lowering.conversion.convert_graph_to_kernel import ConvertGraphToKernel
from terrace.lowering.conversion.convert_kernel_to_loop import ConvertKernelToLoop
from terrace.lowering.kernels.group import KERNEL_TYPES
from terrace.lowering.kernels.registry import families_for
from terrace.lowering.pipeline.verify_level import VerifyLevel
from terrace.lowering.target.hls.interface import design_weights
from terrace.lowering.target.hls.project import project_files
from terrace.lowering.target.hls.require_kernels import RequireKernels
from terrace.lowering.target.hls.schedule_kernels_for_hls import ScheduleKernelsForHls
from terrace.lowering.target.hls.verify_hardware_attributes import VerifyHardwareAttributes
from terrace.lowering.target.toolchain import Source
from terrace.lowering.transforms.hoist_constants import HoistConstants
from terrace.machine import CircuitMachine
from terrace.mlir import ir, parse_module
from terrace.passes import Pass, run_passes

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every file: equal models have equal bytes."""


class HlsToolchain:
    """From the level "hls" to a project."""

    level = "hls"
    generators = families_for(CircuitMachine)
    element_types = (*KERNEL_TYPES, "i1")
    reduced_types = ("f64", "i32", "i64")
    program_name = "program.zip"

    def rest(self) -> list[Pass]:
        """Nothing else runs in hardware; images that schedules want padded are padded by kernels, too."""
        return [
            # What takes part in no kernel must be known: constants of constants, too.
            HoistConstants(all_constants=True),
            ConvertGraphToKernel(self.generators, self.element_types, self.reduced_types),
            ScheduleKernelsForHls(),
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
            run_passes([VerifyLevel(level="hls"), VerifyHardwareAttributes()], module.operation)
            files = project_files(module.operation, lambda symbol: parameters[symbol]())
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, contents in files.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), contents)
        # Those on chip, too: co-simulation reads them.
        return packed.getvalue(), set(design_weights(module.operation))
