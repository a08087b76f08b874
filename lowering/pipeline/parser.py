"""Pipeline text to a list of passes: ours and upstream's, nested anchors and options, in one string.

    builtin.module(fuse-epilogue,func.func(canonicalize,cse),convert-graph-to-kernel{max-tile=4})

Upstream's parser cannot name passes written in Python, so the text is read here. What is upstream's goes on to the
bindings as text, and is checked by them while it is read. `print_pipeline` is the inverse.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from terrace.errors import PipelineError
from terrace.lowering.pipeline.pass_options import OptionError, build_pass, end_of_string
from terrace.lowering.pipeline.registry import all_pass_names, find_pass, has_pass, suggestion
from terrace.mlir import PassManager, ir
from terrace.passes import Pass, UpstreamPass

MODULE_ANCHORS = ("builtin.module", "any")
NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@dataclasses.dataclass(frozen=True)
class Element:
    """`name{options}` or `name(children)` in pipeline text, from `start` to `end`."""

    name: str
    start: int
    end: int
    options: str | None = None
    options_start: int = 0
    children: tuple[Element, ...] | None = None


def parse_pipeline(text: str) -> list[Pass]:
    """The passes that `text` names, with or without an outer `builtin.module(...)` or `any(...)`.

    Raises `PipelineError` that shows the place in the text: for bad syntax, an unknown pass (with near names), or a
    wrong option (with what is allowed).
    """
    elements = _Reader(text).read_all()
    while len(elements) == 1 and elements[0].name in MODULE_ANCHORS and elements[0].children is not None:
        elements = elements[0].children
    return [_to_pass(text, element) for element in elements]


def print_pipeline(passes: Sequence[Pass]) -> str:
    """The one string that `parse_pipeline` and `terrace-opt --pass-pipeline` read back."""
    return f"builtin.module({','.join(str(item) for item in passes)})"


def split_passes(passes: Sequence[Pass]) -> list[Pass]:
    """The same work as passes of one step each: nested lists, and named pipelines of MLIR's, are taken apart.

    `func.func(a,b)` becomes `func.func(a)` and `func.func(b)`: what a pass on one function does, no other sees.
    """
    return [step for pass_ in passes for step in (_split(pass_) if isinstance(pass_, UpstreamPass) else [pass_])]


def _split(pass_: UpstreamPass) -> list[Pass]:
    steps: list[Pass] = []
    for text in _steps(pass_.text):
        # MLIR prints what a named pipeline consists of; of a single pass it prints that, with all defaults.
        consists_of = str(PassManager.parse(f"builtin.module({text})", _probe_context()))
        inner = _steps(consists_of.removeprefix("builtin.module(").removesuffix(")"))
        is_one = len(inner) == 1 and _innermost(inner[0]) == _innermost(text)
        # A few of its pipelines hold passes that it does not know by name.
        is_one = is_one or any(map(_why_upstream_refuses, inner))
        steps += [UpstreamPass(step) for step in ([text] if is_one else inner)]
    return steps


def _steps(text: str) -> list[str]:
    """The passes in `text`, each in its own anchors."""
    return [step for element in _Reader(text).read_all() for step in _steps_of(text, element)]


def _steps_of(text: str, element: Element) -> list[str]:
    if element.children is None:
        return [text[element.start : element.end]]
    steps = [step for child in element.children for step in _steps_of(text, child)]
    return steps if element.name in MODULE_ANCHORS else [f"{element.name}({step})" for step in steps]


def innermost_name(pass_: Pass) -> str:
    """The name of a pass of one step, without its anchors and options."""
    return _innermost(pass_.text) if isinstance(pass_, UpstreamPass) else pass_.name


def _innermost(text: str) -> str:
    (element,) = _Reader(text).read_all()
    while element.children:
        element = element.children[0]
    return element.name


def parse_pass(name: str, options: str) -> Pass:
    """The pass `name` with the text of its options, as a bare flag `--name="options"` gives them.

    An upstream pass that runs on another op than the module is nested under that op, as mlir-opt does.
    """
    text = f"{name}{{{options}}}" if options else name
    anchor = None if has_pass(name) else _required_anchor(name)
    (found,) = parse_pipeline(f"{anchor}({text})" if anchor else text)
    return found


class _Reader:
    """A recursive-descent reader of pipeline text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def read_all(self) -> tuple[Element, ...]:
        elements = self._read_list()
        if self.position < len(self.text):
            raise _error(self.text, self.position, f"unexpected '{self.text[self.position]}'")
        return elements

    def _read_list(self) -> tuple[Element, ...]:
        if self._peek() in ("", ")"):
            return ()
        elements = [self._read_element()]
        while self._peek() == ",":
            self.position += 1
            elements.append(self._read_element())
        return tuple(elements)

    def _read_element(self) -> Element:
        self._peek()
        start = self.position
        while self.position < len(self.text) and self.text[self.position] in NAME_CHARACTERS:
            self.position += 1
        name = self.text[start : self.position]
        if not name:
            raise _error(self.text, start, "expected the name of a pass")
        opener = self._peek()
        if opener == "{":
            options_start, options = self._read_options()
            return Element(name, start, self.position, options, options_start)
        if opener == "(":
            children = self._read_children()
            return Element(name, start, self.position, children=children)
        return Element(name, start, start + len(name))

    def _read_children(self) -> tuple[Element, ...]:
        opening = self.position
        self.position += 1
        children = self._read_list()
        if self._peek() != ")":
            raise _error(self.text, opening, "this '(' has no matching ')'")
        self.position += 1
        return children

    def _read_options(self) -> tuple[int, str]:
        opening = self.position
        depth = 0
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == '"':
                self._skip_string()
                continue
            self.position += 1
            depth += (character == "{") - (character == "}")
            if depth == 0:
                return opening + 1, self.text[opening + 1 : self.position - 1]
        raise _error(self.text, opening, "this '{' has no matching '}'")

    def _skip_string(self) -> None:
        try:
            self.position = end_of_string(self.text, self.position)
        except OptionError as error:
            raise _error(self.text, error.offset, str(error)) from None

    def _peek(self) -> str:
        """The next character that is not a space, or nothing at the end."""
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1
        return self.text[self.position : self.position + 1]


