"""One layout for a weight that several kernels read: the prompt's product and the next token's, say.

Each kernel's cost model packs a weight as it likes it best; two packings would hold it twice. The kernel that does the
most work keeps its own, and the others take it where their family has a schedule for it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping

from terrace.dialects.base import to_python
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.kernels.packing import Packing
from terrace.lowering.kernels.read_kernel import family_of_kernel
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView, is_kernel
from terrace.machine import Machine
from terrace.mlir import func, ir, walk

ASSUMED_SIZE = 128
"""What a size that is known at run time only is taken for."""

Reading = tuple[str, str]
"""A kernel, and the operand that a weight is."""


def share_packings(
    module: ir.Operation, kernels: Mapping[str, KernelView], chosen: dict[str, Schedule], machine: Machine
) -> None:
    """Change `chosen`, the schedules of `kernels`, so that weights have fewer packings."""
    settled: set[str] = set()
    groups = sorted(_readings(module, kernels), key=lambda group: -max(_work(kernels[name]) for name, _ in group))
    for group in groups:
        leader, operand = max(group, key=lambda reading: (reading[0] in settled, _work(kernels[reading[0]])))
        wanted = chosen[leader].packed.get(operand)
        settled.add(leader)
        for name, own in group:
            if name in settled or wanted is None:
                continue
            followed = _follow(kernels[name], own, wanted, chosen[name], machine)
            if followed is not None:
                chosen[name] = followed
                settled.add(name)


def _follow(kernel: KernelView, operand: str, how: Packing, chosen: Schedule, machine: Machine) -> Schedule | None:
    """A schedule of the kernel that reads an operand packed like this: the chosen one, or another; None if there is
    none."""
    proposed = [chosen]
    for kind, propose in family_of_kernel(kernel.function).packed_schedules.items():
        if isinstance(machine, kind):
            proposed += filter(None, [propose(kernel, how, machine)])
    return next((schedule for schedule in proposed if schedule.packed.get(operand) == how), None)


def _readings(module: ir.Operation, kernels: Mapping[str, KernelView]) -> Iterator[list[Reading]]:
    """For each weight that several of the kernels read, these."""
    found: dict[Hashable, dict[Reading, None]] = {}
    numbers = _number_expressions(module)
    functions = [op for op in module.regions[0].blocks[0].operations if isinstance(op, func.FuncOp)]
    hosts = [function for function in functions if not is_kernel(function)]
    for call in (op for host in hosts for op in walk(host.operation) if op.name == "func.call"):
        kernel = kernels.get(to_python(call.attributes["callee"]))
        if kernel is None:
            continue
        for name, operand in zip(kernel.operands, kernel.root.operands, strict=False):
            value = call.operands[kernel.arguments.index(operand)]
            if value in numbers:
                found.setdefault(numbers[value], {})[kernel.name, name] = None
    return (list(group) for group in found.values() if len({name for name, _ in group}) > 1)


def _number_expressions(module: ir.Operation) -> dict[ir.Value, int]:
    """A number for each constant expression; those that are computed alike have the same."""
    constants, seen, numbers = constant_values(module), dict[Hashable, int](), dict[ir.Value, int]()
    for operation in walk(module):
        for place, value in enumerate(operation.results):
            if value in constants:
                attributes = tuple((name, operation.attributes[name]) for name in operation.attributes)
                operands = tuple(numbers[operand] for operand in operation.operands)
                key = (operation.name, place, attributes, operands)
                numbers[value] = seen.setdefault(key, len(seen))
    return numbers


def _work(kernel: KernelView) -> int:
    return math.prod(kernel.space.known(ASSUMED_SIZE).values())
