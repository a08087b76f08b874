"""The user's lines in an artifact: taken out for the cache, and others put in."""

from __future__ import annotations

import dataclasses

from runtime_programs import positional
from terrace.signature import Leaf
from terrace.storage.artifact import Artifact, one_entry
from terrace.storage.places import Places

OLD = ["/a/m.py:1", "/a/m.py:12", None, "/a/m.py:1"]
NEW = ["/b/n.py:7", "/b/n.py:71", None, "/b/n.py:7"]


def artifact(lines: list[str | None]) -> Artifact:
    """One that says in all its parts where its ops come from."""
    said = f"op at {lines[1]}: out of range; {lines[0]}, {lines[0]}0"
    signature = dataclasses.replace(positional([], [Leaf("constant", value=said)]))
    layers = {"layers": [{"id": number, "source": line or ""} for number, line in enumerate(lines)], "outputs": ["0"]}
    return Artifact(one_entry(signature, layers=layers), b"", ir={"graph": f'module attributes {{a = "{said}"}} {{}}'})


def test_lines_become_those_of_another_caller() -> None:
    kept = Places(OLD).without(artifact(OLD))
    assert "/a/m.py:1," not in str(kept) and "/a/m.py:12" not in str(kept)
    found = Places(NEW).into(kept)
    # What only begins like a line is none: a longer number.
    assert found == dataclasses.replace(
        artifact(NEW),
        entries=found.entries,
        ir={"graph": artifact(NEW).ir["graph"].replace("/b/n.py:70", "/a/m.py:10")},
    )
    assert found.entry().signature.output_leaves[0].value == "op at /b/n.py:71: out of range; /b/n.py:7, /a/m.py:10"
    assert Places(OLD).into(kept) == artifact(OLD)


def test_the_pattern_says_who_shares_a_line() -> None:
    assert Places(OLD).pattern == Places(NEW).pattern
    others = [["x:1", "x:2", None, "x:2"], ["x:1", "x:1", None, "x:1"], ["x:1", "x:2", "x:3", "x:1"], [None] * 4, []]
    patterns = [Places(lines).pattern for lines in (OLD, *others)]
    assert len(set(patterns)) == len(patterns)
