"""Full disks, folders that cannot be written, Ctrl-C, kill, two processes at once: clear errors, nothing left behind.

Each compile runs in a process of its own, which is what the user's is.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import terrace
import torch
from terrace.storage.artifact import read_artifact
from torch import nn

X = np.linspace(-1, 1, 48, dtype=np.float32).reshape(3, 16)


def layers(count: int) -> str:
    """A program of products of different sizes, none of which shares a kernel with another; compiles in seconds."""
    sizes = [16 + 8 * number for number in range(count + 1)]
    lines = [f"func.func @main(%v0: tensor<3x16xf32>) -> tensor<3x{sizes[-1]}xf32> {{"]
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        weight, old, new = (f"tensor<{size}xf32>" for size in (f"{inputs}x{outputs}", f"3x{inputs}", f"3x{outputs}"))
        lines += [
            f"  %w{number} = arith.constant dense<0.01> : {weight}",
            f'  %p{number} = "graph.matmul"(%v{number}, %w{number}) {{transpose_rhs = false}}'
            f" : ({old}, {weight}) -> {new}",
            f'  %v{number + 1} = "graph.exp"(%p{number}) : ({new}) -> {new}',
        ]
    return "\n".join([*lines, f"  return %v{count} : tensor<3x{sizes[-1]}xf32>", "}"])


SMALL = layers(1)

PREPARE = """
import os, signal, sys, time
import numpy as np
import terrace
from terrace.lowering.target.iree import backend, compiler
X = np.linspace(-1, 1, 48, dtype=np.float32).reshape(3, 16)
TEXT = open(sys.argv[1]).read()
"""


class Place:
    """Folders of a test's own: a cache, and one for temporary files, which must be empty at its end."""

    def __init__(self, root: Path) -> None:
        self.cache, self.temporary, self.text = root / "cache", root / "tmp", root / "model.mlir"
        self.temporary.mkdir()
        self.environment = {**os.environ, "TERRACE_CACHE_DIR": str(self.cache), "TMPDIR": str(self.temporary)}

    def start(self, code: str, text: str = SMALL, **environment: str) -> subprocess.Popen[str]:
        self.text.write_text(text)
        command = [sys.executable, "-c", PREPARE + code, str(self.text)]
        environment = {**self.environment, **environment}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    def run(self, code: str, text: str = SMALL, **environment: str) -> tuple[str, str]:
        """stdout and stderr of a process that must succeed."""
        process = self.start(code, text, **environment)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output, errors

    def files(self) -> list[str]:
        """The entries of the cache and whatever else is there."""
        return sorted(os.listdir(self.cache)) if self.cache.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    assert os.listdir(place.temporary) == []


