"""Policy files: what is refused at load, with file, line and column; what is live when; what rules come to together."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway.policy.bundle import load
from gateway.policy.check import load_checked
from gateway.strict_yaml import FileError
from tests.policy import small
from tests.world import POLICIES

GOOD = """policy: doc
title: A document
status: in-force
authority: {instrument: none, source: invented, confidence: high}
effective: {from: 2000-01-01}
subjects: "true"
rules:
  - id: all
    permit: read
    resource: cases
    rows: |
      record.grade == "F1"
      && record.amount > 3
    show: [open]
    because: So.
"""

REFUSED = [
    ("title: A document\n", "title: A document\ntitle: Another\n", "doc.yaml:3:1", "twice"),
    ("status: in-force", "status: &a in-force", "doc.yaml:3:9", "anchors"),
    ("status: in-force", "status: !!str in-force", "doc.yaml:3:9", "tags"),
    ("status: in-force", "status: in_force", "doc.yaml:3:9", "not one of"),
    ("status: in-force", "status: [in-force", "doc.yaml:", "expected"),
    ("title: A document", "tittle: A document", "doc.yaml:2:1", "unknown key 'tittle'"),
    ("effective: {from: 2000-01-01}", "effective: {from: 2000-02-30}", "doc.yaml:5:19", "not a date"),
    ("effective: {from: 2000-01-01}", "effective: {from: 2000-W01-1}", "doc.yaml:5:19", "not a date"),
    ("from: 2000-01-01", "from: 2000-01-01, until: 2000-01-01", "doc.yaml:5:31", "must lie after"),
    ("confidence: high", "confidence: sure", "doc.yaml:4:61", "not one of"),
    ("    because: So.\n", "", "doc.yaml:8:5", "'because' is missing"),
    ("permit: read", "permit: write", "doc.yaml:9:13", "not one of"),
    ("resource: cases", "resource: cases\n    purposes: [peeking]", "doc.yaml:11:16", "not one of"),
    ("show: [open]", "show: [opened]", "doc.yaml:14:12", "no class, relation or field"),
    ("show: [open]", "show: []", "doc.yaml:14:5", "at least one"),
    ("show: [open]", "mask: {name: year}", "doc.yaml:14:12", "masks a date"),
    ("show: [open]", "mask: {born: decade}", "doc.yaml:14:18", "not one of"),
    ("record.grade", "record.grad", "doc.yaml:12:13", "undefined field 'grad'"),
    ("record.amount > 3", 'record.amount > "3"', "doc.yaml:13:24", "no matching overload"),
    ("record.amount > 3", "record.amount > 99", "doc.yaml:13:26", "can never occur"),
    ("record.amount > 3", "record.amount + 1 > 3", "doc.yaml:13:24", "a field is expected"),
    ("record.amount > 3", 'record.name.matches("a")', "doc.yaml:13:29", "can't be asked of the database"),
    ("record.amount > 3", "size(record.counts) > 3", "doc.yaml:13:14", "a field is expected"),
    ("record.amount > 3", "record.counts.exists_one(n, n.flag)", "doc.yaml:13:34", "only exists and all"),
    ("record.amount > 3", "record.grade", "doc.yaml:13:7", "no matching overload"),
    ("record.amount > 3", "record.name in lists.nothing", "doc.yaml:13:30", "undefined field 'nothing'"),
    ("record.amount > 3", "instruments.exists(i, i.kind == 'judicial')", "doc.yaml:13:39", "must be bound"),
    ("record.amount > 3", "(" * 200 + "true" + ")" * 200, "doc.yaml:", ""),
    ("record.amount > 3", " || ".join(["record.flag"] * 401), "doc.yaml:", ""),
    ("because: So.", "because: So.\nobligations:\n  - erase: {after: 1}", "doc.yaml:17:5", "unknown key 'erase'"),
    ("because: So.", "because: So.\nobligations:\n  - persons: {at-most: 0, per: day}", "doc.yaml:17:14", "at least 1"),
    (
        "because: So.",
        "because: So.\nobligations:\n  - persons: {at-most: --5, per: day}",
        "doc.yaml:17:24",
        "whole number",
    ),
    ("because: So.", "because: So.\nreplaces: [other]", "doc.yaml:1:1", "no other document"),
    ('subjects: "true"', "subjects: subject.agency < 'B'", "doc.yaml:1:1", "told apart by"),
    ('subjects: "true"', "subjects: subject.nation == 'X'", "doc.yaml:6:18", "undefined field 'nation'"),
]


@pytest.mark.parametrize(("old", "new", "place", "why"), REFUSED)
def test_a_broken_document_is_refused_with_its_place(tmp_path: Path, old: str, new: str, place: str, why: str) -> None:
    """City IT reads file, line, column, and what is wrong."""
    small.write(tmp_path)
    assert old in GOOD
    (tmp_path / "doc.yaml").write_text(GOOD)
    load_checked(tmp_path)
    (tmp_path / "doc.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(FileError) as refused:
        load_checked(tmp_path)
    assert str(refused.value).startswith(place)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"- a\n", b"a: " + b"x" * (1 << 20), b"a: " + b"[" * 5000, GOOD.encode("utf-16")]
)
def test_what_is_no_document_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, truncated, oversized, too deep, of another encoding: refused, each with its file."""
    small.write(tmp_path)
    (tmp_path / "doc.yaml").write_bytes(content)
    with pytest.raises(FileError, match=r"^doc\.yaml:"):
        load_checked(tmp_path)


