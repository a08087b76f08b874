"""What `fuzz.py` does to its inputs: texts of every level, `.terrace` files, parameter archives."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from terrace.storage.stored_zip import StoredZipWriter

NUMBERS = ("0", "1", "-1", "2", "3", "7", "64", "1000", "65536", "2147483648", "4294967297", "9223372036854775807")
HUGE = ("-9223372036854775808", "18446744073709551616", "1" + "0" * 30, "0x7FC00000", "1.0e+300", "-0.0", "nan")
TYPES = ("f32", "f64", "f16", "bf16", "i1", "i8", "si8", "ui8", "i32", "i64", "i128", "index", "none", "complex<f32>")
SHAPED = ("tensor<4xf32>", "tensor<?xf32>", "tensor<*xf32>", "tensor<0x3xf32>", "memref<4xf32>", "vector<4xf32>")
ATTRIBUTES = (
    *(
        "unit",
        "true",
        "false",
        '"x"',
        '""',
        "@main",
        "@none",
        "[]",
        "{}",
        "[1, 2]",
        '["m", "m"]',
        "f32",
        "1 : i8",
        "-1 : i64",
    ),
    *(
        "array<i64>",
        "array<i64: 0>",
        "array<i64: -1, 1>",
        "array<i32: 1>",
        "array<si8: 0, 1>",
        "array<i1: true>",
        "1.0 : f16",
    ),
    *("dense<1> : tensor<2xi64>", "affine_map<(d0) -> (d0)>", "#foreign.attribute<x>", "loc(unknown)"),
)
JUNK = (
    "\0",
    "\ufeff",
    "\r\n",
    "é",
    "\t",
    "%",
    "#",
    "!",
    '"',
    "{",
    "}",
    "<",
    ">",
    "(",
    ")",
    "[",
    "]",
    ":",
    "->",
    "//",
    "\\",
    "@",
    "^bb0:",
)
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[%@#!^]?[\w.$-]+|\S')
DEEP = 20_000

Mutation = Callable[[random.Random, str, Sequence[str]], str]


def mutate_text(draw: random.Random, text: str, corpus: Sequence[str]) -> str:
    """`text` after one to four changes; words and lines to put in come from `corpus`, too."""
    for _ in range(draw.choice((1, 1, 1, 2, 2, 4))):
        text = draw.choice(_TEXT_MUTATIONS)(draw, text, corpus)
    return text


def _at_token(draw: random.Random, text: str, change: Callable[[str], str], kind: Callable[[str], bool] = bool) -> str:
    found = [match for match in TOKEN.finditer(text) if kind(match[0])]
    if not found:
        return text
    match = draw.choice(found)
    return text[: match.start()] + change(match[0]) + text[match.end() :]


def _number(draw: random.Random, text: str, _: Sequence[str]) -> str:
    found = list(re.finditer(r"-?\b\d+", text))
    if not found:
        return text
    match = draw.choice(found)
    return text[: match.start()] + draw.choice((*NUMBERS, *NUMBERS, *HUGE)) + text[match.end() :]


def _type(draw: random.Random, text: str, _: Sequence[str]) -> str:
    found = list(re.finditer(r"(?<=x)(?:f32|f64|i8|i32|i64)\b|(?<=: )(?:i64|f32|i32|index)\b", text))
    shaped = list(re.finditer(r"\b(?:tensor|memref|vector)<[^<>]*>", text))
    choice = draw.choice((found, shaped))
    if not choice:
        return text
    match = draw.choice(choice)
    return text[: match.start()] + draw.choice(TYPES if choice is found else (*SHAPED, *TYPES)) + text[match.end() :]


def _attribute(draw: random.Random, text: str, _: Sequence[str]) -> str:
    """Give an attribute another value, or none."""
    found = list(re.finditer(r"\b\w+ = (?:\"[^\"]*\"|array<[^>]*>|\[[^\[\]]*\]|[\w.+-]+(?: : \w+)?)(?:, )?", text))
    if not found:
        return text
    match = draw.choice(found)
    name, comma = match[0].partition(" = ")[0], ", " * match[0].endswith(", ")
    value = draw.choice(ATTRIBUTES)
    new = draw.choice(("", f"{name} = {value}{comma}", f"{name} = {value}{comma}", f"{name}_ = {value}{comma}"))
    return text[: match.start()] + new + text[match.end() :]


def _word(draw: random.Random, text: str, corpus: Sequence[str]) -> str:
    other = TOKEN.findall(draw.choice(corpus))
    return _at_token(draw, text, lambda _: draw.choice(other) if other else "")


def _drop_token(draw: random.Random, text: str, _: Sequence[str]) -> str:
    return _at_token(draw, text, lambda _: "")


def _same_kind(draw: random.Random, text: str, corpus: Sequence[str]) -> str:
    """Put a word of the corpus, or of this text, in the place of one that begins alike: a name, a value, a string."""
    kind = draw.choice('"%@')
    others = [word for word in TOKEN.findall(text + draw.choice(corpus)) if word.startswith(kind)]
    return _at_token(draw, text, lambda _: draw.choice(others), lambda word: word.startswith(kind) and bool(others))


def _lines(draw: random.Random, text: str, corpus: Sequence[str]) -> str:
    lines = text.splitlines(keepends=True) or [""]
    first, second = draw.randrange(len(lines)), draw.randrange(len(lines))
    what = draw.randrange(5)
    if what == 0:
        del lines[first]
    elif what == 1:
        lines.insert(second, lines[first])
    elif what == 2:
        lines[first], lines[second] = lines[second], lines[first]
    elif what == 3:
        del lines[min(first, second) : max(first, second)]
    else:
        lines.insert(first, draw.choice(draw.choice(corpus).splitlines(keepends=True) or [""]))
    return "".join(lines)


def _junk(draw: random.Random, text: str, _: Sequence[str]) -> str:
    at = draw.randrange(len(text) + 1)
    return text[:at] + draw.choice(JUNK) + text[at:]


def _cut(draw: random.Random, text: str, _: Sequence[str]) -> str:
    return text[: draw.randrange(len(text) + 1)]


def _deep(draw: random.Random, text: str, _: Sequence[str]) -> str:
    """Something nested so deeply that a recursive reader runs out of stack; seldom, as it takes a while."""
    if draw.random() < 0.9:
        return _number(draw, text, _)
    opening, closing = draw.choice(
        (("[", "]"), ("{a = ", "}"), ("tuple<", ">"), ("(", ")"), ('"m"() ({', "}) : () -> ()"))
    )
    return _at_token(draw, text, lambda word: opening * DEEP + word + closing * DEEP)


_TEXT_MUTATIONS: tuple[Mutation, ...] = (
    *(_number, _number, _type, _type, _attribute, _attribute, _attribute),
    *(_word, _drop_token, _same_kind, _same_kind, _lines, _lines, _junk, _cut, _deep),
)


# -- binary files -----------------------------------------------------------------------------------------------------


def mutate_bytes(draw: random.Random, data: bytes) -> bytes:
    """`data` with some bytes changed, cut off, put in or repeated."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        at = draw.randrange(len(changed) + 1)
        what = draw.randrange(6)
        if what < 3 and at < len(changed):
            changed[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        elif what == 3:
            del changed[at : at + draw.choice((1, 4, 1000))]
        elif what == 4:
            changed[at:at] = draw.randbytes(draw.choice((1, 4, 100)))
        elif draw.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def mutate_artifact(draw: random.Random, data: bytes, corpus: Sequence[str]) -> bytes:
    """A `.terrace` file with another manifest, other members or bytes; most with right checksums."""
    if draw.random() < 0.3:
        return mutate_bytes(draw, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    manifest = json.loads(members.pop("manifest.json"))
    what = draw.randrange(4)
    if what == 0:
        # Not the program: it is machine code, and with the right checksum it runs, whatever it is.
        name = draw.choice([name for name in members if not name.startswith("program.")])
        is_text = name.endswith(".mlir")
        members[name] = (
            mutate_text(draw, members[name].decode(), corpus).encode(errors="replace")
            if is_text
            else mutate_bytes(draw, members[name])
        )
    elif what == 1:
        _rename(draw, members)
    else:
        for _ in range(draw.choice((1, 1, 2, 4))):
            manifest = _mutate_json(draw, manifest)
    return _artifact(draw, members, manifest)


def _rename(draw: random.Random, members: dict[str, bytes]) -> None:
    old = draw.choice(list(members))
    contents = members.pop(old)
    new = draw.choice(
        ("", old, "../escaped", "/tmp/terrace-fuzz-escaped", "program.so", "design.cpp", "x" * 70_000, "ir/new.mlir")
    )
    members[new] = contents


def _mutate_json(draw: random.Random, value: Any) -> Any:
    """A value with one change somewhere inside."""
    if isinstance(value, dict) and value and draw.random() < 0.95:
        key = draw.choice(list(value))
        if draw.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if draw.random() < 0.05:
            return {**value, draw.choice(("", "extra", "name")): value[key]}
        return {**value, key: _mutate_json(draw, value[key])}
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        if draw.random() < 0.2:
            return value[:at] + value[at + 1 :] if draw.random() < 0.5 else [*value, value[at]]
        return [*value[:at], _mutate_json(draw, value[at]), *value[at + 1 :]]
    strings = (
        "",
        "x",
        "../../escaped",
        "/tmp/terrace-fuzz-escaped",
        "float32",
        "int8",
        "tensor",
        "<b>",
        "\0",
        "é" * 100,
    )
    numbers = (0, -1, 1, 2**31, 2**63, -(2**63), 10**40, 1.5, float("1e308"))
    return draw.choice((None, True, [], {}, [[]], {"kind": "leaf"}, draw.choice(strings), draw.choice(numbers)))


def _artifact(draw: random.Random, members: dict[str, bytes], manifest: Any) -> bytes:
    if isinstance(manifest, dict) and isinstance(manifest.get("members"), dict) and draw.random() < 0.9:
        for name, contents in members.items():
            if isinstance(manifest["members"].get(name, {}), dict):
                manifest["members"][name] = {"size": len(contents), "crc32": zlib.crc32(contents)}
    file = io.BytesIO()
    writer = StoredZipWriter(file)
    for name, contents in members.items():
        if len(name) < 1 << 16:
            writer.add_bytes(name, contents, 4096)
    writer.add_bytes("manifest.json", json.dumps(manifest).encode())
    writer.close()
    return file.getvalue()
