"""An ONNX model as an `nn.Module`: its initialisers are parameters, its nodes run in order."""

from __future__ import annotations

import functools
import inspect
import keyword
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, TensorProto

from terrace.errors import ModelImportError
from terrace.frontend.onnx.graph import nodes_of, opsets_of, read_model
from terrace.frontend.onnx.interpreter import Interpreter
from terrace.frontend.onnx.values import MOST_KNOWN, Known, array_of, as_tensor, is_structural, tensor_of_proto


class OnnxModule(torch.nn.Module):
    """`forward` takes the model's inputs in order and gives its outputs by name.

    What the structure of the program depends on and only the call brings (the axes of a sum that are an input of the
    model) is taken from `example`, and checked at each call.
    """

    def __init__(self, source: str | os.PathLike[str] | ModelProto) -> None:
        super().__init__()
        self.model, self.folder = read_model(source)
        name = self.model.graph.name or "model" if isinstance(source, ModelProto) else os.fspath(source)
        self.file = f"{name.removesuffix('.onnx')}.onnx"
        graph = self.model.graph
        self.initializers: dict[str, TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
        self.places: dict[str, str] = {}
        self.known: dict[str, Known] = {}
        for name, tensor in self.initializers.items():
            self._add(name, tensor)
        self.inputs = [value for value in graph.input if value.name not in self.initializers]
        self.input_names = [value.name for value in self.inputs]
        self.output_names = [value.name for value in graph.output]
        self.argument_names = arguments_of(self.input_names)
        self.example: dict[str, Known] = {}
        self.has_branches = any(node.op_type == "If" for node in nodes_of(graph))
        self.branches_of_example = False
        self.forward = with_arguments(self.outputs, self.argument_names)
        self.eval()

    def _add(self, name: str, tensor: TensorProto) -> None:
        """Keep an initialiser: a few integers as known, all else as a parameter."""
        if is_structural(tensor):
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

    def outputs(self, *inputs: torch.Tensor) -> dict[str, Any]:
        """The outputs of the model by name."""
        if len(inputs) != len(self.inputs):
            raise ModelImportError(f"the model takes {len(self.inputs)} inputs, {', '.join(self.input_names)}")
        values: dict[str, Any] = dict(self.known)
        values.update({name: getattr(self, place) for name, place in self.places.items()})
        given = dict(zip(self.input_names, inputs, strict=True))
        values.update(given)
        checked: set[str] = set()
        known = functools.partial(self.known_value, given=given, checked=checked)
        run = Interpreter(self.file, self.branches_of_example)
        results = run.graph(self.model.graph, values, opsets_of(self.model), known)
        return {name: as_tensor(value) for name, value in zip(self.output_names, results, strict=True)}

    def known_value(
        self, name: str, by_example: bool, given: Mapping[str, torch.Tensor], checked: set[str]
    ) -> Known | None:
        """What is known of a name: an initialiser's data, of large ones only where they have to be, or the example's
        of an input, which is checked."""
        tensor = self.initializers.get(name)
        if tensor is not None:
            return array_of(tensor, self.folder) if by_example or math.prod(tensor.dims) <= MOST_KNOWN else None
        if not by_example or name not in given or name not in self.example:
            return None
        example = self.example[name]
        if name not in checked:
            checked.add(name)
            if example.size:
                same = (given[name] == torch.tensor(example.tolist(), dtype=given[name].dtype)).all()
                torch._assert_async(same, f"input '{name}' has to be {example.tolist()}, as in the example")
        return example

    def traced_with(self, args: Sequence[torch.Tensor]) -> None:
        """Let `example` be what the model is traced with."""
        self.example = {
            name: np.array(value.tolist(), np.float64 if value.dtype.is_floating_point else np.int64)
            for name, value in zip(self.input_names, args, strict=True)
            if value.numel() <= MOST_KNOWN
        }


def arguments_of(names: Sequence[str]) -> list[str]:
    """The names of inputs as Python's arguments: other characters than those of an identifier are "_"."""
    found: list[str] = []
    for name in names:
        argument = re.sub(r"\W", "_", name)
        if not argument.isidentifier() or keyword.iskeyword(argument):
            argument = f"input_{argument}"
        while argument in found:
            argument += "_"
        found.append(argument)
    return found


def with_arguments(function: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """`function` of positional arguments, whose signature has their names."""

    def forward(*inputs: torch.Tensor, **named: torch.Tensor) -> Any:
        bound = signature.bind(*inputs, **named)
        return function(*bound.args)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    forward.__signature__ = signature  # type: ignore[attr-defined]
    return forward
