"""Work in a forked child: what crashes, never ends or fills the memory there takes no caller along.

    enter_supervised("terrace-opt")      a command goes on in a child; the parent says how it ended, if it died
    ended = rehearse(work, limits)       a native step of a library call is tried in a child before it is done

Both hold a step to `Limits`. A step is what `announce` names: reading a text, a pass.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import faulthandler
import mmap
import os
import re
import select
import signal
import struct
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from terrace.errors import CompileError

SECONDS_VARIABLE, MEMORY_VARIABLE = "TERRACE_PASS_SECONDS", "TERRACE_PASS_MEMORY_MIB"
"""How long one pass may run, and how much memory its process may use meanwhile."""

_SECONDS = 600.0
_SHARE_OF_MEMORY = 0.9
_TICK = 0.05
_GRACE = 1.0
"""How long a child may take to end by itself after Ctrl-C, or after the limit that passes in Python hold themselves."""
_FORWARD = 0.3
"""After how long a signal is passed on that the whole process group may have got as well."""
_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SI_KERNEL = 0x80
_FRAME = re.compile(r'File "(.*)", line (\d+) in (.*)')


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of one pass: seconds, and bytes that its process may hold in memory."""

    seconds: float
    memory: int

    @staticmethod
    def read() -> Limits:
        """The limits that the environment sets: by default 600 s, and 90 % of the memory that others leave free."""
        own, share = _resident("self"), _SHARE_OF_MEMORY
        memory = min(share * _memory_size(), own + share * _free_memory()) / 2**20
        return Limits(_number(SECONDS_VARIABLE, _SECONDS), int(_number(MEMORY_VARIABLE, memory) * 2**20))

    def exceeded(self, seconds: float, pid: int | str = "self") -> str:
        """Which limit a process is beyond after `seconds`, as the rest of a sentence; empty if beyond none."""
        if seconds > self.seconds:
            return f"took longer than {self.seconds:g} s (set {SECONDS_VARIABLE} for another limit)"
        if _resident(pid) > self.memory:
            return f"used more than {self.memory >> 20} MiB of memory (set {MEMORY_VARIABLE} for another limit)"
        return ""


def _number(variable: str, default: float) -> float:
    try:
        number = float(os.environ.get(variable, default))
    except ValueError:
        number = 0.0
    return number if number > 0 else default


