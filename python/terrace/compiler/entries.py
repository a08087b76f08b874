"""Several models that become one program: each is a function of it, and what they share is there once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from terrace import progress
from terrace.compiler.model_parameters import Lookup, to_numpy
from terrace.compiler.request import Request
from terrace.compiler.sources import PyTorch, Reading, checks_indices, describe_entry
from terrace.dialects.context import create_context
from terrace.errors import CompileError
from terrace.lowering.debugging.reproducer import reproducing
from terrace.storage.artifact import Artifact
from terrace.storage.parameter_archive import ParameterInfo
from terrace.storage.places import Places

if TYPE_CHECKING:
    import torch

_FIELDS = ("model", "args", "kwargs", "dynamic_shapes")


@dataclasses.dataclass(frozen=True)
class Entries:
    """Models by the names of their functions; see `terrace.compile`."""

    kind: ClassVar[str] = "entries"
    is_text: ClassVar[bool] = False

    models: Mapping[str, PyTorch]

    @staticmethod
    def of(given: Mapping[str, Any]) -> Entries:
        """What a user gives. Raises CompileError."""
        if not given:
            raise CompileError("no entry is given; name at least one: {'decode': (model, args)}")
        return Entries({_checked(name): _model_of(name, value) for name, value in given.items()})

    def exported(self) -> dict[str, torch.export.ExportedProgram]:
        return {name: model.exported() for name, model in self.models.items()}

    def content(self, request: Request) -> str | None:
        from terrace.frontend import fingerprint, shared_names

        exported = self.exported()
        names, texts = shared_names(exported), {name: fingerprint(program) for name, program in exported.items()}
        whole = [f"entry {name} {names[name]}\n{text}" for name, text in texts.items() if text]
        return None if len(whole) < len(texts) else "\n".join([f"check_indices {checks_indices(request)}", *whole])

    def places(self) -> Places:
        from terrace.frontend import lines_of

        return Places(line for program in self.exported().values() for line in lines_of(program.graph_module))

    def lookup(self, found: Artifact, wanted: Mapping[str, ParameterInfo]) -> Lookup | None:
        from terrace.frontend import SymbolNames, shared_names

        exported, states = self.exported(), [state.name for state in found.states]
        symbols: dict[str, torch.Tensor] = {}
        for name, names in shared_names(exported).items():
            symbols.update(SymbolNames(exported[name], {}, names).all_symbols(states))
        return functools.partial(_found, symbols) if wanted.keys() <= symbols.keys() else None

    def read(self, request: Request) -> Reading:
        from terrace.frontend import import_entries

        exported = self.exported()
        with progress.stage("import"), reproducing(request.reproducer_dir):
            found = import_entries(exported, context=create_context(), check_indices=checks_indices(request))
        for model in found:
            describe_entry(model)
        return Reading(found[0].module, functools.partial(_found, found[0].parameters), request.resolved())


def _found(symbols: Mapping[str, torch.Tensor], key: str) -> Any:
    return to_numpy(key, symbols[key])


def _checked(name: Any) -> str:
    """A name that a function of a program can have. Raises CompileError."""
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii() or name.startswith("_"):
        raise CompileError(f"an entry is called {name!r}; give it a name as functions of Python have, such as 'decode'")
    return name


def _model_of(name: str, value: Any) -> PyTorch:
    """The model that a user gave for an entry. Raises CompileError."""
    known = ", ".join(_FIELDS)
    if isinstance(value, Mapping) and {"model"} <= value.keys() <= set(_FIELDS):
        return PyTorch(**value)
    if isinstance(value, tuple) and 0 < len(value) <= len(_FIELDS):
        return PyTorch(*value)
    if hasattr(value, "forward") or hasattr(value, "graph_signature"):
        return PyTorch(value)
    raise CompileError(
        f"entry {name!r} is no model: give an ExportedProgram, or ({known}), of which the last may be left out, as a"
        f" tuple or a dict; got {_kind(value)}"
    )


def _kind(value: Any) -> str:
    keys: Iterable[str] = map(str, value) if isinstance(value, Mapping) else ()
    return f"a dict of {', '.join(keys)}" if isinstance(value, Mapping) else type(value).__name__
