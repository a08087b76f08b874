"""Reads and updates at indices by kernels of ours, with eager: element types, any size, NaN, the order of sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import terrace
import torch
from torch import Tensor, nn
from torch.export import Dim

TYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "bool")
FLOATS = TYPES[:4]


class Call(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Any:
        return self.function(*args)


def compiled(function: Callable[..., Any], inputs: tuple[Tensor, ...], **options: Any) -> terrace.CompiledModel:
    """Without checks, which have kernels and tests of their own."""
    target = terrace.Target(threads=options.pop("threads", 1))
    return terrace.compile(Call(function), inputs, target=target, options={"check_indices": False}, **options)


VIEW = "a run of memory: a view, or written in place"


def families(model: terrace.CompiledModel) -> set[str]:
    """The families of a program's kernels; and the reasons why IREE has others."""
    rows = model.report().rows
    left = {row["why"] for row in rows if row["by"] != "terrace"} - {VIEW}
    return left | {row["why"].removeprefix("generator ").split()[0] for row in rows if row["by"] == "terrace"}


def numbers(*shape: int, dtype: str = "float32") -> Tensor:
    value = torch.randint(-9, 9, shape, generator=torch.Generator().manual_seed(len(shape) + sum(shape)))
    return (value / 4 if dtype in FLOATS else value).to(getattr(torch, dtype))


