"""The targets that are GPUs: "vulkan" with kernels of ours, "cuda" and "hip" without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from terrace.lowering.kernels.registry import families_for
from terrace.lowering.target.gpu.lower_tiles_to_invocations import LowerTilesToInvocations
from terrace.lowering.target.gpu.schedule_kernels_for_gpu import ScheduleKernelsForGpu
from terrace.lowering.target.iree.backend import IreeBackend
from terrace.machine import WorkgroupMachine
from terrace.mlir import ir
from terrace.passes import Pass, UpstreamPass
from terrace.target import GpuDescription

if TYPE_CHECKING:
    from terrace.compiler.request import Request

_FLAGS = (
    # PyTorch's float64 must not lose precision.
    "--iree-input-demote-f64-to-f32=false",
)


class _GpuBackend(IreeBackend):
    """A GPU, by IREE's code generation."""

    @property
    def gpu(self) -> GpuDescription:
        assert isinstance(self.target.gpu, GpuDescription), "the target is not resolved"
        return self.target.gpu


class CudaBackend(_GpuBackend):
    """NVIDIA's GPUs by their own driver."""

    def iree_flags(self, module: ir.Operation | None = None) -> list[str]:
        return ["--iree-hal-target-device=cuda", f"--iree-cuda-target={self.gpu.name}", *_FLAGS]


class HipBackend(_GpuBackend):
    """AMD's GPUs by their own driver."""

    def iree_flags(self, module: ir.Operation | None = None) -> list[str]:
        return ["--iree-hal-target-device=hip", f"--iree-rocm-target={self.gpu.name}", *_FLAGS]


class VulkanBackend(_GpuBackend):
    """Kernels of ours as compute shaders, the rest by IREE's code generation.

    Every GPU computes with 32-bit numbers; what has others is left to IREE, which knows which ones a GPU has.
    """

    families = families_for(WorkgroupMachine)
    element_types = ("f32", "i32")

    def schedule(self, request: Request | None = None) -> list[Pass]:
        return [ScheduleKernelsForGpu()]

    def lower_kernels(self) -> list[Pass]:
        """To the code of one invocation."""
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
