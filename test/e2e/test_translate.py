"""Kernels translated to SPIR-V run in IREE through hal.dispatch.extern."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from terrace.lowering.target.iree.compiler import compile_program
from terrace.runtime.model import CompiledModel
from terrace.signature import Leaf, Signature
from terrace.storage.artifact import Artifact, one_entry
from terrace.structure import Tree
from terrace.tools.translate import main

MODEL = """
func.func @main(%a: tensor<33x70xf32>, %b: tensor<70x41xf32>) -> tensor<33x41xf32> {
  %0 = "graph.matmul"(%a, %b) {transpose_rhs = false} : (tensor<33x70xf32>, tensor<70x41xf32>) -> tensor<33x41xf32>
  %1 = "graph.softmax"(%0) {axis = 1 : i64} : (tensor<33x41xf32>) -> tensor<33x41xf32>
  return %1 : tensor<33x41xf32>
}
"""


def _run(folder: Path, name: str, *arrays: np.ndarray) -> np.ndarray:
    """The binary of a kernel, in the program that was written beside it; the result has the shape of the last array
    but one's rows and the last one's columns."""
    flags = ["--iree-hal-target-device=vulkan", f"--iree-hal-executable-object-search-path={folder}"]
    program = compile_program((folder / f"{name}.mlir").read_text(), flags)
    inputs = [Leaf("tensor", list(array.shape), "float32") for array in arrays]
    output = Leaf("tensor", [arrays[0].shape[0], arrays[-1].shape[1]], "float32")
    arguments = Tree("tuple", [Tree("tuple", [Tree("leaf") for _ in inputs]), Tree("dict")])
    signature = Signature(arguments, inputs, Tree("leaf"), [output])
    model = CompiledModel(Artifact(one_entry(signature), program=program, target={"name": "vulkan"}))
    return np.asarray(model(*arrays))


@pytest.mark.vulkan
def test_binaries_run_through_dispatch_extern(tmp_path: Path) -> None:
    (tmp_path / "model.mlir").write_text(MODEL)
    assert main(["--to", "spirv", str(tmp_path / "model.mlir"), "--output-dir", str(tmp_path)]) == 0
    a, b = (np.random.default_rng(0).standard_normal(shape, dtype=np.float32) for shape in ((33, 70), (70, 41)))
    product = _run(tmp_path, "matmul_33x41", a, b)
    exact = a.astype(np.float64) @ b
    np.testing.assert_allclose(product, exact, rtol=1e-5, atol=1e-5)
    exponentials = np.exp(exact - exact.max(axis=1, keepdims=True))
    soft = _run(tmp_path, "softmax_33x41", product)
    np.testing.assert_allclose(soft, exponentials / exponentials.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-6)