def _to_pass(text: str, element: Element) -> Pass:
    if element.children is None and has_pass(element.name):
        try:
            return build_pass(find_pass(element.name), element.options or "")
        except OptionError as error:
            raise _error(text, element.options_start + error.offset, str(error)) from None
    _check_upstream_names(text, element)
    upstream = text[element.start : element.end]
    problem = _why_upstream_refuses(upstream)
    if problem:
        raise _error(text, element.start, f"pass '{element.name}': {problem}")
    return UpstreamPass(upstream)


def _check_upstream_names(text: str, element: Element) -> None:
    """Refuse unknown names, and passes of ours inside an anchor, at their own place in the text."""
    if element.children is not None:
        for child in element.children:
            if has_pass(child.name):
                raise _error(
                    text,
                    child.start,
                    f"pass '{child.name}' runs on the module: move it out of '{element.name}(...)'",
                )
            _check_upstream_names(text, child)
    elif not _is_upstream(element.name):
        near = suggestion(element.name, all_pass_names())
        raise _error(text, element.start, f"unknown pass '{element.name}'{near}")


@functools.cache
def _probe_context() -> ir.Context:
    return ir.Context()


def _is_upstream(name: str) -> bool:
    problem = _why_upstream_refuses(name)
    return problem is None or "does not refer to a registered pass" not in problem


def _required_anchor(name: str) -> str | None:
    """The op that upstream's pass `name` insists to run on, when that is not the module."""
    problem = _why_upstream_refuses(name) or ""
    _, found, rest = problem.partition("restricted to '")
    return rest.partition("'")[0] if found else None


def _why_upstream_refuses(text: str) -> str | None:
    try:
        PassManager.parse(f"builtin.module({text})", _probe_context())
    except ValueError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        return lines[0].removeprefix("<Pass-Options-Parser>: ") if lines else "malformed pipeline"
    return None


def _error(text: str, position: int, message: str) -> PipelineError:
    """The message with the text and a caret under `position`."""
    return PipelineError(f"pass pipeline:1:{position + 1}: error: {message}\n{text}\n{' ' * position}^")
