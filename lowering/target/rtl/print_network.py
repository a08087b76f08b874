"""Prints a network as one module of SystemVerilog, above those of its kernels: streams in, streams out.

Inputs and outputs are AXI4-Streams of a word in a cycle (`tvalid`, `tready`, `tdata`, `tlast`), the first element of a
word in its lowest bits. A frame has a fixed number of words; `error` stays set from the first `tlast` of an input that
stands elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from terrace.errors import TerraceError
from terrace.lowering.target.hls.printer import identifier
from terrace.lowering.target.rtl.circuit import Memory
from terrace.lowering.target.rtl.network import TOP, Buffer, Channel, Network, Process, Stream
from terrace.lowering.target.rtl.print_verilog import done_port, port_name, restart_ports
from terrace.lowering.target.rtl.values import signed_width

if TYPE_CHECKING:
    from terrace.circt import Module

Lookup = Callable[[str], np.ndarray]
"""Gives the elements of a weight by its symbol."""


class _Writes:
    """What fills a buffer: for each bank, whether, where and what it writes; `done` in the last cycle of a frame, and
    `start` where it takes a slot for one.
    """

    def __init__(self, memory: Memory, ports: Mapping[int, tuple[Any, Any, Any]], start: Any, done: Any) -> None:
        self.memory, self.ports, self.start, self.done = memory, ports, start, done


Port = tuple[int, int]
"""A bank and one of its copies."""


class _ChannelState:
    """The registers of a channel: how many frames wait for its reader, how many slots are taken, and which come next.

    A slot is taken when its writer starts, and free when its reader has read it.
    """

    def __init__(self, design: Module, channel: Channel, ports: Sequence[Port]) -> None:
        self.channel = channel
        bits, slot_bits = channel.slots.bit_length(), max(1, (channel.slots - 1).bit_length())
        self.frames = design.register(f"{channel.name}_frames", bits, 0)
        self.taken = design.register(f"{channel.name}_taken", bits, 0)
        self.write_slot = design.register(f"{channel.name}_write_slot", slot_bits, 0)
        self.read_slot = design.register(f"{channel.name}_read_slot", slot_bits, 0)
        self.has_frame = design.compare("ne", self.frames, design.constant(0, bits))
        self.has_room = design.compare("ne", self.taken, design.constant(channel.slots, bits))
        self.data = {port: design.wire(f"{_named(channel, port)}_data", channel.memory.width) for port in ports}
        """What the reader gets by each port."""
        self.read_start: Any = None
        self.read_done: Any = None


class _Top:
    """Makes the module of one network."""

    def __init__(self, network: Network, lookup: Lookup) -> None:
        from terrace.circt import Module

        self.network, self.lookup = network, lookup
        inputs, outputs = list[tuple[str, int]](), [("error", 1)]
        for stream in network.streams:
            there, back = (inputs, outputs) if stream.is_input else (outputs, inputs)
            there.append((f"{stream.name}_tdata", stream.lanes * stream.width))
            there += [(f"{stream.name}_tvalid", 1), (f"{stream.name}_tlast", 1)]
            back.append((f"{stream.name}_tready", 1))
        self.design = Module(TOP, inputs, outputs)
        channels = [channel for buffer in network.buffers for channel in buffer.channels]
        self.states = {c: _ChannelState(self.design, c, ports_of(c)) for c in channels}
        self.files: dict[str, str] = {}
        self.outputs: dict[str, Any] = {}
        self.errors: list[Any] = []

    def make(self) -> Module:
        """The module, ended."""
        writes: dict[Buffer, _Writes] = {}
        addresses: dict[Channel, dict[Port, Any]] = {}
        for process in self.network.processes:
            self.process(process, writes, addresses)
        for buffer in self.network.buffers:
            if isinstance(buffer.writer, Stream):
                writes[buffer] = self.stream_in(buffer.writer, buffer)
            for channel in buffer.channels:
                if isinstance(channel.reader, Stream):
                    addresses[channel] = self.stream_out(channel.reader, channel)
        for buffer in self.network.buffers:
            for channel in buffer.channels:
                self.channel(channel, writes[buffer], addresses.get(channel, {}))
        self.outputs["error"] = self.any(self.errors)
        self.design.end(self.outputs)
        return self.design

    # -- conditions -----------------------------------------------------------------------------------------------

    def all(self, values: Sequence[Any]) -> Any:
        result = self.design.constant(1, 1)
        for value in values:
            result = self.design.comb("and", result, value)
        return result

    def any(self, values: Sequence[Any]) -> Any:
        result = self.design.constant(0, 1)
        for value in values:
            result = self.design.comb("or", result, value)
        return result

    def inverse(self, value: Any) -> Any:
        return self.design.comb("xor", value, self.design.constant(1, 1))

    def has_room(self, buffer: Buffer) -> Any:
        return self.all([self.states[channel].has_room for channel in buffer.channels])

    def counted(self, register: Any, last: int, advance: Any) -> None:
        """Let a register count up to `last` and begin anew, where `advance`."""
        design, width = self.design, register.type.width
        is_last = design.compare("eq", register, design.constant(last, width))
        following = design.comb("add", register, design.constant(1, width))
        moved = design.comb("mux", is_last, design.constant(0, width), following)
        design.connect(register, design.comb("mux", advance, moved, register))

    # -- processes ------------------------------------------------------------------------------------------------

    def process(
        self, process: Process, writes: dict[Buffer, _Writes], addresses: dict[Channel, dict[Port, Any]]
    ) -> None:
        """The instance of a kernel, which starts when it can."""
        design = self.design
        busy = design.register(f"{process.name}_busy", 1, 0)
        ready = [self.states[channel].has_frame for channel in process.reads.values()]
        room = [self.has_room(buffer) for buffer in process.writes.values()]
        go = design.hinted(self.all([self.inverse(busy), *ready, *room]), f"{process.name}_go")
        inputs: dict[str, Any] = {"go": go}
        outputs: list[tuple[str, int]] = [("done", 1), *restart_ports(process.design.restart)]
        reads: list[tuple[str, Callable[[Any], None]]] = []
        for number, argument in enumerate(process.arguments):
            for port in argument.read_ports:
                name = port_name(argument.memory, *port)
                outputs.append((f"{name}_read_address", argument.memory.address_width))
                inputs[f"{name}_read_data"], connect = self.read_port(process, number, port, addresses)
                reads.append((f"{name}_read_address", connect))
            for bank in argument.written_banks:
                name = port_name(argument.memory, bank)
                outputs += [(f"{name}_write", 1), (f"{name}_write_address", argument.memory.address_width)]
                outputs.append((f"{name}_write_data", argument.memory.width))
        found = design.instance(process.design.circuit.name, process.name, inputs, outputs)
        for name, connect in reads:
            connect(found[name])
        for number, buffer in process.writes.items():
            argument = process.arguments[number]
            ports = {}
            for bank in argument.written_banks:
                name = port_name(argument.memory, bank)
                ports[bank] = tuple(found[f"{name}_{part}"] for part in ("write", "write_address", "write_data"))
            writes[buffer] = _Writes(argument.memory, ports, go, found["done"])
        is_restarted = process.restart is not None
        for number, channel in process.reads.items():
            done = done_port(process.arguments[number].memory) if is_restarted else "done"
            self.states[channel].read_start, self.states[channel].read_done = go, found[done]
        running = design.comb("or", busy, go)
        design.connect(busy, design.comb("and", running, self.inverse(found["ready" if is_restarted else "done"])))

    def read_port(
        self, process: Process, number: int, port: Port, addresses: dict[Channel, dict[Port, Any]]
    ) -> tuple[Any, Callable[[Any], None]]:
        """What an argument's port gives, and what takes its address."""
        if number in process.reads:
            channel = process.reads[number]
            return self.states[channel].data[port], lambda address: addresses.setdefault(channel, {}).update(
                {port: address}
            )
        memory, design = process.arguments[number].memory, self.design
        name, file = (f"{process.name}_{port_name(memory, *place)}" for place in (port, port[:1]))
        width = memory.width if memory.span is None else signed_width(*memory.span)
        rom = design.rom(name, self.weight_file(process, number, port[0], width, file), width, max(2, memory.depth))
        read = design.rom_read(rom, f"{name}_data", memory.address_width, width)
        return design.extended(read, memory.width, True), lambda address: design.connect_address(read, address)

    def weight_file(self, process: Process, number: int, bank: int, width: int, name: str) -> str:
        """The name of the file of a bank of a weight, whose elements have so many bits."""
        weight, memory = process.weights[number], process.arguments[number].memory
        elements = np.ravel(self.lookup(weight) if isinstance(weight, str) else weight)
        if elements.size != math.prod(memory.shape):
            raise TerraceError(
                f"a weight of {process.name} has {elements.size} elements, not {math.prod(memory.shape)}"
            )
        words = ["0"] * max(2, memory.depth)
        for place, element in enumerate(elements.tolist()):
            at, address = memory.place_of(place)
            if at == bank:
                words[address] = f"{int(element) & ((1 << width) - 1):x}"
        self.files[f"{identifier(name)}.hex"] = "\n".join(words) + "\n"
        return f"{identifier(name)}.hex"

    # -- streams --------------------------------------------------------------------------------------------------

    def stream_in(self, stream: Stream, buffer: Buffer) -> _Writes:
        design, memory = self.design, stream.memory
        valid, last, data = (design.inputs[f"{stream.name}_{part}"] for part in ("tvalid", "tlast", "tdata"))
        index = design.register(f"{stream.name}_index", memory.address_width, 0)
        ready = self.has_room(buffer)
        taken = design.comb("and", valid, ready)
        self.counted(index, stream.words - 1, taken)
        is_last = design.compare("eq", index, design.constant(stream.words - 1, memory.address_width))
        wrong = design.register(f"{stream.name}_wrong", 1, 0)
        differs = design.comb("and", taken, design.comb("xor", is_last, last))
        design.connect(wrong, design.comb("or", wrong, differs))
        self.errors.append(wrong)
        self.outputs[f"{stream.name}_tready"] = ready
        lanes = [design.part(data, lane * stream.width, stream.width) for lane in range(stream.lanes)]
        ports = {lane: (taken, index, part) for lane, part in enumerate(lanes)}
        done = design.comb("and", taken, is_last)
        return _Writes(memory, ports, done, done)

    def stream_out(self, stream: Stream, channel: Channel) -> dict[Port, Any]:
        """Gives the frames of a channel. What is shown stays until it is taken: its address is read again."""
        design, state, width = self.design, self.states[channel], channel.memory.address_width
        shown = design.register(f"{stream.name}_shown", 1, 0)
        index = design.register(f"{stream.name}_index", width, 0)
        taken = design.comb("and", shown, design.inputs[f"{stream.name}_tready"])
        is_last = design.compare("eq", index, design.constant(stream.words - 1, width))
        starts = design.comb("and", self.inverse(shown), state.has_frame)
        following = design.comb("add", index, design.constant(1, width))
        address = design.comb("mux", taken, following, index)
        address = design.comb("mux", shown, address, design.constant(0, width))
        design.connect(index, address)
        state.read_start = state.read_done = design.comb("and", taken, is_last)
        stays = design.comb("and", shown, self.inverse(state.read_done))
        design.connect(shown, design.comb("or", starts, stays))
        lanes = [state.data[lane, 0] for lane in reversed(range(stream.lanes))]
        word = lanes[0] if len(lanes) == 1 else design.comb("concat", *lanes, width=stream.lanes * stream.width)
        self.outputs |= {f"{stream.name}_tvalid": shown, f"{stream.name}_tdata": word}
        self.outputs[f"{stream.name}_tlast"] = is_last
        return {(lane, 0): address for lane in range(stream.lanes)}

    # -- buffers --------------------------------------------------------------------------------------------------

    def channel(self, channel: Channel, writes: _Writes, addresses: Mapping[Port, Any]) -> None:
        """The memory of a channel: a slot for each frame, which its writer fills and its reader reads."""
        design, state, memory = self.design, self.states[channel], channel.memory
        self.check_banks(channel, writes.memory)
        slot_bits = state.write_slot.type.width
        # An element comes a cycle after its address, when the next slot may be read already.
        last_slot = design.delayed(f"{channel.name}_shown_slot", state.read_slot, 0)
        for port, shows in state.data.items():
            shown = None
            for slot in range(channel.slots):
                number = design.constant(slot, slot_bits)
                cells = design.memory(f"{_named(channel, port)}_slot{slot}", max(2, memory.depth), memory.width)
                if port[0] in writes.ports:
                    enable, address, data = writes.ports[port[0]]
                    here = design.comb("and", enable, design.compare("eq", state.write_slot, number))
                    design.memory_write(cells, address, data, here)
                read = design.memory_read(cells, addresses[port], design.constant(1, 1), memory.width)
                here = design.compare("eq", last_slot, number)
                shown = read if shown is None else design.comb("mux", here, read, shown)
            design.connect_wire(shows, shown)
        self.counted(state.write_slot, channel.slots - 1, writes.done)
        self.counted(state.read_slot, channel.slots - 1, state.read_done)
        self.balance(state.frames, writes.done, state.read_start)
        self.balance(state.taken, writes.start, state.read_done)

    def balance(self, count: Any, more: Any, less: Any) -> None:
        """Let a register count up and down."""
        design = self.design
        one, minus = (design.constant(number, count.type.width) for number in (1, -1))
        moved = design.comb("add", count, design.comb("mux", more, one, minus))
        design.connect(count, design.comb("mux", design.comb("xor", more, less), moved, count))

    @staticmethod
    def check_banks(channel: Channel, written: Memory) -> None:
        """Refuse a buffer whose writer and reader do not agree where its elements are."""
        count = math.prod(channel.memory.shape)
        if written.banks == channel.memory.banks == 1 and math.prod(written.shape) == count:
            return
        if math.prod(written.shape) != count or any(
            written.place_of(number) != channel.memory.place_of(number) for number in range(count)
        ):
            raise TerraceError(f"{channel.name} is read in other banks than it is written in, which has no circuit")


def ports_of(channel: Channel) -> list[Port]:
    """The ports by which a channel is read."""
    reader = channel.reader
    if isinstance(reader, Stream):
        return [(lane, 0) for lane in range(reader.lanes)]
    number = next(number for number, read in reader.reads.items() if read is channel)
    return list(reader.arguments[number].read_ports)


def _named(channel: Channel, port: Port) -> str:
    bank, copy = port
    return f"{channel.name}_bank{bank}" + (f"_copy{copy}" if copy else "")


def top_of(network: Network, lookup: Lookup) -> tuple[Module, dict[str, str]]:
    """The module of a network, and the files of its weights by name. Raises TargetError without CIRCT."""
    top = _Top(network, lookup)
    return top.make(), top.files


def print_network(network: Network, lookup: Lookup) -> tuple[str, dict[str, str]]:
    """The SystemVerilog of a network and its kernels, and the files of its weights by name.

    Raises TargetError without CIRCT.
    """
    top, files = top_of(network, lookup)
    kernels = {p.design.circuit.name: p.design for p in network.processes}
    summary = f"// {TOP}: latency {network.latency} cycles, a frame every {network.interval} cycles\n"
    return "\n".join([*(design.verilog() for design in kernels.values()), summary + top.verilog()]), files
