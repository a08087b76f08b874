"""The compile report, read off the kernel level: who runs what, how much work it is, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from terrace.dialects.base import shape_of, to_python
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.conversion.convert_graph_to_kernel import WHY
from terrace.lowering.conversion.graph_to_kernel.families import iteration_space
from terrace.lowering.conversion.graph_to_kernel.group import CONTRACTIONS
from terrace.lowering.conversion.kernel_to_loop.kernel import is_kernel, schedule_op
from terrace.lowering.schedule.schedule import IterationSpace
from terrace.mlir import DYNAMIC, func, ir, linalg, walk

# Ops that move no data or do no work of a kernel's kind.
_FREE = ("graph.load", "graph.load_state", "graph.store_state", "graph.reshape", "graph.yield", "graph.fusion")

Row = dict[str, Any]


def compile_report(module: ir.Operation) -> list[Row]:
    """A row per kernel and per op left to IREE, in the order in which they first run. See `runtime.report.Report`."""
    functions = [op for op in module.regions[0].blocks[0].operations if isinstance(op, func.FuncOp)]
    kernels = {op.name.value: op for op in functions if is_kernel(op)}
    rows: dict[tuple[Any, ...], Row] = {}
    for function in functions:
        if function.name.value in kernels:
            continue
        for operation in walk(function.operation):
            if operation.name == "func.call" and to_python(operation.attributes["callee"]) in kernels:
                row = _kernel_row(kernels[to_python(operation.attributes["callee"])])
            elif _is_left(operation):
                row = _other_row(operation)
            else:
                continue
            known = rows.setdefault((row["kernel"], row["op"], tuple(row["shape"]), row["why"]), row)
            if known is not row:
                _add(known, row)
    return list(rows.values())


def _is_left(operation: ir.Operation) -> bool:
    """Whether IREE's code generation runs the op as work of its own."""
    makes_tensors = any(isinstance(v.type, ir.RankedTensorType) for v in operation.results)
    ours_or_linalg = operation.name.startswith(("graph.", "linalg.", "tm_tensor."))
    return ours_or_linalg and makes_tensors and operation.name not in _FREE


def _add(total: Row, row: Row) -> None:
    for key in ("calls", "macs", "bytes"):
        total[key] = None if None in (total[key], row[key]) else total[key] + row[key]


def _kernel_row(function: Any) -> Row:
    schedule = schedule_op(function).operation
    body = [op.operation for op in function.entry_block.operations if op.operation.name != "kernel.schedule"]
    space = IterationSpace.from_attribute(schedule.attributes["iteration_space"])
    ops = [op.name.removeprefix("graph.") for op in body[:-1] if op.name != "arith.constant"]
    values = [a for a in function.entry_block.arguments if isinstance(a.type, ir.RankedTensorType)]
    returned = list(body[-1].operands)
    generator = to_python(schedule.attributes["generator"])
    return {
        "kernel": function.name.value,
        "op": "+".join(ops),
        "shape": _shape(returned[0]),
        "calls": 1,
        "macs": _product(space.sizes) if generator in ("conv2d", "matmul") else 0,
        "bytes": _bytes([*values, *returned]),
        "by": "terrace",
        "why": f"generator {generator}",
    }


def _other_row(operation: ir.Operation) -> Row:
    why = to_python(operation.attributes[WHY]) if WHY in operation.attributes else f"no generator for {operation.name}"
    tensors = [v for v in [*operation.operands, *operation.results] if isinstance(v.type, ir.RankedTensorType)]
    return {
        "kernel": operation.name,
        "op": operation.name.partition(".")[2],
        "shape": _shape(operation.results[0]) if len(operation.results) else [],
        "calls": 1,
        "macs": _macs(operation),
        "bytes": _bytes(tensors),
        "by": "iree",
        "why": why,
    }


def _macs(operation: ir.Operation) -> int | None:
    """Multiply-accumulates of an op that no generator took."""
    if operation.name in CONTRACTIONS:
        if operation.name == "graph.conv2d":
            return _product([*shape_of(operation.results[0]), *shape_of(operation.operands[1])[1:]])
        return _product(iteration_space(operation, shape_of(operation.results[0])).sizes)
    if operation.name == "graph.conv_transpose2d":
        return _product([*shape_of(operation.operands[0]), *shape_of(operation.operands[1])[1:]])
    if operation.name == "graph.attention":
        query, _, value = (shape_of(v) for v in list(operation.operands)[:3])
        both = _product([*query, value[-2]]), _product([*query[:-1], *value[-2:]])
        return None if None in both else sum(size for size in both if size is not None)
    if operation.name in ELEMENTWISE_OPS or operation.name.startswith("graph."):
        return 0
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
    return _product(list(sizes.values())) if reduces else 0


def _shape(value: ir.Value) -> list[Any]:
    shape = shape_of(value) if isinstance(value.type, ir.RankedTensorType) else []
    return ["?" if size == DYNAMIC else size for size in shape]


def _product(sizes: Sequence[int]) -> int | None:
    return None if DYNAMIC in sizes else math.prod(sizes)


def _bytes(values: Sequence[ir.Value]) -> int | None:
    """Bytes of tensors read and written, each once."""
    total = 0
    for value in values:
        count = _product(shape_of(value))
        if count is None:
            return None
        element = ir.ShapedType(value.type).element_type
        total += count * (8 if isinstance(element, ir.IndexType) else -(-element.width // 8))
    return total