def test_an_empty_policy_is_refused(tmp_path: Path) -> None:
    """No documents would permit nothing, and is an error all the same: somebody forgot them."""
    small.write(tmp_path)
    with pytest.raises(FileError, match="an empty policy"):
        load(tmp_path)


def rule(name: str, **changed: Any) -> dict[str, Any]:
    """A rule."""
    return {"id": name, "permit": "read", "resource": "cases", "show": ["open"], "because": "So."} | changed


@pytest.mark.parametrize(
    "second",
    [
        rule("b", show=["closed"]),
        rule("b", mask={"born": "year"}),
        {"id": "b", "deny": "read", "resource": "cases", "fields": ["name"], "rows": "record.flag", "because": "So."},
    ],
)
def test_cells_that_would_depend_on_the_row_are_refused_at_load(tmp_path: Path, second: dict[str, Any]) -> None:
    """Two rules that can apply together must show the same fields; the message names both, and what to do."""
    small.write(tmp_path, small.document([rule("a"), second]))
    with pytest.raises(FileError, match="cells that depend on the row") as refused:
        load_checked(tmp_path)
    assert "doc/a" in str(refused.value)
    assert "doc/b" in str(refused.value)


OTHERS = {"subjects": 'subject.agency == "B"'}
EARLIER = {"effective": {"from": "1990-01-01", "until": "2000-01-01"}}


@pytest.mark.parametrize("apart", [OTHERS, EARLIER])
def test_rules_that_never_meet_may_differ(tmp_path: Path, apart: dict[str, Any]) -> None:
    """Other subjects or other dates keep two rules apart."""
    first = json.loads(small.document([rule("a")])) | {"subjects": 'subject.agency == "A"'}
    second = json.loads(small.document([rule("b", show=["closed"])], name="other")) | first | apart
    second |= {"policy": "other", "rules": [rule("b", show=["closed"])]}
    small.write(tmp_path, json.dumps(first), json.dumps(second))
    load_checked(tmp_path)
    second |= {"subjects": first["subjects"], "effective": first["effective"]}
    small.write(tmp_path, json.dumps(second))
    with pytest.raises(FileError, match="can apply together"):
        load_checked(tmp_path)


def test_documents_are_live_by_date_status_and_replacement() -> None:
    """`until` is exclusive, a proposed document counts only when named, and then switches off what it replaces."""
    bundle = load(POLICIES)

    def live(day: str, *named: str) -> set[str]:
        found = {document.name for document in bundle.live(date.fromisoformat(day), frozenset(named))}
        return found & {"ph-2008", "ph-2010", "ph-2018", "hold-standard-on-data"}

    assert live("2007-12-31") == set()
    assert live("2008-01-01") == live("2010-08-31") == {"ph-2008"}
    assert live("2010-09-01") == live("2018-08-31") == {"ph-2010"}
    assert live("2018-09-01") == {"ph-2018"}
    assert live("2014-04-17", "hold-standard-on-data") == {"hold-standard-on-data"}
    assert live("2014-04-15", "hold-standard-on-data") == {"ph-2010"}


def test_every_change_of_a_file_changes_the_digest(tmp_path: Path) -> None:
    """Catalogue, lists and documents are digested together."""
    shutil.copytree(POLICIES, tmp_path / "p")
    digests = {load(tmp_path / "p").digest}
    for name in ("catalogue.yaml", "lists/pa-9714g-strict.yaml", "ph-2010.yaml"):
        path = tmp_path / "p" / name
        path.write_text(path.read_text() + "# A remark.\n")
        digests.add(load(tmp_path / "p").digest)
    assert len(digests) == 4
