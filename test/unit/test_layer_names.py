"""Layers are called by what the model's author wrote, as long as locations say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from terrace.compiler import PyTorch, Text, lower
from terrace.compiler.layer_names import add_names
from terrace.dialects.context import create_context
from terrace.mlir import ir
from terrace.origins import Origin, origins_of, renamed
from terrace.passes import describe_location


class Lambda(torch.nn.Module):
    def __init__(self, function: Callable[..., Any], **modules: torch.nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(self, *args)


def layers_of(function: Callable[..., Any], *args: torch.Tensor, **modules: torch.nn.Module) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        lower(PyTorch(Lambda(function, **modules).eval(), args), until="kernel").entry().layers["layers"]
    )
    return found


def test_a_kernel_is_called_by_the_ops_that_went_into_it() -> None:
    block = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU())
    layers = layers_of(lambda self, x: self.block(x), torch.randn(1, 3, 8, 8), block=block)
    convolution = next(layer for layer in layers if layer["op"].startswith("conv2d"))
    assert convolution["called"] == ["conv2d", "batch_norm", "relu"]
    assert convolution["origins"] == [["conv2d", "block.0"], ["batch_norm", "block.1"], ["relu", "block.2"]]
    assert convolution["module"] == "block.0"
    # What brings the image in the convolution's layout is no convolution.
    assert [layer.get("called") for layer in layers if layer["op"] == "permute"] == [None] * (len(layers) - 1)


@pytest.mark.parametrize("bias", [True, False])
def test_a_batch_norm_in_a_linear_layer_is_named(bias: bool) -> None:
    linear, norm = torch.nn.Linear(4, 8, bias=bias), torch.nn.BatchNorm1d(8)
    (layer,) = layers_of(lambda self, x: self.norm(self.linear(x)), torch.randn(5, 4), linear=linear, norm=norm)
    assert layer["called"] == ["linear", "batch_norm"]


def test_what_iree_runs_has_the_name_of_the_function() -> None:
    layers = layers_of(lambda self, x: x.flip(1) + torch.rand(6, 12), torch.randn(6, 12))
    kernels = {layer["kernel"] for layer in layers if layer["by"] == "iree"}
    assert {"flip", "graph.random_bits"} <= kernels
    assert not any(kernel.startswith(("linalg.", "tm_tensor.")) for kernel in kernels), kernels


def test_a_causal_mask_is_called_so_and_parts_of_an_op_by_themselves() -> None:
    attention = torch.nn.functional.scaled_dot_product_attention
    values = torch.randn(1, 2, 5, 4)
    (layer,) = layers_of(lambda self, x: attention(x, x, x, is_causal=True), values)
    assert layer["op"] == "attention" and layer["called"] == ["scaled_dot_product_attention"]
    # In float64 it is taken apart.
    layers = layers_of(lambda self, x: attention(x, x, x, is_causal=True), values.double())
    assert "causal_mask" in {layer["kernel"] for layer in layers}
    (softmax,) = (layer for layer in layers if layer["op"] == "softmax")
    assert "called" not in softmax and softmax["origins"] == [["scaled_dot_product_attention", ""]]


def test_moves_of_the_model_have_the_model_s_names() -> None:
    layers = layers_of(lambda self, x: x.transpose(0, 1).contiguous(), torch.randn(3, 5))
    assert [layer["called"] for layer in layers] == [["transpose"]]


def test_a_text_keeps_the_names_of_its_ops() -> None:
    lowered = lower(PyTorch(Lambda(lambda self, x: x.cumsum(0).relu()).eval(), (torch.randn(3, 5),)), until="graph")
    layers = lower(Text(lowered.ir["graph"]), until="kernel").entry().layers["layers"]
    assert layers and not any("called" in layer or "origins" in layer for layer in layers)


def test_an_exported_program_from_a_file_names_its_ops() -> None:
    exported = torch.export.export(Lambda(lambda self, x: x.cumsum(0)).eval(), (torch.randn(3, 5),))
    for node in exported.graph.nodes:
        node.meta.pop("torch_fn", None)
    layers = lower(PyTorch(exported), until="kernel").entry().layers["layers"]
    assert [layer["called"] for layer in layers] == [["cumsum"]]


def test_origins_of_locations() -> None:
    with create_context(), ir.Location.unknown():
        line = ir.Location.file("model.py", 3, 4)
        first, second = Origin("conv2d", 1, "a.0"), Origin("relu", 12, "")
        fused = ir.Location.fused([first.around(line), second.around(line), first.around(line)])
        assert origins_of(fused) == [first, second]
        assert describe_location(first.around(line)) == "model.py:3:4"
        assert origins_of(ir.Location.name("group 3", second.around(line))) == [second]
        assert origins_of(renamed(first.around(line), "mask")) == [Origin("mask", 1, "a.0")]
        assert renamed(line, "mask") == line and origins_of(line) == []


def test_layers_without_origins_stay_as_they_are() -> None:
    layers = [{"kernel": "linalg.generic", "op": "generic", "module": ""}]
    add_names(layers, [[]])
    assert layers == [{"kernel": "linalg.generic", "op": "generic", "module": ""}]
