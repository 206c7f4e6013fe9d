"""Writes directories of policies for the benchmark, over the shipped catalogue and lists; all rules are invented."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from random import Random

from tests.world import POLICIES

FIRST = 10
_DOCUMENTS = Path(__file__).parent / "policies"

_HEAD = """\
policy: {name}
title: Invented for the benchmark
status: in-force
authority: {{instrument: none, source: invented for the benchmark, confidence: high}}
effective: {{from: 2010-01-01}}
subjects: subject.agency in ["FBI", "{agency}"]
rules:
"""
# One of each in turn: permits of rows, by day, by list, by relation, by instrument; of a mask; denials of fields,
# everywhere and by row, of precision, and of rows.
_RULES = (
    """\
    permit: read
    rows: record.district == "{district}" && record.arrested_at >= timestamp("{year}-01-01T00:00:00Z")
    show: [identity, arrest]
""",
    """\
    permit: read
    rows: >-
      record.charges.exists(c, c.grade in ["F1", "F2"] && c.statute in lists.pa_f1f2_violent_broad)
      && record.category == "{word}"
    show: [identity, charges]
    mask: {{date_of_birth: year}}
""",
    """\
    deny: read
    rows: record.charges.exists(c, c.grade == "M{grade}" && c.outcome == "{word}")
    fields: [contact, place_of_birth]
""",
    """\
    permit: read
    purposes: [criminal-investigation, prosecution]
    rows: >-
      has(record.release_conviction) && record.release_conviction.grade == "F{grade}" && record.offence == "{word}"
    show: [identity, contact, custody]
""",
    """\
    deny: read
    rows: record.offence == "{word}"
""",
    """\
    permit: read
    rows: instruments.exists(i, i.person == record.person && i.kind == "judicial") && record.category == "{word}"
    show: [identity, identifier, contact, custody]
""",
    """\
    deny: read
    fields: [immigration_status, ssn]
""",
    """\
    permit: read
    purposes: [criminal-investigation]
    rows: record.district in ["{district}", "00"] && !(record.facility == "{word}")
    show: [identity, arrest, custody]
""",
    """\
    deny: read
    rows: record.arrested_at < timestamp("{year}-01-01T00:00:00Z") && record.category == "{word}"
    mask: {{date_of_birth: year}}
""",
    """\
    permit: read
    rows: record.charges.exists(c, c.statute in lists.pa_9714g_strict && c.description == "{word}")
    show: [identity, charges, witnesses]
""",
)


def invented(root: Path, rules: int, documents: int, seed: int) -> Path:
    """Write a directory of so many rules in so many documents.

    All of them apply to the FBI. To the agency A0 apply the first ten only, whatever comes after.
    """
    rest = range(FIRST, rules)
    numbered = [range(FIRST), *(rest[at :: documents - 1] for at in range(documents - 1))]
    return directory(
        root,
        {
            f"invented-{at}": _HEAD.format(name=f"invented-{at}", agency=f"A{at}")
            + "".join(_rule(number, at + place, seed) for place, number in enumerate(numbers))
            for at, numbers in enumerate(numbered)
        },
    )


def copied(root: Path, name: str) -> Path:
    """Write one of the directories of documents that stand beside this module."""
    found = {path.stem: path.read_text() for path in (_DOCUMENTS / name).glob("*.yaml")}
    return directory(root / name, found)


def directory(root: Path, documents: Mapping[str, str]) -> Path:
    """Write documents beside copies of the shipped catalogue and lists; return the directory."""
    root.mkdir()
    shutil.copy(POLICIES / "catalogue.yaml", root)
    shutil.copytree(POLICIES / "lists", root / "lists")
    for name, text in documents.items():
        (root / f"{name}.yaml").write_text(text)
    return root


def _rule(number: int, kind: int, seed: int) -> str:
    """Write a rule; the word makes the conditions of all rules different."""
    rng = Random(f"{seed} {number}")  # noqa: S311 -- must be repeatable
    return f"  - id: r{number}\n    resource: arrests\n    because: Invented.\n" + _RULES[kind % len(_RULES)].format(
        district=f"{rng.randrange(1, 40):02}",
        year=rng.randrange(2010, 2020),
        grade=rng.randrange(1, 4),
        word=f"W{number}",
    )
