"""What `terrace-compile` and `terrace-tune` have in common: the model, or text, that they are given, and the flags that
say how it is compiled.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from terrace.compiler import Entries, Onnx, PyTorch, Request, Text
from terrace.compiler.request import PRECISIONS
from terrace.errors import CompileError
from terrace.fpga import PARTS
from terrace.lowering.pipeline.registry import load_passes
from terrace.lowering.pipeline.user_passes import POINTS
from terrace.parsing import STDIN, read_text
from terrace.target import GPUS, HlsDescription, Target, target_names

EPILOG = """\
INPUT is FILE.py:FACTORY or package.module:FACTORY, a function without arguments that returns (model, args),
(model, args, kwargs), or a dict of several by the names of their entries; or an .onnx file, whose open sizes are
dynamic; or a file with the text of any level, which - reads from stdin. A model with dynamic sizes is returned as
the torch.export.ExportedProgram that torch.export.export(..., dynamic_shapes=...) makes, with args ()."""


def add_input(parser: argparse.ArgumentParser) -> None:
    """The argument that is compiled."""
    parser.add_argument("input", metavar="INPUT", help="a model factory, an .onnx or .mlir file, or - for stdin")


def add_request_flags(parser: argparse.ArgumentParser) -> None:
    """The flags for how it is compiled."""
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
    parser.add_argument("--part", choices=[*PARTS], help="the FPGA that a hardware design is for (default: xc7z020)")
    parser.add_argument(
        "--hls",
        action="append",
        type=_budget,
        default=[],
        metavar="NAME=VALUE",
        help=f"a number of a hardware design: {', '.join(BUDGET)}; repeatable",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads that run the program (default: all cores)")
    parser.add_argument("--cpu-features", type=_names, metavar="A,B", help="LLVM's names (default: this machine's)")
    parser.add_argument("--precision", choices=PRECISIONS, help="of matrix products (default: PyTorch's setting)")
    parser.add_argument("--parameters", metavar="FILE", help="an .irpa or .terrace file with the parameters of a text")
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


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


BUDGET = {
    field.name: int if field.type == "int" else str
    for field in dataclasses.fields(HlsDescription)
    if field.name != "part"
}
"""What --hls can set, and what that is."""


def _budget(text: str) -> tuple[str, int | str]:
    name, _, value = text.partition("=")
    make = BUDGET.get(name.replace("-", "_"))
    if make is None:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(BUDGET)}")
    try:
        return name.replace("-", "_"), make(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{name} is a whole number, got {value!r}") from error


def _point(text: str) -> tuple[str, str]:
    point, equals, pipeline = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected POINT=PIPELINE, found {text!r}")
    return point, pipeline


def check_input(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """What argparse cannot say of the input and its flags."""
    if factory_of(options.input) is None and options.input.endswith(".py"):
        parser.error(
            f"{options.input} is Python: name the function that returns (model, args), {options.input}:FACTORY"
        )
    is_model = bool(factory_of(options.input)) or is_onnx(options.input)
    if is_model and options.parameters:
        parser.error("--parameters is for texts; a model has its own")
    if not is_model and options.precision:
        parser.error("--precision is for models; in a text it has been decided")


def asked(
    options: argparse.Namespace, tune: str | Mapping[str, Any] | None = None
) -> tuple[PyTorch | Entries | Text, Request]:
    """What to compile, and how; `tune` is the option of that name."""
    described = {"name": options.target, "threads": options.threads, "features": options.cpu_features}
    given = {name: value for name, value in {**described, "gpu": options.gpu}.items() if value is not None}
    hls = {**({"part": options.part} if options.part else {}), **dict(options.hls)}
    if hls:
        given["hls"] = HlsDescription(**hls)
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
        "tune": tune,
        "winograd": options.winograd,
    }
    factory = factory_of(options.input)
    if factory:
        return _build(*factory), Request.of(target, options.precision, how)
    if is_onnx(options.input):
        return Onnx(options.input), Request.of(target, options.precision, how)
    text = Text(read_text(options.input), options.parameters, _shown(options.input))
    return text, Request.of(target, Request.precision, how)


def is_onnx(name: str) -> bool:
    """Whether the input is the file of an ONNX model."""
    return name.endswith(".onnx")


def _shown(name: str) -> str:
    """What diagnostics call the input."""
    return "<stdin>" if name == STDIN else name


def factory_of(text: str) -> tuple[str, str] | None:
    """Module and function of FILE.py:FACTORY or package.module:FACTORY; None for the name of a file."""
    module, separator, function = text.rpartition(":")
    is_module = module.endswith(".py") or all(part.isidentifier() for part in module.split("."))
    return (module, function) if separator and is_module and not Path(text).exists() else None


def _build(module: str, function: str) -> PyTorch | Entries:
    """What a factory returns: (model, args) or (model, args, kwargs), or several."""
    factory = _find(module, function)
    built = _run_user_code(f"{module}:{function}", factory)
    if isinstance(built, Mapping):
        return Entries.of(built)
    is_call = isinstance(built, tuple) and 2 <= len(built) <= 3 and isinstance(built[1], (tuple, list))
    if not is_call or not all(isinstance(kwargs, Mapping) for kwargs in built[2:]):
        raise CompileError(f"{module}:{function} must return (model, args) or (model, args, kwargs), args a tuple")
    return PyTorch(*built)


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
