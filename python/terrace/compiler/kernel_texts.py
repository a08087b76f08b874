"""One kernel of a model at every level, cut out of the texts that the model carries: see `KernelLevels`."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from terrace.compiler.schedule_reasons import reasons
from terrace.dialects.base import to_python
from terrace.dialects.context import create_context
from terrace.levels import LEVELS
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL
from terrace.lowering.conversion.convert_graph_to_kernel import ConvertGraphToKernel
from terrace.lowering.kernels.read_kernel import calls_of, read_kernel
from terrace.lowering.kernels.view import is_kernel
from terrace.lowering.target.backend import backend_of
from terrace.mlir import func, ir, walk
from terrace.parsing import parse
from terrace.passes import run_passes
from terrace.target import Target

ASSEMBLY = "assembly"
"""The lowest level: what LLVM made of the kernel."""


class KernelLevels:
    """The kernels of a model by name, each at every level that the model's texts reach.

    `texts` are those of the model's levels, `target` the resolved target it was compiled for, `flags` more than the
    target's own for iree-compile. The levels are, from the top: "graph", the group of ops that became the kernel;
    "kernel", the function with its schedule; "loop", the loops that its generator made; the target's name, the code for
    its vectors or arrays, the last that Terrace makes; and, where there is any, "assembly".
    """

    def __init__(self, texts: Mapping[str, str], target: Target, flags: Sequence[str]) -> None:
        self._texts = texts
        self._target = target
        self._backend = backend_of(target)
        self._flags = flags

    @property
    def levels(self) -> list[str]:
        """The levels that a kernel has, from the top."""
        found = [level for level in LEVELS if level in self._texts]
        if "loop" in found:
            found += [self._target.name, *[ASSEMBLY] * self._backend.has_assembly]
        return found

    @property
    def has_reasons(self) -> bool:
        """Whether there is a cost model that compares schedules."""
        return "kernel" in self._texts and self._backend.machine is not None

    @functools.cached_property
    def names(self) -> list[str]:
        """The kernels, in the order in which they are first launched."""
        level = next(level for level in ("kernel", "loop") if level in self._texts)
        functions = self._functions(level)
        launched = [
            str(to_python(op.attributes["callee"]))
            for op in walk(self._module(level).operation)
            if op.name == "func.call"
        ]
        return [name for name in dict.fromkeys(launched) if name in functions]

    def text(self, name: str, level: str) -> str:
        """The kernel `name` at a level; empty if nothing of it can be found there."""
        if level == "graph":
            return self._groups.get(name, "")
        if level == self._target.name:
            return self._lowered([name])[name]
        if level == ASSEMBLY:
            return split_assembly(self._assembly((name,))).get(name, "")
        return self._functions(level).get(name, "")

    def all_texts(self) -> dict[str, dict[str, str]]:
        """Every kernel at every level; iree-compile runs once."""
        lowered = self._lowered(self.names) if self._target.name in self.levels else {}
        assembly = split_assembly(self._assembly(None)) if ASSEMBLY in self.levels else {}
        found = {}
        for name in self.names:
            texts = {level: self.text(name, level) for level in self.levels if level in LEVELS}
            texts |= {self._target.name: lowered.get(name, ""), ASSEMBLY: assembly.get(name, "")}
            found[name] = {level: text for level, text in texts.items() if text}
        return found

    def reasons(self, name: str) -> list[str]:
        """Why the kernel has its schedule, in lines; empty where no cost model compares."""
        machine = self._backend.machine
        if "kernel" not in self._texts or machine is None:
            return []
        module = self._module("kernel")
        with module.context, ir.Location.unknown():
            function = next(f for f in _functions_of(module.operation) if f.name.value == name)
            return reasons(read_kernel(function, calls_of(module.operation)), machine)

    # -- how --------------------------------------------------------------------------------------------------------

    @functools.cache  # noqa: B019 - the object lives for one dump or one explanation
    def _module(self, level: str) -> ir.Module:
        context = create_context()
        context.allow_unregistered_dialects = True
        return parse(self._texts[level], context, f"ir/{level}.mlir")

    @functools.cache  # noqa: B019
    def _functions(self, level: str) -> dict[str, str]:
        """The text of each kernel function of a level."""
        functions = _functions_of(self._module(level).operation)
        is_program = level == self._backend.level
        return {f.name.value: _print(f.operation) for f in functions if is_program or _is_own(f)}

    @functools.cached_property
    def _groups(self) -> dict[str, str]:
        """The group that each kernel was made of, found by making the kernels again: a launch keeps its location."""
        if "graph" not in self._texts:
            return {}
        module = self._module("graph")
        found: dict[str, str] = {}
        with module.context, ir.Location.unknown():
            groups = []
            for function in _functions_of(module.operation):
                for operation in walk(function.operation):
                    if operation.parent.name != "graph.fusion" and operation.name.startswith("graph."):
                        groups.append(_print(operation))
                        operation.location = ir.Location.name(f"group {len(groups) - 1}")
            copy = module.operation.clone()
            own = self._backend
            run_passes([ConvertGraphToKernel(own.families, own.element_types, own.reduced_types, own.has_views)], copy)
            for operation in walk(copy):
                location = operation.location
                if operation.name == "func.call" and isinstance(location, ir.NameLoc):
                    number = int(location.name_str.removeprefix("group "))
                    found.setdefault(str(to_python(operation.attributes["callee"])), groups[number])
        return found

    def _launching(self, names: Sequence[str]) -> ir.Module:
        """The loop level of these kernels only, in a module of its own, whose @main launches each once."""
        context = create_context()
        module = parse(self._texts["loop"], context, "ir/loop.mlir")
        with context, ir.Location.unknown():
            for view in list(module.body.operations):
                own = isinstance(view, func.FuncOp) and view.name.value in names and _is_own(view)
                if not own:
                    view.operation.erase()
            kernels = _functions_of(module.operation)
            inputs = [type_ for kernel in kernels for type_ in kernel.type.inputs]
            results = [type_ for kernel in kernels for type_ in kernel.type.results]
            with ir.InsertionPoint(module.body):
                main = func.FuncOp("main", (inputs, results))
            with ir.InsertionPoint(main.add_entry_block()):
                arguments = list(main.entry_block.arguments)
                returned: list[ir.Value] = []
                for kernel in kernels:
                    count = len(kernel.type.inputs)
                    returned += func.CallOp(kernel, arguments[:count]).results
                    arguments = arguments[count:]
                func.ReturnOp(returned)
        return module

    def _lowered(self, names: Sequence[str]) -> dict[str, str]:
        """The kernels at the lowest level that is ours."""
        own = self._backend.kernel_passes()
        if own is None:
            return {name: self._functions(self._backend.level).get(name, "") for name in names}
        module = self._launching(names)
        with module.context, ir.Location.unknown():
            run_passes(own, module.operation)
            return {f.name.value: _print(f.operation) for f in _functions_of(module.operation)}

    def _assembly(self, names: Sequence[str] | None) -> str:
        """The assembly of these kernels, compiled by themselves, or of the whole program."""
        if names is None and self._backend.level in self._texts:
            return self._assembled(self._texts[self._backend.level], self._module("loop"))
        module = self._launching(self.names if names is None else names)
        with module.context, ir.Location.unknown():
            lowered = module.operation.clone()
            run_passes(self._backend.lower(), lowered)
            return self._assembled(self._backend.text(lowered), module)

    def _assembled(self, text: str, loops: ir.Module) -> str:
        return self._backend.assembly(text, [*self._backend.iree_flags(loops.operation), *self._flags])


def _functions_of(module: ir.Operation) -> list[Any]:
    return [op for op in module.regions[0].blocks[0].operations if isinstance(op, func.FuncOp)]


def _is_own(function: func.FuncOp) -> bool:
    return is_kernel(function) or LOOP_KERNEL in function.attributes


def _print(operation: ir.Operation) -> str:
    return f"{operation.get_asm(assume_verified=True).rstrip()}\n"


def split_assembly(text: str) -> dict[str, str]:
    """The functions of a GNU assembler file by name, without the directives that only a debugger or linker reads."""
    found: dict[str, list[str]] = {}
    name: str | None = None
    for line in text.splitlines():
        if name is None and line and not line[0].isspace() and line[0] not in ".#":
            name = line.partition(":")[0].strip('"')
            found[name] = []
        if line.startswith(".Lfunc_end"):
            name = None
        word = line.strip().partition("\t")[0].partition(" ")[0]
        is_directive = word.startswith(".") and not word.endswith(":")
        if name is not None and not is_directive:
            found[name].append(line)
    return {name: "\n".join(lines) + "\n" for name, lines in found.items()}
