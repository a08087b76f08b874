"""Functions of one or two floats against eager in float64: on a grid of all sizes, at their edges, and at zeros.

The bound is in units in the last place of the result. Beside NaN, infinities and signs of zeros it holds for every
finite argument; a result that is denormal may differ by the smallest normal number where exp makes it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import terrace
import torch
import torch.nn.functional as F

INF, NAN = float("inf"), float("nan")
NEAR_MULTIPLES = [16367173 * 2.0**72, 6381956970095103 * 2.0**797]
"""The float32 and the float64 that are nearest to a multiple of pi / 2."""
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, INF, -INF, NAN, 88.0, -88.0, 1e-3, -1e-3, 3e38, -3e38]

Function = Callable[..., torch.Tensor]

FUNCTIONS: dict[str, tuple[Function, float]] = {
    "acos": (torch.acos, 2.5),
    "acosh": (torch.acosh, 2.0),
    "asin": (torch.asin, 2.5),
    "asinh": (torch.asinh, 2.0),
    "atan": (torch.atan, 2.0),
    "atanh": (torch.atanh, 2.0),
    "celu": (F.celu, 2.0),
    "cos": (torch.cos, 1.0),
    "elu": (F.elu, 2.0),
    "erf": (torch.erf, 6.0),
    "expm1": (torch.expm1, 2.0),
    "log": (torch.log, 1.0),
    "log1p": (torch.log1p, 2.0),
    "log2": (torch.log2, 2.0),
    "logsigmoid": (F.logsigmoid, 3.0),
    "selu": (F.selu, 2.0),
    "sin": (torch.sin, 1.0),
    "sinh": (torch.sinh, 2.0),
    "softplus": (F.softplus, 2.0),
    "tan": (torch.tan, 2.0),
    "tanh": (torch.tanh, 4.0),
}
"""The function and its bound; those of float64 err by another unit, which the reference does not have."""

FROM_EXP = ("logsigmoid", "softplus")
"""Their denormal results come from exp, which is IREE's and has none."""


class All(torch.nn.Module):
    def __init__(self, functions: list[Function]) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, *x: torch.Tensor) -> list[torch.Tensor]:
        return [function(*x) for function in self.functions]


def arguments(dtype: torch.dtype) -> torch.Tensor:
    """Numbers of every size, near 0, near 1, near multiples of pi / 2, and the edges."""
    g = torch.Generator().manual_seed(0)
    tiny = torch.finfo(dtype).tiny
    normal, sizes, ones = (torch.randn(n, generator=g, dtype=torch.float64) for n in (3000, 4000, 500))
    widest = 40 if dtype == torch.float32 else 300
    parts = [
        torch.tensor([*EDGES, tiny, -tiny, tiny / 8, -tiny / 1024, *NEAR_MULTIPLES], dtype=torch.float64),
        normal,
        1e-3 * normal,
        torch.exp(sizes * widest / 2) * torch.sign(sizes),
        1 + 1e-3 * ones,
        torch.pi / 2 * torch.arange(1, 1500, dtype=torch.float64),
    ]
    return torch.cat([part.to(dtype) for part in parts])


def errors(have: torch.Tensor, want: torch.Tensor, dtype: torch.dtype, smallest: float) -> np.ndarray:
    """In units in the last place of `want`, but not of less than `smallest`; equal values, NaN too, err by 0."""
    kind = np.float32 if dtype == torch.float32 else np.float64
    y, exact = have.double().numpy(), want.double().numpy()
    with np.errstate(all="ignore"):
        rounded = exact.astype(kind)
        unit = np.maximum(np.abs(np.spacing(rounded)).astype(np.float64), smallest)
        error = np.abs(y - exact) / unit
    same = (np.isnan(y) & np.isnan(rounded)) | (y == rounded)
    return np.where(same, 0, np.where(np.isfinite(y) & np.isfinite(rounded), error, np.inf))


