"""If, Loop and Scan: by PyTorch's control flow, or step by step where the steps are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from onnx import AttributeProto, GraphProto
from torch import Tensor

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.shapes import sized
from terrace.frontend.onnx.table import onnx_op
from terrace.frontend.onnx.values import as_tensor, is_known

MOST_STEPS = 64
"""Loops of at most this many known steps are written out where they collect results."""


def names_read(graph: GraphProto) -> list[str]:
    """The names that a graph reads from around it, in order."""
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    found: dict[str, None] = {}
    for node in graph.node:
        inner = [name for inside in graphs_in(node.attribute) for name in names_read(inside)]
        for name in [*node.input, *inner]:
            if name and name not in own:
                found[name] = None
        own.update(node.output)
    for output in graph.output:
        if output.name not in own:
            found[output.name] = None
    return list(found)


def graphs_in(attributes: Sequence[AttributeProto]) -> Iterator[GraphProto]:
    for attribute in attributes:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g


@onnx_op("If")
@sized
def if_(node: Node, condition: Any) -> Any:
    then, other = node["then_branch"], node["else_branch"]
    at = node.scope
    if at.run.branches_of_example and not is_known(condition):
        found = at.known(node.proto.input[0], True)
        condition = condition if found is None else found
    if is_known(condition):
        chosen = then if bool(condition.item()) else other
        return tuple(at.run_graph(chosen, {}, f"{node.name}/"))
    captured = [
        name for name in dict.fromkeys(names_read(then) + names_read(other)) if isinstance(at.values.get(name), Tensor)
    ]

    def branch(graph: GraphProto) -> Any:
        def run(*values: Tensor) -> Any:
            given = dict(zip(captured, values, strict=True))
            results = [as_tensor(value) for value in at.run_graph(graph, given, f"{node.name}/")]
            return tuple(value.clone() for value in results)

        return run

    operands = tuple(at.values[name] for name in captured)
    # `torch.cond` would have TorchDynamo read what runs the nodes, to find the operands: here they are known.
    return tuple(torch.ops.higher_order.cond(condition.reshape(()), branch(then), branch(other), operands))


@onnx_op("Loop")
@sized
def loop(node: Node, trips: Any = None, condition: Any = None, *carried: Any) -> Any:
    """A loop that collects results, or whose steps are few and known, is written out; else `while_loop`."""
    body: GraphProto = node["body"]
    at = node.scope
    names = [value.name for value in body.input]
    states = len(carried)
    collects = len(body.output) - 1 - states
    # Only where results are collected is it worth to fix the steps to those of the example.
    count, start = (
        None if value is None else known_input(node, i, collects > 0) for i, value in enumerate((trips, condition))
    )
    condition = condition if start is None else start
    if count is not None and (collects or count.item() <= MOST_STEPS):
        return written_out(node, body, int(count.item()), condition, list(carried), collects)
    if collects:
        raise node.error("collects results of a number of steps that only the data tell")
    return while_loop(node, at, body, names, trips, condition, carried)


def known_input(node: Node, index: int, by_example: bool) -> Any:
    """An input of one element, if it is known."""
    found = node.scope.known(node.proto.input[index], by_example)
    return None if found is None else found.reshape(())


def written_out(
    node: Node, body: GraphProto, count: int, condition: Any, carried: list[Any], collects: int
) -> tuple[Any, ...]:
    """Steps one after another. A condition on data keeps the values of the steps that it left out."""
    names = [value.name for value in body.input]
    collected: list[list[Any]] = [[] for _ in range(collects)]
    live = condition if condition is not None else np.array(True)
    for step in range(count):
        if is_known(live) and not bool(live.item()):
            break
        given = dict(zip(names, [np.array(step), live, *carried], strict=True))
        goes_on, *results = node.scope.run_graph(body, given, f"{node.name}/{step}/")
        fresh, rows = results[: len(carried)], results[len(carried) :]
        if is_known(live):
            carried = fresh
        else:
            if rows:
                raise node.error("collects results of a number of steps that only the data tell")
            pairs = zip(fresh, carried, strict=True)
            carried = [torch.where(as_tensor(live), as_tensor(new), as_tensor(old)) for new, old in pairs]
        if is_known(live) and is_known(goes_on):
            live = goes_on
        else:
            live = as_tensor(live).reshape(()) & as_tensor(goes_on).reshape(())
        for place, row in enumerate(rows):
            if not is_known(live) and step + 1 < count:
                raise node.error("collects results of a number of steps that only the data tell")
            collected[place].append(as_tensor(row))
    stacked = []
    for place, rows in enumerate(collected):
        if not rows:
            raise node.error(f"collects nothing for result {place + len(carried)}: it takes no step")
        stacked.append(torch.stack(rows))
    return (*carried, *stacked)


def while_loop(
    node: Node, at: Any, body: GraphProto, names: list[str], trips: Any, condition: Any, carried: Sequence[Any]
) -> tuple[Any, ...]:
    most = torch.tensor(2**62) if trips is None else as_tensor(trips).reshape(()).to(torch.int64)
    live = torch.tensor(True) if condition is None else as_tensor(condition).reshape(())
    captured = [name for name in names_read(body) if isinstance(at.values.get(name), Tensor)]
    start = (torch.zeros((), dtype=torch.int64), live, *(as_tensor(value) for value in carried))
    rest = tuple(at.values[name] for name in captured)

    def goes(step: Tensor, live: Tensor, *values: Tensor) -> Tensor:
        return live & (step < values[-1])

    def run(step: Tensor, live: Tensor, *values: Tensor) -> Any:
        states = values[: len(carried)]
        given = dict(zip(names, [step, live, *states], strict=True))
        given |= dict(zip(captured, values[len(carried) : -1], strict=True))
        goes_on, *results = (as_tensor(value) for value in at.run_graph(body, given, f"{node.name}/"))
        return (step + 1, goes_on.reshape(()).clone(), *(value.clone() for value in results))

    results = torch.ops.higher_order.while_loop(goes, run, start, (*rest, most))
    return tuple(results[2 : 2 + len(carried)])


@onnx_op("Scan")
def scan(node: Node, *inputs: Any) -> Any:
    """Steps along an axis of the last inputs, written out."""
    body: GraphProto = node["body"]
    names = [value.name for value in body.input]
    if node.opset < 9:
        lengths, inputs = inputs[0], inputs[1:]
        if lengths is not None or any(node.get("directions", [])):
            raise node.error("has lengths or goes backwards, which is not supported in opset 8")
    scanned = node["num_scan_inputs"]
    states, rows = list(inputs[: len(inputs) - scanned]), inputs[len(inputs) - scanned :]
    if node.opset < 9:
        return scan_batches(node, body, names, states, rows)
    axes = node.get("scan_input_axes", [0] * scanned)
    backward = node.get("scan_input_directions", [0] * scanned)
    count = rows[0].shape[axes[0]]
    collected: list[list[Any]] = [[] for _ in range(len(body.output) - len(states))]
    for step in range(count):
        taken = [
            row.select(axis, count - 1 - step if back else step)
            for row, axis, back in zip(rows, axes, backward, strict=True)
        ]
        given = dict(zip(names, [*states, *taken], strict=True))
        results = node.scope.run_graph(body, given, f"{node.name}/{step}/")
        states = [as_tensor(value) for value in results[: len(states)]]
        for place, value in enumerate(results[len(states) :]):
            collected[place].append(as_tensor(value))
    out_axes = node.get("scan_output_axes", [0] * len(collected))
    flipped = node.get("scan_output_directions", [0] * len(collected))
    stacked = [
        torch.stack(values[::-1] if back else values, axis)
        for values, axis, back in zip(collected, out_axes, flipped, strict=True)
    ]
    return (*states, *stacked)


def scan_batches(node: Node, body: GraphProto, names: list[str], states: list[Tensor], rows: Sequence[Tensor]) -> Any:
    """Opset 8's Scan: a batch first, time second."""
    per: list[Any] = []
    for batch in range(rows[0].shape[0]):
        own = [state[batch] for state in states]
        collected: list[list[Any]] = [[] for _ in range(len(body.output) - len(states))]
        for step in range(rows[0].shape[1]):
            given = dict(zip(names, [*own, *(row[batch, step] for row in rows)], strict=True))
            results = [as_tensor(v) for v in node.scope.run_graph(body, given, f"{node.name}/{batch}/{step}/")]
            own = results[: len(states)]
            for place, value in enumerate(results[len(states) :]):
                collected[place].append(value)
        per.append((*own, *(torch.stack(values) for values in collected)))
    return tuple(torch.stack(list(values)) for values in zip(*per, strict=True))
