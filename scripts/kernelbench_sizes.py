"""Sizes of KernelBench's problems that a few CPU cores run in seconds.

A problem is a file with constants, a `Model`, `get_init_inputs` and `get_inputs`. Constants are halved while a problem
is too much: first the largest that the model's parameters depend on, until these are few; then, until it computes
little, those that only its inputs depend on, the batch down to 2 before the others. What a problem does at sizes is
found with fake tensors. Problems for which this rule is not enough have their constants in `kernelbench_sizes.json`.
"""

from __future__ import annotations

import ast
import builtins
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

PARAMETERS, ELEMENTS, OPERATIONS = 20_000_000, 32_000_000, 16_000_000_000
"""What a problem may have: parameters, elements that its ops write, and floating-point operations."""
LEAST = 1024
"""Constants that parameters depend on are halved down to this: smaller ones are group counts and kernel sizes."""
Namespace = dict[str, Any]
Sizes = dict[str, Any]
GIVEN: dict[str, Sizes] = json.loads(Path(__file__).with_suffix(".json").read_text())


class Problem:
    """A file of KernelBench's, whose constants can be other ones."""

    def __init__(self, path: Path) -> None:
        self.name = f"{path.parent.name}/{path.stem}"
        self.tree = ast.parse(path.read_text(), filename=str(path))
        self.original = self.load({})
        init, inputs, model = (set(self.numbers(name)) for name in ("get_init_inputs", "get_inputs", "Model"))
        self.of_parameters, self.of_inputs = init, inputs - init - model

    def load(self, sizes: Sizes) -> Namespace:
        """What the file defines, with `sizes` for the constants of their names."""
        namespace: Namespace = {"__name__": self.name}
        for statement in self.tree.body:
            exec(compile(ast.Module([statement], []), self.name, "exec"), namespace)
            namespace.update({name: sizes[name] for name in stored(statement) if name in sizes})
        return namespace

    def numbers(self, name: str) -> Iterator[str]:
        """The integers that a definition of the file depends on and that themselves depend on no other definition."""
        found: set[str] = set()
        for statement in self.tree.body:
            if getattr(statement, "name", None) == name or (
                isinstance(statement, ast.Assign) and name in stored(statement)
            ):
                found |= read(statement) - stored(statement) - set(dir(builtins))
        found = {other for other in found if other in self.original and other != name}
        if not found and type(self.original[name]) is int:
            yield name
        for other in found:
            yield from self.numbers(other)

    def smaller(self) -> Sizes:
        """The constants to run with, but for those that stay as they are."""
        if self.name in GIVEN:
            return GIVEN[self.name]
        sizes: Sizes = {}
        batch = {name for name in self.of_inputs if name == "batch_size"}
        self.halve(sizes, self.of_parameters, LEAST, lambda cost: cost.parameters > PARAMETERS)
        for names, least in ((batch, 2), (self.of_inputs, 1)):
            self.halve(sizes, names, least, lambda cost: cost.elements > ELEMENTS or cost.operations > OPERATIONS)
        return sizes

    def halve(self, sizes: Sizes, names: set[str], least: int, too_much: Callable[[Cost], bool]) -> None:
        """Halve the largest of the constants `names` that the problem still runs with, until it is not too much."""
        names = set(names)
        while names and too_much(Cost(self.load(sizes))):
            now = {name: sizes.get(name, self.original[name]) for name in sorted(names)}
            name = max(now, key=lambda name: now[name])
            if now[name] // 2 < least:
                return
            try:
                Cost(self.load({**sizes, name: now[name] // 2}))
            # At sizes that do not fit each other it may raise anything.
            except Exception:
                names.remove(name)
            else:
                sizes[name] = now[name] // 2


def stored(statement: ast.AST) -> set[str]:
    """The names that a statement assigns to, inside too, and those of parameters."""
    nodes = list(ast.walk(statement))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return names | {node.arg for node in nodes if isinstance(node, ast.arg)}


def read(statement: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


class Cost(TorchDispatchMode):
    """What a problem has and does: parameters, elements that ops write, floating-point operations."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__()
        self.elements = 0
        with FakeTensorMode(), torch.no_grad():
            model = namespace["Model"](*namespace["get_init_inputs"]()).eval()
            inputs = namespace["get_inputs"]()
            self.parameters = sum(value.numel() for value in (*model.parameters(), *model.buffers()))
            with FlopCounterMode(display=False) as counter, self:
                model(*inputs)
        self.operations = counter.get_total_flops()
        self.elements += sum(value.numel() for value in tree_leaves(inputs) if torch.is_tensor(value))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.elements += sum(value.numel() for value in tree_leaves(result) if torch.is_tensor(value))
        return result


# A size that does not fit is tried, not reported.
logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
