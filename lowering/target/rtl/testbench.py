"""The programs that run a kernel on files of vectors: one drives its SystemVerilog in Verilator, one calls its C++.

A vector is the elements of every argument, in order, each argument whole; a result is those that the kernel writes.
Both programs take the number of vectors, the file of vectors and the file of results.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from terrace.lowering.target.hls.expressions import bits_in_files
from terrace.lowering.target.hls.printer import identifier
from terrace.lowering.target.rtl.circuit import Circuit, Memory, Store
from terrace.lowering.target.rtl.print_verilog import port_name
from terrace.lowering.target.rtl.schedule import Schedule

MAX_EXTRA_CYCLES = 1000
"""Cycles beyond the predicted ones after which a simulation is given up."""


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument of a kernel: what the design does with it."""

    memory: Memory
    read_ports: tuple[tuple[int, int], ...]
    """Banks and their copies."""
    written_banks: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.memory.shape)

    @property
    def bytes(self) -> int:
        """Bytes of an element in files."""
        return bits_in_files(self.memory.width) // 8

    @property
    def is_padded(self) -> bool:
        """Whether files hold more bits of an element than it has: copies of its sign."""
        return 1 < self.memory.width < 8 * self.bytes


def arguments_of(circuit: Circuit, times: Schedule) -> list[Argument]:
    """The arguments of a scheduled circuit."""
    accesses = [a for found in times.values() for a in found.at]
    found = []
    for memory in circuit.arguments:
        copies = {a: copy for own in times.values() for a, copy in own.copies.items() if a.memory is memory}
        read = {(bank, copy) for a, copy in copies.items() for bank in a.banks}
        written = {a.bank for a in accesses if isinstance(a, Store) and a.memory is memory}
        found.append(Argument(memory, tuple(sorted(read)), tuple(sorted(written))))
    return found


_FILES = """\
static std::FILE *open_or_exit(const char *path, const char *mode) {
  std::FILE *file = std::fopen(path, mode);
  if (!file) { std::perror(path); std::exit(1); }
  return file;
}

static void transferred(std::size_t done, std::size_t wanted) {
  if (done != wanted) { std::fprintf(stderr, "a file of vectors or results is too short\\n"); std::exit(1); }
}
"""


def _arrays(arguments: Sequence[Argument]) -> str:
    return "\n".join(f"static {_unsigned(a)} {a.memory.name}[{a.elements}];" for a in arguments)


def _unsigned(argument: Argument) -> str:
    return f"uint{8 * argument.bytes}_t"


def _transfers(arguments: Sequence[Argument], call: str, file: str) -> str:
    return "\n".join(
        f"    transferred(std::{call}({a.memory.name}, {a.bytes}, {a.elements}, {file}), {a.elements});"
        for a in arguments
    )


def _signed(argument: Argument) -> str:
    return f"int{8 * argument.bytes}_t"


def _copy(target: str, source: str, kind: str, argument: Argument) -> str:
    return f"    for (int i = 0; i < {argument.elements}; ++i) {target}[i] = {kind}({source}[i]);"


def _written(arguments: Sequence[Argument]) -> list[Argument]:
    return [a for a in arguments if a.written_banks]


def csim_program(name: str, kernel: Sequence[str], arguments: Sequence[Argument], kinds: Sequence[str]) -> str:
    """The C++ of a kernel, whose arguments point to elements of `kinds`, and a main that calls it."""
    printed = "\n".join(kernel)
    both = list(zip(arguments, kinds, strict=True))
    pointers = ", ".join(
        f"{a.memory.name}_numbers" if a.is_padded else f"reinterpret_cast<{kind} *>({a.memory.name})"
        for a, kind in both
    )
    padded = [(a, kind) for a, kind in both if a.is_padded]
    numbers = "\n".join(f"static {kind} {a.memory.name}_numbers[{a.elements}];" for a, kind in padded)
    taken = "\n".join(_copy(f"{a.memory.name}_numbers", a.memory.name, kind, a) for a, kind in padded)
    given = "\n".join(_copy(a.memory.name, f"{a.memory.name}_numbers", _signed(a), a) for a, _ in padded)
    return f"""\
#include "terrace_math.h"
#include <cstdio>
#include <cstdlib>

{printed}

{_FILES}
{_arrays(arguments)}
{numbers}

int main(int, char **argv) {{
  std::FILE *vectors = open_or_exit(argv[2], "rb"), *results = open_or_exit(argv[3], "wb");
  for (int n = std::atoi(argv[1]); n > 0; --n) {{
{_transfers(arguments, "fread", "vectors")}
{taken}
    {identifier(name)}({pointers});
{given}
{_transfers(_written(arguments), "fwrite", "results")}
  }}
  return std::fclose(results);
}}
"""