def _memory_size() -> int:
    """Bytes of memory of this machine, or of this container."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        size = min(size, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return size


def _free_memory() -> int:
    """Bytes that can be had without swapping."""
    found = re.search(r"MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text())
    return int(found[1]) << 10 if found else _memory_size()


def _resident(pid: int | str) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):  # It has ended.
        return 0


# -- steps ------------------------------------------------------------------------------------------------------------


class _Board:
    """What a child does since when, in memory that its parent reads."""

    _HEAD = struct.Struct("dI")

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)

    def write(self, step: str) -> None:
        text = step.encode()[: mmap.PAGESIZE - self._HEAD.size]
        self.memory[:] = (self._HEAD.pack(time.monotonic(), len(text)) + text).ljust(mmap.PAGESIZE, b"\0")

    def read(self) -> tuple[float, str]:
        began, length = self._HEAD.unpack_from(self.memory)
        return began, self.memory[self._HEAD.size : self._HEAD.size + length].decode(errors="replace")


_board: _Board | None = None


def announce(step: str) -> None:
    """Say what this process does from now on, as the subject of a sentence; empty for nothing that has limits."""
    if _board is not None:
        _board.write(step)


def check_reading(read: Callable[[], object], name: str) -> None:
    """Raise CompileError if `read`, which reads the text called `name`, does not survive a rehearsal.

    The readers in C++ run out of stack on text that is nested deeply. A command is in a child already.
    """
    ended = None if _board is not None else rehearse(read, Limits.read())
    if ended is not None:
        raise CompileError(f"{name}: error: reading the text {ended.reason}; is it nested deeply?")


# -- commands ---------------------------------------------------------------------------------------------------------


def enter_supervised(tool: str) -> None:
    """Go on in a child of this process, which itself waits, says what killed the child if it died, and exits as it did.

    Only for the main thread of a command that has started no others. A debugger keeps the process that it looks at.
    """
    global _board  # noqa: PLW0603
    if sys.gettrace() is not None:
        return
    board, log = _Board(), os.memfd_create("faults")
    board.write("")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [*_SIGNALS, signal.SIGCHLD])
    child = _fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _board = board
        faulthandler.enable(log, all_threads=False)
        return
    sys.exit(_Supervisor(tool, child, board, log).wait())


class _Supervisor:
    """The parent of a command. Its signals are blocked: it takes them one by one."""

    def __init__(self, tool: str, child: int, board: _Board, log: int) -> None:
        self.tool, self.child, self.board, self.log = tool, child, board, log
        self.limits = Limits.read()
        self.got: signal.Signals | None = None
        self.forward_at = self.kill_at = float("inf")
        self.within_limits = time.monotonic()

    def wait(self) -> int:
        """The exit code of the command."""
        reason = ""
        # What is written in Python ends by itself, and says at which op.
        while not reason or time.monotonic() - self.within_limits < _GRACE:
            self._take_signal()
            process, status = os.waitpid(self.child, os.WNOHANG)
            if process:
                return self._end(os.waitstatus_to_exitcode(status), "")
            began, step = self.board.read()
            reason = self.limits.exceeded(time.monotonic() - began, self.child) if step else ""
            if not reason:
                self.within_limits = time.monotonic()
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        return self._end(-signal.SIGKILL, reason)

    def _take_signal(self) -> None:
        """Wait for a signal or a tick. Ctrl-C in a terminal reaches the child as well; what `kill` sends does not."""
        now = time.monotonic()
        taken = signal.sigtimedwait([*_SIGNALS, signal.SIGCHLD], _TICK)
        if taken is not None and taken.si_signo in _SIGNALS and self.got is None:
            self.got = signal.Signals(taken.si_signo)
            self.forward_at = now + _FORWARD if taken.si_code != _SI_KERNEL else self.forward_at
            self.kill_at = now + _GRACE
        if self.got is not None and now > self.forward_at:
            self.forward_at = float("inf")
            os.kill(self.child, self.got)
        if now > self.kill_at:
            os.kill(self.child, signal.SIGKILL)  # It is in native code, which asks for no signals.

    def _end(self, code: int, reason: str) -> int:
        if code >= 0:
            return code
        if self.got == signal.SIGINT:
            print(f"{self.tool}: interrupted", file=sys.stderr)
            return 130
        if self.got is not None:
            return 128 + self.got
        step = self.board.read()[1] or "the command"
        self._say(f"{step} {reason or f'crashed with {signal.Signals(-code).name}'}", not reason)
        return 1

    def _say(self, what: str, crashed: bool) -> None:
        frames = _frames(os.pread(self.log, 1 << 16, 0).decode(errors="replace")) if crashed else []
        ours = [frame for frame in frames if "/torch_mlir/" not in frame[0]]
        where = f" at {ours[0][0]}:{ours[0][1]}, in {ours[0][2]}" if ours else ""
        print(f"{self.tool}: error: {what}{where}", file=sys.stderr)


def _frames(log: str) -> list[tuple[str, int, str]]:
    """File, line and function of what Python was doing, innermost first, from what faulthandler wrote."""
    return [(found[1], int(found[2]), found[3]) for found in map(_FRAME.search, log.splitlines()) if found]


@contextlib.contextmanager
def faults_shown() -> Iterator[None]:
    """A crash inside shows the line of Python that led to it on stderr, where there is one."""
    if faulthandler.is_enabled():
        yield
        return
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # stderr is closed, or no file.
        faulthandler.enable(sys.__stderr__ or 2, all_threads=False)
    try:
        yield
    finally:
        faulthandler.disable()


# -- library calls ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a rehearsal ended that did not end as it should, as the rest of a sentence, and the step that it was at."""

    reason: str
    step: str
    crashed: bool = False


def rehearse(work: Callable[[], object], limits: Limits) -> Ended | None:
    """Do `work` in a child, with whom this process shares no memory; None if the child ended as it should.

    Each step that `work` announces is held to the limits. An exception in the child is as it should be: it comes again
    when the work is done here. What ends this call, KeyboardInterrupt as well, ends the child.
    """
    board = _Board()
    board.write("")
    child = _fork()
    if child == 0:
        _silently(work, board)
    try:
        with _descriptor(child) as ended:
            while not select.select([ended], [], [], _TICK)[0]:
                began, step = board.read()
                reason = limits.exceeded(time.monotonic() - began, child)
                if reason:
                    return Ended(reason, step)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        child = 0
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return Ended(f"crashed with {signal.Signals(-code).name}", board.read()[1], True) if code < 0 else None


def _silently(work: Callable[[], object], board: _Board) -> None:
    """Do `work` and end this process, whatever it raises."""
    global _board  # noqa: PLW0603
    _board = board
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent decides.
        faulthandler.disable()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        work()
    finally:
        os._exit(0)


def _fork() -> int:
    """A child that does not outlive the thread that asked for it."""
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python warns of forks beside threads. These children take no locks of other threads: they run MLIR alone.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    return child


@contextlib.contextmanager
def _descriptor(process: int) -> Iterator[int]:
    """A file descriptor that is readable when the process has ended."""
    descriptor = os.pidfd_open(process)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
