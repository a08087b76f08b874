"""The code of GPU kernels, without any GPU: what it reads is what the schedule says, on every known device."""

from __future__ import annotations

import json

import pytest
import terrace
from terrace.compiler import Request, Text, lower
from terrace.dialects.base import to_python
from terrace.dialects.context import create_context
from terrace.errors import TargetError
from terrace.lowering.conversion.convert_graph_to_kernel import ConvertGraphToKernel
from terrace.lowering.conversion.convert_kernel_to_loop import ConvertKernelToLoop
from terrace.lowering.kernels.read_kernel import read_kernel
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import is_kernel
from terrace.lowering.target.gpu.backend import VulkanBackend
from terrace.lowering.target.iree.convert_loop_to_iree import ConvertLoopToIree
from terrace.mlir import ir, parse_module
from terrace.passes import run_passes
from terrace.runtime import gpu
from terrace.target import GPUS, GpuDescription, Target

SIZES = (256, 512, 128)
"""m, n and k: multiples of every tile, so that no load is of an element that does not count."""

ROW_LOADS = {"graph.layer_norm": 5, "graph.rms_norm": 3, "graph.softmax": 3}
"""What a row reduction reads of global memory per element of its result: a pass for each statistic and one for the
result, where a norm also reads its weights."""


def _constant(value: ir.Value) -> int:
    return int(to_python(value.owner.operation.attributes["value"]))


def _loads(block: ir.Block, times: int = 1) -> int:
    """Loads of global memory that one invocation of each workgroup runs; all bounds are constants."""
    total = 0
    for view in block.operations:
        operation = view.operation
        if operation.name == "memref.load" and ir.MemRefType(operation.operands[0].type).memory_space is None:
            total += times
        inner = times
        if operation.name == "scf.for":
            lower, upper, step = (_constant(v) for v in list(operation.operands)[:3])
            inner = times * -(-(upper - lower) // step)
        if operation.name == "loop.parallel":
            for bound in operation.operands:
                inner *= _constant(bound)
        assert operation.name != "scf.if" or not _loads(operation.regions[0].blocks[0]), "a conditional load"
        total += sum(_loads(b, inner) for region in operation.regions for b in region.blocks)
    return total


def _lowered(text: str, device: GpuDescription) -> tuple[Schedule, int]:
    """The schedule of the only kernel of a program, and how many loads its workgroups run."""
    context = create_context()
    module = parse_module(text, context).operation
    backend = VulkanBackend(Target("vulkan", gpu=device))
    with context, ir.Location.unknown():
        run_passes([ConvertGraphToKernel(), *backend.schedule()], module)
        (kernel,) = [op for op in module.regions[0].blocks[0].operations if is_kernel(op)]
        schedule = read_kernel(kernel).schedule
        lowering = [p for p in backend.lower() if not isinstance(p, ConvertLoopToIree)]
        run_passes([ConvertKernelToLoop(), *lowering], module)
        functions = [op for op in module.regions[0].blocks[0].operations if "loop.kernel" in op.operation.attributes]
        return schedule, _loads(functions[0].operation.regions[0].blocks[0]) * device.workgroup_size


@pytest.mark.parametrize("device", GPUS)
@pytest.mark.parametrize("transposed", [False, True])
def test_matmul_loads_each_block_once(device: str, transposed: bool) -> None:
    m, n, k = SIZES
    rhs = f"{n}x{k}" if transposed else f"{k}x{n}"
    schedule, loads = _lowered(
        f"""func.func @main(%x: tensor<{m}x{k}xf32>, %y: tensor<{rhs}xf32>) -> tensor<{m}x{n}xf32> {{
          %0 = "graph.matmul"(%x, %y) {{transpose_rhs = {str(transposed).lower()}}}
            : (tensor<{m}x{k}xf32>, tensor<{rhs}xf32>) -> tensor<{m}x{n}xf32>
          return %0 : tensor<{m}x{n}xf32> }}""",
        GPUS[device],
    )
    # Each block of lhs and rhs once, for a tile.
    assert loads == (k / schedule.tile("n") + k / schedule.tile("m")) * m * n
    # Without tiles in workgroup memory each output would read all of a row and a column.
    assert loads <= 2 * k * m * n / 16


@pytest.mark.parametrize("device", GPUS)
@pytest.mark.parametrize("root", ROW_LOADS)
def test_row_reductions_load_a_row_for_each_pass(device: str, root: str) -> None:
    m, n, _ = SIZES
    weights = ROW_LOADS[root] - 3 if root == "graph.layer_norm" else ROW_LOADS[root] - 2 if "norm" in root else 0
    attributes = "axis = 1 : i64" if root == "graph.softmax" else "epsilon = 1.0e-5 : f32"
    arguments = ", ".join(f"%w{i}: tensor<{n}xf32>" for i in range(weights))
    operands = "".join(f", %w{i}" for i in range(weights))
    types = f", tensor<{n}xf32>" * weights
    _, loads = _lowered(
        f"""func.func @main(%x: tensor<{m}x{n}xf32>{", " + arguments if weights else ""}) -> tensor<{m}x{n}xf32> {{
          %0 = "{root}"(%x{operands}) {{{attributes}}} : (tensor<{m}x{n}xf32>{types}) -> tensor<{m}x{n}xf32>
          return %0 : tensor<{m}x{n}xf32> }}""",
        GPUS[device],
    )
    assert loads == ROW_LOADS[root] * m * n


RELU = """func.func @main(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %0 = "graph.relu"(%x) : (tensor<8x8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32> }"""


@pytest.mark.parametrize("level", ["graph", "kernel", "loop", "iree"])
def test_every_level_is_an_entry(level: str) -> None:
    """The text of each level gives the same program."""
    target = Target("vulkan", gpu="ampere")
    lowered = lower(Text(RELU), Request.of(target))
    assert lower(Text(lowered.ir[level]), Request.of(target)).ir["iree"] == lowered.ir["iree"]


def test_a_description_changes_the_code() -> None:
    """A device that nobody has: its numbers are in the program."""
    described = GpuDescription("ampere", subgroup_size=4, max_invocations=64)
    text = lower(Text(RELU), Request.of(Target("vulkan", gpu=described))).ir["iree"]
    assert "workgroup_size = [32, 1, 1] subgroup_size = 4" in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Target("vulkan", gpu="voodoo"), "unknown GPU 'voodoo'; known are adreno, ampere"),
        (lambda: Target("cpu", gpu="ampere"), "target cpu has no GPU; those that have are cuda, hip, vulkan"),
        (lambda: GpuDescription(subgroup_size=12), "subgroup_size must be a power of two, got 12"),
        (lambda: GpuDescription(local_bytes=0), "local_bytes of a GPU must be positive, got 0"),
        (lambda: GpuDescription(features=("raytracing",)), "unknown GPU feature 'raytracing'; known are dot8"),
    ],
)
def test_a_wrong_description_is_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(TargetError, match=message):
        make()


