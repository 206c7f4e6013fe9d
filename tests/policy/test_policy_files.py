"""The documents' own tests: every case beside every document, and that they leave no rule unexercised."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cases.document import Case
from gateway.cases.judge import judge
from gateway.cases.run import read, run
from gateway.policy.archive import read_directory
from gateway.policy.bundle import Bundle
from tests.world import POLICIES

# Each example is a policy of its own, with its own catalogue.
ROOTS = [POLICIES, *sorted(path for path in (POLICIES / "examples").glob("*") if path.is_dir())]


def _cases() -> Iterator[tuple[str, Case, Bundle]]:
    for root in ROOTS:
        suites = read(read_directory(root))
        prefix = "" if root == POLICIES else f"{root.name}/"
        for case in suites.cases():
            yield f"{prefix}{case.document}: {case.name}", case, suites.bundle


CASES = {name: (case, bundle) for name, case, bundle in _cases()}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    """The case comes out as its document's tests say."""
    case, bundle = CASES[name]
    assert judge(case, bundle).mismatches == ()


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.name)
def test_every_document_is_tested_and_every_rule_seen_both_ways(root: Path) -> None:
    """No document is without tests, and cases see each rule match and not match."""
    report = run(read_directory(root))
    assert report.untested == ()
    assert [cover.rule.name for cover in report.coverage if not cover.whole] == []
