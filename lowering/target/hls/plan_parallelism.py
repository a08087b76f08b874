"""How much each kernel of a network computes at once: the multipliers of a budget, shared so that no kernel keeps the
others waiting.

Kernels are a pipeline: the slowest says how often a result comes. Each has schedules of more and fewer multipliers
(`KernelFamily.alternatives`), and an estimate of what they take. The fewest cycles are those for which the cheapest
schedules of all kernels, none slower, fit the budget. Pure functions of kernels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from terrace.lowering.kernels.choose_schedules import choose_schedule
from terrace.lowering.kernels.circuit_tile import CircuitCost, cost_of_circuit
from terrace.lowering.kernels.read_kernel import family_of_kernel
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView
from terrace.machine import CircuitMachine


@dataclasses.dataclass(frozen=True)
class Choice:
    """A schedule and what it takes."""

    cost: CircuitCost
    schedule: Schedule

    @property
    def price(self) -> tuple[int, int]:
        return self.cost.multipliers, self.cost.reads


def choices_of(kernel: KernelView, machine: CircuitMachine) -> list[Choice]:
    """The schedules of a kernel of integers that none beats in both cycles and price, the fastest first: those that its
    family proposes, or the usual one.
    """
    usual = choose_schedule(kernel, machine)
    propose = family_of_kernel(kernel.function).alternatives.get(CircuitMachine)
    proposed = propose(kernel, usual, machine) if propose is not None else (usual,)
    found = [Choice(cost_of_circuit(kernel, schedule), schedule) for schedule in proposed]
    front: list[Choice] = []
    for choice in sorted(found, key=lambda choice: (choice.cost.cycles, choice.price)):
        if not front or choice.price < front[-1].price:
            front.append(choice)
    return front


def plan(
    choices: Mapping[str, Sequence[Choice]], calls: Mapping[str, int], multipliers: int, least: int = 1
) -> dict[str, Choice]:
    """One of the choices of each kernel: the fewest cycles, `least` or more, of the slowest kernel for which all have
    so many multipliers together, and the cheapest choices for these. The cheapest of all where none fit.
    """
    floor = max([least, *(front[0].cost.cycles for front in choices.values())])
    limits = sorted({floor, *(c.cost.cycles for front in choices.values() for c in front if c.cost.cycles > floor)})
    for limit in limits:
        found = {name: _cheapest(front, limit) for name, front in choices.items()}
        if sum(calls[name] * choice.cost.multipliers for name, choice in found.items()) <= multipliers:
            return found
    return {name: front[-1] for name, front in choices.items()}


def _cheapest(front: Sequence[Choice], limit: int) -> Choice:
    return [choice for choice in front if choice.cost.cycles <= limit][-1]
