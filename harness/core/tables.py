"""A titled grid of strings, as the terminal and documents show it."""

from collections.abc import Sequence
from dataclasses import dataclass

#: What an empty cell prints.
EMPTY = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """A titled grid of strings; the first column holds the rows' names."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Return the table with aligned columns, names to the left and numbers to the right."""
        grid = [list(self.columns), *(list(row) for row in self.rows)]
        widths = [max(len(row[column]) for row in grid) for column in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in grid
        ]
        return "\n".join([self.title, *(f"  {line}" for line in lines)])

    def markdown(self) -> str:
        """Return the table as Markdown, for documents."""
        rows = [self.columns, ["---", *("--:" for _ in self.columns[1:])], *self.rows]
        return "\n".join([f"**{self.title}**", "", *("| " + " | ".join(row) + " |" for row in rows)])
