"""The dimensions of a model's inputs that are dynamic: their names, and examples of sizes that PyTorch leaves open."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.export import AdditionalInputs, Dim, ShapesCollection
from torch.export.dynamic_shapes import _combine_args, _DimHint, _tree_map_with_path
from torch.utils._pytree import KeyPath, tree_leaves, tree_map

Shapes = None | int | Dim | _DimHint | Sequence["Shapes"] | Mapping[str, "Shapes"] | Mapping[int, "Shapes"]
"""What may be dynamic in an argument: of a tensor, its dimensions; of a container, what may be in its parts."""

DynamicShapes = None | Sequence[Shapes] | Mapping[str, Shapes] | ShapesCollection | AdditionalInputs
"""What `torch.export` takes as `dynamic_shapes`."""

DIMENSION_NAMES = "terrace_dimension_names"
"""The entry of an exported graph's "meta" with the names of dynamic dimensions: by the number of the input, then by the
axis."""

OPEN = "terrace_open_dimensions"
"""The entry with the names of dimensions that a file gives, without bounds: those of PyTorch's range are tracing's."""

SINGLE = "terrace_single_dimensions"
"""The entry with the axes of each input that have size 1 in the example, and 2 in what PyTorch exported."""


@dataclasses.dataclass(frozen=True)
class DynamicDimensions:
    """What `dynamic_shapes` says of the tensors in (args, kwargs): by the identity of each, its axes.

    `order` has the identities of all leaves, in the order in which programs count inputs.
    """

    axes: dict[int, dict[int, Any]]
    order: list[int]
    single: dict[int, list[int]]

    @staticmethod
    def of(
        model: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None, dynamic_shapes: DynamicShapes
    ) -> DynamicDimensions:
        args, kwargs = tuple(args), dict(kwargs or {})
        given: Any = dynamic_shapes
        if isinstance(dynamic_shapes, (ShapesCollection, AdditionalInputs)):
            given = dynamic_shapes.dynamic_shapes(model, args, kwargs)
        found: dict[int, dict[int, Any]] = {}
        leaves = tree_leaves((args, kwargs))

        def note(path: KeyPath, leaf: Any, shape: Shapes = None) -> None:
            axes = shape if isinstance(shape, dict) else {}
            if isinstance(shape, (list, tuple)):
                axes = dict(enumerate(shape))
            found.setdefault(id(leaf), {}).update(axes)

        if given is not None:
            inputs = _combine_args(model, args, kwargs)
            shapes = given if isinstance(given, dict) else dict(zip(inputs, given, strict=True))
            _tree_map_with_path(note, inputs, {name: shapes.get(name) for name in inputs}, tree_name="inputs")
        single = {
            index: [axis for axis, dim in found.get(id(leaf), {}).items() if _is_single(leaf, axis, dim)]
            for index, leaf in enumerate(leaves)
        }
        return DynamicDimensions(found, [id(leaf) for leaf in leaves], {i: axes for i, axes in single.items() if axes})

    @property
    def names(self) -> dict[int, dict[int, str]]:
        """Those of the `torch.export.Dim`s, by the number of the input, which is its first place."""
        found = {
            self.order.index(identity): {axis: dim.__name__ for axis, dim in axes.items() if isinstance(dim, Dim)}
            for identity, axes in self.axes.items()
            if identity in self.order
        }
        return {index: names for index, names in found.items() if names}

    def doubled(self, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, twice along each dynamic dimension of size 1: PyTorch takes a size of 1 for a constant."""
        args, kwargs = tuple(args), dict(kwargs or {})
        if not self.single:
            return args, kwargs
        single = {self.order[index]: axes for index, axes in self.single.items()}

        def double(leaf: Any) -> Any:
            for axis in single.get(id(leaf), []) if isinstance(leaf, torch.Tensor) else []:
                leaf = torch.cat([leaf, leaf], axis)
            return leaf

        return tree_map(double, args), tree_map(double, kwargs)


def _is_single(leaf: Any, axis: int, dim: Any) -> bool:
    """Whether an axis has size 1 in the example, and may have others."""
    if not isinstance(leaf, torch.Tensor) or leaf.layout is not torch.strided or leaf.shape[axis] != 1:
        return False
    return dim is Dim.DYNAMIC or (type(dim) is Dim and dim.min <= 2 <= dim.max)
