"""Checks that a program makes while it runs: what PyTorch raises is raised, at the user's line; nothing is written."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import terrace
import torch
import torch.nn.functional as F
from terrace.errors import CheckError, CompileError, DivisionByZeroError, IndexRangeError
from torch import Tensor, nn, tensor
from torch.export import Dim

TABLE = torch.arange(40.0).reshape(10, 4)
HERE = Path(__file__).name

Operation = Callable[..., Any]


class Call(nn.Module):
    """A function as a model."""

    def __init__(self, function: Operation) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def compiled(function: Operation, *args: Any, **options: Any) -> terrace.CompiledModel:
    target = terrace.Target(threads=1)
    return terrace.compile(Call(function), args, target=target, dynamic_shapes=options.pop("dynamic", None), **options)


def rows(index: Tensor) -> Tensor:
    """An index of rows, for ops that take an index for each element."""
    return index[:, None].expand(-1, 4)


def assign(value: Tensor, index: Tensor) -> Tensor:
    value = value.clone()
    value[index] = 1.0
    return value


INDEXED: dict[str, Operation] = {
    "embedding": lambda w, i: F.embedding(i, w),
    "embedding_bag": lambda w, i: F.embedding_bag(i[None], w, mode="sum"),
    "gather": lambda w, i: torch.gather(w, 0, rows(i)),
    "index": lambda w, i: w[i],
    "index_add": lambda w, i: w.index_add(0, i, w[:3], alpha=2),
    "index_copy": lambda w, i: w.index_copy(0, i, w[3:6]),
    "index_fill": lambda w, i: w.index_fill(0, i, 2.0),
    "index_put": assign,
    "index_select": lambda w, i: torch.index_select(w, 0, i),
    "one_hot": lambda w, i: F.one_hot(i, 10),
    "scatter": lambda w, i: w.scatter(0, rows(i), 1.0),
    "scatter_add": lambda w, i: w.scatter_add(0, rows(i), w[:3]),
    "scatter_reduce": lambda w, i: w.scatter_reduce(0, rows(i), w[:3], "amax"),
    "second dimension": lambda w, i: w.t()[:, i],
    "take": torch.take,
    "take_along_dim": lambda w, i: torch.take_along_dim(w, rows(i), 0),
    "target of a loss": lambda w, i: F.cross_entropy(w.t()[:3], i),
    "row by a scalar": lambda w, i: w[i[1]],
}

INDICES = ([1, 9, 2], [1, -1, 2], [1, 10, 2], [1, -10, 2], [1, -11, 2], [0, 40, 1], [0, -41, 1], [1 << 40, 3, 3])


@pytest.mark.parametrize("name", INDEXED)
def test_indices(name: str) -> None:
    """Values where eager gives some, its exceptions where it raises, for negative indices and all beyond the ends."""
    function = INDEXED[name]
    model = compiled(function, TABLE, tensor([1, 2, 3]))
    for index in map(tensor, INDICES):
        try:
            expected = function(TABLE, index)
        except (IndexError, RuntimeError) as error:
            with pytest.raises(type(error), match=rf"{HERE}:\d+: an index is out of range: expected -?\d+ <= index <"):
                model(TABLE, index)
        else:
            torch.testing.assert_close(model(TABLE, index), expected, msg=f"{name} {index}")


def test_dynamic_sizes_and_none() -> None:
    """The bounds are those of the call; no index is out of no row."""
    dynamic = (({0: Dim("r", min=0)}, {0: Dim("k", min=0)}),)
    model = compiled(lambda w, i: w[i], TABLE, tensor([1, 2]), dynamic=dynamic)
    none = torch.zeros(0, dtype=torch.int64)
    assert torch.equal(model(TABLE[:5], tensor([-5, 4])), TABLE[[0, 4]])
    assert model(TABLE[:0], none).shape == model(TABLE, none).shape == (0, 4)
    for index in ([5], [-6]):
        with pytest.raises(IndexRangeError, match="expected -r <= index < r"):
            model(TABLE[:5], tensor(index))


@pytest.mark.parametrize("name", ["embedding", "index_add", "index_put", "index_select"])
def test_an_index_of_nothing(name: str) -> None:
    """There is no element to take in its place, so nothing runs."""
    function = (
        INDEXED[name] if name != "index_add" else lambda w, i: w.index_add(0, i, torch.ones(1, 4).expand(i.shape[0], 4))
    )
    dynamic = (({0: Dim("r", min=0)}, {0: Dim("k", min=0)}),)
    model = compiled(function, TABLE, tensor([1, 2]), dynamic=dynamic)
    assert model(TABLE[:0], torch.zeros(0, dtype=torch.int64)).shape[1] == 4
    for _ in range(20):
        with pytest.raises(terrace.InputError, match=r"`r > 0 or k == 0`.*found r = 0"):
            model(TABLE[:0], tensor([0, 0, 0]))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_several_indices_of_any_type(dtype: torch.dtype) -> None:
    model = compiled(lambda w, i, j: w[i, j], TABLE, tensor([1, 2], dtype=dtype), tensor([0, 3], dtype=dtype))
    assert torch.equal(model(TABLE, tensor([9, -10], dtype=dtype), tensor([-4, 3], dtype=dtype)), tensor([36.0, 3.0]))
    for i, j in (([9, 10], [0, 0]), ([0, 0], [4, 0]), ([0, 0], [0, -5])):
        with pytest.raises(IndexRangeError):
            model(TABLE, tensor(i, dtype=dtype), tensor(j, dtype=dtype))


def assigned(value: Tensor, place: tuple[Any, ...], update: Any) -> Tensor:
    value = value.clone()
    value[place] = update
    return value


WRITES: dict[str, Operation] = {
    "number": lambda w, i, j: w.index_put((i,), tensor(1.0)),
    "filled": lambda w, i, j: w.index_fill(0, i, 3.0),
    "row": lambda w, i, j: w.index_put((i,), torch.ones(4)),
    "pairs": lambda w, i, j: w.index_put((i, j), tensor(1.0), accumulate=True),
    "grid": lambda w, i, j: w.index_put((i[:, None], j[None]), torch.ones(1, 1, 4)),
    "last dimensions": lambda w, i, j: assigned(w, (slice(None), i[:, None], j[None]), 2.0),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes_at_no_place(name: str) -> None:
    """torch-mlir takes sizes that are broadcast for 1 or more, and wrote somewhere."""
    function, value, none = WRITES[name], torch.arange(60.0).reshape(5, 3, 4), torch.zeros(0, dtype=torch.int64)
    size = {0: Dim("k", min=0)}
    model = compiled(function, value, tensor([1, 2]), tensor([0, 2]), dynamic=((None, size, size),))
    for i, j in ((none, none), (tensor([2]), tensor([1])), (tensor([1, -1]), tensor([2, 0]))):
        for _ in range(10):
            torch.testing.assert_close(model(value, i, j), function(value, i, j))


def test_needless_checks_are_left_out() -> None:
    """What positions, extremes and remainders give lies in bounds; an option leaves out the rest."""

    def forward(w: Tensor) -> Tensor:
        return w[torch.arange(10)] + w[w.argmax(0)].sum() + w[w[:, 0].topk(3)[1]].sum() + w[w.long() % 10].sum()

    model = compiled(forward, TABLE)
    assert model.signature.checks == []
    torch.testing.assert_close(model(TABLE), forward(TABLE))
    unchecked = compiled(lambda w, i: w[i], TABLE, tensor([1]), options={"check_indices": False})
    assert unchecked.signature.checks == []
    assert torch.equal(unchecked(TABLE, tensor([-1])), TABLE[-1:])
    with pytest.raises(CompileError, match="'check_indices' must be a bool"):
        compiled(lambda w: w, TABLE, options={"check_indices": 1})


def test_the_first_failure_is_reported(tmp_path: Path) -> None:
    """Also by a loaded file, and by text of every level."""
    model = compiled(lambda w, i, j: w[i] + F.embedding(j, w), TABLE, tensor([1]), tensor([1]))
    model.save(tmp_path / "m.terrace")
    again = [terrace.compile_mlir(model.ir(level)) for level in ("graph", "kernel", "loop", "iree")]
    for each in (model, terrace.load(tmp_path / "m.terrace"), *again):
        assert torch.equal(each(TABLE, tensor([2]), tensor([3])), TABLE[2:3] + TABLE[3:4])
        for i, j, name in ((10, 10, "index"), (0, 10, "embedding")):
            with pytest.raises(IndexRangeError, match=f"^{name} at "):
                each(TABLE, tensor([i]), tensor([j]))


class Cache(nn.Module):
    """Rows written at an index, a slice and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(8, 4))
        self.register_buffer("sums", torch.zeros(8))
        self.register_buffer("count", torch.zeros(1))

    def forward(self, w: Tensor, i: Tensor, place: Tensor) -> Tensor:
        self.rows[place] = F.embedding(i, w) + 1
        self.sums.index_add_(0, place, i.float())
        self.sums[:2] = self.rows[0, :2]
        self.count += 1
        return self.rows[self.count.long()] + self.sums.sum()


