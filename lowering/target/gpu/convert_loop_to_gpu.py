"""`convert-loop-to-gpu`: loop functions, lowered to invocations, become `gpu.func` kernels that stand by themselves.

Each becomes a `gpu.module` of its own name with one kernel in it, which upstream's passes take on to SPIR-V: operands
and then results are memrefs, workgroups are `gpu.block_id`, the innermost along x. What is no kernel is dropped: who
loads such a binary launches it by means of his own. Shapes must be static, as memrefs in SPIR-V are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.dialects.base import shape_of, to_attribute, to_python
from terrace.dialects.hardware import SUBGROUP_SIZE, WORKGROUP_SIZE
from terrace.lowering.analysis.loop_kernels import argument_buffers, loop_kernels, result_buffers
from terrace.mlir import DYNAMIC, func, gpu, ir, operation_of, walk
from terrace.passes import Pass, fail

_BOUNDARY = {"func.return", "loop.parallel", "loop.to_buffer", "loop.to_tensor"}
_AXES = ("x", "y", "z")


def _stored(type_: ir.Type, storage: str) -> ir.Type:
    """A memref type with a storage class of SPIR-V as its memory space."""
    space = ir.Attribute.parse(f"#spirv.storage_class<{storage}>")
    return ir.MemRefType.get(shape_of(type_), ir.MemRefType(type_).element_type, memory_space=space)


def _buffers(function: func.FuncOp) -> list[ir.Value]:
    """The memory of each operand and then of each result."""
    buffers = argument_buffers(function) + result_buffers(function)
    for buffer in buffers:
        if DYNAMIC in shape_of(buffer.type):
            raise fail(function, f"has memory of type {buffer.type}; a binary of its own needs static shapes")
    return buffers


def _parallel(function: func.FuncOp) -> ir.Operation:
    found = [view.operation for view in function.entry_block.operations if view.operation.name == "loop.parallel"]
    if len(found) != 1:
        raise fail(function, f"must have exactly one loop.parallel, has {len(found)}")
    return found[0]


def _workgroups(parallel: ir.Operation) -> list[int]:
    """How many along x, y and z: the innermost dimension is x."""
    bounds = []
    for bound in parallel.operands:
        constant = operation_of(bound)
        if constant is None or constant.name != "arith.constant":
            raise fail(parallel, "bounds must be constants")
        bounds.append(int(to_python(constant.attributes["value"])))
    return [*reversed(bounds), 1, 1, 1][:3]


def _entry_point(function: func.FuncOp) -> ir.Attribute:
    """How SPIR-V is told the size of a workgroup."""
    if WORKGROUP_SIZE not in function.attributes:
        raise fail(function, "is not lowered for a GPU; run lower-tiles-to-invocations first")
    size = to_python(function.attributes[WORKGROUP_SIZE])
    subgroup = (
        f", subgroup_size = {to_python(function.attributes[SUBGROUP_SIZE])}"
        if SUBGROUP_SIZE in function.attributes
        else ""
    )
    return ir.Attribute.parse(f"#spirv.entry_point_abi<workgroup_size = [{size}, 1, 1]{subgroup}>")


def _kernel(function: func.FuncOp, buffers: Sequence[ir.Value], workgroups: Sequence[int]) -> gpu.GPUFuncOp:
    """An empty kernel in a module of its own, in front of `function`."""
    entry_point, name = _entry_point(function), function.name.value
    with ir.InsertionPoint(function):
        module = ir.Operation.create("gpu.module", attributes={"sym_name": to_attribute(name)}, regions=1)
    with ir.InsertionPoint(module.regions[0].blocks.append()):
        type_ = ir.FunctionType.get([_stored(b.type, "StorageBuffer") for b in buffers], [])
        kernel = gpu.GPUFuncOp(type_, name, kernel=True, known_grid_size=workgroups)
    kernel.attributes["spirv.entry_point_abi"] = entry_point
    return kernel


def _convert(function: func.FuncOp) -> None:
    """Move the body of `function` into a kernel."""
    buffers, parallel = _buffers(function), _parallel(function)
    kernel = _kernel(function, buffers, _workgroups(parallel))
    block, inner = kernel.add_entry_block(), parallel.regions[0].blocks[0]
    for old, new in zip(buffers, block.arguments, strict=True):
        old.replace_all_uses_with(new)
    allocated = {owner for b in buffers if (owner := operation_of(b)) is not None}
    with ir.InsertionPoint(block):
        for index, axis in zip(inner.arguments, reversed(_AXES[: len(inner.arguments)]), strict=True):
            index.replace_all_uses_with(gpu.block_id(gpu.Dimension[axis]))
        end = gpu.ReturnOp([]).operation
    for view in list(function.entry_block.operations):
        operation = view.operation
        if operation == parallel:
            for child in list(inner.operations)[:-1]:
                child.operation.move_before(end)
        elif operation.name not in _BOUNDARY and operation not in allocated:
            operation.move_before(end)
    function.operation.erase()
    for operation in walk(kernel.operation):
        if operation.name == "memref.alloc":  # what is left is shared by a workgroup
            operation.results[0].set_type(_stored(operation.results[0].type, "Workgroup"))


@dataclasses.dataclass(frozen=True)
class ConvertLoopToGpu(Pass):
    """Turn loop functions, lowered to invocations, into gpu.func kernels that stand by themselves."""

    name = "convert-loop-to-gpu"

    def run(self, module: ir.Operation) -> None:
        module.attributes["gpu.container_module"] = ir.UnitAttr.get()
        kernels = loop_kernels(module)
        for view in list(module.regions[0].blocks[0].operations):
            if view not in kernels:  # what calls kernels, and the parameters and constants that it gives them
                view.operation.erase()
        for function in kernels:
            _convert(function)
