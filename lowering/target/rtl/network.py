"""A whole network as hardware: its kernels as processes, and the buffers between them, each in as many slots as needed.

A process runs when every buffer that it reads has a whole frame and every buffer that it writes has a free slot. So
kernels work on different frames at once, and what a kernel takes is all that its neighbours wait for. One that is a
single pipeline takes the next frame while it ends this one (`restart.py`). What computes in floating point before the
first integer and after the last one stays with the host.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from terrace.dialects.base import to_python
from terrace.lowering.target.hls.calls import callee_of, callee_writes, root_of
from terrace.lowering.target.hls.convert_loop_to_hls import INPUTS
from terrace.lowering.target.hls.printer import identifier
from terrace.lowering.target.rtl.circuit import Memory
from terrace.lowering.target.rtl.design import Design, design_kernel
from terrace.lowering.target.rtl.restart import Restart
from terrace.lowering.target.rtl.testbench import Argument, arguments_of
from terrace.lowering.target.rtl.weights import weight_of
from terrace.mlir import func, ir
from terrace.passes import PassError, fail

TOP = "model"
"""The name of the module."""

MOVES = ("memref.alloc", "memref.get_global", "memref.reinterpret_cast", "func.return")
"""What @main may hold beside calls."""


@dataclasses.dataclass(eq=False, repr=False)
class Channel:
    """A buffer as one process reads it: a copy of its own, of `slots` frames."""

    name: str
    memory: Memory
    reader: Process | Stream
    slots: int = 2


@dataclasses.dataclass(eq=False, repr=False)
class Buffer:
    """Memory that one process, or the stream of an input, fills for others."""

    name: str
    writer: Process | Stream
    channels: list[Channel] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False)
class Stream:
    """An input or an output: a word of `lanes` elements in a cycle, whole frames one after the other.

    Element i of a word is in bank i of the buffer beside the stream, at the word's number.
    """

    name: str
    elements: int
    width: int
    is_input: bool
    lanes: int = 1

    @property
    def words(self) -> int:
        """Words of a frame."""
        return self.elements // self.lanes

    @property
    def latency(self) -> int:
        """Cycles of a frame without stalls, the first and the last counted. What is given is read a cycle before."""
        return self.words if self.is_input else self.words + 1

    @property
    def interval(self) -> int:
        return self.latency

    def released(self, channel: Channel) -> int:
        """Cycles from its start until it has read a frame."""
        return self.latency - 1

    @property
    def memory(self) -> Memory:
        """A frame as the stream has it."""
        return Memory("plain", (self.elements,), self.width, banks=self.lanes)


@dataclasses.dataclass(eq=False, repr=False)
class Process:
    """A call of a kernel. `reads`, `writes` and `weights` are by the numbers of the kernel's arguments."""

    name: str
    design: Design
    arguments: list[Argument]
    reads: dict[int, Channel] = dataclasses.field(default_factory=dict)
    writes: dict[int, Buffer] = dataclasses.field(default_factory=dict)
    weights: dict[int, str | np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def latency(self) -> int:
        return self.design.latency

    @property
    def restart(self) -> Restart | None:
        """How it takes a frame before it has ended the last one; None if it does not."""
        found = self.design.restart
        memories = [self.arguments[number].memory for number in self.reads]
        return found if found is not None and all(memory in found.reads for memory in memories) else None

    @property
    def interval(self) -> int:
        """Cycles from one start to the next."""
        return self.latency if self.restart is None else self.restart.interval

    def released(self, channel: Channel) -> int:
        """Cycles from its start until it has read a frame of a channel."""
        restart = self.restart
        if restart is None:
            return self.latency - 1
        number = next(number for number, read in self.reads.items() if read is channel)
        return restart.released(self.arguments[number].memory, self.design.times)


@dataclasses.dataclass(frozen=True, repr=False)
class Network:
    """The processes of `main` in the order of the program, the buffers between them, the streams of inputs and outputs.

    `before` and `after` are the calls that the host makes. `ports` are the values of @main that the streams carry.
    """

    main: func.FuncOp
    processes: Sequence[Process]
    buffers: Sequence[Buffer]
    streams: Sequence[Stream]
    ports: Mapping[Stream, ir.Value]
    before: Sequence[ir.Operation]
    after: Sequence[ir.Operation]

    def timeline(self, frames: int) -> list[tuple[int, int]]:
        """The cycles in which each frame's first element comes and its last one goes, if nothing stalls."""
        ends: dict[Process | Stream, list[int]] = {}
        starts: dict[Process | Stream, list[int]] = {}
        actors = self._in_order()
        for frame in range(frames):
            for actor in actors:
                after = [starts[actor][-1] + actor.interval - 1] if frame else []
                after += [ends[buffer.writer][frame] for buffer, _ in self._read_by(actor)]
                for channel in self._written_by(actor):
                    if frame >= channel.slots:
                        released = starts[channel.reader][frame - channel.slots] + channel.reader.released(channel)
                        after.append(released)
                start = max(after, default=-1) + 1
                starts.setdefault(actor, []).append(start)
                ends.setdefault(actor, []).append(start + actor.latency - 1)
        inputs, outputs = ([s for s in self.streams if s.is_input is way] for way in (True, False))
        return [(min(starts[s][i] for s in inputs), max(ends[s][i] for s in outputs)) for i in range(frames)]

    @property
    def latency(self) -> int:
        """Cycles from the first element of a frame to the last of its results, of the first frame."""
        ((first, last),) = self.timeline(1)
        return last - first + 1

    @property
    def interval(self) -> int:
        """Cycles between frames when many follow each other, on average: the slowest process, or its slots, decide."""
        count = 2 * len(self.processes) + 2 * max((c.slots for b in self.buffers for c in b.channels), default=2) + 4
        return interval_of([end for _, end in self.timeline(2 * count)])

    def _in_order(self) -> list[Process | Stream]:
        """Inputs, processes, outputs: a writer before its readers."""
        inputs = [s for s in self.streams if s.is_input]
        return [*inputs, *self.processes, *(s for s in self.streams if not s.is_input)]

    def _read_by(self, actor: Process | Stream) -> Iterator[tuple[Buffer, Channel]]:
        for buffer in self.buffers:
            for channel in buffer.channels:
                if channel.reader is actor:
                    yield buffer, channel

    def _written_by(self, actor: Process | Stream) -> list[Channel]:
        return [channel for buffer in self.buffers if buffer.writer is actor for channel in buffer.channels]


def interval_of(ends: Sequence[int]) -> int:
    """Cycles between frames that end so, on average over the later half of them."""
    half = len(ends) // 2
    return -(-(ends[-1] - ends[half - 1]) // (len(ends) - half))


def network_of(module: ir.Operation) -> Network:
    """The network of a module at the level "hls". Raises PassError for what has no circuit, or no place in one."""
    mains = [
        op for op in module.regions[0].blocks[0].operations if isinstance(op, func.FuncOp) and op.name.value == "main"
    ]
    if not mains:
        raise fail(module, "has no function @main")
    return _Builder(mains[0]).run()


class _Builder:
    """Makes the network of one @main."""

    def __init__(self, main: func.FuncOp) -> None:
        self.main = main
        self.processes: list[Process] = []
        self.buffers: dict[ir.Value, Buffer] = {}
        self.streams: list[Stream] = []
        self.ports: dict[Stream, ir.Value] = {}
        self.designs: dict[str, Design] = {}
        inputs = to_python(main.attributes[INPUTS]) if INPUTS in main.attributes else 0
        arguments = list(main.entry_block.arguments)
        self.given = set(arguments[:inputs])
        """What the host has when a frame begins."""
        self.results = set(arguments[inputs:])

    def run(self) -> Network:
        calls = list(self.calls())
        refused = {index: error for index, call in enumerate(calls) if (error := self.refusal(call)) is not None}
        before, after = self.host_calls(calls, refused)
        inside = [call for call in calls if call not in [*before, *after]]
        if not inside:
            raise next(iter(refused.values()), fail(self.main, "has no kernel that is hardware"))
        for call in inside:
            self.add(call)
        self.add_outputs(after)
        self.fit_slots()
        buffers = list(self.buffers.values())
        return Network(self.main, self.processes, buffers, self.streams, self.ports, before, after)

    def calls(self) -> Iterator[ir.Operation]:
        for view in self.main.entry_block.operations:
            operation = view.operation
            if operation.name == "func.call":
                yield operation
            elif operation.name not in MOVES:
                raise fail(operation, "stands between kernels, and has no circuit there")

    def refusal(self, call: ir.Operation) -> PassError | None:
        """Why the kernel of a call is no hardware; one that moves floating point stays with what computes in it."""
        function = callee_of(call)
        name = function.name.value
        try:
            if name not in self.designs:
                self.designs[name] = design_kernel(function)
        except PassError as error:
            return error
        if any(isinstance(ir.MemRefType(operand.type).element_type, ir.FloatType) for operand in call.operands):
            return fail(call, "moves floating point between kernels of integers; quantize the model")
        return None

    def host_calls(
        self, calls: Sequence[ir.Operation], refused: Mapping[int, PassError]
    ) -> tuple[list[ir.Operation], list[ir.Operation]]:
        """The calls without a circuit that come before all others, and those that come after. Raises the reason of
        one that does not.
        """
        before, after = list[ir.Operation](), list[ir.Operation]()
        wanted = set(self.results)
        for index in sorted(refused):
            reads, writes = _reads_and_writes(calls[index])
            if self.given.issuperset(reads):
                before.append(calls[index])
                self.given.update(writes)
        for index in sorted(refused, reverse=True):
            reads, writes = _reads_and_writes(calls[index])
            if calls[index] not in before and wanted.issuperset(writes):
                after.insert(0, calls[index])
                wanted.update(reads)
        for index, error in refused.items():
            if calls[index] not in [*before, *after]:
                raise error
        return before, after

    def add(self, call: ir.Operation) -> None:
        """The process of a call, and channels to it."""
        name = to_python(call.attributes["callee"])
        design = self.designs[name]
        process = Process(
            f"{identifier(name)}_{len(self.processes)}", design, arguments_of(design.circuit, design.times)
        )
        for number, (operand, argument) in enumerate(zip(call.operands, process.arguments, strict=True)):
            weight = weight_of(self.main, operand)
            if weight is not None:
                process.weights[number] = weight
            elif argument.written_banks:
                if argument.read_ports:
                    raise fail(
                        call, f"reads argument {number}, which it writes; there is no circuit for that between kernels"
                    )
                root = root_of(operand)
                if root in self.buffers:
                    raise fail(call, "writes memory that another kernel fills, which has no circuit")
                self.buffers[root] = Buffer(f"buffer{len(self.buffers)}", process)
                process.writes[number] = self.buffers[root]
            else:
                # Also of a result that is always the same: it comes when what it is of has come.
                process.reads[number] = self.channel(call, root_of(operand), argument.memory, process)
        self.processes.append(process)

    def channel(self, call: ir.Operation, root: ir.Value, memory: Memory, reader: Process | Stream) -> Channel:
        """What a process reads a memory by; a memory that nothing in the network fills is an input."""
        if root not in self.buffers:
            if root not in self.given:
                raise fail(call, "reads memory that no kernel fills")
            count = sum(stream.is_input for stream in self.streams)
            stream = Stream(f"input{count}", math.prod(memory.shape), memory.width, True, _lanes(memory))
            self.streams.append(stream)
            self.ports[stream] = root
            self.buffers[root] = Buffer(f"buffer{len(self.buffers)}", stream)
        buffer = self.buffers[root]
        made = Channel(f"{buffer.name}_{len(buffer.channels)}", memory, reader)
        buffer.channels.append(made)
        return made

    def add_outputs(self, after: Sequence[ir.Operation]) -> None:
        """Streams of what the host reads, and of the results of @main."""
        read = {value for call in after for value in _reads_and_writes(call)[0]}
        for root, buffer in list(self.buffers.items()):
            if (root not in self.results and root not in read) or not isinstance(buffer.writer, Process):
                continue
            number = next(n for n, written in buffer.writer.writes.items() if written is buffer)
            memory = buffer.writer.arguments[number].memory
            count = sum(not stream.is_input for stream in self.streams)
            stream = Stream(f"output{count}", math.prod(memory.shape), memory.width, False, _lanes(memory))
            self.streams.append(stream)
            self.ports[stream] = root
            buffer.channels.append(Channel(f"{buffer.name}_{len(buffer.channels)}", stream.memory, stream))

    def fit_slots(self) -> None:
        """As many slots as there are steps from the writer to the reader, and one: fewer would stall a pipeline."""
        depth: dict[Process | Stream, int] = {}
        for actor in [*self.streams, *self.processes]:
            if isinstance(actor, Stream) and actor.is_input:
                depth[actor] = 0
        for process in self.processes:
            writers = [b.writer for b in self.buffers.values() if any(c.reader is process for c in b.channels)]
            depth[process] = 1 + max((depth[writer] for writer in writers), default=0)
        last = 1 + max(depth.values(), default=0)
        for buffer in self.buffers.values():
            for channel in buffer.channels:
                channel.slots = max(2, 1 + depth.get(channel.reader, last) - depth[buffer.writer])


def _lanes(memory: Memory) -> int:
    """The elements of a word of a stream: one for each bank, where banks are those of the flat memory."""
    is_cyclic = memory.kind == "cyclic" and memory.dim == len(memory.shape) - 1
    return memory.banks if is_cyclic else 1


def _reads_and_writes(call: ir.Operation) -> tuple[list[ir.Value], list[ir.Value]]:
    """The memories of @main that a call reads, weights aside, and those that it writes."""
    roots = [root_of(operand) for operand in call.operands]
    writes = [root for number, root in enumerate(roots) if callee_writes(call, number)]
    main: func.FuncOp = call.parent.opview
    pairs = zip(roots, call.operands, strict=True)
    return [root for root, operand in pairs if root not in writes and weight_of(main, operand) is None], writes
