"""The command line of `terrace-opt`: mlir-opt's spellings, with one dash or two, and a bare flag for every pass."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from terrace.errors import PipelineError, TerraceError
from terrace.lowering.pipeline.parser import parse_pass, parse_pipeline
from terrace.lowering.pipeline.pass_options import describe_options
from terrace.lowering.pipeline.pass_plugins import find_plugin, plugin_names
from terrace.lowering.pipeline.registry import (
    all_pass_names,
    find_pass,
    has_pass,
    load_passes,
    suggestion,
    summaries,
    summary_of,
)
from terrace.lowering.pipeline.upstream_passes import UPSTREAM_PASSES
from terrace.passes import Pass
from terrace.tools.opt_watchers import PrintRequest

USAGE = "usage: terrace-opt [flags and passes] [FILE]"
DEFAULT_MARKER = "// -----"
BROKEN = "broken: "


class UsageError(TerraceError):
    """The command line is wrong; the tool exits with code 2."""


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag, the setting it sets, and what may follow `=`. `default` is the value of the flag written bare."""

    name: str
    setting: str
    kind: Literal["bool", "text", "optional text", "text list", "names", "integer"]
    help: str
    default: Any = True


_FLAGS = (
    Flag("allow-unregistered-dialect", "allow_unregistered", "bool", "accept ops of unknown dialects"),
    Flag("dump-pass-pipeline", "dump_pipeline", "bool", "print the pipeline to stderr before it runs"),
    Flag("help", "help", "bool", "print this text, with all passes and their options"),
    Flag("list-passes", "list_passes", "bool", "print the names of all passes, ours and upstream's"),
    Flag("load-pass-plugin", "plugins", "text list", "run this Python file and know the passes that it defines"),
    Flag("mlir-elide-elementsattrs-if-larger", "elide_larger", "integer", "elide longer constants"),
    Flag("mlir-pass-pipeline-crash-reproducer", "crash_reproducer", "text", "on failure, leave it in this file"),
    Flag("mlir-pass-pipeline-local-reproducer", "local_reproducer", "bool", "there, the pass that failed alone"),
    Flag("mlir-print-debuginfo", "debuginfo", "bool", "print locations"),
    Flag("mlir-print-ir-after", "print_after", "names", "print the IR to stderr after these passes"),
    Flag("mlir-print-ir-after-all", "print_after_all", "bool", "print the IR to stderr after each pass"),
    Flag("mlir-print-ir-after-change", "print_on_change", "bool", "of these, only where the pass changed the IR"),
    Flag("mlir-print-ir-after-failure", "print_on_failure", "bool", "print the IR after a pass that fails only"),
    Flag("mlir-print-ir-before", "print_before", "names", "print the IR to stderr before these passes"),
    Flag("mlir-print-ir-before-all", "print_before_all", "bool", "print the IR to stderr before each pass"),
    Flag("mlir-print-ir-tree-dir", "print_folder", "text", "print the IR to files of this folder instead"),
    Flag("mlir-print-local-scope", "local_scope", "bool", "print without aliases"),
    Flag("mlir-print-op-generic", "generic", "bool", "print ops in generic form"),
    Flag("mlir-timing", "timing", "bool", "print the time of each pass to stderr"),
    Flag("o", "output", "text", "write to this file, at once and only on success"),
    Flag("pass-pipeline", "pipeline", "text", "run these passes"),
    Flag("split-input-file", "marker", "optional text", "treat the parts between marker lines alone", DEFAULT_MARKER),
    Flag(
        "verify-diagnostics",
        "verify_diagnostics",
        "optional text",
        "match diagnostics with expected-* comments ('all', or 'only-expected')",
        "all",
    ),
    Flag("verify-each", "verify_each", "bool", "verify the IR after each pass (the default)"),
    Flag("version", "version", "bool", "print the version"),
)
FLAGS = {flag.name: flag for flag in _FLAGS}


@dataclasses.dataclass
class Settings:
    """What a command line asks for."""

    input: str = "-"
    output: str = "-"
    passes: list[Pass] = dataclasses.field(default_factory=list)
    plugins: list[str] = dataclasses.field(default_factory=list)
    pipeline: str | None = None
    marker: str | None = None
    verify_diagnostics: str | None = None
    elide_larger: int | None = None
    allow_unregistered: bool = False
    verify_each: bool = True
    crash_reproducer: str = ""
    local_reproducer: bool = False
    print_before: list[str] = dataclasses.field(default_factory=list)
    print_after: list[str] = dataclasses.field(default_factory=list)
    print_before_all: bool = False
    print_after_all: bool = False
    print_on_change: bool = False
    print_on_failure: bool = False
    print_folder: str = ""
    generic: bool = False
    debuginfo: bool = False
    local_scope: bool = False
    timing: bool = False
    dump_pipeline: bool = False
    list_passes: bool = False
    help: bool = False
    version: bool = False

    @property
    def print_request(self) -> PrintRequest:
        """Around which passes the IR is printed."""
        return PrintRequest(
            before=self.print_before,
            after=self.print_after,
            before_all=self.print_before_all,
            after_all=self.print_after_all,
            on_change=self.print_on_change,
            on_failure=self.print_on_failure,
            folder=self.print_folder,
        )


