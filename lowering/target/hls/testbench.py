"""The test bench of a design: a program that reads inputs and weights from files, runs it once, and writes outputs."""

from __future__ import annotations

from terrace.lowering.target.hls.printer import TOP, Port


def testbench(ports: list[Port]) -> str:
    """A program that reads each input and weight from a file of raw elements and writes the outputs to files."""
    buffers = "\n".join(_buffers(port) for port in ports)
    reads = "\n".join(_reads(port, i) for i, port in enumerate(ports, 1) if port.role != "output")
    writes = "\n".join(_writes(port, i) for i, port in enumerate(ports, 1) if port.role == "output")
    return f"""\
// Runs the design once: {" ".join(p.name for p in ports)} are files of raw elements, in this order.
#include "model.h"
#include <cstdio>
#include <cstdlib>

{buffers}

static void transfer(const char *path, const char *mode, void *data, std::size_t size) {{
  std::FILE *file = std::fopen(path, mode);
  std::size_t done = 0;
  if (file) done = mode[0] == 'r' ? std::fread(data, 1, size, file) : std::fwrite(data, 1, size, file);
  if (!file || done != size || std::fclose(file)) {{
    std::fprintf(stderr, "cannot transfer %zu bytes: %s\\n", size, path);
    std::exit(1);
  }}
}}

int main(int argc, char **argv) {{
  if (argc != {len(ports) + 1}) {{
    std::fprintf(stderr, "usage: %s {" ".join(p.name for p in ports)}\\n", argv[0]);
    return 2;
  }}
{reads}
  {TOP}({", ".join(p.name for p in ports)});
{writes}
  return 0;
}}
"""


def _buffers(port: Port) -> str:
    """The elements of a port, and beside them those of its file where they are other ones."""
    array = f"{port.c_type} {port.name}[{port.elements}]"
    lines = [f"static hls::stream<{port.c_type}> {port.name};" if port.is_stream else f"static {array};"]
    if _has_file(port):
        lines.append(f"static {port.file_type} {port.name}_file[{port.elements}];")
    return "\n".join(lines)


def _has_file(port: Port) -> bool:
    """Whether the elements of a port's file stand in an array of their own."""
    return port.is_stream or port.c_type != port.file_type


def _reads(port: Port, argument: int) -> str:
    if not _has_file(port):
        return f'  transfer(argv[{argument}], "rb", {port.name}, sizeof {port.name});'
    value = f"{port.name}_file[i]"
    if port.c_type != port.file_type:
        value = f"number_of({value})" if port.file_type == "float" else f"{port.c_type}({value})"
    element = f"{port.name}.write({value})" if port.is_stream else f"{port.name}[i] = {value}"
    return f"""\
  transfer(argv[{argument}], "rb", {port.name}_file, sizeof {port.name}_file);
  for (int i = 0; i < {port.elements}; i += 1) {element};"""


def _writes(port: Port, argument: int) -> str:
    if not _has_file(port):
        return f'  transfer(argv[{argument}], "wb", {port.name}, sizeof {port.name});'
    value = f"{port.name}.read()" if port.is_stream else f"{port.name}[i]"
    if port.c_type != port.file_type:
        value = f"to_float({value})" if port.file_type == "float" else f"{port.file_type}({value})"
    return f"""\
  for (int i = 0; i < {port.elements}; i += 1) {port.name}_file[i] = {value};
  transfer(argv[{argument}], "wb", {port.name}_file, sizeof {port.name}_file);"""
