"""Which values of a graph are quantised by their ranges, so that calibration observes them."""

from __future__ import annotations

from terrace.lowering.graph.builders import splat_value
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.quantization.accumulator_chains import CHAIN_ROOTS, CONTRACTIONS, chain_of, is_weight
from terrace.lowering.quantization.quantizer import QUANTIZATION
from terrace.lowering.quantization.ranges import KEEPING_SCALE, is_float_tensor
from terrace.mlir import func, ir, operation_of


def observed_values(function: func.FuncOp) -> list[ir.Value]:
    """The f32 values of a function whose magnitudes scales are made of, in program order, constants last.

    Not among them: what no op with a rule gives or reads (some of it is memory that nobody has written), what only
    leads to the end of a chain, and what takes over another value's scale. Constants are where an op that has a rule
    reads them as it reads what is computed.
    """
    constant = constant_values(function.operation)
    biases: set[tuple[ir.Value, ir.Value]] = set()
    constants: list[ir.Value] = []
    found = [argument for argument in function.entry_block.arguments if _may_have_scale(argument)]
    inner: set[ir.Value] = set()
    ends: set[ir.Value] = set()
    for view in function.entry_block.operations:
        operation = view.operation
        if operation.name in CHAIN_ROOTS and operation.results[0] not in inner:
            chain = chain_of(operation, constant)
            inner.update(op.results[0] for op in chain.operations[:-1])
            ends.add(chain.result)
            if chain.bias is not None:
                biases.add((chain.bias, chain.operations[1].results[0]))
        for value in filter(is_float_tensor, operation.results):
            if value in constant:
                constants.append(value)
            elif value in ends or (
                value not in inner and operation.name not in KEEPING_SCALE and _may_have_scale(value)
            ):
                found.append(value)
    return found + [value for value in constants if _is_read_by_range(value, constant, biases)]


def _may_have_scale(value: ir.Value) -> bool:
    """Whether an op with a rule gives a value in float32, or reads it."""
    owner = operation_of(value)
    has_rule = (owner is not None and owner in QUANTIZATION) or any(
        use.owner.operation in QUANTIZATION for use in value.uses
    )
    return is_float_tensor(value) and has_rule


def _is_read_by_range(value: ir.Value, constant: set[ir.Value], biases: set[tuple[ir.Value, ir.Value]]) -> bool:
    """Whether a constant is quantised as what is computed is, by its range: it is no weight, no bias and no splat."""
    if splat_value(value) is not None:
        return False
    for use in value.uses:
        user = use.owner.operation
        if user not in QUANTIZATION or user.results[0] in constant or (value, user.results[0]) in biases:
            continue
        takes_weights = user.name in (*CONTRACTIONS, "graph.layer_norm") and use.operand_number > 0
        if not takes_weights or not is_weight(value, constant):
            return True
    return False
