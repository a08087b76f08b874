"""The table of ONNX operators: for each (domain, name), a function of PyTorch's tensors that computes it.

A function takes the node and its inputs and returns a value or a tuple of them. A value is a tensor; or a NumPy array
that is known while the model is read (sizes, axes, and what is computed of them; elements may be `torch.SymInt`s); or a
list of values (an ONNX sequence); or None, an optional input that is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Value = Any
Rule = Callable[..., Value]
AnyRule = TypeVar("AnyRule", bound=Rule)

RULES: dict[tuple[str, str], Rule] = {}
KNOWN_RULES: dict[str, Rule] = {}
"""Operators on arrays that are known: taken where all inputs are."""


def onnx_op(*names: str, domain: str = "") -> Callable[[AnyRule], AnyRule]:
    """Register a function for operators of `domain`; "" is ONNX's own."""

    def register(rule: AnyRule) -> AnyRule:
        for name in names:
            assert (domain, name) not in RULES, name
            RULES[domain, name] = rule
        return rule

    return register


def known_op(*names: str) -> Callable[[AnyRule], AnyRule]:
    """Register a function of NumPy arrays for operators whose inputs are all known."""

    def register(rule: AnyRule) -> AnyRule:
        for name in names:
            assert name not in KNOWN_RULES, name
            KNOWN_RULES[name] = rule
        return rule

    return register


def rule_of(domain: str, name: str) -> Rule | None:
    """The function for an operator."""
    return RULES.get((domain, name))
