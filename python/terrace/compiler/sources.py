"""What is compiled: a model of PyTorch's, a graph that was imported from one, or the text of any level."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from terrace import progress
from terrace.compiler.model_parameters import Lookup, ParameterMap, lookup_of, to_numpy
from terrace.compiler.module_interface import SIGNATURE, check_signature, declared, entries_of, symbols_of_kind
from terrace.compiler.request import Request
from terrace.dialects.base import to_attribute
from terrace.dialects.context import create_context
from terrace.errors import CompileError, MissingPackageError
from terrace.lowering.analysis.symbolic_sizes import EXAMPLE_SHAPES
from terrace.lowering.debugging.reproducer import reproducing
from terrace.lowering.pipeline.verify_text import verify_text
from terrace.lowering.target.backend import Backend, backend_of, backends
from terrace.lowering.target.description import target_of
from terrace.mlir import ir, load_torch_dialects, walk
from terrace.origins import origins_of
from terrace.parsing import parse
from terrace.passes import line_of
from terrace.storage.artifact import Artifact
from terrace.storage.parameter_archive import ParameterInfo
from terrace.storage.places import Places
from terrace.target import Target

if TYPE_CHECKING:
    import torch

    from terrace.frontend import ImportedModel

DynamicShapes = Mapping[str, Any] | Sequence[Any] | None
"""What torch.export takes for sizes that vary."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """A source as a module. The text of a program is in `program`, of `backend`; `module` is then its interface."""

    module: ir.Module
    lookup: Lookup
    target: Target
    backend: type[Backend] | None = None
    program: str = ""


class ModelSource(Protocol):
    """Something to compile."""

    kind: ClassVar[str]
    """What `content` is: equal texts of two kinds are two things."""

    is_text: ClassVar[bool]
    """Whether anything may stand in it."""

    def content(self, request: Request) -> str | None:
        """All that the result depends on, beside the request, the values of parameters and `places`; None if no text
        can stand for it."""

    def places(self) -> Places:
        """The lines of the user's that it names."""

    def lookup(self, found: Artifact, wanted: Mapping[str, ParameterInfo]) -> Lookup | None:
        """What finds the parameters that `found` wants, the artifact of an equal source; None if it cannot."""

    def read(self, request: Request) -> Reading:
        """The source as a module. Raises CompileError."""


def checks_indices(request: Request) -> bool:
    """Whether the program says that an index is out of range. Hardware has no ops that take one: they are refused."""
    return request.check_indices and backend_of(request.resolved()).checks_indices


@dataclasses.dataclass
class PyTorch:
    """A model that is called as `model(*args, **kwargs)`; `dynamic_shapes` is torch.export's."""

    kind: ClassVar[str] = "model"
    is_text: ClassVar[bool] = False

    model: torch.nn.Module | torch.export.ExportedProgram
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] | None = None
    dynamic_shapes: DynamicShapes = None
    _exported: torch.export.ExportedProgram | None = dataclasses.field(default=None, init=False, repr=False)

    def exported(self) -> torch.export.ExportedProgram:
        """The model as torch.export sees it, once: `functools` would stand between us and the user's line."""
        from terrace.frontend import export_program

        if self._exported is None:
            with progress.stage("export"):
                self._exported = export_program(self.model, self.args, self.kwargs, self.dynamic_shapes)
        return self._exported

    def content(self, request: Request) -> str | None:
        from terrace.frontend import fingerprint

        text = fingerprint(self.exported())
        return None if text is None else f"check_indices {checks_indices(request)}\n{text}"

    def places(self) -> Places:
        from terrace.frontend import lines_of

        return Places(lines_of(self.exported().graph_module))

    def lookup(self, found: Artifact, wanted: Mapping[str, ParameterInfo]) -> Lookup | None:
        from terrace.frontend import SymbolNames

        symbols = SymbolNames(self.exported(), {}).all_symbols([state.name for state in found.states])
        return (lambda key: to_numpy(key, symbols[key])) if wanted.keys() <= symbols.keys() else None

    def read(self, request: Request) -> Reading:
        from terrace.frontend import import_model

        exported = self.exported()
        with progress.stage("import"), reproducing(request.reproducer_dir):
            imported = import_model(exported, context=create_context(), check_indices=checks_indices(request))
        return Imported(imported).read(request)


