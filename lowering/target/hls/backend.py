"""What compiling for hardware means: its schedules and its lowering of the loop level to what the printer prints."""

from __future__ import annotations

import dataclasses

from terrace.lowering.target.hls.convert_loop_to_hls import ConvertLoopToHls
from terrace.lowering.target.hls.lower_tiles_to_arrays import LowerTilesToArrays
from terrace.lowering.target.hls.schedule_kernels_for_hls import ScheduleKernelsForHls
from terrace.lowering.target.hls.set_dataflow import SetDataflow
from terrace.lowering.target.hls.set_hardware_attributes import SetHardwareAttributes
from terrace.lowering.target.hls.verify_hardware_attributes import VerifyHardwareAttributes
from terrace.mlir import ir
from terrace.passes import Pass, UpstreamPass
from terrace.target import HlsDescription, Target


@dataclasses.dataclass(frozen=True)
class HlsBackend:
    """The hardware end of the levels, for a resolved target."""

    target: Target

    @property
    def hls(self) -> HlsDescription:
        assert self.target.hls is not None, "the target is not resolved"
        return self.target.hls

    def schedule(self) -> list[Pass]:
        return [ScheduleKernelsForHls(local_bytes=self.hls.local_bytes)]

    def lower(self) -> list[Pass]:
        return [
            LowerTilesToArrays(),
            ConvertLoopToHls(rom_elements=self.hls.rom_elements, number_format=self.hls.number_format),
            # Index arithmetic with zeros, and constants of every loop, from the two passes before.
            UpstreamPass("canonicalize"),
            UpstreamPass("cse"),
            SetDataflow(interface=self.hls.interface, bram=self.hls.bram),
            SetHardwareAttributes(max_unroll=self.hls.max_unroll, dsp=self.hls.dsp, bram=self.hls.bram),
            VerifyHardwareAttributes(),
        ]

    def iree_flags(self, module: ir.Operation | None = None) -> list[str]:
        """None: IREE has no part in this target."""
        return []
