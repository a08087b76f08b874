"""Constants of a module, evaluated one after the other: each body runs once, and no value outlives its last use."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from typing import Any

import numpy as np
import pytest
import terrace
from terrace.dialects.context import create_context
from terrace.lowering.graph.evaluation import Constants, constants
from terrace.lowering.graph.evaluation.rules import EVALUATION
from terrace.mlir import ir, parse_module

P = np.array([0.5, 2.0], np.float32)
T = "tensor<2xf32>"


def constant(name: str, op: str, *loads: str) -> str:
    """A symbol that is `op` of the symbols that it loads."""
    lines = [f'%{i} = "graph.load"() {{symbol = @{load}}} : () -> {T}' for i, load in enumerate(loads)]
    operands, types = ", ".join(f"%{i}" for i in range(len(loads))), ", ".join([T] * len(loads))
    lines += [f'%r = "graph.{op}"({operands}) : ({types}) -> {T}', f'"graph.yield"(%r) : ({T}) -> ()']
    return f'"graph.constant"() ({{{" ".join(lines)}}}) {{sym_name = "{name}", type = {T}}} : () -> ()'


PAIR = f"""
"graph.constant"() ({{
  %0 = "graph.load"() {{symbol = @shared}} : () -> {T}
  %1 = "graph.sin"(%0) : ({T}) -> {T}
  %2 = "graph.cos"(%1) : ({T}) -> {T}
  %3 = builtin.unrealized_conversion_cast %1, %2 : {T}, {T} to tuple<{T}, {T}>
  "graph.yield"(%3) : (tuple<{T}, {T}>) -> ()
}}) {{sym_name = "pair", type = tuple<{T}, {T}>}} : () -> ()
"graph.part"() {{sym_name = "pair.0", type = {T}, constant = @pair, number = 0 : i64}} : () -> ()
"graph.part"() {{sym_name = "pair.1", type = {T}, constant = @pair, number = 1 : i64}} : () -> ()
"""
PARAMETER = f'"graph.parameter"() {{sym_name = "p", type = {T}}} : () -> ()'
TEXT = "\n".join(
    [
        PARAMETER,
        constant("shared", "exp", "p"),
        constant("a", "log", "shared"),
        constant("b", "mul", "shared", "shared"),
        PAIR,
        constant("z", "sqrt", "pair.1"),
    ]
)
ORDER = ["a", "b", "p", "pair.0", "pair.1", "z"]
EXPECTED = {
    "a": P,
    "b": np.exp(P) ** 2,
    "p": P,
    "pair.0": np.sin(np.exp(P)),
    "pair.1": np.cos(np.sin(np.exp(P))),
    "z": np.sqrt(np.cos(np.sin(np.exp(P)))),
}


class Watch:
    """Counts the ops that are evaluated, and knows which of their results are alive."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: Counter[str] = Counter()
        self._results: list[tuple[str, Any]] = []
        monkeypatch.setattr(constants, "EVALUATION", self)

    def of(self, op: ir.Operation) -> Any:
        rule, name = EVALUATION.of(op), op.name.removeprefix("graph.")

        def run(*args: Any) -> Any:
            results = rule(*args)
            self.ran[name] += 1
            self._results += [(name, weakref.ref(result)) for result in results]
            return results

        return run

    def alive(self) -> set[str]:
        gc.collect()
        return {name for name, result in self._results if result() is not None}


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def test_a_body_runs_once_and_its_value_is_kept_until_the_last_use(watch: Watch) -> None:
    found = Constants(parse_module(TEXT, create_context()), ORDER)
    alive = []
    for name in ORDER:
        np.testing.assert_allclose(found.evaluate(name, {"p": P}.__getitem__), EXPECTED[name], rtol=1e-6)
        alive.append(watch.alive())
    assert watch.ran == Counter(exp=1, log=1, mul=1, sin=1, cos=1, sqrt=1)
    assert alive == [{"exp"}, {"exp"}, {"exp"}, {"cos"}, {"cos"}, set()]


def test_whoever_goes_back_starts_anew(watch: Watch) -> None:
    """A program may be opened again: parameters may have other values by then."""
    found = Constants(parse_module(TEXT, create_context()), ORDER)
    found.evaluate("a", {"p": P}.__getitem__)
    for name in ORDER:
        np.testing.assert_allclose(found.evaluate(name, {"p": P}.__getitem__), EXPECTED[name], rtol=1e-6)
    assert watch.ran["exp"] == 2
    np.testing.assert_allclose(found.evaluate("a", {"p": 2 * P}.__getitem__), 2 * P, rtol=1e-6)
    np.testing.assert_allclose(found.evaluate("b", {"p": 2 * P}.__getitem__), np.exp(4 * P), rtol=1e-6)
    assert watch.ran["exp"] == 3


def test_a_symbol_alone_keeps_nothing(watch: Watch) -> None:
    found = Constants(parse_module(TEXT, create_context()))
    np.testing.assert_allclose(found.evaluate("z", {"p": P}.__getitem__), EXPECTED["z"], rtol=1e-6)
    assert (watch.ran["exp"], watch.ran["sin"], watch.alive()) == (1, 1, set())
    found.evaluate("b", {"p": P}.__getitem__)
    assert (watch.ran["exp"], watch.alive()) == (2, set())


def test_what_is_read_by_two_constants_is_needed_no_longer_than_they_are(watch: Watch) -> None:
    """@c reads @b, which is kept for it, and not what @b is made of."""
    text = "\n".join([PARAMETER, constant("a", "exp", "p"), constant("b", "neg", "a"), constant("c", "add", "b", "b")])
    found = Constants(parse_module(text, create_context()), ["b", "c"])
    found.evaluate("b", {"p": P}.__getitem__)
    assert watch.alive() == {"neg"}
    np.testing.assert_allclose(found.evaluate("c", {"p": P}.__getitem__), -2 * np.exp(P), rtol=1e-6)
    assert watch.ran == Counter(exp=1, neg=1, add=1)


def test_the_parameters_of_a_program_are_evaluated_in_that_order(watch: Watch) -> None:
    main = f"""func.func @main(%x: {T}) -> ({T}, {T}) {{
      %0 = "graph.load"() {{symbol = @pair.0}} : () -> {T}
      %1 = "graph.load"() {{symbol = @pair.1}} : () -> {T}
      %2 = "graph.add"(%x, %0) : ({T}, {T}) -> {T}
      %3 = "graph.mul"(%x, %1) : ({T}, {T}) -> {T}
      return %2, %3 : {T}, {T}
    }}"""
    compiled = terrace.compile_mlir("\n".join([PARAMETER, constant("shared", "exp", "p"), PAIR, main]), {"p": P})
    assert watch.ran == Counter(exp=1, sin=1, cos=1)
    for result, expected in zip(compiled(P), (P + EXPECTED["pair.0"], P * EXPECTED["pair.1"]), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-6)
