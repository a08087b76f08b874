"""`terrace-compile`: compile a PyTorch model, or the text of any level, to a `.terrace` file.

Exit codes: 0 done, 1 failed, 2 wrong command line, 130 interrupted. A failure leaves the files that were there alone.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from terrace import progress
from terrace.compiler import Lowered, PyTorch, Request, Text, build, lower
from terrace.compiler.kernel_texts import ASSEMBLY, KernelLevels
from terrace.compiler.request import PRECISIONS
from terrace.errors import CompileError, TerraceError
from terrace.levels import TEXTS
from terrace.lowering.pipeline.registry import load_passes
from terrace.lowering.pipeline.user_passes import POINTS
from terrace.parsing import STDIN, read_text
from terrace.runtime.report import Report, report_of
from terrace.storage.artifact import Artifact, write_artifact
from terrace.storage.files import new_files, write_file
from terrace.storage.parameter_archive import write_archive
from terrace.supervision import enter_supervised
from terrace.target import GPUS, TARGETS, Target, target_names, targets_with
from terrace.tools.written import file_name, tell_written

MADE_TEXTS = {name: place for target in TARGETS.values() for name, place in target.texts.items()}
"""No levels, but what --emit writes of a text of a target's level, by what makes it."""

_EPILOG = """\
INPUT is FILE.py:FACTORY or package.module:FACTORY, a function without arguments that returns (model, args) or
(model, args, kwargs); or a file with the text of any level, which - reads from stdin. A model with dynamic sizes is
returned as the torch.export.ExportedProgram that torch.export.export(..., dynamic_shapes=...) makes, with args ()."""


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
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="INPUT", help="a model factory, an .mlir file, or - for stdin")
    parser.add_argument(
        "-o", dest="output", metavar="FILE", help="the .terrace file, or with --emit the text, to write"
    )
    parser.add_argument(
        "--target",
        choices=target_names(),
        help=f"what to compile for (default: {Target.name}, or what a text names if no flag says anything of it)",
    )
    parser.add_argument(
        "--gpu",
        metavar="NAME",
        help=f"the GPU of a target that is one (default: this machine's): {', '.join(GPUS)}",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads that run the program (default: all cores)")
    parser.add_argument("--cpu-features", type=_names, metavar="A,B", help="LLVM's names (default: this machine's)")
    parser.add_argument("--precision", choices=PRECISIONS, help="of matrix products (default: PyTorch's setting)")
    parser.add_argument("--parameters", metavar="FILE", help="an .irpa or .terrace file with the parameters of a text")
    parser.add_argument(
        "--emit", choices=(*TEXTS, *MADE_TEXTS), help="write the text of that level (to -o, or stdout) instead"
    )
    parser.add_argument(
        "--passes",
        action="append",
        type=_point,
        default=[],
        metavar="POINT=PIPELINE",
        help=f"run passes of your own, too, at one of {', '.join(POINTS)}; repeatable",
    )
    parser.add_argument(
        "--load-pass-plugin",
        action="append",
        default=[],
        metavar="FILE",
        help="run this Python file and know the passes that it defines; repeatable",
    )
    parser.add_argument("--reproducer-dir", metavar="DIR", help="where what fails is written, or 'off'")
    _add_outputs(parser)
    parser.add_argument(
        "--check-indices",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="of a model: without, an index that is out of range reads or writes foreign memory",
    )
    parser.add_argument(
        "--winograd",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="without, convolutions add the products of their definition only, which rounds less",
    )
    parser.add_argument(
        "--iree-flag",
        action="append",
        default=[],
        metavar="FLAG",
        help="for iree-compile, as --iree-flag=--X; repeatable",
    )
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
    parser.add_argument(
        "--cosim",
        action="store_true",
        help="simulate each kernel of hardware as SystemVerilog, and compare with its C++; exit 1 if they differ",
    )
    parser.add_argument("--vectors", type=int, default=100, metavar="N", help="of --cosim, per kernel (default: 100)")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _point(text: str) -> tuple[str, str]:
    point, equals, pipeline = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected POINT=PIPELINE, found {text!r}")
    return point, pipeline


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """What argparse cannot say: which flags need or exclude each other."""
    if not (options.output or options.emit or options.dump_dir or options.report or options.cosim):
        parser.error("nothing to do: give -o FILE, --emit LEVEL, --dump-dir DIR, --report or --cosim")
    target = TARGETS.get(options.target or Target.name)
    if options.cosim and not (target and target.cosimulates):
        parser.error(f"--cosim is for --target {targets_with('cosimulates')}")
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
    if _factory(options.input) is None and options.input.endswith(".py"):
        parser.error(
            f"{options.input} is Python: name the function that returns (model, args), {options.input}:FACTORY"
        )
    if _factory(options.input) and options.parameters:
        parser.error("--parameters is for texts; a model has its own")
    if not _factory(options.input) and options.precision:
        parser.error("--precision is for models; in a text it has been decided")


def _run(options: argparse.Namespace) -> None:
    if options.emit or options.dump_dir or options.cosim or not options.output:
        report = _write_levels(options)
    else:
        artifact = build(*_asked(options))
        _write_artifact(options.output, artifact)
        report = report_of(artifact.report, artifact.layers, artifact.signature, artifact.target)
    if options.report == "-":
        progress.hide()
        print(report)
    elif options.report:
        _write_text(options.report, report.to_html(title=_title(options.input)))


def _write_levels(options: argparse.Namespace) -> Report:
    """Write texts, and with --dump-dir or --cosim the artifact, too."""
    until = None if options.cosim or options.emit in (None, *MADE_TEXTS) else options.emit
    lowered = lower(*_asked(options), until=until)
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
    if options.cosim:
        _cosim(lowered, options.vectors)
    return lowered.drawable_report()


def _cosim(lowered: Lowered, vectors: int) -> None:
    from terrace.runtime.cosim import cosim

    found = cosim(lowered.ir[TARGETS[lowered.target.name].level], vectors, weights=lowered.parameters)
    progress.hide()
    print(found)
    if not found.simulated:
        raise CompileError("nothing was simulated: no kernel has SystemVerilog")
    if not found.passed:
        raise CompileError("a kernel's SystemVerilog gives other results than its C++, or takes other cycles")


def _asked(options: argparse.Namespace) -> tuple[PyTorch | Text, Request]:
    """What to compile, and how."""
    described = {"name": options.target, "threads": options.threads, "features": options.cpu_features}
    given = {name: value for name, value in {**described, "gpu": options.gpu}.items() if value is not None}
    target = Target(**given) if given else None
    for file in options.load_pass_plugin:
        load_passes(file)
    passes: dict[str, list[str]] = {}
    for point, pipeline in options.passes:
        passes.setdefault(point, []).append(pipeline)
    how = {
        "check_indices": options.check_indices,
        "iree_flags": options.iree_flag,
        "passes": passes,
        "reproducer_dir": options.reproducer_dir,
        "winograd": options.winograd,
    }
    factory = _factory(options.input)
    if factory:
        return PyTorch(*_build(*factory)), Request.of(target, options.precision, how)
    text = Text(read_text(options.input), options.parameters, _shown(options.input))
    return text, Request.of(target, Request.precision, how)


# -- input ------------------------------------------------------------------------------------------------------------


def _factory(text: str) -> tuple[str, str] | None:
    """Module and function of FILE.py:FACTORY or package.module:FACTORY; None for the name of a file."""
    module, separator, function = text.rpartition(":")
    is_module = module.endswith(".py") or all(part.isidentifier() for part in module.split("."))
    return (module, function) if separator and is_module and not Path(text).exists() else None


def _build(module: str, function: str) -> tuple[Any, ...]:
    """(model, args) or (model, args, kwargs) from a factory."""
    factory = _find(module, function)
    built = _run_user_code(f"{module}:{function}", factory)
    is_call = isinstance(built, tuple) and 2 <= len(built) <= 3 and isinstance(built[1], (tuple, list))
    if not is_call or not all(isinstance(kwargs, Mapping) for kwargs in built[2:]):
        raise CompileError(f"{module}:{function} must return (model, args) or (model, args, kwargs), args a tuple")
    return built


def _find(module: str, function: str) -> Callable[[], Any]:
    if module.endswith(".py") and not Path(module).is_file():
        raise CompileError(f"there is no file {module}")
    load = _load_file if module.endswith(".py") else _load_module
    found = _run_user_code(module, lambda: load(module))
    if not callable(getattr(found, function, None)):
        raise CompileError(f"{module} defines no function {function!r}; name the one that returns (model, args)")
    factory: Callable[[], Any] = getattr(found, function)
    return factory


def _load_file(name: str) -> ModuleType:
    """Run a file as Python runs a script: what lies beside it can be imported."""
    path = Path(name).resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Before it runs: dataclasses look their module up.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    return importlib.import_module(name)


def _run_user_code(name: str, code: Callable[[], Any]) -> Any:
    """Call what the user wrote; what it raises becomes a `CompileError` that names its line."""
    try:
        return code()
    # It may raise anything at all.
    except Exception as error:
        own = ("<frozen", __file__, importlib.__file__)
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(own)]
        where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        raise CompileError(f"{name} failed{where}: {type(error).__name__}: {error}") from error


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


def _shown(name: str) -> str:
    """What diagnostics call the input."""
    return "<stdin>" if name == STDIN else name


def _title(name: str) -> str:
    """What a report is called: the file or module that the model comes from."""
    factory = _factory(name)
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
