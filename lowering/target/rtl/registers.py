"""Arrays whose every element is a register: what is read of them and what is written at a place of the program."""

from __future__ import annotations

from collections.abc import Mapping

from terrace.lowering.target.rtl.circuit import Linear, Node, Register, RegisterArray
from terrace.lowering.target.rtl.values import Values, implies
from terrace.lowering.target.rtl.work import Work

Written = Mapping[Register, tuple[Node, Node]]
"""What registers were given, and if."""


def read_element(values: Values, work: Work, array: RegisterArray, where: Linear) -> Node:
    """An element of registers, after the stores so far: those to other elements do not count."""
    written: Written = work.written
    for stored, data, enable in reversed(work.stores.get(array, [])):
        apart = stored.plus(where, -1)
        if apart.terms:
            break
        if apart.constant == 0:
            if enable is values.true:
                return data
            break
    else:
        written = {}
    if not where.terms:
        return _current(values, work, array.elements[where.constant], array.width, written)
    elements = [_current(values, work, register, array.width, written) for register in array.elements]
    return values.element(elements, values.linear(where))


def _current(values: Values, work: Work, register: Register, width: int, written: Written) -> Node:
    """What a register of numbers of so many bits holds after these writes."""
    old = values.extended(values.read(register, work.segment), width)
    if register in work.private:
        old = values.constant(0, width)
    if register not in written:
        return old
    data, enable = written[register]
    return values.mux(enable, data, old)


def write_element(values: Values, work: Work, array: RegisterArray, where: Linear, data: Node, enable: Node) -> None:
    """Give an element of registers a value where `enable`."""
    work.stores.setdefault(array, []).append((where, data, enable))
    for number, register in enumerate(array.elements):
        is_it = values.compare_indices("eq", where, Linear((), number))
        _write(values, work, register, data, values.both(enable, is_it))


def _write(values: Values, work: Work, register: Register, data: Node, enable: Node) -> None:
    if enable is values.false:
        return
    if register in work.written and not implies(work.written[register][1], enable):
        old_data, old_enable = work.written[register]
        data, enable = values.mux(enable, data, old_data), values.either(enable, old_enable)
    work.written[register] = (data, enable)
