"""An ONNX model as an `nn.Module`: its initialisers are parameters, its nodes run in order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from onnx import AttributeProto, ModelProto, TensorProto, helper

from terrace.errors import ModelImportError
from terrace.frontend.onnx.graph import opsets_of, read_model
from terrace.frontend.onnx.interpreter import Interpreter, constant_of
from terrace.frontend.onnx.values import Known, array_of, as_tensor, tensor_of_proto, torch_type_of

MOST_KNOWN = 64
"""Integers of at most this many elements are sizes, axes and the like: they are known while the model is read."""


class OnnxModule(torch.nn.Module):
    """`forward` takes the model's inputs in order and gives its outputs by name.

    What the structure of the program depends on and only the call brings (the axes of a sum that are an input of the
    model) is taken from `example`, and checked at each call.
    """

    def __init__(self, source: str | os.PathLike[str] | ModelProto) -> None:
        super().__init__()
        self.model, self.folder = read_model(source)
        self.file = os.fspath(source) if not isinstance(source, ModelProto) else f"{self.model.graph.name or 'model'}.onnx"
        if not self.file.endswith(".onnx"):
            self.file += ".onnx"
        graph = self.model.graph
        self.initializers: dict[str, TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
        self.places: dict[str, str] = {}
        self.known: dict[str, Known] = {}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].type == AttributeProto.TENSOR:
                self.initializers[node.output[0]] = node.attribute[0].t
        for name, tensor in self.initializers.items():
            self._add(name, tensor)
        self.inputs = [value for value in graph.input if value.name not in self.initializers]
        self.input_names = [value.name for value in self.inputs]
        self.output_names = [value.name for value in graph.output]
        self.example: dict[str, torch.Tensor] = {}
        self.eval()

    def _add(self, name: str, tensor: TensorProto) -> None:
        """Keep an initialiser: a few integers as known, all else as a parameter."""
        if tensor.data_type == TensorProto.STRING:
            return
        count = int(np.prod(tensor.dims)) if tensor.dims else 1
        if tensor.data_type in (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL) and count <= MOST_KNOWN:
            self.known[name] = array_of(tensor, self.folder)
            return
        value = tensor_of_proto(tensor, self.folder)
        place = name.replace(".", "_")
        while hasattr(self, place) or not place:
            place += "_"
        if value.is_floating_point():
            self.register_parameter(place, torch.nn.Parameter(value, requires_grad=False))
        else:
            self.register_buffer(place, value)
        self.places[name] = place

    def forward(self, *inputs: torch.Tensor) -> dict[str, Any]:
        """The outputs of the model by name."""
        if len(inputs) != len(self.inputs):
            raise ModelImportError(f"the model takes {len(self.inputs)} inputs, {', '.join(self.input_names)}")
        values: dict[str, Any] = dict(self.known)
        values.update({name: getattr(self, place) for name, place in self.places.items()})
        given = dict(zip(self.input_names, inputs, strict=True))
        values.update(given)
        checked: set[str] = set()
        interpreter = Interpreter(
            self.file, opsets_of(self.model), lambda name, value: self.known_value(name, given, checked)
        )
        nodes = [node for node in self.model.graph.node if not set(node.output) & self.initializers.keys()]
        interpreter.run_nodes(nodes, values, interpreter.opsets)
        return {name: as_tensor(values[name]) for name in self.output_names}

    def known_value(self, name: str, given: Mapping[str, torch.Tensor], checked: set[str]) -> Known | None:
        """What is known of a value: an initialiser's data, or the example's of an input, which is checked then."""
        if name in self.known:
            return self.known[name]
        if name in self.initializers:
            return array_of(self.initializers[name], self.folder)
        if name not in given or name not in self.example:
            return None
        example = self.example[name]
        if name not in checked:
            checked.add(name)
            same = (given[name] == example).all() if example.numel() else torch.tensor(True)
            torch._assert_async(same, f"input '{name}' has to be {example.tolist()}, as in the example")
        return np.asarray(example.numpy())

    def traced_with(self, args: Sequence[torch.Tensor]) -> None:
        """Let `example` be what the model is traced with."""
        self.example = dict(zip(self.input_names, args, strict=True))
