"""What a compiled model is called with and what it gives back has the form that the model itself has."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import terrace
import torch
from torch import nn
from torch.utils import _pytree


@dataclasses.dataclass
class Encoded:
    """An output with fields that are None, before and after the one that is not."""

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    hidden: torch.Tensor | None = None


class ModelOutput(OrderedDict):  # type: ignore[type-arg]
    """As Hugging Face's: a dataclass that is a dictionary of those of its fields that are not None."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if (value := getattr(self, field.name)) is not None:
                self[field.name] = value


@dataclasses.dataclass
class Classified(ModelOutput):
    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None


torch.export.register_dataclass(Encoded, serialized_type_name="test_calls.Encoded")
_pytree.register_pytree_node(
    Classified,
    lambda value: (list(value.values()), list(value.keys())),
    lambda values, keys: Classified(**dict(zip(keys, values, strict=True))),
    serialized_type_name="test_calls.Classified",
)


class Model(nn.Module):
    """`function` as a model."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def test_results_keep_their_classes() -> None:
    def results(x: torch.Tensor) -> Any:
        maximum = x.max(1)
        return Encoded(logits=x.relu()), maximum, x.sort(1), Classified(logits=x, hidden_states=(x + 1, x + 2))

    x = torch.randn(3, 4)
    compiled = terrace.compile(Model(results), (x,))
    encoded, maximum, ordered, classified = compiled(x)
    assert type(encoded) is Encoded and encoded.loss is None and encoded.hidden is None
    assert torch.equal(encoded.logits, x.relu())
    assert type(maximum) is torch.return_types.max and torch.equal(maximum.indices, x.max(1).indices)
    assert type(ordered) is torch.return_types.sort and torch.equal(ordered.values, x.sort(1).values)
    assert type(classified) is Classified and list(classified) == ["logits", "hidden_states"]
    assert classified.loss is None and torch.equal(classified["hidden_states"][1], x + 2)
    assert type(compiled(x.numpy())[0].logits) is np.ndarray


def test_a_dataclass_is_taken_with_its_fields_that_are_none() -> None:
    x = torch.randn(3, 4)
    compiled = terrace.compile(Model(lambda given: given.logits + 1), (Encoded(logits=x),))
    assert torch.equal(compiled(Encoded(logits=x)), x + 1)
    with pytest.raises(terrace.InputError, match=r"args\[0\].loss: expected None"):
        compiled(Encoded(loss=x, logits=x))


class Attention(nn.Module):
    def forward(self, x: torch.Tensor, mask: torch.Tensor, *, scale: float = 1.0) -> torch.Tensor:
        return (x - mask) * scale


def test_arguments_bind_as_to_forward() -> None:
    x, mask = torch.randn(3, 4), torch.randn(3, 4)
    compiled = terrace.compile(Attention(), (x,), {"mask": mask, "scale": 2.0})
    loaded = terrace.compile(torch.export.export(Attention(), (x, mask), {"scale": 2.0}))
    expected = (x - mask) * 2
    for call in (compiled, loaded):
        for bound in (
            functools.partial(call, x, mask=mask),
            functools.partial(call, x, mask),
            functools.partial(call, mask=mask, x=x),
        ):
            assert torch.equal(bound(scale=2.0), expected)
        with pytest.raises(terrace.InputError, match="argument 'mask' is missing"):
            call(x, scale=2.0)


def test_a_number_stands_for_a_tensor_of_rank_0() -> None:
    x, factor = torch.randn(3), torch.tensor(2.0)
    compiled = terrace.compile(Attention(), (x, factor))
    assert torch.equal(compiled(x, 0.5), x - 0.5)
    assert torch.equal(compiled(x, 3), x - 3)
    with pytest.raises(terrace.InputError, match=r"args\[1\]: expected float32\[\]"):
        compiled(x, True)


def test_an_argument_whose_shape_the_model_changes() -> None:
    """Also to one that would broadcast to what it was."""

    def count(x: torch.Tensor) -> torch.Tensor:
        return torch.arange(7, 8, out=x)

    model = terrace.compile(Model(count), (torch.zeros(2, 3).long(),))
    for given in (torch.zeros(2, 3).long(), np.zeros((2, 3), np.int64)):
        with pytest.raises(terrace.errors.InputError, match=r"the model writes to it what has shape \(1,\), which it"):
            model(given)
        assert not given.any()
