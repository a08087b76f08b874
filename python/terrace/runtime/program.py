"""A compiled program: whose turn it is to call it, and how it goes on in a forked child."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from iree.runtime import HalBufferView

from terrace.errors import ArtifactError, TerraceError
from terrace.runtime import lifetime
from terrace.runtime.buffers import Imported, Layouts, copy_array, import_array, to_array, to_tensor
from terrace.runtime.cpu_features import check_host
from terrace.runtime.device import Device, checked_threads, cpu_device
from terrace.runtime.session import Parameters, Session, first_line
from terrace.storage.artifact import Artifact
from terrace.storage.parameter_archive import Array, MappedParameters, aligned_copy

T = TypeVar("T")

SHARED_WORK = 4_000_000
"""The multiply-adds, or bytes, from which on workers share what IREE's code generation runs: about 40 µs of one."""


class Program:
    """A program of this process. Calls from several threads take turns: a context runs one call at a time.

    `threads` is the number of workers, see `worker_count`.

    A forked child has the program, but not the parent's `Session`: it opens one at its first call, and sets the state
    to what the parent's was at the fork.
    """

    reads_in_place = True

    def __init__(self, artifact: Artifact, threads: int | None = None) -> None:
        self._target, self._threads = artifact.target, worker_count(artifact, threads)
        self._code = artifact.program
        self._parameters = _parameters_of(artifact)
        self._states = {state.name: state.dtype for state in artifact.states}
        self._turn = threading.RLock()
        self._is_running = False
        self._at_fork: dict[str, Array] = {}
        self._inherited: dict[str, Array] = {}
        self._opened: Session | None = self._open()
        lifetime.tell(self)

    def _open(self) -> Session:
        device = self._open_device(self._target)
        try:
            return Session(self._code, self._parameters, device)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ArtifactError(
                f"IREE cannot load the program ({first_line(error)}); compile the model again with this version"
            ) from error

    def _open_device(self, target: Mapping[str, Any]) -> Device:
        check_host(target.get("arch"), target.get("cpu_features", ()))
        return cpu_device(self._threads)

    @property
    def _session(self) -> Session:
        if self._opened is None:
            raise TerraceError("the process forked in the middle of this call; in the child, call the model again")
        return self._opened

    def in_turn(self, work: Callable[[], T]) -> T:
        """What `work` gives, which may use this program meanwhile; other threads wait until it is done.

        A signal handler that calls the model may come in between. That is right for a program without state, and raises
        `TerraceError` for one with state, which changes below the results of the call that the signal interrupted.
        """
        with self._turn:
            lifetime.end_daemon_thread()
            if self._is_running and self._states:
                raise TerraceError(
                    "a signal handler called the model during a call of the same thread, and its state would change "
                    "within that call; call it when the handler is over"
                )
            if self._opened is None:
                self._opened = self._open()
            while self._inherited:
                name, value = next(iter(self._inherited.items()))
                self.invoke(f"state.set.{name}", [self.copy(value)], 0)
                del self._inherited[name]
            was_running, self._is_running = self._is_running, True
            try:
                return work()
            finally:
                self._is_running = was_running

    def put(self, value: Array) -> Imported:
        """An input for `invoke`, on the memory of `value` if that will do."""
        return import_array(self._session.device, value)

    def copy(self, value: Array) -> Imported:
        """A copy of `value` for `invoke`, which the program may keep."""
        return copy_array(self._session.device, value)

    def take(self, result: HalBufferView, dtype: str, foreign: list[range]) -> Array:
        """A result of `invoke` as an array whose memory lies in none of `foreign`, and which is then added to them."""
        return to_array(self._session.device, result, dtype, foreign)

    def take_tensor(self, result: HalBufferView) -> Any:
        """A small result of `invoke` as a tensor of torch's, of IREE's type, that shares no memory."""
        return to_tensor(self._session.device, result)

    def invoke(self, name: str, arguments: Sequence[Imported], result_count: int) -> list[Any]:
        """`Session.invoke`, by the thread whose turn it is."""
        return self._session.invoke(name, arguments, result_count)

    def invoke_at(self, name: str, addresses: tuple[int, ...], layouts: Layouts, result_count: int) -> list[Any]:
        """`Session.invoke_at`, by the thread whose turn it is."""
        return self._session.invoke_at(name, addresses, layouts, result_count)

    def before_fork(self) -> None:
        """Read the state for the child. What has none may be called meanwhile: nothing of the call is used there."""
        if not self._states:
            return
        self._turn.acquire()
        if self._opened is not None:
            views = {name: self.invoke(f"state.get.{name}", [], 1) for name in self._states}
            self._at_fork = {name: self.take(view, self._states[name], []) for name, (view,) in views.items()}

    def after_fork_in_parent(self) -> None:
        """Let the calls go on."""
        if self._states:
            self._at_fork = {}
            self._turn.release()

    def after_fork_in_child(self) -> None:
        """Be as new, but for the state. A lock that another thread of the parent holds stays locked forever."""
        self._turn = threading.RLock()
        self._is_running = False
        self._opened = None
        self._inherited = {**self._at_fork, **self._inherited}
        self._at_fork = {}

    def wait(self) -> None:
        """Wait for the call that runs."""
        with self._turn:
            pass


def worker_count(artifact: Artifact, threads: int | None) -> int:
    """The workers of a program: as many as asked for, else as the target says, else all cores.

    One where no kernel is worth sharing: to wake others would cost more than they gain. And where the program has
    loops: IREE 3.13 takes memory for a turn while other workers are at the turn before, names it in dispatches before
    it is there, and fails ("transient buffer has not been committed").
    """
    wanted = checked_threads(threads if threads is not None else artifact.target.get("threads"))
    if artifact.target.get("has_loops"):
        return 1
    rows = artifact.rows()
    return 1 if rows and not any(map(_is_shared, rows)) else wanted


def _is_shared(row: Mapping[str, Any]) -> bool:
    """Whether several workers can gain by sharing the work of a report's row; also where it does not say."""
    if row.get("by") == "terrace":
        return row.get("workgroups") != 1
    figures = [row.get(key) for key in ("macs", "bytes")]
    return any(figure is None or figure >= SHARED_WORK for figure in figures)


def _parameters_of(artifact: Artifact) -> Parameters:
    """The memory of all parameters, evaluated."""
    parameters = artifact.parameters
    if isinstance(parameters, MappedParameters) and len(parameters):
        return parameters.archive
    values = {name: source() if callable(source) else source for name, source in parameters.items()}
    return {name: _aligned_bytes(value) for name, value in values.items()}


def _aligned_bytes(value: Array) -> Array:
    """The contents of an array, at an address that IREE's kernels accept: its own memory if that will do."""
    contiguous = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    return contiguous if contiguous.ctypes.data % 64 == 0 else aligned_copy(contiguous)


def open_on_cpu(artifact: Artifact, threads: int | None, simulate: bool) -> Program:
    """The program of an artifact, on that many threads."""
    return Program(artifact, threads)
