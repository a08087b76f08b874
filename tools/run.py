"""`terrace-run`: run a compiled model on arrays from files, or on random ones, and time it.

Exit codes: 0 done, 1 failed, 2 wrong command line.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from terrace.errors import InputError, TerraceError
from terrace.guards import compiled, holds, names_in
from terrace.runtime.entry_point import EntryPoint
from terrace.runtime.model import load
from terrace.signature import Leaf, Signature
from terrace.storage.artifact import Artifact, find_entry, read_artifact
from terrace.storage.parameter_archive import Array, numpy_dtype
from terrace.supervision import enter_supervised
from terrace.texts import plain
from terrace.tools.written import tell_written

_EPILOG = """\
Inputs and outputs are in the order of the signature's leaves (--signature prints it). An .npy file holds one array, an
.npz file many: an input .npz gives its arrays by leaf name or, if they are called arr_0, arr_1, ..., in order.
Leaf names are args[0], kwargs['mask'] and so on; NAME in --input NAME=FILE may be short: `mask`, `0`.
bfloat16 arrays are stored as .npy files of 2-byte voids, as NumPy writes them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code. argparse exits with 2 by itself."""
    if arguments is None:
        enter_supervised("terrace-run")
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (TerraceError, OSError) as error:
        print(f"terrace-run: error: {plain(' '.join(str(error).split()))}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="terrace-run",
        description="Run a compiled model and print the time per call.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL.terrace", help="a model that terrace-compile wrote")
    parser.add_argument("--entry", metavar="NAME", help="of a model that has several: the function to run")
    parser.add_argument("--input", action="append", default=[], metavar="[NAME=]FILE", help=".npy or .npz; repeatable")
    parser.add_argument("--output", action="append", default=[], metavar="FILE", help=".npy or .npz; repeatable")
    parser.add_argument("--random", type=int, metavar="SEED", help="make the inputs that no --input gives")
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        type=_size,
        metavar="NAME=N",
        help="a dynamic size (default 1, or the least allowed)",
    )
    parser.add_argument(
        "--repeat", type=_positive, default=1, metavar="N", help="timed calls, after a first untimed one"
    )
    parser.add_argument("--threads", type=_positive, metavar="N", help="worker threads (default: the model's, or all)")
    parser.add_argument(
        "--simulate", action="store_true", help="build and run the C++ of a hardware design, if you trust the file"
    )
    parser.add_argument("--verify", action="store_true", help="read all parameters, and refuse damaged ones")
    parser.add_argument("--signature", action="store_true", help="print the inputs and outputs, and load nothing")
    parser.add_argument("--profile", action="store_true", help="time every kernel, and print a row for each")
    parser.add_argument(
        "--trace", metavar="FILE.json", help="profile, and write when each kernel ran, for ui.perfetto.dev"
    )
    parser.add_argument(
        "--report", metavar="FILE.html", help="draw graph, charts and layers, with times if it profiles"
    )
    return parser


def _size(text: str) -> tuple[str, int]:
    name, separator, value = text.partition("=")
    if not name or not separator or not value.isdecimal():
        raise argparse.ArgumentTypeError(f"expected SYMBOL=N, found {text!r}")
    return name, int(value)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text!r}")
    return int(text)


def _run(options: argparse.Namespace) -> None:
    if options.signature:
        _print_signatures(read_artifact(options.model), options.entry)
        return
    whole = load(options.model, threads=options.threads, simulate=options.simulate, verify=options.verify)
    model = whole[find_entry(whole.entries, options.entry)]
    leaves = _inputs(model.signature, options)
    args, kwargs = model.signature.unflatten_arguments(leaves)
    # The first call touches the weights and is not timed, unless it is the only one.
    start = time.perf_counter()
    result = model(*args, **kwargs)
    times = [time.perf_counter() - start]
    if options.repeat > 1:
        times = [_timed_call(model, args, kwargs) for _ in range(options.repeat)]
    median = statistics.median(times)
    print(
        f"{len(times)} call{'s' if len(times) > 1 else ''}: "
        f"min {1e3 * min(times):.3f} ms, median {1e3 * median:.3f} ms, {1 / median:.1f} calls/s"
    )
    _write_outputs(model.signature, result, options.output)
    profile = model.profile(*args, **kwargs) if options.profile or options.trace else None
    if profile is not None and options.profile:
        print(profile)
    if profile is not None and options.trace:
        profile.save_trace(options.trace)
    if options.report:
        model.report().to_html(options.report, title=Path(options.model).stem, profile=profile)
    tell_written(*options.output, *filter(None, (options.trace, options.report)))


def _timed_call(model: EntryPoint, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    start = time.perf_counter()
    model(*args, **kwargs)
    return time.perf_counter() - start


def _print_signatures(artifact: Artifact, name: str | None) -> None:
    """That of an entry, or of all."""
    chosen = artifact.entries if name is None else {name: artifact.entry(name)}
    for own, entry in chosen.items():
        if len(artifact.entries) > 1:
            print(f"entry {own}")
        _print_signature(entry.signature)


def _print_signature(signature: Signature) -> None:
    for title, paths, leaves in (
        ("input", signature.input_paths(), signature.input_leaves),
        ("output", signature.output_paths(), signature.output_leaves),
    ):
        for path, leaf in zip(paths, leaves, strict=True):
            print(plain(f"{title} {path}: {leaf}"))
    for name, (low, high) in signature.ranges.items():
        print(plain(f"size {name}: from {low} to {'any' if high is None else high}"))


def _inputs(signature: Signature, options: argparse.Namespace) -> list[Any]:
    """A value per input leaf: from files, made up, or the constant that the model was compiled for."""
    paths = signature.input_paths()
    given = _read_inputs(signature, options.input)
    sizes = _sizes(signature, dict(options.size))
    generator = None if options.random is None else np.random.default_rng(options.random)
    values: list[Any] = []
    for path, leaf in zip(paths, signature.input_leaves, strict=True):
        if leaf.kind == "constant":
            values.append(leaf.value)
        elif path in given:
            values.append(_adapt(leaf, given[path]))
        elif generator is not None:
            values.append(_random(leaf, sizes, generator))
        else:
            raise InputError(f"input {path} ({leaf}) is not given; add --input '{path}=FILE', or --random SEED")
    return values


_DERIVED = re.compile(r"(?:(\d+)\*)?([^\W\d]\w*)(?: ([+-]) (\d+))?")
"""A size that is linear in another, such as `2*b + 1`."""


_TRIED = 64
"""Sizes that are tried, from 1, for those that nobody chose."""


def _sizes(signature: Signature, chosen: dict[str, int]) -> dict[str, int]:
    """The chosen sizes, and of the others the least with which the inputs meet what the model needs."""
    symbols = {size for leaf in signature.input_leaves for size in leaf.shape if isinstance(size, str)}
    bases = {found[2] for found in map(_DERIVED.fullmatch, symbols) if found}
    unknown = sorted(chosen.keys() - symbols - bases)
    if unknown:
        raise InputError(f"--size {unknown[0]}: the model's dynamic sizes are {', '.join(sorted(symbols)) or 'none'}")
    guards = [compiled(guard) for guard in signature.guards if symbols.issuperset(names_in(guard))]
    tried = []
    for number in range(1, _TRIED + 1):
        least = {name: max(number, signature.ranges.get(name, (1, None))[0] or 1) for name in symbols | bases}
        sizes = least | _derived(symbols, least | chosen) | chosen
        tried.append(sizes)
        is_large = all(sizes.get(name, number) >= (low or 0) for name, (low, _) in signature.ranges.items())
        if is_large and all(holds(guard, sizes) for guard in guards):
            return sizes
    return tried[0]  # The call says what is wrong with them.


def _derived(symbols: Iterable[str], chosen: Mapping[str, int]) -> dict[str, int]:
    """The sizes that are linear in one of these."""
    found = [match for match in map(_DERIVED.fullmatch, symbols) if match and match[2] in chosen]
    return {
        match[0]: int(match[1] or 1) * chosen[match[2]] + int(f"{match[3] or ''}{match[4] or 0}") for match in found
    }


def _read_inputs(signature: Signature, arguments: Sequence[str]) -> dict[str, Array]:
    """Arrays by the path of their leaf."""
    wanted = [
        path
        for path, leaf in zip(signature.input_paths(), signature.input_leaves, strict=True)
        if leaf.kind != "constant"
    ]
    given: dict[str, Array] = {}
    position = 0
    for argument in arguments:
        name, file = _split_name(argument)
        for array_name, array in _read_arrays(Path(file)):
            chosen = name or array_name
            if chosen is None:
                if position == len(wanted):
                    raise InputError(f"--input {file}: the model takes only {len(wanted)} arrays")
                path, position = wanted[position], position + 1
            else:
                path = _find_path(wanted, chosen)
            if path in given:
                raise InputError(f"--input {argument}: {path} is given twice")
            given[path] = array
    return given


def _split_name(argument: str) -> tuple[str | None, str]:
    """NAME=FILE in two. A FILE that exists is no NAME, whatever it is called."""
    name, separator, file = argument.partition("=")
    if not separator or Path(argument).exists():
        return None, argument
    return name, file


def _find_path(paths: Sequence[str], name: str) -> str:
    """The leaf of that path, or the only one whose last part is `name`."""
    found = [path for path in paths if path == name] or [
        path for path in paths if (parts := re.findall(r"[^.\[\]']+", path)) and parts[-1] == name
    ]
    if len(found) != 1:
        raise InputError(f"--input {name}=...: no single input of that name; the inputs are {', '.join(paths)}")
    return found[0]


def _read_arrays(file: Path) -> list[tuple[str | None, Array]]:
    """The arrays in a file, each with its name if it has one."""
    try:
        loaded = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{file}: not an .npy or .npz file of plain arrays; write it with numpy.save") from error
    if isinstance(loaded, np.ndarray):
        return [(None, loaded)]
    with loaded:
        unnamed = all(name == f"arr_{index}" for index, name in enumerate(loaded.files))
        return [(None if unnamed else name, loaded[name]) for name in loaded.files]


def _adapt(leaf: Leaf, array: Array) -> Any:
    """What a file cannot say: a Python number is a 0-d array there, and bfloat16 a 2-byte void."""
    if leaf.kind == "scalar":
        return array.item() if array.size == 1 else array
    if leaf.dtype == "bfloat16" and array.dtype == np.dtype("V2"):
        return array.view(numpy_dtype("bfloat16"))
    return array


def _random(leaf: Leaf, sizes: dict[str, int], generator: np.random.Generator) -> Any:
    """Normal floats, and parts of complex numbers; integers from 0 to 3, small enough to be indices; booleans."""
    shape = [size if isinstance(size, int) else sizes.get(size, 1) for size in leaf.shape]
    dtype = numpy_dtype(leaf.dtype)
    if leaf.dtype == "bool" or dtype.kind in "iu":
        value = generator.integers(0, 2 if leaf.dtype == "bool" else 4, shape).astype(dtype)
    elif dtype.kind == "c":
        value = np.asarray(generator.standard_normal(shape) + 1j * generator.standard_normal(shape)).astype(dtype)
    else:
        value = np.asarray(generator.standard_normal(shape)).astype(dtype)
    return value.item() if leaf.kind == "scalar" else value


def _write_outputs(signature: Signature, result: Any, files: Sequence[str]) -> None:
    """Outputs in leaf order: one file each, or all of them in one .npz."""
    if not files:
        return
    values = [np.asarray(value) for value in signature.flatten_result(result)]
    if len(files) == 1 and files[0].endswith(".npz"):
        names = signature.output_paths()
        with open(files[0], "wb") as file:
            np.savez(file, **dict(zip(names, values, strict=True)))  # type: ignore[arg-type]
        return
    if len(files) != len(values):
        raise InputError(
            f"{len(files)} --output files for {len(values)} outputs; give one .npy each, or one .npz for all of them"
        )
    for name, value in zip(files, values, strict=True):
        with open(name, "wb") as file:
            np.save(file, value, allow_pickle=False)


if __name__ == "__main__":
    sys.exit(main())
