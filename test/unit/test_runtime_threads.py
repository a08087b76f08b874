"""Threads of compiled models and the features of the CPUs that run them. Programs are written by hand."""

from __future__ import annotations

import ast
import ctypes
import dataclasses
import os
import subprocess
import threading
import time
from typing import Any

import numpy as np
import pytest
from runtime_programs import (
    aliases_artifact,
    double_artifact,
    run_python,
    slow_artifact,
    state_artifact,
)
from terrace.errors import TargetError
from terrace.lowering.target.iree.compiler import iree_compile_path
from terrace.runtime import cpu_features
from terrace.runtime.device import cpu_device, default_threads
from terrace.runtime.model import CompiledModel


@pytest.mark.parametrize("threads", [1, 2, None])
def test_thread_counts(threads: int | None) -> None:
    before = len(os.listdir("/proc/self/task"))
    device = cpu_device(threads)
    assert cpu_device(threads) is device
    assert len(os.listdir("/proc/self/task")) - before <= (threads or default_threads()) + 1
    model = CompiledModel(double_artifact(), threads=threads)
    np.testing.assert_array_equal(model(np.ones((9, 9), np.float32)), np.full((9, 9), 2))


def test_a_worker_has_the_memory_that_kernels_are_compiled_for() -> None:
    """Left alone, IREE gives it as much as the second cache of the machine at hand has."""
    script = """
import torch, terrace
from terrace.target import CpuDescription
model, x = torch.nn.Conv2d(8, 8, 3, padding=1).eval(), torch.ones(1, 8, 224, 224)
target = terrace.Target(threads=2, cpu=CpuDescription(vector_bits=128, vector_registers=16, workers=2))
compiled = terrace.compile(model, (x,), target=target)
torch.testing.assert_close(compiled(x), model(x))
assert [row["workgroups"] > 1 for row in compiled.report().rows if row["macs"]] == [True]
"""
    run_python(script, IREE_PY_RUNTIME_FLAGS="--task_worker_local_memory=4096")


@pytest.mark.parametrize(
    ("row", "is_shared"),
    [
        ({"by": "terrace", "workgroups": 1, "macs": 10**9, "bytes": 10**9}, False),
        ({"by": "terrace", "workgroups": 2, "macs": 1, "bytes": 1}, True),
        ({"by": "terrace", "workgroups": None}, True),
        ({"by": "terrace"}, True),
        ({"by": "iree", "macs": 0, "bytes": 100}, False),
        ({"by": "iree", "macs": 10**9, "bytes": 100}, True),
        ({"by": "iree", "macs": 0, "bytes": 10**9}, True),
        ({"by": "iree", "macs": None, "bytes": 100}, True),
    ],
)
def test_a_program_without_work_to_share_wakes_nobody(row: dict[str, Any], is_shared: bool) -> None:
    alone = {"by": "terrace", "workgroups": 1}
    artifact = double_artifact()
    entry = dataclasses.replace(artifact.entry(), report=[alone, row, alone])
    artifact = dataclasses.replace(artifact, entries={"main": entry})
    before = len(os.listdir("/proc/self/task"))
    model = CompiledModel(artifact, threads=7)
    assert (len(os.listdir("/proc/self/task")) - before >= 7) == is_shared
    assert (model(np.ones((2, 2), np.float32)) == 2).all()
    with pytest.raises(TargetError, match="threads is"):
        CompiledModel(artifact, threads=0)


def test_a_compiled_model_says_how_many_workgroups_it_has() -> None:
    code = """
import torch, terrace
def rows(size):
    model = terrace.compile(torch.nn.Linear(size, size), (torch.ones(size, size),), target=terrace.Target(threads=2))
    return [row["workgroups"] for row in model.report().rows if row["by"] == "terrace"], model._program._threads
print([rows(16), rows(512)])
"""
    small, large = ast.literal_eval(run_python(code))
    assert small == ([1], 1) and large[0][0] > 1 and large[1] == 2


@pytest.mark.parametrize("threads", [0, -1, 1000, 1.5, True, "2"])
def test_wrong_thread_counts(threads: Any) -> None:
    with pytest.raises(TargetError, match="threads is"):
        cpu_device(threads)


def test_workers_are_as_many_as_asked() -> None:
    code = """
import os, terrace
from terrace.runtime.device import cpu_device
held = []
for count in (2, 3):
    before = len(os.listdir("/proc/self/task"))
    held.append(cpu_device(count))
    print(len(os.listdir("/proc/self/task")) - before)
"""
    # Each local-task device has its workers and one thread that polls.
    assert run_python(code).split() == ["3", "4"]


