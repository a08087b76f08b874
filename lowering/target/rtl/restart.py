"""Kernels that start anew before they have ended: one that is a single pipeline takes the next frame's first iteration
behind the last one of this frame, as it takes every other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from terrace.lowering.target.rtl.circuit import Circuit, Load, Memory, Pipeline, Segment, Store
from terrace.lowering.target.rtl.schedule import Schedule


@dataclasses.dataclass(frozen=True)
class Restart:
    """The pipeline, after how many cycles it may start anew, and in which cycle of its last iteration each memory is
    read last. A memory that the next frame would read meanwhile is not in `reads`.
    """

    pipeline: Pipeline
    interval: int
    reads: Mapping[Memory, int]

    def released(self, memory: Memory, times: Schedule) -> int:
        """Cycles from the start to the last read of a memory."""
        return self.interval - times[self.pipeline.body].interval + self.reads[memory]


def restart_of(circuit: Circuit, times: Schedule) -> Restart | None:
    """How a circuit starts anew; None if it is more than a pipeline, has memory of its own that it writes, or would
    write a next frame before this one is whole.
    """
    steps = [s for s in circuit.steps if not isinstance(s, (Segment, Pipeline)) or _segment(s) in times]
    pipeline = steps[0] if len(steps) == 1 else None
    if not isinstance(pipeline, Pipeline):
        return None
    found = times[pipeline.body]
    stores = {action: cycle for action, cycle in found.at.items() if isinstance(action, Store)}
    if any(store.memory.argument is None or cycle + found.interval < found.depth for store, cycle in stores.items()):
        return None
    cycles: dict[Memory, list[int]] = {}
    for action, cycle in found.at.items():
        if isinstance(action, Load):
            cycles.setdefault(action.memory, []).append(cycle)
    reads = {memory: max(own) for memory, own in cycles.items() if max(own) - min(own) < found.interval}
    return Restart(pipeline, pipeline.trips * found.interval, reads)


def _segment(step: Segment | Pipeline) -> Segment:
    return step.body if isinstance(step, Pipeline) else step
