"""Models and their process: fork, spawn, threads, signal handlers, the interpreter's end, and what is freed when.

Each runs in a process of its own, which must end in time, well, and without a word on stderr.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import terrace
from runtime_programs import aliases_artifact, double_artifact, lookup_artifact, slow_artifact, state_artifact
from terrace.errors import TerraceError
from terrace.runtime import program, session
from terrace.runtime.device import cpu_device
from terrace.runtime.lent import LENT
from terrace.runtime.model import CompiledModel
from terrace.storage.artifact import write_artifact
from terrace.storage.mapped_file import map_file

SECONDS = 60

PRELUDE = """
import atexit, multiprocessing, os, signal, sys, threading, time
import numpy as np
import terrace

FOLDER, THREADS = sys.argv[1], int(sys.argv[2])
ones, x, w = np.ones(4, np.float32), np.ones((8, 8), np.float32), np.ones((4, 16), np.float32)

def load(name):
    return terrace.load(f"{FOLDER}/{name}.terrace", threads=THREADS)

def in_child(work):
    # The status of a forked child that does `work` and ends as a program does: all of Python's clean-up runs.
    child = os.fork()
    if child == 0:
        work()
        sys.exit(0)
    return os.waitpid(child, 0)[1]
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for make in (aliases_artifact, double_artifact, slow_artifact, state_artifact):
        write_artifact(folder / f"{make.__name__.removesuffix('_artifact')}.terrace", make())
    return folder


