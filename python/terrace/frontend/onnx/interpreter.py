"""An ONNX graph as PyTorch runs it, node by node, so that `torch.export` can trace it."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from onnx import AttributeProto, GraphProto, NodeProto

from terrace.frontend.onnx.functions import body_of
from terrace.frontend.onnx.node import LookUp, Node, Scope, Values, tensors
from terrace.frontend.onnx.table import KNOWN_RULES, rule_of
from terrace.frontend.onnx.values import is_known


class Interpreter:
    """Runs nodes: those of the model, of its control flow, and of operators that ONNX itself defines by others."""

    def __init__(self, file: str, branches_of_example: bool) -> None:
        """With `branches_of_example`, a branch that inputs choose is the one that those of the example do."""
        self.file = file
        self.branches_of_example = branches_of_example
        self.count = 0

    def graph(self, graph: GraphProto, values: Values, opsets: Mapping[str, int], known: LookUp) -> list[Any]:
        """The outputs of a model's graph whose inputs and initialisers are in `values`."""
        scope = Scope(self, values, opsets, known)
        self.nodes(graph.node, scope)
        return [values[output.name] for output in graph.output]

    def nodes(
        self,
        nodes: Iterable[NodeProto],
        scope: Scope,
        prefix: str = "",
        given: Mapping[str, AttributeProto] = types.MappingProxyType({}),
    ) -> None:
        """Run nodes in order. `given` are the attributes of the node that these are the body of."""
        values = scope.values
        for proto in nodes:
            self.count += 1
            name = proto.name or next((output for output in proto.output if output), proto.op_type)
            node = Node(proto, prefix + name, scope.opsets.get(proto.domain, 1), resolved(proto, given), scope)
            inputs = [values[name] if name else None for name in proto.input]
            while inputs and inputs[-1] is None:
                inputs.pop()
            at = traced_as(self.file, self.count, node.name)
            results = at(functools.partial(results_of, node, inputs))
            for output, result in zip(proto.output, results, strict=False):
                if output:
                    values[output] = result
                    scope.made[output] = node


def results_of(node: Node, inputs: list[Any]) -> Sequence[Any]:
    """What a node gives: by a rule on what is known, a rule on tensors, or the body that ONNX defines.

    The data of parameters count as known if another input is, so that what is made of parameters alone stays a
    program's.
    """
    result: Any = NotImplemented
    if any(map(is_known, inputs)) or node.op == "Constant":
        known = node.scope.all_known(node, by_example=False)
        result = NotImplemented if known is None else KNOWN_RULES[node.op](node, *known)
    rule = rule_of(node.domain, node.op)
    if result is NotImplemented and rule is not None:
        result = rule(node, *(inputs if getattr(rule, "takes_known", False) else tensors(inputs)))
        node.require_all_read()
    if result is not NotImplemented:
        return result if isinstance(result, tuple) else (result,)
    body = body_of(node.proto, node.opset, node.protos, tensors(inputs))
    if body is None:
        where = f"{node.domain}::{node.op}" if node.domain else node.op
        raise node.error(f"has no rule here: {where} of opset {node.opset} is not supported")
    return node.scope.run_body(node, body, inputs)


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
    # What it does stands in its second line.
    code = _call.__code__.replace(co_filename=file, co_firstlineno=line - 1, co_name=name)
    return types.FunctionType(code, _call.__globals__, name)


def _call(function: Callable[[], Any]) -> Any:
    return function()
