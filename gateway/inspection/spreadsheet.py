"""CSV that a spreadsheet program can open without running what stands in it."""

import csv
from collections.abc import Iterable
from io import StringIO

# By these a cell begins that spreadsheet programs take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def neutral(cell: str) -> str:
    """Put an apostrophe before what would be a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def line(cells: Iterable[object]) -> str:
    """Write one line of CSV (RFC 4180); None is an empty cell."""
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(neutral("" if cell is None else str(cell)) for cell in cells)
    return text.getvalue()


def written(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Write a table as CSV."""
    return "".join(map(line, (head, *rows)))
