"""A region of a graph as a program, called in the graph in the region's place."""

from __future__ import annotations

import atexit
import dataclasses
import os
import threading
import warnings
import weakref
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch._dynamo.utils import counters
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import optimization_hint
from torch.fx.node import Argument

from terrace.compiler import Imported, build
from terrace.compiler.sources import checks_indices
from terrace.dialects.context import create_context
from terrace.errors import TerraceError
from terrace.frontend import ImportedModel, import_aten_graph
from terrace.frontend.program import output_nodes
from terrace.frontend.source import describe_frame, innermost_user_frame
from terrace.runtime.model import CompiledModel
from terrace.storage.artifact import Artifact
from terrace.torch_compile.options import BackendOptions
from terrace.torch_compile.watch import Watch, is_watchable

COUNTERS = "terrace"
"""The entry of TorchDynamo's counters that counts regions compiled, and those left to PyTorch."""

FREE_LOADS = 64
"""How many sets of tensors may be a program's weights before loading them must be worth it: a graph's layers."""

FREE_RELOADS = 4
"""How often the weights of a program may change before loading it again must be worth it."""

CALLS_PER_LOAD = 8
"""How many calls, on average, a load beyond these must serve."""


@dataclasses.dataclass(frozen=True)
class ImportedRegion:
    """A region in the graph dialect, and which of its inputs are arguments of the program, and which are weights."""

    model: ImportedModel
    arguments: list[int]
    weights: dict[int, str]


def import_region(graph_module: GraphModule, weights: Collection[str], options: BackendOptions) -> ImportedRegion:
    """Import a region; its inputs named in `weights` become symbols. Raises `ModelImportError`."""
    names = [node.name for node in graph_module.graph.nodes if node.op == "placeholder"]
    is_checked = checks_indices(options.request)
    model, arguments = import_aten_graph(graph_module.graph, weights, create_context(), check_indices=is_checked)
    numbers = {index: name for index, name in enumerate(names) if name in weights}
    return ImportedRegion(model, [names.index(name) for name in arguments], numbers)


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A program that was loaded with the weights that `watch` watches. `owners` forget it when one of them dies."""

    model: CompiledModel
    watch: Watch
    owners: list[weakref.ref[torch.Tensor]]


class WeightedProgram:
    """A program, loaded once for each set of tensors that are its weights, and again when they change.

    Loading evaluates the constant expressions over weights (folding, packing), so it must not happen at every call.
    """

    def __init__(self, imported: ImportedRegion, artifact: Artifact) -> None:
        self._imported = imported
        self._artifact = artifact
        self.unlock()
        self._loaded: dict[tuple[int, ...], Loaded] = {}
        self._calls = self._loads = self._reloads = 0
        _programs.add(self)

    def model_for(self, inputs: Sequence[Any]) -> CompiledModel | None:
        """The program with the weights among `inputs`; None if they change too often, or cannot be watched."""
        weights = [inputs[index] for index in self._imported.weights]
        key = tuple(map(id, weights))
        self._calls += 1
        found = self._loaded.get(key)
        if found is None or found.watch.has_changed(weights):
            return self._load(key, weights)
        return found.model

    def _load(self, key: tuple[int, ...], weights: list[torch.Tensor]) -> CompiledModel | None:
        with self._lock:
            found = self._loaded.get(key)
            if found is not None and not found.watch.has_changed(weights):
                return found.model  # Another thread was here first.
            if self._is_loading:
                raise TerraceError("a signal handler called the model while its weights were loaded; call it later")
            if not self._is_worth_it(is_reload=found is not None) or not all(map(is_watchable, weights)):
                return None
            self._loaded.pop(key, None)
            # Watched from before they are read: what changes meanwhile is noticed at the next call.
            watch = Watch(weights)
            model = self._load_with(weights)
            loaded = self._loaded
            owners = [weakref.ref(weight, lambda _: loaded.pop(key, None)) for weight in weights]
            self._loaded[key] = Loaded(model, watch, owners)
            return model

    def _load_with(self, weights: list[torch.Tensor]) -> CompiledModel:
        values = self._imported.model.parameters
        self._is_loading = True
        try:
            values.update(zip(self._imported.weights.values(), weights, strict=True))
            return CompiledModel(self._artifact)
        finally:
            values.clear()
            self._is_loading = False

    def unlock(self) -> None:
        """Be free to load: at first, and in a forked child, as another thread of the parent may have been loading."""
        self._lock = threading.RLock()
        self._is_loading = False

    def _is_worth_it(self, is_reload: bool) -> bool:
        """Whether there were enough calls for one load more, which is counted."""
        self._loads += not is_reload
        self._reloads += is_reload
        earned = self._calls // CALLS_PER_LOAD
        return self._loads <= FREE_LOADS + earned and self._reloads <= FREE_RELOADS + earned

    def unload(self) -> None:
        """Drop what is loaded; the next call loads it again."""
        self._loaded.clear()


_programs: weakref.WeakSet[WeightedProgram] = weakref.WeakSet()


def _unlock_all() -> None:
    for program in list(_programs):
        program.unlock()


os.register_at_fork(after_in_child=_unlock_all)


@atexit.register
def _unload_all() -> None:
    """TorchDynamo never lets go of what it compiled, and IREE complains of what is left when Python ends."""
    for program in list(_programs):
        program.unload()


class Region(torch.nn.Module):
    """Takes the place of a region's module in a graph: runs the program, and gives results the strides of eager.

    If its weights change with nearly every call, PyTorch runs it from then on, with a warning: packing weights takes
    longer than the program then saves.
    """

    def __init__(self, graph_module: GraphModule, imported: ImportedRegion, options: BackendOptions) -> None:
        super().__init__()
        # Not registered as a submodule: it is no part of a model.
        self.__dict__["_graph_module"] = graph_module
        self._arguments = imported.arguments
        self._orders = [memory_order(node.meta["val"]) for node in output_nodes(graph_module.graph.output_node())]
        self._program: WeightedProgram | None = WeightedProgram(
            imported, build(Imported(imported.model), options.request)
        )

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        """The results of the region for `inputs`, those of its graph."""
        program = self._program
        model = program.model_for(inputs) if program is not None else None
        if model is None:
            return self._run_by_pytorch(inputs)
        results = model(*[inputs[index] for index in self._arguments])
        return tuple(
            result if order is None else with_memory_order(result, order)
            for result, order in zip(results, self._orders, strict=True)
        )

    def _run_by_pytorch(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        if self._program is not None:
            self._program = None
            reason = "its weights change with nearly every call, or were made in inference mode and cannot be watched."
            warn_of_pytorch(self.__dict__["_graph_module"], f"{reason} options={{'parameters': 'inputs'}} compiles it.")
        results: tuple[Any, ...] = self.__dict__["_graph_module"].forward(*inputs)
        return results


def warn_of_pytorch(region: GraphModule, reason: str) -> None:
    """Warn that PyTorch runs a region, and count it."""
    counters[COUNTERS]["left to PyTorch"] += 1
    frames = [innermost_user_frame(node.meta.get("stack_trace")) for node in region.graph.nodes]
    where = next((f" at {describe_frame(frame)}" for frame in frames if frame), "")
    warnings.warn(f"torch.compile(backend='terrace'): PyTorch runs a part of the graph{where}: {reason}", stacklevel=2)


def memory_order(value: Argument) -> list[int] | None:
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
