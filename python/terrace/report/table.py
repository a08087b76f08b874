"""A table of texts, for a terminal and for a notebook."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from terrace.report.words import escape
from terrace.texts import plain


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows below column heads. Columns in `numbers` are aligned right; with `total` the last row is a sum."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Collection[str]
    total: bool = False

    def __str__(self) -> str:
        cells = [self.columns, *([plain(text) for text in row] for row in self.rows)]
        widths = [max(len(line[index]) for line in cells) for index in range(len(self.columns))]
        lines = ["  ".join(self._aligned(line, widths)).rstrip() for line in cells]
        rule = "  ".join("-" * width for width in widths)
        lines.insert(1, rule)
        if self.total:
            lines.insert(-1, rule)
        return "\n".join(lines)

    def _aligned(self, line: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            text.rjust(width) if column in self.numbers else text.ljust(width)
            for column, text, width in zip(self.columns, line, widths, strict=True)
        ]

    def to_html(self) -> str:
        """The table as an element of a page."""
        sides = ["right" if column in self.numbers else "left" for column in self.columns]

        def row(line: Sequence[str], tag: str) -> str:
            cells = (
                f'<{tag} style="text-align:{side}">{escape(text)}</{tag}>'
                for side, text in zip(sides, line, strict=True)
            )
            return f"<tr>{''.join(cells)}</tr>"

        body = "".join(row(line, "td") for line in self.rows)
        return f"<table><thead>{row(self.columns, 'th')}</thead><tbody>{body}</tbody></table>"
