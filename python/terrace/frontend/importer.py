"""From an nn.Module or ExportedProgram to a module of graph ops, with its parameters as symbols.

Each step is one call in `import_model`: export, decompose, describe the signature, import to the torch dialect, lift
parameters and state to symbols, convert.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch_mlir.extras.fx_importer import ContextCache, FxImporter

from terrace.errors import ModelImportError
from terrace.frontend.bodies import all_graphs
from terrace.frontend.body_importer import BodyImporter
from terrace.frontend.dynamic_dimensions import DynamicShapes
from terrace.frontend.export import decompose, export_program
from terrace.frontend.exported_signature import example_shapes, signature_of
from terrace.frontend.legalize import legalize
from terrace.frontend.program import read_program
from terrace.frontend.size_names import size_names
from terrace.frontend.source import keep_user_lines, origin_of
from terrace.frontend.symbols import lift_symbols
from terrace.mlir import ir, load_torch_dialects
from terrace.signature import Signature


@dataclasses.dataclass(frozen=True)
class ImportedModel:
    """A model in the graph dialect.

    `module` has one function, @main, with one argument and one result for each tensor and scalar leaf of `signature`,
    in order, and one result more if the signature has checks; a scalar travels as a tensor of rank 0. `parameters`
    holds a tensor for each `graph.parameter`, by its symbol name, sharing memory with the model. `example_shapes` are
    those of the arguments that the model was exported with, where sizes are dynamic.
    """

    module: ir.Module
    parameters: dict[str, torch.Tensor]
    signature: Signature
    example_shapes: list[list[int]] = dataclasses.field(default_factory=list)


def import_model(
    model: torch.nn.Module | torch.export.ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: DynamicShapes = None,
    context: ir.Context,
    check_indices: bool = True,
) -> ImportedModel:
    """Import `model`, called as `model(*args, **kwargs)`; `dynamic_shapes` is torch.export's.

    Without `check_indices`, an index that is out of range reads or writes foreign memory.

    The model is exported as it is, in training or evaluation mode, and is not written. Raises `ModelImportError`.
    """
    load_torch_dialects(context)
    exported = export_program(model, args, kwargs, dynamic_shapes)
    decomposed = decompose(exported)
    program = read_program(decomposed, size_names(exported, decomposed), check_indices)
    # Named anew: rewriting may have found that two sizes are one.
    signature = signature_of(exported, decomposed, program, size_names(exported, decomposed))
    module = import_graph(program.graph, context)
    lift_symbols(module, program)
    legalize(module)
    return ImportedModel(module, program.parameters, signature, example_shapes(exported))


class _LocatedNodes(ContextCache):
    """Gives an op the name of what it stands for in the model, around its line."""

    def get_node_location(self, node: torch.fx.Node) -> ir.Location | None:
        line, origin = super().get_node_location(node), origin_of(node)
        return line if origin is None else origin.around(line or ir.Location.unknown(self._c))


def import_graph(graph: torch.fx.Graph, context: ir.Context) -> ir.Module:
    """The function @main in the torch dialect, one argument for each placeholder of `graph`."""
    importer = FxImporter(context=context, graph_node_importer_cls=BodyImporter)
    importer._cc = _LocatedNodes(context, py_attr_tracker=importer._py_attr_tracker)
    for one in all_graphs(graph):
        keep_user_lines(one)
    try:
        importer.import_stateless_graph(graph, func_name="main")
    except (NotImplementedError, TypeError, ValueError, KeyError, AssertionError) as error:
        raise ModelImportError(
            f"torch-mlir's importer does not support this model: {error}. Rewrite the model without this construct."
        ) from error
    return importer.module