def wait_for(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def processes() -> Iterator[tuple[int, str, int, int]]:
    """Number, program, parent and group of all that run; not of those that ended and nobody has waited for yet."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, parent, group = rest.split()[:3]
        if state != "Z":
            yield int(path.parent.name), name, int(parent), int(group)


def compilers_of(parent: int) -> list[int]:
    return [number for number, name, its_parent, _ in processes() if name == "iree-compile" and its_parent == parent]


def is_alive(process: int) -> bool:
    return any(number == process for number, *_ in processes())


# ---------------------------------------------------------------------------------------------------------------------
# Interrupted
# ---------------------------------------------------------------------------------------------------------------------


def test_ctrl_c_while_iree_compiles(place: Place) -> None:
    """The signal reaches Python alone: iree-compile must be ended by it."""
    process = place.start("terrace.compile_mlir(TEXT)", layers(40))
    wait_for(lambda: compilers_of(process.pid))
    (compiler,) = compilers_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT and errors.rstrip().endswith("KeyboardInterrupt")
    assert not is_alive(compiler)
    assert place.files() == []
    place.run("terrace.compile_mlir(TEXT)(X)", SMALL)
    assert len(place.files()) == 1


STUB = """#!/bin/sh
trap '' INT TERM
touch "$TMPDIR/half"
(trap '' INT TERM; echo $$ > "$STARTED.new"; mv "$STARTED.new" "$STARTED"; exec sleep 60) &
wait
"""


def test_ctrl_c_ends_what_ignores_it(place: Place, tmp_path: Path) -> None:
    """iree-compile ignores Ctrl-C while it waits for its linker, as this one does for a child that does, too."""
    stub, started = tmp_path / "iree-compile", tmp_path / "started"
    stub.write_text(STUB)
    stub.chmod(0o755)
    code = f"compiler.iree_compile_path = lambda: {str(stub)!r}\nterrace.compile_mlir(TEXT)"
    process = place.start(code, STARTED=str(started))
    wait_for(started.exists)
    leader = int(started.read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    wait_for(lambda: not [number for number, *_, group in processes() if group == leader], seconds=5)
    assert place.files() == []


def test_ctrl_c_while_a_design_is_built(place: Place, tmp_path: Path) -> None:
    """The C++ compiler is a driver: what it started ends with it, and its temporary files go."""
    stub, started = tmp_path / "g++", tmp_path / "started"
    stub.write_text(STUB)
    stub.chmod(0o755)
    code = "terrace.compile_mlir(TEXT, target='hls')"
    process = place.start(code, layers(1), STARTED=str(started), CXX=str(stub))
    wait_for(started.exists)
    leader = int(started.read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    wait_for(lambda: not [number for number, *_, group in processes() if group == leader], seconds=5)


def test_the_tool_says_that_it_was_interrupted(place: Place) -> None:
    output = place.text.with_suffix(".terrace")
    code = "from terrace.tools.compile import main\nsys.exit(main([sys.argv[1], '-o', " + repr(str(output)) + "]))"
    process = place.start(code, layers(40))
    wait_for(lambda: compilers_of(process.pid))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "terrace-compile: interrupted\n")
    assert not output.exists() and os.listdir(output.parent) == os.listdir(place.text.parent)


KILLED_WHILE_WRITING = """
really_replace = os.replace
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
terrace.compile_mlir(TEXT)
"""


def test_killed_while_an_entry_is_written(place: Place) -> None:
    process = place.start(KILLED_WHILE_WRITING)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    (half,) = place.files()
    assert half.endswith(".tmp")
    report = "terrace.compile_mlir(TEXT)(X); print(terrace.cache.info().count, terrace.cache.info().misses)"
    assert place.run(report)[0] == "1 1\n"
    # It may be that of a process that is still at work; an hour later it is not.
    os.utime(place.cache / half, (1, 1))
    place.run("terrace.compile_mlir(TEXT)(X)", layers(2))
    assert half not in place.files() and len(place.files()) == 2


def test_killed_while_iree_compiles(place: Place, tmp_path: Path) -> None:
    """SIGKILL leaves what it leaves: iree-compile finds its reader gone. The next compile does not care."""
    process = place.start("terrace.compile_mlir(TEXT)", layers(8), TMPDIR=str(tmp_path))
    wait_for(lambda: compilers_of(process.pid))
    (compiler,) = compilers_of(process.pid)
    process.kill()
    process.communicate(timeout=30)
    place.run("terrace.compile_mlir(TEXT)(X)", layers(8))
    wait_for(lambda: not is_alive(compiler))
    assert len(place.files()) == 1


# ---------------------------------------------------------------------------------------------------------------------
# At once
# ---------------------------------------------------------------------------------------------------------------------


def test_two_processes_compile_the_same(place: Place) -> None:
    """Both are told to go on when both have come to iree-compile, so both write the entry."""
    code = """
really_compile = backend.compile_program
def together(*arguments):
    print("ready", flush=True)
    sys.stdin.readline()
    return really_compile(*arguments)
backend.compile_program = together
print(float(terrace.compile_mlir(TEXT)(X).sum()))
print(terrace.cache.info().misses)
"""
    place.text.write_text(SMALL)
    command = [sys.executable, "-c", PREPARE + code, str(place.text)]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, env=place.environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(2)
    ]
    for process in started:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    results = []
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0 and errors == ""
        results.append(output)
    assert results[0] == results[1] and results[0].endswith("\n1\n")
    (name,) = place.files()
    assert read_artifact(place.cache / name).program


def test_processes_write_read_shrink_and_clear_at_once(place: Place) -> None:
    """None of them fails, and none reads a part of an entry."""
    code = """
from terrace.storage.artifact import Artifact, read_artifact
from terrace.signature import Signature
import random
made = terrace.compile_mlir(TEXT)._artifact
programs = {f"{number:064x}": bytes([number]) * 20_000 for number in range(8)}
random.seed(os.getpid())
for turn in range(150):
    key = random.choice(list(programs))
    found = terrace.cache.find(key)
    if found is not None:
        assert bytes(found.program) == programs[key]
    terrace.cache.keep(key, Artifact(made.entries, programs[key]))
    if turn % 10 == 0:
        terrace.cache.set_limit(random.randrange(20_000, 200_000))
    if turn % 50 == 0:
        terrace.cache.clear()
    terrace.cache.info()
"""
    started = [place.start(code) for _ in range(3)]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0 and errors == ""
    assert all(name.endswith(".terrace") for name in place.files())


# ---------------------------------------------------------------------------------------------------------------------
# Disks and folders
# ---------------------------------------------------------------------------------------------------------------------

FULL = """
import resource
def fill_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
"""
"""No file may grow beyond 10 kB: writing more fails as on a full disk, with another number."""


def test_the_cache_on_a_full_disk(place: Place) -> None:
    """A warning, once, and the model runs."""
    code = """
really_compile = backend.compile_program
def compile_then_fill(*arguments):
    program = really_compile(*arguments)
    fill_disk()
    return program
backend.compile_program = compile_then_fill
for _ in range(2):
    print(terrace.compile_mlir(TEXT)(X).shape)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
"""
    output, errors = place.run(FULL + code)
    assert output == "(3, 24)\n(3, 24)\n"
    assert errors.count("RuntimeWarning") == 1
    assert f"the compile cache in {place.cache} cannot be used (File too large); compiling goes on" in errors
    assert place.files() == []


def test_saving_on_a_full_disk(place: Place, tmp_path: Path) -> None:
    """The error says where; what was there stays, and nothing is left."""
    code = """
model = terrace.compile_mlir(TEXT)
fill_disk()
try:
    model.save(os.path.join(os.environ["TARGET"], "model.terrace"))
except OSError as error:
    print(error)
"""
    target = tmp_path / "saved"
    target.mkdir()
    (target / "model.terrace").write_text("before")
    output, _ = place.run(FULL + code, TARGET=str(target), TERRACE_CACHE_DIR="off")
    assert output == f"[Errno 27] File too large: '{target}'\n"
    assert os.listdir(target) == ["model.terrace"] and (target / "model.terrace").read_text() == "before"


def test_iree_on_a_full_disk(place: Place, tmp_path: Path) -> None:
    """Its own words, as they are on a real one."""
    stub = tmp_path / "iree-compile"
    stub.write_text("#!/bin/sh\necho 'LLVM ERROR: IO failure on output stream: No space left on device' >&2; exit 1\n")
    stub.chmod(0o755)
    code = f"""
compiler.iree_compile_path = lambda: {str(stub)!r}
try:
    terrace.compile_mlir(TEXT)
except terrace.CompileError as error:
    print(error)
"""
    output, _ = place.run(code)
    where = f"iree-compile needs room in {place.temporary}; free some, or set TMPDIR elsewhere"
    assert output == f"the disk is full: {where}\n"
    assert place.files() == []


def test_iree_that_may_not_write(place: Place) -> None:
    """iree-compile itself at the limit dies of a signal, which is an error like any crash."""
    code = """
fill_disk()
try:
    terrace.compile_mlir(TEXT)
except terrace.CompileError as error:
    print(str(error).partition(" (flags")[0])
"""
    assert place.run(FULL + code)[0] == "iree-compile crashed with SIGXFSZ\n"


def test_no_folder_for_temporary_files(place: Place) -> None:
    code = """
import tempfile
tempfile._candidate_tempdir_list = lambda: [sys.argv[1]]
try:
    terrace.compile_mlir(TEXT)
except terrace.CompileError as error:
    print(error)
"""
    output, _ = place.run(code)
    assert output.startswith("no folder for temporary files (") and output.endswith("; set TMPDIR to one with room\n")


def test_a_cache_below_a_file(place: Place) -> None:
    output, errors = place.run("print(terrace.compile_mlir(TEXT)(X).shape)", TERRACE_CACHE_DIR=str(place.text / "in"))
    assert (
        output == "(3, 24)\n" and errors.count("RuntimeWarning") == 1 and "cannot be used (Not a directory)" in errors
    )


def test_no_home_at_all(place: Place, tmp_path: Path) -> None:
    """HOME unset: the user's entry in the system's list says where; without one, there is no cache."""
    code = """
for name in ("HOME", "XDG_CACHE_HOME", "TERRACE_CACHE_DIR"):
    os.environ.pop(name, None)
import pwd
def unknown(number):
    raise KeyError(number)
pwd.getpwuid = unknown
print(terrace.compile_mlir(TEXT)(X).shape, terrace.cache.directory())
"""
    output, errors = place.run(code)
    assert output == "(3, 24) None\n" and errors.count("RuntimeWarning") == 1
    assert "there is no home directory for the compile cache; set TERRACE_CACHE_DIR" in errors


# ---------------------------------------------------------------------------------------------------------------------
# Memory
# ---------------------------------------------------------------------------------------------------------------------


def test_a_compiled_model_shares_no_memory_with_the_module() -> None:
    """Training goes on, say; compiled is what was."""
    model, ids = nn.Embedding(64, 32).eval(), torch.tensor([1, 2])
    compiled = terrace.compile(model, (ids,))
    expected = compiled(ids)
    with torch.no_grad():
        model.weight.zero_()
    torch.testing.assert_close(compiled(ids), expected)
