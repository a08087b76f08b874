"""An ONNX graph as PyTorch runs it, node by node, so that `torch.export` can trace it."""

from __future__ import annotations

import functools
import types
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import AttributeProto, GraphProto, NodeProto

from terrace.frontend.onnx.functions import Body, body_of
from terrace.frontend.onnx.node import Node, tensors
from terrace.frontend.onnx.table import KNOWN_RULES, rule_of
from terrace.frontend.onnx.values import Known, is_known

Values = MutableMapping[str, Any]
LookUp = Callable[[str], Known | None]


class Interpreter:
    """Runs graphs: the model's, those of its control flow, and the bodies of operators that ONNX itself defines."""

    def __init__(self, file: str, opsets: Mapping[str, int], constant: LookUp, known_value: LookUp) -> None:
        self.file = file
        self.opsets = dict(opsets)
        self.constant = constant
        self.find_known = known_value
        self.count = 0

    def run_graph(self, graph: GraphProto, values: Values, prefix: str = "") -> list[Any]:
        """The outputs of a graph whose inputs, and all that it reads from around it, are in `values`."""
        self.run_nodes(graph.node, values, self.opsets, prefix)
        return [values[output.name] for output in graph.output]

    def run_nodes(
        self,
        nodes: Iterable[NodeProto],
        values: Values,
        opsets: Mapping[str, int],
        prefix: str = "",
        given: Mapping[str, AttributeProto] = types.MappingProxyType({}),
    ) -> None:
        """Run nodes in order. `given` are the attributes of the node that these are the body of."""
        for proto in nodes:
            self.count += 1
            attributes = resolved(proto, given)
            domain = "" if proto.domain == "ai.onnx" else proto.domain
            name = proto.name or next((output for output in proto.output if output), proto.op_type)
            node = Node(proto, prefix + name, opsets.get(domain, 1), attributes)
            node.interpreter = At(self, values)
            inputs = [values[name] if name else None for name in proto.input]
            while inputs and inputs[-1] is None:
                inputs.pop()
            at = traced_as(self.file, self.count, node.name)
            results = at(functools.partial(self.results_of, node, inputs, values))
            for output, result in zip(proto.output, results, strict=False):
                if output:
                    values[output] = result

    def results_of(self, node: Node, inputs: list[Any], values: Values) -> Sequence[Any]:
        """What a node gives: by a rule on what is known, a rule on tensors, or the body that ONNX defines."""
        known = self.all_known(node, inputs)
        if known is not None:
            result = KNOWN_RULES[node.op](node, *known)
            if result is not NotImplemented:
                return result if isinstance(result, tuple) else (result,)
        rule = rule_of(node)
        if rule is not None:
            result = rule(node, *tensors(inputs)) if not getattr(rule, "takes_known", False) else rule(node, *inputs)
            if result is not NotImplemented:
                return result if isinstance(result, tuple) else (result,)
        body = body_of(node, tensors(inputs))
        if body is None:
            where = f"{node.domain}::{node.op}" if node.domain else node.op
            raise node.error(f"has no rule here: {where} of opset {node.opset} is not supported")
        return self.run_body(node, body, inputs)

    def all_known(self, node: Node, inputs: Sequence[Any]) -> list[Known | None] | None:
        """The inputs as arrays, if a rule takes them and they are: the data of parameters count if something else is
        known, so that what is computed of parameters alone stays a program's."""
        if node.op not in KNOWN_RULES or node.domain or (inputs and not any(map(is_known, inputs))):
            return None
        if not inputs and node.op != "Constant":
            return None
        found = list[Known | None]()
        for name, value in zip(node.proto.input, inputs, strict=False):
            array = value if is_known(value) or value is None else self.constant(name)
            if array is None and value is not None:
                return None
            found.append(array)
        return found

    def run_body(self, node: Node, body: Body, inputs: Sequence[Any]) -> Sequence[Any]:
        """The results of a node whose operator is a function of others."""
        given = dict(zip(body.proto.input, inputs, strict=False))
        values: Values = ChainMap({}, {name: given.get(name) for name in body.proto.input})
        self.run_nodes(body.proto.node, values, body.opsets, f"{node.name}/", body.attributes)
        return [values.get(name) for name in body.proto.output]


class At:
    """The interpreter as a node sees it, with the values around the node."""

    def __init__(self, interpreter: Interpreter, values: Values) -> None:
        self.interpreter = interpreter
        self.values = values

    def known_value(self, name: str, value: Any) -> Known | None:
        return self.interpreter.find_known(name)

    def run_graph(self, graph: GraphProto, inputs: Mapping[str, Any], prefix: str) -> list[Any]:
        """The outputs of a graph in an attribute, which reads what is around the node."""
        return self.interpreter.run_graph(graph, ChainMap(dict(inputs), self.values), prefix)


def resolved(proto: NodeProto, given: Mapping[str, AttributeProto]) -> dict[str, AttributeProto]:
    """A node's attributes by name, those that refer to one of the function's in its place."""
    found = {}
    for attribute in proto.attribute:
        if not attribute.ref_attr_name:
            found[attribute.name] = attribute
        elif attribute.ref_attr_name in given:
            found[attribute.name] = given[attribute.ref_attr_name]
    return found


def traced_as(file: str, line: int, name: str) -> Callable[[Callable[[], Any]], Any]:
    """A function that calls another, and is found in a stack trace as line `line` of `file`, in `name`."""
    code = _call.__code__.replace(co_filename=file, co_firstlineno=line, co_name=name, co_linetable=b"\x80\x00" * 64)
    return types.FunctionType(code, _call.__globals__, name)


def _call(function: Callable[[], Any]) -> Any:
    return function()


def constant_of(attributes: Mapping[str, AttributeProto], folder: str) -> np.ndarray[Any, Any] | None:
    """The value of a Constant, None if it is no plain tensor."""
    for name, dtype in (("value_int", np.int64), ("value_ints", np.int64)):
        if name in attributes:
            return np.array(onnx.helper.get_attribute_value(attributes[name]), dtype=dtype)
    for name in ("value_float", "value_floats"):
        if name in attributes:
            return np.array(onnx.helper.get_attribute_value(attributes[name]), dtype=np.float32)
    return None


def module_of(interpreter: Interpreter, graph: GraphProto, captured: Sequence[str]) -> Callable[..., tuple[Any, ...]]:
    """A graph of control flow as a function of its inputs, then of what it reads from around it."""

    def body(*values: torch.Tensor) -> tuple[Any, ...]:
        names = [value.name for value in graph.input] + list(captured)
        return tuple(tensors(interpreter.run_graph(graph, dict(zip(names, values, strict=True)))))

    return body
