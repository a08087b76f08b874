"""What compiling for a CPU means: its schedule parameters, its lowering of the loop level, and IREE's flags."""

from __future__ import annotations

import dataclasses

from terrace.lowering.target.cpu.keep_denormals import KeepDenormals, computes_beside_kernels, keep_denormals
from terrace.lowering.target.cpu.lower_tiles_to_vector import LowerTilesToVector
from terrace.lowering.target.cpu.schedule_kernels import ScheduleKernels
from terrace.lowering.target.cpu.widen_sums import WidenSums
from terrace.lowering.target.iree.convert_loop_to_iree import ConvertLoopToIree
from terrace.lowering.target.iree.expand_math import ExpandMath
from terrace.lowering.target.iree.fold_slices_into_extracts import FoldSlicesIntoExtracts
from terrace.mlir import ir
from terrace.passes import Pass, UpstreamPass
from terrace.target import CpuDescription, Target


@dataclasses.dataclass(frozen=True)
class CpuBackend:
    """The CPU end of the levels, for a resolved target."""

    target: Target

    @property
    def cpu(self) -> CpuDescription:
        assert self.target.cpu is not None, "the target is not resolved"
        return self.target.cpu

    def schedule(self) -> list[Pass]:
        cpu = self.cpu
        return [
            ScheduleKernels(
                vector_bits=cpu.vector_bits,
                vector_registers=cpu.vector_registers,
                fma_per_cycle=cpu.fma_per_cycle,
                local_bytes=cpu.local_bytes,
                l2_bytes=cpu.l2_bytes,
                workers=cpu.workers,
            )
        ]

    def lower(self) -> list[Pass]:
        return [
            LowerTilesToVector(lanes=self.cpu.lanes),
            # Thousands of constants and address computations of unrolled tiles repeat.
            UpstreamPass("canonicalize"),
            UpstreamPass("cse"),
            # IREE adds up one by one, has no good sin, log1p and the like, and cannot look up in some slices.
            WidenSums(),
            ExpandMath(),
            FoldSlicesIntoExtracts(),
            KeepDenormals(),
            ConvertLoopToIree(),
        ]

    def iree_flags(self, module: ir.Operation | None = None) -> list[str]:
        features = ",".join(f"+{name}" for name in self.target.features or ())
        return [
            "--iree-hal-target-device=local",
            "--iree-hal-local-target-device-backends=llvm-cpu",
            "--iree-llvmcpu-target-cpu=generic",
            f"--iree-llvmcpu-target-cpu-features={features}",
            # PyTorch's float64 must not lose precision.
            "--iree-input-demote-f64-to-f32=false",
            *[keep_denormals()] * (module is None or computes_beside_kernels(module)),
        ]
