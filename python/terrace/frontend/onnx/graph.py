"""An ONNX file: read, checked, functions of the model's own written out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto, inliner

from terrace.errors import ModelImportError

LAST_OPSET = 28


def read_model(source: str | os.PathLike[str] | ModelProto) -> tuple[ModelProto, str]:
    """The model and the folder of its external data. Raises ModelImportError."""
    if isinstance(source, ModelProto):
        check(source)
        return inlined(source), ""
    path = Path(source)
    if not path.is_file():
        raise ModelImportError(f"there is no ONNX file {path}")
    try:
        model = onnx.load(os.fspath(path), load_external_data=False)
    except Exception as error:  # protobuf's, of a type that varies by its implementation
        raise ModelImportError(f"{path} is no ONNX model: {error}") from error
    check(os.fspath(path))
    return inlined(model), os.fspath(path.parent)


def check(model: Any) -> None:
    """Refuse what ONNX's checker refuses, with its words."""
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelImportError(f"ONNX's checker refuses the model: {error}") from error


def inlined(model: ModelProto) -> ModelProto:
    """The model with the functions of its own written out."""
    return inliner.inline_local_functions(model) if model.functions else model


def opsets_of(model: ModelProto) -> dict[str, int]:
    """The version of each domain that the model imports."""
    return {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in model.opset_import}
