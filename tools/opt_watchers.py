"""What `terrace-opt` does around each pass: prints the IR, to stderr or to a tree of files, and takes the times."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from terrace.errors import PassError
from terrace.lowering.debugging.commands import opt_command, reproducer_text
from terrace.lowering.pipeline.parser import innermost_name
from terrace.mlir import ir
from terrace.passes import Pass, Watcher
from terrace.storage.files import write_file

Render = Callable[[ir.Operation], str]


@dataclasses.dataclass(frozen=True)
class PrintRequest:
    """Around which passes the IR is printed: those named, or all; into `folder`, or to stderr if that is empty.

    `on_change` leaves out what a pass left as it was. `on_failure` prints after a failed pass, and after no other.
    """

    before: Sequence[str] = ()
    after: Sequence[str] = ()
    before_all: bool = False
    after_all: bool = False
    on_change: bool = False
    on_failure: bool = False
    folder: str = ""

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.before_all or self.after_all or self.on_failure)


class IrPrinter(Watcher):
    """Prints the IR before and after passes, as mlir-opt's flags of the same names do."""

    def __init__(self, request: PrintRequest, render: Render) -> None:
        self.request = request
        self.render = render
        self.number = 0
        self.text_before = ""

    def before(self, pass_: Pass, module: ir.Operation) -> None:
        request = self.request
        if request.on_change:
            self.text_before = self.render(module)
        if request.before_all or innermost_name(pass_) in request.before:
            self._print("Before", pass_, module)

    def after(self, pass_: Pass, module: ir.Operation, seconds: float) -> None:
        request = self.request
        is_asked = request.after_all or innermost_name(pass_) in request.after
        if is_asked and not request.on_failure and not (request.on_change and self.render(module) == self.text_before):
            self._print("After", pass_, module)
        self.number += 1

    def failed(self, pass_: Pass, module: ir.Operation, error: PassError) -> None:
        if self.request.on_failure or self.request.after_all or innermost_name(pass_) in self.request.after:
            self._print("After", pass_, module, " Failed")
        self.number += 1

    def _print(self, when: str, pass_: Pass, module: ir.Operation, outcome: str = "") -> None:
        text = f"// -----// IR Dump {when} {pass_}{outcome} //----- //\n{self.render(module)}"
        if not self.request.folder:
            print(text, file=sys.stderr)
            return
        folder = Path(self.request.folder) / _folder_name(module)
        folder.mkdir(parents=True, exist_ok=True)
        ending = {"Before": ".before.mlir", "After": ".mlir"}[when]
        (folder / f"{self.number}_{innermost_name(pass_)}{ending}").write_text(text, encoding="utf-8")


def _folder_name(module: ir.Operation) -> str:
    """mlir-opt's name of the folder of a module."""
    if "sym_name" in module.attributes:
        return f"builtin_module_{ir.StringAttr(module.attributes['sym_name']).value}"
    return "builtin_module_no-symbol-name"


class CrashReproducer(Watcher):
    """Keeps, while passes run, a file with the module as it was before them and the command that runs them on it.

    It is there when a pass fails, and when the process dies. With `is_local` it holds the module before the last pass
    that began, and that pass alone.
    """

    def __init__(self, path: Path, passes: Sequence[Pass], verify: bool, unregistered: bool, is_local: bool) -> None:
        self.path = path
        self.passes = passes
        self.flags = (verify, unregistered)
        self.is_local = is_local
        self.is_written = False

    def before(self, pass_: Pass, module: ir.Operation) -> None:
        if self.is_written and not self.is_local:
            return
        command = opt_command(self.path, [pass_] if self.is_local else self.passes, *self.flags)
        write_file(self.path, reproducer_text(command, module.get_asm()))
        self.is_written = True

    def discard(self) -> None:
        """All passes ran: there is nothing to reproduce."""
        if self.is_written:
            self.path.unlink(missing_ok=True)


class Timing(Watcher):
    """Takes the time of each pass, verifying after it included, and prints the report of mlir-opt's `--mlir-timing`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """Count `seconds` for `name`."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def after(self, pass_: Pass, module: ir.Operation, seconds: float) -> None:
        self.add(str(pass_), seconds)

    def print(self) -> None:
        """Write the report to stderr."""
        total = sum(self.seconds.values())
        rule = f"===-{'-' * 73}-==="
        lines = [rule, f"{'... Execution time report ...':^{len(rule)}}".rstrip(), rule]
        lines += [f"  Total Execution Time: {total:.4f} seconds", "", "  ----Wall Time----  ----Name----"]
        for name, seconds in [*self.seconds.items(), ("Total", total)]:
            lines.append(f"  {seconds:8.4f} ({seconds / total if total else 0.0:6.1%})  {name}")
        print("\n".join(lines), file=sys.stderr)
