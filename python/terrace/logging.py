"""What Terrace tells of its work, through Python's `logging`, under the logger "terrace".

    terrace.logging.set_level("info")     # each stage with its time
    terrace.logging.set_level("debug")    # each pass, too, with its time and the ops that it left

As a library should, Terrace adds no handler by itself: `set_level` adds one, to stderr; so does the environment
variable `TERRACE_LOG=info` when Terrace is imported. Programs that set up `logging` themselves need neither.
"""

from __future__ import annotations

import logging

from terrace.errors import TerraceError

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
"""The names of levels that `set_level` and `TERRACE_LOG` take."""

_LOG = logging.getLogger("terrace")
_LOG.addHandler(logging.NullHandler())


class _StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is when a record comes, which tests and notebooks replace."""

    def emit(self, record: logging.LogRecord) -> None:
        import sys

        print(self.format(record), file=sys.stderr, flush=True)


def set_level(level: str) -> None:
    """Show records of `level` ("debug", "info", "warning" or "error") and above on stderr."""
    if level not in LEVELS:
        raise TerraceError(f"unknown log level {level!r}; known are {', '.join(LEVELS)}")
    _LOG.setLevel(LEVELS[level])
    if not any(isinstance(handler, _StderrHandler) for handler in _LOG.handlers):
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("%(name)-15s %(message)s"))
        _LOG.addHandler(handler)
        # The root logger's handlers would print each line again.
        _LOG.propagate = False
