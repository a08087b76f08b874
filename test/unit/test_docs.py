"""The documentation is true: code that it quotes stands in the files it names, links lead somewhere, IR is current."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUOTE = re.compile(r"^( *)```\w+ from=(\S+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")
PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)*/?)`")
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
    for name in ("add_an_op.md", "add_a_pass.md", "add_a_generator.md", "add_a_target.md"):
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
    from terrace.lowering.registry import all_pass_names

    flags = {
        "pass-pipeline",
        "split-input-file",
        "verify-diagnostics",
        "mlir-print-ir-after-all",
        "list-passes",
        "help",
    }
    known = {*all_pass_names(), *flags}
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip("/ ").startswith(("terrace-opt", "RUN: terrace-opt")):
            named = set(re.findall(r"--([a-z][\w-]+)", line))
            assert named <= known, f"{page.name}: {line}"


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


def test_the_example_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an example model for `model` and `x`; every call gives the same."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    model, (x,) = load(ROOT / "examples" / "models" / "mlp.py").build()
    names = {"model": model, "x": x}
    exec(compile(code, "README.md", "exec"), names)
    assert (names["y"] - model(x)).abs().max() <= 1e-4 * model(x).abs().max() + 1e-5
