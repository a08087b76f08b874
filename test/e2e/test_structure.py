"""What goes in and out: structures, element types, sizes 0 and 1, strides, NaN and infinity; tied and lent weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import terrace
import torch
import torch.nn.functional as F
from e2e_models import assert_close, eager
from terrace.compiler import PyTorch, lower
from terrace.errors import InputError, ModelImportError
from torch import nn
from torch.utils import _pytree

NAN, INF = math.nan, math.inf


class Function(nn.Module):
    """A function as a module; buffers of its own, which are not persistent, come first."""

    def __init__(self, function: Callable[..., Any], **buffers: torch.Tensor) -> None:
        super().__init__()
        self.function = function
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, *args: Any) -> Any:
        return self.function(*self.buffers(), *args)


def check(module: nn.Module, *args: Any) -> None:
    """Compiled results are eager's: same structure and dtypes, NaN and infinity in the same places."""
    expected = eager(module, *args)
    found = terrace.compile(module.eval(), args)(*args)
    (left, left_tree), (right, right_tree) = (_pytree.tree_flatten(value) for value in (found, expected))
    assert left_tree == right_tree
    for a, b in zip(left, right, strict=True):
        assert type(a) is type(b)
        if not isinstance(a, torch.Tensor):
            assert a == b
            continue
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        bound = max(1e-5, 4 * torch.finfo(a.dtype).eps) if a.is_floating_point() else 0
        torch.testing.assert_close(a, b, rtol=10 * bound, atol=bound, equal_nan=True)


# ---------------------------------------------------------------------------------------------------------------------
# Structures
# ---------------------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    hidden: list[torch.Tensor]


_pytree.register_dataclass(Output)


class Structured(nn.Module):
    """Takes and gives one of each container."""

    def forward(
        self, x: dict[str, torch.Tensor], pair: Pair, items: list[torch.Tensor], *, scale: int, flag: bool, mask: None
    ) -> dict[str, Any]:
        total = x["a"] + x["b"] * scale if flag else x["a"]
        logits = total + pair.first
        return {"out": Output(logits, [total, items[0] * 2]), "pair": (pair.second - 1, None), "n": 3, "same": logits}


