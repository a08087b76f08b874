"""The kernel dialect: HOW IT IS CUT. One kernel is one dispatch: a fused group of graph ops with its schedule.

A kernel is a private `func.func` that begins with `kernel.schedule`; `func.call` launches it.

A schedule is a dictionary attribute, so that a cost model can choose it, a test can read it and a person can edit it.
`SCHEDULE_KEYS` says what each entry means; `lowering/kernels/schedule.py` holds it as a dataclass.
"""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from collections.abc import Iterable
from typing import Any

from terrace.dialects.base import ShapeError, attributes_of, require, verify
from terrace.mlir import DYNAMIC, ext, ir

ITERATION_KEYS = {
    "names": "the dimensions of the iteration space, outermost first",
    "kinds": "for each dimension, parallel or reduction",
    "sizes": "for each dimension its number of iterations (? is the most negative i64)",
}
SCHEDULE_KEYS = {
    "cuts": "what each level of memory holds at a time, a list of dictionaries, outermost first",
    "atom": "the step of the machine that multiplies; a multiply-add if it is missing",
    "variant": "the way of the generator to compute the op, where it has several; the first of them if it is missing",
}
CUT_KEYS = {
    "memory": "the level: one of `CUT_MEMORIES`",
    "order": "the dimensions that are cut, in the order of the loops, outermost first; others are not cut here",
    "sizes": "for each dimension of the order, the part that the level holds: a multiple of the next cut's",
    "parallel": "the dimensions whose parts are spread over the level's units: workers, workgroups",
    "enters": "for operands by name, how they are laid out as they come in: {name = {packing = {attributes}}}",
    "leaves": "for results by name, the form in which parts of them leave it, likewise",
}
CUT_MEMORIES = {
    "device": "the memory of all; what enters it is laid out before the kernel runs",
    "local": "the memory of a worker or of a workgroup",
    "register": "what is multiplied at a time",
}
PACKINGS = {
    "pack": {"outer_permutation", "inner_dims", "inner_tiles"},
    "pack_with_sums": {"outer_permutation", "inner_dims", "inner_tiles"},
    "pack_rows": {"inner_tiles", "terms"},
    "pad": {"low", "high"},
    "transform": {"outputs", "inner_tiles"},
    "copy": set[str](),
}
"""The attributes of each packing: those of graph.pack (beside it, sums of columns), those of filters whose rows are one
dimension (filled up to whole `terms`), of graph.pad (zeros), those of Winograd's weights (how many results a tile has
along each axis, how many channels a block), and none."""
PARTS = {"sums": set[str](), "terms": set[str]()}
"""The forms in which parts of a result leave a cut: by what was added up so far, or by what a sum then divides."""
MAX_TILE = 1 << 16
"""The largest tile of a dimension. A tile is held in registers: one of this size is a slip, and fills the memory."""


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


def _check_keys(where: str, value: dict[str, Any], known: Iterable[str], needed: Iterable[str]) -> None:
    unknown = set(value) - set(known)
    if unknown:
        raise ShapeError(f"{where} has unknown keys {sorted(unknown)}; known are {', '.join(known)}")
    missing = set(needed) - set(value)
    require(not missing, f"{where} lacks {', '.join(sorted(missing))}")


def _check_packings(where: str, packings: Any, known: dict[str, set[str]]) -> None:
    require(isinstance(packings, dict), f"{where} must be a dictionary of packings, got {packings}")
    for operand, packing in packings.items():
        is_known = isinstance(packing, dict) and len(packing) == 1 and next(iter(packing)) in known
        require(
            is_known, f"{where} of '{operand}' must be one of {', '.join(known)} with its attributes, got {packing}"
        )
        ((name, attributes),) = packing.items()
        if not isinstance(attributes, dict) or set(attributes) != known[name]:
            keys = ", ".join(sorted(known[name])) or "no attributes"
            raise ShapeError(f"{where} of '{operand}': {name} must have {keys}, got {attributes}")
        for key, value in attributes.items():
            _require_numbers(f"{where} of '{operand}': {key}", value)


def _check_cut(cut: Any, space: dict[str, Any]) -> None:
    require(isinstance(cut, dict), f"schedule cuts must be dictionaries, got {cut}")
    _check_keys("a cut of the schedule", cut, CUT_KEYS, ("memory",))
    memory, names = cut["memory"], space["names"]
    require(memory in CUT_MEMORIES, f"a cut's memory must be one of {', '.join(CUT_MEMORIES)}, got {memory}")
    where = f"cut of '{memory}'"
    order, sizes, parallel = (cut.get(key, []) for key in ("order", "sizes", "parallel"))
    _require_names(f"{where}: order", order)
    _require_names(f"{where}: parallel", parallel)
    _require_numbers(f"{where}: sizes", sizes)
    if any(name not in names for name in order) or len(set(order)) != len(order):
        raise ShapeError(f"{where}: order must name distinct dimensions of {', '.join(names)}")
    require(len(sizes) == len(order), f"{where}: sizes must have {len(order)} elements, one for each of its order")
    for name, size in zip(order, sizes, strict=True):
        if size < 1 or (memory == "register" and size > MAX_TILE):
            limits = "must be positive" if size < 1 else f"must be at most {MAX_TILE}"
            raise ShapeError(f"{where}: size of '{name}' {limits}, got {size}")
    if any(name not in order for name in parallel) or len(set(parallel)) != len(parallel):
        raise ShapeError(f"{where}: parallel must name distinct dimensions of its order")
    for name in parallel:
        if space["kinds"][names.index(name)] != "parallel":
            raise ShapeError(f"dimension '{name}' is a reduction and cannot be parallel")
    for key, known in (("enters", PACKINGS), ("leaves", PARTS)):
        _check_packings(f"{where}: {key}", cut.get(key, {}), known)


def _check_schedule(schedule: dict[str, Any], space: dict[str, Any]) -> None:
    _check_keys("schedule", schedule, SCHEDULE_KEYS, ("cuts",))
    for key in ("atom", "variant"):
        if key in schedule:
            require(isinstance(schedule[key], str), f"schedule {key} must be a name, got {schedule[key]}")
    cuts = schedule["cuts"]
    require(isinstance(cuts, list), f"schedule cuts must be a list, got {cuts}")
    for cut in cuts:
        _check_cut(cut, space)
    levels = [list(CUT_MEMORIES).index(cut["memory"]) for cut in cuts]
    if levels != sorted(set(levels)):
        raise ShapeError(f"schedule cuts must name each memory once, in the order {', '.join(CUT_MEMORIES)}")
    outer: dict[str, int] = {}
    for cut in cuts:
        for name, size in zip(cut.get("order", []), cut.get("sizes", []), strict=True):
            if outer.get(name, size) % size:
                raise ShapeError(f"size {outer[name]} of '{name}' must be a multiple of the {size} of the next cut")
            outer[name] = size


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
            _check_schedule(schedule, space)
