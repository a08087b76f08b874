"""Pipeline text: typed options of Python passes, upstream passes, nesting, errors with their place, round trips."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest
from terrace.dialects.context import create_context
from terrace.errors import PassError, PipelineError
from terrace.lowering.pipeline import registry
from terrace.lowering.pipeline.parser import innermost_name, parse_pass, parse_pipeline, print_pipeline, split_passes
from terrace.lowering.pipeline.pass_options import describe_options
from terrace.lowering.pipeline.registry import PASSES, find_pass, summaries
from terrace.lowering.pipeline.upstream_passes import UPSTREAM_PASSES
from terrace.mlir import PassManager, ir, parse_module
from terrace.passes import Pass, UpstreamPass, fail, run_passes


@dataclasses.dataclass(frozen=True)
class TryOptions(Pass):
    """Has an option of every type."""

    name = "try-options"

    flag: bool = False
    max_tile: int = 4
    ratio: float = 0.5
    label: str = ""
    mode: Literal["fast", "small"] = "fast"
    sizes: tuple[int, ...] = ()
    names: tuple[str, ...] = ("a",)
    limit: int | None = None

    def run(self, module: ir.Operation) -> None:
        """Refuses the first function."""
        raise fail(next(iter(module.regions[0].blocks[0])), f"does not fit a tile of {self.max_tile}")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """TryOptions is a registered pass during each test."""
    monkeypatch.setitem(registry.PASSES, TryOptions.name, f"{__name__}:TryOptions")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", TryOptions()),
        ("{}", TryOptions()),
        ("{flag}", TryOptions(flag=True)),
        ("{flag=true max-tile=-3}", TryOptions(flag=True, max_tile=-3)),
        ("{ ratio=1e-3  mode=small }", TryOptions(ratio=1e-3, mode="small")),
        ("{sizes=1,2,3 names=x,y}", TryOptions(sizes=(1, 2, 3), names=("x", "y"))),
        ("{sizes={1,2,3} names=}", TryOptions(sizes=(1, 2, 3), names=())),
        ('{label="a b, {c} \\"d\\""}', TryOptions(label='a b, {c} "d"')),
        ("{limit=7}", TryOptions(limit=7)),
        ("{limit=none}", TryOptions()),
    ],
)
def test_options_of_python_passes(text: str, expected: TryOptions) -> None:
    assert parse_pipeline(f"try-options{text}") == [expected]


@pytest.mark.parametrize(
    "pass_",
    [
        TryOptions(label="none"),
        TryOptions(label="ünï \\ code, (x){y} \"quoted\" 'single'"),
        TryOptions(names=("a,b", "", "c d")),
        TryOptions(flag=True, max_tile=-1, ratio=1e300, mode="small", sizes=(0,), limit=0),
    ],
)
def test_printed_pipelines_read_back(pass_: TryOptions) -> None:
    passes = [UpstreamPass("func.func(canonicalize{top-down=false},cse)"), pass_, UpstreamPass("symbol-dce")]
    assert parse_pipeline(print_pipeline(passes)) == passes


@pytest.mark.parametrize("text", ["cse", "builtin.module(cse)", "any(cse)", " builtin.module( cse ) "])
def test_the_outer_anchor_may_be_left_out(text: str) -> None:
    assert parse_pipeline(text) == [UpstreamPass("cse")]


def test_an_empty_pipeline_has_no_passes() -> None:
    assert parse_pipeline("") == parse_pipeline("builtin.module()") == []


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("cse,try-optoins", 5, "unknown pass 'try-optoins'; did you mean 'try-options'?"),
        ("func.func(cse,canonicalise)", 15, "did you mean 'canonicalize'"),
        ("func.func(cse,try-options)", 15, "pass 'try-options' runs on the module: move it out of 'func.func(...)'"),
        ("cse{foo=1}", 1, "pass 'cse': no such option foo"),
        ("func.func(cse", 10, "this '(' has no matching ')'"),
        ("cse)", 4, "unexpected ')'"),
        ("cse,,cse", 5, "expected the name of a pass"),
        ("try-options{flag", 12, "this '{' has no matching '}'"),
        ('try-options{label="x}', 19, "this string does not end"),
        ("try-options{max-tile=4 mx=1}", 24, "pass 'try-options' has no option 'mx'; it takes 'flag'"),
        ("try-options{max-tile=x}", 13, "option 'max-tile' of pass 'try-options' takes an integer, but got 'x'"),
        ("try-options{max-tile}", 13, "takes an integer, but got no value"),
        ("try-options{mode=big}", 13, "takes 'fast' or 'small', but got 'big'"),
        ("try-options{sizes=1,x}", 13, "takes a comma-separated list, each an integer, but got '1,x'"),
        ("try-options{flag=maybe}", 13, "takes true or false, but got 'maybe'"),
        ("try-options{flag flag}", 18, "is given option 'flag' twice"),
    ],
)
def test_errors_say_what_and_where(text: str, column: int, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        parse_pipeline(text)
    first, source, caret = str(caught.value).split("\n")
    assert first.startswith(f"pass pipeline:1:{column}: error: ")
    assert message in first
    assert source == text
    assert caret == " " * (column - 1) + "^"


def test_bare_flags_nest_under_the_op_that_the_pass_runs_on() -> None:
    assert parse_pass("convert-torch-to-linalg", "") == UpstreamPass("func.func(convert-torch-to-linalg)")
    assert parse_pass("canonicalize", "top-down=false") == UpstreamPass("canonicalize{top-down=false}")
    assert parse_pass("try-options", "flag max-tile=2") == TryOptions(flag=True, max_tile=2)


def test_find_pass_suggests_near_names() -> None:
    with pytest.raises(PipelineError, match="unknown pass 'try-option'; did you mean 'try-options'"):
        find_pass("try-option")


def test_a_failing_pass_is_named_with_op_place_and_pipeline() -> None:
    module = parse_module("func.func @f() { return }", create_context())
    passes = [UpstreamPass("cse"), TryOptions(max_tile=8)]
    with pytest.raises(PassError) as caught:
        run_passes(passes, module.operation)
    assert str(caught.value) == (
        "-:1:1: error: 'func.func' op does not fit a tile of 8\n"
        "note: pass 'try-options{max-tile=8}' failed; "
        "--pass-pipeline='builtin.module(cse,try-options{max-tile=8})' reproduces it"
    )


def test_help_describes_options() -> None:
    assert summaries()["try-options"] == "Has an option of every type."
    assert "max-tile: an integer (default: 4)" in describe_options(TryOptions)


def test_the_options_of_every_pass_can_be_written_as_text() -> None:
    for name in PASSES:
        pass_class = find_pass(name)
        unwritable = [line for line in describe_options(pass_class) if "only be set from Python" in line]
        assert not unwritable, f"{name}: {unwritable}"


def test_the_table_of_upstream_passes_matches_the_bindings() -> None:
    context = ir.Context()
    unknown = []
    for name in UPSTREAM_PASSES:
        try:
            PassManager.parse(f"any({name})", context)
        except ValueError as error:
            if "does not refer to a registered pass" in str(error):
                unknown.append(name)
    assert not unknown
    assert not UPSTREAM_PASSES & set(PASSES)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("cse", ["cse"]),
        ("func.func(canonicalize{top-down=false},cse)", ["func.func(canonicalize{top-down=false})", "func.func(cse)"]),
        ("gpu.module(cse),try-options{flag}", ["gpu.module(cse)", "try-options{flag=true}"]),
        (
            "torch-function-to-torch-backend-pipeline",
            ["torch-adjust-calling-conventions", "torch-lower-to-backend-contract"],
        ),
    ],
)
def test_pipelines_are_taken_apart(text: str, steps: list[str]) -> None:
    found = split_passes(parse_pipeline(text))
    assert [str(step).partition("{ ")[0] for step in found] == steps
    assert parse_pipeline(print_pipeline(found)) == found


@pytest.mark.parametrize("name", [name for name in sorted(UPSTREAM_PASSES) if name.endswith("-pipeline")])
def test_what_mlir_prints_of_its_pipelines_is_read(name: str) -> None:
    steps = split_passes([UpstreamPass(name)])
    assert len(steps) > 1 or name in ("gpu-lower-to-xevm-pipeline", "torch-backend-to-stablehlo-backend-pipeline")
    for step in steps:
        assert parse_pipeline(str(step)) == [step]
        assert innermost_name(step) in UPSTREAM_PASSES
