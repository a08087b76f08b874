"""The words of IREE 3.13's dialects. IREE's ops are built here as unregistered ops, and nowhere else.

They print in generic form, which iree-compile parses; the attribute names and segments below are those that
`iree-opt --mlir-print-op-generic` prints.
"""

from __future__ import annotations

from collections.abc import Sequence

from terrace.mlir import DYNAMIC, create_bare_context, ext, ir, memref, tensor, walk

PARAMETER_SCOPE = "model"

_WORKGROUP_SPACE = 3


class IreeCodegen(ext.Dialect, name="iree_codegen"):
    """The part of IREE's dialect that a memref type needs: an unregistered attribute is no memory space."""


class WorkgroupLocal(IreeCodegen.Attribute, name="workgroup_local"):
    """`#iree_codegen.workgroup_local`: memory of one worker."""


def load_dialect() -> None:
    if not ir.Context.current.is_dialect_loaded("iree_codegen"):
        IreeCodegen.load()


def _symbol(*names: str) -> ir.Attribute:
    return ir.SymbolRefAttr.get(list(names)) if len(names) > 1 else ir.FlatSymbolRefAttr.get(names[0])


def _segments(*counts: int) -> ir.Attribute:
    return ir.DenseI32ArrayAttr.get(list(counts))


def _index_attribute(value: int) -> ir.Attribute:
    return ir.IntegerAttr.get(ir.IndexType.get(), value)


def respell(text: str) -> str:
    """A program in generic form, with the words that IREE's MLIR spells differently from ours: `#gpu.dim<x>`."""
    if "gpu.thread_id" not in text:
        return text
    # Only where `gpu` is not known can its attributes be written in the other way.
    with create_bare_context(), ir.Location.unknown():
        module = ir.Module.parse(text).operation
        for operation in walk(module):
            if operation.name == "gpu.thread_id":
                operation.attributes["dimension"] = ir.OpaqueAttr.get("gpu", b"dim<x>", ir.NoneType.get())
        return module.get_asm(print_generic_op_form=True, assume_verified=True)


def binding_type() -> ir.Type:
    return ir.Type.parse("!stream.binding")


def dynamic_sizes(value: ir.Value) -> list[ir.Value]:
    """`tensor.dim` or `memref.dim` of each `?` of a value, in order."""
    shape = list(ir.ShapedType(value.type).shape)
    dim = tensor.dim if isinstance(value.type, ir.RankedTensorType) else memref.dim
    return [dim(value, index_constant(axis)) for axis, size in enumerate(shape) if size == DYNAMIC]


def index_constant(value: int) -> ir.Value:
    return ir.Operation.create(
        "arith.constant", [ir.IndexType.get()], attributes={"value": _index_attribute(value)}
    ).results[0]


# -- globals ----------------------------------------------------------------------------------------------------------


def parameter_global(name: str, key: str, type_: ir.Type) -> None:
    """`util.global private @name = #flow.parameter.named<"model"::"key">`."""
    initial = ir.OpaqueAttr.get("flow", f'parameter.named<"{PARAMETER_SCOPE}"::"{key}">'.encode(), type_)
    _global(name, type_, {"initial_value": initial})


def mutable_global(name: str, type_: ir.Type) -> None:
    _global(name, type_, {"is_mutable": ir.UnitAttr.get()})


def _global(name: str, type_: ir.Type, extra: dict[str, ir.Attribute]) -> None:
    attributes = {
        "sym_name": ir.StringAttr.get(name),
        "sym_visibility": ir.StringAttr.get("private"),
        "type": ir.TypeAttr.get(type_),
        **extra,
    }
    ir.Operation.create("util.global", attributes=attributes)


def load_global(name: str, type_: ir.Type) -> ir.Value:
    return ir.Operation.create("util.global.load", [type_], attributes={"global": _symbol(name)}).results[0]


def store_global(value: ir.Value, name: str) -> None:
    ir.Operation.create("util.global.store", operands=[value], attributes={"global": _symbol(name)})


def clone_tensor(value: ir.Value) -> ir.Value:
    """A copy in memory of its own: a mapped parameter must not be updated in place."""
    sizes = dynamic_sizes(value)
    return ir.Operation.create("flow.tensor.clone", [value.type], [value, *sizes]).results[0]


def stay_apart(value: ir.Value) -> ir.Value:
    """`value`, whose producer and users IREE must not compile as one dispatch."""
    operands = [value, *dynamic_sizes(value)]
    return ir.Operation.create("iree_tensor_ext.compute_barrier.start", [value.type], operands).results[0]