def structured_arguments(seed: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    torch.manual_seed(seed)
    a, b, c, d, e = (torch.randn(2, 3) for _ in range(5))
    return ({"a": a, "b": b}, Pair(c, d), [e]), {"scale": 2, "flag": True, "mask": None}


def test_structures_go_through() -> None:
    args, kwargs = structured_arguments(0)
    compiled = terrace.compile(Structured(), args, kwargs)
    args, kwargs = structured_arguments(1)
    expected, found = Structured()(*args, **kwargs), compiled(*args, **kwargs)
    assert isinstance(found["out"], Output) and list(found) == list(expected)
    assert_close(found["out"].logits, expected["out"].logits)
    for left, right in zip(found["out"].hidden, expected["out"].hidden, strict=True):
        assert_close(left, right)
    assert_close(found["pair"][0], expected["pair"][0])
    assert found["pair"][1] is None and found["n"] == 3
    assert found["same"] is found["out"].logits, "one tensor returned twice is one tensor"
    with pytest.raises(terrace.InputError, match=r"kwargs\['scale'\]: expected 2, found 3"):
        compiled(*args, **{**kwargs, "scale": 3})


def test_numpy_in_numpy_out() -> None:
    compiled = terrace.compile(Function(lambda x: (x + 1, x.sum())), (torch.ones(2, 3),))
    first, second = compiled(np.ones((2, 3), np.float32))
    assert isinstance(first, np.ndarray) and first.dtype == np.float32 and second == 6
    assert all(isinstance(value, torch.Tensor) for value in compiled(torch.ones(2, 3)))


def test_python_scalars_travel() -> None:
    """A size that the program computes comes back as an int."""
    x = torch.ones(3, 4)
    shapes = ({0: torch.export.Dim("n", min=2, max=64)},)
    model = Function(lambda x: (x * 2, x.shape[0]))
    compiled = terrace.compile(model, (x,), dynamic_shapes=(shapes,))
    doubled, size = compiled(torch.ones(7, 4))
    assert doubled.shape == (7, 4) and type(size) is int and size == 7


def test_tied_weights_are_one_parameter() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(11, 8)
            self.head = nn.Linear(8, 11, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.embedding(ids))

    model, ids = Tied().eval(), torch.tensor([[1, 5, 10]])
    lowered = lower(PyTorch(model, (ids,)))
    assert len(lowered.symbols) == 1
    check(model, ids)


def test_buffers_that_are_not_persistent() -> None:
    check(Function(lambda b, x: x * b + b.sum(), b=torch.randn(4)), torch.randn(3, 4))


# ---------------------------------------------------------------------------------------------------------------------
# Element types
# ---------------------------------------------------------------------------------------------------------------------

BYTES = torch.tensor([200, 100, 3], dtype=torch.uint8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_floats(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    linear, convolution = nn.Linear(8, 8).to(dtype), nn.Conv2d(2, 4, 3, padding=1).to(dtype)

    def function(x: torch.Tensor) -> Any:
        y = F.relu(linear(x))
        return y, convolution(y.reshape(1, 2, 2, 8)), torch.sigmoid(x)

    module = Function(function)
    module.layers = nn.ModuleList([linear, convolution])
    check(module, torch.randn(4, 8, dtype=dtype))


def test_float64_keeps_its_precision() -> None:
    """The error is float64's own, and not float32's: nothing is demoted."""
    torch.manual_seed(0)
    linear, x = nn.Linear(16, 8).double().eval(), torch.randn(4, 16, dtype=torch.float64)
    assert (terrace.compile(linear, (x,))(x) - eager(linear, x)).abs().max() < 1e-13


def test_functions_of_float64() -> None:
    """IREE has none of these in float64, so that they are made of exp."""
    x = torch.tensor([-INF, NAN, INF, 0.0, -0.0, 1e-9, 40.0, -40.0, *torch.linspace(-6, 6, 97).tolist()]).double()
    model = Function(lambda x: (torch.erf(x), torch.tanh(x), F.gelu(x[3:]), F.gelu(x[3:], approximate="tanh")))
    for found, expected in zip(terrace.compile(model, (x,))(x), eager(model, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13, equal_nan=True)


def test_uint8_has_no_sign() -> None:
    check(
        Function(
            lambda b, x: (x + x, x // 3, x >> 1, x > 150, x.max(), x.sum(), x.float(), x * b.float(), ~x), b=BYTES
        ),
        BYTES.clone(),
    )
    check(
        Function(lambda b, x: (x * b, x.to(torch.uint8), x.to(torch.uint8).long()), b=BYTES),
        torch.tensor([3.0, 200, 7]),
    )
    # The 1 becomes a tensor of uint8 that is made of none.
    check(Function(lambda x: torch.where(x > 150, x, 1)), BYTES.clone())


def test_integers() -> None:
    check(
        Function(lambda x, y: ((x * 3 - 1) // 2, x % 3, x.clamp(-2, 2), x == y.int(), y @ y.T, y.sum(0), y.argmax())),
        torch.tensor([[-7, 5, 3]], dtype=torch.int32),
        torch.arange(6).reshape(2, 3)[:, :3],
    )


def test_booleans() -> None:
    check(
        Function(lambda x, y: (x & y, x | y, ~x, x ^ y, x.any(), x.all(), torch.where(x, 1.0, -1.0))),
        torch.tensor([True, False, True]),
        torch.tensor([True, True, False]),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Sizes and strides
# ---------------------------------------------------------------------------------------------------------------------


def test_size_zero() -> None:
    check(
        Function(
            lambda w, x, y: (x + 1, F.linear(x, w), x.sum(0), torch.cat([x, y]), y[:, :0] @ x), w=torch.ones(5, 4)
        ),
        torch.zeros(0, 4),
        torch.ones(2, 4),
    )


def test_size_one_and_rank_zero() -> None:
    check(
        Function(
            lambda w, x, s: (F.linear(x, w), F.conv2d(x[..., None, None], w[..., None, None]), s * 2, x + s),
            w=torch.full((1, 1), 3.0),
        ),
        torch.full((1, 1), 2.0),
        torch.tensor(0.5),
    )


def test_inputs_that_are_not_contiguous() -> None:
    model = Function(lambda x, y: x @ y)
    compiled = terrace.compile(model, (torch.zeros(3, 4), torch.zeros(4, 5)))
    base = torch.randn(10, 8)
    for x, y in (
        (base[:4, :3].T, base[:4, :5]),
        (base[::3, ::2][:3, :4], base[1:5, 3:8]),
        (torch.randn(1, 4).expand(3, 4), base.flip(0)[:4, :5]),
    ):
        before = base.clone()
        assert_close(compiled(x, y), x @ y)
        assert torch.equal(base, before)
    backwards = np.arange(12, dtype=np.float32).reshape(3, 4)[::-1, ::-1]
    np.testing.assert_allclose(
        compiled(backwards, np.ones((4, 5), np.float32)), backwards @ np.ones((4, 5), np.float32)
    )


# ---------------------------------------------------------------------------------------------------------------------
# NaN and infinity
# ---------------------------------------------------------------------------------------------------------------------

SPECIAL = torch.tensor([[1.0, NAN, -INF, INF], [0.0, -0.0, 2.0, -3.0]])


def test_nan_goes_through() -> None:
    check(
        Function(
            lambda x: (F.relu(x), F.relu6(x), x.amax(-1), x.amin(-1), torch.maximum(x, -x), x.clamp(-1, 1), x.sum())
        ),
        SPECIAL,
    )
    check(Function(lambda x: (x.sigmoid(), x.tanh(), x.exp(), F.silu(x), x.abs(), torch.where(x > 0, x, -x))), SPECIAL)


def test_nan_goes_through_contractions_and_pools() -> None:
    check(Function(lambda w, x: (F.relu(F.linear(x, w)), F.max_pool2d(x[None, None], 2)), w=torch.ones(5, 4)), SPECIAL)


def test_softmax_of_infinities() -> None:
    x = torch.tensor([[-INF, 1, 2], [-INF, -INF, -INF], [INF, 1, 2], [NAN, 1, 2]])
    check(Function(lambda x: (x.softmax(-1), x.log_softmax(-1))), x)


@pytest.mark.parametrize("as_numbers", [False, True])
def test_rows_that_a_mask_excludes_are_zero(as_numbers: bool) -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    given = torch.zeros(3, 3).masked_fill(~mask, -INF) if as_numbers else mask
    query = torch.randn(1, 2, 3, 4)
    assert not eager(Function(F.scaled_dot_product_attention), query, query, query, given)[:, :, 1].any()
    check(Function(F.scaled_dot_product_attention), query, query, query, given)


class Kept:
    """A class of the user's: two tensors, and settings."""

    def __init__(self, rows: torch.Tensor, count: torch.Tensor, settings: Any) -> None:
        self.rows, self.count, self.settings = rows, count, settings


_pytree.register_pytree_node(
    Kept,
    lambda kept: ([kept.rows, kept.count], {"settings": kept.settings}),
    lambda values, context: Kept(*values, context["settings"]),
    flatten_with_keys_fn=lambda kept: (
        [(_pytree.SequenceKey(0), kept.rows), (_pytree.SequenceKey(1), kept.count)],
        {"settings": kept.settings},
    ),
)


class Keeps(nn.Module):
    def forward(self, x: torch.Tensor, kept: Kept) -> tuple[torch.Tensor, dict[str, Kept]]:
        kept.rows.index_copy_(0, kept.count[None], x)
        kept.count += kept.settings["step"]
        return kept.rows.sum(0), {"kept": kept}


def kept(**settings: Any) -> Kept:
    return Kept(torch.zeros(3, 4), torch.tensor(0), settings)


def test_objects_of_registered_classes(tmp_path: Path) -> None:
    """They come as arguments, are written to, and the result is the very same object; what they hold is checked."""
    terrace.compile(Keeps(), (torch.ones(1, 4), kept(step=1))).save(tmp_path / "m.terrace")
    model, ours, theirs = terrace.load(tmp_path / "m.terrace"), kept(step=1, seen="later"), kept(step=1)
    for _ in range(3):
        x = torch.randn(1, 4)
        (result, given), (expected, _) = model(x, kept=ours), Keeps()(x, theirs)
        assert given["kept"] is ours
        assert_close(result, expected)
        assert_close(ours.rows, theirs.rows)
    assert ours.count == 3
    for other, message in (
        (kept(step=2), r"found one with 2 as settings\.step, not 1; recompile for it"),
        (kept(), r"settings"),
        (Kept(torch.zeros(2, 4), torch.tensor(0), {"step": 1}), r"args\[1\]\[0\]: expected float32\[3, 4\]"),
        (
            [torch.zeros(3, 4), torch.tensor(0)],
            r"Kept, which is registered as a pytree, found a list",
        ),
    ):
        with pytest.raises(InputError, match=message):
            model(torch.randn(1, 4), other)
    with pytest.raises(InputError, match="cannot be made of arrays"):
        model.signature.unflatten_arguments([None] * 3)


def test_registered_objects_that_are_refused() -> None:
    class Makes(nn.Module):
        def forward(self, kept: Kept) -> Kept:
            return Kept(kept.rows + 1, kept.count + 1, kept.settings)

    with pytest.raises(ModelImportError, match=r"returns a \S+:Kept that is none of its arguments"):
        terrace.compile(Makes(), (kept(step=1),))
    with pytest.raises(ModelImportError, match="a Kept among the inputs or outputs holds what is no plain data"):
        terrace.compile(Keeps(), (torch.ones(1, 4), kept(step=1, dtype=torch.float32)))
