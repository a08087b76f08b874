"""Writes the speeds of README.md: `python docs/generate_speeds.py` after docs/measurements.md was measured again.

The README shows some of the cases: a row that begins with the name of a case gets its figures against eager PyTorch.
Date and command are in the prose above the tables; a test in test/unit/test_docs.py compares all of it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MEASUREMENTS = Path(__file__).with_name("measurements.md")
README = Path(__file__).parents[1] / "README.md"
ROW = re.compile(r"^\| `([\w-]+)` \|.*%.*$", re.MULTILINE)
PEER = "torch"
KERNEL_COLUMNS = ("terrace us", "peer us", "speed", "peak")
MODEL_COLUMNS = ("terrace ms", "peer ms", "speed")


def measured(text: str) -> dict[str, list[str]]:
    """The cells that the README shows, by case, of the tables in `text`."""
    found: dict[str, list[str]] = {}
    columns: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and cells[0] in ("kernel", "model"):
            columns = cells
        elif cells and columns:
            row = dict(zip(columns, cells, strict=True))
            if row["peer"] == PEER:
                wanted = KERNEL_COLUMNS if columns[0] == "kernel" else MODEL_COLUMNS
                found[cells[0]] = [row[column] for column in wanted]
    return found


def render(page: str, text: str) -> str:
    """`page` with the rows of its cases filled from `text`; raises KeyError for a case that was not measured."""
    cases = measured(text)

    def row(match: re.Match[str]) -> str:
        cells = "".join(f" {cell} |" if cell else " |" for cell in cases[match[1]])
        return f"| `{match[1]}` |{cells}"

    return ROW.sub(row, page)


def main() -> int:
    """Rewrite the README; returns 0."""
    text = render(README.read_text(encoding="utf-8"), MEASUREMENTS.read_text(encoding="utf-8"))
    README.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