@pytest.mark.parametrize(("target", "device"), [("vulkan", "ampere"), ("cuda", None), ("hip", None)])
def test_a_program_for_a_device_elsewhere(target: str, device: str | None) -> None:
    """Compiling needs no driver of that device. Without one, loading says what is missing."""
    lowered = lower(Text(RELU), Request.of(Target(target, gpu=device)))
    assert len(lowered.artifact().program) > 0
    owner = "terrace" if target == "vulkan" else "iree"
    assert [row["by"] for row in lowered.entry().report] == [owner]


def _no_driver(name: str) -> None:
    raise RuntimeError(f"NOT_FOUND: {name}")


def test_compiling_for_this_machine_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "create_hal_driver", _no_driver)
    with pytest.raises(TargetError, match=r"apt-get install mesa-vulkan-drivers libvulkan1.*name it: terrace\.Target"):
        lower(Text(RELU), Request.of("vulkan"))


@pytest.mark.parametrize("target", ["cuda", "hip"])
def test_loading_without_a_device(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = lower(Text(RELU), Request.of(target)).artifact()
    monkeypatch.setattr(gpu, "create_hal_driver", _no_driver)
    with pytest.raises(TargetError, match=f"target {target} finds no device on this machine; install"):
        terrace.CompiledModel(artifact)


# -- what drivers tell ------------------------------------------------------------------------------------------------

DUMP = """name: Some GPU (vendor's name)
driver: radv
features: storageBuffer8BitAccess=yes storageBuffer16BitAccess=no shaderFloat16=yes shaderIntegerDotProduct=yes
subgroup: size=64 operations=0x000000bf quadOperationsInAllStages=no minSubgroupSize=32 maxSubgroupSize=64
queue_families: 1
"""
"""What IREE's vulkan driver says of a device, in part."""


class _Driver:
    def __init__(self, text: str) -> None:
        self.text = text

    def query_available_devices(self) -> list[dict[str, object]]:
        return [{"device_id": 1, "name": "Some GPU"}]

    def dump_device_info(self, device_id: int) -> str:
        assert device_id == 1
        return self.text


def _described(monkeypatch: pytest.MonkeyPatch, text: str, limits: tuple[int, int]) -> GpuDescription:
    monkeypatch.setattr(gpu, "create_hal_driver", lambda name: _Driver(text))
    monkeypatch.setattr(gpu, "read_limits", lambda: limits)
    return gpu.describe_gpu("vulkan")


def test_an_unknown_chip_is_the_least_with_its_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """IREE generates code for a chip by name; of one without, it may assume what every device has."""
    least = GPUS["vp_android_baseline_2022"]
    found = _described(monkeypatch, DUMP.replace("size=64", "size=32"), (64 << 10, 1024))
    assert found == GpuDescription(least.name, 32, least.max_invocations, least.local_bytes)
    assert _described(monkeypatch, DUMP, (8 << 10, 64)) == GpuDescription(least.name, 64, 64, 8 << 10)


def test_a_known_chip_has_the_features_that_its_driver_has(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _described(monkeypatch, DUMP.replace("radv", "llvmpipe"), (64 << 10, 512))
    assert found == GpuDescription("llvmpipe", 64, 512, 32 << 10, ("dot8", "float16", "storage8", "float64", "int64"))


def test_a_described_target_survives_its_json() -> None:
    target = Target("vulkan", gpu=GpuDescription("adreno", 64, 256, 16 << 10, ("dot8",)))
    assert Target.from_json(json.loads(json.dumps(target.to_json()))) == target
