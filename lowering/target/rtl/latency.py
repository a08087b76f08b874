"""The cost model: how many cycles a scheduled circuit takes, which is known from the module alone."""

from __future__ import annotations

from collections.abc import Mapping

from terrace.lowering.target.rtl.circuit import Circuit, Counter, Loop, Node, Pipeline, Segment, Step
from terrace.lowering.target.rtl.schedule import Schedule, conditions, late_writes
from terrace.lowering.target.rtl.values import compares, signed
from terrace.passes import fail


def latency(circuit: Circuit, times: Schedule) -> int:
    """The cycles of a kernel from its start to its end, both counted."""
    return max(1, _latency(circuit.steps, times, {})) + bool(late_writes(times))


def _latency(steps: list[Step], times: Schedule, indices: dict[Counter, int]) -> int:
    return sum(_step_latency(step, times, indices) for step in steps)


def _step_latency(step: Step, times: Schedule, indices: dict[Counter, int]) -> int:
    if isinstance(step, Segment):
        return times[step].depth if step in times else 0
    if isinstance(step, Pipeline):
        if step.body not in times:
            return 0
        found = times[step.body]
        return (step.trips - 1) * found.interval + found.depth
    if isinstance(step, Loop):
        if not any(_depends(c, step.counter) for c in conditions(step.steps)):
            return step.counter.trips * _latency(step.steps, times, indices)
        return sum(_latency(step.steps, times, {**indices, step.counter: i}) for i in step.counter.values)
    taken = evaluate(step.condition, indices)
    ways = {None: (step.then, step.otherwise), 1: (step.then,), 0: (step.otherwise,)}[taken]
    latencies = {max(1, _latency(way, times, indices)) for way in ways}
    if len(latencies) > 1:
        few, many = sorted(latencies)
        raise fail(step.operation, f"takes {few} or {many} cycles, by a value that is not known before it runs")
    return latencies.pop()


def _depends(node: Node, counter: Counter) -> bool:
    return node.detail is counter or any(_depends(n, counter) for n in node.inputs)


def evaluate(node: Node, indices: Mapping[Counter, int]) -> int | None:
    """The number that a value of counters is; None for one that depends on data."""
    if node.op == "constant":
        return int(node.detail)
    if node.op == "counter":
        return indices[node.detail]
    inputs = [evaluate(n, indices) for n in node.inputs]
    known = [n for n in inputs if n is not None]
    if len(known) < len(inputs) or node.op == "read":
        return None
    if node.op == "linear":
        factors, constant = node.detail
        return constant + sum(f * n for f, n in zip(factors, known, strict=True))
    if node.op == "compare":
        if node.detail[0] == "u":
            known = [n & ((1 << node.inputs[0].width) - 1) for n in known]
        return int(compares(node.detail, known[0], known[1]))
    if node.op in ("and", "or", "xor"):
        left, right = known
        return {"and": left & right, "or": left | right, "xor": left ^ right}[node.op]
    if node.op in ("divide", "remainder"):
        return known[0] // known[1] if node.op == "divide" else known[0] % known[1]
    if node.op == "part":
        bits = known[0] >> node.detail & ((1 << node.width) - 1)
        return signed(bits, node.width) if node.low < 0 else bits
    return known[0] if node.op == "sext" else None
