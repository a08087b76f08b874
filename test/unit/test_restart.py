"""Which kernels take a frame while they end the last one, and when they have read it."""

from __future__ import annotations

from terrace.dialects.context import create_context
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.rtl.design import Design, design_kernel
from terrace.mlir import ir, parse_module

KERNEL = """
func.func private @kernel(%x: memref<8xi8> {{loop.copies = 2}}, %y: memref<8xi16>, %z: memref<8xi16>)
    attributes {{loop.kernel}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %seven = arith.constant 7 : i8
  {before}
  scf.for %i = %c0 to %c8 step %c1 {{
    %a = memref.load %x[%i] : memref<8xi8>
    %b = arith.extsi %a : i8 to i16
    %c = arith.muli %b, %b : i16
    %d = arith.muli %c, %b : i16
    {body}
    memref.store %d, %z[%i] : memref<8xi16>
  }} {{loop.pipeline = {interval} : i64}}
  return
}}
"""


def design(body: str = "", before: str = "", interval: int = 1) -> Design:
    module = parse_module(KERNEL.format(body=body, before=before, interval=interval), create_context())
    with module.context, ir.Location.unknown():
        (kernel,) = loop_kernels(module.operation)
        return design_kernel(kernel)


def test_a_pipeline_starts_anew_behind_its_last_iteration() -> None:
    for interval in (1, 3):
        found = design(interval=interval)
        restart = found.restart
        assert restart is not None and restart.interval == 8 * interval < found.latency
        (x, _, z) = found.circuit.arguments
        # The last of eight elements is read in the first cycle of its iteration; what is written is not read.
        assert restart.released(x, found.times) == 7 * interval and z not in restart.reads


def test_results_that_come_early_keep_a_kernel_from_it() -> None:
    """y of the next frame would be written before z of this one is whole, in the slot of this one."""
    assert design("memref.store %b, %y[%i] : memref<8xi16>").restart is None
    assert design("memref.store %d, %y[%i] : memref<8xi16>").restart is not None
    assert design("memref.store %b, %y[%i] : memref<8xi16>", interval=9).restart is not None


def test_a_memory_that_is_read_early_and_late_is_not_free_at_once() -> None:
    """Its next frame would be read before this one is, by the same ports."""
    late = """
    %low = arith.andi %a, %seven : i8
    %at = arith.index_cast %low : i8 to index
    %e = memref.load %x[%at] : memref<8xi8>
    %f = arith.extsi %e : i8 to i16
    memref.store %f, %y[%i] : memref<8xi16>
    """
    found = design(late, interval=9)
    assert found.restart is not None and found.circuit.arguments[0] in found.restart.reads
    found = design(late.replace("memref.store %f, %y", "%g = arith.addi %f, %d : i16\n memref.store %g, %y"))
    assert found.restart is not None and found.circuit.arguments[0] not in found.restart.reads


def test_more_than_a_pipeline_does_not_start_anew() -> None:
    before = """
    scf.for %i = %c0 to %c8 step %c1 {
      %a = memref.load %x[%i] : memref<8xi8>
      %b = arith.extsi %a : i8 to i16
      memref.store %b, %y[%i] : memref<8xi16>
    } {loop.pipeline = 1 : i64}
    """
    assert design(before=before).restart is None
