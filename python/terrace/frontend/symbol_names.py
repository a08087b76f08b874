"""What a program calls its parameters, buffers and constants: their names in the model, each of one tensor.

Where several programs become one, a tensor that they share is one parameter, and a buffer that one of them writes to is
the state of all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from terrace.errors import ModelImportError
from terrace.frontend.complex_values import as_real
from terrace.frontend.float8 import is_float8
from terrace.signature import COMPLEX, DTYPES, dtype_name

Identity = tuple[object, ...]
"""Equal for tensors that are the same one."""


@dataclasses.dataclass(frozen=True)
class Symbol:
    """What a placeholder that is no argument stands for: a parameter, or the state that starts as a copy of it."""

    parameter: str
    state: str | None = None


@dataclasses.dataclass
class SymbolNames:
    """The symbols of one program. `names` are those of its tensors where they are not what the model calls them;
    `states` are those of its tensors that are state; `prefix` is before what neither knows.

    `parameters` are the tensors of the symbols that were asked for. These and `keys`, their symbols, are those of all
    programs that become one.
    """

    exported: ExportedProgram
    states: Mapping[str, str]
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    prefix: str = ""
    parameters: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)
    keys: dict[Identity, str] = dataclasses.field(default_factory=dict)

    @staticmethod
    def alone(exported: ExportedProgram) -> SymbolNames:
        """Those of a program in functional form that is alone."""
        return SymbolNames(exported, {state: state for state in written_buffers(exported)})

    def symbol_of(self, target: str) -> Symbol:
        """The symbol of the tensor called `target` in the model, which is then among `parameters`."""
        tensor = tensor_of(self.exported, target)
        require_plain(f"the model's '{target}'", tensor)
        if target in self.states:
            if is_float8(tensor.dtype):
                raise ModelImportError(
                    f"the model writes to its buffer '{target}', which is {dtype_name(tensor)}: keep it in bfloat16"
                )
            # Two mutable buffers of a program never become one, and none is one with a parameter.
            state = self.states[target]
            self.parameters[initial_name(state)] = tensor
            return Symbol(initial_name(state), state)
        tensor = tensor.view(torch.uint8) if is_float8(tensor.dtype) else tensor
        name = self.names.get(target, self.prefix + target)
        key = self.keys.setdefault(tensor_identity(tensor), parameter_name(name))
        self.parameters.setdefault(key, tensor)
        return Symbol(key)

    def all_symbols(self, states: Iterable[str]) -> dict[str, torch.Tensor]:
        """What any `graph.parameter` may stand for, by its name, where these are the states."""
        named = {self.names.get(target, target): tensor for target, tensor in tensors_of(self.exported).items()}
        initial = {initial_name(state): named[state] for state in states if state in named}
        return {**{parameter_name(name): tensor for name, tensor in named.items()}, **initial}


def shared_names(programs: Mapping[str, ExportedProgram]) -> dict[str, dict[str, str]]:
    """For each program, by its name, the names of its tensors: one for a tensor that several share.

    That is the name in the first program that has it; where another tensor has that name, the program's is put before.
    """
    known: dict[Identity, list[str]] = {}
    taken: set[str] = set()
    found: dict[str, dict[str, str]] = {}
    for program, exported in programs.items():
        own: dict[str, str] = {}
        for target, tensor in tensors_of(exported).items():
            if tensor.layout != torch.strided:
                continue  # It is refused when it is read.
            names = known.setdefault(tensor_identity(tensor), [])
            shared = [name for name in names if name not in own.values()]
            if not shared:
                shared = [target if target not in taken else f"{program}.{target}"]
                names += shared
                taken.update(shared)
            own[target] = target if target in shared else shared[0]
        found[program] = own
    return found


def check_apart(parameters: Mapping[str, torch.Tensor], states: Iterable[str]) -> None:
    """Raise `ModelImportError` for a state that shares memory with another parameter or state, but is not the same."""
    spans = {name: memory_span(tensor) for name, tensor in parameters.items() if tensor.numel()}
    for state in states:
        storage, first, end = spans.get(initial_name(state), (0, 0, 0))
        for name, (other, start, stop) in spans.items():
            if name != initial_name(state) and other == storage and start < end and first < stop:
                raise ModelImportError(
                    f"the model writes to its buffer '{state}', which shares memory with '{name}': make one a clone"
                )


def memory_span(tensor: torch.Tensor) -> tuple[int, int, int]:
    """The storage that a tensor with elements lies in, and the first and the last byte, plus one, that it may have."""
    first = int(tensor.storage_offset()) * tensor.itemsize
    last = sum((int(size) - 1) * int(stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.untyped_storage().data_ptr(), first, first + (last + 1) * tensor.itemsize


def written_buffers(exported: ExportedProgram) -> list[str]:
    """The buffers that a program in functional form writes to, in the order of their new values."""
    return [str(target) for target in exported.graph_signature.buffers_to_mutate.values()]


def parameter_name(target: str) -> str:
    """The symbol of a parameter that is no state; @main is the function's."""
    return "main.parameter" if target == "main" else target


def initial_name(state: str) -> str:
    """The symbol of what a mutable buffer starts as."""
    return f"{state}.initial"


def tensor_identity(tensor: torch.Tensor) -> tuple[object, ...]:
    """Equal for tensors that are the same one."""
    place = tensor.untyped_storage().data_ptr(), tensor.storage_offset()
    return (*place, tensor.shape, tensor.stride(), tensor.dtype)


def tensor_of(exported: ExportedProgram, target: str) -> torch.Tensor:
    """A parameter, buffer or constant; a complex one as the real one that stands for it.

    Buffers that are not persistent, and constants, are in no state dictionary.
    """
    state = exported.state_dict
    found = state[target] if target in state else exported.constants[target]
    assert isinstance(found, torch.Tensor)
    return as_real(found.detach())


UNKNOWN_TO_IMPORTER = ("uint16", "uint64")
"""Element types that a program may have, and that torch-mlir does not import."""


def require_plain(what: str, tensor: torch.Tensor) -> None:
    """Raise `ModelImportError` that names `what` if `tensor` is none that a program can take or give."""
    if tensor.layout != torch.strided:
        layout = str(tensor.layout).removeprefix("torch.").removeprefix("_")
        raise ModelImportError(f"{what} is a sparse tensor ({layout}), which is not supported: call .to_dense() on it")
    known = [dtype for dtype in (*DTYPES, *COMPLEX) if dtype not in UNKNOWN_TO_IMPORTER]
    if dtype_name(tensor) not in known:
        raise ModelImportError(
            f"{what} is {dtype_name(tensor)}, which is not supported: convert it, to one of {', '.join(known)}"
        )


def tensors_of(exported: ExportedProgram) -> dict[str, torch.Tensor]:
    """All parameters, buffers and constants, by their names in the model."""
    kinds = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
    targets = [str(spec.target) for spec in exported.graph_signature.input_specs if spec.kind in kinds]
    return {target: tensor_of(exported, target) for target in targets}
