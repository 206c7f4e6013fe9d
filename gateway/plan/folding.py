"""Folding: how texts are compared where case and accents are put aside, and by which ranges an index finds them.

A text is taken apart into letters and marks (Unicode's form NFD), and the accents go; Latin capitals become small, and
joined letters are written as two. Other scripts keep their case, spaces and signs stay as they are. `fold` says so of
one text, and `folded` is the same in SQL.
"""

import unicodedata

import sqlalchemy as sa

from gateway.policy.sql import prefix_range
from gateway.policy.tables import Dialect, Value, literal

# The function of the same meaning that a connection to SQLite has; it takes the bytes of a text.
FUNCTION = "folded"
# So many letters of a text enter an index; each more than doubles the ranges, and leaves fewer rows in them.
LEAD = 4

_MARKS = "".join(map(chr, range(0x0300, 0x0370)))
_CAPITALS = {chr(n): chr(n).lower() for n in range(ord("A"), ord("Z") + 1)}
# Letters of Latin that Unicode does not take apart.
_WHOLE = {"ø": "o", "Ø": "o", "đ": "d", "Đ": "d", "ł": "l", "Ł": "l", "ħ": "h", "Ħ": "h", "ŧ": "t", "Ŧ": "t"} | {
    "\u0131": "i"
}
_JOINED = {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}
_JOINED_CAPITALS = {"ẞ": "ß", "Æ": "æ", "Œ": "œ", "Þ": "þ"}
_ONE_FOR_ONE = _CAPITALS | _WHOLE | _JOINED_CAPITALS
_TABLE = str.maketrans(_ONE_FOR_ONE | dict.fromkeys(_MARKS))
_BEYOND_ASCII = "\x80"


def fold(text: str) -> str:
    """Fold a text."""
    text = unicodedata.normalize("NFD", text).translate(_TABLE)
    for joined, parts in _JOINED.items():
        text = text.replace(joined, parts)
    return text


def folded(column: Value, dialect: Dialect) -> Value:
    """Fold a column of texts in SQL; total on whatever it holds."""
    if dialect is Dialect.SQLITE:
        return sa.func.folded(sa.cast(column, sa.LargeBinary))
    plain = sa.collate(column, "C")
    apart = sa.func.normalize(plain, sa.literal_column("NFD"))
    # What has no letter to stand for it goes.
    text = sa.func.translate(apart, literal("".join(_ONE_FOR_ONE) + _MARKS), literal("".join(_ONE_FOR_ONE.values())))
    for joined, parts in _JOINED.items():
        text = sa.func.replace(text, literal(joined), literal(parts))
    # Most names are ASCII, which is folded in a fraction of the time.
    ascii_alone = sa.func.octet_length(plain) == sa.func.char_length(plain)
    return sa.case((ascii_alone, sa.func.lower(plain)), else_=text)


def fold_bytes(content: object) -> str | None:
    """Fold what a column of SQLite holds; what is no text has no folded form."""
    try:
        return fold(content.decode()) if isinstance(content, bytes) else None
    except UnicodeDecodeError:
        return None


def ranges(folded_prefix: str) -> tuple[tuple[str, str], ...]:
    """Return ranges of code points that hold every text whose folded form starts with a prefix, and few others.

    Up to its first letter beyond ASCII, a text is spelt like its folded form, in capitals or not. So there is a range
    for each such spelling of the first letters, and one for each that goes on beyond ASCII. Their number depends on
    that of the letters alone, so that a statement serves all prefixes; a sign, which has no capital, repeats a range.
    """
    found: list[tuple[str, str]] = []
    spellings = [""]
    for letter in folded_prefix[:LEAD]:
        found += [(spelling + _BEYOND_ASCII, prefix_range(spelling)[1]) for spelling in spellings]
        spellings = [spelling + case for spelling in spellings for case in _cases(letter)]
    return (*found, *(prefix_range(spelling) for spelling in spellings))


def _cases(letter: str) -> tuple[str, str]:
    return (letter, letter.upper()) if letter.isascii() else (letter, letter)
