"""SPIR-V binaries of kernels: what upstream's passes make of `gpu.func` kernels, serialised.

A binary follows Vulkan's rules for compute shaders: SPIR-V 1.3 at most, GLSL memory model, operands and then results as
storage buffers of descriptor set 0 in order, the kernel's name as its entry point. The size of a subgroup is no
part of SPIR-V: who makes the pipeline asks for it (VK_EXT_subgroup_size_control).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.dialects.base import to_python
from terrace.dialects.hardware import SUBGROUP_SIZE
from terrace.errors import CompileError
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.gpu.convert_loop_to_gpu import ConvertLoopToGpu
from terrace.mlir import gpu, ir
from terrace.passes import Pass, UpstreamPass, UpstreamPassError, run_passes

_ENVIRONMENT = (
    "#spirv.target_env<#spirv.vce<v1.3, [Shader, Int8, Int16, Int64, Float16, Float64],"
    " [SPV_KHR_storage_buffer_storage_class, SPV_KHR_16bit_storage, SPV_KHR_8bit_storage]>, api=Vulkan,"
    " #spirv.resource_limits<>>"
)
"""What a kernel may use; a binary asks only for what it uses."""


@dataclasses.dataclass(frozen=True)
class SpirvKernel:
    """A kernel as a binary: `workgroups` along x, y and z; `operands` and `results` are the tensors it works on;
    `subgroup_size` is what it was scheduled for, None if that does not matter."""

    name: str
    binary: bytes
    workgroups: Sequence[int]
    operands: Sequence[ir.Type]
    results: Sequence[ir.Type]
    subgroup_size: int | None


def spirv_passes() -> list[Pass]:
    """From loop functions, lowered to invocations, to a `spirv.module` per kernel."""
    return [
        ConvertLoopToGpu(),
        UpstreamPass("canonicalize"),
        UpstreamPass("cse"),
        # First, as convert-gpu-to-spirv knows no ops of the math dialect.
        UpstreamPass("convert-math-to-spirv"),
        UpstreamPass("convert-gpu-to-spirv"),
        UpstreamPass("spirv.module(spirv-lower-abi-attrs,spirv-update-vce)"),
    ]


def spirv_kernels(module: ir.Operation) -> list[SpirvKernel]:
    """Serialise the kernels of a module of loop functions, lowered to invocations; the module is used up.

    Raises PassError for what has no static shapes, CompileError for what SPIR-V cannot say.
    """
    functions = {function.name.value: function.operation for function in loop_kernels(module)}
    described = {name: _described(function) for name, function in functions.items()}
    module.attributes["spirv.target_env"] = ir.Attribute.parse(_ENVIRONMENT)
    try:
        run_passes(spirv_passes(), module)
        workgroups = _nest(module)
        run_passes([UpstreamPass("gpu-module-to-binary")], module)
    except UpstreamPassError as error:
        raise CompileError(f"SPIR-V cannot say what a kernel does:\n{error}") from error
    binaries = {
        str(to_python(view.operation.attributes["sym_name"])): _object(view.operation)
        for view in module.regions[0].blocks[0].operations
    }
    return [SpirvKernel(name, binaries[name], workgroups[name], *described[name]) for name in described]


def _described(function: ir.Operation) -> tuple[Sequence[ir.Type], Sequence[ir.Type], int | None]:
    type_, attributes = function.opview.type, function.attributes
    subgroup = to_python(attributes[SUBGROUP_SIZE]) if SUBGROUP_SIZE in attributes else None
    return list(type_.inputs), list(type_.results), subgroup


def _nest(module: ir.Operation) -> dict[str, list[int]]:
    """Put each `spirv.module` in the place of the kernel that it was made of, where gpu-module-to-binary looks;
    returns the numbers of workgroups."""
    operations = [view.operation for view in module.regions[0].blocks[0].operations]
    # convert-gpu-to-spirv puts each in front of its gpu.module.
    pairs = list(zip(operations[::2], operations[1::2], strict=True))
    workgroups = {}
    for spirv, kernels in pairs:
        block = kernels.regions[0].blocks[0]
        kernel = block.operations[0].operation
        name = str(to_python(kernels.attributes["sym_name"]))
        workgroups[name] = list(to_python(kernel.attributes["known_grid_size"]))
        kernels.attributes["targets"] = ir.ArrayAttr.get([module.attributes["spirv.target_env"]])
        spirv.move_before(kernel)
        kernel.erase()
    return workgroups


def _object(binary: ir.Operation) -> bytes:
    return bytes(gpu.ObjectAttr(ir.ArrayAttr(binary.attributes["objects"])[0]).object)
