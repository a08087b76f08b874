"""Prints the C++ of a module at the level "hls", or the error that refuses it."""

import sys

from terrace.dialects.context import create_context
from terrace.errors import PassError
from terrace.lowering.target.hls.printer import print_module
from terrace.mlir import parse_module

with open(sys.argv[1], encoding="utf-8") as file:
    context = create_context()
    module = parse_module(file.read(), context)
try:
    with context:
        printed = print_module(module.operation)
except PassError as error:
    print(error)
else:
    for lines in [*printed.kernels.values(), printed.top]:
        print("\n".join(lines))
