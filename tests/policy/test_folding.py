"""Folding in Python and in PostgreSQL, held equal on all of Unicode that both know."""

import sys
import unicodedata
from collections.abc import Iterable

import pytest
import sqlalchemy as sa

from gateway.plan.folding import fold, folded
from gateway.policy.tables import Dialect
from tests.services import Postgres

# What Unicode 15.0 and 16.0 brought of letters that come apart and of marks that change places. Python's tables are of
# 14.0 to 16.0, by its version, and PostgreSQL 16's of 15.0: who does not know a letter yet leaves it as it stands. No
# later version changes what an earlier one says of a letter (Unicode's stability policy). A name with one of these
# (Kawi, Nag Mundari, Garay, Todhri, Tulu, Gurung Khema, Kirat Rai, Ol Onal; marks of Arabic and Cyrillic) may not be
# found by its start on PostgreSQL, in any view and whatever is hidden.
_LATE = "\u0897" + "".join(
    chr(point)
    for first, last in (
        *((0x105C9, 0x105C9), (0x105E4, 0x105E4), (0x10D69, 0x10D6D), (0x10EFD, 0x10EFF), (0x11383, 0x11391)),
        *((0x113C5, 0x113D0), (0x11F41, 0x11F42), (0x16121, 0x1612F), (0x16D68, 0x16D6A), (0x1E08F, 0x1E08F)),
        *((0x1E4EC, 0x1E4EF), (0x1E5EE, 0x1E5EF)),
    )
    for point in range(first, last + 1)
)
# Not assigned, of private use, halves of UTF-16: of these Unicode says nothing.
_NOTHING = ("Cn", "Co", "Cs")
# PostgreSQL's texts hold no NUL.
LETTERS = [
    letter
    for letter in map(chr, range(1, sys.maxunicode + 1))
    if unicodedata.category(letter) not in _NOTHING and letter not in _LATE
]
MARKS = [letter for letter in LETTERS if unicodedata.combining(letter)]
# One mark of each class: two of different classes come into an order.
CLASSES = {unicodedata.combining(mark): mark for mark in MARKS}


def differing(server: Postgres, texts: Iterable[str]) -> list[tuple[str, str, str]]:
    """Fold texts in one statement; return those that Python folds otherwise, with both results."""
    given = list(texts)
    listed = sa.func.unnest(sa.bindparam("texts", type_=sa.ARRAY(sa.Text)))
    rows = listed.table_valued(sa.column("text", sa.Text), with_ordinality="n", name="given").render_derived()
    statement = sa.select(folded(rows.c.text, Dialect.POSTGRESQL)).order_by(rows.c.n)
    engine = sa.create_engine(server.url("postgres"))
    try:
        with engine.connect() as connection:
            found = connection.execute(statement, {"texts": given}).scalars().all()
    finally:
        engine.dispose()
    return [(text, sql, fold(text)) for text, sql in zip(given, found, strict=True) if sql != fold(text)]


def test_every_letter_folds_alike(postgres: Postgres) -> None:
    """In Python and in PostgreSQL; there are more than a hundred thousand."""
    assert len(LETTERS) > 100_000
    assert differing(postgres, LETTERS) == []


@pytest.mark.parametrize("start", ["", "É", "\uac01"], ids=["no letter", "latin", "hangul"])
def test_marks_come_into_the_same_order(start: str, postgres: Postgres) -> None:
    """Each mark before and after one of every class, at the start of a text and after letters."""
    pairs = ((mark, other) for mark in MARKS for other in CLASSES.values())
    assert differing(postgres, (start + "".join(pair) for one in pairs for pair in (one, one[::-1]))) == []
