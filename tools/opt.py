"""`terrace-opt`: mlir-opt for Terrace's passes and upstream's alike.

Reads MLIR text, runs passes over it, prints the result. Exit codes: 0 done, 1 failed, 2 wrong command line.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from terrace.dialects.context import create_context
from terrace.errors import CompileError, PassError, PipelineError
from terrace.lowering.pipeline.parser import print_pipeline, split_passes
from terrace.lowering.pipeline.registry import PASSES
from terrace.mlir import attach_diagnostics, ir, load_torch_dialects
from terrace.parsing import FROM_MEMORY, STDIN, parse_silently, read_text, silent_refusal
from terrace.passes import (
    LimitError,
    LocatedPassError,
    PassRaisedError,
    UpstreamPassError,
    Watcher,
    run_passes,
    source_position,
)
from terrace.storage.files import write_file
from terrace.supervision import enter_supervised
from terrace.tools.diagnostics import Printer, Report, Verifier, reports_of
from terrace.tools.opt_flags import Settings, UsageError, help_text, list_passes, parse_arguments
from terrace.tools.opt_watchers import CrashReproducer, IrPrinter, Timing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code. As a command it is supervised: see `terrace.supervision`."""
    if arguments is None:
        enter_supervised("terrace-opt")
    try:
        settings = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    except (UsageError, PipelineError) as error:
        print(f"terrace-opt: {error}\nrun 'terrace-opt --help' for all flags and passes", file=sys.stderr)
        return 2
    if settings.dump_pipeline:
        print(f"Pass Manager with {len(settings.passes)} passes:", file=sys.stderr)
        print(print_pipeline(settings.passes), file=sys.stderr)
    try:
        if settings.help or settings.list_passes or settings.version:
            print(_information(settings), flush=True)
            return 0
        run = OptRun(settings, read_text(settings.input))
        succeeded = run.run()
        if settings.output == "-":
            print(run.output, end="", flush=True)
        elif succeeded:
            write_file(settings.output, run.output)
    except BrokenPipeError:  # The reader has seen enough, as `head` has; Python must not flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except CompileError as error:
        print(f"terrace-opt: error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"terrace-opt: error: cannot open '{error.filename}': {error.strerror}", file=sys.stderr)
        return 1
    return 0 if succeeded else 1


def _information(settings: Settings) -> str:
    if settings.help:
        return help_text()
    if settings.list_passes:
        return list_passes()
    from importlib import metadata  # Slow to import, and needed here only.

    versions = {name: metadata.version(name) for name in ("mlir-terrace", "torch-mlir")}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


class OptRun:
    """One input through the passes, part by part."""

    def __init__(self, settings: Settings, text: str) -> None:
        self.settings = settings
        self.text = text
        self.input_name = "<stdin>" if settings.input == "-" else settings.input
        self.printer = IrPrinter(settings.print_request, self.print)
        self.timing = Timing()
        self.output = ""
        self.was_told = False
        lines = text.splitlines()
        self.verifier = (
            Verifier(self.input_name, lines, settings.verify_diagnostics == "only-expected")
            if settings.verify_diagnostics
            else None
        )
        self.sink = self.verifier or Printer(self.input_name, lines)
        self.context = create_context()
        load_torch_dialects(self.context)
        self.context.allow_unregistered_dialects = settings.allow_unregistered

    def run(self) -> bool:
        """Process every part, collecting `output`; True if all is well."""
        handler = attach_diagnostics(self.context, self._handle)
        results = [self._run_part(part) for part in split(self.text, self.settings.marker)]
        handler.detach()
        separator = f"{self.settings.marker}\n"
        self.output = separator.join(result for result in results if result is not None)
        if self.settings.timing:
            self.timing.print()
        if self.verifier is not None:
            return self.verifier.finish()
        return None not in results

    def _run_part(self, part: str) -> str | None:
        """The printed result of one part, or None if it failed."""
        self.was_told = False
        try:
            module = self._parse(part)
            self._run_passes(module)
        except ir.MLIRError:
            return None  # The handler has reported it.
        except PassError as error:
            self._report_failure(error)
            return None
        started = time.perf_counter()
        printed = self.print(module)
        self.timing.add("Output", time.perf_counter() - started)
        return printed

    def _parse(self, part: str) -> ir.Module:
        started = time.perf_counter()
        module = self._parse_text(part)
        self.timing.add("Parser", time.perf_counter() - started)
        return module

    def _parse_text(self, part: str) -> ir.Module:
        # Parts, and stdin, are no files by themselves.
        name = self.settings.input if self.settings.marker is None and self.settings.input != STDIN else None
        try:
            return parse_silently(part, self.context, name)
        except ir.MLIRError:
            if not self.was_told:
                line, column, message = silent_refusal(part)
                self.sink.report(Report("error", message, (self.input_name, line, column)))
            raise

    def _run_passes(self, module: ir.Module) -> None:
        settings = self.settings
        watchers: list[Watcher] = [self.printer] * bool(settings.print_request) + [self.timing] * settings.timing
        # What is told of passes is told of each by itself.
        is_split = bool(watchers) or settings.local_reproducer
        passes = split_passes(settings.passes) if is_split else settings.passes
        if not settings.crash_reproducer:
            run_passes(passes, module.operation, watchers, verify=settings.verify_each)
            return
        reproducer = CrashReproducer(
            Path(settings.crash_reproducer),
            passes,
            settings.verify_each,
            settings.allow_unregistered,
            settings.local_reproducer,
        )
        run_passes(passes, module.operation, [*watchers, reproducer], verify=settings.verify_each)
        reproducer.discard()

    def print(self, module: ir.Module | ir.Operation) -> str:
        settings = self.settings
        text = module.operation.get_asm(
            enable_debug_info=settings.debuginfo,
            print_generic_op_form=settings.generic,
            use_local_scope=settings.local_scope,
            large_elements_limit=settings.elide_larger,
        )
        return f"{text.rstrip()}\n"

    def _handle(self, diagnostic: ir.Diagnostic) -> bool:
        self.was_told = True
        for report in reports_of(diagnostic, self.input_name):
            self.sink.report(report)
        return True

    def _report_failure(self, error: PassError) -> None:
        note = ""
        if isinstance(error, (LocatedPassError, LimitError, PassRaisedError)):
            position = None if error.location is None else source_position(error.location)
            if position is not None and position[0] == FROM_MEMORY:
                position = (self.input_name, *position[1:])
            self.sink.report(Report("error", error.message, position))
            note = error.note
        elif isinstance(error, UpstreamPassError):
            note = error.note
        else:
            self.sink.report(Report("error", str(error), None))
        if self.settings.crash_reproducer:
            note = f"{note}\nnote: {self.settings.crash_reproducer} holds the module and the command that fails".strip()
        if isinstance(error, PassRaisedError) and error.pass_name not in PASSES:  # For who writes the pass.
            traceback.print_exception(error.__cause__)
        if note and self.verifier is None:
            print(note, file=sys.stderr)


def split(text: str, marker: str | None) -> list[str]:
    """The parts of `text` between lines that start with `marker`, each padded to keep its line numbers."""
    if marker is None:
        return [text]
    parts: list[list[str]] = [[]]
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if line.startswith(marker):
            parts.append(["\n"] * number)
        else:
            parts[-1].append(line)
    return ["".join(part) for part in parts]


if __name__ == "__main__":
    sys.exit(main())
