"""The report of real models in a real browser: it draws every layer, says nothing to the console, and selects."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from e2e_models import example, multiply_adds
from terrace.compiler import Lowered, PyTorch, lower

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the report is not looked at")

SELECT = """
<script>
document.querySelector('.node.layer[data-id="1"]').dispatchEvent(new MouseEvent('click', {bubbles: true}));
[...document.querySelectorAll('th')].find(th => th.textContent == 'MACs').click();
</script></body>"""
"""What a user does: click the second box, sort by MACs."""


def browse(page: Path, *flags: str) -> tuple[str, str]:
    """The page's DOM after its scripts ran, and all that the browser said."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += ["--window-size=1500,950", "--virtual-time-budget=3000", *flags, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


@pytest.fixture(scope="module", params=["resnet18", "gpt2_small"])
def model(request: pytest.FixtureRequest) -> tuple[str, Lowered]:
    return request.param, lower(PyTorch(*example(request.param).build()), until="kernel")


def test_the_figures_are_those_of_the_flop_counter(model: tuple[str, Lowered]) -> None:
    name, lowered = model
    assert sum(layer["macs"] for layer in lowered.entry().layers["layers"]) == multiply_adds(*example(name).build())


@pytest.mark.parametrize("dark", [False, True])
def test_it_renders(model: tuple[str, Lowered], dark: bool, tmp_path: Path) -> None:
    name, lowered = model
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    report = lowered.reports()["main"]
    report.to_html(page, title=name)
    dom, log = browse(page, f"--screenshot={picture}", f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    assert "CONSOLE" not in log, log
    drawn = re.findall(r'<g class="node layer', dom.partition('data-drawing="whole"')[2])
    assert len(drawn) == len(report.layers) > 20
    assert len(re.findall(r"<tr class", dom)) == len(report.layers)
    assert picture.stat().st_size > 50_000


def test_a_click_selects_everywhere(model: tuple[str, Lowered], tmp_path: Path) -> None:
    name, lowered = model
    page = tmp_path / "report.html"
    text = lowered.reports()["main"].to_html(title=name)
    page.write_text(text.replace("</body>", SELECT), encoding="utf-8")
    dom, log = browse(page)
    assert "CONSOLE" not in log, log
    assert re.search(r'<tr class="\w+ on" data-id="1"', dom)
    assert len(re.findall(r'<g class="column \w+ on" data-id="1"', dom)) == 3
    details = re.search(r'<div class="details">(.*?)</div>', dom, re.DOTALL)
    assert details is not None and f"<dd>{lowered.entry().layers['layers'][1]['kernel']}</dd>" in details[1]
    shown = [int(number) for number in re.findall(r'<tr class="[^"]*" data-id="(\d+)"', dom)]
    macs = [lowered.entry().layers["layers"][number]["macs"] for number in shown]
    assert macs == sorted(macs, reverse=True) and sorted(shown) == list(range(len(shown)))


FITS = """
<script>
const seen = () => {
  const graph = drawing().getBoundingClientRect(), frame = canvas.getBoundingClientRect();
  return [graph.width <= frame.width && graph.left >= frame.left, graph.height <= frame.height,
          zoom >= READABLE, canvas.scrollTop];
};
document.title = JSON.stringify([seen(), (scale(3), seen()), ($('#fit').click(), seen())]);
</script></body>"""
"""What is seen of the graph on opening, after zooming in, and after `Fit`."""


@pytest.mark.parametrize(("layers", "whole"), [(3, True), (40, False)])
def test_the_graph_fits_its_window(layers: int, whole: bool, tmp_path: Path) -> None:
    model = torch.nn.Sequential(*[torch.nn.Linear(2 + i, 3 + i) for i in range(layers)])
    page = tmp_path / "report.html"
    text = lower(PyTorch(model, (torch.randn(4, 2),)), until="kernel").reports()["main"].to_html()
    page.write_text(text.replace("</body>", FITS), encoding="utf-8")
    dom, log = browse(page)
    assert "CONSOLE" not in log, log
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    opened, zoomed, fitted = json.loads(title[1])
    assert opened == fitted == [True, whole, True, 0]
    assert zoomed != opened


def test_an_error_of_the_script_is_seen(tmp_path: Path) -> None:
    """What the tests above rely on: the browser does tell of errors."""
    page = tmp_path / "broken.html"
    page.write_text("<!DOCTYPE html><body><script>missing()</script></body>", encoding="utf-8")
    assert "CONSOLE" in browse(page)[1]
