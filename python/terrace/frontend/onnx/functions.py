"""Operators that ONNX defines by others: the body of one at a node."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import torch
from onnx import AttributeProto, FunctionProto, NodeProto, TypeProto, helper

from terrace.frontend.onnx.values import ELEMENT_TYPES


@dataclasses.dataclass(frozen=True)
class Body:
    """What an operator does at a node, the attributes that its nodes refer to, and the opsets that they are of."""

    proto: FunctionProto
    attributes: Mapping[str, AttributeProto]
    opsets: Mapping[str, int]


def body_of(node: NodeProto, opset: int, given: Mapping[str, AttributeProto], inputs: Sequence[Any]) -> Body | None:
    """The body that ONNX's schema of version `opset` has for a node with these attributes at these inputs; None if the
    operator is no function.
    """
    try:
        # The bindings' annotations leave out what a schema has.
        schema: Any = onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError:
        return None
    proto = FunctionProto()
    if schema.has_context_dependent_function:
        types = [_type_of(value) for value in inputs]
        versions = schema.context_dependent_function_opset_versions
        version = max((one for one in versions if one <= opset), default=min(versions))
        proto.ParseFromString(
            schema.get_context_dependent_function_with_opset_version(
                version, _plain(node, given).SerializeToString(), [one.SerializeToString() for one in types]
            )
        )
    elif schema.has_function:
        proto = schema.function_body
    else:
        return None
    attributes = {
        name: attribute.default_value for name, attribute in schema.attributes.items() if attribute.default_value.name
    }
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    return Body(proto, {**attributes, **given}, opsets)


def _plain(node: NodeProto, given: Mapping[str, AttributeProto]) -> NodeProto:
    """The node with its own attributes in the place of those that it takes from a function around it."""
    proto = NodeProto()
    proto.CopyFrom(node)
    del proto.attribute[:]
    for name, attribute in given.items():
        own = proto.attribute.add()
        own.CopyFrom(attribute)
        own.name = name
    return proto


def _type_of(value: Any) -> TypeProto:
    if not isinstance(value, torch.Tensor):
        return TypeProto()
    return helper.make_tensor_type_proto(ELEMENT_TYPES[value.dtype], [None] * value.dim())
