"""`terrace-tune`: measure the schedules of a model's kernels, and keep the fastest of each in a file of records.

Exit codes: 0 done, 1 failed or a schedule gave other results, 2 wrong command line, 130 interrupted: what was measured
until then is in the file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from terrace import progress
from terrace.compiler.request import Tuning
from terrace.compiler.tuning import TunedRow, tune
from terrace.errors import TerraceError
from terrace.supervision import enter_supervised
from terrace.tools.inputs import EPILOG, add_input, add_request_flags, asked, check_input

_WIDEST = 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code. argparse exits with 2 by itself."""
    if arguments is None:
        enter_supervised("terrace-tune")
    parser = _parser()
    options = parser.parse_args(arguments)
    check_input(parser, options)
    given = {name: getattr(options, name) for name in ("trials", "seconds", "size")}
    how = {"file": options.output, **{name: value for name, value in given.items() if value is not None}}
    try:
        with progress.shown():
            rows = tune(*asked(options, how))
    except KeyboardInterrupt:
        print(
            f"terrace-tune: interrupted; {options.output} holds what was measured: the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    except (TerraceError, OSError) as error:
        print(f"terrace-tune: error: {error}", file=sys.stderr)
        return 1
    print(table(rows))
    for note in [note for row in rows for note in row.notes]:
        print(f"terrace-tune: {note}", file=sys.stderr)
    return 1 if any(row.differs for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="terrace-tune",
        description="Measure the most promising schedules of a model's kernels, and keep the fastest in a file.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_input(parser)
    parser.add_argument(
        "-o", dest="output", metavar="FILE", required=True, help="the records; what is in it is not measured again"
    )
    parser.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help=f"schedules of a kernel, the cost model's choice among them (default: {Tuning.trials})",
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="begin no kernel after so long (default: no limit)")
    parser.add_argument(
        "--size", type=int, metavar="N", help="what sizes that are known at run time only are taken for"
    )
    add_request_flags(parser)
    return parser


def table(rows: Sequence[TunedRow]) -> str:
    """A line per kernel, most work first: microseconds of the chosen schedule and of the fastest, and what differs."""
    width = max((len(row.kernel) for row in rows), default=0)
    lines = [f"{'kernel':<{width}}  calls  chosen us    best us    gain  tried  changed"]
    for row in rows:
        begin = f"{row.kernel:<{width}}  {row.calls:>5}"
        record = row.record
        if record is None:
            lines.append(f"{begin}  not measured")
            continue
        what = difference(record.chosen, record.best) or "-"
        times = f"{1e6 * record.chosen_seconds:>9.1f}  {1e6 * record.best_seconds:>9.1f}"
        lines.append(f"{begin}  {times}  {record.gain:>5.2f}x  {record.tried:>5}  {what}")
    known = [(row.calls, row.record) for row in rows if row.record is not None]
    before = sum(calls * record.chosen_seconds for calls, record in known)
    after = sum(calls * record.best_seconds for calls, record in known)
    measured = sum(row.measured for row in rows)
    lines.append(f"{len(rows)} kernels, {measured} measured now, {len(known) - measured} known before")
    if known:
        lines.append(f"all calls: {1e6 * before:.1f} us as chosen, {1e6 * after:.1f} us now, {before / after:.2f}x")
    return "\n".join(lines)


def difference(chosen: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    """What of the best schedule is not as in the chosen one, in a few words."""
    before, after = _words(chosen), _words(best)
    changed = [f"{name} {after.get(name, '-')}" for name in {**before, **after} if before.get(name) != after.get(name)]
    text = ", ".join(changed)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _words(schedule: Mapping[str, Any]) -> dict[str, str]:
    """The parts of a schedule by name: sizes of tiles and blocks, what enters and leaves memory, atom and variant."""
    found = {name: str(schedule.get(name, "direct")) for name in ("variant", "atom")}
    for cut in schedule["cuts"]:
        place = {"register": "tile", "local": "block"}.get(cut["memory"], cut["memory"])
        found |= {
            f"{place} {name}": str(size) for name, size in zip(cut.get("order", ()), cut.get("sizes", ()), strict=True)
        }
        for key in ("enters", "leaves"):
            found |= {f"{place} {name}": next(iter(how)) for name, how in cut.get(key, {}).items()}
    return found


if __name__ == "__main__":
    sys.exit(main())