@dataclasses.dataclass
class Onnx(PyTorch):
    """An ONNX model: a path or a ModelProto. `args` and `kwargs` are example inputs, in order and by name."""

    model: Any

    def exported(self) -> torch.export.ExportedProgram:
        try:
            from terrace.frontend.onnx import export_onnx
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                f"ONNX models need the package onnx, which cannot be imported ({error}): pip install"
                " 'mlir-terrace[onnx]'"
            ) from error

        if self._exported is None:
            with progress.stage("export"):
                self._exported = export_onnx(self.model, self.args, self.kwargs, self.dynamic_shapes)
        return self._exported


@dataclasses.dataclass(frozen=True)
class Imported:
    """A model that the frontend has imported. Its parameters are looked up when a value is asked for."""

    kind: ClassVar[str] = "region"
    is_text: ClassVar[bool] = False

    model: ImportedModel

    def content(self, request: Request) -> str | None:
        module = self.model.module.operation
        # The report calls layers by their origins.
        names = [origin for operation in walk(module) for origin in origins_of(operation.location)]
        return f"{self.model.signature.to_json()}\n{module.get_asm()}\n{names}"

    def places(self) -> Places:
        return Places(line_of(operation.location) for operation in walk(self.model.module.operation))

    def _find(self, key: str) -> np.ndarray:
        return to_numpy(key, self.model.parameters[key])

    def lookup(self, found: Artifact, wanted: Mapping[str, ParameterInfo]) -> Lookup | None:
        return self._find

    def read(self, request: Request) -> Reading:
        describe_entry(self.model)
        return Reading(self.model.module, self._find, request.resolved())


def describe_entry(model: ImportedModel) -> None:
    """Write into a model's function what is known of it."""
    with model.module.context, ir.Location.unknown():
        function = symbols_of_kind(model.module.operation, "func.func")[model.name]
        function.attributes[SIGNATURE] = ir.StringAttr.get(json.dumps(model.signature.to_json()))
        if model.example_shapes:
            function.attributes[EXAMPLE_SHAPES] = to_attribute(model.example_shapes)


@dataclasses.dataclass(frozen=True)
class Text:
    """The text of any level, with its parameters. Diagnostics call it `name`, the file that it is of."""

    kind: ClassVar[str] = "text"
    is_text: ClassVar[bool] = True

    text: str
    parameters: ParameterMap | str | os.PathLike[str] | None = None
    name: str | None = None

    def content(self, request: Request) -> str | None:
        # It may be compiled for the target that it names.
        return f"{'named' if request.target is None else 'given'} target\n{self.text}"

    def places(self) -> Places:
        return Places(())  # Lines in a text are its own.

    def lookup(self, found: Artifact, wanted: Mapping[str, ParameterInfo]) -> Lookup | None:
        return lookup_of(self.parameters, wanted)

    def read(self, request: Request) -> Reading:
        if not isinstance(self.text, str):
            raise CompileError(f"expected the text of a level as a str, got {type(self.text).__name__}")
        module, backend = parse_level(self.text, self.name, request.target)
        if backend is None:
            verify_text(module.operation)
            for function in entries_of(module.operation).values():
                check_signature(function)
        lookup = lookup_of(self.parameters, declared(module.operation, backend))
        target = request.resolved(target_of(module.operation))
        return Reading(module, lookup, target, backend, self.text if backend is not None else "")


def context_of_text() -> ir.Context:
    """A context for any text of ours, which may hold ops of torch-mlir's, such as scans."""
    context = create_context()
    load_torch_dialects(context)
    context.allow_unregistered_dialects = True
    return context


def parse_level(text: str, name: str | None, target: Target | None) -> tuple[ir.Module, type[Backend] | None]:
    """The module of a text, and the backend whose program it is, if it is one: all that our MLIR reads of it.

    Of a text that our MLIR can read, only the backends of `target` and of the target that it names are asked, or all
    where neither is known.
    """
    context = context_of_text()
    try:
        module = parse(text, context, name)
    except CompileError as error:
        reader = next((kind for kind in backends() if kind.reads(text)), None)
        if reader is None:
            raise CompileError(f"the text is not valid at any level:\n{error}") from error
        return parse(reader.interface(text, name), context, name), reader
    known = [known.name for known in (target, target_of(module.operation)) if known is not None]
    return module, next((kind for kind in backends(known) if kind.is_program(module.operation)), None)
