"""Mutable buffers are state of the program: kept across calls, read, set and reset; the nn.Module is not written."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import terrace
import torch
from e2e_models import assert_close
from terrace.compiler import PyTorch, Text, lower
from terrace.errors import IndexRangeError, ModelImportError
from terrace.runtime.model import CompiledModel
from torch import nn


class Counter(nn.Module):
    """Adds its input to what it has, and counts the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.full((3,), 10.0))
        self.register_buffer("calls", torch.tensor(0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total += x
        self.calls += 1
        return self.total * 2


class Cache(nn.Module):
    """Attention of one new token over all that came before, which a cache of keys and values holds."""

    def __init__(self, length: int = 6, width: int = 8) -> None:
        super().__init__()
        self.project = nn.Linear(width, 3 * width)
        self.register_buffer("keys", torch.zeros(1, length, width))
        self.register_buffer("values", torch.zeros(1, length, width))
        self.register_buffer("positions", torch.arange(length), persistent=False)

    def forward(self, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        query, key, value = self.project(x).chunk(3, dim=-1)
        self.keys.index_copy_(1, at, key)
        self.values.index_copy_(1, at, value)
        visible = (self.positions <= at)[None, None, :]
        return nn.functional.scaled_dot_product_attention(query, self.keys, self.values, attn_mask=visible)


class Slot(nn.Module):
    """Writes its input into a fixed row of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.table[1:2] = x
        return self.table.sum(0)


class Attributes(nn.Module):
    """Has tensors that are no buffers: some that it assigns or writes to, some that nothing reads, one that grows."""

    def __init__(self) -> None:
        super().__init__()
        self.assigned, self.written, self.unread = torch.zeros(3), torch.zeros(2, 3), torch.zeros(3)
        self.replaced, self.grown = torch.zeros(3), torch.ones(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.assigned = self.assigned / 2 + x
        self.written[1] += x
        self.replaced.copy_(x)
        self.unread = self.replaced * 2
        if len(self.grown) < len(x):
            self.grown = torch.arange(len(x)) * 1.0
        return self.assigned + self.written.sum(0) + self.unread + self.grown


class Delay(nn.Module):
    """Gives what it had before it assigned its input: itself, a view of it, after a swap, and an input it keeps."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("last", "left", "right"):
            self.register_buffer(name, torch.arange(3.0))
        self.plain = torch.ones(3)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        last, self.last = self.last, x
        end, self.plain = self.plain[1:], x * 2
        self.left, self.right = self.right, self.left + x
        return [last, end, self.last, self.plain[:2], self.left, self.right]


@pytest.fixture(scope="module")
def counter() -> tuple[Counter, CompiledModel]:
    model = Counter()
    return model, terrace.compile(model, (torch.ones(3),))


@pytest.fixture
def fresh(counter: tuple[Counter, CompiledModel]) -> CompiledModel:
    """The compiled counter, as it was compiled."""
    counter[1].reset()
    return counter[1]


def test_state_lives_across_calls(counter: tuple[Counter, CompiledModel], fresh: CompiledModel) -> None:
    assert fresh(torch.ones(3)).tolist() == [22, 22, 22]
    assert fresh(torch.ones(3)).tolist() == [24, 24, 24]
    assert {name: value.tolist() for name, value in fresh.state().items()} == {"total": [12, 12, 12], "calls": 2}
    assert counter[0].total.tolist() == [10, 10, 10] and counter[0].calls == 0, "the module is not written"


def test_results_do_not_change_with_the_state(fresh: CompiledModel) -> None:
    first, held = fresh(torch.ones(3)), fresh.state()["total"]
    fresh(torch.ones(3))
    assert first.tolist() == [22, 22, 22] and held.tolist() == [11, 11, 11]


def test_load_state_and_reset(fresh: CompiledModel) -> None:
    given = torch.tensor([1.0, 2.0, 3.0])
    fresh.load_state({"total": given})
    given.zero_()
    assert fresh(torch.ones(3)).tolist() == [4, 6, 8]
    fresh.reset()
    assert fresh(torch.ones(3)).tolist() == [22, 22, 22]
    for values, message in (({"tatal": given}, "no state named 'tatal'"), ({"total": given[:2]}, "expected float32")):
        with pytest.raises(terrace.InputError, match=message):
            fresh.load_state(values)


def test_saving_keeps_the_initial_state(fresh: CompiledModel, tmp_path: Path) -> None:
    fresh(torch.ones(3))
    fresh.save(tmp_path / "counter.terrace")
    loaded, other = terrace.load(tmp_path / "counter.terrace"), terrace.load(tmp_path / "counter.terrace")
    assert loaded(torch.ones(3)).tolist() == [22, 22, 22]
    assert loaded(torch.ones(3)).tolist() == [24, 24, 24]
    assert other.state()["total"].tolist() == [10, 10, 10], "each loaded model has a state of its own"
    assert fresh.state()["total"].tolist() == [11, 11, 11]


def test_a_cache_written_by_position() -> None:
    torch.manual_seed(0)
    model, compiled_from = Cache().eval(), Cache().eval()
    compiled_from.load_state_dict(model.state_dict())
    compiled = terrace.compile(compiled_from, (torch.randn(1, 1, 8), torch.tensor([0])))
    copied = {"broadcast", "concat", "permute"}
    rows = compiled.report().rows
    assert not any(copied & set(row["op"].split("+")) for row in rows), "it is written in place"
    # Rows of 8 floats are read and written, at an index of 8 bytes.
    assert {row["bytes"] for row in rows if row["op"] == "scatter"} == {2 * 2 * (4 * 8) + 2 * 8}
    for step in range(6):
        x, at = torch.randn(1, 1, 8), torch.tensor([step])
        with torch.no_grad():
            assert_close(compiled(x, at), model(x, at))
    assert_close(torch.from_numpy(compiled.state()["keys"]), model.keys)
    assert not compiled_from.keys.any()


class Counted(nn.Module):
    """A cache that knows how far it is filled."""

    def __init__(self, length: int = 4) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(1, length, 3))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = self.filled + torch.arange(x.shape[1])
        self.rows.index_copy_(1, places, x)
        self.filled += x.shape[1]
        return self.rows.sum(1) + places.sum()


def test_a_cache_that_is_full() -> None:
    """The error says so, nothing is written, and it goes on after a reset."""
    compiled, eager = terrace.compile(Counted(), (torch.randn(1, 1, 3),)), Counted()
    for _ in range(4):
        x = torch.randn(1, 1, 3)
        assert_close(compiled(x), eager(x))
    before = compiled.state()
    for _ in range(2):
        with pytest.raises(IndexRangeError, match=r"expected 0 <= index < 4"):
            compiled(torch.randn(1, 1, 3))
    assert all((value == compiled.state()[name]).all() for name, value in before.items())
    compiled.reset()
    assert_close(compiled(x), Counted()(x))


def test_a_slice_is_written_and_other_levels_keep_the_state() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0]])
    lowered = lower(PyTorch(Slot(), (x,)))
    parameters = {name: find() for name, find in {**lowered.symbols, **lowered.parameters}.items()}
    for level in ("graph", "kernel", "loop", "iree"):
        compiled = CompiledModel(lower(Text(lowered.ir[level], parameters)).artifact())
        assert compiled(x).tolist() == [1, 2, 3]
        assert compiled.state()["table"].tolist() == [[0, 0, 0], [1, 2, 3], [0, 0, 0], [0, 0, 0]]
        compiled.reset()
        assert not compiled.state()["table"].any()


