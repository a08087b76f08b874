"""The peak of `terrace.lowering.target.cpu.peak` as a model that a benchmark can call."""

from __future__ import annotations

import numpy as np
from terrace.compiler import compile_mlir
from terrace.lowering.target.cpu.peak import ACCUMULATORS, peak_flops, peak_text
from terrace.runtime.model import CompiledModel
from terrace.target import CpuDescription, Target

__all__ = ["compile_peak", "peak_flops"]


def compile_peak(cpu: CpuDescription) -> tuple[CompiledModel, np.ndarray]:
    """A program that does nothing but multiply-adds on one thread, and its argument."""
    model = compile_mlir(peak_text(cpu.lanes), target=Target(threads=1, cpu=cpu))
    return model, np.linspace(0.5, 1.5, ACCUMULATORS * cpu.lanes, dtype=np.float32)
