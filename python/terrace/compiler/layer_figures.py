"""The layers of a model, read off the kernel level: a launch of a kernel or an op left to IREE each, and their figures.

- `read`: every distinct operand tensor once, weights too; a look-up or a slice reads what it picks, not all it could.
- `written`: every result once; of an update at indices what it puts there, which it reads there, too, to add to it.
- `live`: the tensors in memory while the layer runs: its operands, its results, and what earlier layers made (or the
  caller gave) that a later layer still reads. Weights are not in it: they are in memory all the time.
- `weights`: the part of `read` that is parameters or computed from them alone.

All are bytes; None stands for a figure that a dynamic size (`?`) leaves open, and `symbolic` then has it as a
polynomial of the symbols in the model's signature, where it can be followed. Caches and tiles are not modelled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from terrace.dialects.base import shape_of, to_python
from terrace.lowering.analysis.symbolic_sizes import Polynomial, SymbolicSizes, add, constant, multiply, number
from terrace.lowering.kernels.view import is_kernel
from terrace.mlir import DYNAMIC, func, ir, operation_of, source_of, walk
from terrace.passes import source_position
from terrace.signature import Signature

Layer = dict[str, Any]

FREE = ("graph.load", "graph.load_state", "graph.store_state", "graph.reshape", "graph.yield", "graph.fusion")
"""Ops that move no data or do no work of a kernel's kind."""

_ALIASES = ("graph.reshape", "tensor.cast", "tensor.collapse_shape", "tensor.expand_shape", "tensor.reshape")
"""Ops whose result is their first operand's memory."""

_PICKING = ("graph.embedding", "graph.gather", "graph.slice")
"""Ops that read as much of their first operand as they write."""


_UPDATING = "graph.scatter"
"""The op that changes a part of its first operand in place: as much as its last has."""


