"""An ONNX file: read, checked, functions of the model's own written out."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, inliner

from terrace.errors import ModelImportError


def read_model(source: str | os.PathLike[str] | ModelProto) -> tuple[ModelProto, str]:
    """The model and the folder of its external data. Raises ModelImportError."""
    if isinstance(source, ModelProto):
        check(source)
        return with_constants_outside(inlined(source)), ""
    path = Path(source)
    if not path.is_file():
        raise ModelImportError(f"there is no ONNX file {path}")
    try:
        model = onnx.load(os.fspath(path), load_external_data=False)
    except DecodeError as error:
        raise ModelImportError(f"{path} is no ONNX model: {error}") from error
    check(os.fspath(path))
    return with_constants_outside(inlined(model)), os.fspath(path.parent)


def check(model: Any) -> None:
    """Refuse what ONNX's checker refuses, with its words."""
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelImportError(f"ONNX's checker refuses the model: {error}") from error


def inlined(model: ModelProto) -> ModelProto:
    """The model with the functions of its own written out. Raises ModelImportError for one with sparse initialisers."""
    if model.graph.sparse_initializer:
        raise ModelImportError("sparse initialisers of ONNX models are not supported: make them dense")
    return inliner.inline_local_functions(model) if model.functions else model


def opsets_of(model: ModelProto) -> dict[str, int]:
    """The version of each domain that the model imports; ONNX's own, "", is called "ai.onnx" there, too."""
    return {entry.domain if entry.domain != "ai.onnx" else "": entry.version for entry in model.opset_import}


def nodes_of(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph, and of those in their attributes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from nodes_of(attribute.g)


def with_constants_outside(model: ModelProto) -> ModelProto:
    """A copy whose constant tensors, those of branches and loops too, are initialisers of the model's own graph."""
    model = copy.deepcopy(model)
    constants: list[TensorProto] = []
    take_constants(model.graph, {}, constants)
    model.graph.initializer.extend(constants)
    return model


def take_constants(graph: GraphProto, names: Mapping[str, str], constants: list[TensorProto], depth: int = 0) -> None:
    """Move them to `constants`, from graphs inside by names of their own: two branches may use one name."""
    own = dict(names)

    def take(tensor: TensorProto, name: str) -> None:
        own[name] = f"{name}@{len(constants)}" if depth else name
        constants.append(TensorProto())
        constants[-1].CopyFrom(tensor)
        constants[-1].name = own[name]

    for tensor in graph.initializer:
        take(tensor, tensor.name)
    nodes = list(graph.node)
    for node in nodes:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            take(node.attribute[0].t, node.output[0])
        node.input[:] = [own.get(name, name) for name in node.input]
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                take_constants(attribute.g, own, constants, depth + 1)
    kept = [node for node in nodes if not (node.op_type == "Constant" and node.attribute[0].name == "value")]
    for output in graph.output:
        output.name = own.get(output.name, output.name)
    del graph.initializer[:], graph.node[:]
    graph.node.extend(kept)
