"""The program that runs a network in Verilator: frames go in and results come out of streams that stall at random."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.lowering.target.hls.expressions import bits_in_files
from terrace.lowering.target.rtl.network import TOP, Network, Stream


def bytes_of(stream: Stream) -> int:
    """Bytes of an element in files."""
    return bits_in_files(stream.width) // 8


def _drive(stream: Stream) -> str:
    """Offer the next word of an input, unless it stalls; what is offered stays until it is taken."""
    name, size = stream.name, bytes_of(stream)
    return f"""\
      if (!top->{name}_tvalid && at_{name} < frames * {stream.words} && !stalls()) {{
        for (int lane = 0; lane < {stream.lanes}; ++lane) {{
          std::uint64_t element = 0;
          std::memcpy(&element, &data_{name}[(at_{name} * {stream.lanes} + lane) * {size}], {size});
          put(top->{name}_tdata, lane * {stream.width}, {stream.width}, element);
        }}
        top->{name}_tvalid = 1;
        top->{name}_tlast = (at_{name} % {stream.words} == {stream.words - 1}) != (long(at_{name}) == wrong_last);
      }}"""


def _take(stream: Stream) -> str:
    """Note a word of an input that was taken in this cycle."""
    name = stream.name
    return f"""\
      const bool took_{name} = top->{name}_tvalid && top->{name}_tready;
      if (took_{name}) {{
        if (at_{name} % {stream.words} == 0) first[at_{name} / {stream.words}] =
            std::min(first[at_{name} / {stream.words}], cycle);
        ++at_{name};
      }}"""


def _receive(stream: Stream) -> str:
    """Take a word of an output."""
    name, size = stream.name, bytes_of(stream)
    return f"""\
      if (top->{name}_tvalid && top->{name}_tready) {{
        for (int lane = 0; lane < {stream.lanes}; ++lane) {{
          const std::int64_t element =
              extended(got(top->{name}_tdata, lane * {stream.width}, {stream.width}), {stream.width});
          std::memcpy(&data_{name}[(at_{name} * {stream.lanes} + lane) * {size}], &element, {size});
        }}
        const bool is_last = at_{name} % {stream.words} == {stream.words - 1};
        if (bool(top->{name}_tlast) != is_last) {{ std::fprintf(stderr, "{name}: tlast stands wrong\\n"); return 4; }}
        if (is_last) last[at_{name} / {stream.words}] = std::max(last[at_{name} / {stream.words}], cycle);
        ++at_{name};
      }}"""


def _lines(parts: Sequence[str]) -> str:
    return "\n".join(parts)


def network_program(network: Network) -> str:
    """A main that takes the number of frames, the most cycles, the percentage of cycles in which a stream stalls, a
    seed, the cycle of a reset and the number of a word whose `tlast` is wrong (-1 for none), and then a file for
    each stream. It prints the cycles of the first word in and the last one out by frame, counted from the reset.
    """
    inputs, outputs = ([s for s in network.streams if s.is_input is way] for way in (True, False))
    both = [*inputs, *outputs]
    arrays = [
        f"  std::vector<unsigned char> data_{s.name}(frames * {s.elements * bytes_of(s)} + 8);\n"
        f"  std::size_t at_{s.name} = 0;"
        for s in both
    ]
    reads = [f'  transfer(std::fread, data_{s.name}, argv[{7 + both.index(s)}], "rb");' for s in inputs]
    writes = [f'  transfer(std::fwrite, data_{s.name}, argv[{7 + both.index(s)}], "wb");' for s in outputs]
    resets = [f"  top->{s.name}_tvalid = 0;" for s in inputs] + [f"  top->{s.name}_tready = 0;" for s in outputs]
    waits = " || ".join(f"at_{s.name} < frames * {s.words}" for s in outputs)
    return f"""\
#include "V{TOP}.h"
#include "verilated.h"
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <type_traits>
#include <vector>

// Bits of a port, which Verilator makes an integer, or an array of 32-bit words if it is wide.
template <typename Port> static bool bit(const Port &port, int at) {{
  if constexpr (std::is_integral_v<Port>) return port >> at & 1;
  else return port[at / 32] >> at % 32 & 1;
}}
template <typename Port> static std::uint64_t got(const Port &port, int low, int bits) {{
  std::uint64_t value = 0;
  for (int i = 0; i < bits; ++i) value |= std::uint64_t(bit(port, low + i)) << i;
  return value;
}}
template <typename Port> static void put(Port &port, int low, int bits, std::uint64_t value) {{
  for (int at = low; at < low + bits; ++at, value >>= 1) {{
    if constexpr (std::is_integral_v<Port>) port = (port & ~(Port(1) << at)) | Port(value & 1) << at;
    else port[at / 32] = (port[at / 32] & ~(1u << at % 32)) | (value & 1u) << at % 32;
  }}
}}
static std::int64_t extended(std::uint64_t value, int bits) {{
  return bits == 1 ? value & 1 : static_cast<std::int64_t>(value << (64 - bits)) >> (64 - bits);
}}
template <typename Call>
static void transfer(Call call, std::vector<unsigned char> &data, const char *path, const char *mode) {{
  std::FILE *file = std::fopen(path, mode);
  if (!file || call(data.data(), 1, data.size() - 8, file) != data.size() - 8 || std::fclose(file)) {{
    std::perror(path);
    std::exit(1);
  }}
}}

int main(int, char **argv) {{
  const std::size_t frames = std::strtoull(argv[1], nullptr, 10);
  const long most = std::atol(argv[2]);
  std::mt19937 random(std::atoi(argv[4]));
  const unsigned percent = std::atoi(argv[3]);
  const long reset_at = std::atol(argv[5]), wrong_last = std::atol(argv[6]);
  auto stalls = [&] {{ return random() % 100 < percent; }};
{_lines(arrays)}
{_lines(reads)}
  std::vector<long> first(frames, most), last(frames, 0);
  VerilatedContext context;
  auto *top = new V{TOP}(&context);
  auto edge = [&] {{ top->clk = 1; top->eval(); top->clk = 0; top->eval(); }};
  top->clk = 0;
  top->rst = 1;
{_lines(resets)}
  top->eval();
  edge();
  top->rst = 0;
  long cycle = 0;
  bool was_reset = false;
  for (; {waits}; ++cycle) {{
    if (cycle == reset_at && !was_reset) {{
      was_reset = true;
      top->rst = 1;
{_lines(resets)}
      edge();
      top->rst = 0;
{_lines([f"      at_{s.name} = 0;" for s in both])}
      std::fill(first.begin(), first.end(), most);
      std::fill(last.begin(), last.end(), 0);
      cycle = 0;
    }}
    if (cycle > most) {{
      std::fprintf(stderr, "still running after %ld cycles\\n", cycle);
      return 3;
    }}
{_lines([_drive(s) for s in inputs])}
{_lines([f"    top->{s.name}_tready = !stalls();" for s in outputs])}
      top->eval();
{_lines([_take(s) for s in inputs])}
{_lines([_receive(s) for s in outputs])}
      edge();
{_lines([f"      if (took_{s.name}) top->{s.name}_tvalid = 0;" for s in inputs])}
  }}
  if (top->error) {{ std::fprintf(stderr, "the network says that a tlast stood wrong\\n"); return 5; }}
{_lines(writes)}
  for (std::size_t n = 0; n < frames; ++n) std::printf("%ld %ld\\n", first[n], last[n]);
}}
"""
