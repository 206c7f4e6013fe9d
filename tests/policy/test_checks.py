"""Checks at load: what whatever documents apply together make of each other, and conditions that nothing can meet."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.bundle import load
from gateway.policy.check import check, load_checked
from gateway.strict_yaml import FileError
from tests.policy import small
from tests.policy.test_documents import DENIES_ROWS, rule

# Ten alternatives of two each have 1024 ways of being met, of which not all are looked at.
WIDE = " && ".join(f"(record.amount > {n} || record.flag)" for n in range(10))


@pytest.mark.parametrize(
    "rows",
    [
        "record.amount >= 3 && record.amount <= 3",
        "record.amount >= 50",
        "record.amount <= -5",
        "record.amount > 3 && record.amount < 5",
        "record.amount == 3 && record.amount >= 3 && record.amount <= 3",
        "record.amount in [3, 4] && record.amount > 3 && record.amount != 5",
        "record.flag != true",
        "record.flag || (record.amount > 3 && record.amount < 3)",
        "(record.amount > 3 && record.amount < 3) || record.flag",
        "has(record.amount) && record.amount < 3",
        "!has(record.amount)",
        '!has(record.verdict) && record.grade == "F1"',
        'record.name.startsWith("a") && !(record.name in ["ab"])',
        'record.born >= "1984-02-29" && record.born <= "1984-02-29"',
        '!(record.grade in ["F1"]) && !(record.grade in ["F2"])',
        "record.counts.exists(n, n.flag) && !record.counts.exists(n, n.amount > 3)",
        WIDE,
    ],
)
def test_a_permit_that_something_can_meet_is_taken(tmp_path: Path, rows: str) -> None:
    """Whatever is hard to judge, too: only what is certain is refused or warned of."""
    small.write(tmp_path, small.document([rule("a", rows=rows)]))
    assert check(load_checked(tmp_path)) == ()


def joined(one: dict[str, Any], other: dict[str, Any], **third: Any) -> tuple[str, ...]:
    """Three documents, the first two of which show one field in two forms."""
    first = json.loads(small.document([rule("a", mask={"born": "year"})], name="first")) | one
    second = json.loads(small.document([rule("b", mask={"born": "age-band"})], name="second")) | other
    rest = json.loads(small.document([rule("c")], name="third")) | third
    return json.dumps(first), json.dumps(second), json.dumps(rest)


JUSTICE, OTHERWISE = ({"subjects": f"{sign}subject.criminal_justice_agency"} for sign in ("", "!"))
AGENCY = {"subjects": 'subject.agency == "B"'}
COUNTING = {"rules": [rule("b", mask={"born": "age-band"}, purposes=["counting"])]}
LOOKING, COUNTED = ({"rules": [rule("a", mask={"born": "year"}, purposes=[name])]} for name in ("looking", "counting"))


@pytest.mark.parametrize(
    ("documents", "meet"),
    [
        (joined(JUSTICE, OTHERWISE), False),
        (joined(JUSTICE, JUSTICE), True),
        (joined(OTHERWISE, OTHERWISE), True),
        (joined(AGENCY, {"subjects": 'subject.agency in ["A", "B"]'}), True),
        (joined(AGENCY, {"subjects": 'subject.agency in ["A", "C"]'}), False),
        (joined(AGENCY, {"subjects": 'subject.agency != "B"'}), False),
        (joined(AGENCY, {"subjects": 'subject.agency != "C"'}), True),
        (joined({"subjects": 'subject.agency != "A"'}, {"subjects": 'subject.agency != "B"'}), True),
        (joined(AGENCY, {"subjects": 'subject.component == "B"'}), True),
        (joined(LOOKING, COUNTING), False),
        (joined(COUNTED, COUNTING), True),
        (joined({}, COUNTING), True),
        (
            joined({"effective": {"from": "2000-01-01", "until": "2010-01-01"}}, {"effective": {"from": "2010-01-01"}}),
            False,
        ),
        (
            joined({"effective": {"from": "2000-01-01", "until": "2010-01-02"}}, {"effective": {"from": "2010-01-01"}}),
            True,
        ),
        (joined({}, {"status": "proposed"}), True),
        (joined({}, {"status": "proposed", "replaces": ["first"]}), False),
        (joined({"status": "proposed"}, {"status": "proposed"}), False),
        # The second comes back when the third, which replaces it, ends.
        (joined({}, {}, replaces=["second"], effective={"from": "2000-01-01", "until": "2010-01-01"}), True),
        (joined({}, {}, replaces=["second"]), False),
    ],
)
def test_rules_are_refused_where_they_can_meet(tmp_path: Path, documents: tuple[str, ...], meet: bool) -> None:  # noqa: FBT001 -- the two outcomes
    """By subject, purpose, day, status and replacement; nowhere else."""
    small.write(tmp_path, *documents)
    if meet:
        with pytest.raises(FileError, match="can apply together"):
            load_checked(tmp_path)
    else:
        load_checked(tmp_path)


def test_subjects_of_too_many_kinds_are_refused(tmp_path: Path) -> None:
    """Each would have to be looked at."""
    twenty = json.dumps([str(number) for number in range(20)])
    many = [f"subject.{name} in {twenty}" for name in ("agency", "component", "ori")]
    written = json.loads(small.document([rule("a")])) | {"subjects": " || ".join(many)}
    small.write(tmp_path, json.dumps(written))
    with pytest.raises(FileError, match="more than 5000 kinds"):
        load_checked(tmp_path)


def test_a_document_for_nobody_is_refused(tmp_path: Path) -> None:
    """Its conditions on subjects contradict each other."""
    written = json.loads(small.document([rule("a")])) | {"subjects": 'subject.agency == "A" && subject.agency == "B"'}
    small.write(tmp_path, json.dumps(written))
    with pytest.raises(FileError, match="'subjects' can never be true"):
        load_checked(tmp_path)


def warned(root: Path, *documents: str) -> list[str]:
    """Return what is warned of."""
    small.write(root, *documents)
    return [warning.message for warning in check(load(root))]


def test_a_pointer_and_what_shows_anything_at_all_is_of_use(tmp_path: Path) -> None:
    """A pointer needs no field; one field that is left is enough, and so is one denial that takes only some rows."""
    withheld = DENIES_ROWS | {"fields": ["name"]}
    for number, rules in enumerate(
        (
            [rule("a", show=["name"], pointer="Ask"), withheld],
            [rule("a", show=["name", "code"]), withheld],
            [rule("a", show=["name"]), withheld | {"rows": "record.flag"}],
            [rule("a", show=["code"], mask={"name": "last-four"}), withheld],
            [rule("a", rows='record.grade in ["F1", "F2"]'), DENIES_ROWS | {"rows": 'record.grade == "F1"'}],
        )
    ):
        assert warned(tmp_path / str(number), small.document(rules)) == []


def test_a_permit_that_is_of_use_once_is_of_use(tmp_path: Path) -> None:
    """Though another document takes all of it from some subjects; from whom nothing takes it, it opens and shows."""
    first = small.document([rule("a", show=["name"])], name="first")
    for taken in ({}, {"fields": ["name"]}):
        second = json.loads(small.document([DENIES_ROWS | taken], name="second")) | AGENCY
        assert warned(tmp_path, first, json.dumps(second)) == []


def test_a_permit_that_is_never_reached_is_warned_of(tmp_path: Path) -> None:
    """Its document is replaced on every day that it covers."""
    first = small.document([rule("a")], name="first")
    second = json.loads(small.document([rule("b")], name="second")) | {"replaces": ["first"]}
    assert warned(tmp_path, first, json.dumps(second)) == [
        "'a' is never reached: its document is always replaced, or never live"
    ]
