"""The documentation is true: code that it quotes stands in the files it names, links lead somewhere, IR is current."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import terrace
import torch
from torch._dynamo.utils import counters

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
QUOTE = re.compile(r"^( *)```\w+ from=(\S+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")
PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)*/?)`")
OWN_PASS = "tanh-gelu"
"""The pass that the README writes."""
FOLDERS = ("python/", "dialects/", "lowering/", "tools/", "test/", "docs/", "examples/", "scripts/")


def quotes(page: Path) -> list[tuple[str, str]]:
    """The files that a page quotes and each piece that it quotes, cut at lines of `...`."""
    found = []
    for indent, file, body in QUOTE.findall(page.read_text(encoding="utf-8")):
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        pieces = "\n".join(lines).split("\n...\n")
        found += [(file, piece) for piece in pieces]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quoted_code_is_the_code(page: Path) -> None:
    for file, piece in quotes(page):
        assert f"{piece}\n" in (ROOT / file).read_text(encoding="utf-8"), (
            f"{page.name} quotes what {file} lacks:\n{piece}"
        )


def test_quotes_are_found() -> None:
    for name in ("add_an_op.md", "add_a_pass.md", "add_a_kernel_family.md", "add_a_target.md"):
        assert quotes(ROOT / "docs" / name), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    broken += [path for path in PATH.findall(text) if path.startswith(FOLDERS) and not (ROOT / path).exists()]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_use_flags_that_exist(page: Path) -> None:
    """Passes and tools named on command lines of ours are known."""
    from terrace.lowering.pipeline.registry import all_pass_names
    from terrace.tools.opt_flags import FLAGS

    known = {*all_pass_names(), *FLAGS, OWN_PASS}
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip("/ ").startswith(("terrace-opt", "RUN: terrace-opt")):
            named = set(re.findall(r"--([a-z][\w-]+)", line))
            assert named <= known, f"{page.name}: {line}"


def code_of(page: Path, language: str) -> list[str]:
    """The pieces of code of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def run_commands(commands: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run commands of a page in the current folder, and return what they print; all must succeed."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    return subprocess.run(["bash", "-e", "-c", commands], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("page", "words"),
    [("README.md", "terrace-run"), ("docs/add_a_pass.md", "lit -v")],
)
def test_commands_run_in_a_checkout(page: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of a page that need nothing but the files of this repository."""
    (commands,) = (code for code in code_of(ROOT / page, "sh") if words in code)
    for folder in ("examples", "test"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    assert run_commands(commands, monkeypatch)


def load(path: Path) -> ModuleType:
    """The module in a file that no package holds."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_levels_page_shows_what_is_printed() -> None:
    module = load(ROOT / "docs" / "generate_levels.py")
    page = module.PAGE.read_text(encoding="utf-8")
    assert page.count(module.FENCE) == 5
    assert module.render(page, module.levels()) == page, "run docs/generate_levels.py"


def test_the_page_of_three_ends_shows_what_is_printed() -> None:
    module = load(ROOT / "docs" / "generate_ends.py")
    page = module.PAGE.read_text(encoding="utf-8")
    assert sum(page.count(fence) for fence in module.FENCES) == 10
    assert module.render(page, module.parts()) == page, "run docs/generate_ends.py"


def test_the_first_lines_of_the_readme_print_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    code, *_ = code_of(README, "python")
    (said,) = code_of(README, "text")
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == said


def test_the_speeds_in_the_docs_are_those_measured() -> None:
    module = load(ROOT / "docs" / "generate_speeds.py")
    found = module.measured()
    pages = module.pages(found)
    assert README in pages and f"`{found['command']}`" in pages[README] and found["date"] in pages[README]
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, "run docs/generate_speeds.py"


def test_the_example_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an example model for `model` and `x`; every call gives the same."""
    _, code, *_ = code_of(README, "python")
    monkeypatch.chdir(tmp_path)
    model, (x,) = load(ROOT / "examples" / "models" / "mlp.py").build()
    names = {"model": model, "x": x}
    exec(compile(code, "README.md", "exec"), names)
    assert (names["y"] - model(x)).abs().max() <= 1e-4 * model(x).abs().max() + 1e-5


def test_torch_compile_in_the_readme_runs() -> None:
    _, _, code, *_ = code_of(README, "python")
    model, (x,) = load(ROOT / "examples" / "models" / "mlp.py").build()
    names = {"model": model, "x": x}
    counters.clear()
    exec(compile(code, "README.md", "exec"), names)
    assert counters["terrace"] == {"compiled": 1}
    assert (names["y"] - model(x)).abs().max() <= 1e-4 * model(x).abs().max() + 1e-5


GELU_MODEL = """
import torch

def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.GELU()).eval(), (torch.randn(4, 8),)
"""


def test_the_pass_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file in `terrace-opt`, and as an object in a compile: both do what its summary says."""
    _, _, _, own_pass, use = code_of(README, "python")
    (commands,) = (code for code in code_of(README, "sh") if OWN_PASS in code)
    assert sum(bool(line.strip()) for line in own_pass.splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    Path("tanh_gelu.py").write_text(own_pass)
    Path("model.py").write_text(GELU_MODEL)
    said = run_commands(commands, monkeypatch)
    assert 'approximate = "tanh"' in said and "tanh-gelu" in said
    monkeypatch.syspath_prepend(tmp_path)
    model, (x,) = load(Path("model.py")).build()
    names = {"model": model, "x": x, "terrace": terrace}
    exec(compile(use, "README.md", "exec"), names)
    assert 'approximate = "tanh"' in names["compiled"].ir("graph")
    expected = torch.nn.functional.gelu(model[0](x), approximate="tanh")
    assert (names["compiled"](x) - expected).abs().max() <= 1e-5
    assert (names["compiled"](x) - model(x)).abs().max() <= 5e-4 + 1e-5
