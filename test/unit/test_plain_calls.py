"""Calls with plain tensors of types and shapes that were accepted before: which are such, and whose memory is whose."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import terrace
import torch
from runtime_programs import (
    aliases_artifact,
    aligned,
    compile_program,
    double_artifact,
    positional,
    state_artifact,
    tensor,
)
from terrace.errors import CheckError, InputError
from terrace.runtime import plain_calls, session
from terrace.runtime.model import CompiledModel
from terrace.storage.artifact import Artifact, one_entry

SUM = """
module @model {
  func.func @main(%a: tensor<?x3xf32>, %b: tensor<?x3xf32>) -> tensor<?x3xf32> {
    %c = arith.addf %a, %b : tensor<?x3xf32>
    return %c : tensor<?x3xf32>
  }
}
"""


def sum_artifact() -> Artifact:
    """a + b, of 1 to 8 rows."""
    leaf = tensor(["n", 3])
    return Artifact(one_entry(positional([leaf, leaf], [leaf], n=[1, 8])), compile_program(SUM))


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, ...]]]:
    """The addresses of the plain calls."""
    calls: list[tuple[int, ...]] = []
    invoke_at = session.Session.invoke_at

    def noted(self: session.Session, name: str, addresses: tuple[int, ...], *rest: Any) -> list[Any]:
        calls.append(addresses)
        return invoke_at(self, name, addresses, *rest)

    monkeypatch.setattr(session.Session, "invoke_at", noted)
    yield calls


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("make", [torch.zeros, aligned], ids=["torch", "numpy"])
def test_the_second_call_is_plain(make: Callable[..., Any], threads: int, plain: list[tuple[int, ...]]) -> None:
    model = CompiledModel(aliases_artifact(), threads=threads)
    for number in range(4):
        value = make([4, 16])
        value[:] = number
        results = model(value)
        assert all(type(result) is type(value) for result in results)
        assert [result.flatten()[0].item() for result in results] == [number, 3, 3, 2 * number, 2 * number, 1, number]
        # They are the caller's: writing to one changes neither another nor what a later call gives.
        for index, result in enumerate(results):
            result[:] = -index
        assert [result.flatten()[-1].item() for result in results] == [0, -1, -2, -3, -4, -5, -6]
        assert (value == number).all()
    assert len(plain) == 3


OTHERS = {
    "not dense": lambda: torch.ones(2, 2).T[:, :1].expand(2, 2),
    "transposed": lambda: torch.arange(4.0).reshape(2, 2).T,
    "not aligned": lambda: torch.arange(5.0)[1:].reshape(2, 2),
    "a parameter": lambda: torch.nn.Parameter(torch.ones(2, 2)),
    "another rank's": lambda: torch.ones(2, 5),
    "empty": lambda: torch.ones(0, 2),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_other_calls_go_the_long_way(make: Callable[[], torch.Tensor], plain: list[tuple[int, ...]]) -> None:
    model = CompiledModel(double_artifact())
    model(torch.ones(2, 2))
    assert torch.equal(model(make()), 2 * make()) and not plain


REFUSED = {
    "meta": lambda: torch.ones(2, 2, device="meta"),
    "sparse": lambda: torch.ones(2, 2).to_sparse(),
    "compressed": lambda: torch.ones(2, 2).to_sparse_csr(),
    "oneDNN's": lambda: torch.ones(2, 2).to_mkldnn(),
    "negated": lambda: torch.ones(2, 2, dtype=torch.complex64).conj().imag,
    "negated and dense": lambda: torch._neg_view(torch.ones(2, 2)),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2)] * 2),
    "of another type": lambda: torch.ones(2, 2, dtype=torch.float64),
    "of bits": lambda: torch.ones(2, 2, dtype=torch.int32),
    "of another rank": lambda: torch.ones(2, 2, 1),
    "none": lambda: None,
}


@pytest.mark.filterwarnings("ignore:(Sparse CSR|The PyTorch API of nested)")
@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_stays_so(make: Callable[[], Any], plain: list[tuple[int, ...]]) -> None:
    model = CompiledModel(double_artifact())
    model(torch.ones(2, 2))
    for _ in range(2):
        with pytest.raises(InputError, match=r"args\[0\]: expected"):
            model(make())
    assert not plain


def test_tensors_within_transforms_of_functions() -> None:
    model = CompiledModel(double_artifact())
    model(torch.ones(2, 2))
    with pytest.raises(InputError, match=r"args\[0\]: expected a plain tensor"):
        torch.func.vmap(model)(torch.ones(2, 2, 2))
    with pytest.raises(InputError, match=r"args\[0\]: expected a plain tensor, found one without memory"):
        torch.func.functionalize(model)(torch.ones(2, 2))


def test_sizes_are_checked_together(plain: list[tuple[int, ...]]) -> None:
    model = CompiledModel(sum_artifact())
    for rows in (1, 2, 2, 8, 1):
        value = torch.full((rows, 3), float(rows))
        assert torch.equal(model(value, value), 2 * value)
    assert len(plain) == 2 and plain[0][0] == plain[0][1]
    for left, right in ((1, 2), (2, 8), (9, 9), (0, 0)):
        with pytest.raises(InputError, match=r"size 0 of args\[[01]\]"):
            model(torch.ones(left, 3), torch.ones(right, 3))
    with pytest.raises(InputError, match="args: expected 2 positional arguments, found 1"):
        model(torch.ones(2, 3))
    # Torch and NumPy together are no plain call, and give torch.
    assert isinstance(model(torch.ones(2, 3), np.ones((2, 3), np.float32)), torch.Tensor)
    assert len(plain) == 2


def test_arguments_by_name(plain: list[tuple[int, ...]]) -> None:
    """They are put in order; what does not fit goes the long way, and is refused there."""
    leaf = tensor(["n", 3])
    signature = dataclasses.replace(positional([leaf, leaf], [leaf], n=[1, 8]), parameters=["a", "b"])
    model = CompiledModel(Artifact(one_entry(signature), compile_program(SUM)))
    left, right = torch.ones(2, 3), torch.full((2, 3), 2.0)
    for _ in range(2):
        assert torch.equal(model(b=right, a=left), left + right)
    assert torch.equal(model(left, b=right), left + right)
    assert plain == [(left.data_ptr(), right.data_ptr())] * 2
    for wrong in ({"a": left, "c": right}, {"a": left}, {"a": left, "b": torch.ones(3, 3)}):
        with pytest.raises(InputError):
            model(**wrong)
    with pytest.raises(InputError, match="given twice"):
        model(left, a=right)
    assert len(plain) == 2


def test_checks_of_plain_calls(plain: list[tuple[int, ...]]) -> None:
    class Rows(torch.nn.Module):
        def forward(self, x: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
            return x[i]

    x = torch.arange(6.0).reshape(3, 2)
    model = terrace.compile(Rows(), (x, torch.tensor([1, 2])), target=terrace.Target(threads=1))
    for _ in range(2):
        assert model(x, torch.tensor([2, 0])).tolist() == [[4, 5], [0, 1]]
        with pytest.raises(CheckError):
            model(x, torch.tensor([2, 3]))
    assert len(plain) == 3


def test_other_memory_at_an_address_that_was_used(plain: list[tuple[int, ...]]) -> None:
    """What is kept names an address: it serves whatever the next caller has there, and holds nothing."""
    model = CompiledModel(double_artifact())
    room = torch.zeros(64)
    for rows in (2, 4, 2):
        for number in range(3):
            value = room[: rows * 8].reshape(rows, 8)
            value[:] = number
            result = model(value)
            room[:] = -1
            assert torch.equal(result, torch.full((rows, 8), 2.0 * number))
    assert len(set(plain)) == 1 and len(plain) == 7


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MOST_ADDRESSES", 5)
    monkeypatch.setattr(plain_calls, "MOST_ACCEPTED", 3)
    model = CompiledModel(double_artifact())
    values = [torch.full((rows, 16), float(rows)) for rows in range(1, 9)]
    for value in 3 * values:
        assert torch.equal(model(value), 2 * value) and torch.equal(model(value), 2 * value)
        assert len(model["main"]._plain._accepted) <= 3 and len(model._program._session._at) <= 5


def test_state_changes_below_no_result() -> None:
    model = CompiledModel(state_artifact())
    ones = torch.ones(4)
    kept = [model(ones, index) for index in range(3)]
    assert [count[0].item() for count, _ in kept] == [1, 2, 3]


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_that_call_with_one_tensor(threads: int) -> None:
    model = CompiledModel(double_artifact(), threads=threads)
    value, wrong = torch.ones(16, 16), []

    def call() -> None:
        for _ in range(300):
            if not torch.equal(model(value), 2 * value):
                wrong.append(1)

    workers = [threading.Thread(target=call) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
