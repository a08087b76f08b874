"""The layers of a model, read off the kernel level: a launch of a kernel or an op left to IREE each, and their figures.

- `read`: every distinct operand tensor once, weights too; a look-up or a slice reads what it picks, not all it could.
- `written`: every result once.
- `live`: the tensors in memory while the layer runs: its operands, its results, and what earlier layers made (or the
  caller gave) that a later layer still reads. Weights are not in it: they are in memory all the time.
- `weights`: the part of `read` that is parameters or computed from them alone.

All are bytes; None stands for a figure that a dynamic size (`?`) leaves open. Caches and tiles are not modelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from terrace.dialects.base import shape_of, to_python
from terrace.lowering.constants import constant_values
from terrace.lowering.conversion.kernel_to_loop.kernel import is_kernel
from terrace.mlir import DYNAMIC, func, ir, operation_of, walk
from terrace.passes import source_position

Layer = dict[str, Any]

FREE = ("graph.load", "graph.load_state", "graph.store_state", "graph.reshape", "graph.yield", "graph.fusion")
"""Ops that move no data or do no work of a kernel's kind."""

_ALIASES = ("graph.reshape", "tensor.cast", "tensor.collapse_shape", "tensor.expand_shape", "tensor.reshape")
"""Ops whose result is their first operand's memory."""

_PICKING = ("graph.embedding", "graph.slice")
"""Ops that read as much of their first operand as they write."""


def bytes_of(value: ir.Value) -> int | None:
    """The size of a tensor; None if it has a `?`."""
    total = 1
    for size in shape_of(value):
        if size == DYNAMIC:
            return None
        total *= size
    element = ir.ShapedType(value.type).element_type
    return total * (8 if isinstance(element, ir.IndexType) else -(-element.width // 8))


def total(sizes: Iterable[int | None]) -> int | None:
    """The sum; None if any is."""
    values = list(sizes)
    return None if None in values else sum(size for size in values if size is not None)


def is_tensor(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType)


def memory_of(value: ir.Value) -> ir.Value:
    """The value whose memory `value` is: what a reshape was made of."""
    operation = operation_of(value)
    while operation is not None and operation.name in _ALIASES:
        value = operation.operands[0]
        operation = operation_of(value)
    return value


def distinct(values: Iterable[ir.Value]) -> list[ir.Value]:
    """The memories of the tensors among `values`, each once, without what is only room for a result."""
    found: list[ir.Value] = []
    for value in values:
        memory = memory_of(value) if is_tensor(value) else None
        owner = operation_of(memory) if memory is not None else None
        if memory is not None and memory not in found and (owner is None or owner.name != "tensor.empty"):
            found.append(memory)
    return found


def traffic(operation: ir.Operation) -> tuple[int | None, int | None]:
    """Bytes that a launch or an op reads and writes."""
    written = total(bytes_of(v) for v in operation.results if is_tensor(v))
    read = distinct(operation.operands)
    if operation.name in _PICKING:
        return total([written, *(bytes_of(v) for v in read[1:])]), written
    return total(bytes_of(v) for v in read), written


class Flow:
    """Who computes and who reads the tensors of one function, its kernels' bodies apart."""

    def __init__(self, function: Any, constants: set[ir.Value]) -> None:
        self.constants = constants
        self.operations = list(walk(function.operation))
        self.arguments = list(function.entry_block.arguments)
        made = {argument: 0 for argument in self.arguments if is_tensor(argument)}
        last: dict[ir.Value, int] = {}
        for step, operation in enumerate(self.operations, 1):
            for value in operation.results:
                if is_tensor(value) and memory_of(value) == value:
                    made[value] = step
            for value in operation.operands:
                if is_tensor(value):
                    last[memory_of(value)] = step
        # From the step that makes a tensor to the last that reads it; what nobody reads lives for one step.
        self.lives = [
            (start, last.get(value, start), bytes_of(value))
            for value, start in made.items()
            if value not in constants and not self._is_room(value)
        ]
        self.layers: dict[ir.Value, int] = {}

    @staticmethod
    def _is_room(value: ir.Value) -> bool:
        owner = operation_of(value)
        return owner is not None and owner.name in ("tensor.empty", "graph.load")

    def live(self, step: int) -> int | None:
        """Bytes in memory during a step, weights apart."""
        return total(size for start, end, size in self.lives if start <= step <= end)

    def weights(self, operation: ir.Operation) -> list[ir.Value]:
        return [v for v in distinct(operation.operands) if v in self.constants]

    def sources(self, operation: ir.Operation) -> list[str]:
        """What the operands come from: "input 0" or the number of a layer, through ops that are no layers."""
        found: list[str] = []
        seen: set[ir.Value] = set()
        pending = [v for v in operation.operands if is_tensor(v)]
        while pending:
            value = pending.pop(0)
            if value in seen or value in self.constants:
                continue
            seen.add(value)
            owner = operation_of(value)
            name = str(self.layers[value]) if value in self.layers else None
            if owner is None and value in self.arguments:
                name = f"input {self.arguments.index(value)}"
            if name is None and owner is not None:
                pending[:0] = [v for v in owner.operands if is_tensor(v)]
            if name is not None and name not in found:
                found.append(name)
        return found


_LEAVES = ("weight", "bias", "in_proj_weight", "in_proj_bias")
"""What PyTorch's layers call their parameters."""


def module_path(weights: Iterable[ir.Value]) -> str:
    """The submodule that the parameters belong to, by the name of the first: `layers.0.up`."""
    loads = [op for value in weights if (op := operation_of(value)) is not None and op.name == "graph.load"]
    # The first is what the op is named for: the filter of a convolution, not the batch norm folded into its epilogue.
    for name in [str(to_python(op.attributes["symbol"])).split(".") for op in loads[:1]]:
        # What was computed of a parameter is named after it, as in `fc.weight.pack`.
        ends = [number for number, part in enumerate(name) if part in _LEAVES]
        return ".".join(name[: ends[-1] if ends else -1])
    return ""


def source_line(operation: ir.Operation) -> str:
    """`file:line` of the model's source; empty if the op carries none, or comes from a text without a file ("-")."""
    position = source_position(operation.location)
    return "" if position is None or position[0] == "-" else f"{position[0]}:{position[1]}"


def host_functions(module: ir.Operation) -> list[Any]:
    """The functions that launch kernels: all that are no kernels themselves."""
    functions = [op for op in module.regions[0].blocks[0].operations if isinstance(op, func.FuncOp)]
    return [function for function in functions if not is_kernel(function)]


def flow_of(module: ir.Operation) -> dict[str, Flow]:
    constants = constant_values(module)
    return {function.name.value: Flow(function, constants) for function in host_functions(module)}


def add_figures(layer: Layer, flow: Flow, step: int, operation: ir.Operation) -> Layer:
    """Complete `layer`, which has its own words already, by what the flow of its function says."""
    weights = flow.weights(operation)
    read, written = traffic(operation)
    picks_weight = operation.name in _PICKING and memory_of(operation.operands[0]) in weights
    parts = [bytes_of(v) for v in weights[picks_weight:]]
    return {
        **layer,
        "read": read,
        "written": written,
        "bytes": total([read, written]),
        "weights": total([written, *parts] if picks_weight else parts),
        "live": flow.live(step),
        "module": module_path(weights),
        "source": source_line(operation),
        "inputs": flow.sources(operation),
    }
