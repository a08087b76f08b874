"""How far results of compiled code are from eager PyTorch's, and where that is too far, both from float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from program_workers import Result
from torch.utils._pytree import tree_leaves, tree_map

TOLERANCE = 1e-4


class Judge:
    """Says of results of `model` at some inputs whether they are right, beside what eager computes there.

    No number may be further from eager's than `tolerance` of the largest of its tensor and `floor`. Where one is, both
    are compared with float64, from which ours may be as far as eager's, or `tolerance`. NaN, infinities and integers
    have to be the same. `as_double` gives a copy of the model in float64.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tolerance: float = TOLERANCE,
        floor: float = 1e-30,
        as_double: Callable[[torch.nn.Module], torch.nn.Module] = lambda model: copy.deepcopy(model).double(),
    ) -> None:
        self.model, self.tolerance, self.floor, self.as_double = model, tolerance, floor, as_double

    def check(self, results: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], answer: Result) -> None:
        """Note the error, and what is wrong."""
        expected = called(self.model, args, kwargs)
        errors = self.errors(results, expected)
        if max(errors) > self.tolerance:
            exact = called(self.as_double(self.model), *tree_map(doubled, (args, kwargs)))
            errors, eager = self.errors(results, exact), self.errors(expected, exact)
            answer["eager_error"] = max(eager)
            if any(ours > max(self.tolerance, theirs) for ours, theirs in zip(errors, eager, strict=True)):
                answer.update(outcome="failed", why="wrong result", message=f"errors {errors}, eager's {eager}")
        answer["error"] = max(errors)

    def errors(self, results: Any, expected: Any) -> list[float]:
        pairs = zip(tree_leaves(results), tree_leaves(expected), strict=True)
        return [error_of(value, wanted, self.floor) for value, wanted in pairs]


def called(model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    with torch.no_grad():
        return copy.deepcopy(model)(*copy.deepcopy(args), **copy.deepcopy(kwargs))


def doubled(value: Any) -> Any:
    if torch.is_tensor(value) and value.is_complex():
        return value.to(torch.complex128)
    return value.double() if torch.is_tensor(value) and value.is_floating_point() else value


def error_of(value: Any, expected: Any, floor: float) -> float:
    """The largest error relative to the largest number expected and `floor`; infinite where shape or NaN differ."""
    if not torch.is_tensor(expected):
        return 0.0 if value == expected else float("inf")
    if expected.is_complex() and value.is_complex():
        value, expected = torch.view_as_real(value), torch.view_as_real(expected)
    is_float = expected.is_floating_point()
    if value.shape != expected.shape or value.is_floating_point() != is_float:
        return float("inf")
    if not is_float:
        return 0.0 if torch.equal(value, expected) else float("inf")
    value, expected = value.double(), expected.double()
    finite = torch.isfinite(expected)
    same = torch.equal(value[~finite].nan_to_num(), expected[~finite].nan_to_num())
    if not same or not torch.equal(torch.isfinite(value), finite) or not torch.equal(value.isnan(), expected.isnan()):
        return float("inf")
    if not finite.any():
        return 0.0
    difference = float((value - expected)[finite].abs().max())
    return difference / (float(expected[finite].abs().max()) + floor)
