"""Rewriting a function to integers: which values have an integer form already, and how the others get one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from terrace.dialects.base import shape_of
from terrace.dialects.graph import AddOp, CastOp, DequantizeOp, ReluOp, RequantizeOp
from terrace.dialects.rules import RuleTable
from terrace.lowering.graph.builders import splat, splat_value, users_of
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.quantization.accumulator_chains import Chain
from terrace.lowering.quantization.ranges import RANGE, describe, is_float_tensor, range_of, ranged
from terrace.lowering.quantization.scales import FixedPoint, f32_splat, round_to, scale_of, with_integers
from terrace.mlir import func, ir, operation_of
from terrace.passes import fail


@dataclasses.dataclass(frozen=True)
class Quantized:
    """`value`, a tensor of i8, stands for scale * value."""

    value: ir.Value
    scale: float


class Quantizer:
    """The integer forms of the values of one function.

    `multiplier_bits` are the significant bits of what sums are multiplied by. Rules give new ops beside the old ones,
    and `record` what they compute. `finish` lets what was not rewritten read floats again, made of the integers.
    """

    def __init__(self, function: func.FuncOp, multiplier_bits: int) -> None:
        self.function, self.multiplier_bits = function, multiplier_bits
        self.constant = constant_values(function.operation)
        self.inner: set[ir.Value] = set()
        """What only leads to the end of a chain that was rewritten."""
        self._forms: dict[ir.Value, Quantized] = {}
        self._computed: list[ir.Value] = []

    def known(self, value: ir.Value) -> Quantized | None:
        """The integer form of a value, if it has one."""
        return self._forms.get(value)

    def scale(self, value: ir.Value, user: ir.Operation) -> float:
        """The scale that the observed range of a value gives it."""
        magnitude = range_of(value)
        if magnitude is None:
            raise fail(
                user, f"needs {describe(value)} in int8, which has no 'graph.range'; calibrate the model on samples"
            )
        return scale_of(magnitude)

    def quantized(self, value: ir.Value, user: ir.Operation) -> Quantized:
        """The integer form of a value; made of its float form, beside its definition, if there is none yet."""
        if value not in self._forms:
            owner = operation_of(value)
            number = splat_value(value)
            if number is not None:
                self._forms[value] = self._of_number(value, number, user)
            elif owner is not None and ranged(value, self.constant) != value:
                self.keep_scale(owner, self.quantized(owner.operands[0], user))
            else:
                scale = self.scale(value, user)
                point = ir.InsertionPoint.at_block_begin(value.owner) if owner is None else _after(owner)
                with point, user.location:
                    self._forms[value] = Quantized(round_to(value, f32_splat(scale), 8), scale)
        return self._forms[value]

    @staticmethod
    def _of_number(value: ir.Value, number: float, user: ir.Operation) -> Quantized:
        scale = scale_of(abs(number))
        with ir.InsertionPoint(user), user.location:
            return Quantized(splat(round(number / scale), ir.IntegerType.get_signless(8), shape_of(value)), scale)

    def keep_scale(self, operation: ir.Operation, source: Quantized) -> None:
        """The same op on the integers of its first operand, whose scale the result takes over."""
        with _after(operation), operation.location:
            result = rebuilt(operation, [source.value, *list(operation.operands)[1:]], 8)
        self.record(operation.results[0], Quantized(result, source.scale))

    def requantized(self, sums: ir.Value, ratio: float, is_relu: bool = False) -> ir.Value:
        """Sums in i32 times a positive number, in i8; at least 0 if `is_relu`."""
        factor = FixedPoint.of(ratio, self.multiplier_bits)
        return finish_chain(sums, i32_splat(factor.multiplier), i32_splat(factor.shift), is_relu)

    def record_chain(self, chain: Chain, form: Quantized) -> None:
        """`form` is what a rule made of the result of a chain."""
        self.inner.update(operation.results[0] for operation in chain.operations[:-1])
        self.record(chain.result, form)

    def leave(self, chain: Chain) -> None:
        """The ops of a chain stay in float."""
        self.inner.update(operation.results[0] for operation in chain.operations)

    def record(self, value: ir.Value, form: Quantized) -> None:
        """`form` is what a rule made of `value`."""
        self._forms[value] = form
        self._computed.append(value)

    def finish(self) -> None:
        """Float users of what was computed in integers read it times its scale."""
        for value in self._computed:
            form = self._forms[value]
            if not users_of(value):
                continue
            owner = operation_of(form.value)
            assert owner is not None, "a rule computes its result"
            with _after(owner), owner.location:
                value.replace_all_uses_with(DequantizeOp.build(form.value, f32_splat(form.scale)))


Rule = Callable[[Quantizer, ir.Operation], None]
"""Makes of an op what it computes in integers, and records that; what it leaves alone stays in float."""

QUANTIZATION: RuleTable[Rule] = RuleTable("quantisation")


def _after(operation: ir.Operation) -> ir.InsertionPoint:
    """The place right after an op."""
    block = operation.block
    operations = [view.operation for view in block.operations]
    return ir.InsertionPoint(operations[operations.index(operation) + 1])


# ---------------------------------------------------------------------------------------------------------------------
# Steps that several rules take
# ---------------------------------------------------------------------------------------------------------------------


def i32_splat(number: int) -> ir.Value:
    return splat(number, ir.IntegerType.get_signless(32))


def rebuilt(operation: ir.Operation, operands: list[ir.Value], width: int) -> ir.Value:
    """The same op on integers, with a result of integers of this width."""
    attributes = {name: value for name, value in operation.attributes.items() if name != RANGE}
    type_ = with_integers(operation.results[0], width)
    return ir.Operation.create(operation.name, [type_], operands, attributes).results[0]


def widen(value: ir.Value) -> ir.Value:
    """Integers as i32."""
    return CastOp.build(value, result_type=with_integers(value, 32))


def finish_chain(sums: ir.Value, multiplier: ir.Value, shift: ir.Value, is_relu: bool) -> ir.Value:
    result = RequantizeOp.build(sums, multiplier, shift, result_type=with_integers(sums, 8))
    return ReluOp.build(result) if is_relu else result


def add_channels(sums: ir.Value, bias: ir.Value | None) -> ir.Value:
    return sums if bias is None else AddOp.build(sums, bias, result_type=with_integers(sums, 32))


def are_float_tensors(operation: ir.Operation) -> bool:
    """Whether an op takes and gives f32 tensors of static or dynamic shape only, `?` sizes aside."""
    values = [*operation.operands, *operation.results]
    return all(is_float_tensor(v) or isinstance(v.type, ir.IndexType) for v in values)
