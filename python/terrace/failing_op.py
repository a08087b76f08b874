"""Which op a pass was at: the one that its Python code held, or the one on which a native pass ends badly by itself."""

from __future__ import annotations

import traceback
from types import TracebackType

from terrace.mlir import PassManager, ir, walk
from terrace.supervision import Limits, announce, rehearse

_SECONDS_PER_OP = 5.0
_MODULE = "builtin.module"


def op_at(trace: TracebackType | None) -> ir.Operation | None:
    """The op that the innermost function of a traceback, which holds one, has in a variable; no module."""
    for frame, _ in reversed(list(traceback.walk_tb(trace))):
        for value in reversed(list(frame.f_locals.values())):
            if isinstance(value, (ir.Operation, ir.OpView)) and _is_alive(value) and value.operation.name != _MODULE:
                return value.operation
    return None


def _is_alive(op: ir.Operation | ir.OpView) -> bool:
    try:
        return bool(op.operation.name)
    except (RuntimeError, TypeError):  # What was erased, or is not made yet.
        return False


def op_that_ends(text: str, module: ir.Operation) -> ir.Operation | None:
    """The op of `module` that makes the upstream pipeline `text` crash or run beyond its limits when it is there alone.

    Every kind of op is tried, in a child.
    """
    kinds = {(op.name, str(list(op.attributes)), str([v.type for v in op.operands])): op for op in walk(module)}
    candidates = [op for op in kinds.values() if not len(op.regions) and len(op.operands)]

    def try_each() -> None:
        for number, op in enumerate(candidates):
            announce(str(number))
            _run_alone(text, op)

    limits = Limits.read()
    found = rehearse(try_each, Limits(min(limits.seconds, _SECONDS_PER_OP), limits.memory))
    return candidates[int(found.step)] if found is not None and found.step else None


def _run_alone(text: str, op: ir.Operation) -> None:
    """Run a pipeline on a function that holds one op, with constants as they are and other operands as arguments."""
    with op.context, ir.Location.unknown():
        module = ir.Module.create()
        values = [v for v in op.operands if not _is_constant(v)]
        results = [r.type for r in op.results]
        attributes = {
            "sym_name": ir.StringAttr.get("alone"),
            "function_type": ir.TypeAttr.get(ir.FunctionType.get([v.type for v in values], results)),
        }
        with ir.InsertionPoint(module.body):
            function = ir.Operation.create("func.func", attributes=attributes, regions=1)
        block = function.regions[0].blocks.append(*[v.type for v in values])
        with ir.InsertionPoint(block):
            given = iter(block.arguments)
            operands = [v.owner.clone().results[0] if _is_constant(v) else next(given) for v in op.operands]
            copy = op.clone()
            for number, value in enumerate(operands):
                copy.operation.operands[number] = value
            ir.Operation.create("func.return", operands=list(copy.operation.results))
        try:
            PassManager.parse(f"{_MODULE}({text})").run(module.operation)
        except ir.MLIRError:
            return


def _is_constant(value: ir.Value) -> bool:
    owner = value.owner
    return not isinstance(owner, ir.Block) and not len(owner.operands) and not len(owner.regions)