def run(models: Path, code: str, threads: int = 2, before: str = "") -> str:
    """What a program prints that runs `code`, and `before` ahead of the first import; a hang kills all of it."""
    command = [sys.executable, "-c", before + PRELUDE + code, str(models), str(threads)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            raise
    assert (process.returncode, errors) == (0, "")
    return output


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def tasks() -> int:
    return len(os.listdir("/proc/self/task"))


# Fork and spawn


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_forked_child_calls_what_was_used_and_loads_anew(models: Path, threads: int) -> None:
    code = """
from terrace.storage.parameter_archive import aligned
double, aliases, plain = load("double"), load("aliases"), aligned(x)
results = double(x), aliases(w)
assert (double(plain) == 2).all() and (double(plain) == 2).all()

def work():
    # The parent's results stay readable, its models work, other ones load, on other devices, too.
    assert (double(plain) == 2).all()
    assert (results[0] == 2).all() and [r.flat[0] for r in results[1]] == [1, 3, 3, 2, 2, 1, 1]
    assert (double(x) == 2).all() and [r.flat[0] for r in aliases(w)] == [1, 3, 3, 2, 2, 1, 1]
    assert (load("double")(x) == 2).all()
    assert (terrace.load(f"{FOLDER}/double.terrace", threads=THREADS + 1)(x) == 2).all()

def and_its_child():
    global in_child
    work()
    grandchild = os.fork()
    if grandchild:
        assert os.waitpid(grandchild, 0)[1] == 0
    else:
        work()

print(in_child(work), in_child(and_its_child), in_child(lambda: None), (double(x) == 2).all())
"""
    assert run(models, code, threads) == "0 0 0 True\n"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_child_goes_on_with_the_state(models: Path, threads: int) -> None:
    code = """
model, unused = load("state"), load("state")
model(ones, 0), model(ones, 1)

def count():
    return model.state()["count"].tolist()

def work():
    assert count() == [2] * 4 and (model.state()["cache"][:3, 0] == [1, 1, 0]).all()
    assert model(ones, 2)[0].tolist() == [3] * 4 and not unused.state()["count"].any()

def and_its_child():
    # Forked before its own first call, and after it.
    for expected in ([2] * 4, [3] * 4):
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(count() != expected)
        assert os.waitpid(grandchild, 0)[1] == 0
        model(ones, 3)

print(in_child(work), in_child(and_its_child), count())
model.reset()
print(in_child(lambda: sys.exit(count() != [0] * 4)))
"""
    assert run(models, code, threads) == "0 0 [2.0, 2.0, 2.0, 2.0]\n0\n"


@pytest.mark.parametrize("threads", [1, 2])
def test_forks_while_other_threads_call_and_load(models: Path, threads: int) -> None:
    code = """
double, state = load("double"), load("state")
room = np.ones(8 * 8 + 1, np.float32)
unaligned, over, failed = room[1:].reshape(8, 8), threading.Event(), []

def call():
    while not over.is_set():
        double(x), double(unaligned), state(ones, 0), load("aliases")(w)

def fork():
    for _ in range(25):
        child = os.fork()
        if child == 0:
            first = state(ones, 0)[0]
            is_right = (double(x) == 2).all() and (first == first[0]).all() and (state(ones, 0)[0] == first + 1).all()
            os._exit(not is_right)
        failed.append(os.waitpid(child, 0)[1])

callers = [threading.Thread(target=call) for _ in range(4)]
forkers = [threading.Thread(target=fork) for _ in range(2)]
for thread in callers + forkers: thread.start()
for thread in forkers: thread.join()
over.set()
for thread in callers: thread.join()
print(len(failed), any(failed))
"""
    assert run(models, code, threads) == "50 False\n"


def test_multiprocessing_by_fork_and_by_spawn(models: Path, tmp_path: Path) -> None:
    (tmp_path / "spawned.py").write_text(
        "import sys, numpy, terrace\ndef call(path): return float(terrace.load(path)(numpy.ones((2, 2), 'f4')).sum())\n"
    )
    code = f"""
model = load("double")
model(x)
def call(number):
    return float(model(x * number).sum())

sys.path.insert(0, {str(tmp_path)!r})
import spawned
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(call, range(4)))
with multiprocessing.get_context("spawn").Pool(1) as pool:
    print(pool.map(spawned.call, [f"{{FOLDER}}/double.terrace"]))
"""
    assert run(models, code) == "[0.0, 128.0, 256.0, 384.0]\n[8.0]\n"


def test_the_workers_of_a_data_loader_call(models: Path) -> None:
    code = """
import torch
model = load("double")
class Rows(torch.utils.data.Dataset):
    def __len__(self): return 8
    def __getitem__(self, number): return model(torch.full((2, 2), float(number)))
model(torch.ones(2, 2))
loader = torch.utils.data.DataLoader(Rows(), batch_size=4, num_workers=2)
print([batch[:, 0, 0].tolist() for batch in loader])
"""
    assert run(models, code) == "[[0.0, 2.0, 4.0, 6.0], [8.0, 10.0, 12.0, 14.0]]\n"


def test_torch_compile_in_a_forked_child(models: Path) -> None:
    code = """
import torch
model = torch.nn.Linear(4, 4)
fast = torch.compile(model, backend="terrace")
x = torch.ones(2, 4)
def check():
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x))
def work():
    check()
    with torch.no_grad():
        model.weight.add_(1)
    check()
check()
print(in_child(work))
"""
    assert run(models, code) == "0\n"


# Signal handlers


def test_a_signal_handler_calls_a_model_within_its_call(models: Path) -> None:
    """Handlers run between the steps of a call: each gets its result, as does the call around it."""
    code = """
model, results = load("slow"), []
identity = np.eye(512, dtype=np.float32)
signal.signal(signal.SIGALRM, lambda *_: results.append(model(identity)))
for _ in range(3):
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    results.append(model(identity))
print(len(results), all((result == identity).all() for result in results))
"""
    for threads in (1, 2):
        assert run(models, code, threads) == "6 True\n"


def test_a_signal_handler_forks_within_a_call(models: Path) -> None:
    """The child cannot end a call that the parent's workers began; it says so, and makes its own calls."""
    code = """
model, identity, children = load("slow"), np.eye(512, dtype=np.float32), []
signal.signal(signal.SIGALRM, lambda *_: children.append(os.fork()))
signal.setitimer(signal.ITIMER_REAL, 0.02)
try:
    model(identity)
except terrace.TerraceError as error:
    assert children == [0] and "forked in the middle of this call" in str(error)
    os._exit(not (model(identity) == identity).all())
print(os.waitpid(children[0], 0)[1])
"""
    assert run(models, code) == "0\n"


def test_a_nested_call_of_a_model_with_state_is_refused() -> None:
    """It would change the results of the call around it, which may be the state's own memory until they are copied."""
    model = CompiledModel(state_artifact())
    ones = np.ones(4, np.float32)
    take, nested = model._program.take, []

    def interrupted(*arguments: object) -> object:
        with pytest.raises(TerraceError, match="a signal handler called the model during a call of the same thread"):
            model(ones, 1)
        nested.append(True)
        return take(*arguments)

    model._program.take = interrupted
    assert model(ones, 0)[0].tolist() == [1] * 4
    model._program.take = take
    assert len(nested) == 2 and model(ones, 0)[0].tolist() == [2] * 4


def test_results_of_a_model_with_state_are_those_of_their_own_call() -> None:
    """They are copied before another thread's call changes the state below them."""
    model = CompiledModel(state_artifact())
    ones, seen = np.ones(4, np.float32), []

    def work() -> None:
        seen.extend(model(ones, 0)[0].tolist() for _ in range(200))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(seen) == [[float(count)] * 4 for count in range(1, 801)]


def test_ctrl_c_arrives_when_the_call_ends(models: Path) -> None:
    code = """
model, identity = load("slow"), np.eye(512, dtype=np.float32)
threading.Timer(0.02, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    model(identity)
    print("not interrupted")
except KeyboardInterrupt:
    # Nothing is left locked, for no thread.
    worker = threading.Thread(target=lambda: print((model(identity) == identity).all()))
    worker.start()
    worker.join()
"""
    assert run(models, code) == "True\n"


# The interpreter's end


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("what", ["double(x)", "double(unaligned)", "state(ones, 0)", "slow(eye)", "load('double')(x)"])
def test_daemon_threads_that_call_at_exit(models: Path, what: str, threads: int) -> None:
    code = f"""
double, state, slow = load("double"), load("state"), load("slow")
x = np.ones((300, 300), np.float32)
room = np.ones(300 * 300 + 1, np.float32)
unaligned, eye = room[1:].reshape(300, 300), np.eye(512, dtype=np.float32)
def call():
    while True:
        {what}
for _ in range(3):
    threading.Thread(target=call, daemon=True).start()
time.sleep(0.1)
"""
    assert run(models, code, threads) == ""


def test_exit_handlers_call_whenever_they_were_registered(models: Path) -> None:
    code = """
def call(when):
    print(when, model(x).sum(), state(ones, 0)[0].sum(), load("double")(x).sum())
model, state = load("double"), load("state")
atexit.register(call, "late")
def forever():
    while True: model(x), state(ones, 0)
threading.Thread(target=forever, daemon=True).start()
state(ones, 0)
"""
    output = run(models, code, before="import atexit\natexit.register(lambda: call('early'))\n")
    assert [line.split()[0::3] for line in output.splitlines()] == [["late", "128.0"], ["early", "128.0"]]


# What is freed when


def test_devices_close_with_their_last_holder() -> None:
    before = tasks(), descriptors()
    model = CompiledModel(double_artifact(), threads=7)
    result = model(np.ones((3, 3), np.float32))
    assert tasks() >= before[0] + 7 and cpu_device(7) is cpu_device(7)
    del model
    # The result's memory is the device's.
    assert (result == 2).all() and tasks() >= before[0] + 7
    del result
    assert (tasks(), descriptors()) == before
    for count in range(1, 33):
        CompiledModel(double_artifact(), threads=count)(np.ones((3, 3), np.float32))
    assert (tasks(), descriptors()) == before


@pytest.fixture
def usual_limit() -> Iterator[None]:
    """The number of files that a process may have open where nobody changed it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_thousand_models(models: Path, usual_limit: None) -> None:
    value = np.ones((2, 2), np.float32)
    before = tasks(), descriptors()
    loaded = [terrace.load(models / "double.terrace", threads=2) for _ in range(1000)]
    assert tasks() <= before[0] + 3 and descriptors() <= before[1] + 3
    assert all((model(value) == 2).all() for model in loaded)
    loaded.clear()
    assert (tasks(), descriptors()) == before


def held_bytes() -> int:
    """What the device of one thread has allocated; others have pools of IREE's."""
    statistics = cpu_device(1).hal.allocator.statistics
    return int(statistics["device_bytes_allocated"] - statistics["device_bytes_freed"])


def test_freed_memory_is_kept_for_later_calls_and_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CALLS_OF_KEPT_MEMORY", 10)
    other, held = CompiledModel(aliases_artifact(), threads=1), [CompiledModel(double_artifact(), threads=1)]
    cpu_device(1).trim()
    before = held_bytes()

    def call(rows: int) -> int:
        assert (held[0](np.ones((rows, 1 << 20), np.float32)) == 2).all()
        return held_bytes() - before

    assert call(1) == call(1) >= 4 << 20
    # Memory of a size that no call asks for any more is given back after some calls, and all of it with the model.
    assert max(call(rows) for rows in range(2, 8)) >= sum(range(1, 8)) << 22
    assert min(call(1) for _ in range(10)) <= 2 << 22
    held.clear()
    assert held_bytes() == before
    del other


def test_memory_that_is_kept_is_bounded(models: Path) -> None:
    code = """
from terrace.runtime import device
device.ALLOCATOR = device.ALLOCATOR.replace(str(device.KEPT_BYTES), str(64 << 20))
model, most = load("double"), 0
allocator = device.cpu_device(1).hal.allocator
for rows in range(1, 40):
    model(np.ones((rows, 1 << 18), np.float32))
    most = max(most, allocator.statistics["device_bytes_allocated"] - allocator.statistics["device_bytes_freed"])
print(most >> 20)
"""
    assert 64 <= int(run(models, code, 1)) <= 64 + 40


def test_a_view_of_a_result_may_be_all_that_is_left_at_the_end(models: Path) -> None:
    code = """
import torch
row = load("double")(torch.ones(8, 8))[1]
print(row[0].item())
"""
    assert run(models, code) == "2.0\n"


def test_a_mapped_file_is_unmapped_with_its_last_view(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 5000)

    def is_mapped() -> bool:
        return str(path) in Path("/proc/self/maps").read_text()

    with open(path, "rb") as file:
        view = map_file(file)[3:6]
    assert bytes(view) == b"abc" and view.readonly and is_mapped()
    del view
    assert not is_mapped()
    path.write_bytes(b"")
    with open(path, "rb") as file:
        assert len(map_file(file)) == 0


def test_parameters_go_when_iree_lets_go_of_them() -> None:
    """Not before, though IREE drops its references in threads of its own, without the GIL; and not after."""
    LENT.take_back()
    other = CompiledModel(double_artifact(), threads=2)
    view = LENT.lend(np.zeros(4))
    address = id(view)
    LENT.take_back()
    assert address in LENT._addresses
    del view
    LENT.take_back()
    assert address not in LENT._addresses
    for _ in range(50):
        model = CompiledModel(lookup_artifact(), threads=2)
        assert model(5).tolist() == [10, 12, 14, 16]
        del model
    # The device stays open, as `other` holds it, so the last of them may wait for a worker.
    assert len(LENT._addresses) <= 1
    del other
    end = time.monotonic() + SECONDS
    while LENT._addresses and time.monotonic() < end:
        LENT.take_back()
    assert not LENT._addresses


def test_a_failed_load_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tasks(), descriptors()

    def fail(*_: object) -> None:
        raise RuntimeError("no room\nmore")

    monkeypatch.setattr(session.rt, "VmContext", fail)
    with pytest.raises(terrace.ArtifactError, match=r"IREE cannot load the program \(no room\)"):
        program.Program(aliases_artifact(), 3)
    assert (tasks(), descriptors()) == before
    LENT.take_back()
    assert not LENT._addresses
