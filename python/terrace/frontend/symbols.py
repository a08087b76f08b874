"""Turns the arguments of a model's function that are parameters into symbols, and mutable buffers into state."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects import graph
from terrace.dialects.base import to_attribute
from terrace.frontend.program import Program
from terrace.frontend.symbol_names import Symbol
from terrace.lowering.conversion.torch_to_graph import TypeTable
from terrace.lowering.conversion.torch_to_graph.torch_op import to_builtin, to_torch
from terrace.mlir import func, ir


def lift_symbols(module: ir.Module, program: Program) -> None:
    """Declare `graph.parameter` and `graph.state` symbols, load them where there were arguments, store new states."""
    main = main_function(module)
    types = TypeTable(module.operation)
    block = main.regions[0].blocks[0]
    with module.context:
        types_of_symbols = [types.builtin(argument.type) for argument in block.arguments]
        declare(module, program.symbols, types_of_symbols)
        for index, symbol in reversed(list(enumerate(program.symbols))):
            if symbol is not None:
                lift_argument(block, index, symbol, types)
        store_states(block, program.states, types)
        set_function_type(main)


def main_function(module: ir.Module) -> ir.Operation:
    """The function of the model: the only one."""
    return next(op.operation for op in module.body.operations if op.operation.name == func.FuncOp.OPERATION_NAME)


def set_function_type(main: ir.Operation) -> None:
    """Make the type of a function that of its block's arguments and of what it returns."""
    block = main.regions[0].blocks[0]
    results = [operand.type for operand in block.operations[len(block.operations) - 1].operands]
    type_ = ir.FunctionType.get([argument.type for argument in block.arguments], results)
    main.attributes["function_type"] = ir.TypeAttr.get(type_)


def lift_argument(block: ir.Block, index: int, symbol: Symbol, types: TypeTable) -> None:
    """Replace an argument by a load of `symbol`, located where it is first used."""
    argument = block.arguments[index]
    users = [use.owner.operation for use in argument.uses]
    if users:
        load_symbol(argument, users[-1].location, symbol, types)
    block.erase_argument(index)


def load_symbol(argument: ir.Value, location: ir.Location, symbol: Symbol, types: TypeTable) -> None:
    """Put a load of `symbol` at the start of the function for `argument`."""
    load_class, name = (graph.LoadOp, symbol.parameter) if symbol.state is None else (graph.LoadStateOp, symbol.state)
    with location, ir.InsertionPoint.at_block_begin(argument.owner):
        load = ir.Operation.create(
            load_class.OPERATION_NAME,
            results=[types.builtin(argument.type)],
            attributes={"symbol": ir.FlatSymbolRefAttr.get(name)},
        )
        argument.replace_all_uses_with(to_torch(load.results[0], argument.type))


def declare(module: ir.Module, symbols: Sequence[Symbol | None], types: Sequence[ir.Type | None]) -> None:
    """Put one declaration for each symbol at the top of the module, in the order of the model's own list."""
    declared: set[str] = set()
    with ir.Location.unknown(), ir.InsertionPoint.at_block_begin(module.body):
        for symbol, type_ in zip(symbols, types, strict=True):
            if symbol is None or symbol.parameter in declared:
                continue
            declared.add(symbol.parameter)
            common = {"type": to_attribute(type_)}
            name = to_attribute(symbol.parameter)
            ir.Operation.create(graph.ParameterOp.OPERATION_NAME, attributes={"sym_name": name, **common})
            if symbol.state is not None:
                initial = ir.FlatSymbolRefAttr.get(symbol.parameter)
                name = to_attribute(symbol.state)
                attributes = {"sym_name": name, "initial": initial, **common}
                ir.Operation.create(graph.StateOp.OPERATION_NAME, attributes=attributes)


def store_states(block: ir.Block, states: list[str], types: TypeTable) -> None:
    """Store the first values that the function returns as the new `states`, and return the others."""
    end = block.operations[len(block.operations) - 1].operation
    operands = list(end.operands)
    with end.location, ir.InsertionPoint(end):
        for state, value in zip(states, operands, strict=False):
            attributes = {"symbol": ir.FlatSymbolRefAttr.get(state)}
            builtin = to_builtin(value, types)
            ir.Operation.create(graph.StoreStateOp.OPERATION_NAME, operands=[builtin], attributes=attributes)
        ir.Operation.create(func.ReturnOp.OPERATION_NAME, operands=operands[len(states) :])
    end.erase()