def test_a_failure_leaves_the_state() -> None:
    """Whether the check comes before the write or after it, and depends on what is written."""
    eager, (w, i, place) = Cache(), (TABLE, tensor([1, 2]), tensor([0, 1]))
    model = terrace.compile(copy.deepcopy(eager), (w, i, place))
    calls = [(i, place), (tensor([1, 10]), place), (i, tensor([1, 8])), (i, tensor([6, 7]))]
    failures = 0
    for arguments in [*calls * 2, *[(i, place)] * 4]:
        before = {name: value.clone() for name, value in eager.state_dict().items()}
        try:
            expected = eager(w, *arguments)
        except (IndexError, RuntimeError):
            eager.load_state_dict(before)
            failures += 1
            with pytest.raises(IndexRangeError):
                model(w, *arguments)
        else:
            torch.testing.assert_close(model(w, *arguments), expected)
        assert all(torch.equal(tensor(value), eager.state_dict()[name]) for name, value in model.state().items())
    assert failures > 4


def narrow(w: Tensor, i: Tensor) -> Tensor:
    return torch.narrow(w, 0, i.item(), 2) + 1


def rows_from(w: Tensor, i: Tensor) -> Tensor:
    start: Any = i.item()
    torch._check(start >= 0)
    torch._check(start <= w.shape[0] - 3)
    return w[start : start + 3] * 2


