"""One node of an ONNX graph: its attributes, and what it asks of inputs that have to be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from onnx import AttributeProto, NodeProto, helper

from terrace.errors import ModelImportError
from terrace.frontend.onnx.values import Known, as_tensor, is_known, numbers_of

if TYPE_CHECKING:
    from terrace.frontend.onnx.interpreter import Scope

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
        self.domain = "" if proto.domain == "ai.onnx" else proto.domain
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