def keep(values: Sequence[ir.Value]) -> None:
    """Make this the place until which IREE must not reuse the memory of `values`."""
    ir.Operation.create("util.optimization_barrier", [value.type for value in values], values)


def hidden(value: ir.Value) -> ir.Value:
    """`value`, of which IREE does not know where it comes from."""
    sizes = dynamic_sizes(value)
    found = ir.Operation.create("util.optimization_barrier", [value.type], [value]).results[0]
    return ir.Operation.create("flow.tensor.tie_shape", [value.type], [found, *sizes]).results[0] if sizes else found


def hide(value: ir.Value) -> None:
    """Let IREE not know where `value` comes from: all who use it use what a barrier makes of it."""
    others = list(value.uses)
    found = hidden(value)
    for use in others:
        use.owner.operation.operands[use.operand_number] = found


def initializer() -> ir.Block:
    """The body of a `util.initializer`, which runs when the program is loaded; end it with `util_return`."""
    operation = ir.Operation.create(
        "util.initializer", attributes={"function_type": ir.TypeAttr.get(ir.FunctionType.get([], []))}, regions=1
    )
    return operation.regions[0].blocks.append()


def util_return() -> None:
    ir.Operation.create("util.return")


# -- executables ------------------------------------------------------------------------------------------------------


def executable(name: str, workload: int) -> tuple[ir.Block, ir.Block]:
    """`stream.executable` with one export of the same name: the blocks of its workgroup count and of its module."""
    attributes = {"sym_name": ir.StringAttr.get(name), "sym_visibility": ir.StringAttr.get("private")}
    outer = ir.Operation.create("stream.executable", attributes=attributes, regions=1)
    with ir.InsertionPoint(outer.regions[0].blocks.append()):
        export = ir.Operation.create(
            "stream.executable.export",
            attributes={
                "sym_name": ir.StringAttr.get(name),
                "sym_visibility": ir.StringAttr.get("public"),
                "function_ref": _symbol(name),
            },
            regions=1,
        )
        count = export.regions[0].blocks.append(*[ir.IndexType.get()] * workload)
        module = ir.Operation.create("builtin.module", regions=1)
        body = module.regions[0].blocks.append()
        ir.Operation.create("stream.executable.end")
    return count, body


def stream_return(values: Sequence[ir.Value]) -> None:
    ir.Operation.create("stream.return", operands=list(values))


def dispatch_function(
    name: str, bindings: int, sizes: int, workgroup: int | None = None, subgroup: int | None = None
) -> ir.Block:
    """The entry function of an executable: storage bindings, then sizes; compiled as it stands (`no_pipeline`).

    `workgroup` and `subgroup` count the invocations of each, on a GPU.
    """
    inputs = [binding_type()] * bindings + [ir.IndexType.get()] * sizes
    shape = f" workgroup_size = [{workgroup}, 1, 1]" if workgroup else ""
    shape += f" subgroup_size = {subgroup}" if subgroup else ""
    pipeline = f"translation_info<pipeline = #iree_codegen.no_pipeline{shape}>".encode()
    attributes = {
        "sym_name": ir.StringAttr.get(name),
        "function_type": ir.TypeAttr.get(ir.FunctionType.get(inputs, [])),
        "translation_info": ir.OpaqueAttr.get("iree_codegen", pipeline, ir.NoneType.get()),
    }
    operation = ir.Operation.create("func.func", attributes=attributes, regions=1)
    return operation.regions[0].blocks.append(*inputs)


def binding_subspan(binding: ir.Value, type_: ir.Type, sizes: Sequence[ir.Value]) -> ir.Value:
    operands = [binding, index_constant(0), *sizes]
    return ir.Operation.create("stream.binding.subspan", [type_], operands).results[0]


