"""The engines that `terrace-bench --peers` compares with: one small class each.

Each takes the same module and arguments, with its best settings for one model on a given number of threads, and all
graph optimizations that it has. All but PyTorch's are called with NumPy arrays, which they take in place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.metadata
import importlib.util
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from terrace.compiler.timing import Call
from terrace.errors import TerraceError
from terrace.tools.bench.case import Contest


class PeerError(TerraceError):
    """An engine that cannot run a case, or not in the type that is asked for."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A case for peers: the contest, the type to compute in, the threads, and a folder for files."""

    contest: Contest
    type: str
    threads: int
    folder: Path

    @functools.cached_property
    def arrays(self) -> list[Any]:
        """The arguments as NumPy's."""
        with refusing("NumPy", TypeError):  # It has no bfloat16.
            return [value.numpy() for value in self.contest.args]

    @functools.cached_property
    def onnx(self) -> Path:
        """The model as torch.onnx exports it; with what is quantized between QuantizeLinear and DequantizeLinear."""
        return self._quantized if self.type == "i8" else self._exported

    @functools.cached_property
    def _exported(self) -> Path:
        import torch
        from torch.onnx.errors import OnnxExporterError

        path = self.folder / "model.onnx"
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # It warns of torchvision's absence.
        with warnings.catch_warnings(), refusing("torch.onnx", OnnxExporterError, RuntimeError):
            warnings.simplefilter("ignore")
            torch.onnx.export(self.contest.model, self.contest.args, path, verbose=False)
        return path

    @functools.cached_property
    def _quantized(self) -> Path:
        """Signed weights by output channel, and unsigned activations, which ONNX Runtime is 2 to 3 times as fast on."""
        from onnxruntime import quantization as q
        from onnxruntime.quantization.shape_inference import quant_pre_process

        class Reader(q.CalibrationDataReader):
            def __init__(self, names: Sequence[str], calls: Sequence[Any]) -> None:
                self._feeds = iter([dict(zip(names, (v.numpy() for v in call), strict=True)) for call in calls])

            def get_next(self) -> Any:
                return next(self._feeds, None)

        prepared, path = self.folder / "prepared.onnx", self.folder / "quantized.onnx"
        names = [value.name for value in _session(self._exported, self.threads).get_inputs()]
        reader = Reader(names, self.contest.options["calibration"])
        with refusing("ONNX Runtime's quantization", ValueError, RuntimeError, *_onnx_errors()):
            quant_pre_process(self._exported, prepared)
            types = {"activation_type": q.QuantType.QUInt8, "weight_type": q.QuantType.QInt8}
            q.quantize_static(prepared, path, reader, quant_format=q.QuantFormat.QDQ, per_channel=True, **types)
        return path


class Peer:
    """An engine. `packages` are what it needs beyond Terrace's own dependencies, `types` what it computes in."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    types: ClassVar[tuple[str, ...]] = ("f32",)

    def prepare(self, task: Task) -> Call:
        """What calls the compiled model on the case's arguments; raises PeerError where it cannot."""
        raise NotImplementedError


@contextlib.contextmanager
def refusing(name: str, *errors: type[Exception]) -> Iterator[None]:
    """An engine's errors as a PeerError."""
    try:
        yield
    except errors as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise PeerError(f"{name}: {lines[0] if lines else type(error).__name__}"[:200]) from error


def missing(peer: Peer) -> list[str]:
    """The packages of a peer that are not installed."""
    return [name for name in peer.packages if importlib.util.find_spec(name) is None]


