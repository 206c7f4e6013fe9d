"""CSV that a spreadsheet program can open without running what stands in it."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

# By these a cell begins that spreadsheet programs take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def neutral(cell: str) -> str:
    """Put an apostrophe before what would be a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def written(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write rows as CSV (RFC 4180); None is an empty cell."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([neutral("" if cell is None else str(cell)) for cell in row] for row in rows)
    return text.getvalue()
