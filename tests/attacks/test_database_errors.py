"""What a database can't read, reckon with or finish in time stands in hidden rows: no answer changes, and none tells.

Each value is one at which a plainer statement would fail: it is put where no client may see it, and the same session is
asked as over a sound row. Then it is put where clients do see, and is told as a defect of the source, not as a 503.
"""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from tests.attacks.city import PLAIN, City, case, code_of, count, found, hidden, said, searches
from tests.policy import small

HARD = small.document(
    [
        PLAIN
        | {
            "id": "open",
            "permit": "read",
            "rows": "record.flag == false",
            "show": ["person", "grade", "amount", "verdict.grade", "at", "cite", "counts"],
            "mask": {"born": "age-band", "name": "last-four", "code": "first-letter", "verdict.born": "year"},
        },
        # Nothing meets it, and every part of it has to be reckoned out on hidden rows.
        PLAIN
        | {
            "id": "reckoned",
            "permit": "read",
            "rows": "years_between(record.born, record.at) > 149 || record.at > midnight(today) && record.amount > 49"
            ' || record.cite in lists.offences && record.name.startsWith("zzzz")'
            ' || record.counts.exists(n, n.cite in lists.offences && n.amount > 49 && n.name == "zz")'
            " || years_between(record.born, today) < 0 && has(record.verdict.born)",
            "show": ["code"],
        },
        PLAIN | {"id": "young", "deny": "read", "rows": "years_between(record.born, today) < 18", "fields": ["cite"]},
    ]
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city whose rules and forms reckon with what rows hold."""
    with found(request.param, request, tmp_path_factory.mktemp("hard"), HARD) as made:
        yield made
