"""Every pass over the graph dialect keeps what a function computes, `?` sizes included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph_reference import run_function
from terrace.compiler.pipelines import graph_pipeline
from terrace.dialects import graph
from terrace.dialects.context import create_context
from terrace.lowering.graph.evaluation import Constants
from terrace.lowering.kernels.family import KernelFamily
from terrace.lowering.pipeline.registry import find_pass
from terrace.lowering.transforms.decompose_attention import DecomposeAttention
from terrace.lowering.transforms.quantize_graph import QuantizeGraph
from terrace.mlir import ir, parse_module, walk
from terrace.passes import Pass, run_passes

GRAPH_PASSES = (
    "simplify-graph",
    "fold-batch-norm",
    "decompose-attention",
    "choose-layout",
    "fuse-epilogue",
    "fuse-elementwise",
    "hoist-constants",
)

INPUTS = Path(__file__).parent / "Inputs"
DYNAMIC_MODELS = {name: (INPUTS / f"{name}.mlir").read_text() for name in ("attention", "cnn")}
MODELS = {name: DYNAMIC_MODELS[name].replace("?", size) for name, size in (("attention", "5"), ("cnn", "3"))}
INPUT_SHAPES = {"cnn": [(3, 3, 9, 9)], "attention": [(2, 2, 5, 6), (1, 5)]}


def parameters_of(module: ir.Module) -> dict[str, np.ndarray]:
    """Positive values in a narrow range, so that variances are variances and no exponential overflows."""
    rng = np.random.default_rng(0)
    return {
        op.operation.attributes["sym_name"].value: rng.uniform(
            0.2, 0.8, ir.ShapedType(op.operation.attributes["type"].value).shape
        ).astype(np.float32)
        for op in module.body.operations
        if op.operation.name == "graph.parameter"
    }


def compare(text: str, name: str, passes: list[Pass]) -> ir.Module:
    """Run `passes` and assert that the function still computes the same, to float64's accuracy."""
    module = parse_module(text, create_context())
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal(shape) for shape in INPUT_SHAPES[name]]
    parameters = parameters_of(module)
    (before,) = run_function(module, inputs, parameters)
    run_passes(passes, module.operation)
    (after,) = run_function(module, inputs, parameters)
    # The attributes of the models are exact in f32, the type of the constants that they become.
    np.testing.assert_allclose(after, before, rtol=1e-10, atol=1e-10)
    return module


def names_in(module: ir.Module, function_only: bool = True) -> list[str]:
    return [op.name for op in walk(module.operation) if not function_only or op.parent.name != "graph.constant"]


@pytest.mark.parametrize("pass_name", GRAPH_PASSES)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_pass_keeps_results(pass_name: str, name: str) -> None:
    compare(MODELS[name], name, [find_pass(pass_name)()])


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("text", [MODELS, DYNAMIC_MODELS], ids=["static", "dynamic"])
def test_pipeline_keeps_results(text: dict[str, str], name: str) -> None:
    compare(text[name], name, graph_pipeline())


@pytest.mark.parametrize("text", [MODELS, DYNAMIC_MODELS], ids=["static", "dynamic"])
def test_cnn_keeps_one_permute(text: dict[str, str]) -> None:
    """The permute of the input; batch norms, attributes of layout and the classifier's flattening leave none."""
    module = compare(text["cnn"], "cnn", graph_pipeline())
    names = names_in(module)
    assert names.count("graph.permute") == 1
    assert "graph.batch_norm" not in names
    assert all(op.attributes["layout"].value == "NHWC" for op in walk(module.operation) if "layout" in op.attributes)


def test_layout_can_go_back() -> None:
    """To NHWC and back to NCHW leaves no permute at all."""
    choose = find_pass("choose-layout")
    module = compare(MODELS["cnn"], "cnn", [choose(), choose(image_layout="NCHW")])
    assert "graph.permute" not in names_in(module)


def test_constants_evaluate_to_what_the_graph_computes() -> None:
    """The evaluator agrees with the reference on every constant that the pipeline makes."""
    module = parse_module(MODELS["cnn"], create_context())
    parameters = parameters_of(module)
    run_passes(graph_pipeline(), module.operation)
    constants = [op.operation for op in module.body.operations if op.operation.name == "graph.constant"]
    assert constants
    k = parameters["gamma"].astype(np.float64) / np.sqrt(parameters["var"].astype(np.float64) + 2.0**-17)
    expected = (parameters["c1.weight"] * k[:, None, None, None]).astype(np.float32)
    evaluate = Constants(module).evaluate
    found = [evaluate(op.attributes["sym_name"].value, parameters.__getitem__) for op in constants]
    same = [v for v in found if v.shape == expected.shape and np.abs(v - expected).max() < 1e-7]
    assert len(same) == 1
    assert same[0].dtype == np.float32


class Whole(KernelFamily):
    """A family that takes attention without masks."""

    name = "whole"
    roots = (graph.AttentionOp,)

    def refusal(self, root: ir.Operation) -> str | None:
        return "it has a mask" if len(root.operands) > 3 else None


@pytest.mark.parametrize(
    ("types", "options", "mask", "is_whole"),
    [
        ("f32", {}, False, False),
        ("f32", {"generators": ("whole",)}, False, True),
        ("f32", {"generators": ("whole",)}, True, False),
        ("f64", {"generators": ("whole",)}, False, False),
        ("f32", {"generators": ("whole",), "element_types": ("i32",)}, False, False),
    ],
)
def test_attention_stays_whole_where_a_family_takes_it(
    monkeypatch: pytest.MonkeyPatch, types: str, options: dict[str, Any], mask: bool, is_whole: bool
) -> None:
    monkeypatch.setattr("terrace.lowering.kernels.families.families_by_root", lambda: {"graph.attention": Whole()})
    kinds = ", ".join([f"tensor<2x3x4x{types}>"] * 3 + [f"tensor<3x3x{types}>"] * mask)
    text = f"""func.func @f(%a: tensor<2x3x4x{types}>, %m: tensor<3x3x{types}>) -> tensor<2x3x4x{types}> {{
      %0 = "graph.attention"(%a, %a, %a{", %m" * mask}) {{scale = 1.0 : f64, is_causal = false}}
        : ({kinds}) -> tensor<2x3x4x{types}>
      return %0 : tensor<2x3x4x{types}>
    }}"""
    module = parse_module(text, create_context())
    run_passes(graph_pipeline(**options), module.operation)
    assert ("graph.attention" in names_in(module)) == is_whole
    assert ("graph.softmax" in names_in(module)) != is_whole
    # To be quantised it is taken apart in any case.
    assert DecomposeAttention() in graph_pipeline(quantize=QuantizeGraph(), **options)
