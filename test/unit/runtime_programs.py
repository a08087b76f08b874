"""Programs written by hand for the tests of artifacts and the runtime: no pass of Terrace stands between."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from terrace.lowering.target.iree.compiler import iree_compile_path
from terrace.signature import Leaf, Signature
from terrace.storage.artifact import Artifact, State, one_entry
from terrace.structure import Tree

FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
    "--iree-input-demote-f64-to-f32=false",
)

# What comes back: the input, a parameter, a value packed at load, one value twice, a constant, the input reshaped.
ALIASES = """
module @model {
  util.global private @w = #flow.parameter.named<"model"::"w"> : tensor<4x16xf32>
  util.global private @packed : tensor<16x4xf32>
  util.initializer {
    %w = util.global.load @w : tensor<4x16xf32>
    %e = tensor.empty() : tensor<16x4xf32>
    %t = linalg.transpose ins(%w : tensor<4x16xf32>) outs(%e : tensor<16x4xf32>) permutation = [1, 0]
    util.global.store %t, @packed : tensor<16x4xf32>
    util.return
  }
  func.func @main(%a: tensor<4x16xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>, tensor<16x4xf32>, tensor<4x16xf32>,
                                            tensor<4x16xf32>, tensor<4xf32>, tensor<64xf32>) {
    %w = util.global.load @w : tensor<4x16xf32>
    %p = util.global.load @packed : tensor<16x4xf32>
    %b = arith.addf %a, %a : tensor<4x16xf32>
    %c = arith.addf %a, %a : tensor<4x16xf32>
    %k = arith.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
    %r = tensor.collapse_shape %a [[0, 1]] : tensor<4x16xf32> into tensor<64xf32>
    return %a, %w, %p, %b, %c, %k, %r : tensor<4x16xf32>, tensor<4x16xf32>, tensor<16x4xf32>, tensor<4x16xf32>,
                                        tensor<4x16xf32>, tensor<4xf32>, tensor<64xf32>
  }
}
"""

# A counter, and a cache that is written in place at one position.
STATE = """
module @model {
  util.global private mutable @count = dense<0.0> : tensor<4xf32>
  util.global private mutable @cache = dense<0.0> : tensor<8x4xf32>
  func.func @main(%a: tensor<4xf32>, %where: tensor<i64>) -> (tensor<4xf32>, tensor<8x4xf32>) {
    %at = tensor.extract %where[] : tensor<i64>
    %s = util.global.load @count : tensor<4xf32>
    %n = arith.addf %s, %a : tensor<4xf32>
    util.global.store %n, @count : tensor<4xf32>
    %i = arith.index_cast %at : i64 to index
    %c = util.global.load @cache : tensor<8x4xf32>
    %d = tensor.insert_slice %a into %c[%i, 0] [1, 4] [1, 1] : tensor<4xf32> into tensor<8x4xf32>
    util.global.store %d, @cache : tensor<8x4xf32>
    return %n, %d : tensor<4xf32>, tensor<8x4xf32>
  }
  func.func @"state.get.count"() -> tensor<4xf32> {
    %s = util.global.load @count : tensor<4xf32>
    return %s : tensor<4xf32>
  }
  func.func @"state.set.count"(%a: tensor<4xf32>) {
    util.global.store %a, @count : tensor<4xf32>
    return
  }
  func.func @"state.get.cache"() -> tensor<8x4xf32> {
    %s = util.global.load @cache : tensor<8x4xf32>
    return %s : tensor<8x4xf32>
  }
  func.func @"state.set.cache"(%a: tensor<8x4xf32>) {
    util.global.store %a, @cache : tensor<8x4xf32>
    return
  }
  func.func @"state.reset"() {
    %z = arith.constant dense<0.0> : tensor<4xf32>
    util.global.store %z, @count : tensor<4xf32>
    %y = arith.constant dense<0.0> : tensor<8x4xf32>
    util.global.store %y, @cache : tensor<8x4xf32>
    return
  }
}
"""

SCALARS = """
module @model {
  func.func @main(%b: tensor<i1>, %i: tensor<i64>, %f: tensor<f64>) -> (tensor<i1>, tensor<i64>, tensor<f64>) {
    %true = arith.constant dense<true> : tensor<i1>
    %one = arith.constant dense<1> : tensor<i64>
    %b2 = arith.xori %b, %true : tensor<i1>
    %i2 = arith.addi %i, %one : tensor<i64>
    %f2 = arith.addf %f, %f : tensor<f64>
    return %b2, %i2, %f2 : tensor<i1>, tensor<i64>, tensor<f64>
  }
}
"""

# A tenth of a second or more: one matrix product after the other, and each waits for the one before.
SLOW = """
module @model {
  func.func @main(%a: tensor<512x512xf32>) -> tensor<512x512xf32> {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<512x512xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<512x512xf32>) -> tensor<512x512xf32>
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = arith.constant 100 : index
    %r = scf.for %i = %c0 to %n step %c1 iter_args(%x = %a) -> tensor<512x512xf32> {
      %y = linalg.matmul ins(%x, %a : tensor<512x512xf32>, tensor<512x512xf32>)
                         outs(%f : tensor<512x512xf32>) -> tensor<512x512xf32>
      scf.yield %y : tensor<512x512xf32>
    }
    return %r : tensor<512x512xf32>
  }
}
"""

BIG = 4 * 1024 * 1024
"""Elements of the parameter of `LOOKUP`: 16 MiB, enough to see a copy."""

LOOKUP = f"""
module @model {{
  util.global private @w = #flow.parameter.named<"model"::"w"> : tensor<{BIG}xf32>
  func.func @main(%where: tensor<i64>) -> tensor<4xf32> {{
    %at = tensor.extract %where[] : tensor<i64>
    %i = arith.index_cast %at : i64 to index
    %w = util.global.load @w : tensor<{BIG}xf32>
    %s = tensor.extract_slice %w[%i] [4] [1] : tensor<{BIG}xf32> to tensor<4xf32>
    %d = arith.addf %s, %s : tensor<4xf32>
    return %d : tensor<4xf32>
  }}
}}
"""

MLIR_TYPES = {
    "float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16", "bool": "i1", "int8": "i8",
    "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64",
}  # fmt: skip


@functools.cache
def compile_program(text: str) -> bytes:
    """The .vmfb of a module, by IREE's compiler in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "program.mlir"), Path(folder, "program.vmfb")
        source.write_text(text)
        compiler = iree_compile_path()
        subprocess.run([compiler, str(source), "-o", str(program), *FLAGS], check=True, capture_output=True)
        return program.read_bytes()