_MEMORIES = """\
// An access out of bounds is one whose element nobody uses, or an error that shows as a mismatch.
template <typename T, std::size_t N> static T element(const T (&array)[N], std::size_t i) {
  return i < N ? array[i] : 0;
}
template <typename T, std::size_t N> static void set(T (&array)[N], std::size_t i, std::uint64_t value) {
  if (i < N) array[i] = static_cast<T>(value);
}
// The lowest bits of a value, and copies of their sign above them.
[[maybe_unused]] static std::uint64_t extended(std::uint64_t value, int bits) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(value << (64 - bits)) >> (64 - bits));
}

// The flat number of an element of a bank: dimension `size` is cut in `banks`, cyclic or in blocks.
static std::size_t place(std::size_t local, std::size_t bank, std::size_t banks, std::size_t size, std::size_t inner,
                         bool cyclic) {
  const std::size_t part = size / banks, within = local % inner;
  const std::size_t cut = local / inner % part, outer = local / inner / part;
  return (outer * size + (cyclic ? cut * banks + bank : bank * part + cut)) * inner + within;
}
"""


def rtl_program(name: str, arguments: Sequence[Argument], predicted: int) -> str:
    """A main that drives the module `name` as memories with one cycle to read do, and prints each vector's cycles."""
    reads, writes, shows = [], [], []
    for argument in arguments:
        memory = argument.memory
        for bank, copy in argument.read_ports:
            port, value = f"top->{port_name(memory, bank, copy)}", f"read_{port_name(memory, bank, copy)}"
            at = _place(memory, bank, f"{port}_read_address")
            mask = f" & {hex((1 << memory.width) - 1)}u" if argument.is_padded else ""
            reads.append(f"      const auto {value} = element({memory.name}, {at}){mask};")
            shows.append(f"      {port}_read_data = {value};")
        for bank in argument.written_banks:
            port = f"top->{port_name(memory, bank)}"
            at = _place(memory, bank, f"{port}_write_address")
            data = f"extended({port}_write_data, {memory.width})" if argument.is_padded else f"{port}_write_data"
            writes.append(f"      if ({port}_write) set({memory.name}, {at}, {data});")
    cycle = "\n".join([*reads, *writes])
    shown = "\n".join(shows)
    return f"""\
#include "V{name}.h"
#include "verilated.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>

{_FILES}
{_arrays(arguments)}

{_MEMORIES}
int main(int, char **argv) {{
  std::FILE *vectors = open_or_exit(argv[2], "rb"), *results = open_or_exit(argv[3], "wb");
  VerilatedContext context;
  auto *top = new V{name}(&context);
  auto edge = [&] {{ top->clk = 1; top->eval(); top->clk = 0; top->eval(); }};
  top->clk = 0;
  top->go = 0;
  top->rst = 1;
  top->eval();
  edge();
  top->rst = 0;
  for (int n = std::atoi(argv[1]); n > 0; --n) {{
{_transfers(arguments, "fread", "vectors")}
    long cycles = 0;
    top->go = 1;
    for (bool done = false; !done;) {{
      top->eval();
      done = top->done;
{cycle}
      edge();
{shown}
      top->go = 0;
      if (++cycles > {predicted + MAX_EXTRA_CYCLES}) {{
        std::fprintf(stderr, "still running after %ld cycles\\n", cycles);
        return 3;
      }}
    }}
    std::printf("%ld\\n", cycles);
{_transfers(_written(arguments), "fwrite", "results")}
  }}
  return std::fclose(results);
}}
"""


def _place(memory: Memory, bank: int, address: str) -> str:
    if memory.banks == 1:
        return address
    size, inner = memory.split
    cyclic = "true" if memory.kind == "cyclic" else "false"
    return f"place({address}, {bank}, {memory.banks}, {size}, {inner}, {cyclic})"
