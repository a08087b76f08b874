"""All cases of `terrace-bench`, and how they are chosen by name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from terrace.errors import TerraceError
from terrace.tools.bench.case import Case
from terrace.tools.bench.kernels import KERNELS
from terrace.tools.bench.models import MODELS

CASES = (*KERNELS, *MODELS)
"""In the order in which they run."""


def select(names: Sequence[str]) -> list[Case]:
    """The cases that one of `names` names: a case, a group, or a pattern such as "conv*"; all for none.

    Raises TerraceError for a name that names nothing.
    """

    def named(case: Case, name: str) -> bool:
        return case.group == name or fnmatchcase(case.name, name)

    for name in names:
        if not any(named(case, name) for case in CASES):
            known = sorted({case.name for case in CASES} | {case.group for case in CASES})
            raise TerraceError(f"no case or group {name!r}; known are {', '.join(known)}")
    return [case for case in CASES if not names or any(named(case, name) for name in names)]
