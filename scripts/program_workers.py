"""Runs programs of other projects' suites by name, in a worker process that is replaced when one of them kills it.

A script gives `main` its suite and `run_one`, which fills in a program's result: "outcome" ("passed", "failed", "eager"
for a program that eager PyTorch does not run, or another word for those that are counted apart), "why" of failures,
"seconds" of compiling, and of the kernels "ours" (there is one), "generated" (there is an op that we have kernels for)
and "left" (what IREE runs, and why).

Results are appended to the file of --json, a line each. Programs that it holds already are not run again: stop and
start as you like, and delete the file, or the lines of those that failed, to run them anew.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import resource
import select
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

SECONDS = 120
"""The CPU seconds that a program may take, and what it starts."""
HANG = 1200
"""The seconds after which a program hangs that takes no CPU time; a process that is stopped for a while does not."""
Result = dict[str, Any]
Say = Callable[[Result], None]
RunOne = Callable[[str, Result, Say], None]
"""Runs the program of a name: fills in its result, and says {"stage": ...} when it enters one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="PATTERN", default="", help="run the programs whose name has this in it")
    parser.add_argument("--json", metavar="FILE", help="keep results in this file, and skip what it holds")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)


def run_suite(arguments: argparse.Namespace, names: Collection[str], run_one: RunOne) -> None:
    """Run what is asked for, and print the score; in the worker, what its parent names."""
    if arguments.worker:
        work(run_one)
        return
    wanted = [name for name in sorted(names) if re.search(arguments.only, name)]
    path = Path(arguments.json) if arguments.json else None
    kept = path.read_text().splitlines() if path is not None and path.exists() else []
    results = {result["name"]: result for result in map(json.loads, kept)}
    for result in ask_workers([name for name in wanted if name not in results]):
        results[result["name"]] = result
        if path is not None:
            with path.open("a") as file:
                file.write(json.dumps(result) + "\n")
        print(f"{result['outcome']:8} {result['name']} {result.get('why', '')}", file=sys.stderr, flush=True)
    print(summary([results[name] for name in wanted if name in results]))


def ask_workers(names: Iterable[str]) -> Iterator[Result]:
    """The result of each program."""
    worker: subprocess.Popen[bytes] | None = None
    for name in names:
        if worker is None or worker.poll() is not None:
            # Without a buffer, in which an answer would lie while `ask` waits for more.
            command = [sys.executable, *sys.argv, "--worker"]
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        yield ask(worker, name)
    if worker is not None:
        worker.kill()
        worker.wait()


def ask(worker: subprocess.Popen[bytes], name: str) -> Result:
    """What the worker says of a program, or that it died of it, and in which stage."""
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(f"{name}\n".encode())
    stage = "start"
    while True:
        if not select.select([worker.stdout], [], [], HANG)[0]:
            worker.kill()
        line = worker.stdout.readline()
        if not line:
            code = worker.wait()
            died = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            why = {"SIGXCPU": f"more than {SECONDS} s of CPU time", "SIGKILL": "hangs"}.get(died, f"crash, {died}")
            return {"name": name, "outcome": "eager" if stage == "eager" else "failed", "why": f"{stage}: {why}"}
        answer: Result = json.loads(line)
        if "outcome" in answer:
            return answer
        stage = answer["stage"]


def work(run_one: RunOne) -> None:
    """Run the programs that are named on standard input; what they print themselves goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer: Result) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        answer: Result = {"name": line.strip()}
        try:
            run_one(line.strip(), answer, say)
        # A program may raise whatever it likes; all of it is a result.
        except Exception as error:
            answer.update(outcome="failed", why=describe(error), message=str(error)[:4000])
        say(answer)


def describe(error: Exception) -> str:
    """The class of an error: its type and its first lines, or the first that says "error:"."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return f"{type(error).__name__}: {' | '.join(told[:1] or lines[:2])[:300]}"


def summary(results: list[Result]) -> str:
    """The score, as text, the failures by class, and why programs have no kernel of ours."""
    by_outcome = collections.Counter(result["outcome"] for result in results)
    passed, ran = by_outcome.pop("passed", 0), by_outcome.pop("failed", 0)
    ran += passed
    generated = [result for result in results if result["outcome"] == "passed" and result["generated"]]
    without = [result for result in generated if not result["ours"]]
    ours = len(generated) - len(without)
    seconds = sorted(result["seconds"] for result in results if "seconds" in result) or [0.0]
    apart = ", ".join(f"{count} {word}" for word, count in by_outcome.items())
    lines = [
        f"{len(results)} programs; counted apart: {apart or 'none'}",
        f"passed: {passed} of {ran} ({passed / max(ran, 1):.2%})",
        f"with a kernel of ours: {ours} of {len(generated)} that pass and hold an op that we generate for"
        f" ({ours / max(len(generated), 1):.1%})",
        f"compile time: median {statistics.median(seconds):.2f} s, maximum {seconds[-1]:.1f} s",
    ]
    failures = collections.defaultdict(list)
    for result in results:
        if result["outcome"] == "failed":
            failures[result["why"]].append(result["name"])
    lines += [f"{len(names):4} {why}: {', '.join(names)}" for why, names in by_size(failures)]
    lines.append("why programs that hold such an op have no kernel of ours:")
    reasons = collections.Counter(reason for result in without for reason in result["left"])
    lines += [f"{count:4} {reason}" for reason, count in reasons.most_common(10)]
    return "\n".join(lines)


def by_size(failures: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    return sorted(failures.items(), key=lambda item: -len(item[1]))