def equal(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Eager's own updates follow each other then."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def reads(x: Tensor, rows: Tensor, places: Tensor) -> list[Tensor]:
    """Rows, columns, elements, several indices; of fewer rows than there are."""
    gathered = [torch.gather(x, 0, places), torch.gather(x, 1, places), torch.gather(x, 2, places[:, :1, :1])]
    picked = [x[rows], x[:, rows], x.index_select(1, places[0, 0]), x[..., rows]]
    return [*gathered, *picked, x[rows, :, rows], x[places[0], rows[:1]], torch.take(x, places)]


def updates(x: Tensor, rows: Tensor, places: Tensor, source: Tensor) -> list[Tensor]:
    """Of rows, columns and elements, of which some are met twice; with what has more elements than there are points."""
    return [
        x.index_add(0, rows, source[:3]),
        x.index_add(1, rows, source[:, :3], alpha=2),
        x.index_copy(2, rows, source[:, :, :3]),
        x.index_put((rows, rows), source[0, :3], True),
        x.index_put((rows,), source[0, 0]),
        x.scatter(0, places, source),
        x.scatter(1, places[:, :1], source),
        x.scatter(2, places, 1),
        x.scatter_add(1, places, source),
    ]


def test_every_form() -> None:
    def function(x: Tensor, rows: Tensor, places: Tensor, source: Tensor) -> list[Tensor]:
        return [*reads(x, rows, places), *updates(x, rows, places, source)]

    inputs = (
        numbers(4, 4, 19),
        torch.tensor([2, 0, 2]),
        numbers(3, 2, 7, dtype="int64") % 4,
        numbers(4, 4, 19).flip(0, 2),
    )
    model = compiled(function, inputs)
    assert {"gather", "scatter"} <= families(model) and "no generator" not in str(families(model))
    equal(model(*inputs), function(*inputs))


@pytest.mark.parametrize("dtype", TYPES)
def test_every_element_type(dtype: str) -> None:
    """Equal bits: what is added up is rounded each time, as eager does."""

    def function(x: Tensor, rows: Tensor, narrow: Tensor, places: Tensor, source: Tensor) -> list[Tensor]:
        kinds = () if dtype == "bool" else ("prod", "amax", "amin")
        reduced = [x.scatter_reduce(1, places, source, kind) for kind in kinds]
        added = x.index_add(0, narrow, source[:3]), x.scatter_add(2, places, source)
        return [x[rows], torch.gather(x, 1, places), *added, x.index_copy(1, rows, source[:, :3]), *reduced]

    rows, places = torch.tensor([2, 0, 2]), numbers(3, 2, 7, dtype="int64") % 4
    inputs = numbers(4, 4, 19, dtype=dtype), rows, rows.int(), places, numbers(4, 4, 19, dtype=dtype).flip(0, 2)
    model = compiled(function, inputs)
    assert families(model) <= {"elementwise", "copy", "gather", "scatter"}
    equal(model(*inputs), function(*inputs))


def test_updates_follow_each_other() -> None:
    """Sums of numbers that round, in each row in the order of the indices, whoever works on which columns."""

    def function(x: Tensor, rows: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        return x.index_add(0, rows, source), x.mT.scatter_add(1, rows.expand(x.shape[1], -1), source.mT)

    rows = torch.randint(0, 40, (5000,), generator=torch.Generator().manual_seed(0))
    inputs = torch.randn(40, 300), rows, torch.randn(5000, 300)
    expected = inputs[0].clone()
    for row, new in zip(rows.tolist(), inputs[2], strict=True):
        expected[row] += new
    for threads in (1, 2):
        equal(compiled(function, inputs, threads=threads)(*inputs), (expected, expected.mT))


def test_what_is_not_a_number_stays_so() -> None:
    def function(x: Tensor, rows: Tensor, source: Tensor) -> list[Tensor]:
        index = rows[:, None].expand(-1, 3)
        return [x[rows], *(x.scatter_reduce(0, index, source, kind) for kind in ("sum", "prod", "amax", "amin"))]

    x, source = torch.zeros(4, 3), torch.tensor([[math.nan, math.inf, -math.inf], [1.0, -math.inf, math.nan]])
    x[3, 1] = math.nan
    inputs = x, torch.tensor([3, 3]), source
    equal(compiled(function, inputs)(*inputs), function(*inputs))


def test_bits_of_what_is_only_moved_stay() -> None:
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).reshape(512, 128)
    rows = torch.randperm(512)
    for dtype in (torch.float16, torch.bfloat16):
        model = compiled(lambda x, i: (x[i], x.index_copy(0, i[:5], x[5:10] + 0)), (x.view(dtype), rows))
        found = model(x.view(dtype), rows)[0]
        assert torch.equal(found.view(torch.int16), x[rows])


class Embedded(nn.Module):
    """Tokens and places, as language models begin."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(50, 70), nn.Embedding(16, 70)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.relu(self.tokens(tokens) * 2 + self.places(torch.arange(tokens.shape[1])))


def test_elementwise_ops_join_a_gather() -> None:
    """Also where the number of tokens is known at the call only."""
    model, tokens = Embedded(), torch.randint(0, 50, (3, 7))
    sizes = {"tokens": {0: Dim("batch"), 1: Dim("length", max=16)}}
    target = terrace.Target(threads=1)
    options = {"check_indices": False}
    for program in (
        terrace.compile(model, (tokens,), target=target, options=options),
        terrace.compile(model, (tokens,), target=target, options=options, dynamic_shapes=sizes),
    ):
        assert [row["kernel"].split("_d_")[0] for row in program.report().rows if "embedding_mul" in row["kernel"]]
        equal(program(tokens), model(tokens).detach())
    for shape in ((1, 1), (5, 16), (2, 3)):
        tokens = torch.randint(0, 50, shape)
        equal(program(tokens), model(tokens).detach())


def test_any_size() -> None:
    """One program, for sizes 0, 1 and more than a tile."""

    def function(x: Tensor, rows: Tensor, places: Tensor, source: Tensor) -> list[Tensor]:
        read = [x[rows], x[:, rows] * 2, torch.gather(x, 0, places), torch.gather(x.mT, 1, places.mT)]
        return [*read, x.index_add(0, rows, source), x.scatter_add(0, places, source)]

    free = Dim.DYNAMIC
    sizes = (({0: free, 1: free}, {0: free}, {0: free, 1: free}, {0: free, 1: free}),)

    def drawn(n: int, m: int, count: int) -> tuple[Tensor, ...]:
        rows = torch.arange(count) % min(n, m)
        return numbers(n, m), rows, rows[:, None].expand(count, m).contiguous(), numbers(count, m)

    model = compiled(function, drawn(5, 7, 9), dynamic_shapes=sizes)
    assert "no generator" not in str(families(model))
    for shape in ((5, 7, 9), (1, 1, 1), (3, 70, 40), (2, 33, 0), (9, 16, 1)):
        inputs = drawn(*shape)
        equal(model(*inputs), function(*inputs))


class Cache(nn.Module):
    """Rows are written to a buffer, and read before and after."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(8, 20))

    def forward(self, rows: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        before = self.kept * 2
        self.kept.index_add_(0, rows, x)
        return before, self.kept[rows]


def test_state_and_arguments_keep_what_they_have() -> None:
    """State is updated; an argument is the caller's."""
    ours, eager = terrace.compile(Cache(), (torch.tensor([1, 5]), torch.ones(2, 20)), target=terrace.Target()), Cache()
    for rows in ([1, 5], [5, 5], [0, 7]):
        inputs = torch.tensor(rows), torch.randn(2, 20)
        equal(ours(*inputs), eager(*inputs))
    equal(torch.as_tensor(ours.state()["kept"]), eager.kept)
    x, rows, source = torch.randn(6, 9), torch.tensor([1, 1]), torch.randn(2, 9)
    function: Callable[..., Any] = lambda x, rows, source: (x.index_add(0, rows, source), x + 1)  # noqa: E731
    before = x.clone()
    equal(compiled(function, (x, rows, source))(x, rows, source), function(before, rows, source))
    equal(x, before)


def test_what_reads_its_own_memory() -> None:
    """A kernel updates in place, so that it may read nothing of what it updates: it updates a copy."""
    inputs = numbers(8, 6), torch.tensor([1, 5, 2])
    model = compiled(lambda x, rows: x.index_add(0, rows, x[:3]), inputs)
    assert families(model) == {"copy", "scatter"}
    equal(model(*inputs), inputs[0].index_add(0, inputs[1], inputs[0][:3]))


def test_constants_are_evaluated_once() -> None:
    """A table of offsets, as windows of attention have them: no kernel is left."""

    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(9, 4))
            self.register_buffer("places", torch.arange(12) % 9)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.table[self.places] + self.table.index_add(0, self.places[:3], torch.ones(3, 4))[:1]

    model, x = Biased(), torch.randn(12, 4)
    program = terrace.compile(model, (x,), target=terrace.Target(threads=1), options={"check_indices": False})
    assert len(program.report().rows) == 1
    equal(program(x), model(x).detach())


def test_what_is_updated_is_read_and_returned_too() -> None:
    """IREE copied it for the result after an update in place, and the other scatter read the updated one."""

    def function(u: Tensor, places: Tensor, source: Tensor, x: Tensor) -> list[Tensor]:
        both = u * 2
        return [both.scatter(1, places, source), x.scatter_reduce(1, places, both, "amin"), both]

    places = torch.stack([torch.arange(8) * 4 + row % 4 for row in range(5)])
    inputs = numbers(5, 33), places, numbers(5, 33) - 3, numbers(5, 33).flip(0)
    equal(compiled(function, inputs)(*inputs), function(*inputs))


def test_what_is_updated_was_read_before() -> None:
    """The reduction came after the update, where IREE decided whether to copy what both share."""

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.t = torch.ones(9, 1)

        def forward(self, x: Tensor, rows: Tensor, places: Tensor, u: Tensor) -> list[Tensor]:
            first, twice = x.clone(), u * 2
            first[rows] = (x[:1] + 1).view([])
            second, own = first.scatter(1, places, 1), u + 0 * self.t
            largest = own.amax(0)
            own.scatter_(1, places, twice.clone())
            return [own, largest, second, first, first[1:]]

    inputs = numbers(9, 1), torch.tensor([7, 6, 3, 5]), torch.zeros(9, 1, dtype=torch.int64), numbers(9, 1) + 1
    model = terrace.compile(Chain(), inputs, target=terrace.Target(threads=1))
    equal(model(*inputs), Chain()(*(value.clone() for value in inputs)))
