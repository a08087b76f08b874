"""What a whole network of hardware takes of an FPGA, estimated: of each kernel, and of what is between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from terrace.dialects.context import create_context
from terrace.errors import TargetError
from terrace.fpga import PARTS
from terrace.lowering.target.description import hls_of
from terrace.lowering.target.hls.verify_hardware_attributes import VerifyHardwareAttributes
from terrace.lowering.target.rtl.fabric import FABRICS
from terrace.lowering.target.rtl.netlist import Netlist
from terrace.lowering.target.rtl.network import TOP, network_of
from terrace.lowering.target.rtl.print_network import top_of
from terrace.lowering.target.rtl.resources import FAMILIES, Resources, resources_of
from terrace.lowering.target.rtl.timing import Path, joined, longest_path
from terrace.lowering.target.rtl.weights import note_ranges
from terrace.mlir import ir, parse_module
from terrace.passes import run_passes
from terrace.runtime.cosim import Weights
from terrace.runtime.network_cosim import elements_of
from terrace.texts import plain


@dataclasses.dataclass(frozen=True)
class NetworkResources:
    """The resources of the processes of a network, and of what connects them, in order; prints as a table, with the
    share of a part if there is one.
    """

    family: str
    rows: Sequence[tuple[str, Resources]]
    path: Path
    """The path that decides the clock."""

    part: str = ""

    @property
    def total(self) -> Resources:
        return sum((own for _, own in self.rows), Resources())

    def __str__(self) -> str:
        names = [field.name for field in dataclasses.fields(Resources)]
        rows = [*self.rows, ("all", self.total)]
        table = [(self.family, *(name.upper() for name in names))]
        table += [(plain(name), *(f"{getattr(own, field):g}" for field in names)) for name, own in rows]
        if self.part:
            shares = (getattr(self.total, name) / getattr(PARTS[self.part], name) for name in names)
            table.append((f"of {self.part}", *(f"{share:.1%}" for share in shares)))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [[cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])] for cells in table]
        clock = f"about {self.path}"
        return "\n".join([*("  ".join(line) for line in lines), clock])


def network_resources(text: str, weights: Weights | None = None, family: str | None = None) -> NetworkResources:
    """What the network of a module at the level "hls" takes of a family of FPGAs, one of `FAMILIES`; that of the part
    that it is made for, if none is given.

    Raises PassError for what has no circuit, TargetError without CIRCT, or for a family that is not known.
    """
    module = parse_module(text, create_context()).operation
    with module.context, ir.Location.unknown():
        part = hls_of(module).part
        family = family or PARTS[part].family
        if family not in FAMILIES:
            raise TargetError(f"resources are known of {', '.join(FAMILIES)}, not of {family!r}")
        run_passes([VerifyHardwareAttributes()], module)
        note_ranges(module, lambda symbol: elements_of(symbol, weights or {}))
        network = network_of(module)
        modules = [(process.name, process.design.module()) for process in network.processes]
        top, _ = top_of(network, lambda symbol: elements_of(symbol, weights or {}))
        found = [(name, made.cells()) for name, made in [*modules, (TOP, top)]]
        path = longest_path(joined(found[-1][1], found[:-1]), FABRICS[family])
    rows = [(name, resources_of(Netlist(cells), FAMILIES[family])) for name, cells in found]
    if PARTS[part].family != family:
        return NetworkResources(family, rows, path)
    share = sum(own.dsp for _, own in rows) / PARTS[part].dsp
    return NetworkResources(family, rows, path.longer(FABRICS[family].spread * share), part)
