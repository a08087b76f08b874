"""`terrace-compile`: compile a PyTorch model, or the text of any level, to a `.terrace` file.

Exit codes: 0 done, 1 failed, 2 wrong command line, 130 interrupted. A failure leaves the files that were there alone.
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from terrace import progress
from terrace.compiler import Lowered, build, lower
from terrace.compiler.kernel_texts import ASSEMBLY, KernelLevels
from terrace.compiler.tuning import tune_if_asked
from terrace.errors import CompileError, TerraceError
from terrace.levels import TEXTS
from terrace.runtime.report import Report, report_of
from terrace.storage.artifact import Artifact, find_entry, write_artifact
from terrace.storage.files import new_files, write_file
from terrace.storage.parameter_archive import write_archive
from terrace.supervision import enter_supervised
from terrace.target import TARGETS, Target, targets_with
from terrace.tools.inputs import EPILOG, add_input, add_request_flags, asked, check_input, factory_of
from terrace.tools.written import file_name, tell_written

MADE_TEXTS = {name: place for target in TARGETS.values() for name, place in target.texts.items()}
"""No levels, but what --emit writes of a text of a target's level, by what makes it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code. argparse exits with 2 by itself."""
    if arguments is None:
        enter_supervised("terrace-compile")
    parser = _parser()
    options = parser.parse_args(arguments)
    _check(parser, options)
    try:
        with progress.shown():
            _run(options)
    except BrokenPipeError:  # The reader has seen enough, as `head` has; Python must not flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("terrace-compile: interrupted", file=sys.stderr)
        return 130
    except (TerraceError, OSError) as error:
        print(f"terrace-compile: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="terrace-compile",
        description="Compile a PyTorch model, or the text of any level, to a .terrace file.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_input(parser)
    parser.add_argument(
        "-o", dest="output", metavar="FILE", help="the .terrace file, or with --emit the text, to write"
    )
    parser.add_argument(
        "--emit", choices=(*TEXTS, *MADE_TEXTS), help="write the text of that level (to -o, or stdout) instead"
    )
    add_request_flags(parser)
    parser.add_argument(
        "--tune", metavar="FILE", help="use the schedules in this file of records, and measure first what it lacks"
    )
    _add_outputs(parser)
    return parser


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    """The flags for what is written, printed and simulated beside the model."""
    parser.add_argument(
        "--dump-dir", type=Path, metavar="DIR", help="write every level, of each kernel too, and parameters.irpa"
    )
    parser.add_argument(
        "--report",
        nargs="?",
        const="-",
        metavar="FILE.html",
        help="print a row per kernel: whose code runs it, and why; with a file, draw graph, charts and layers into it",
    )
    parser.add_argument("--entry", metavar="NAME", help="of a model that has several: the one whose report is drawn")
    parser.add_argument(
        "--cosim",
        action="store_true",
        help="simulate each kernel of hardware as SystemVerilog, and compare with its C++; exit 1 if they differ",
    )
    parser.add_argument(
        "--verilog-dir",
        type=Path,
        metavar="DIR",
        help="write a whole network of hardware as SystemVerilog, with a file for each memory of its weights",
    )
    parser.add_argument(
        "--resources",
        nargs="?",
        const="-",
        metavar="FAMILY",
        help="print what a network of hardware takes of its part, or of an FPGA of the family xc7 or ecp5",
    )
    parser.add_argument("--vectors", type=int, default=100, metavar="N", help="of --cosim, per kernel (default: 100)")


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """What argparse cannot say: which flags need or exclude each other."""
    wanted = options.output, options.emit, options.dump_dir, options.report, *_of_hardware(options)
    if not any(wanted):
        outputs = "--emit LEVEL, --dump-dir DIR, --report, --cosim, --verilog-dir DIR or --resources"
        parser.error(f"nothing to do: give -o FILE, {outputs}")
    target = TARGETS.get(options.target or Target.name)
    for flag in ("cosim", "verilog_dir", "resources"):
        if getattr(options, flag) and not (target and target.cosimulates):
            parser.error(f"--{flag.replace('_', '-')} is for --target {targets_with('cosimulates')}")
    if options.emit in MADE_TEXTS and not (target and options.emit in target.texts):
        parser.error(f"--emit {options.emit} is for --target {targets_with('texts')}")
    if options.vectors < 1:
        parser.error(f"--vectors must be 1 or more, got {options.vectors}")
    if options.emit and options.cosim and not options.output:
        parser.error("--emit and --cosim would both write to stdout: give -o FILE")
    if options.emit and options.dump_dir:
        parser.error("--dump-dir writes every level: leave --emit out")
    if options.report not in (None, "-") and not options.report.endswith(".html"):
        parser.error(f"--report {options.report}: give a file that ends in .html, or the INPUT before --report")
    if options.emit and options.report == "-" and not options.output:
        parser.error("--emit and --report would both write to stdout: give -o FILE")
    check_input(parser, options)


def _of_hardware(options: argparse.Namespace) -> tuple[Any, ...]:
    """What is asked for of a design."""
    return options.cosim, options.verilog_dir, options.resources


def _run(options: argparse.Namespace) -> None:
    if options.emit or options.dump_dir or any(_of_hardware(options)) or not options.output:
        reports = _write_levels(options)
    else:
        artifact = build(*asked(options, options.tune))
        _write_artifact(options.output, artifact)
        reports = {name: report_of(entry, artifact.target) for name, entry in artifact.entries.items()}
    if options.report == "-":
        progress.hide()
        for name, report in reports.items():
            print(report if len(reports) == 1 else f"{name}:\n{report}")
    elif options.report:
        report = reports[find_entry(reports, options.entry)]
        _write_text(options.report, report.to_html(title=_title(options.input)))


def _write_levels(options: argparse.Namespace) -> dict[str, Report]:
    """Write texts, and with --dump-dir or --cosim the artifact, too."""
    until = None if any(_of_hardware(options)) or options.emit in (None, *MADE_TEXTS) else options.emit
    source, request = asked(options, options.tune)
    tune_if_asked(source, request)
    lowered = lower(source, request, until=until)
    if options.dump_dir:
        _dump(options.dump_dir, lowered)
        tell_written(options.dump_dir)
    if options.emit in MADE_TEXTS:
        make = pkgutil.resolve_name(MADE_TEXTS[options.emit])
        _write_text(options.output, make(lowered.ir[TARGETS[lowered.target.name].level]))
    elif options.emit:
        if options.emit not in lowered.ir:
            raise CompileError(f"there is no level '{options.emit}' with this target; it has {', '.join(lowered.ir)}")
        _write_text(options.output, lowered.ir[options.emit])
    elif options.output:
        _write_artifact(options.output, lowered.artifact())
    if options.verilog_dir:
        _write_network(options.verilog_dir, lowered)
        tell_written(options.verilog_dir)
    if options.resources:
        _print_resources(lowered, options.resources)
    if options.cosim:
        _cosim(lowered, options.vectors)
    return lowered.reports()


def _write_network(folder: Path, lowered: Lowered) -> None:
    """A whole network as SystemVerilog."""
    from terrace.runtime.network_cosim import network_files

    files = network_files(lowered.ir[TARGETS[lowered.target.name].level], lowered.parameters)
    folder.mkdir(parents=True, exist_ok=True)
    with new_files(folder) as create:
        for name, text in files.items():
            create(name).write(text.encode())


def _print_resources(lowered: Lowered, family: str) -> None:
    from terrace.runtime.network_resources import network_resources

    text, known = lowered.ir[TARGETS[lowered.target.name].level], None if family == "-" else family
    found = network_resources(text, lowered.parameters, known)
    progress.hide()
    print(found)


def _cosim(lowered: Lowered, vectors: int) -> None:
    from terrace.runtime.cosim import cosim

    found = cosim(lowered.ir[TARGETS[lowered.target.name].level], vectors, weights=lowered.parameters)
    progress.hide()
    print(found)
    if not found.simulated:
        raise CompileError("nothing was simulated: no kernel has SystemVerilog")
    if not all(row.passed for row in found.simulated):
        raise CompileError("a kernel's SystemVerilog gives other results than its C++, or takes other cycles")
    if found.is_partial:
        raise CompileError("only a part of the multiply-adds was simulated: see the kernels without SystemVerilog")


# -- output -----------------------------------------------------------------------------------------------------------


def _dump(folder: Path, lowered: Lowered) -> None:
    """Every level, and all the parameters that any of them needs: the raw ones and the evaluated ones."""
    folder.mkdir(parents=True, exist_ok=True)
    with new_files(folder) as create:
        for level, text in lowered.ir.items():
            create(f"{level}.mlir").write(text.encode())
        write_archive(create("parameters.irpa"), {**lowered.symbols, **lowered.parameters})
        if "loop" in lowered.ir:
            _dump_kernels(folder, lowered, create)


def _dump_kernels(folder: Path, lowered: Lowered, create: Callable[[str], BinaryIO]) -> None:
    """A folder per kernel: its text at each level, the reasons of its schedule, its assembly."""
    kernels = KernelLevels(lowered.ir, lowered.target, lowered.flags)
    folders = {name: folder / file_name(name) for name in kernels.names}
    for name, texts in kernels.all_texts().items():
        folders[name].mkdir(exist_ok=True)
        for level, text in texts.items():
            file = "assembly.s" if level == ASSEMBLY else f"{level}.mlir"
            create(f"{name}/{file}").write(text.encode())
        lines = kernels.reasons(name)
        if lines:
            create(f"{name}/reasons.txt").write("".join(f"{line}\n" for line in lines).encode())


def _title(name: str) -> str:
    """What a report is called: the file or module that the model comes from."""
    factory = factory_of(name)
    return Path(factory[0] if factory else name).stem if name != "-" else "stdin"


def _write_text(output: str | None, text: str) -> None:
    if output is None:
        progress.hide()
        print(text, end="", flush=True)
        return
    write_file(output, text)
    tell_written(output)


def _write_artifact(output: str, artifact: Artifact) -> None:
    write_artifact(output, artifact)
    tell_written(output)


if __name__ == "__main__":
    sys.exit(main())