def parse_arguments(arguments: Sequence[str]) -> Settings:
    """The settings that `arguments` ask for; raises `UsageError` or `PipelineError`."""
    settings = Settings()
    inputs: list[str] = []
    passes: list[tuple[str, str, str]] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "-" or not argument.startswith("-"):
            inputs.append(argument)
            continue
        name, equals, value = argument.removeprefix("-").removeprefix("-").partition("=")
        if name not in FLAGS:
            passes.append((argument, name, value))
            continue
        flag = FLAGS[name]
        if flag.kind in ("text", "text list", "names", "integer") and not equals:
            if not rest:
                raise UsageError(f"flag '{argument}' needs a value: {flag.help}")
            value = rest.pop(0)
        _set(settings, flag, value if value or equals else None)
    if len(inputs) > 1:
        raise UsageError(f"more than one input file: {', '.join(inputs)}")
    if inputs:
        settings.input = inputs[0]
    # Before names are looked up, wherever the flag stands.
    for plugin in settings.plugins:
        load_passes(plugin)
    settings.passes = [_bare_pass(*item) for item in passes]
    _check(settings)
    return settings


def _bare_pass(argument: str, name: str, options: str) -> Pass:
    if not has_pass(name) and name not in UPSTREAM_PASSES:
        raise UsageError(f"unknown flag or pass '{argument}'{suggestion(name, [*FLAGS, *all_pass_names()])}")
    return parse_pass(name, options)


def _set(settings: Settings, flag: Flag, text: str | None) -> None:
    value = _value(flag, text)
    if flag.kind in ("text list", "names"):
        value = [*getattr(settings, flag.setting), *(value.split(",") if flag.kind == "names" else [value])]
    setattr(settings, flag.setting, value)


def _value(flag: Flag, text: str | None) -> Any:
    if text is None:
        return flag.default
    if flag.kind == "bool":
        choices = {"true": True, "1": True, "false": False, "0": False}
        if text not in choices:
            raise UsageError(f"flag '--{flag.name}' takes true or false, but got '{text}'")
        return choices[text]
    if flag.kind == "integer":
        if not text.isdecimal():
            raise UsageError(f"flag '--{flag.name}' takes a number, but got '{text}'")
        return int(text)
    return text


def _check(settings: Settings) -> None:
    if settings.verify_diagnostics not in (None, "all", "only-expected"):
        raise UsageError(
            f"flag '--verify-diagnostics' takes 'all' or 'only-expected', but got '{settings.verify_diagnostics}'"
        )
    for name in (*settings.print_before, *settings.print_after):
        if not has_pass(name) and name not in UPSTREAM_PASSES:
            raise UsageError(f"cannot print around the unknown pass '{name}'{suggestion(name, all_pass_names())}")
    if settings.print_folder and not settings.print_request:
        raise UsageError(
            "flag '--mlir-print-ir-tree-dir' needs one that says when to print, as --mlir-print-ir-after-all"
        )
    if settings.local_reproducer and not settings.crash_reproducer:
        raise UsageError(
            "flag '--mlir-pass-pipeline-local-reproducer' needs --mlir-pass-pipeline-crash-reproducer=FILE"
        )
    if settings.pipeline is not None:
        if settings.passes:
            raise UsageError("give passes by '--pass-pipeline' or by bare flags, not by both")
        settings.passes = parse_pipeline(settings.pipeline)


def list_passes() -> str:
    """The text of `--list-passes`: ours and other packages' with their summaries, then upstream's names."""
    return "\n".join([
        "Terrace's passes:",
        *_table(summaries()),
        *["", "Passes of other packages:", *_table(_plugin_summaries())] * bool(plugin_names()),
        "",
        "MLIR's and torch-mlir's passes:",
        *[f"  {name}" for name in sorted(UPSTREAM_PASSES)],
    ])  # fmt: skip


def _table(rows: Mapping[str, str]) -> list[str]:
    width = max(map(len, rows), default=0)
    return [f"  {name:{width}}  {text}" for name, text in rows.items()]


def _plugin_summaries() -> dict[str, str]:
    """The summaries of other packages' passes; where one is broken, what is wrong with it."""
    found = {}
    for name in plugin_names():
        try:
            found[name] = summary_of(find_plugin(name))
        except PipelineError as error:
            found[name] = f"{BROKEN}{error}"
    return found


def help_text() -> str:
    """The text of `--help`."""
    width = max(map(len, FLAGS)) + 2
    flags = [f"  {'-' if len(name) == 1 else '--'}{name}".ljust(width + 4) + flag.help for name, flag in FLAGS.items()]
    passes = []
    for name, summary in {**summaries(), **_plugin_summaries()}.items():
        passes.append(f"  --{name}")
        passes.extend(textwrap.wrap(summary, 110, initial_indent=" " * 6, subsequent_indent=" " * 6))
        if not summary.startswith(BROKEN):
            passes.extend(f"        {line}" for line in describe_options(find_pass(name)))
    count = len(UPSTREAM_PASSES)
    closing = f"{count} passes of MLIR and torch-mlir are flags in the same way: see --list-passes."
    intro = "Read MLIR from FILE (or stdin), run passes over it, verify after each, and print the result."
    example = "  terrace-opt --pass-pipeline='builtin.module(func.func(canonicalize,cse),symbol-dce)' model.mlir"
    parts = [USAGE, intro, example, "", "Flags (one dash or two):", *flags, "", "Passes:", *passes, "", closing]
    return "\n".join(parts)
