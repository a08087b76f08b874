"""The levels of IR, from the model's ops down to the program's text."""

from __future__ import annotations

from terrace.target import TARGETS

LEVELS = ("graph", "kernel", "loop")
"""Those that every target has."""

PROGRAM_LEVELS = tuple(dict.fromkeys(target.level for target in TARGETS.values()))
"""The last levels: each target's programs are made of the text of one."""

TEXTS = (*LEVELS, *PROGRAM_LEVELS)
