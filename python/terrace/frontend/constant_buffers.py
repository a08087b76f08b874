"""Buffers of one integer, which a model branches on as on a number of Python: they are constants while it is traced.

torch.export knows no buffer's value. Of a tensor that is made while a model is traced, of one element, it does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from terrace.errors import ModelImportError


class _Known:
    """Makes the tensor anew at each use; keeps all, to tell whether the model wrote to one."""

    def __init__(self, name: str, value: torch.Tensor) -> None:
        self.name, self.number, self.type, self.shape = name, value.item(), value.dtype, value.shape
        self.made: list[torch.Tensor] = []

    def get(self, module: torch.nn.Module) -> torch.Tensor:
        made = torch.tensor(self.number, dtype=self.type).reshape(self.shape)
        self.made.append(made)
        return made


@contextlib.contextmanager
def integer_buffers_known(model: torch.nn.Module) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """Let buffers of one integer be constants; gives their names and them. `model` is as it was afterwards.

    Raises `ModelImportError` for one that the model writes to.
    """
    found = [
        (module, _Known(name, value), value)
        for module in model.modules()
        for name, value in module.named_buffers(recurse=False)
        if value.numel() == 1 and not value.is_floating_point() and not value.is_complex()
    ]
    with contextlib.ExitStack() as stack:
        for module, known, _ in found:
            stack.enter_context(_replaced(module, known))
        yield [(known.name, value) for _, known, value in found]
        written = [known.name for _, known, _ in found if any(value._version for value in known.made)]
    if written:
        raise ModelImportError(f"the model branches on its integer buffers, and writes to one: '{written[0]}'")


@contextlib.contextmanager
def _replaced(module: torch.nn.Module, known: _Known) -> Iterator[None]:
    """`module` with a property in place of a buffer: for that time it has a class of its own, under the same name."""
    own, buffers = module.__class__, dict(module._buffers)
    del module._buffers[known.name]
    module.__class__ = type(own.__name__, (own,), {known.name: property(known.get), "__module__": own.__module__})
    try:
        yield
    finally:
        module.__class__ = own
        module._buffers.clear()
        module._buffers.update(buffers)
