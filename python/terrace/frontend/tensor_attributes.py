"""Tensors that modules hold as plain attributes: what `forward` makes of them is kept from call to call, as of buffers.

torch.export forgets what is assigned to such an attribute, with a warning, and refuses to write into one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
import torch.utils._pytree
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.nn.modules.module import register_module_buffer_registration_hook

from terrace.errors import ModelImportError

aten = torch.ops.aten

Attributes = Mapping[tuple[torch.nn.Module, str], torch.Tensor]
"""Tensors by the module that has them and their name there."""


def export_with_attributes(model: torch.nn.Module, export: Callable[[], ExportedProgram]) -> ExportedProgram:
    """What `export` gives with the tensors among the attributes of `model` as buffers, where their values are kept.

    They are not kept of an attribute that is assigned before it is read: nobody sees them. One that gets another
    shape, as a table that grows, keeps its first value, and PyTorch warns of it: a state has one shape. Raises
    `ModelImportError` for a buffer that gets another shape.
    """
    attributes = tensor_attributes(model)
    with as_buffers(attributes):
        exported = export()
    grown = {place_of(model, name) for name in reshaped_buffers(exported)}
    kept = {place: value for place, value in attributes.items() if place not in grown}
    if len(kept) < len(attributes):
        with as_buffers(kept):
            exported = export()
    forget_unread(exported, {name for name in buffers_of(exported) if place_of(model, name) in kept})
    reshaped = reshaped_buffers(exported)
    if reshaped:
        raise ModelImportError(
            f"'{min(reshaped)}' of {type(model).__name__}, a buffer, gets another shape in the call; a compiled model"
            " keeps the shapes of its states: make it as large as it will be before compiling"
        )
    return exported


def tensor_attributes(model: torch.nn.Module) -> Attributes:
    return {
        (module, name): value
        for module in model.modules()
        for name, value in vars(module).items()
        if isinstance(value, torch.Tensor) and not isinstance(module, torch.jit.ScriptModule)
    }


def place_of(model: torch.nn.Module, name: str) -> tuple[torch.nn.Module, str]:
    """The module that has the buffer of this name, which may have several, and what it calls it."""
    path, _, last = name.rpartition(".")
    return model.get_submodule(path), last


@contextlib.contextmanager
def as_buffers(attributes: Attributes) -> Iterator[None]:
    try:
        for (module, name), value in attributes.items():
            del vars(module)[name]
            module.register_buffer(name, value, persistent=False)
        yield
    finally:
        for (module, name), value in attributes.items():
            module._buffers.pop(name, None)
            module._non_persistent_buffers_set.discard(name)
            vars(module)[name] = value


@contextlib.contextmanager
def assigned_values_apart(model: torch.nn.Module) -> Iterator[None]:
    """Let what is assigned to a buffer, and what a model returns that assigns to some, be copies while PyTorch traces.

    It writes the assigned values into the buffers at the end of the program. What is the old value of a buffer, or a
    view of it, would be the new one then; and an input that is assigned it refuses.
    """
    assigned = list[str]()
    # PyTorch's tracer puts constants into modules of its own, while it goes through the ops that it has noted: a copy
    # noted there would never end.
    own = set(model.modules())

    def assign(module: torch.nn.Module, name: str, value: torch.Tensor | None) -> torch.Tensor | None:
        if module not in own or value is None or module._buffers.get(name) is None:
            return value
        assigned.append(name)
        return value.clone()

    def give(module: torch.nn.Module, inputs: object, results: object) -> object:
        return torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, results) if assigned else results

    assigning: Any = assign  # PyTorch's annotation leaves out what a hook may return.
    hooks = register_module_buffer_registration_hook(assigning), model.register_forward_hook(give)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def buffers_of(exported: ExportedProgram) -> dict[str, torch.fx.Node]:
    """The placeholder of each buffer, by the buffer's name."""
    placeholders = {node.name: node for node in exported.graph.find_nodes(op="placeholder")}
    specs = [spec for spec in exported.graph_signature.input_specs if spec.kind == InputKind.BUFFER]
    return {str(spec.target): placeholders[spec.arg.name] for spec in specs}


def assignments_to(buffer: torch.fx.Node) -> list[torch.fx.Node]:
    """The ops that stand for `self.buffer = value`: the whole of it is written."""
    return [user for user in buffer.users if user.target is aten.copy_.default and user.args[0] is buffer]


def forget_unread(exported: ExportedProgram, names: Collection[str]) -> None:
    """Drop the assignments to those of the buffers `names` of which nothing else is made."""
    for name, node in buffers_of(exported).items():
        assignments = assignments_to(node)
        if name in names and len(assignments) == len(node.users) and not any(each.users for each in assignments):
            for assignment in assignments:
                exported.graph.erase_node(assignment)


def reshaped_buffers(exported: ExportedProgram) -> set[str]:
    return {
        name
        for name, node in buffers_of(exported).items()
        if any(differs(node, user.args[1]) for user in assignments_to(node))
    }


def differs(buffer: torch.fx.Node, value: object) -> bool:
    """Whether a value is of more elements than the buffer, or of other sizes; fewer are broadcast by `copy_`."""
    if not isinstance(value, torch.fx.Node):
        return False
    shape, own = (node.meta["val"].shape for node in (value, buffer))
    return len(shape) > len(own) or any(a != b for a, b in zip(reversed(shape), reversed(own), strict=False))