def shared_subspan(binding: ir.Value, type_: ir.Type, sizes: Sequence[ir.Value]) -> ir.Value:
    """`binding_subspan` for SPIR-V, where a buffer of several tensors is one binding, and offsets are IREE's to add.

    IREE wants to see in the type whether there is an offset. Nobody knows yet; a zero that it cannot see through makes
    it one in every case.
    """
    zero = ir.Operation.create("util.optimization_barrier", [ir.IndexType.get()], [index_constant(0)]).results[0]
    shape, element_type = list(ir.MemRefType(type_).shape), ir.MemRefType(type_).element_type
    strides = [1] * len(shape)
    for axis in reversed(range(len(shape) - 1)):
        inner = (shape[axis + 1], strides[axis + 1])
        strides[axis] = ir.ShapedType.get_dynamic_stride_or_offset() if DYNAMIC in inner else inner[0] * inner[1]
    layout = ir.StridedLayoutAttr.get(ir.ShapedType.get_dynamic_stride_or_offset(), strides)
    shifted = ir.MemRefType.get(shape, element_type, layout=layout)
    return ir.Operation.create("stream.binding.subspan", [shifted], [binding, zero, *sizes]).results[0]


def workgroup_id(dimension: int) -> ir.Value:
    attributes = {"dimension": _index_attribute(dimension)}
    return ir.Operation.create("stream.dispatch.workgroup.id", [ir.IndexType.get()], attributes=attributes).results[0]


def workgroup_memory(type_: ir.Type) -> ir.Value:
    """Scratch memory of one worker."""
    load_dialect()
    source = ir.MemRefType(type_)
    local = ir.MemRefType.get(source.shape, source.element_type, memory_space=WorkgroupLocal.get())
    return memref.alloc(local, [], [])


def shared_memory(type_: ir.Type) -> ir.Value:
    """Memory of one workgroup of a GPU.

    Its space is a number, Vulkan's for `#gpu.address_space<workgroup>`: where `respell` works, no attribute of a
    dialect is a memory space.
    """
    source = ir.MemRefType(type_)
    space = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), _WORKGROUP_SPACE)
    return memref.alloc(ir.MemRefType.get(source.shape, source.element_type, memory_space=space), [], [])


def dispatch(
    name: str,
    workload: Sequence[ir.Value],
    operands: Sequence[ir.Value],
    results: Sequence[ir.Type],
    result_sizes: Sequence[ir.Value],
    tied: Sequence[int],
) -> list[ir.Value]:
    """`flow.dispatch @name::@name[workload](operands) -> results`; `tied` has the number of the operand that each
    result is, updated in place, or -1."""
    operand_sizes = [s for v in operands if isinstance(v.type, ir.RankedTensorType) for s in dynamic_sizes(v)]
    attributes = {
        "entry_points": ir.ArrayAttr.get([_symbol(name, name)]),
        "operandSegmentSizes": _segments(len(workload), len(operands), len(operand_sizes), len(result_sizes)),
        "tied_operands": ir.ArrayAttr.get([_index_attribute(number) for number in tied]),
    }
    every = [*workload, *operands, *operand_sizes, *result_sizes]
    return list(ir.Operation.create("flow.dispatch", list(results), every, attributes).results)


def dispatch_extern(
    name: str, operands: Sequence[ir.Value], results: Sequence[ir.Type], workgroups: Sequence[int], path: str
) -> list[ir.Value]:
    """`hal.dispatch.extern "name"(operands) -> results` of the SPIR-V binary in the file `path`.

    Each operand and then each result is a storage buffer.
    """
    none = ir.NoneType.get()
    kinds = ["storage_buffer, ReadOnly"] * len(operands) + ["storage_buffer"] * len(results)
    bindings = ", ".join(f"#hal.pipeline.binding<{kind}>" for kind in kinds)
    target = ir.OpaqueAttr.get("hal", b'executable.target<"vulkan-spirv", "vulkan-spirv-fb">', none)
    binary = ir.OpaqueAttr.get("hal", f"executable.object<{{path = {ir.StringAttr.get(path)}}}>".encode(), none)
    attributes = {
        "export_name": ir.StringAttr.get(name),
        "layout": ir.OpaqueAttr.get("hal", f"pipeline.layout<bindings = [{bindings}]>".encode(), none),
        "operandSegmentSizes": _segments(0, len(operands), 0, 0),
        "target_objects": ir.ArrayAttr.get([ir.ArrayAttr.get([binary])]),
        "target_ordinals": ir.ArrayAttr.get([_index_attribute(0)]),
        "targets": ir.ArrayAttr.get([target]),
        "tied_operands": ir.ArrayAttr.get([_index_attribute(-1)] * len(results)),
    }
    operation = ir.Operation.create("hal.dispatch.extern", list(results), list(operands), attributes, regions=2)
    with ir.InsertionPoint(operation.regions[0].blocks.append(ir.Type.parse("!hal.device"))):
        ir.Operation.create("hal.return", operands=[index_constant(count) for count in workgroups])
    return list(operation.results)
