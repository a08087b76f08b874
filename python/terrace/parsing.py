"""Reading the text of any level: every error names the file, the line and what is wrong there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from terrace.errors import CompileError
from terrace.mlir import attach_diagnostics, ir
from terrace.passes import describe_location
from terrace.supervision import announce, check_reading

STDIN = "-"
FROM_MEMORY = "-"
"""What MLIR calls a text that it did not read from a file."""

_PRETTY = re.compile(r"^\s*(?:%[^=\"/]*=\s*)?(?P<op>(?:graph|kernel|loop)\.\w+)", re.MULTILINE)


def read_text(name: str) -> str:
    """The text of a file, or of stdin for `-`. Raises CompileError for what is no text, OSError for what is no file."""
    data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CompileError(f"{name} is not a text: byte {error.start} is not UTF-8") from error


def parse(text: str, context: ir.Context, name: str | None = None) -> ir.Module:
    """Parse and verify the text of the file `name`. Raises CompileError, a line for each diagnostic."""
    found: list[tuple[ir.Location, str]] = []

    def take(diagnostic: ir.Diagnostic) -> bool:
        found.append((diagnostic.location, diagnostic.message))
        return True

    check_reading(lambda: parse_silently(text, context, name), name or FROM_MEMORY)
    handler = attach_diagnostics(context, take)
    try:
        return parse_silently(text, context, name)
    except ir.MLIRError as error:
        raise CompileError("\n".join(_lines(found, text, name or FROM_MEMORY))) from error
    finally:
        handler.detach()
        context.emit_error_diagnostics = False


def parse_silently(text: str, context: ir.Context, name: str | None = None) -> ir.Module:
    """`parse` for who handles diagnostics: raises `ir.MLIRError`."""
    announce(f"reading {name or 'the text'}")
    try:
        with context, ir.Location.unknown():
            # Only so locations carry the name. A mark of the byte order, which MLIR does not read, is not in the text.
            if name is not None and Path(name).is_file() and Path(name).read_bytes() == text.encode():
                return ir.Module.parseFile(name)
            return ir.Module.parse(text)
    finally:
        announce("")


def _lines(found: Sequence[tuple[ir.Location, str]], text: str, name: str) -> Iterator[str]:
    for location, message in found:
        where = describe_location(location)
        if where.startswith(f"{FROM_MEMORY}:"):
            where = name + where.removeprefix(FROM_MEMORY)
        yield f"{where}: error: {message}"
    if not found:
        line, column, message = silent_refusal(text)
        yield f"{name}:{line}:{column}: error: {message}"


def silent_refusal(text: str) -> tuple[int, int, str]:
    """Line, column and words for a text that MLIR refuses without any: ops of Terrace that are not in generic form."""
    found = _PRETTY.search(text)
    if found is None:
        return 1, 1, "the text cannot be parsed"
    name, before = found["op"], text[: found.start("op")]
    line, column = before.count("\n") + 1, found.start("op") - before.rfind("\n")
    return line, column, f"'{name}' is written in generic form only, with the name in quotes: \"{name}\"(...)"
