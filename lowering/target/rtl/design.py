"""The design of a kernel: its circuit, its schedule, and from these its cycles and its SystemVerilog."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from terrace.dialects.context import create_context
from terrace.fpga import PARTS
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.description import hls_of
from terrace.lowering.target.rtl.circuit import Branch, Circuit, Loop, Pipeline, Segment, Step
from terrace.lowering.target.rtl.elaborate import elaborate
from terrace.lowering.target.rtl.fabric import FABRICS
from terrace.lowering.target.rtl.latency import latency
from terrace.lowering.target.rtl.print_verilog import module_of
from terrace.lowering.target.rtl.restart import Restart, restart_of
from terrace.lowering.target.rtl.schedule import Schedule, schedule
from terrace.mlir import func, ir, parse_module
from terrace.passes import PassError

if TYPE_CHECKING:
    from terrace.circt import Module


@dataclasses.dataclass(frozen=True)
class Design:
    """A scheduled kernel; `latency` is its cycles, the first and the last counted."""

    circuit: Circuit
    times: Schedule
    latency: int

    @functools.cached_property
    def restart(self) -> Restart | None:
        """How it starts anew before it has ended; None if it cannot."""
        return restart_of(self.circuit, self.times)

    @property
    def multipliers(self) -> int:
        """The products in it, in DSP blocks or in logic, one that is made of several counted once."""
        nodes = (node for times in self.times.values() for node in times.start)
        return len({node.detail for node in nodes if node.op == "multiply"})

    def description(self) -> list[str]:
        """The steps of the kernel and their cycles."""
        return [f"{self.circuit.name}: {self.latency} cycles", *_described(self.circuit.steps, self.times, 1)]

    def module(self) -> Module:
        """The module of the kernel. Raises TargetError without CIRCT."""
        return module_of(self.circuit, self.times, self.restart)

    def verilog(self) -> str:
        """SystemVerilog, below comments that describe the schedule. Raises TargetError without CIRCT."""
        printed = self.module().verilog()
        return "".join(f"// {line}\n" for line in self.description()) + printed


def _described(steps: Sequence[Step], times: Schedule, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for step in steps:
        if isinstance(step, Segment):
            if step in times:
                yield f"{indent}{step.name}: depth {times[step].depth}"
        elif isinstance(step, Loop):
            inner = list(_described(step.steps, times, depth + 1))
            yield from [f"{indent}{step.name}: {step.counter.trips} iterations", *inner] if inner else []
        elif isinstance(step, Pipeline):
            found = times.get(step.body)
            if found is not None:
                asked = f" (asked {step.wanted})" if found.interval != step.wanted else ""
                rate = f"II={found.interval}{asked}, depth {found.depth}"
                yield f"{indent}{step.name}: {step.trips} iterations, pipelined, {rate}"
        else:
            yield from _described_branch(step, times, depth)


def _described_branch(branch: Branch, times: Schedule, depth: int) -> Iterator[str]:
    yield f"{'  ' * depth}{branch.name}: one way"
    yield from _described(branch.then, times, depth + 1)
    yield f"{'  ' * depth}{branch.name}: or the other"
    yield from _described(branch.otherwise, times, depth + 1)


def design_kernel(function: func.FuncOp) -> Design:
    """The design of a kernel at the level "hls". Raises PassError for what has no circuit."""
    hls = hls_of(function.operation.parent)
    fabric = FABRICS[PARTS[hls.part].family]
    circuit = elaborate(function, fabric.product_bits)
    times = schedule(circuit, fabric, hls.clock_mhz)
    return Design(circuit, times, latency(circuit, times))


def verilog(text: str) -> str:
    """The SystemVerilog of all kernels of a text at the level "hls"; of one that has none, a comment with the reason.

    Raises TargetError without CIRCT.
    """
    context = create_context()
    module = parse_module(text, context)
    with context, ir.Location.unknown():
        return "\n\n".join(_verilog(kernel) for kernel in loop_kernels(module.operation)) + "\n"


def _verilog(kernel: func.FuncOp) -> str:
    try:
        return design_kernel(kernel).verilog().rstrip()
    except PassError as error:
        return f"// {kernel.name.value} has no SystemVerilog: {' '.join(str(error).split())}"
