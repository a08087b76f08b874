"""The lines of the user's that an artifact names, which are the caller's and no part of what was compiled.

An artifact in the cache has numbers in their place, and whoever finds it puts in lines of their own.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping

from terrace.signature import Signature
from terrace.storage.artifact import Artifact, Entry

_PLAIN = re.compile(r"[ !#-\[\]-~]+")
"""What JSON and MLIR write as it is."""


class Places:
    """`lines` has, for each op of a model in order, its `path:line`, or None if it has none.

    `pattern` is the part of the key: which ops share a line. Two sources of equal ops and equal patterns have lines
    that correspond one to one. Paths with quotes or other letters than ASCII are themselves part of it.
    """

    def __init__(self, lines: Iterable[str | None]) -> None:
        lines = list(lines)
        self._numbers: dict[str, int] = {}
        for line in lines:
            if line is not None:
                self._numbers.setdefault(line, len(self._numbers))
        self.pattern = str([None if line is None else self._numbers[line] for line in lines])
        if not all(map(_PLAIN.fullmatch, self._numbers)):
            self.pattern = json.dumps(lines)
            self._numbers = {}

    def without(self, artifact: Artifact) -> Artifact:
        """`artifact` with numbers in the place of the lines."""
        return _replaced(artifact, {line: _token(number) for line, number in self._numbers.items()})

    def into(self, artifact: Artifact) -> Artifact:
        """`artifact`, which has numbers, with lines."""
        return _replaced(artifact, {_token(number): line for line, number in self._numbers.items()})


def _token(number: int) -> str:
    return f"<source line {number}>"


def _replaced(artifact: Artifact, table: Mapping[str, str]) -> Artifact:
    if not table:
        return artifact
    words = "|".join(map(re.escape, sorted(table, reverse=True)))
    pattern = re.compile(rf"(?:{words})(?!\d)")

    def replace(text: str) -> str:
        return pattern.sub(lambda match: table[match[0]], text)

    return dataclasses.replace(
        artifact,
        entries={name: _of_entry(entry, replace) for name, entry in artifact.entries.items()},
        ir={level: replace(text) for level, text in artifact.ir.items()},
    )


def _of_entry(entry: Entry, replace: Callable[[str], str]) -> Entry:
    layers = [{**layer, "source": replace(layer.get("source", ""))} for layer in entry.layers.get("layers", [])]
    return dataclasses.replace(
        entry,
        layers={**entry.layers, **({"layers": layers} if layers else {})},
        signature=_of_signature(entry.signature, replace),
    )


def _of_signature(signature: Signature, replace: Callable[[str], str]) -> Signature:
    text = json.dumps(signature.to_json())
    replaced = replace(text)
    return signature if replaced == text else Signature.from_json(json.loads(replaced))