def double_text(rank: int, dtype: str) -> str:
    """x + x of any shape (booleans: x xor x), so that the result is no alias of the input."""
    element = MLIR_TYPES[dtype]
    tensor = f"tensor<{'?x' * rank}{element}>"
    op = "arith.xori" if dtype == "bool" else "arith.addf" if "f" in element else "arith.addi"
    return (
        f"module @model {{ func.func @main(%a: {tensor}) -> {tensor} {{\n"
        f"  %b = {op} %a, %a : {tensor}\n  return %b : {tensor} }} }}"
    )


def tensor(shape: Sequence[int | str], dtype: str = "float32") -> Leaf:
    """A tensor leaf."""
    return Leaf("tensor", list(shape), dtype)


def positional(inputs: Sequence[Leaf], outputs: Sequence[Leaf], **ranges: Any) -> Signature:
    """A signature of positional arguments that gives a tuple, or the value itself if there is one."""
    leaves = [Tree("leaf")] * len(inputs)
    result = Tree("leaf") if len(outputs) == 1 else Tree("tuple", [Tree("leaf")] * len(outputs))
    arguments = Tree("tuple", [Tree("tuple", leaves), Tree("dict")])
    return Signature(arguments, list(inputs), result, list(outputs), ranges)


def aliases_artifact(report: Sequence[dict[str, Any]] = ()) -> Artifact:
    """`ALIASES` with w = 3."""
    full = tensor([4, 16])
    outputs = [full, full, tensor([16, 4]), full, full, tensor([4]), tensor([64])]
    parameters = {"w": np.full((4, 16), 3, np.float32)}
    entries = one_entry(positional([full], outputs), report=list(report))
    return Artifact(entries, compile_program(ALIASES), parameters)


def state_artifact() -> Artifact:
    """`STATE`, its two buffers zero."""
    signature = positional([tensor([4]), Leaf("scalar", dtype="int64")], [tensor([4]), tensor([8, 4])])
    states = [State("count", (4,), "float32"), State("cache", (8, 4), "float32")]
    return Artifact(one_entry(signature), compile_program(STATE), states=states)


def double_artifact(rank: int = 2, dtype: str = "float32") -> Artifact:
    """x + x with all sizes dynamic, named d0, d1, ..."""
    leaf = tensor([f"d{axis}" for axis in range(rank)], dtype)
    return Artifact(one_entry(positional([leaf], [leaf])), compile_program(double_text(rank, dtype)))


def slow_artifact() -> Artifact:
    """`SLOW`: the identity gives the identity."""
    leaf = tensor([512, 512])
    return Artifact(one_entry(positional([leaf], [leaf])), compile_program(SLOW))


def lookup_artifact() -> Artifact:
    """`LOOKUP` with w = 0, 1, 2, ..."""
    signature = positional([Leaf("scalar", dtype="int64")], [tensor([4])])
    parameters = {"w": np.arange(BIG, dtype=np.float32)}
    return Artifact(one_entry(signature), compile_program(LOOKUP), parameters)


def aligned(shape: Sequence[int], dtype: Any = np.float32) -> np.ndarray:
    """Zeros at an address that is a multiple of 64, which NumPy's own allocator does not promise."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(dtype).reshape(shape)


def run_python(code: str, *arguments: str, **environment: str) -> str:
    """The output of a program in a fresh interpreter, which must end well (a crash at exit counts)."""
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert result.returncode == 0, f"exit code {result.returncode}\n{result.stderr}"
    assert "leaked" not in result.stderr
    return result.stdout
