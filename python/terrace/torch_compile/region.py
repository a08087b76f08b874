"""A region of a graph as a program, called in the graph in the region's place."""

from __future__ import annotations

import atexit
import dataclasses
import threading
import weakref
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import optimization_hint

from terrace.artifact import Artifact
from terrace.compiler import build_imported
from terrace.frontend import ImportedModel, import_aten_graph
from terrace.frontend.program import output_nodes
from terrace.mlir import create_context
from terrace.runtime.model import CompiledModel
from terrace.torch_compile.options import BackendOptions
from terrace.torch_compile.watch import Watch, is_watchable

FREE_LOADS = 64
"""How often a program is loaded with other weights before it must be worth it."""

CALLS_PER_LOAD = 8
"""How many calls, on average, a load must serve."""


@dataclasses.dataclass(frozen=True)
class ImportedRegion:
    """A region in the graph dialect, and which of its inputs are arguments of the program, and which are weights."""

    model: ImportedModel
    arguments: list[int]
    weights: dict[int, str]


def import_region(graph_module: GraphModule, weights: Collection[str]) -> ImportedRegion:
    """Import a region; its inputs named in `weights` become symbols. Raises `ModelImportError`."""
    names = [node.name for node in graph_module.graph.nodes if node.op == "placeholder"]
    model, arguments = import_aten_graph(graph_module.graph, weights, create_context())
    numbers = {index: name for index, name in enumerate(names) if name in weights}
    return ImportedRegion(model, [names.index(name) for name in arguments], numbers)


def compile_region(imported: ImportedRegion, options: BackendOptions) -> Artifact:
    """Compile an imported region. Raises CompileError."""
    return build_imported(imported.model, target=options.target, precision=options.precision, options=options.options)


class WeightedProgram:
    """A program, loaded once for each set of tensors that are its weights.

    Loading evaluates the constant expressions over weights (folding, packing), so it must not happen at every call.
    """

    def __init__(self, imported: ImportedRegion, artifact: Artifact) -> None:
        self._imported = imported
        self._artifact = artifact
        self._lock = threading.Lock()
        self._loaded: dict[tuple[int, ...], tuple[CompiledModel, Watch, list[Any]]] = {}
        self._calls = 0
        self._loads = 0
        _programs.add(self)

    @property
    def has_weights(self) -> bool:
        """Whether any input is a weight."""
        return bool(self._imported.weights)

    def __call__(self, inputs: Sequence[Any]) -> tuple[Any, ...] | None:
        """The region's results; None if its weights cannot be watched, or change too often to be loaded."""
        weights = [inputs[index] for index in self._imported.weights]
        key = tuple(map(id, weights))
        self._calls += 1
        found = self._loaded.get(key)
        if found is None or found[1].has_changed(weights):
            found = self._load(key, weights)
        if found is None:
            return None
        results: tuple[Any, ...] = found[0](*[inputs[index] for index in self._imported.arguments])
        return results

    def _load(self, key: tuple[int, ...], weights: list[Any]) -> tuple[CompiledModel, Watch, list[Any]] | None:
        with self._lock:
            found = self._loaded.get(key)
            if found is not None and not found[1].has_changed(weights):
                return found  # Another thread was here first.
            self._loads += 1
            if self._loads > FREE_LOADS + self._calls // CALLS_PER_LOAD or not all(map(is_watchable, weights)):
                return None
            self._loaded.pop(key, None)
            # Watched from before they are read: what changes meanwhile is noticed at the next call.
            watch = Watch(weights)
            values = self._imported.model.parameters
            values.update(zip(self._imported.weights.values(), weights, strict=True))
            model = CompiledModel(self._artifact)
            values.clear()
            loaded = self._loaded
            owners = [weakref.ref(weight, lambda _: loaded.pop(key, None)) for weight in weights]
            self._loaded[key] = found = (model, watch, owners)
            return found

    def unload(self) -> None:
        """Drop what is loaded; the next call loads it again."""
        self._loaded.clear()


_programs: weakref.WeakSet[WeightedProgram] = weakref.WeakSet()


@atexit.register
def _unload_all() -> None:
    """TorchDynamo never lets go of what it compiled, and IREE complains of what is left when Python ends."""
    for program in list(_programs):
        program.unload()


class Region(torch.nn.Module):
    """Takes the place of a region's module in a graph: runs the program, and gives results the strides of eager.

    Weights that change with (nearly) every call make it compile once more, to a program that takes them as arguments.
    """

    def __init__(self, graph_module: GraphModule, imported: ImportedRegion, options: BackendOptions) -> None:
        super().__init__()
        # Not registered as submodules: these are no parts of a model.
        self.__dict__["_graph_module"] = graph_module
        self._options = options
        self._orders = [memory_order(node.meta["val"]) for node in output_nodes(graph_module.graph.output_node())]
        self._program = WeightedProgram(imported, compile_region(imported, options))
        self._lock = threading.Lock()

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        """The results of the region for `inputs`, those of its graph."""
        results = self._program(inputs)
        while results is None:
            self._take_weights_as_arguments()
            results = self._program(inputs)
        return tuple(
            result if order is None else with_memory_order(result, order)
            for result, order in zip(results, self._orders, strict=True)
        )

    def _take_weights_as_arguments(self) -> None:
        with self._lock:
            if self._program.has_weights:
                imported = import_region(self.__dict__["_graph_module"], ())
                self._program = WeightedProgram(imported, compile_region(imported, self._options))


def memory_order(value: Any) -> list[int] | None:
    """The axes of a tensor from the slowest to the fastest, where that is not their own order; None where it is."""
    if not isinstance(value, torch.Tensor) or value.ndim < 2:
        return None
    strides = [optimization_hint(stride) for stride in value.stride()]
    order = sorted(range(value.ndim), key=lambda axis: -strides[axis])
    return None if order == list(range(value.ndim)) else order


def with_memory_order(value: torch.Tensor, order: Sequence[int]) -> torch.Tensor:
    """A copy of `value` whose axes are in `order` in memory."""
    back = sorted(range(len(order)), key=lambda axis: order[axis])
    return value.permute(*order).contiguous().permute(*back)
