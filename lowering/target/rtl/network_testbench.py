"""The program that runs a network in Verilator: frames go in and results come out of streams that stall at random."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.lowering.target.hls.expressions import bits_in_files
from terrace.lowering.target.rtl.network import TOP, Network, Stream


def bytes_of(stream: Stream) -> int:
    """Bytes of an element in files."""
    return bits_in_files(stream.width) // 8


def _drive(stream: Stream) -> str:
    """Offer the next element of an input, unless it stalls; what is offered stays until it is taken."""
    name, size = stream.name, bytes_of(stream)
    return f"""\
      if (!top->{name}_tvalid && at_{name} < frames * {stream.elements} && !stalls()) {{
        std::uint64_t element = 0;
        std::memcpy(&element, &data_{name}[at_{name} * {size}], {size});
        top->{name}_tvalid = 1;
        top->{name}_tdata = element & mask({stream.width});
        top->{name}_tlast = (at_{name} % {stream.elements} == {stream.elements - 1}) != (long(at_{name}) == wrong_last);
      }}"""


def _take(stream: Stream) -> str:
    """Note an element of an input that was taken in this cycle."""
    name = stream.name
    return f"""\
      const bool took_{name} = top->{name}_tvalid && top->{name}_tready;
      if (took_{name}) {{
        if (at_{name} % {stream.elements} == 0) first[at_{name} / {stream.elements}] =
            std::min(first[at_{name} / {stream.elements}], cycle);
        ++at_{name};
      }}"""


def _receive(stream: Stream) -> str:
    """Take an element of an output."""
    name, size = stream.name, bytes_of(stream)
    return f"""\
      if (top->{name}_tvalid && top->{name}_tready) {{
        const std::int64_t element = extended(top->{name}_tdata, {stream.width});
        std::memcpy(&data_{name}[at_{name} * {size}], &element, {size});
        const bool is_last = at_{name} % {stream.elements} == {stream.elements - 1};
        if (bool(top->{name}_tlast) != is_last) {{ std::fprintf(stderr, "{name}: tlast stands wrong\\n"); return 4; }}
        if (is_last) last[at_{name} / {stream.elements}] = std::max(last[at_{name} / {stream.elements}], cycle);
        ++at_{name};
      }}"""


def _lines(parts: Sequence[str]) -> str:
    return "\n".join(parts)


def network_program(network: Network) -> str:
    """A main that takes the number of frames, the most cycles, the percentage of cycles in which a stream stalls, a
    seed, the cycle of a reset and the number of an element whose `tlast` is wrong (-1 for none), and then a file for
    each stream. It prints the cycles of the first element in and the last one out by frame, counted from the reset.
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
    waits = " || ".join(f"at_{s.name} < frames * {s.elements}" for s in outputs)
    return f"""\
#include "V{TOP}.h"
#include "verilated.h"
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

static std::uint64_t mask(int bits) {{ return bits == 64 ? ~0ull : (1ull << bits) - 1; }}
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
