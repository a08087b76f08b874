"""Shares of a budget of multipliers: by hand, and against all combinations."""

from __future__ import annotations

import itertools
import random

from terrace.lowering.kernels.circuit_tile import CircuitCost, lanes_of
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.target.hls.plan_parallelism import Choice, plan


def front(*costs: tuple[int, int]) -> list[Choice]:
    return [Choice(CircuitCost(*cost), Schedule()) for cost in costs]


def test_the_slowest_kernel_gets_more() -> None:
    choices = {"a": front((10, 40), (20, 20), (40, 10)), "b": front((5, 8), (20, 2))}
    assert {name: choice.cost.cycles for name, choice in plan(choices, {"a": 1, "b": 1}, 22).items()} == {
        "a": 20,
        "b": 20,
    }
    assert plan(choices, {"a": 1, "b": 1}, 48)["a"].cost.cycles == 10
    assert plan(choices, {"a": 1, "b": 1}, 0)["a"].cost.multipliers == 10, "the cheapest, where none fits"
    assert plan(choices, {"a": 2, "b": 1}, 48)["a"].cost.cycles == 20, "a kernel that is called twice is there twice"
    assert plan(choices, {"a": 1, "b": 1}, 999, least=30)["a"].cost.cycles == 20, "no faster than is wanted"


def test_no_combination_is_better() -> None:
    """Five kernels of six choices: the slowest kernel is as fast as in the best combination within the budget."""
    generator = random.Random(0)
    for _ in range(20):
        choices = {}
        for name in "abcde":
            cycles = sorted(generator.sample(range(1, 100), 6))
            multipliers = sorted(generator.sample(range(1, 60), 6), reverse=True)
            choices[name] = front(*zip(cycles, multipliers, strict=True))
        budget = generator.randrange(60, 250)
        found = plan(choices, dict.fromkeys(choices, 1), budget)
        fitting = [
            max(c.cost.cycles for c in some)
            for some in itertools.product(*choices.values())
            if sum(c.cost.multipliers for c in some) <= budget
        ]
        if fitting:
            assert max(choice.cost.cycles for choice in found.values()) == min(fitting)
            assert sum(choice.cost.multipliers for choice in found.values()) <= budget


def test_results_of_a_step() -> None:
    assert lanes_of(tiles=28, steps=5, results=6, row=6) == 2, "a power of two that divides the row"
    assert lanes_of(tiles=28, steps=2, results=6, row=6) is None, (
        "a third of an axis would not fit other kernels' banks"
    )
    assert lanes_of(tiles=28, steps=5, results=24, row=6, are_adjacent=True) == 6, "all of an axis"
    assert lanes_of(tiles=28, steps=5, results=42, row=8) is None, "more than a row in a step"
    assert lanes_of(tiles=28, steps=5, results=48, row=6, are_adjacent=True) == 12
    assert lanes_of(tiles=28, steps=5, results=42, row=6, are_adjacent=True) is None, "as many rows as there are steps"
    assert lanes_of(tiles=1, steps=64, results=8, row=8) is None, "one tile more takes longer"
