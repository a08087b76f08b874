"""Programs of the graph dialect with many results, to compile once and to hold against float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import terrace
from graph_reference import run_function
from terrace.dialects.context import create_context
from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.graph.evaluation.arrays import widen
from terrace.lowering.kernels.packing import Packing
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import is_kernel, schedule_op
from terrace.mlir import DYNAMIC, func, ir, parse_module
from terrace.runtime.model import CompiledModel

MLIR_NAMES = {row.dtype: row.name for row in ELEMENT_TYPES.values()}
RTOL, ATOL = 2e-6, 1e-6
"""A result y of f32 may be RTOL * max|y| + ATOL from float64: sums of a few hundred products of numbers below 1."""


class Program:
    """A module with one function, @main, which grows while the program is entered.

    An axis in `dynamic` is `?` in the type of an argument; its size in the array is that of the first call. Arrays of
    float32 are stored as `storage`.
    """

    def __init__(self, storage: Any = np.float32) -> None:
        self.storage = storage
        self.context = create_context()
        self.inputs: list[np.ndarray] = []
        self.parameters: dict[str, np.ndarray] = {}
        self.names: list[str] = []
        self._results: list[ir.Value] = []
        with self.context, ir.Location.unknown():
            self.module = ir.Module.create()
            with ir.InsertionPoint(self.module.body):
                self._main = func.FuncOp("main", ([], []))
        self._block = self._main.add_entry_block()
        self._scopes: list[Any] = []

    def __enter__(self) -> Program:
        self._scopes = [self.context, ir.Location.unknown(self.context), ir.InsertionPoint(self._block)]
        for scope in self._scopes:
            scope.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            func.ReturnOp(self._results)
            types = [a.type for a in self._block.arguments], [r.type for r in self._results]
            self._main.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(*types))
        for scope in reversed(self._scopes):
            scope.__exit__(*error)

    def argument(self, array: np.ndarray, dynamic: Sequence[int] = ()) -> ir.Value:
        array = self._stored(array)
        self.inputs.append(array)
        shape = [DYNAMIC if axis in dynamic else size for axis, size in enumerate(array.shape)]
        return self._block.add_argument(_type(shape, array), ir.Location.unknown())

    def parameter(self, array: np.ndarray) -> ir.Value:
        name, array = f"p{len(self.parameters)}", self._stored(array)
        self.parameters[name] = array
        type_ = _type(array.shape, array)
        with ir.InsertionPoint.at_block_begin(self.module.body):
            attributes = {"sym_name": ir.StringAttr.get(name), "type": ir.TypeAttr.get(type_)}
            ir.Operation.create("graph.parameter", attributes=attributes)
        return ir.Operation.create(
            "graph.load", [type_], attributes={"symbol": ir.FlatSymbolRefAttr.get(name)}
        ).results[0]

    def _stored(self, array: np.ndarray) -> np.ndarray:
        return array.astype(self.storage) if array.dtype == np.float32 else array

    def result(self, name: str, value: ir.Value) -> ir.Value:
        self.names.append(name)
        self._results.append(value)
        return value

    @property
    def text(self) -> str:
        return str(self.module)

    def compile(self, target: str | terrace.Target = "cpu", text: str | None = None, **options: Any) -> CompiledModel:
        """Compile the program, or `text`, another level of it."""
        return terrace.compile_mlir(text or self.text, self.parameters, target=target, options=options)

    def expected(self, inputs: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
        """The results in float64."""
        wide = [widen(array) for array in (self.inputs if inputs is None else inputs)]
        with self.context, np.errstate(all="ignore"):
            module = parse_module(self.text, self.context)
            return run_function(module, wide, self.parameters)

    def results(self, compiled: CompiledModel, inputs: Sequence[np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """The results of a compiled program, by name."""
        outputs = compiled(*(self.inputs if inputs is None else inputs))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return dict(zip(self.names, outputs, strict=True))

    def check(self, compiled: CompiledModel, inputs: Sequence[np.ndarray] | None = None, *, each: bool = False) -> None:
        """Hold every result of `compiled` against float64; with `each`, every element to its own magnitude."""
        for (name, actual), wanted in zip(self.results(compiled, inputs).items(), self.expected(inputs), strict=True):
            assert actual.shape == wanted.shape, name
            if actual.dtype.kind != "f":
                np.testing.assert_array_equal(actual, wanted, err_msg=name)
                continue
            with np.errstate(over="ignore"):
                rounded = wanted.astype(actual.dtype)
            largest = np.abs(rounded[np.isfinite(rounded)], dtype=np.float64).max(initial=0.0)
            rtol, atol = (RTOL, ATOL) if each else (0, RTOL * largest + ATOL)
            np.testing.assert_allclose(actual, rounded, rtol, atol, err_msg=name)


def _type(shape: Sequence[int], array: np.ndarray) -> ir.Type:
    return ir.RankedTensorType.get(list(shape), ir.Type.parse(MLIR_NAMES[array.dtype.name]))


def foreign_rows(compiled: CompiledModel) -> list[str]:
    """What Terrace did not run although it computes, with the reasons."""
    return [f"{row['op']}: {row['why']}" for row in compiled.report().rows if row["by"] != "terrace"]


def schedules_of(compiled: CompiledModel) -> dict[str, Schedule]:
    """The schedule of each kernel, by the kernel's name."""
    with create_context() as context:
        module = parse_module(compiled.ir("kernel"), context)
        found = {}
        for function in module.body.operations:
            if is_kernel(function):
                op = schedule_op(function)
                found[function.name.value] = Schedule.from_attribute(op.schedule)
        return found


def recut(
    schedule: Schedule,
    tile: Mapping[str, int] | None = None,
    block: Mapping[str, int] | None = None,
    parallel: Sequence[str] | None = None,
    packed: Mapping[str, Packing] | None = None,
    staged: Sequence[str] | None = None,
    leaves: Mapping[str, Packing] | None = None,
) -> Schedule:
    """The schedule with other cuts; what is not given stays, but in parallel are blocks only."""
    local = schedule.cut("local")
    block = local.sizes if block is None else block
    return Schedule.of(
        schedule.cut("register").sizes if tile is None else tile,
        block,
        [name for name in local.parallel if name in block] if parallel is None else parallel,
        schedule.packed if packed is None else packed,
        schedule.staged if staged is None else staged,
        local.leaves if leaves is None else leaves,
        variant=schedule.variant,
    )


def edited(text: str, changes: Mapping[str, Schedule]) -> str:
    """Kernel text in which the named kernels have other schedules."""
    with create_context() as context, ir.Location.unknown():
        module = parse_module(text, context)
        kernels = {function.name.value: function for function in module.body.operations if is_kernel(function)}
        for name, schedule in changes.items():
            op = schedule_op(kernels[name])
            op.operation.attributes["schedule"] = schedule.to_attribute()
        assert module.operation.verify()
        return str(module)


def loops_of(text: str) -> dict[str, str]:
    """The loop function of each kernel, as text, in the text of the loop level."""
    with create_context() as context:
        module = parse_module(text, context)
        return {
            function.name.value: str(function)
            for function in module.body.operations
            if isinstance(function, func.FuncOp) and "loop.kernel" in function.attributes
        }
