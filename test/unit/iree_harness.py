"""Running linalg-level modules for tests: iree-compile in a subprocess, then iree.runtime in this one."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import iree.runtime
import numpy as np
from terrace.lowering.target.iree.compiler import iree_compile_path
from terrace.mlir import ir

FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
    # The oracle must see f64 as f64.
    "--iree-input-demote-f64-to-f32=false",
)


def compile_module(module: str | ir.Module, flags: Sequence[str] = ()) -> bytes:
    """The .vmfb of `module`; raises AssertionError with iree-compile's messages."""
    # The generic form is the one that both MLIRs, torch-mlir's and IREE's, read alike.
    text = module if isinstance(module, str) else module.operation.get_asm(print_generic_op_form=True)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "module.mlir"), Path(folder, "module.vmfb")
        source.write_text(text)
        command = [iree_compile_path(), *FLAGS, *flags]
        done = subprocess.run([*command, source, "-o", target], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"iree-compile failed ({done.returncode}):\n{done.stderr[:8000]}"
        return target.read_bytes()


def run_module(
    module: str | ir.Module, inputs: Mapping[str, Sequence[np.ndarray]], flags: Sequence[str] = ()
) -> dict[str, Any]:
    """Compile `module` once and call each function of `inputs`; returns each one's result (a list if several)."""
    config = iree.runtime.Config("local-sync")
    program = iree.runtime.VmModule.copy_buffer(config.vm_instance, compile_module(module, flags))
    bound = iree.runtime.load_vm_module(program, config)
    outputs = {}
    for name, arguments in inputs.items():
        result = bound[name](*arguments)
        outputs[name] = [item.to_host() for item in result] if isinstance(result, (list, tuple)) else result.to_host()
    return outputs
