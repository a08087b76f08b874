"""Running passes: verification after each, the observer, and where a location says it is."""

from __future__ import annotations

import dataclasses

import pytest
from terrace.dialects.context import create_context
from terrace.errors import PassError
from terrace.mlir import ir, parse_module
from terrace.passes import Pass, UpstreamPass, Watcher, describe_location, run_passes, run_stage, source_position

MODULE = """
func.func @f(%x: i32) -> i32 {
  %0 = arith.addi %x, %x : i32
  return %0 : i32
}
"""


@dataclasses.dataclass(frozen=True)
class BreakTypes(Pass):
    """Leaves IR that does not verify: the function returns another type than it says."""

    name = "break-types"

    def run(self, module: ir.Operation) -> None:
        """Give the function a type that its body does not have."""
        function = next(iter(module.regions[0].blocks[0]))
        function.attributes["function_type"] = ir.TypeAttr.parse("(i32) -> i64")


@dataclasses.dataclass(frozen=True)
class Refuse(Pass):
    """Refuses every module, without a location."""

    name = "refuse"

    def run(self, module: ir.Operation) -> None:
        """Refuse."""
        raise PassError("nothing will do")


@dataclasses.dataclass(frozen=True)
class Slip(Pass):
    """Has a defect."""

    name = "slip"

    def run(self, module: ir.Operation) -> None:
        """Look up what is not there."""
        {}["lost"]


@dataclasses.dataclass(frozen=True)
class Ends(Pass):
    """Does nothing."""

    name = "ends"

    def run(self, module: ir.Operation) -> None:
        """Do nothing."""


def test_invalid_ir_is_found_after_the_pass_that_made_it() -> None:
    module = parse_module(MODULE, create_context())
    with pytest.raises(PassError, match="type of return operand 0") as caught:
        run_passes([UpstreamPass("cse"), BreakTypes(), UpstreamPass("canonicalize")], module.operation)
    assert "note: pass 'break-types' failed; --pass-pipeline='builtin.module(cse,break-types,canonicalize)'" in str(
        caught.value
    )


@pytest.mark.parametrize("later", [[], [UpstreamPass("canonicalize")], [Slip()], [Ends(), Slip()]])
def test_a_stage_blames_the_pass_that_made_invalid_ir(later: list[Pass]) -> None:
    """It is verified at the end, and before C++ sees it; another pass of Python may fail first."""
    module = parse_module(MODULE, create_context())
    with pytest.raises(PassError, match=r"type of return operand 0[^$]*note: pass 'break-types' failed") as caught:
        run_stage([UpstreamPass("cse"), BreakTypes(), *later], module.operation, "test")
    assert caught.value.failure.passes[caught.value.failure.number] == BreakTypes()


def test_verification_can_be_left_out() -> None:
    module = parse_module(MODULE, create_context())
    run_passes([BreakTypes()], module.operation, verify=False)


def test_an_error_without_a_place_still_names_the_pass() -> None:
    module = parse_module(MODULE, create_context())
    with pytest.raises(PassError, match=r"nothing will do\nnote: pass 'refuse' failed"):
        run_passes([Refuse()], module.operation)


class Seen(Watcher):
    """Writes down what it sees."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def before(self, pass_: Pass, module: ir.Operation) -> None:
        self.events.append(f"before {pass_}")

    def after(self, pass_: Pass, module: ir.Operation, seconds: float) -> None:
        assert seconds >= 0
        self.events.append(f"after {pass_}")

    def failed(self, pass_: Pass, module: ir.Operation, error: PassError) -> None:
        self.events.append(f"failed {pass_}")


def test_watchers_see_each_pass() -> None:
    module = parse_module(MODULE, create_context())
    seen = Seen()
    with pytest.raises(PassError):
        run_passes([UpstreamPass("cse"), Refuse(), UpstreamPass("cse")], module.operation, [seen])
    assert seen.events == ["before cse", "after cse", "before refuse", "failed refuse"]


def test_an_exception_in_a_pass_names_the_pass_and_the_line() -> None:
    module = parse_module(MODULE, create_context())
    with pytest.raises(PassError, match=r"pass 'slip' raised KeyError at .*test_passes\.py:\d+: 'lost'") as caught:
        run_passes([Slip()], module.operation)
    assert isinstance(caught.value.__cause__, KeyError)
    assert "--pass-pipeline='builtin.module(slip)' reproduces it" in str(caught.value)


def test_a_failure_can_be_run_again() -> None:
    """The module before the first pass is kept, whatever the passes made of it."""
    module = parse_module(MODULE, create_context())
    with pytest.raises(PassError) as caught:
        run_passes([UpstreamPass("symbol-dce"), BreakTypes()], module.operation)
    failure = caught.value.failure
    assert failure.passes[failure.number] == BreakTypes()
    assert "-> i64" not in str(failure.start)
    with pytest.raises(PassError):
        run_passes(failure.passes, failure.start)


def test_the_innermost_source_line_of_a_location() -> None:
    with create_context():
        file = ir.Location.file("model.py", 3, 4)
        named = ir.Location.name("relu", file)
        caller = ir.Location.file("train.py", 9, 1)
        unknown = ir.Location.unknown()
        assert source_position(file) == source_position(named) == ("model.py", 3, 4)
        assert describe_location(ir.Location.callsite(named, [caller])) == "model.py:3:4"
        assert describe_location(ir.Location.fused([unknown, named])) == "model.py:3:4"
        assert source_position(unknown) is None
        assert describe_location(unknown) == "-"
