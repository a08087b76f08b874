"""One node of an ONNX graph: its attributes, what it asks of inputs that have to be known, and the values around it."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from onnx import AttributeProto, GraphProto, NodeProto, helper

from terrace.errors import ModelImportError
from terrace.frontend.onnx.functions import Body
from terrace.frontend.onnx.table import KNOWN_RULES
from terrace.frontend.onnx.values import Known, as_tensor, is_known, numbers_of

Values = MutableMapping[str, Any]
LookUp = Callable[[str, bool], Known | None]
"""What is known of a name; with a truth, also what only the example says, which is checked at each call then."""

MISSING = object()
HINTS = {"accuracy_level"}
"""Attributes that say how something may be computed, and not what."""


class Node:
    """A node: `op` of `domain` in version `opset`, its attributes by name."""

    def __init__(
        self, proto: NodeProto, name: str, opset: int, attributes: Mapping[str, AttributeProto], scope: Scope
    ) -> None:
        self.proto = proto
        self.name = name
        self.op = proto.op_type
        self.domain = proto.domain
        self.opset = opset
        self.protos = dict(attributes)
        self.read: set[str] = set()
        self.results = len(proto.output)
        self.scope = scope

    def __getitem__(self, name: str) -> Any:
        value = self.get(name, MISSING)
        if value is MISSING:
            raise self.error(f"has no attribute '{name}'")
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute's value: a number, a str, a list of them, or a proto."""
        self.read.add(name)
        proto = self.protos.get(name)
        if proto is None:
            return default
        value = helper.get_attribute_value(proto)
        if isinstance(value, bytes):
            return value.decode()
        if proto.type == AttributeProto.STRINGS:
            return [item.decode() for item in value]
        return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value

    def error(self, message: str) -> ModelImportError:
        """An error that names the node."""
        return ModelImportError(f"{self.op} '{self.name}' of the ONNX graph {message}")

    def require_all_read(self) -> None:
        """Refuse attributes that a rule has not asked for, of operators that ONNX has no schema of: they may say
        something else than what is computed."""
        unread = sorted(name for name in self.protos.keys() - self.read - HINTS if self.domain and self.get(name))
        if unread:
            raise self.error(f"has attributes that are not supported: {', '.join(unread)}")

    def wants(self, index: int) -> bool:
        """Whether result `index` is asked for."""
        return index < self.results and bool(self.proto.output[index])

    def known(self, index: int, value: Any, what: str) -> Known:
        """Input `index`, whose value is `value`, as an array that has to be known: `what` says what it is for."""
        if is_known(value):
            return value
        found = self.scope.known(self.proto.input[index], True)
        if found is None:
            raise self.error(f"takes {what} that depend on the data of the call ('{self.proto.input[index]}')")
        return np.asarray(found)

    def sizes(self, index: int, value: Any, what: str) -> list[Any]:
        """Input `index` as numbers that may depend on data: a tensor's elements become sizes of what is computed."""
        if is_known(value):
            return numbers_of(value)
        found = self.scope.known(self.proto.input[index], True)
        if found is not None:
            return numbers_of(np.asarray(found))
        if value.dim() > 1:
            raise self.error(f"takes {what} of rank {value.dim()}")
        numbers = [value.reshape(-1)[place].item() for place in range(value.numel())]
        for number in numbers:
            torch._check(number >= 0)
        return numbers

    def numbers(self, index: int, value: Any, what: str, default: Any = None) -> Any:
        """Input `index` as Python's numbers that are known; `default` if it is left out."""
        return default if value is None else numbers_of(self.known(index, value, what))


def tensors(values: Sequence[Any]) -> list[Any]:
    """Values with those that are known as tensors."""
    return [as_tensor(value) for value in values]


class Runs(Protocol):
    """What runs nodes. With `branches_of_example`, a branch that inputs choose is the one that the example's do."""

    branches_of_example: bool

    def nodes(
        self, nodes: Iterable[NodeProto], scope: Scope, prefix: str = ..., given: Mapping[str, AttributeProto] = ...
    ) -> None: ...


class Scope:
    """The values that nodes see by their names, and what is known of them: those of a graph, or of a body."""

    def __init__(self, run: Runs, values: Values, opsets: Mapping[str, int], outside: LookUp) -> None:
        self.run, self.values, self.opsets, self.outside = run, values, opsets, outside
        self.made: dict[str, Node] = {}

    def known(self, name: str, by_example: bool) -> Known | None:
        """What is known of a value: itself, or what it was made of, which may be an input of the model."""
        value = self.values.get(name)
        if is_known(value):
            return value
        node = self.made.get(name)
        if node is None:
            return self.outside(name, by_example)
        inputs = self.all_known(node, by_example) if by_example else None
        result = NotImplemented if inputs is None else KNOWN_RULES[node.op](node, *inputs)
        return None if result is NotImplemented else result

    def tensor(self, name: str) -> Any:
        """A value that is computed already as a tensor; None for an input that is left out."""
        return as_tensor(self.values[name]) if name else None

    def all_known(self, node: Node, by_example: bool) -> list[Known | None] | None:
        """The inputs of a node, if there is a rule for what is known, and they are."""
        if node.op not in KNOWN_RULES or node.domain:
            return None
        found = [self.known(name, by_example) if name else None for name in node.proto.input]
        missing = any(array is None and name for array, name in zip(found, node.proto.input, strict=True))
        return None if missing else found

    def run_graph(self, graph: GraphProto, inputs: Mapping[str, Any], prefix: str) -> list[Any]:
        """The outputs of a graph in an attribute, which reads what is around its node."""
        own = {value.name for value in graph.input}
        outside: LookUp = lambda name, by_example: None if name in own else self.known(name, by_example)  # noqa: E731
        inner = Scope(self.run, ChainMap(dict(inputs), self.values), self.opsets, outside)
        self.run.nodes(graph.node, inner, prefix)
        return [inner.values[output.name] for output in graph.output]

    def run_body(self, node: Node, body: Body, inputs: Sequence[Any]) -> Sequence[Any]:
        """The results of a node whose operator is a function of others, which have names of their own."""
        names = dict(zip(body.proto.input, node.proto.input, strict=False))
        given = dict(zip(body.proto.input, inputs, strict=False))
        outside: LookUp = lambda name, by_example: self.known(names[name], by_example) if names.get(name) else None  # noqa: E731
        inner = Scope(self.run, {name: given.get(name) for name in body.proto.input}, body.opsets, outside)
        self.run.nodes(body.proto.node, inner, f"{node.name}/", body.attributes)
        return [inner.values.get(name) for name in body.proto.output]
