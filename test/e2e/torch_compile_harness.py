"""What the tests of `torch.compile(..., backend="terrace")` share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from e2e_models import assert_close
from torch import nn
from torch._dynamo.utils import counters
from torch.utils._pytree import tree_flatten

STRICT = {"fallback": False}


@pytest.fixture(autouse=True)
def no_graphs() -> Iterator[None]:
    """Each test begins with no graph compiled, and without gradients."""
    torch._dynamo.reset()
    counters.clear()
    torch.manual_seed(0)
    with torch.no_grad():
        yield
    torch._dynamo.reset()


def compile_strictly(function: Any, **settings: Any) -> Any:
    """`function` compiled; what Terrace cannot compile is an error."""
    return torch.compile(function, backend="terrace", options=STRICT, **settings)


def assert_close_all(found: Any, expected: Any) -> None:
    """The same nested results: `assert_close` and equal strides for each tensor, equality for all else."""
    (left, left_tree), (right, right_tree) = tree_flatten(found), tree_flatten(expected)
    assert left_tree == right_tree
    for one, other in zip(left, right, strict=True):
        if not isinstance(other, torch.Tensor):
            assert type(one) is type(other) and one == other
            continue
        assert one.stride() == other.stride() and one.requires_grad == other.requires_grad
        assert one.shape == other.shape and one.dtype == other.dtype
        if other.dtype == torch.bool:
            assert torch.equal(one, other)
        elif other.numel():
            assert_close(one.detach(), other.detach())


def assert_same(
    function: Callable[..., Any], *arguments: Any, calls: int = 1, then: Callable[[Any], Any] = lambda results: None
) -> None:
    """`function`, compiled strictly, does what it does in eager: to results, to arguments and to a module's state.

    `then` does something to the results, which shows what shares memory with what.
    """
    plain = copy.deepcopy(function) if isinstance(function, nn.Module) else function
    compiled = compile_strictly(function)
    for _ in range(calls):
        given, expected_given = copy.deepcopy(arguments), copy.deepcopy(arguments)
        found, expected = compiled(*given), plain(*expected_given)
        then(found)
        then(expected)
        assert_close_all((found, given), (expected, expected_given))
        if isinstance(function, nn.Module):
            assert_close_all(dict(function.state_dict()), dict(plain.state_dict()))
