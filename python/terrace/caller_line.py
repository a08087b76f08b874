"""The user's line that called Terrace: for warnings and errors about the call itself."""

from __future__ import annotations

import sys
import warnings


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line outside of Terrace that led here."""
    warnings.warn(message, category, stacklevel=_depth() + 1)


def calling_line() -> str:
    """`path:line` of the line outside of Terrace that led here."""
    frame = sys._getframe(_depth())
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _depth() -> int:
    """How many frames above its caller the first one stands that is not Terrace's."""
    depth = 1
    frame = sys._getframe(depth)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "terrace":
        frame = frame.f_back
        depth += 1
    return depth - 1
