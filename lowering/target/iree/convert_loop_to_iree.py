"""`convert-loop-to-iree`: the loop level becomes a program of IREE.

Each loop function becomes the body of an executable, each launch a dispatch, parameters and states become globals.
What is linalg stays so and is compiled by IREE's own code generation. Loop functions must already be in the form that
the target runs (for a CPU: after `lower-tiles-to-vector`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from terrace.dialects.base import shape_of, to_python
from terrace.dialects.hardware import SUBGROUP_SIZE, WORKGROUP_SIZE
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL, argument_buffers, loop_kernels, result_buffers
from terrace.lowering.analysis.used_symbols import used_symbols
from terrace.lowering.target.description import OF_FUNCTION, TARGET
from terrace.lowering.target.iree import syntax
from terrace.lowering.target.iree.barriers import (
    VIEWS,
    cut_chains_of_slices,
    keep_carried_values_apart,
    keep_scatters_apart,
)
from terrace.mlir import DYNAMIC, func, ir, operation_of, source_of, walk
from terrace.passes import Pass, fail


def _operations(module: ir.Operation) -> list[ir.Operation]:
    return [view.operation for view in module.regions[0].blocks[0].operations]


def _name(operation: ir.Operation, attribute: str = "sym_name") -> str:
    return str(to_python(operation.attributes[attribute]))


# -- executables ------------------------------------------------------------------------------------------------------


def _dynamic_axes(arguments: list[ir.Value]) -> list[tuple[int, int]]:
    """(argument, axis) of every `?` among the arguments, in order: the order in which sizes are passed."""
    return [
        (number, axis)
        for number, argument in enumerate(arguments)
        for axis, size in enumerate(ir.ShapedType(argument.type).shape)
        if size == DYNAMIC
    ]


_BOUNDARY = ("loop.to_buffer", "loop.to_tensor", "memref.alloc", "func.return")
"""The ops of a loop function that stand for its bindings."""


class _Executable:
    """Moves one loop function into a stream.executable."""

    def __init__(self, function: func.FuncOp, tables: dict[str, ir.Operation]) -> None:
        self.function = function
        self.tables = tables
        self.entry = function.entry_block
        self.arguments = self._buffers()
        self.axes = _dynamic_axes(self.arguments)
        self.result_sizes = self._result_sizes()
        self.parallel = self._find_parallel()

    def _buffers(self) -> list[ir.Value]:
        """The memrefs of the arguments, then of the results that are none of these."""
        arguments = argument_buffers(self.function)
        results = result_buffers(self.function, in_place=True)
        return arguments + [memory for memory in results if memory not in arguments]

    def _result_sizes(self) -> dict[ir.Value, int]:
        """The arguments that are sizes of results, which upstream folds memref.dim to, and the number of each size."""
        found: dict[ir.Value, int] = {}
        for number, buffer in enumerate(self.arguments):
            owner = operation_of(buffer)
            if owner is not None and owner.name == "memref.alloc":
                own = [i for i, (owner, _) in enumerate(self.axes) if owner == number]
                found.update(zip(owner.operands, own, strict=True))
        return found

    def _find_parallel(self) -> ir.Operation:
        found = [o.operation for o in self.entry.operations if o.operation.name == "loop.parallel"]
        if len(found) != 1:
            raise fail(self.function, f"must have exactly one loop.parallel, has {len(found)}")
        return found[0]

    def emit(self) -> None:
        name = self.function.name.value
        count, body = syntax.executable(name, len(self.axes))
        with ir.InsertionPoint(count):
            self._workgroup_count(list(count.arguments))
        with ir.InsertionPoint(body):
            self._copy_tables()
            shape = [self._invocations(attribute) for attribute in (WORKGROUP_SIZE, SUBGROUP_SIZE)]
            entry = syntax.dispatch_function(name, len(self.arguments), len(self.axes), *shape)
        with ir.InsertionPoint(entry):
            self._body(list(entry.arguments))

    def _invocations(self, attribute: str) -> int | None:
        """How many invocations the function was lowered for, if for a GPU."""
        attributes = self.function.attributes
        return to_python(attributes[attribute]) if attribute in attributes else None

    def _copy_tables(self) -> None:
        """The constants that the function reads, beside it: an executable sees nothing of the program."""
        used = [op for op in walk(self.function.operation) if op.name == "memref.get_global"]
        for name in dict.fromkeys(_name(op, "name") for op in used):
            self.tables[name].clone()

    def _workgroup_count(self, sizes: list[ir.Value]) -> None:
        """Copy the ops that compute the bounds; sizes of arguments come from the workload."""
        values: dict[ir.Value, ir.Value] = {}
        bounds = [self._copy(bound, sizes, values) for bound in self.parallel.operands]
        one = syntax.index_constant(1)
        # Workgroup x varies fastest: the innermost dimension.
        syntax.stream_return((list(reversed(bounds)) + [one, one, one])[:3])

    def _copy(self, value: ir.Value, sizes: list[ir.Value], values: dict[ir.Value, ir.Value]) -> ir.Value:
        if value in values:
            return values[value]
        if value in self.result_sizes:
            return sizes[self.result_sizes[value]]
        owner = value.owner
        if isinstance(owner, ir.Block):
            raise fail(self.parallel, "bounds must be computed from constants and sizes of the arguments")
        operation = owner.operation
        if operation.name == "memref.dim":
            values[value] = sizes[self._size_index(operation)]
        else:
            operands = [self._copy(operand, sizes, values) for operand in operation.operands]
            attributes = dict(operation.attributes.items())
            clone = ir.Operation.create(operation.name, [r.type for r in operation.results], operands, attributes)
            values[value] = clone.results[0]
        return values[value]

    def _size_index(self, dim: ir.Operation) -> int:
        """The number of the size that a memref.dim of an argument reads."""
        axis_owner = dim.operands[1].owner
        if dim.operands[0] not in self.arguments or isinstance(axis_owner, ir.Block):
            raise fail(dim, "must read a size of an argument, along a constant axis")
        axis = to_python(axis_owner.operation.attributes["value"])
        return self.axes.index((self.arguments.index(dim.operands[0]), axis))

    def _body(self, new: list[ir.Value]) -> None:
        bindings, sizes = new[: len(self.arguments)], new[len(self.arguments) :]
        ids = [syntax.workgroup_id(i) for i in range(len(self.parallel.operands))]
        self._replace_sizes(sizes)
        subspan = syntax.shared_subspan if WORKGROUP_SIZE in self.function.attributes else syntax.binding_subspan
        for number, (binding, argument) in enumerate(zip(bindings, self.arguments, strict=True)):
            own = [size for size, (owner, _) in zip(sizes, self.axes, strict=True) if owner == number]
            argument.replace_all_uses_with(subspan(binding, argument.type, own))
        inner = self.parallel.regions[0].blocks[0]
        for index, id_ in zip(inner.arguments, reversed(ids), strict=True):
            index.replace_all_uses_with(id_)
        end = ir.Operation.create("func.return")
        self._replace_scratch()
        for view in [*self.entry.operations]:
            if view.operation.name == "loop.parallel":
                for child in list(inner.operations)[:-1]:
                    child.operation.move_before(end)
            elif view.operation.name not in _BOUNDARY:
                view.operation.move_before(end)

    def _replace_sizes(self, sizes: list[ir.Value]) -> None:
        for operation in [op for op in walk(self.function.operation) if op.name == "memref.dim"]:
            operation.results[0].replace_all_uses_with(sizes[self._size_index(operation)])
            operation.erase()
        for argument, number in self.result_sizes.items():
            argument.replace_all_uses_with(sizes[number])

    def _replace_scratch(self) -> None:
        """Scratch memory: of a CPU's worker still the loop level's, of a GPU's workgroup already upstream's."""
        makers = {"loop.alloc": syntax.workgroup_memory, "memref.alloc": syntax.shared_memory}
        for operation in [op for op in walk(self.parallel) if op.name in makers]:
            with ir.InsertionPoint(operation), operation.location:
                local = makers[operation.name](operation.results[0].type)
            operation.results[0].replace_all_uses_with(local)
            operation.erase()


# -- globals and calls ------------------------------------------------------------------------------------------------


def _convert_symbols(module: ir.Operation, used: set[str]) -> dict[str, ir.Type]:
    """Parameters, constants and states become globals; returns the type of each state."""
    states: dict[str, ir.Type] = {}
    for operation in _operations(module):
        if operation.name not in ("graph.parameter", "graph.constant", "graph.part", "graph.state"):
            continue
        name, type_ = _name(operation), to_python(operation.attributes["type"])
        with ir.InsertionPoint(operation), operation.location:
            if operation.name == "graph.state":
                states[name] = type_
                _emit_state(name, type_, _name(operation, "initial"))
            elif name in used:
                syntax.parameter_global(name, name, type_)
        operation.erase()
    return states


def _emit_state(name: str, type_: ir.Type, initial: str) -> None:
    syntax.mutable_global(name, type_)
    with ir.InsertionPoint(syntax.initializer()):
        syntax.store_global(syntax.clone_tensor(syntax.load_global(initial, type_)), name)
        syntax.util_return()


def _emit_state_functions(module: ir.Operation, initial: dict[str, str], states: dict[str, ir.Type]) -> None:
    """`state.get.NAME`, `state.set.NAME` and `state.reset`, which the runtime calls."""
    with ir.InsertionPoint(module.regions[0].blocks[0]):
        for name, type_ in states.items():
            getter = func.FuncOp(f"state.get.{name}", ([], [type_]))
            with ir.InsertionPoint(getter.add_entry_block()):
                func.ReturnOp([syntax.clone_tensor(syntax.load_global(name, type_))])
            setter = func.FuncOp(f"state.set.{name}", ([type_], []))
            with ir.InsertionPoint(setter.add_entry_block()):
                syntax.store_global(syntax.clone_tensor(setter.arguments[0]), name)
                func.ReturnOp([])
        if states:
            reset = func.FuncOp("state.reset", ([], []))
            with ir.InsertionPoint(reset.add_entry_block()):
                for name, type_ in states.items():
                    syntax.store_global(syntax.clone_tensor(syntax.load_global(initial[name], type_)), name)
                func.ReturnOp([])


def _convert_calls(module: ir.Operation, kernels: Mapping[str, Sequence[int]]) -> None:
    """Loads, stores and launches in the host functions. Of each kernel, `kernels` has what `_updated` says."""
    for operation in list(walk(module)):
        convert = _CALLS.get(operation.name)
        is_launch = operation.name == "func.call" and _name(operation, "callee") in kernels
        if convert is None and not is_launch:
            continue
        with ir.InsertionPoint(operation), operation.location:
            values = _launch(operation, kernels[_name(operation, "callee")]) if convert is None else convert(operation)
        for result, value in zip(operation.results, values, strict=True):
            result.replace_all_uses_with(value)
        operation.erase()


def _keep_arguments(main: ir.Operation) -> None:
    """Keep the arguments until the end: IREE would update in place one that is not used again, and it is the caller's.

    An op that updates (a sort, a scatter, an inserted slice) then works on a copy, and nothing else changes.
    """
    block = main.regions[0].blocks[0]
    end = block.operations[len(block.operations) - 1].operation
    arguments = [value for value in block.arguments if isinstance(value.type, ir.RankedTensorType)]
    if arguments:
        with ir.InsertionPoint(end), main.location:
            syntax.keep(arguments)


def _convert_load(operation: ir.Operation) -> list[ir.Value]:
    return [syntax.load_global(_name(operation, "symbol"), operation.results[0].type)]


def _convert_store(operation: ir.Operation) -> list[ir.Value]:
    syntax.store_global(operation.operands[0], _name(operation, "symbol"))
    return []


def _updated(function: func.FuncOp) -> list[int]:
    """The number of the tensor argument that each result of a kernel is, updated; -1 for one of its own."""
    arguments = argument_buffers(function)
    results = result_buffers(function, in_place=True)
    return [arguments.index(memory) if memory in arguments else -1 for memory in results]


def _launch(operation: ir.Operation, updated: Sequence[int]) -> list[ir.Value]:
    inputs = [v for v in operation.operands if isinstance(v.type, ir.RankedTensorType)]
    memories = [source_of(value, VIEWS) for value in inputs]
    for number in (number for number in updated if number >= 0):
        # IREE makes one binding of equal operands, and leaves a copy out that is there to part them.
        if memories.count(memories[number]) > 1:
            raise fail(operation, f"updates argument {number} in place and reads it as another, too; pass a copy of it")
    own_sizes = iter(list(operation.operands)[len(inputs) :])
    result_sizes = list[ir.Value]()
    sizes = [s for v in inputs for s in syntax.dynamic_sizes(v)]
    for result, number in zip(operation.results, updated, strict=True):
        if number >= 0:
            result_sizes += syntax.dynamic_sizes(inputs[number])
        else:
            own = [next(own_sizes) for size in shape_of(result) if size == DYNAMIC]
            sizes, result_sizes = [*sizes, *own], [*result_sizes, *own]
    types = [r.type for r in operation.results]
    return syntax.dispatch(_name(operation, "callee"), sizes, [*inputs, *sizes], types, result_sizes, updated)


_CALLS = {
    "graph.load": _convert_load,
    "graph.load_state": _convert_load,
    "graph.store_state": _convert_store,
}


@dataclasses.dataclass(frozen=True)
class ConvertLoopToIree(Pass):
    """Turn loop functions, launches, parameters and states into a program that iree-compile takes."""

    name = "convert-loop-to-iree"

    def run(self, module: ir.Operation) -> None:
        module.context.allow_unregistered_dialects = True
        initial = {_name(op): _name(op, "initial") for op in _operations(module) if op.name == "graph.state"}
        kernels = loop_kernels(module)
        used = used_symbols(module)
        _convert_calls(module, {function.name.value: _updated(function) for function in kernels})
        states = _convert_symbols(module, used)
        functions = [op for op in _operations(module) if op.name == "func.func" and len(op.regions[0].blocks)]
        hosts = [function for function in functions if LOOP_KERNEL not in function.attributes]
        for operation in hosts:
            _keep_arguments(operation)
            keep_scatters_apart(operation)
            cut_chains_of_slices(operation)
            keep_carried_values_apart(operation)
        if hosts and TARGET in module.attributes:
            hosts[0].attributes[OF_FUNCTION] = module.attributes[TARGET]
            del module.attributes[TARGET]
        tables = {_name(op): op for op in _operations(module) if op.name == "memref.global"}
        for function in kernels:
            with ir.InsertionPoint.at_block_begin(module.regions[0].blocks[0]), function.operation.location:
                _Executable(function, tables).emit()
            function.operation.erase()
        for table in tables.values():
            table.erase()
        _emit_state_functions(module, initial, states)
        module.attributes["sym_name"] = ir.StringAttr.get("model")
