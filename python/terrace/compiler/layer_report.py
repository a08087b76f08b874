"""The compile report, read off the kernel level: who runs what, how much work it is, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from terrace.compiler.layer_figures import FREE, Flow, Layer, add_figures, is_tensor
from terrace.compiler.layer_names import add_names
from terrace.dialects.base import Attributes, element_type_of, shape_of, to_python
from terrace.dialects.graph_base import product
from terrace.dialects.graph_macs import MACS, attention_macs, macs_of
from terrace.lowering.conversion.convert_graph_to_kernel import WHY
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import is_kernel, schedule_op
from terrace.lowering.kernels.workgroups import workgroup_count
from terrace.mlir import DYNAMIC, func, ir, linalg, walk
from terrace.origins import Origin, origins_of

Row = dict[str, Any]

_OF_A_PLACE = ("id", "inputs", "module", "source", "symbolic", "origins")
"""What a layer says of its place in the model, which others of the same kernel do not share."""

_SUMS = ("calls", "macs", "bytes", "read", "written", "weights")


def layer_graph(entry: func.FuncOp) -> dict[str, Any]:
    """`layers`, one per launch of a kernel and per op left to IREE, in program order, and what a function `outputs`.

    A layer has the keys of a row and those of `terrace.compiler.layer_figures`. Its `inputs`, as `outputs`, are the
    layers that it reads, by their `id`, and the model's inputs, as `input N`.
    """
    module = entry.operation.parent.operation
    functions = [op for op in module.regions[0].blocks[0].operations if isinstance(op, func.FuncOp)]
    kernels = {op.name.value: op for op in functions if is_kernel(op)}
    layers: list[Layer] = []
    origins: list[list[Origin]] = []
    flow = Flow(entry, constant_values(module))
    for step, operation in enumerate(flow.operations, 1):
        if operation.name == "func.call" and to_python(operation.attributes["callee"]) in kernels:
            words = _kernel_words(kernels[to_python(operation.attributes["callee"])])
        elif _is_left(operation, flow):
            words = _other_words(operation)
        else:
            continue
        layer = add_figures({"id": len(layers), **words, "calls": 1}, flow, step, operation)
        flow.layers.update(dict.fromkeys(operation.results, layer["id"]))
        layers.append(layer)
        origins.append(origins_of(operation.location))
    add_names(layers, origins)
    return {"layers": layers, "outputs": flow.sources(flow.operations[-1])}


def merge_layers(layers: Sequence[Layer]) -> list[Row]:
    """A row per kernel of the layers that run it, in the order in which they first run: sums, and the most of `live`.

    See `runtime.report.Report`.
    """
    rows: dict[tuple[Any, ...], Row] = {}
    for layer in layers:
        row = {key: value for key, value in layer.items() if key not in _OF_A_PLACE}
        known = rows.setdefault((row["kernel"], row["op"], tuple(row["shape"]), row["why"]), row)
        if known is not row:
            for key in _SUMS:
                known[key] = None if None in (known[key], row[key]) else known[key] + row[key]
            known["live"] = None if None in (known["live"], row["live"]) else max(known["live"], row["live"])
    return list(rows.values())


def _is_left(operation: ir.Operation, flow: Flow) -> bool:
    """Whether IREE's code generation runs the op as work of its own."""
    makes_tensors = any(is_tensor(v) for v in operation.results)
    ours_or_linalg = operation.name.startswith(("graph.", "linalg.", "tm_tensor."))
    constant = makes_tensors and all(v in flow.constants for v in operation.results)
    return ours_or_linalg and makes_tensors and operation.name not in FREE and not constant


def _kernel_words(function: func.FuncOp) -> Row:
    schedule = schedule_op(function).operation
    body = [op.operation for op in function.entry_block.operations if op.operation.name != "kernel.schedule"]
    space = IterationSpace.from_attribute(schedule.attributes["iteration_space"])
    ops = [op.name.removeprefix("graph.") for op in body[:-1] if op.name != "arith.constant"]
    generator = to_python(schedule.attributes["generator"])
    return {
        "kernel": function.name.value,
        "op": "+".join(ops),
        "shape": _shape(body[-1].operands[0]),
        "macs": _sum_of_macs(body[:-1]),
        "steps": [size for size, kind in zip(space.sizes, space.kinds, strict=True) if kind == "reduction"],
        "type": next(filter(None, map(_type_read, body)), ""),
        "by": "terrace",
        "why": f"generator {generator}",
        "workgroups": _workgroups(space, schedule),
    }


def _workgroups(space: IterationSpace, operation: ir.Operation) -> int | None:
    """How many a kernel has; None if that depends on a `?`, or it has no schedule."""
    schedule = operation.attributes["schedule"]
    return workgroup_count(space, Schedule.from_attribute(schedule)) if to_python(schedule) else None


def _other_words(operation: ir.Operation) -> Row:
    return {
        "kernel": operation.name,
        "op": operation.name.partition(".")[2],
        "shape": _shape(operation.results[0]) if len(operation.results) else [],
        "macs": _macs(operation),
        "type": _type_read(operation),
        "by": "iree",
        "why": _why_left(operation),
    }


def _type_read(operation: ir.Operation) -> str:
    """The element type of what an op computes with."""
    return next((str(element_type_of(v)) for v in operation.operands if is_tensor(v)), "")


def _why_left(operation: ir.Operation) -> str:
    """Why no generator took the op; the reason of a group that was refused whole stands on its `graph.fusion`."""
    for refused in (operation, operation.parent):
        if refused is not None and WHY in refused.attributes:
            return str(to_python(refused.attributes[WHY]))
    return f"no generator for {operation.name}"


def _sum_of_macs(operations: Sequence[ir.Operation]) -> int | None:
    found = [_macs(operation) for operation in operations]
    return None if None in found else sum(count for count in found if count is not None)


def _macs(operation: ir.Operation) -> int | None:
    """Multiply-accumulates of an op; None if they depend on a `?`."""
    if operation in MACS:
        return _known(macs_of(operation))
    if operation.name == "tm_tensor.attention":
        query, key, value = (shape_of(v) for v in list(operation.operands)[:3])
        return _known(attention_macs([query, key, value], [[*query[:-1], value[-1]]], Attributes({})))
    return _linalg_macs(operation)


def _linalg_macs(operation: ir.Operation) -> int | None:
    """A linalg op counts, each point of its iteration space, when its body multiplies and adds to a result."""
    body = {op.name for op in walk(operation)}
    contracts = body & {"arith.mulf", "arith.muli"} and body & {"arith.addf", "arith.addi"}
    if not contracts or not operation.name.startswith("linalg."):
        return 0
    maps = [map_.value for map_ in linalg.get_indexing_maps(operation)]
    sizes: dict[int, int] = {}
    for map_, value in zip(maps, operation.operands, strict=True):
        for expression, size in zip(map_.results, shape_of(value) if map_.results else [], strict=True):
            if isinstance(expression, ir.AffineDimExpr):
                sizes[expression.position] = size
    reduces = len(maps[-1].results) < maps[-1].n_dims
    return _known(product(list(sizes.values()))) if reduces else 0


def _shape(value: ir.Value) -> list[Any]:
    shape = shape_of(value) if isinstance(value.type, ir.RankedTensorType) else []
    return ["?" if size == DYNAMIC else size for size in shape]


def _known(count: int) -> int | None:
    return None if count == DYNAMIC else count
