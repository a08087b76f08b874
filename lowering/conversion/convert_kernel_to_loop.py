"""`convert-kernel-to-loop`: every scheduled kernel becomes a function of loops over memrefs, made by its generator.

What the schedule packs before the kernel runs is packed where it is launched, by graph ops such as `graph.pack`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

from terrace.dialects import loop
from terrace.dialects.base import ShapeError, shape_of, to_python
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.read_kernel import family_of_kernel, read_kernel
from terrace.lowering.kernels.view import KernelView, is_kernel
from terrace.mlir import DYNAMIC, func, ir, memref, walk
from terrace.passes import Pass, fail
from terrace.progress import track


def _memref_type(shape: list[int], like: ir.Value) -> ir.Type:
    return ir.MemRefType.get(shape, ir.ShapedType(like.type).element_type)


def _storage(kernel: KernelView) -> list[tuple[ir.Type, ...]]:
    """What stores each tensor argument: its own tensor, or those that its packing makes."""
    packings = kernel.packings()
    try:
        return [packings[i].storage(v.type) if i in packings else (v.type,) for i, v in enumerate(kernel.arguments)]
    except ShapeError as error:
        raise fail(kernel.function, f"@{kernel.name}: a packing does not fit its argument: {error}") from error


def make_loops(function: func.FuncOp) -> tuple[KernelView, func.FuncOp]:
    """A kernel, and its loop function, made before it and named the same; the caller erases one of them.

    Its arguments are those of the kernel, then what packings store beside them, then the sizes of results.
    """
    kernel, family = read_kernel(function), family_of_kernel(function)
    if kernel.schedule.variant not in family.variants:
        known = ", ".join(family.variants)
        raise kernel.refuse(f"{family.name} has no variant '{kernel.schedule.variant}'; it has {known}")
    storage = _storage(kernel)
    tensors = [types[0] for types in storage]
    beside = {kernel.operands[i]: types[1:] for i, types in enumerate(storage) if types[1:]}
    sizes = [a.type for a in kernel.block.arguments][len(tensors) :]
    results = [v.type for v in kernel.returned]
    with ir.InsertionPoint(function.operation), function.operation.location:
        new = func.FuncOp(
            kernel.name, ([*tensors, *itertools.chain(*beside.values()), *sizes], results), visibility="private"
        )
        new.attributes[LOOP_KERNEL] = ir.UnitAttr.get()
        entry = new.add_entry_block()
        with ir.InsertionPoint(entry):
            _body(kernel, entry, {name: len(types) for name, types in beside.items()})
    return kernel, new


def _body(kernel: KernelView, entry: ir.Block, beside: Mapping[str, int]) -> None:
    """Buffers of arguments and results around the generator's loops. `beside` counts what is stored so, by operand."""
    tensors = len(kernel.arguments)
    inputs = [a for a in entry.arguments if isinstance(a.type, ir.RankedTensorType)]
    sizes = list(entry.arguments)[len(inputs) :]
    memory = [loop.ToBufferOp(a, _memref_type(shape_of(a), a)).operation.results[0] for a in inputs]
    extra = iter(memory[tensors:])
    found = {name: tuple(itertools.islice(extra, count)) for name, count in beside.items()}
    memory = memory[:tensors]
    family = family_of_kernel(kernel.function)
    for value in kernel.returned:
        if family.updates_first:
            memory.append(memory[kernel.arguments.index(kernel.root.operands[0])])
            continue
        own = [sizes.pop(0) for size in shape_of(value) if size == DYNAMIC]
        memory.append(memref.alloc(_memref_type(shape_of(value), value), own, []))
    kernel = dataclasses.replace(kernel, memory=tuple(memory), beside=found)
    family.generate(LoopBuilder(entry), kernel)
    outputs = memory[tensors:]
    func.ReturnOp(
        [
            loop.ToTensorOp(buffer, value.type).operation.results[0]
            for value, buffer in zip(kernel.returned, outputs, strict=True)
        ]
    )


def _lay_out_arguments(call: ir.Operation, kernel: KernelView) -> None:
    """Pass the tensors that store each argument, at a launch of the kernel."""
    packings = kernel.packings()
    operands, beside = list(call.operands), []
    with ir.InsertionPoint(call), call.location:
        for i, packing in packings.items():
            operands[i], *more = packing.apply(operands[i])
            beside.append((i, more))
        tensors = len(kernel.arguments)
        extra = [value for _, more in sorted(beside, key=lambda item: item[0]) for value in more]
        arguments = [*operands[:tensors], *extra, *operands[tensors:]]
        results = [result.type for result in call.results]
        new = ir.Operation.create(call.name, results, arguments, dict(call.attributes.items()))
    for old, result in zip(call.results, new.results, strict=True):
        old.replace_all_uses_with(result)
    call.erase()


@dataclasses.dataclass(frozen=True)
class ConvertKernelToLoop(Pass):
    """Turn kernels into loops over memrefs around tile ops, as their schedules say."""

    name = "convert-kernel-to-loop"

    def run(self, module: ir.Operation) -> None:
        functions = [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]
        kernels = {function.name.value: make_loops(function)[0] for function in track(functions, "kernel")}
        for operation in list(walk(module)):
            if operation.name == "func.call" and to_python(operation.attributes["callee"]) in kernels:
                _lay_out_arguments(operation, kernels[to_python(operation.attributes["callee"])])
        for function in functions:
            function.operation.erase()
