"""From an nn.Module or ExportedProgram to a module of graph ops, with its parameters as symbols.

Each step is one call in `import_model`: export, decompose, describe the signature, import to the torch dialect, lift
parameters and state to symbols, convert.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch_mlir.extras.fx_importer import ContextCache, FxImporter

from terrace.dialects.base import to_python
from terrace.errors import ModelImportError
from terrace.frontend.bodies import all_graphs
from terrace.frontend.body_importer import BodyImporter
from terrace.frontend.dynamic_dimensions import DynamicShapes
from terrace.frontend.export import KNOWN_BUFFERS, decompose, export_program
from terrace.frontend.exported_signature import example_shapes, signature_of
from terrace.frontend.legalize import legalize
from terrace.frontend.program import read_program
from terrace.frontend.size_names import size_names
from terrace.frontend.source import keep_user_lines, origin_of
from terrace.frontend.symbol_names import (
    Identity,
    SymbolNames,
    check_apart,
    initial_name,
    shared_names,
    tensor_identity,
    written_buffers,
)
from terrace.frontend.symbols import lift_symbols
from terrace.mlir import func, ir, load_torch_dialects
from terrace.signature import Signature

MAIN = "main"
"""The function of a model that is alone."""


@dataclasses.dataclass(frozen=True)
class ImportedModel:
    """A model in the graph dialect.

    `module` has one function, @main, with one argument and one result for each tensor and scalar leaf of `signature`,
    in order, and one result more if the signature has checks; a scalar travels as a tensor of rank 0. `parameters`
    holds a tensor for each `graph.parameter`, by its symbol name, sharing memory with the model. `example_shapes` are
    those of the arguments that the model was exported with, where sizes are dynamic.

    Of several models that became one, `module` has a function for each, called `name`, and so has each of them; their
    `parameters` are the same.
    """

    module: ir.Module
    parameters: dict[str, torch.Tensor]
    signature: Signature
    example_shapes: list[list[int]] = dataclasses.field(default_factory=list)
    name: str = MAIN


def import_model(
    model: torch.nn.Module | ExportedProgram,
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
    return _import(exported, decomposed, SymbolNames.alone(decomposed), context, check_indices)


def import_entries(
    programs: Mapping[str, ExportedProgram], *, context: ir.Context, check_indices: bool = True
) -> list[ImportedModel]:
    """Import programs as functions of these names, in one module. A tensor that several have is one parameter; a buffer
    that one of them writes to is state of them all. Raises `ModelImportError`.
    """
    load_torch_dialects(context)
    decomposed = {name: decompose(exported) for name, exported in programs.items()}
    names = shared_names(programs)
    refuse_names(programs, {name for own in names.values() for name in own.values()})
    states = {names[name][target] for name, program in decomposed.items() for target in written_buffers(program)}
    parameters: dict[str, torch.Tensor] = {}
    keys: dict[Identity, str] = {}
    found = []
    for name, exported in programs.items():
        own = {target: shared for target, shared in names[name].items() if shared in states}
        symbols = SymbolNames(decomposed[name], own, names[name], f"{name}.", parameters, keys)
        found.append(_import(exported, decomposed[name], symbols, context, check_indices, name))
    check_apart(parameters, states)
    check_constants(programs, parameters, states)
    for model in found[1:]:
        _move_into(found[0].module, model.module)
    return [dataclasses.replace(model, module=found[0].module) for model in found]


def refuse_names(entries: Collection[str], tensors: Collection[str]) -> None:
    """Raise `ModelImportError` for an entry that is called like a tensor: both are symbols of the program."""
    for name in entries:
        if name in tensors:
            raise ModelImportError(
                f"the models have a tensor called '{name}', as an entry is: call the entry otherwise"
            )


def check_constants(
    programs: Mapping[str, ExportedProgram], parameters: Mapping[str, torch.Tensor], states: Collection[str]
) -> None:
    """Raise `ModelImportError` for a program that branches on a buffer which another one writes to."""
    written = {tensor_identity(parameters[initial_name(state)]): state for state in states}
    for name, exported in programs.items():
        for buffer, value in exported.graph_module.meta.get(KNOWN_BUFFERS, []):
            if tensor_identity(value) in written:
                raise ModelImportError(
                    f"entry '{name}' branches on its integer buffer '{buffer}', which another entry writes to"
                )


def _import(
    exported: ExportedProgram,
    decomposed: ExportedProgram,
    symbols: SymbolNames,
    context: ir.Context,
    check_indices: bool,
    name: str = MAIN,
) -> ImportedModel:
    program = read_program(decomposed, size_names(exported, decomposed), check_indices, symbols)
    # Named anew: rewriting may have found that two sizes are one.
    signature = signature_of(exported, decomposed, program, size_names(exported, decomposed))
    module = import_graph(program.graph, context, name)
    lift_symbols(module, program)
    legalize(module)
    return ImportedModel(module, program.parameters, signature, example_shapes(exported), name)


def _move_into(module: ir.Module, other: ir.Module) -> None:
    """Move what is in `other` to the end of `module`, but for declarations that are there already."""
    there = {to_python(view.operation.attributes["sym_name"]) for view in module.body.operations}
    first, last = (module.body.operations[place].operation for place in (0, len(module.body.operations) - 1))
    for view in list(other.body.operations):
        if view.operation.name == func.FuncOp.OPERATION_NAME:
            view.operation.move_after(last)
        elif to_python(view.operation.attributes["sym_name"]) not in there:
            view.operation.move_before(first)


class _LocatedNodes(ContextCache):
    """Gives an op the name of what it stands for in the model, around its line."""

    def get_node_location(self, node: torch.fx.Node) -> ir.Location | None:
        line, origin = super().get_node_location(node), origin_of(node)
        return line if origin is None else origin.around(line or ir.Location.unknown(self._c))


def import_graph(graph: torch.fx.Graph, context: ir.Context, name: str = MAIN) -> ir.Module:
    """A function of this name in the torch dialect, one argument for each placeholder of `graph`."""
    importer = FxImporter(context=context, graph_node_importer_cls=BodyImporter)
    importer._cc = _LocatedNodes(context, py_attr_tracker=importer._py_attr_tracker)
    for one in all_graphs(graph):
        keep_user_lines(one)
    try:
        importer.import_stateless_graph(graph, func_name=name)
    except (NotImplementedError, TypeError, ValueError, KeyError, AssertionError) as error:
        raise ModelImportError(
            f"torch-mlir's importer does not support this model: {error}. Rewrite the model without this construct."
        ) from error
    return importer.module