@pytest.fixture(scope="module", params=[torch.float32, torch.float64], ids=["float32", "float64"])
def results(request: pytest.FixtureRequest) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    x = arguments(request.param)
    compiled = terrace.compile(All([function for function, _ in FUNCTIONS.values()]), (x,))
    return x, dict(zip(FUNCTIONS, compiled(x), strict=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(results: tuple[torch.Tensor, dict[str, torch.Tensor]], name: str) -> None:
    x, found = results
    function, bound = FUNCTIONS[name]
    want = function(x.double())
    smallest = torch.finfo(x.dtype).tiny if name in FROM_EXP else 0.0
    error = errors(found[name], want, x.dtype, smallest)
    if name == "sinh":
        error[torch.isinf(function(x)).numpy()] = 0  # overflows where eager does, a little early
    worst = int(np.argmax(error))
    bound += x.dtype == torch.float64
    assert error[worst] <= bound, f"{name}({x[worst].item()}) = {found[name][worst].item()}, not {want[worst].item()}"
    zeros = (want == 0) & (x == 0)
    assert torch.equal(torch.signbit(found[name][zeros]), torch.signbit(want[zeros]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pow(dtype: torch.dtype) -> None:
    """Every pair of edges, and results of all sizes; of float64, against Python's, which C rounds well."""
    g = torch.Generator().manual_seed(1)
    pairs = torch.tensor(list(itertools.product(EDGES, EDGES)), dtype=dtype)
    base = torch.exp(3 * torch.randn(6000, generator=g, dtype=torch.float64)).to(dtype)
    reach = 1.1 * (128 if dtype == torch.float32 else 1024)
    size = reach * (2 * torch.rand(6000, generator=g, dtype=torch.float64) - 1)
    near = (1 + 1e-3 * torch.randn(6000, generator=g, dtype=torch.float64)).to(dtype)
    x = torch.cat([pairs[:, 0], base, near])
    y = torch.cat([pairs[:, 1], *((size / torch.log2(v.double())).to(dtype) for v in (base, near))])
    (found,) = terrace.compile(All([torch.pow]), (x, y))(x, y)
    want = torch.pow(x.double(), y.double())
    error = errors(found, want, dtype, 0.0)
    worst = int(np.argmax(error))
    assert error[worst] <= 2, f"pow({x[worst]}, {y[worst]}) = {found[worst].item()}, not {want[worst].item()}"
    same = ~torch.isnan(want)
    assert torch.equal(torch.signbit(found[same]), torch.signbit(want[same]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_atan2(dtype: torch.dtype) -> None:
    """Every pair of edges, and the pairs of numbers of all sizes."""
    pairs = torch.tensor(list(itertools.product(EDGES, EDGES)), dtype=dtype)
    random = arguments(dtype)[len(EDGES) :]
    y = torch.cat([pairs[:, 0], random])
    x = torch.cat([pairs[:, 1], random.flip(0)])
    (found,) = terrace.compile(All([torch.atan2]), (y, x))(y, x)
    want = torch.atan2(y.double(), x.double())
    # A quotient that is denormal has lost digits before the angle is made of it.
    error = errors(found, want, dtype, torch.finfo(dtype).tiny)
    assert error.max() <= 2.5
    same = ~torch.isnan(want)
    assert torch.equal(torch.signbit(found[same]), torch.signbit(want[same]))


def test_half_precision_rounds_once() -> None:
    x = torch.linspace(-60000, 60000, 4001).half()
    y = terrace.compile(All([torch.sin, torch.tan]), (x,))(x)
    for found, function in zip(y, (torch.sin, torch.tan), strict=True):
        want = function(x.double())
        assert ((found.double() - want).abs() <= want.abs() * 2**-11 * 1.01).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reduction_on_vectors_of_rank_two(dtype: torch.dtype) -> None:
    """IREE keeps two dimensions of a slice: its products of two words were not lowered for such vectors."""

    class OfSlice(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tan(x[..., 1])

    x = torch.linspace(-1e10, 1e10, 24, dtype=dtype).view(3, 4, 2)
    found, want = terrace.compile(OfSlice(), (x,))(x), torch.tan(x[..., 1].double())
    assert errors(found, want, dtype, 0.0).max() <= 2.5
