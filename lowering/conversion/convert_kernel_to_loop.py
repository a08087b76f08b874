"""`convert-kernel-to-loop`: every scheduled kernel becomes a function of loops over memrefs, made by its generator.

The layouts that the schedule asks of arguments are made where the kernel is launched, by `graph.pack` and `graph.pad`.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects import graph, loop
from terrace.dialects.base import ShapeError, shape_of, to_python
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.read_kernel import family_of_kernel, read_kernel
from terrace.lowering.kernels.schedule import Packing, Pad
from terrace.lowering.kernels.view import KernelView, is_kernel
from terrace.mlir import DYNAMIC, func, ir, memref, walk
from terrace.passes import Pass, fail
from terrace.progress import track


def shape_in_memory(shape: list[int], packing: Packing | None) -> list[int]:
    """The shape of an argument that is laid out."""
    if packing is None:
        return shape
    op = graph.PadOp if isinstance(packing, Pad) else graph.PackOp
    result = op.infer([shape], graph.Attributes(packing.attributes))
    assert result is not None
    return result


def _memref_type(shape: list[int], like: ir.Value) -> ir.Type:
    return ir.MemRefType.get(shape, ir.ShapedType(like.type).element_type)


def _convert(function: func.FuncOp) -> KernelView:
    """Make the loop function of a kernel beside it, named the same; the caller erases the kernel."""
    kernel = read_kernel(function)
    packings = kernel.packings()
    try:
        shapes = [shape_in_memory(shape_of(v), packings.get(i)) for i, v in enumerate(kernel.arguments)]
    except ShapeError as error:
        raise fail(function, f"@{kernel.name}: a packing does not fit its argument: {error}") from error
    tensors = [
        ir.RankedTensorType.get(shape, ir.ShapedType(v.type).element_type)
        for shape, v in zip(shapes, kernel.arguments, strict=True)
    ]
    sizes = [a.type for a in kernel.block.arguments][len(tensors) :]
    results = [v.type for v in kernel.returned]
    with ir.InsertionPoint(function.operation), function.operation.location:
        new = func.FuncOp(kernel.name, ([*tensors, *sizes], results), visibility="private")
        new.attributes[LOOP_KERNEL] = ir.UnitAttr.get()
        entry = new.add_entry_block()
        with ir.InsertionPoint(entry):
            _body(kernel, entry, len(tensors))
    return kernel


def _body(kernel: KernelView, entry: ir.Block, tensors: int) -> None:
    """Buffers of arguments and results around the generator's loops."""
    sizes = list(entry.arguments)[tensors:]
    inputs = list(entry.arguments)[:tensors]
    memory = [loop.ToBufferOp(a, _memref_type(shape_of(a), a)).operation.results[0] for a in inputs]
    for value in kernel.returned:
        own = [sizes.pop(0) for size in shape_of(value) if size == DYNAMIC]
        memory.append(memref.alloc(_memref_type(shape_of(value), value), own, []))
    kernel = dataclasses.replace(kernel, memory=tuple(memory))
    family_of_kernel(kernel.function).generate(LoopBuilder(entry), kernel)
    outputs = memory[tensors:]
    func.ReturnOp(
        [
            loop.ToTensorOp(buffer, value.type).operation.results[0]
            for value, buffer in zip(kernel.returned, outputs, strict=True)
        ]
    )


def _lay_out(value: ir.Value, packing: Packing) -> ir.Value:
    if isinstance(packing, Pad):
        return graph.PadOp.build(value, value=0.0, **packing.attributes)
    return graph.PackOp.build(value, **packing.attributes)


def _lay_out_arguments(call: ir.Operation, kernel: KernelView) -> None:
    with ir.InsertionPoint(call), call.location:
        for i, packing in kernel.packings().items():
            call.operands[i] = _lay_out(call.operands[i], packing)


@dataclasses.dataclass(frozen=True)
class ConvertKernelToLoop(Pass):
    """Turn kernels into loops over memrefs around tile ops, as their schedules say."""

    name = "convert-kernel-to-loop"

    def run(self, module: ir.Operation) -> None:
        functions = [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]
        kernels = {function.name.value: _convert(function) for function in track(functions, "kernel")}
        for operation in list(walk(module)):
            if operation.name == "func.call" and to_python(operation.attributes["callee"]) in kernels:
                _lay_out_arguments(operation, kernels[to_python(operation.attributes["callee"])])
        for function in functions:
            function.operation.erase()
