"""Writes what is said of speed: `python docs/generate_speeds.py` after docs/measurements.json was measured again.

Of that file, which `terrace-bench --json` writes, come the tables of docs/measurements.md, the chart docs/speeds.svg,
and what stands in README.md between the two comments that name this program. A test in test/unit/test_docs.py compares.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terrace.tools.bench import plot, report

FOLDER = Path(__file__).parent
MEASUREMENTS = FOLDER / "measurements.json"
README = FOLDER.parent / "README.md"
MARKED = re.compile(r"(?<=<!-- docs/generate_speeds.py -->\n).*(?=<!-- end -->)", re.DOTALL)
SHOWN = "models"
"""The group whose cases the README shows one by one, and the chart."""


def measured() -> dict[str, Any]:
    """What was measured."""
    found: dict[str, Any] = json.loads(MEASUREMENTS.read_text(encoding="utf-8"))
    return found


def pages(found: Mapping[str, Any]) -> dict[Path, str]:
    """The files that are made of it, with their text."""
    shown = {**found, "cases": report.groups(found)[SHOWN]}
    readme = README.read_text(encoding="utf-8")
    return {
        FOLDER / "measurements.md": report.tables(found, markdown=True) + "\n",
        FOLDER / "speeds.svg": plot.draw(shown),
        README: MARKED.sub(lambda _: in_readme(found), readme),
    }


def in_readme(found: Mapping[str, Any]) -> str:
    """The README's part: whole models one by one, all groups by their means."""
    by = report.clock(found)
    threads = "one thread" if found["threads"] == 1 else f"{found['threads']} threads"
    unit = "milliseconds of CPU time" if by == "cpu" else "milliseconds"
    intro = (
        f"{found['machine']}, {threads}, {found['date']}, by\n`{found['command']}`.\n"
        f"Times are {unit}. `ratio` is Terrace's time over that of the best of the others:\nbelow 1, Terrace wins.\n"
    )
    groups = report.groups(found)
    names = [report.OURS, *report.names_of(groups[SHOWN])]
    rows = [
        [row["case"], *(cell(row, name, by) for name in names), f"{report.ratio(row, by):.2f}"] for row in groups[SHOWN]
    ]
    models = report.table([["model", *names, "ratio"], *rows], markdown=True)
    means = [line for group, rows in groups.items() for line in of_group(group, rows, by)]
    return "\n".join(["", intro, *models, "", *means, "", ""])


def cell(row: report.Row, name: str, by: str) -> str:
    """The time of a contestant in milliseconds."""
    return report.number(1e3 * report.seconds(row, name, by)) if name in row["contestants"] else report.NONE


def of_group(group: str, rows: list[report.Row], by: str) -> list[str]:
    """A group's mean, and the cases in which a peer is faster, as an item of a list."""
    ratios = {row["case"]: report.ratio(row, by) for row in rows}
    slower = sorted((case for case, ratio in ratios.items() if ratio >= 1.005), key=lambda case: -ratios[case])
    named = ", ".join(f"{case} ({ratios[case]:.2f})" for case in slower)
    mean = statistics.geometric_mean(ratios.values())
    text = f"- {group}: geometric mean of {len(rows)} ratios {mean:.2f}; a peer is faster at {named or 'none'}."
    return textwrap.wrap(text, 120, subsequent_indent="  ", break_on_hyphens=False)


def main() -> int:
    """Write the files; returns 0."""
    for path, text in pages(measured()).items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
