"""The named points of a compile, where the passes of a user run between those of `terrace.compiler.pipelines`.

terrace.compile(model, args, options={"passes": {"after-graph": [MyPass(), "canonicalize"]}})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrace.errors import CompileError
from terrace.levels import PROGRAM_LEVELS
from terrace.lowering.pipeline.parser import parse_pipeline
from terrace.lowering.pipeline.registry import suggestion
from terrace.lowering.pipeline.verify_level import VerifyLevel
from terrace.passes import Pass

POINTS = {
    # The graph as it was imported: every named op whole, nothing folded, fused or laid out.
    "after-import": "graph",
    # The graph after all rewriting: fused groups in their final layout.
    "after-graph": "graph",
    # Kernels are formed, and no tile size is chosen.
    "before-schedule": "kernel",
    # Kernels with their schedules, which a pass may change.
    "after-kernel": "kernel",
    # Loops over memrefs around tile ops, and linalg for what is no kernel.
    "after-loop": "loop",
    # What the program is made of: what iree-compile takes; of hardware, the functions that are printed as C++.
    **{f"after-{level}": level for level in PROGRAM_LEVELS},
}
"""Each point, from the top down, with the level whose ops are legal there."""

UserPasses = Mapping[str, Sequence[Pass]]
"""The passes of a user, by the point at which they run."""
Passes = Pass | str | Sequence[Pass | str]
"""What a point may be given: a list of passes and of pipeline text, or one of these."""


def user_passes(option: Mapping[str, Passes]) -> dict[str, list[Pass]]:
    """The option "passes" of a compile: points, each with a list of passes or of pipeline text, or one such text.

    Raises CompileError, or PipelineError for a text.
    """
    if not isinstance(option, Mapping):
        raise CompileError(f"option 'passes' must map points to lists of passes, got {option!r}")
    return {point: _passes_of(point, given) for point, given in option.items()}


def _passes_of(point: str, given: Passes) -> list[Pass]:
    if point not in POINTS:
        near = suggestion(str(point), POINTS)
        raise CompileError(f"option 'passes' names an unknown point {point!r}{near}; known are {', '.join(POINTS)}")
    items = [given] if isinstance(given, (str, Pass)) else given
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, (Pass, str)) for item in items):
        raise CompileError(f"option 'passes' at {point!r} must be a list of passes or pipeline text, got {given!r}")
    return [found for item in items for found in (parse_pipeline(item) if isinstance(item, str) else [item])]


def passes_at(point: str, users: UserPasses) -> list[Pass]:
    """The user's passes of a point, each followed by a check that what it left is legal there."""
    return [item for own in users.get(point, ()) for item in (own, VerifyLevel(level=POINTS[point], after=str(own)))]


def check_points(users: UserPasses, first: str, last: str, is_last: bool) -> None:
    """Raise CompileError for points where passes would never run.

    `first` is the level at which lowering begins, `last` the target's last one; with `is_last` the text is there.
    """
    levels = list(dict.fromkeys(POINTS.values()))
    level = last if is_last else first
    missed = [repr(point) for point in users if is_last or levels.index(POINTS[point]) < levels.index(first)]
    if missed:
        raise CompileError(f"the text is at the level '{level}', past the passes of {' and '.join(missed)}")
    foreign = [point for point in users if POINTS[point] in PROGRAM_LEVELS and POINTS[point] != last]
    if foreign:
        raise CompileError(f"the last level of this target is '{last}': it has no {' nor '.join(map(repr, foreign))}")
