"""The backend that TorchDynamo calls: graph by graph to regions, and what does not compile to PyTorch, with a warning.

Where gradients are needed, AOTAutograd cuts a graph in two: the forward is compiled, and PyTorch runs the backward.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters
from torch._functorch._aot_autograd.utils import make_boxed_func
from torch._guards import TracingContext, detect_fake_mode
from torch.fx import GraphModule
from torch.fx.node import Argument

from terrace.errors import CompileError, ModelImportError
from terrace.frontend.export import composite_ops_kept, decomposition_table
from terrace.torch_compile.options import BackendOptions
from terrace.torch_compile.partition import op_name, regions_of, split_regions
from terrace.torch_compile.region import COUNTERS, ImportedRegion, Region, import_region, warn_of_pytorch


def terrace(
    graph_module: GraphModule,
    example_inputs: Sequence[Any],
    *,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """Compile a graph of TorchDynamo's: what `torch.compile(..., backend="terrace")` calls.

    `options`: see `BackendOptions`. Raises CompileError for what is wrong with them, and for any `mode`.
    """
    if mode is not None:
        raise CompileError(f"the backend 'terrace' has no modes, got mode={mode!r}: leave it out, and see `options`")
    checked = BackendOptions.of(options)

    def compile_forward(graph: GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        weights = weight_names(graph) if checked.parameters == "watched" else set()
        return compile_graph(graph, weights, checked)

    def keep_backward(graph: GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        return make_boxed_func(graph.forward)

    compilers = {"fw_compiler": compile_forward, "bw_compiler": keep_backward}
    if needs_gradients(graph_module, example_inputs):
        return aot_autograd(**compilers, decompositions=decomposition_table())(graph_module, example_inputs)
    with composite_ops_kept() as decompositions:
        return aot_autograd(**compilers, decompositions=decompositions)(graph_module, example_inputs)


def needs_gradients(graph_module: GraphModule, example_inputs: Sequence[Any]) -> bool:
    """Whether anything in a graph can need a gradient."""
    tensors = [value for value in example_inputs if isinstance(value, torch.Tensor)]
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*tensors, *graph_module.parameters()))


def weight_names(graph_module: GraphModule) -> set[str]:
    """The placeholders that are parameters and buffers of modules and that the graph does not change."""
    context = TracingContext.try_get()
    metadata = context.fw_metadata if context is not None else None
    if metadata is None:
        return set()
    placeholders = graph_module.graph.find_nodes(op="placeholder")
    return {
        placeholders[index].name
        for index in metadata.static_input_indices
        if has_static_shape(placeholders[index].meta["val"]) and not metadata.input_info[index].mutates_data
    }


def has_static_shape(value: Argument) -> bool:
    return isinstance(value, torch.Tensor) and all(isinstance(size, int) for size in value.shape)


def compile_graph(graph_module: GraphModule, weights: set[str], options: BackendOptions) -> Callable[..., Any]:
    """What runs a functional graph: compiled regions and, between them, PyTorch. Takes a list, as AOTAutograd wants."""
    weights = weights | describe_constants(graph_module)
    split, imported = import_regions(graph_module, weights, options)
    for name, region in regions_of(split).items():
        if name not in imported:
            continue
        try:
            setattr(split, name, Region(region, imported[name], options))
            counters[COUNTERS]["compiled"] += 1
        except CompileError as error:
            leave_to_pytorch(region, error, options)
    return make_boxed_func(split.forward)


def describe_constants(graph_module: GraphModule) -> set[str]:
    """Give the tensors that a graph holds a fake "val"; the names of their nodes."""
    names = set()
    for node in graph_module.graph.find_nodes(op="get_attr"):
        value = operator.attrgetter(node.target)(graph_module)
        if isinstance(value, torch.Tensor):
            fake_mode = detect_fake_mode([other.meta.get("val") for other in graph_module.graph.nodes])
            node.meta.setdefault("val", fake_mode.from_tensor(value, static_shapes=True) if fake_mode else value)
            names.add(node.name)
    return names


def import_regions(
    graph_module: GraphModule, weights: Collection[str], options: BackendOptions
) -> tuple[GraphModule, dict[str, ImportedRegion]]:
    """The graph cut in regions, and those that could be imported, by name. Ops that cannot be are cut out."""
    refused: set[str] = set()
    while True:
        split = split_regions(graph_module, refused)
        imported: dict[str, ImportedRegion] = {}
        blamed: set[str] = set()
        for name, region in regions_of(split).items():
            try:
                imported[name] = import_region(region, weights, options)
            except ModelImportError as error:
                leave_to_pytorch(region, error, options)
                blamed |= blamed_ops(region, error)
        if not blamed:
            return split, imported
        refused |= blamed


def blamed_ops(region: GraphModule, error: ModelImportError) -> set[str]:
    """The ops of a region that an error names."""
    return {op_name(node) for node in region.graph.nodes if node.op == "call_function"} & set(error.operations)


def leave_to_pytorch(region: GraphModule, error: CompileError, options: BackendOptions) -> None:
    """Warn that PyTorch runs what failed to compile, or raise `error` if that is not wanted."""
    if not options.fallback:
        raise error
    warn_of_pytorch(region, str(error))