def version(peer: Peer) -> str:
    """A peer's packages with their versions."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in peer.packages)


class Inductor(Peer):
    """torch.compile with everything tried and the weights frozen."""

    name = "inductor"

    def prepare(self, task: Task) -> Call:
        import torch
        from torch._inductor import config

        torch._dynamo.reset()
        compiled, args = torch.compile(task.contest.model, fullgraph=True, dynamic=False), task.contest.args
        # Not as options of this compile: TorchDynamo, which then leaves the weights open, does not see those.
        with refusing("inductor", RuntimeError), config.patch(max_autotune=True, freezing=True):
            compiled(*args)
        return lambda: compiled(*args)


class OnnxRuntime(Peer):
    """ONNX Runtime on the model that torch.onnx exports; int8 by its own static quantization (QDQ)."""

    name = "ONNX Runtime"
    packages = ("onnxruntime", "onnx", "onnxscript")
    types = ("f32", "i8")

    def prepare(self, task: Task) -> Call:
        with refusing("ONNX Runtime", *_onnx_errors()):
            session = _session(task.onnx, task.threads)
            names = [value.name for value in session.get_inputs()]
            feeds = dict(zip(names, task.arrays, strict=True))
            session.run(None, feeds)
        return lambda: session.run(None, feeds)[0]


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    # Its threads would take a core from who comes next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _onnx_errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = (getattr(state, name) for name in ("Fail", "InvalidArgument", "InvalidGraph", "NotImplemented"))
    return (*found, state.RuntimeException)


class OpenVino(Peer):
    """OpenVINO on the same models as ONNX Runtime, set to the least latency of one call at a time."""

    name = "OpenVINO"
    packages = ("openvino", "onnxruntime", "onnx", "onnxscript")
    types = ("f32", "bf16", "i8")

    def prepare(self, task: Task) -> Call:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if task.type == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": task.threads,
            # A core that it was bound to may be another program's.
            "ENABLE_CPU_PINNING": False,
        }
        with refusing("OpenVINO", RuntimeError):
            request = openvino.Core().compile_model(task.onnx, "CPU", settings).create_infer_request()
            for number, array in enumerate(task.arrays):
                request.set_input_tensor(number, openvino.Tensor(array, shared_memory=True))
            request.infer(share_outputs=True)
        return lambda: request.infer(share_outputs=True)[0]


class StockIree(Peer):
    """IREE on what torch-mlir makes of the model, with those of `FLAGS` that are fastest for it."""

    name = "IREE"

    FLAGS = (
        ("--iree-opt-level=O2",),
        ("--iree-opt-level=O3", "--iree-opt-data-tiling"),
        ("--iree-opt-level=O3", "--iree-opt-data-tiling", "--iree-global-opt-use-im2col-for-convs"),
    )

    def prepare(self, task: Task) -> Call:
        source = self._import(task)
        found, refused = [], ""
        for flags in self.FLAGS:
            try:
                call = self._call(self._compile(source, flags), task)
            except PeerError as error:
                refused = str(error)
            else:
                found.append((_least(call), call))
        if not found:
            raise PeerError(refused)
        return min(found, key=lambda pair: pair[0])[1]

    def _import(self, task: Task) -> Path:
        from torch_mlir import fx
        from torch_mlir.compiler_utils import TorchMlirCompilerError

        source = task.folder / "model.mlirbc"
        with refusing("torch-mlir", TorchMlirCompilerError, RuntimeError), source.open("wb") as file:
            module = fx.export_and_import(task.contest.model, *task.contest.args, output_type="linalg-on-tensors")
            module.operation.write_bytecode(file)  # As text the weights would take eight times their size.
        return source

    def _compile(self, source: Path, flags: Sequence[str]) -> Path:
        from iree.compiler.tools import CompilerToolError, compile_file

        program = source.with_name(f"{len(list(source.parent.iterdir()))}.vmfb")
        target = ("--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu")
        with refusing("IREE", CompilerToolError):
            host = [*target, "--iree-llvmcpu-target-cpu=host", *flags]
            compile_file(str(source), output_file=str(program), extra_args=host)
        return program

    def _call(self, program: Path, task: Task) -> Call:
        import iree.runtime as rt
        from terrace.runtime.device import cpu_device

        device = cpu_device(task.threads)
        with refusing("IREE", RuntimeError, ValueError):
            config = rt.Config(device=device.hal)
            module = rt.load_vm_module(rt.VmModule.copy_buffer(config.vm_instance, program.read_bytes()), config)
            arguments = [rt.asdevicearray(config.device, array) for array in task.arrays]
            main = module.main
            main(*arguments).to_host()
        return lambda: (device, main(*arguments).to_host())[1]  # The device lives as long as what it runs.


def _least(call: Call, calls: int = 3) -> float:
    """The least CPU seconds of some calls."""
    seconds = []
    for _ in range(calls):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return min(seconds)


PEERS: tuple[Peer, ...] = (Inductor(), OnnxRuntime(), OpenVino(), StockIree())
"""All of them, beside PyTorch as it is, in the order of the tables."""


def named(names: str | None) -> tuple[Peer, ...]:
    """The peers of these names, in small letters with commas between, or "all"; raises TerraceError for another."""
    known = {peer.name.lower().replace(" ", ""): peer for peer in PEERS}
    wanted = list(known) if names == "all" else names.split(",") if names else []
    for name in wanted:
        if name not in known:
            raise TerraceError(f"no peer {name!r}; known are {', '.join(known)}")
    return tuple(known[name] for name in wanted)
