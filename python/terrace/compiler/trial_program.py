"""One kernel as a program of its own, with random numbers to call it with."""

from __future__ import annotations

import numpy as np

from terrace.dialects.base import shape_of
from terrace.lowering.graph.evaluation.arrays import numpy_type
from terrace.lowering.kernels.iteration_space import Access, axes_of
from terrace.lowering.kernels.read_kernel import family_of_kernel
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView, schedule_op
from terrace.lowering.target.description import describe_target
from terrace.mlir import DYNAMIC, arith, func, ir, tensor
from terrace.storage.parameter_archive import Array, aligned_copy
from terrace.target import Target


class TrialProgram:
    """A kernel called once by @main, for a resolved target. What are weights in the model are parameters here, too.

    `parameters` are theirs by name, and `inputs` what @main is called with. Sizes that are known at run time only are
    taken for `size`, or for what the kernel's family assumes; each size of a result is that of a further input.
    """

    def __init__(self, kernel: KernelView, target: Target, size: int | None = None) -> None:
        self.kernel, self._target = kernel, target
        random = np.random.default_rng(0)
        shapes = _argument_shapes(kernel, size or family_of_kernel(kernel.function).assumed_size)
        arrays = [_random(random, value, shape) for value, shape in zip(kernel.arguments, shapes, strict=True)]
        named = list(zip(arrays, kernel.constant, strict=True))
        self.parameters = {f"p{number}": array for number, (array, is_weight) in enumerate(named) if is_weight}
        sizes = _result_sizes(kernel, size or family_of_kernel(kernel.function).assumed_size)
        given = [array for array, is_weight in named if not is_weight]
        self.inputs = [aligned_copy(array) for array in (*given, *(np.zeros(count, np.int8) for count in sizes))]

    def text(self, schedule: Schedule) -> str:
        """The program at the level "kernel", where the kernel has this schedule."""
        with self.kernel.function.context, ir.Location.unknown():
            module = ir.Module.create()
            describe_target(module.operation, self._target)
            with ir.InsertionPoint(module.body):
                kernel = self.kernel.function.operation.clone().opview
                schedule_op(kernel).operation.attributes["schedule"] = schedule.to_attribute()
                for name in self.parameters:
                    type_ = self.kernel.arguments[int(name[1:])].type
                    attributes = {"sym_name": ir.StringAttr.get(name), "type": ir.TypeAttr.get(type_)}
                    ir.Operation.create("graph.parameter", attributes=attributes)
                self._main(kernel)
            return str(module)

    def _main(self, kernel: func.FuncOp) -> None:
        """@main, which calls the kernel."""
        tensors = [value.type for value in self.kernel.arguments]
        sizes = len(kernel.type.inputs) - len(tensors)
        a_size = ir.RankedTensorType.get([DYNAMIC], ir.IntegerType.get_signless(8))
        given = [type_ for number, type_ in enumerate(tensors) if not self.kernel.constant[number]]
        main = func.FuncOp("main", ([*given, *[a_size] * sizes], kernel.type.results))
        with ir.InsertionPoint(main.add_entry_block()):
            arguments = list(main.arguments)
            operands = [
                _load(f"p{number}", type_) if self.kernel.constant[number] else arguments.pop(0)
                for number, type_ in enumerate(tensors)
            ]
            first = arith.ConstantOp(ir.IndexType.get(), 0).result
            operands += [tensor.DimOp(argument, first).result for argument in arguments]
            func.ReturnOp(func.CallOp(kernel, operands).results)


def _load(name: str, type_: ir.Type) -> ir.Value:
    symbol = {"symbol": ir.FlatSymbolRefAttr.get(name)}
    return ir.Operation.create("graph.load", [type_], attributes=symbol).results[0]


def _argument_shapes(kernel: KernelView, size: int) -> list[list[int]]:
    """The shape of each tensor argument: operands of the root are as large as it reads them, others as its result."""
    space, result = kernel.space, shape_of(kernel.returned[0])
    operands = list(kernel.root.operands) if kernel.operands else []
    found = []
    for argument in kernel.arguments:
        shape = shape_of(argument)
        if argument in operands and len(space.accesses) > operands.index(argument):
            whole = _extents(kernel, space.accesses[operands.index(argument)], len(shape), size)
        else:
            whole = _extents(kernel, space.accesses[-1], len(result), size)[len(result) - len(shape) :]
        found.append([known if known != DYNAMIC else own for known, own in zip(shape, whole, strict=True)])
    return found


def _result_sizes(kernel: KernelView, size: int) -> list[int]:
    """The sizes of results that are arguments of the kernel, in order."""
    found = []
    for value in kernel.returned:
        shape = shape_of(value)
        whole = _extents(kernel, kernel.space.accesses[-1], len(shape), size)
        found += [own for known, own in zip(shape, whole, strict=True) if known == DYNAMIC]
    return found


def _extents(kernel: KernelView, access: Access, rank: int, size: int) -> list[int]:
    """How large a tensor that is accessed so is along each axis."""
    sizes = kernel.space.known(size)
    return [max(axis.span(sizes) - axis.low - axis.high, 1) for axis in axes_of(access, rank)]


def _random(random: np.random.Generator, value: ir.Value, shape: list[int]) -> Array:
    """Normal floats; integers of 8 bits of any value, as codes and quantised numbers are, and small others."""
    dtype = numpy_type(value)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max + 1) if dtype.itemsize == 1 else (0, 4)
        return random.integers(low, high, shape).astype(dtype)
    return np.asarray(random.standard_normal(shape)).astype(dtype)
