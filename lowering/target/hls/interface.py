"""What a text at the level "hls" says of itself: what @main takes and gives, and which weights it wants.

All of it is memory as files hold it: integers that are `ap_int` in C++ have the next width of C++'s integers there.
"""

from __future__ import annotations

from typing import Any

from terrace.dialects.base import to_python
from terrace.lowering.target.hls.convert_loop_to_hls import INPUTS, PORT
from terrace.lowering.target.hls.expressions import bits_in_files, file_type, is_ap_int
from terrace.mlir import func, ir
from terrace.passes import fail


def is_design(module: ir.Operation) -> bool:
    """Whether a module is at the level "hls"."""
    main = _main(module)
    return main is not None and INPUTS in main.attributes


def design_weights(module: ir.Operation) -> dict[str, ir.Type]:
    """The memory type of every weight that the design reads, on chip or through a port, by its symbol."""
    found = {}
    for view in module.regions[0].blocks[0].operations:
        operation = view.operation
        if operation.name == "memref.global" and isinstance(operation.attributes["initial_value"], ir.UnitAttr):
            found[str(to_python(operation.attributes["sym_name"]))] = _in_files(
                operation, to_python(operation.attributes["type"])
            )
    main = _main(module)
    for argument, own in zip(main.entry_block.arguments, _argument_attributes(main), strict=True):
        if PORT in own:
            found[str(to_python(own[PORT]))] = _in_files(main, argument.type)
    return found


def design_types(main: func.FuncOp) -> tuple[list[ir.Type], list[ir.Type]]:
    """The memory types of the inputs and of the outputs of a design's @main."""
    count = to_python(main.attributes[INPUTS])
    types = [_in_files(main, a.type) for a in main.entry_block.arguments]
    is_port = [PORT in own for own in _argument_attributes(main)]
    return types[:count], [t for t, port in zip(types[count:], is_port[count:], strict=True) if not port]


def _in_files(operation: ir.Operation, type_: ir.Type) -> ir.Type:
    memory = ir.MemRefType(type_)
    if file_type(memory.element_type) is None:
        raise fail(operation, f"has memory of type {type_}, whose elements have no C++ here")
    if not is_ap_int(memory.element_type):
        return type_
    element = ir.IntegerType.get_signless(bits_in_files(memory.element_type.width), type_.context)
    return ir.MemRefType.get(memory.shape, element, loc=ir.Location.unknown(type_.context))


def _argument_attributes(main: func.FuncOp) -> list[Any]:
    if "arg_attrs" not in main.attributes:
        return [{} for _ in main.entry_block.arguments]
    return list(main.arg_attrs)


def _main(module: ir.Operation) -> Any:
    for view in module.regions[0].blocks[0].operations:
        if isinstance(view, func.FuncOp) and view.name.value == "main" and not view.is_external:
            return view
    return None
