"""The schedule of a kernel as a dataclass; the same content as the `schedule` attribute of `kernel.func`."""

from __future__ import annotations

import dataclasses
from typing import Any

from terrace.dialects.base import to_attribute, to_python
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.mlir import ir


@dataclasses.dataclass(frozen=True)
class Layout:
    """A blocked layout, with the meaning of `graph.pack`'s attributes."""

    outer_permutation: tuple[int, ...]
    inner_dims: tuple[int, ...]
    inner_tiles: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Padding:
    """Zeros around an argument, with the meaning of `graph.pad`'s attributes."""

    low: tuple[int, ...]
    high: tuple[int, ...]


def _layout(value: dict[str, Any]) -> Layout | Padding | None:
    fields = {key: tuple(item) for key, item in value.items()}
    if not fields:
        return None
    return Padding(**fields) if "low" in fields else Layout(**fields)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How a kernel is cut; the fields are those of `terrace.dialects.kernel.SCHEDULE_KEYS`."""

    tile_sizes: dict[str, int]
    block_sizes: dict[str, int]
    parallel: tuple[str, ...]
    layouts: tuple[Layout | Padding | None, ...]
    staged: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    def tile(self, name: str) -> int:
        return self.tile_sizes.get(name, 1)

    def block(self, name: str) -> int:
        return self.block_sizes.get(name, 0)

    def to_attribute(self, space: IterationSpace) -> ir.Attribute:
        return to_attribute(
            {
                "tile_sizes": [self.tile(name) for name in space.names],
                "block_sizes": [self.block(name) for name in space.names],
                "parallel": list(self.parallel) or ir.ArrayAttr.get([]),
                "layouts": [{k: list(v) for k, v in dataclasses.asdict(x).items()} if x else {} for x in self.layouts],
                "staged": list(self.staged) or ir.ArrayAttr.get([]),
                "order": list(self.order) or ir.ArrayAttr.get([]),
            }
        )

    @staticmethod
    def from_attribute(attribute: ir.Attribute, space: IterationSpace) -> Schedule:
        value: dict[str, Any] = to_python(attribute)
        return Schedule(
            tile_sizes=dict(zip(space.names, value["tile_sizes"], strict=True)),
            block_sizes=dict(zip(space.names, value["block_sizes"], strict=True)),
            parallel=tuple(value["parallel"]),
            layouts=tuple(map(_layout, value["layouts"])),
            staged=tuple(value["staged"]),
            order=tuple(value["order"]),
        )