def head(w: Tensor, i: Tensor) -> Tensor:
    end: Any = i.item()
    torch._check(end >= 0)
    torch._check(end <= w.shape[0])
    return w[:end].sum(0)


@pytest.mark.parametrize("function", [narrow, rows_from, head])
def test_numbers_from_data(function: Operation) -> None:
    """Slices at a place that the program computes, and what torch._check says of it."""
    model = compiled(function, TABLE, tensor(2))
    for index in map(tensor, (0, 2, 7, 8, 9, 10, 11, -1, -2, 1 << 40)):
        try:
            expected = function(TABLE, index)
        except (IndexError, RuntimeError):
            with pytest.raises(CheckError, match=rf"{HERE}:\d+: expected"):
                model(TABLE, index)
        else:
            torch.testing.assert_close(model(TABLE, index), expected)


def test_an_assertion_on_a_tensor() -> None:
    def forward(x: Tensor) -> Tensor:
        torch._assert_async((x > 0).all(), "all must be positive")
        return x + 1

    model = compiled(forward, torch.ones(3))
    assert torch.equal(model(torch.ones(3)), torch.full([3], 2.0))
    with pytest.raises(CheckError, match=rf"{HERE}:\d+: all must be positive"):
        model(tensor([1.0, 0.0, 1.0]))


DIVISIONS: dict[str, Operation] = {
    "floor": lambda x, d: x // d,
    "remainder": lambda x, d: x % d,
    "truncated": lambda x, d: torch.div(x, d, rounding_mode="trunc"),
}


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64, torch.uint8])
@pytest.mark.parametrize("name", DIVISIONS)
def test_divisions(name: str, dtype: torch.dtype) -> None:
    """By zero raises; the least number by -1 is itself, where PyTorch dies."""
    function = DIVISIONS[name]
    x, d = tensor([7, 100, 0, 5], dtype=dtype), tensor([2, 3, 4, 5], dtype=dtype)
    model = compiled(function, x, d)
    assert torch.equal(model(x, d), function(x, d))
    for zero in ([2, 0, 4, 5], [2, 3, 4, 0]):
        with pytest.raises(DivisionByZeroError, match=rf"{HERE}:\d+: an integer is divided by zero"):
            model(x, tensor(zero, dtype=dtype))
    if dtype != torch.uint8:
        least = torch.iinfo(dtype).min
        found = model(tensor([least, 7, -7, 0], dtype=dtype), tensor([-1] * 4, dtype=dtype))
        assert found.tolist() == ([0] * 4 if name == "remainder" else [least, -7, 7, 0])


def test_divisions_of_nothing_and_by_numbers() -> None:
    dynamic = (({0: Dim("n", min=0)}, None),)
    model = compiled(lambda x, d: x // d, torch.ones(2, 3, dtype=torch.int64), tensor([1, 2, 3]), dynamic=dynamic)
    assert model(torch.ones(0, 3, dtype=torch.int64), tensor([1, 0, 3])).shape == (0, 3)
    with pytest.raises(DivisionByZeroError):
        model(torch.ones(1, 3, dtype=torch.int64), tensor([1, 0, 3]))
    x = tensor([7, 8])
    with pytest.raises(ZeroDivisionError):
        compiled(lambda x: x % 0, x)(x)
    by_number = compiled(lambda x, k: x // k, x, 2, dynamic=((None, Dim.AUTO),))
    assert by_number(x, 3).tolist() == [2, 2]
    with pytest.raises(ZeroDivisionError):
        by_number(x, 0)


def test_torch_compile() -> None:
    model = torch.compile(Call(lambda w, i: torch.relu(w[i])), backend="terrace")
    assert torch.equal(model(TABLE, tensor([1, -1])), TABLE[[1, 9]])
    with pytest.raises(IndexRangeError, match=rf"index at .*{HERE}:\d+"):
        model(TABLE, tensor([1, 10]))
    torch._dynamo.reset()


KEPT = """
import gc, sys, torch, terrace

class Look(torch.nn.Module):
    def forward(self, rows, index):
        return rows + 1, torch.nn.functional.embedding(index, rows)

rows = torch.randn(9, 5)[:, 1:]  # no memory that can be borrowed: it is copied to the device
model = terrace.compile(Look(), (rows, torch.tensor([1])))
try:
    model(rows, torch.tensor([9]))
except terrace.TerraceError as error:
    error.itself = error  # The garbage collector lets go of it, in an order of its own.
del model, rows
gc.collect()
print("alive")
"""


def test_an_error_that_is_kept_outlives_the_model() -> None:
    """Its traceback holds what the call passed to IREE, which is a crash to release after the device."""
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