def test_batch_norm_in_training() -> None:
    """Each call normalises by the batch's own statistics and moves the running ones, as eager does."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(64, momentum=0.3))
    eager = nn.Sequential(*layers).train()
    compiled_from = copy.deepcopy(eager)
    compiled = terrace.compile(compiled_from, (torch.randn(3, 3, 6, 6),))
    for _ in range(3):
        x = torch.randn(3, 3, 6, 6)
        with torch.no_grad():
            assert_close(compiled(x), eager(x))
    assert set(compiled.state()) == {name for name, _ in eager.named_buffers()}
    for name, value in compiled.state().items():
        assert_close(torch.as_tensor(value), eager.state_dict()[name])
    assert not compiled_from[1].running_mean.any()


@pytest.mark.filterwarnings("ignore:.*assigned during export")
def test_tensors_that_are_attributes() -> None:
    model, x = Attributes(), torch.ones(3)
    before = dict(vars(model))
    compiled = terrace.compile(model, (x,))
    assert vars(model) == before and not dict(model.named_buffers()), "the module is as it was"
    assert set(compiled.state()) == {"assigned", "written", "replaced"}
    for _ in range(3):
        assert torch.equal(compiled(x), model(x))


def test_old_values_of_what_is_assigned() -> None:
    model = Delay()
    compiled = terrace.compile(model, (torch.ones(3),))
    for number in range(3):
        x = torch.full((3,), number + 2.0)
        for found, expected in zip(compiled(x), model(x), strict=True):
            assert torch.equal(found, expected)


OUTSIDE = torch.tensor([1.0, 2.0, 3.0])


class ReadsOutside(nn.Module):
    """Reads a tensor that no module has, twice, and assigns a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        old, self.last = self.last, x + OUTSIDE
        return old * OUTSIDE


def test_a_tensor_of_no_module_is_read_twice() -> None:
    """PyTorch's tracer assigns it to a module of its own, twice: as a state, that was copied without end."""
    compiled, eager, x = terrace.compile(ReadsOutside(), (torch.ones(3),)), ReadsOutside(), torch.ones(3)
    for _ in range(2):
        assert torch.equal(compiled(x), eager(x))


def test_a_buffer_that_grows_is_refused() -> None:
    class Grows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.table = torch.arange(len(x)) + self.table[0]
            return x + self.table

    with pytest.raises(ModelImportError, match=r"'table' of Grows, a buffer, gets another shape .* before compiling"):
        terrace.compile(Grows(), (torch.ones(3),))


class Padded(nn.Module):
    """Pads by a number that it computes from a buffer; may write to that."""

    count: torch.Tensor

    def __init__(self, writes: bool) -> None:
        super().__init__()
        self.writes = writes
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("scale", torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        missing = torch.ceil((x.shape[-1] - self.count) / 2).to(torch.int64)
        if self.writes:
            self.count.add_(1)
        return nn.functional.pad(x, (int(missing), 0)) * self.count if missing > 0 else x


def test_a_model_branches_on_an_integer_buffer() -> None:
    model, x = Padded(False).eval(), torch.randn(2, 8)
    torch.testing.assert_close(terrace.compile(model, (x,))(x), model(x))
    assert type(model) is Padded
    assert list(model.state_dict()) == ["count", "scale"]
    with pytest.raises(ModelImportError, match="writes to one: 'count'"):
        terrace.compile(Padded(True).eval(), (x,))
