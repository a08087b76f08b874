"""The command lines that run a part of a compile again, as reproducers hold them, and what a tool's errors say."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Sequence
from pathlib import Path

from terrace.lowering.pipeline.parser import print_pipeline
from terrace.lowering.pipeline.registry import is_installed
from terrace.passes import Pass
from terrace.target import GPUS, Target

TOOLS = {"terrace-opt": "terrace.tools.opt", "terrace-compile": "terrace.tools.compile"}
"""The tools that reproduce failures, and the modules to run them by."""


def opt_command(path: Path, passes: Sequence[Pass], verify: bool = True, unregistered: bool = False) -> list[str]:
    """The `terrace-opt` command that runs `passes` on a file."""
    files = dict.fromkeys(file for pass_ in passes if (file := _file_of(pass_)))
    return [
        *("terrace-opt", str(path), f"--pass-pipeline={print_pipeline(passes)}"),
        *(f"--load-pass-plugin={file}" for file in files),
        *["--verify-each=false"] * (not verify),
        *["--allow-unregistered-dialect"] * unregistered,
    ]


def _file_of(pass_: Pass) -> str | None:
    """The file that defines a pass which terrace-opt does not know by its name. No script is run for it."""
    module = inspect.getmodule(type(pass_))
    if not pass_.name or is_installed(pass_.name) or module is None or module.__name__ == "__main__":
        return None
    return inspect.getsourcefile(type(pass_))


def compile_command(path: Path, target: Target, flags: Sequence[str]) -> list[str]:
    """The `terrace-compile` command that makes a program of the text in a file, with more flags for iree-compile."""
    return [
        *("terrace-compile", str(path), "-o", str(path.with_suffix(".terrace")), f"--target={target.name}"),
        *[f"--threads={target.threads}"] * (target.threads is not None),
        f"--cpu-features={','.join(target.features or ())}",
        *[f"--gpu={name}" for name in GPUS if target.gpu == GPUS[name]],
        *(f"--iree-flag={flag}" for flag in flags),
    ]


def shell_text(command: Sequence[str]) -> str:
    """A command as one types it: of `--flag=value`, the value is quoted where needed."""
    words = []
    for argument in command:
        flag, equals, value = argument.partition("=")
        is_flag = bool(equals) and flag.startswith("--") and shlex.quote(flag) == flag
        words.append(f"{flag}={shlex.quote(value)}" if is_flag else shlex.quote(argument))
    return " ".join(words)


def reproducer_text(command: Sequence[str], module: str) -> str:
    """A file's contents: the command as a comment, then the module."""
    return f"// {shell_text(command)}\n{module}"


def errors_in(text: str) -> list[str]:
    """What a tool's stderr says went wrong, without places and names of values: an error, or two of iree-compile."""
    found = [_plain(line.rpartition("error: ")[2]) for line in text.splitlines() if "error: " in line]
    return found[: 2 if found and found[0].startswith("iree-compile") else 1]


def _plain(message: str) -> str:
    if message.startswith(_CRASHES):
        return "iree-compile crashed"
    for volatile in ("%", "0x", " (flags: "):
        message = message.partition(volatile)[0]
    return message.strip()


# The signals of a process that went astray in memory: which of them it dies of varies from run to run.
_CRASHES = tuple(f"iree-compile crashed with {name}" for name in ("SIGABRT", "SIGBUS", "SIGILL", "SIGSEGV", "SIGTRAP"))