@pytest.mark.parametrize("threads", [1, 2])
def test_four_threads_get_their_own_results(threads: int) -> None:
    model = CompiledModel(double_artifact(), threads=threads)
    wrong: list[str] = []

    def work(seed: int) -> None:
        generator = np.random.default_rng(seed)
        for _ in range(100):
            value = generator.standard_normal((generator.integers(0, 40), 17)).astype(np.float32)
            if not np.array_equal(model(value), 2 * value):
                wrong.append(f"thread {seed}, shape {value.shape}")

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_state_calls_take_turns() -> None:
    model = CompiledModel(state_artifact())
    one = np.ones(4, np.float32)
    workers = [threading.Thread(target=lambda: [model(one, 0) for _ in range(50)]) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert model.state()["count"].tolist() == [200] * 4


@pytest.mark.parametrize("threads", [1, 2])
def test_the_gil_is_released_during_a_call(threads: int) -> None:
    """Another Python thread that ticks every millisecond goes on ticking while one call runs."""
    model = CompiledModel(slow_artifact(), threads=threads)
    identity = np.eye(512, dtype=np.float32)
    ticks, done = 0, threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.wait(0.001):
            ticks += 1

    thread = threading.Thread(target=tick)
    thread.start()
    before, start = ticks, time.perf_counter()
    model(identity)
    elapsed, during = time.perf_counter() - start, ticks - before
    done.set()
    thread.join()
    # Ten times fewer than there could be: other processes want the cores, too.
    assert during > max(elapsed / 0.001 / 10, 2), f"{during} ticks in {elapsed:.3f} s"


def test_missing_cpu_features_are_refused() -> None:
    artifact = dataclasses.replace(aliases_artifact(), target={"cpu_features": ["sse2", "avx9000", "+quantum"]})
    with pytest.raises(TargetError, match="features that this machine lacks: avx9000, quantum; compile it here"):
        CompiledModel(artifact)
    with pytest.raises(TargetError, match="compiled for riscv64"):
        CompiledModel(dataclasses.replace(aliases_artifact(), target={"arch": "riscv64"}))


def test_features_are_those_of_all_cpus_in_llvm_names() -> None:
    text = "flags\t\t: fpu sse4_1 avx2 avx512_bf16 amx_tile bmi1\n\nflags\t\t: sse4_1 avx2 avx512_bf16 bmi1\n"
    assert cpu_features.parse_cpuinfo(text) == {"sse4.1", "avx2", "avx512bf16", "bmi"}
    assert cpu_features.parse_cpuinfo("processor: 0\n") == frozenset()


def test_avx10_is_what_it_is_made_of() -> None:
    """Linux shows its parts; a CPU that lacks one does not have it."""
    flags = (
        "avx512f avx512cd avx512bw avx512dq avx512vl avx512ifma avx512vbmi avx512_vbmi2 avx512_vnni avx512_bf16"
        " avx512_bitalg avx512_vpopcntdq avx512_fp16 vaes vpclmulqdq"
    )
    assert "avx10.1" in cpu_features.parse_cpuinfo(f"flags: {flags}\n")
    assert "avx10.1" not in cpu_features.parse_cpuinfo(f"flags: {flags.replace(' avx512_fp16', '')}\n")


@pytest.mark.parametrize("has", [False, True])
@pytest.mark.parametrize("allows", [False, True])
def test_amx_is_used_where_linux_allows_it(monkeypatch: pytest.MonkeyPatch, has: bool, allows: bool) -> None:
    """It is asked when a program wants the registers, and when what this machine can do is asked."""
    asked: list[tuple[int, int]] = []

    def arch_prctl(code: int, argument: int) -> bool:
        asked.append((code, argument))
        if code == 0x1021 and has:
            ctypes.c_uint64.from_address(argument).value = 1 << 18 | 7
        return has if code == 0x1021 else allows

    monkeypatch.setattr(cpu_features, "_arch_prctl", arch_prctl)
    monkeypatch.setattr(cpu_features, "parse_cpuinfo", lambda text: frozenset({"avx2", "amx-tile", "amx-int8"}))
    functions = cpu_features.host_features, cpu_features.allow_amx
    for function in functions:
        function.cache_clear()
    try:
        cpu_features.check_host(None, ["+avx2"])
        assert not [code for code, _ in asked if code == 0x1023]
        assert ("amx-tile" in cpu_features.host_features()) == has
        assert cpu_features.usable_features() == ({"avx2", "amx-tile", "amx-int8"} if has and allows else {"avx2"})
        if has and allows:
            cpu_features.check_host(None, ["amx-tile"])
            assert asked.count((0x1023, 18)) == 1
            return
        with pytest.raises(TargetError, match="Linux refuses" if has else "machine lacks: amx-tile"):
            cpu_features.check_host(None, ["amx-tile"])
    finally:
        for function in functions:
            function.cache_clear()


def test_this_machine_has_what_llvm_finds_on_it() -> None:
    """What IREE's compiler takes for "host" must not be refused here."""
    compiler = iree_compile_path()
    source = "module { func.func @f(%a: tensor<4xf32>) -> tensor<4xf32> { return %a : tensor<4xf32> } }"
    flags = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu"]
    flags += ["--iree-llvmcpu-target-cpu=host", "--compile-to=executable-sources", "-"]
    text = subprocess.run([compiler, *flags], input=source, check=True, capture_output=True, text=True).stdout
    features = text.partition('cpu_features = "')[2].partition('"')[0].split(",")
    assert len(features) > 5
    assert cpu_features.missing_features(name for name in features if name.startswith("+")) == []
