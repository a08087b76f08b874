"""What compiling for a GPU means: its schedules, its lowering of the loop level, and IREE's flags."""

from __future__ import annotations

import dataclasses

from terrace.lowering.target.gpu.lower_tiles_to_invocations import LowerTilesToInvocations
from terrace.lowering.target.gpu.schedule_kernels_for_gpu import ScheduleKernelsForGpu
from terrace.lowering.target.iree.convert_loop_to_iree import ConvertLoopToIree
from terrace.lowering.target.iree.expand_math import ExpandMath
from terrace.lowering.target.iree.fold_slices_into_extracts import FoldSlicesIntoExtracts
from terrace.mlir import ir
from terrace.passes import Pass, UpstreamPass
from terrace.target import GpuDescription, Target

_FLAGS = (
    # PyTorch's float64 must not lose precision.
    "--iree-input-demote-f64-to-f32=false",
)


@dataclasses.dataclass(frozen=True)
class _GpuBackend:
    """A GPU, of a resolved target."""

    target: Target

    @property
    def gpu(self) -> GpuDescription:
        assert isinstance(self.target.gpu, GpuDescription), "the target is not resolved"
        return self.target.gpu


@dataclasses.dataclass(frozen=True)
class _IreeBackend(_GpuBackend):
    """A GPU that has no kernels of ours: all of the program is IREE's code generation."""

    def schedule(self) -> list[Pass]:
        return []

    def lower(self) -> list[Pass]:
        return [ExpandMath(), FoldSlicesIntoExtracts(), ConvertLoopToIree()]


class CudaBackend(_IreeBackend):
    """NVIDIA's GPUs by their own driver."""

    def iree_flags(self, module: ir.Operation | None = None) -> list[str]:
        return ["--iree-hal-target-device=cuda", f"--iree-cuda-target={self.gpu.name}", *_FLAGS]


class HipBackend(_IreeBackend):
    """AMD's GPUs by their own driver."""

    def iree_flags(self, module: ir.Operation | None = None) -> list[str]:
        return ["--iree-hal-target-device=hip", f"--iree-rocm-target={self.gpu.name}", *_FLAGS]


class VulkanBackend(_GpuBackend):
    """The GPU end of the levels: kernels of ours as compute shaders, the rest by IREE's code generation."""

    def schedule(self) -> list[Pass]:
        gpu = self.gpu
        return [
            ScheduleKernelsForGpu(
                subgroup_size=gpu.subgroup_size, max_invocations=gpu.max_invocations, local_bytes=gpu.local_bytes
            )
        ]

    def lower(self) -> list[Pass]:
        return [*self.lower_kernels(), ExpandMath(), FoldSlicesIntoExtracts(), ConvertLoopToIree()]

    def lower_kernels(self) -> list[Pass]:
        """The part that is about kernels alone: to the code of one invocation."""
        gpu = self.gpu
        subgroup = gpu.subgroup_size if gpu.workgroup_size % gpu.subgroup_size == 0 else 0
        return [
            LowerTilesToInvocations(workgroup_size=gpu.workgroup_size, subgroup_size=subgroup),
            # Every element of a fragment repeats the arithmetic of its place.
            UpstreamPass("canonicalize"),
            UpstreamPass("cse"),
            UpstreamPass("loop-invariant-code-motion"),
        ]

    def iree_flags(self, module: ir.Operation | None = None) -> list[str]:
        return ["--iree-hal-target-device=vulkan", f"--iree-vulkan-target={self.gpu.name}", *_FLAGS]
