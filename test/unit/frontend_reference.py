"""Runs an imported model through the reference conversion and IREE, with its parameters as plain inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from iree_harness import run_module
from terrace.dialects.context import create_context
from terrace.frontend import ImportedModel, import_model
from terrace.lowering.conversion.convert_graph_to_linalg import ConvertGraphToLinalg
from terrace.mlir import ir
from terrace.passes import run_passes
from torch.utils import _pytree as pytree


def externalize_parameters(module: ir.Module) -> list[str]:
    """Turn each `graph.load` of @main into an argument after the others; returns the names of the parameters."""
    main = module.body.operations[len(module.body.operations) - 1].operation
    block = main.regions[0].blocks[0]
    names = []
    with module.context, ir.Location.unknown():
        for operation in list(block.operations):
            if operation.operation.name == "graph.load":
                names.append(ir.FlatSymbolRefAttr(operation.operation.attributes["symbol"]).value)
                argument = block.add_argument(operation.operation.results[0].type, ir.Location.unknown())
                operation.operation.results[0].replace_all_uses_with(argument)
                operation.operation.erase()
        results = ir.FunctionType(ir.TypeAttr(main.attributes["function_type"]).value).results
        type_ = ir.FunctionType.get([argument.type for argument in block.arguments], results)
        main.attributes["function_type"] = ir.TypeAttr.get(type_)
    for operation in list(module.body.operations):
        if operation.operation.name == "graph.parameter":
            operation.operation.erase()
    return names


def run_imported(imported: ImportedModel, calls: Sequence[Sequence[Any]]) -> list[list[np.ndarray]]:
    """The program's results for each call, a flat list of inputs."""
    parameters = [imported.parameters[name].contiguous().numpy() for name in externalize_parameters(imported.module)]
    run_passes([ConvertGraphToLinalg()], imported.module.operation)
    results = []
    for call in calls:
        inputs = [value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value) for value in call]
        result = run_module(imported.module, {"main": [*inputs, *parameters]})["main"]
        values = result if isinstance(result, list) else [result]
        if imported.signature.checks:
            assert values.pop() == 0, "a check failed"
        results.append(values)
    return results


def compare_with_eager(
    model: torch.nn.Module, args: tuple[Any, ...], dynamic_shapes: Any = None, other: Sequence[Any] = ()
) -> None:
    """Assert that `model` gives the same through Terrace's import as in eager, on `args` and on `other` arguments."""
    imported = import_model(model, args, dynamic_shapes=dynamic_shapes, context=create_context())
    calls = [args, *other]
    for call, found in zip(calls, run_imported(imported, [pytree.tree_leaves(call) for call in calls]), strict=True):
        with torch.no_grad():
            expected = [leaf for leaf in pytree.tree_leaves(model(*call)) if isinstance(leaf, torch.Tensor)]
        assert len(found) == len(expected)
        for index, (have, want) in enumerate(zip(found, expected, strict=True)):
            assert_close(have, want, f"result {index}")


def assert_close(have: np.ndarray, want: torch.Tensor, what: str) -> None:
    """Within 1e-4 of the largest element, and 1e-5; NaN where eager has NaN."""
    reference = want.detach().double().numpy()
    assert have.shape == reference.shape, what
    finite = np.isfinite(reference)
    tolerance = 1e-4 * np.max(np.abs(reference), initial=0, where=finite) + 1e-5
    np.testing.assert_allclose(have.astype(np.float64), reference, rtol=0, atol=tolerance, err_msg=what)
