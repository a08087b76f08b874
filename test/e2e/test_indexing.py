"""Reads and writes at several indices, at slices and masks, as eager does them; and what eager raises is raised."""

from __future__ import annotations

import math

import pytest
import terrace
import torch

TARGET = terrace.Target(threads=1)
FIRST, SECOND = torch.tensor([1, -1]), torch.tensor([[0], [2]])
X = torch.arange(48.0).reshape(4, 4, 3)


class Model(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def compiled(function, inputs, **options):
    return terrace.compile(Model(function), inputs, target=TARGET, **options)


def written(indices, update, base=X):
    value = base.clone()
    value[indices] = update
    return value


def written_slice(i):
    value = X[0].clone()
    value[i, 1:3] = 5.0
    return value


def experts(scores, x):
    """A router as models write it, whose experts scale."""
    weights, chosen = scores.softmax(-1).topk(2, -1)
    dense = torch.zeros_like(scores).scatter(-1, chosen, weights)
    result = torch.zeros_like(x)
    for expert in range(3):
        tokens, slots = torch.where(chosen == expert)
        result.index_add_(0, tokens, x[tokens] * (expert + 1) * weights[tokens, slots, None])
    return result, dense


ACCESSES = {
    "read apart": lambda i, j: X[i, :, j],
    "write apart": lambda i, j: written((i, slice(None), j), -1.0),
    "write inside": lambda i, j: written((slice(None), i, j), -1.0),
    "add in place": lambda i, j: torch.zeros(4, 4, 3).index_put((i, j), X[:2, :2, :3], accumulate=True),
    "write to a slice": lambda i, j: written_slice(i),
    "pad what is written": lambda i, j: torch.nn.functional.pad(X[0].index_fill(0, i, 1.0), (1, 1)),
    "reduce by name": lambda i, j: X[0].scatter(-1, j, X[1], reduce="add"),
    "reduce a number": lambda i, j: X[0].int().scatter(1, j, 3, reduce="multiply"),
}


def test_accesses_are_eagers():
    """All at once: a compile each would take its second."""

    def all_accesses(i, j):
        return {name: access(i, j) for name, access in ACCESSES.items()}

    found, expected = compiled(all_accesses, (FIRST, SECOND))(FIRST, SECOND), all_accesses(FIRST, SECOND)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


WRITES_OF_ITSELF = {
    "slice": lambda x, i: x.index_put((i,), x[:3]),
    "computed": lambda x, i: x.index_put((i,), x[:3] * 2 + x[3:6]),
    "of what is computed": lambda x, i: (y := x * 0.5).index_put((i,), torch.exp(y[:3])),
    "whole": lambda x, i: x.index_put((torch.arange(7, -1, -1),), x),
    "whole by view": lambda x, i: x.put(i[:2], x[0, :2]),
    "moved by one": lambda x, i: x.index_put((torch.arange(1, 8),), x[:-1]),
    "columns": lambda x, i: x.index_copy(1, i, x[:, 1:4]),
    "sum": lambda x, i: x.index_add(0, i, x[:3]),
    "places, too": lambda x, i: x.index_put((x[:3, 0].long(),), x[3:6]),
    "whole and summed": lambda x, i: x.index_put((torch.arange(7, -1, -1),), x, True),
    "a column": lambda x, i: x[:, 0].index_put((i,), torch.ones(3)),
    "a column by another": lambda x, i: x[:, 0].index_put((torch.arange(7, -1, -1),), x[:, 1] * 2),
    "a row by itself": lambda x, i: x[1].index_put((torch.arange(5, -1, -1),), x[1]),
    "some rows": lambda x, i: x[2:6].index_put((torch.arange(3, -1, -1),), x[2:6] * 2),
    "whole and computed": lambda x, i: x[:, 0].index_put((torch.arange(7, -1, -1),), x[:, 0] * 2),
    "computed from the same": lambda x, i: x.index_put((torch.arange(7, -1, -1),), x * 2),
    "bytes": lambda x, i: (y := x.to(torch.uint8)).index_put((torch.arange(7, -1, -1),), y, True),
    "and read later": lambda x, i: ((y := x * 3).index_put((i,), y[:3]), y.index_put((i,), y[3:6]), y + 1),
}
"""What is written is read from the tensor that is written to."""


@pytest.mark.parametrize("name", WRITES_OF_ITSELF)
def test_a_tensor_is_read_before_it_is_written(name):
    function, inputs = WRITES_OF_ITSELF[name], (torch.arange(48.0).reshape(8, 6) / 8, torch.tensor([1, 5, 2]))
    torch.testing.assert_close(compiled(function, inputs)(*inputs), function(*inputs))


def test_what_is_written_says_where_it_is_written() -> None:
    def function(x):
        return x.index_put(((x.long() + 1) % 20,), x)

    x = torch.arange(20.0)
    torch.testing.assert_close(compiled(function, (x,))(x), function(x))


class WritesOfAnySize(torch.nn.Module):
    def forward(self, x: torch.Tensor, i: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.index_put((i,), x[:2]), x.index_put((i,), x[:2] * 2, True)


def test_a_tensor_of_any_size_is_read_before_it_is_written():
    shapes = ({0: torch.export.Dim("n", min=3), 1: torch.export.Dim("m")}, None)
    i = torch.tensor([1, 0])
    model = terrace.compile(WritesOfAnySize(), (torch.randn(4, 3), i), target=TARGET, dynamic_shapes=shapes)
    for shape in ((4, 3), (7, 5), (3, 1)):
        x = torch.randn(shape)
        torch.testing.assert_close(model(x, i), WritesOfAnySize()(x, i))


def test_routers_of_experts():
    torch.manual_seed(0)
    scores, x = torch.randn(6, 3), torch.randn(6, 4)
    for found, expected in zip(compiled(experts, (scores, x))(scores, x), experts(scores, x), strict=True):
        torch.testing.assert_close(found, expected)


MASK, WIDER = torch.tensor([True, False, True]), torch.tensor([True, True, True])
FAILING = {
    "fewer values": (lambda m: torch.zeros(3).index_put((m,), torch.ones(2)), MASK, WIDER),
    "more values": (lambda m: torch.zeros(3).index_put((m,), torch.ones(2)), MASK, ~WIDER),
    "masked_scatter": (lambda m: torch.zeros(3).masked_scatter(m, torch.ones(2)), MASK, WIDER),
    "repeats": (lambda n: torch.arange(2).repeat_interleave(n), torch.tensor([1, 2]), torch.tensor([-1, 2])),
    "output_size": (
        lambda n: torch.arange(2).repeat_interleave(n, output_size=3),
        torch.tensor([1, 2]),
        torch.tensor([2, 2]),
    ),
    "offsets": (
        lambda offsets: torch.nn.functional.embedding_bag(torch.arange(3), X[0], offsets),
        torch.tensor([0, 2]),
        torch.tensor([1, 2]),
    ),
    "bincount": (lambda n: torch.bincount(n, minlength=3), torch.tensor([1, 5]), torch.tensor([-1, 2])),
    "max_unpool": (
        lambda i: torch.nn.functional.max_unpool2d(torch.ones(2, 1, 1, 1), i.view(2, 1, 1, 1), 2),
        torch.tensor([0, 3]),
        torch.tensor([4, 3]),
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_eager_refuses_is_refused(name):
    function, good, bad = FAILING[name]
    model = compiled(function, (good,))
    assert torch.equal(model(good), function(good))
    with pytest.raises((RuntimeError, IndexError)):
        function(bad)
    with pytest.raises(terrace.errors.CheckError, match=r"test_indexing\.py"):
        model(bad)
    assert torch.equal(model(good), function(good))


def test_numbers_made_of_sizes():
    def numbers(a, b):
        n, m = a.shape[0], b.shape[0]
        longest = torch.ones(max(n, m)), torch.ones(max(n - 1, 1))
        rounded = torch.ones(math.floor(n * 0.7) + 1), torch.ones(math.ceil(n / 3)), torch.ones(math.floor((m + 7) / 3))
        return torch.ones(min(n, m)), *rounded, *longest, torch.nn.functional.pad(a, (0, -n % 4)), a.sum() * n**-0.5

    lengths = torch.export.Dim.DYNAMIC
    inputs = torch.ones(5, 3), torch.ones(7, 3)
    model = terrace.compile(Model(numbers), inputs, target=TARGET, dynamic_shapes=(({0: lengths}, {0: lengths}),))
    for n, m in ((5, 7), (6, 2), (8, 8)):
        a, b = torch.randn(n, 3), torch.randn(m, 3)
        for found, expected in zip(model(a, b), numbers(a, b), strict=True):
            torch.testing.assert_close(found, expected)


def test_numbers_made_of_tensors_by_int_and_float():
    def scaled(x, n, factor, truth, byte):
        return x * int(n) + float(factor), torch.ones(int(n)), x * truth.item(), x.roll(n.item()), x * byte.item()

    x = torch.randn(3)
    model = compiled(scaled, (x, torch.tensor(2), torch.tensor(0.5), torch.tensor(True), torch.tensor(3).byte()))
    for n, factor in ((4, -1.5), (0, 2.0)):
        inputs = x, torch.tensor(n), torch.tensor(factor), torch.tensor(n == 0), torch.tensor(200 + n).byte()
        for found, expected in zip(model(*inputs), scaled(*inputs), strict=True):
            torch.testing.assert_close(found, expected)


def test_truths_and_numbers_of_torchscript():
    aten = torch.ops.aten

    def numbers(n, factor, truth):
        compared = int(n) == 4, float(factor) < int(n), int(n) <= float(factor), float(factor) > 3
        return *compared, aten.Int(truth), aten.Float(aten.ScalarImplicit(n)), factor + 1

    model = compiled(numbers, (torch.tensor(2), torch.tensor(0.5), torch.tensor(True)))
    for n, factor in ((4, 3.5), (4, float("nan")), (0, 2.0)):
        inputs = torch.tensor(n), torch.tensor(factor), torch.tensor(n == 4)
        found, expected = model(*inputs), numbers(*inputs)
        assert [*map(type, found)] == [*map(type, expected)]
        assert found[:-1] == expected[:-1]


@pytest.mark.parametrize("options", [{"stride": 2, "padding": 1, "output_padding": 1}, {"stride": 2, "dilation": 2}])
def test_transposed_convolution_in_three_dimensions(options):
    torch.manual_seed(0)
    model, x = torch.nn.ConvTranspose3d(2, 3, 3, **options), torch.randn(1, 2, 3, 2, 3)
    with torch.no_grad():
        torch.testing.assert_close(terrace.compile(model, (x,), target=TARGET)(x), model(x), rtol=1e-4, atol=1e-5)