def element_bytes(value: ir.Value) -> int:
    """Bytes of an element of a tensor."""
    element = ir.ShapedType(value.type).element_type
    return 8 if isinstance(element, ir.IndexType) else -(-element.width // 8)


def bytes_of(value: ir.Value) -> int | None:
    """The size of a tensor; None if it has a `?`."""
    sizes = shape_of(value)
    return None if DYNAMIC in sizes else math.prod(sizes) * element_bytes(value)


def is_tensor(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType)


def memory_of(value: ir.Value) -> ir.Value:
    """The value whose memory `value` is: what a reshape was made of."""
    return source_of(value, _ALIASES)


def distinct(values: Iterable[ir.Value]) -> list[ir.Value]:
    """The memories of the tensors among `values`, each once, without what is only room for a result."""
    found: list[ir.Value] = []
    for value in values:
        memory = memory_of(value) if is_tensor(value) else None
        owner = operation_of(memory) if memory is not None else None
        if memory is not None and memory not in found and (owner is None or owner.name != "tensor.empty"):
            found.append(memory)
    return found


def made_of(value: ir.Value) -> list[ir.Value]:
    """What a value comes from: the operands of what gives it, and what the bodies of control flow yield."""
    owner = operation_of(value)
    if owner is None:
        around = value.owner.owner.operation
        return [] if around.name == func.FuncOp.OPERATION_NAME else list(around.operands)
    ends = [block.operations[len(block.operations) - 1] for region in owner.regions for block in region.blocks]
    return [*owner.operands, *(v for end in ends for v in end.operation.operands)]


def turns_of(operation: ir.Operation) -> int:
    """How often an op runs: as often as the loops around it turn, where that is known; once in any other."""
    turns, around = 1, operation.parent
    while around is not None and around.name != func.FuncOp.OPERATION_NAME:
        bounds = [operation_of(bound) for bound in list(around.operands)[:3]] if around.name == "scf.for" else []
        if bounds and all(bound is not None and bound.name == "arith.constant" for bound in bounds):
            first, end, step = (to_python(bound.attributes["value"]) for bound in bounds if bound is not None)
            turns *= max(0, -(-(end - first) // step))
        around = around.operation.parent
    return turns


def kernels_with(module: ir.Operation, names: Iterable[str]) -> dict[str, ir.Operation]:
    """By the names of kernels, the first op in each that is one of `names`; those without are left out."""
    functions = [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]
    found = ((f.name.value, [op.operation for op in f.entry_block if op.operation.name in names]) for f in functions)
    return {name: operations[0] for name, operations in found if operations}


class Flow:
    """Who computes and who reads the tensors of one function, its kernels' bodies apart, and how large they are."""

    def __init__(self, function: func.FuncOp, constants: set[ir.Value]) -> None:
        self.constants = constants
        self.sizes = SymbolicSizes(list(function.entry_block.arguments), _symbols(function))
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
            (start, last.get(value, start), self.bytes(value))
            for value, start in made.items()
            if value not in constants and not self._is_room(value)
        ]
        self.layers: dict[ir.Value, int] = {}
        self._picking = kernels_with(function.operation.parent.operation, _PICKING)
        self._updating = kernels_with(function.operation.parent.operation, [_UPDATING])

    @staticmethod
    def _is_room(value: ir.Value) -> bool:
        owner = operation_of(value)
        return owner is not None and owner.name in ("tensor.empty", "graph.load")

    def bytes(self, value: ir.Value) -> Polynomial | None:
        """The size of a tensor."""
        return multiply([self.sizes.elements(value), constant(element_bytes(value))])

    def traffic(self, operation: ir.Operation) -> tuple[Polynomial | None, Polynomial | None]:
        """Bytes that a launch or an op reads and writes."""
        written = add(self.bytes(v) for v in operation.results if is_tensor(v))
        read = distinct(operation.operands)
        if (update := self._of_kind(operation, self._updating, [_UPDATING])) is not None:
            others = distinct([v for v in operation.operands if is_tensor(v)][1:])
            changed = self.bytes(others[-1])
            replaces = to_python(update.attributes["kind"]) == "replace"
            return add([*([] if replaces else [changed]), *map(self.bytes, others)]), changed
        if self.picks(operation):
            return add([written, *(self.bytes(v) for v in read[1:])]), written
        return add(self.bytes(v) for v in read), written

    def picks(self, operation: ir.Operation) -> bool:
        """Whether an op, or the kernel that it launches, reads as much of its first operand as it writes."""
        return self._of_kind(operation, self._picking, _PICKING) is not None

    @staticmethod
    def _of_kind(
        operation: ir.Operation, kernels: dict[str, ir.Operation], names: Iterable[str]
    ) -> ir.Operation | None:
        """An op that is one of `names`, or the one in the kernel that it launches."""
        if operation.name == "func.call":
            return kernels.get(to_python(operation.attributes["callee"]))
        return operation if operation.name in names else None

    def live(self, step: int) -> Polynomial | None:
        """Bytes in memory during a step, weights apart."""
        return add(size for start, end, size in self.lives if start <= step <= end)

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
            if name is None:
                pending[:0] = [v for v in made_of(value) if is_tensor(v)]
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


def _symbols(function: func.FuncOp) -> dict[tuple[int, int], str]:
    """What the model's signature, where its function carries it, calls the dynamic sizes of its arguments."""
    if "terrace_signature" not in function.attributes:
        return {}
    signature = Signature.from_json(json.loads(to_python(function.attributes["terrace_signature"])))
    leaves = [leaf for leaf in signature.input_leaves if leaf.kind != "constant"]
    return {
        (number, axis): size
        for number, leaf in enumerate(leaves)
        for axis, size in enumerate(leaf.shape)
        if isinstance(size, str)
    }


def add_figures(layer: Layer, flow: Flow, step: int, operation: ir.Operation) -> Layer:
    """Complete `layer`, which has its own words already, by what the flow of its function says.

    Its `macs` stay as they are if they are known. If not, they are those of a contraction: one for each element of the
    result and each step of the reduction, `steps` of the layer times the size of the left operand's last axis.
    """
    weights = flow.weights(operation)
    turns = turns_of(operation)
    read, written = (multiply([constant(turns), size]) for size in flow.traffic(operation))
    picks_weight = flow.picks(operation) and memory_of(operation.operands[0]) in weights
    parts = [flow.bytes(v) for v in weights[picks_weight:]]
    figures = {
        "macs": multiply([constant(turns), _macs(layer, flow, operation)]),
        "read": read,
        "written": written,
        "bytes": add([read, written]),
        "weights": add([written, *parts] if picks_weight else parts),
        "live": flow.live(step),
    }
    symbolic = {
        key: sorted([factor, *symbols] for symbols, factor in polynomial.items())
        for key, polynomial in figures.items()
        if polynomial is not None and number(polynomial) is None
    }
    return {
        **{key: value for key, value in layer.items() if key != "steps"},
        **{key: None if polynomial is None else number(polynomial) for key, polynomial in figures.items()},
        **({"symbolic": symbolic} if symbolic else {}),
        "calls": layer["calls"] * turns,
        "module": module_path(weights),
        "source": source_line(operation),
        "inputs": flow.sources(operation),
    }


def _macs(layer: Layer, flow: Flow, operation: ir.Operation) -> Polynomial | None:
    if layer["macs"] is not None:
        return constant(layer["macs"])
    steps = layer.get("steps")
    if steps is None:
        return None
    inner = flow.sizes.size(operation.operands[0], -1) if DYNAMIC in steps else constant(1)
    static = constant(math.prod(size for size in steps if size != DYNAMIC))
    return multiply([flow.sizes.elements(operation.results[0]), inner, static])
