"""`terrace-translate`: the kernels of a text as binaries that stand by themselves.

Exit codes: 0 done, 1 failed, 2 wrong command line. A failure leaves the files that were there as they were.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from terrace.compiler import Request, Text, lower
from terrace.dialects.context import create_context
from terrace.errors import CompileError, TerraceError
from terrace.lowering.pipeline.registry import suggestion
from terrace.lowering.target.gpu.backend import VulkanBackend
from terrace.lowering.target.gpu.spirv import SpirvKernel, spirv_kernels
from terrace.lowering.target.iree.extern import extern_program
from terrace.mlir import ir
from terrace.parsing import parse, read_text
from terrace.passes import run_passes
from terrace.storage.files import write_file
from terrace.supervision import enter_supervised
from terrace.target import GPUS, Target
from terrace.tools.written import file_name, tell_written

_EPILOG = """\
INPUT is a text at the level "graph", "kernel" or "loop", such as `terrace-compile --target vulkan --emit loop` writes.
Each kernel of static shape becomes a compute shader: operands and then results are the storage buffers of descriptor
set 0, and the entry point has the kernel's name. What is no kernel is left out. A text with a kernel that computes erf
(gelu without tanh), for which SPIR-V has no instruction, is refused.

  terrace-translate --to spirv model.mlir --kernel matmul_64x80 -o matmul.spv && spirv-val matmul.spv
  terrace-translate --to spirv model.mlir --output-dir kernels   # NAME.spv, and NAME.mlir, which runs it in IREE:
  iree-compile kernels/NAME.mlir --iree-hal-target-device=vulkan --iree-hal-executable-object-search-path=kernels"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code. argparse exits with 2 by itself."""
    if arguments is None:
        enter_supervised("terrace-translate")
    parser = _parser()
    options = parser.parse_args(arguments)
    if bool(options.output) == bool(options.output_dir):
        parser.error("give -o FILE for one kernel, or --output-dir DIR for all")
    try:
        kernels = _kernels(options.input, Target("vulkan", gpu=options.gpu))
        if options.kernel:
            kernels = [_find(kernels, options.kernel)]
        if options.output:
            write_file(options.output, _only(kernels).binary)
        else:
            _write_all(options.output_dir, kernels)
        tell_written(options.output or options.output_dir)
    except (TerraceError, OSError) as error:
        print(f"terrace-translate: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="terrace-translate",
        description="Translate the kernels of a text to binaries that stand by themselves.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="INPUT", help="an .mlir file, or - for stdin")
    parser.add_argument("--to", required=True, choices=["spirv"], help="the format of the binaries")
    parser.add_argument(
        "--gpu", metavar="NAME", help=f"the GPU to schedule for (default: this machine's): {', '.join(GPUS)}"
    )
    parser.add_argument("--kernel", metavar="NAME", help="only the kernel of this name")
    parser.add_argument("-o", dest="output", metavar="FILE", help="the binary of the only kernel, or of --kernel")
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="a binary, and a program to run it, per kernel")
    return parser


def _kernels(name: str, target: Target) -> list[SpirvKernel]:
    """The kernels of a text at any level down to "loop"."""
    lowered = lower(Text(read_text(name), name=name), Request.of(target), until="loop")
    context = create_context()
    module = parse(lowered.ir["loop"], context)
    with context, ir.Location.unknown():
        run_passes(VulkanBackend(lowered.target).lower_kernels(), module.operation)
        kernels = spirv_kernels(module.operation)
    if not kernels:
        raise CompileError("the text has no kernel; IREE's code generation takes all of it")
    return kernels


def _find(kernels: Sequence[SpirvKernel], name: str) -> SpirvKernel:
    found = {kernel.name: kernel for kernel in kernels}
    if name not in found:
        raise CompileError(f"there is no kernel '{name}'{suggestion(name, found)}; there are {', '.join(found)}")
    return found[name]


def _only(kernels: Sequence[SpirvKernel]) -> SpirvKernel:
    if len(kernels) != 1:
        names = ", ".join(kernel.name for kernel in kernels)
        raise CompileError(f"-o takes one kernel; choose one of {names} by --kernel, or give --output-dir")
    return kernels[0]


def _write_all(folder: Path, kernels: Sequence[SpirvKernel]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kernel in kernels:
        binary = f"{file_name(kernel.name)}.spv"
        write_file(folder / binary, kernel.binary)
        program = extern_program(kernel.name, kernel.operands, kernel.results, kernel.workgroups, binary)
        write_file(folder / f"{kernel.name}.mlir", program.encode())


if __name__ == "__main__":
    sys.exit(main())
