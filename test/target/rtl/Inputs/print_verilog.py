"""Prints the SystemVerilog of the kernels of a text at the level "hls"."""

import sys

from terrace.lowering.target.rtl.design import verilog

with open(sys.argv[1], encoding="utf-8") as file:
    print(verilog(file.read()), end="")
