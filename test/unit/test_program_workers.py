"""`scripts/program_workers.py`: results of other projects' programs, from a worker that some of them kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SUITE = """
import argparse, os, signal
from program_workers import add_arguments, run_suite

def run_one(name, answer, say):
    print("not an answer")
    say({"stage": "eager" if name == "refused" else "compile"})
    if name in ("crashes", "refused"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "raises":
        raise ValueError("first line\\nnote\\nx.mlir:1:2: error: what is wrong")
    answer.update(outcome="passed", ours=True, generated=True, left=[], seconds=0.5)

parser = argparse.ArgumentParser()
add_arguments(parser)
run_suite(parser.parse_args(), ["crashes", "passes", "raises", "refused"], run_one)
"""


def test_results_are_kept_and_workers_replaced(tmp_path: Path) -> None:
    script, kept = tmp_path / "suite.py", tmp_path / "results.jsonl"
    script.write_text(SUITE)

    def run() -> str:
        command = [sys.executable, str(script), "--json", str(kept)]
        environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    told = run()
    results = {result["name"]: result for result in map(json.loads, kept.read_text().splitlines())}
    assert {name: result.get("why") for name, result in results.items()} == {
        "crashes": "compile: crash, SIGSEGV",
        "passes": None,
        "raises": "ValueError: what is wrong",
        "refused": "eager: crash, SIGSEGV",
    }
    assert "4 programs; counted apart: 1 eager\npassed: 1 of 3 (33.33%)\n" in told
    lines = kept.read_text()
    assert run() == told and kept.read_text() == lines
