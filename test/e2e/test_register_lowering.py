"""Custom ops whose lowering the user registers, as the docs show it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import terrace
import torch
from terrace.dialects import graph
from terrace.dialects.base import element_type_of
from terrace.errors import CompileError
from terrace.lowering.conversion.torch_to_graph.registered import REGISTERED
from terrace.lowering.graph.builders import splat
from torch import nn


@torch.library.custom_op("mylib::scaled_swish", mutates_args=())
def scaled_swish(x: torch.Tensor, scale: float) -> torch.Tensor:
    return x * torch.sigmoid(x) * scale


@scaled_swish.register_fake
def _(x: torch.Tensor, scale: float) -> torch.Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("mylib::two_sums", mutates_args=())
def two_sums(
    x: torch.Tensor, weights: list[torch.Tensor], axes: list[int], bias: torch.Tensor | None, kind: str
) -> tuple[torch.Tensor, torch.Tensor]:
    total = sum((x @ weight for weight in weights), x.new_zeros(()))
    total = total if bias is None else total + bias
    return total, x.amax(axes) if kind == "max" else x.sum(axes)


@two_sums.register_fake
def _(x: torch.Tensor, weights: Any, axes: Any, bias: Any, kind: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return x.new_empty(x.shape[0], weights[0].shape[1]), x.sum(axes)


class Model(nn.Module):
    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(4, 8), scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mylib.scaled_swish(self.layer(x), self.scale)


@pytest.fixture(autouse=True)
def none_registered() -> Iterator[None]:
    REGISTERED.clear()
    yield
    REGISTERED.clear()


def swish(x: Any, scale: float) -> Any:
    swished = graph.MulOp.build(x, graph.SigmoidOp.build(x))
    return graph.MulOp.build(swished, splat(scale, element_type_of(x)))


def test_a_lowering_is_fused_into_a_kernel() -> None:
    terrace.register_lowering("mylib::scaled_swish")(swish)
    model, shapes = Model().eval(), ({0: torch.export.Dim.DYNAMIC},)
    compiled = terrace.compile(model, (torch.randn(3, 4),), dynamic_shapes=shapes)
    for rows in (3, 7):
        x = torch.randn(rows, 4)
        torch.testing.assert_close(compiled(x), model(x).detach())
    assert [row["by"] for row in compiled.report().rows] == ["terrace"]


def test_an_edited_lowering_is_seen() -> None:
    x, model = torch.randn(3, 4), Model().eval()
    for scale in (1.0, 3.0):
        terrace.register_lowering("mylib::scaled_swish", replace=True)(lambda x, _, scale=scale: swish(x, scale))
        torch.testing.assert_close(terrace.compile(model, (x,))(x), model(x).detach() * scale / 2)


@pytest.mark.parametrize("bias", [None, torch.randn(5)], ids=["no bias", "bias"])
def test_lists_strings_none_and_several_results(bias: torch.Tensor | None) -> None:
    @terrace.register_lowering("mylib::two_sums")
    def lower(x: Any, weights: Any, axes: list[int], bias: Any, kind: str) -> Any:
        total = graph.AddOp.build(*(graph.MatmulOp.build(x, weight, transpose_rhs=False) for weight in weights))
        total = total if bias is None else graph.AddOp.build(total, bias)
        return total, graph.ReduceOp.build(x, kind=kind, axes=axes, keepdims=False)

    class Sums(nn.Module):
        def forward(self, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> Any:
            return torch.ops.mylib.two_sums(x, [a, b], [0], bias, "max")

    arguments = torch.randn(3, 4), torch.randn(4, 5), torch.randn(4, 5)
    compiled = terrace.compile(Sums(), arguments)
    torch.testing.assert_close(compiled(*arguments), Sums()(*arguments))


def refused(lowering: Any) -> str:
    terrace.register_lowering("mylib::scaled_swish", replace=True)(lowering)
    with pytest.raises(CompileError, match=r"test_register_lowering\.py:\d+") as raised:
        terrace.compile(Model().eval(), (torch.randn(3, 4),))
    return str(raised.value)


def test_what_a_lowering_gives_is_checked() -> None:
    wrong_shape = refused(lambda x, _: graph.ReduceOp.build(x, kind="sum", axes=[0], keepdims=False))
    assert "gives tensor<8xf32>, where the op's fake implementation says tensor<3x8xf32>" in wrong_shape
    assert "must give 1 graph values" in refused(lambda x, _: None)
    assert "must give 1 graph values" in refused(lambda x, _: (x, x))
    assert "makes an op that is not valid" in refused(lambda x, _: graph.SoftmaxOp.build(x, axis=5))


def test_what_is_registered_is_checked() -> None:
    with pytest.raises(CompileError, match="knows no op 'mylib::nothing'"):
        terrace.register_lowering("mylib::nothing")
    with pytest.raises(CompileError, match="rules of its own"):
        terrace.register_lowering("aten::relu")
    with pytest.raises(CompileError, match="takes the name of an op"):
        terrace.register_lowering("swish")
    terrace.register_lowering("mylib::scaled_swish")(swish)
    with pytest.raises(CompileError, match="has a lowering already"):
        terrace.register_lowering("mylib::scaled_swish")


def test_an_op_without_a_lowering_is_told_of_it() -> None:
    with pytest.raises(CompileError, match=r"(?s)mylib\.scaled_swish.*terrace\.register_lowering"):
        terrace.compile(Model().eval(), (torch.randn(3, 4),))
