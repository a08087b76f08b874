"""`set-dataflow`: the kernels of a design run at once, and hand elements over in queues where order allows.

@main gets `loop.dataflow` if its buffers each lie between two calls and fit the memory of the device twice (one half is
written while the other is read). A buffer that one call writes and the other reads once, element after element, becomes
a queue (`loop.stream`), as the affine addresses of both prove; with `interface` "axis" ports do so likewise.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from terrace.dialects.base import entries_of, to_attribute
from terrace.dialects.hardware import DATAFLOW, STREAM
from terrace.lowering.target.hls.calls import callee_of, calls_of, root_of, users_of_memory
from terrace.lowering.target.hls.convert_loop_to_hls import INPUTS, PORT
from terrace.lowering.target.hls.resources import design_blocks
from terrace.lowering.target.hls.stream_order import is_sequential
from terrace.lowering.target.hls.verify_hardware_attributes import dataflow_refusal
from terrace.mlir import func, ir, walk
from terrace.passes import Pass


def _is_queue(memory: ir.Value, ends: int) -> bool:
    """Whether a memory has so many calls, each of which goes through it in order."""
    users = users_of_memory(memory)
    return len(users) == ends and all(
        call.name == "func.call" and is_sequential(callee_of(call), number) for call, number in users
    )


def _agreeing(memories: set[ir.Value]) -> set[ir.Value]:
    """Those of the memories for which all calls of a function agree: a function takes a queue always or never."""
    while True:
        torn = {
            memory
            for memory in memories
            for call, number in users_of_memory(memory)
            if any(root_of(other.operands[number]) not in memories for other in calls_of(callee_of(call)))
        }
        if not torn:
            return memories
        memories = memories - torn


def _mark_port(main: func.FuncOp, argument: ir.Value) -> None:
    """Give an argument of @main the attribute of a queue."""
    own: list[dict[str, ir.Attribute]] = [{} for _ in main.entry_block.arguments]
    if "arg_attrs" in main.attributes:
        own = [entries_of(each) for each in main.arg_attrs]
    own[ir.BlockArgument(argument).arg_number][STREAM] = to_attribute(1)
    main.attributes["arg_attrs"] = ir.ArrayAttr.get([ir.DictAttr.get(each) for each in own])


@dataclasses.dataclass(frozen=True)
class SetDataflow(Pass):
    """Run the calls of @main at once, with queues of `depth` between them, within `bram` blocks of 36 Kb."""

    name = "set-dataflow"

    interface: Literal["m_axi", "axis"] = "m_axi"
    """How inputs and outputs come that are gone through in order: as memory of the host, or as queues."""

    bram: int = 140
    depth: int = 2

    def run(self, module: ir.Operation) -> None:
        for view in module.regions[0].blocks[0].operations:
            if isinstance(view, func.FuncOp) and INPUTS in view.attributes:
                self._visit(module, view)

    def _visit(self, module: ir.Operation, main: func.FuncOp) -> None:
        """Mark queues; and the function, unless its doubled buffers are too large."""
        buffers = [op for op in walk(main.operation) if op.name == "memref.alloc"]
        before = design_blocks(module)
        calls = sum(op.name == "func.call" for op in walk(main.operation))
        if DATAFLOW not in main.attributes and calls > 1 and dataflow_refusal(main.operation) is None:
            main.attributes[DATAFLOW] = ir.UnitAttr.get()
        is_dataflow = DATAFLOW in main.attributes
        ports = self._ports(main)
        queues = {op.results[0] for op in buffers if is_dataflow and _is_queue(op.results[0], 2)}
        for memory in _agreeing(queues | {port for port in ports if _is_queue(port, 1)}):
            if isinstance(memory.owner, ir.Block):
                _mark_port(main, memory)
            else:
                memory.owner.attributes[STREAM] = to_attribute(self.depth)
        if is_dataflow and design_blocks(module) > max(before, 2 * self.bram):
            for operation in (main.operation, *buffers):
                for name in (DATAFLOW, STREAM):
                    if name in operation.attributes:
                        del operation.attributes[name]

    def _ports(self, main: func.FuncOp) -> list[ir.Value]:
        """Inputs and outputs, if they may be queues."""
        if self.interface != "axis":
            return []
        arguments = list(main.entry_block.arguments)
        if "arg_attrs" not in main.attributes:
            return arguments
        return [a for a, own in zip(arguments, main.arg_attrs, strict=True) if PORT not in own]
