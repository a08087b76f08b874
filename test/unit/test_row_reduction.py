"""Softmax and norms by our generator against float64: lengths around every multiple of a vector, and bad values.

Tolerances: softmax 3e-7 absolute (values are at most 1; IREE's exp is good to 2.4e-7); norms 2e-6 * max|y|; a row with
mean 100 and deviation 3 keeps 1e-5 * max|y|, as its centred values have lost two digits before they are squared.
"""

from __future__ import annotations

import pytest
import terrace
import torch

LENGTHS = (1, 2, 5, 15, 16, 17, 33, 63, 64, 65, 131, 1000)


class Rows(torch.nn.Module):
    """One kernel of each kind for each length, so that one compile serves them all."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.LayerNorm(n) for n in LENGTHS)
        self.roots = torch.nn.ModuleList(torch.nn.RMSNorm(n, eps=1e-6) for n in LENGTHS)
        for norm in (*self.layers, *self.roots):
            for parameter in norm.parameters():
                torch.nn.init.uniform_(parameter, 0.5, 2.0)

    def forward(self, rows: list[torch.Tensor]) -> list[torch.Tensor]:
        soft = [torch.softmax(x, -1) for x in rows]
        layer = [norm(x) for norm, x in zip(self.layers, rows, strict=True)]
        root = [norm(x) for norm, x in zip(self.roots, rows, strict=True)]
        return soft + layer + root


@pytest.fixture(scope="module")
def model() -> Rows:
    torch.manual_seed(0)
    return Rows().eval()


@pytest.fixture(scope="module")
def compiled(model: Rows) -> terrace.CompiledModel:
    return terrace.compile(model, (_rows(),))


def _rows(scale: float = 1.0, shift: float = 0.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3, n, generator=generator) * scale + shift for n in LENGTHS]


def _reference(model: Rows, rows: list[torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        expected: list[torch.Tensor] = model.double()([x.double() for x in rows])
        model.float()
    return expected


def test_all_rows_are_ours(compiled: terrace.CompiledModel) -> None:
    assert {row["by"] for row in compiled.report().rows} == {"terrace"}


@pytest.mark.parametrize(
    ("scale", "shift", "norm_tolerance"), [(1.0, 0.0, 2e-6), (30.0, 0.0, 2e-6), (3.0, 100.0, 1e-5)]
)
def test_every_length(
    model: Rows, compiled: terrace.CompiledModel, scale: float, shift: float, norm_tolerance: float
) -> None:
    rows = _rows(scale, shift)
    for i, (found, expected) in enumerate(zip(compiled(rows), _reference(model, rows), strict=True)):
        tolerance = 3e-7 if i < len(LENGTHS) else norm_tolerance * expected.abs().max().item() + 1e-6
        error = (found - expected).abs().max().item()
        assert error <= tolerance, (i // len(LENGTHS), LENGTHS[i % len(LENGTHS)])


def test_bad_values_spread_as_in_eager(model: Rows, compiled: terrace.CompiledModel) -> None:
    rows = _rows()
    for x in rows:
        x[0, -1] = float("nan")
        x[1, 0] = float("inf")
        x[2, x.shape[1] // 2] = float("-inf")
    with torch.no_grad():
        expected = model(rows)
    for i, (found, eager) in enumerate(zip(compiled(rows), expected, strict=True)):
        assert torch.equal(found.isnan(), eager.isnan()), (i // len(LENGTHS), LENGTHS[i % len(LENGTHS)])


def test_both_sizes_unknown() -> None:
    """`?` rows and columns from one compile, the tail of a row shorter and longer than a vector."""
    rows, columns = torch.export.Dim("rows", max=64), torch.export.Dim("columns", max=512)

    class Softmax(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.softmax(x, -1)

    compiled = terrace.compile(Softmax(), (torch.randn(4, 40),), dynamic_shapes=({0: rows, 1: columns},))
    assert [row["by"] for row in compiled.report().rows] == ["terrace"]
    for shape in ((2, 3), (3, 16), (5, 17), (7, 100), (33, 131)):
        x = torch.randn(shape)
        assert (compiled(x) - torch.softmax(x.double(), -1)).abs().max().item() <= 3e-7, shape


@pytest.mark.parametrize("count", [1, 7, 13])
def test_rows_side_by_side_keep_to_themselves(count: int) -> None:
    """Several rows at a time, and fewer in the tail: what is bad in one does not reach its neighbours."""
    model = torch.nn.ModuleList([torch.nn.Softmax(-1), torch.nn.LayerNorm(40), torch.nn.RMSNorm(40)])

    class All(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = model

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [module(x) for module in self.rows]

    x = torch.randn(count, 40, generator=torch.Generator().manual_seed(count))
    x[count // 2, 3] = float("nan")
    compiled = terrace.compile(All().eval(), (x,))
    with torch.no_grad():
        expected = All()(x)
    for found, wanted in zip(compiled(x), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=2e-6, atol=3e-7, equal_nan=True)
