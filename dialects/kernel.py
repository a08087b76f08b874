"""The kernel dialect: HOW IT IS CUT. One kernel is one dispatch: a fused group of graph ops with its schedule.

A kernel is a private `func.func` that begins with `kernel.schedule`; `func.call` launches it.

A schedule is a dictionary attribute, so that a cost model can choose it, a test can read it and a person can edit it.
`SCHEDULE_KEYS` says what each entry means; `lowering/kernels/schedule.py` holds it as a dataclass.
"""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from typing import Any

from terrace.dialects.base import ShapeError, attributes_of, require, verify
from terrace.mlir import DYNAMIC, ext, ir

ITERATION_KEYS = {
    "names": "the dimensions of the iteration space, outermost first",
    "kinds": "for each dimension, parallel or reduction",
    "sizes": "for each dimension its number of iterations (? is the most negative i64)",
}
SCHEDULE_KEYS = {
    "tile_sizes": "for each dimension, the size of the tile held in registers; 1 where the dimension is not tiled",
    "block_sizes": "for each dimension, the part that one workgroup takes, a multiple of the tile; 0 is all of it",
    "parallel": "names of the dimensions whose blocks are spread over workgroups",
    "layouts": "for each tensor argument, {} for row-major or the attributes of the graph.pack or graph.pad to apply",
    "staged": "names of the arguments that a workgroup first copies into local memory",
    "order": "names of the tiled dimensions in the order of the loops over tiles, outermost first",
}
MAX_TILE = 1 << 16
"""The largest tile of a dimension. A tile is held in registers: one of this size is a slip, and fills the memory."""
LAYOUT_KEYS = ({"outer_permutation", "inner_dims", "inner_tiles"}, {"low", "high"})
"""The keys of a layout that graph.pack makes, and of one that graph.pad makes (with zeros)."""


class Kernel(ext.Dialect, name="kernel"):
    """The namespace `kernel.`"""


def _require_list(where: str, value: Any, kind: type, text: str) -> None:
    """Refuse what is not a list of `kind`. `array<i64>` without elements and `[]` are the same."""
    is_list = isinstance(value, list) and all(type(item) is kind for item in value)
    require(is_list, f"{where} must be {text}, got {value}")


def _require_numbers(where: str, value: Any) -> None:
    _require_list(where, value, int, "an array<i64>")


def _require_names(where: str, value: Any) -> None:
    _require_list(where, value, str, "a list of names")


def _check_iteration_space(space: dict[str, Any]) -> None:
    require(set(space) == set(ITERATION_KEYS), f"iteration_space must have the keys {', '.join(ITERATION_KEYS)}")
    _require_names("iteration_space names", space["names"])
    _require_names("iteration_space kinds", space["kinds"])
    _require_numbers("iteration_space sizes", space["sizes"])
    if not len(space["names"]) == len(space["kinds"]) == len(space["sizes"]):
        raise ShapeError("iteration_space must give a kind and a size for each name")
    require(len(set(space["names"])) == len(space["names"]), "iteration_space must not give a name twice")
    if any(kind not in ("parallel", "reduction") for kind in space["kinds"]):
        raise ShapeError("iteration_space kinds must be 'parallel' or 'reduction'")
    if any(size < 0 and size != DYNAMIC for size in space["sizes"]):
        raise ShapeError("iteration_space sizes must not be negative")


def _check_keys(schedule: dict[str, Any]) -> None:
    unknown = set(schedule) - set(SCHEDULE_KEYS)
    if unknown:
        raise ShapeError(f"schedule has unknown keys {sorted(unknown)}; known are {', '.join(SCHEDULE_KEYS)}")
    missing = set(SCHEDULE_KEYS) - set(schedule)
    if missing:
        raise ShapeError(f"schedule lacks {', '.join(sorted(missing))}")
    for key in ("tile_sizes", "block_sizes"):
        _require_numbers(f"schedule {key}", schedule[key])
    for key in ("parallel", "staged", "order"):
        _require_names(f"schedule {key}", schedule[key])


def _check_layouts(layouts: Any, arguments: int) -> None:
    _require_list("schedule layouts", layouts, dict, "a list of dictionaries")
    if len(layouts) != arguments:
        raise ShapeError(f"schedule layouts must have {arguments} elements, one for each argument")
    for layout in layouts:
        if layout and set(layout) not in LAYOUT_KEYS:
            raise ShapeError(f"schedule layouts must be {{}} or have the keys of graph.pack or graph.pad, got {layout}")
        for key, value in layout.items():
            _require_numbers(f"schedule layouts: {key}", value)


def _check_cuts(schedule: dict[str, Any], space: dict[str, Any]) -> None:
    names, rank = space["names"], len(space["names"])
    for key in ("tile_sizes", "block_sizes"):
        if len(schedule[key]) != rank:
            raise ShapeError(f"schedule {key} must have {rank} elements, one for each of {', '.join(names)}")
    for name, tile, block in zip(names, schedule["tile_sizes"], schedule["block_sizes"], strict=True):
        if not 1 <= tile <= MAX_TILE:
            limits = "must be positive" if tile < 1 else f"must be at most {MAX_TILE}"
            raise ShapeError(f"tile size of '{name}' {limits}, got {tile}")
        if block < 0 or block % tile:
            raise ShapeError(f"block size {block} of '{name}' must be a multiple of its tile size {tile}")


def _check_schedule(schedule: dict[str, Any], space: dict[str, Any], arguments: int) -> None:
    _check_keys(schedule)
    _check_cuts(schedule, space)
    names = space["names"]
    for key in ("parallel", "order"):
        if any(name not in names for name in schedule[key]) or len(set(schedule[key])) != len(schedule[key]):
            raise ShapeError(f"schedule {key} must name distinct dimensions of {', '.join(names)}")
    for name in schedule["parallel"]:
        if space["kinds"][names.index(name)] != "parallel":
            raise ShapeError(f"dimension '{name}' is a reduction and cannot be parallel")
    _check_layouts(schedule["layouts"], arguments)


class ScheduleOp(Kernel.Operation, name="schedule"):
    """Makes the private function that it stands in a kernel, and says how the kernel is cut. It is its first op.

    The rest of the body is graph ops on the function's arguments; an op named after the generator's family comes
    first, elementwise ops follow. Trailing `index` arguments are the `?` sizes of the results, in order. `generator`
    names the generator that makes the loops, `iteration_space` says what is iterated (keys: `ITERATION_KEYS`), and
    `schedule` how it is cut (keys: `SCHEDULE_KEYS`; empty before `schedule-kernels`).
    """

    generator: ir.StringAttr
    iteration_space: ir.DictAttr
    schedule: ir.DictAttr

    def verify_invariants(self) -> bool:
        operation = self.operation
        return verify(self, lambda: self._check(operation))

    @staticmethod
    def _check(operation: ir.Operation) -> None:
        attrs = attributes_of(operation)
        space, schedule = attrs.iteration_space, attrs.schedule
        _check_iteration_space(space)
        parent = operation.parent
        if parent is None or parent.operation.name != "func.func":
            raise ShapeError("must stand in a func.func")
        if schedule:
            arguments = [a.type for a in parent.operation.regions[0].blocks[0].arguments]
            _check_schedule(schedule, space, sum(not isinstance(t, ir.IndexType) for t in arguments))
