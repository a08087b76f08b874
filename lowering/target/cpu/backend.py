"""The target "cpu": kernels as vectors, the rest by IREE's code generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from terrace.lowering.kernels.registry import families_for
from terrace.lowering.target.cpu.atoms import machine_of
from terrace.lowering.target.cpu.keep_denormals import KeepDenormals, computes_beside_kernels, keep_denormals
from terrace.lowering.target.cpu.lower_tiles_to_vector import LowerTilesToVector
from terrace.lowering.target.cpu.schedule_kernels import ScheduleKernels
from terrace.lowering.target.cpu.store_truth_as_bytes import StoreTruthAsBytes
from terrace.lowering.target.cpu.stream_results import StreamResults
from terrace.lowering.target.cpu.use_tuned_schedules import UseTunedSchedules
from terrace.lowering.target.cpu.widen_sums import WidenSums
from terrace.lowering.target.iree.backend import IreeBackend
from terrace.lowering.target.iree.convert_loop_to_iree import ConvertLoopToIree
from terrace.lowering.target.iree.expand_math import ExpandMath
from terrace.lowering.target.iree.fold_slices_into_extracts import FoldSlicesIntoExtracts
from terrace.lowering.target.iree.unroll_loops import UnrollLoops
from terrace.lowering.transforms.split_contractions import PARTS, PRODUCTS
from terrace.machine import VectorMachine
from terrace.mlir import ir
from terrace.passes import Pass, UpstreamPass
from terrace.target import CpuDescription

if TYPE_CHECKING:
    from terrace.compiler.request import Request


MANY = 1 << 10
"""Rows that are enough for every atom."""


class CpuBackend(IreeBackend):
    """Pools and reductions are ours on a CPU.

    Pools of 56x56x64, on one thread, are 5 to 9 % faster than IREE's in three cases of four.
    """

    families = families_for(VectorMachine)
    reduced_types = ("f64", "i8", "i16", "i32", "i64")
    has_assembly = True

    @property
    def cpu(self) -> CpuDescription:
        assert self.target.cpu is not None, "the target is not resolved"
        return self.target.cpu

    @property
    def machine(self) -> VectorMachine:
        return machine_of(self.target)

    def precision(self, request: Request) -> str:
        """ "medium" is bfloat16 where that multiplies faster, "high" parts of it where three products still do."""
        atom = self.machine.best_atom(("bf16", "bf16", "f32"), rows=MANY)
        speed = atom.speed if atom is not None else 1.0
        if request.precision == "high" and speed > PRODUCTS:
            return PARTS
        return "bf16" if request.precision == "medium" and speed > 1 else super().precision(request)

    def schedule(self, request: Request | None = None) -> list[Pass]:
        winograd = request is None or request.winograd
        tuning = request.tuning if request is not None else None
        tuned = [UseTunedSchedules(records=tuning.file, winograd=winograd)] if tuning is not None else []
        return [*tuned, ScheduleKernels(winograd=winograd)]

    def lower(self) -> list[Pass]:
        return [
            # Truth values are bytes in memory.
            StoreTruthAsBytes(),
            LowerTilesToVector(lanes=self.cpu.lanes),
            # Thousands of constants and address computations of unrolled tiles repeat.
            UpstreamPass("canonicalize"),
            UpstreamPass("cse"),
            # IREE adds up one by one, has no good sin, log1p and the like, and cannot look up in some slices.
            WidenSums(),
            ExpandMath(),
            FoldSlicesIntoExtracts(),
            # Last, so that all above see a step once.
            UnrollLoops(),
            StreamResults(),
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
