"""Runs a policy's own tests: every case judged, and of every rule tested whether cases saw it match and not match."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.cases.document import Case, Suite, read_suite
from gateway.cases.judge import judge, matches, taking_part
from gateway.cases.verdict import Verdict
from gateway.errors import ConfigurationError
from gateway.policy.archive import Files
from gateway.policy.bundle import TESTS, Bundle
from gateway.policy.check import checked
from gateway.policy.condition import TRUE
from gateway.policy.document import Rule


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether the cases of its own document saw a rule match, and saw it not match."""

    rule: Rule
    matched: bool
    spared: bool

    @property
    def whole(self) -> bool:
        """Whether cases saw both."""
        return self.matched and self.spared


@dataclass(frozen=True, slots=True)
class Suites:
    """A policy with the tests of its documents; `untested` are the documents that have none."""

    bundle: Bundle
    suites: tuple[Suite, ...]
    untested: tuple[str, ...]

    def cases(self) -> Iterator[Case]:
        """Yield every case of every document."""
        for suite in self.suites:
            yield from suite.cases


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run."""

    verdicts: tuple[Verdict, ...]
    coverage: tuple[Coverage, ...]
    untested: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return all(verdict.passed for verdict in self.verdicts)


def read(files: Files) -> Suites:
    """Read a policy with its tests; raise FileError at the first thing wrong."""
    bundle = checked(files)
    tests = {name: f"{name}{TESTS}" for name in bundle.documents}
    suites = tuple(read_suite(files[file], file, name, bundle) for name, file in tests.items() if file in files)
    return Suites(bundle, suites, tuple(name for name, file in tests.items() if file not in files))


def run(files: Files, names: Iterable[str] = ()) -> Report:
    """Run the tests of a policy, or of the documents named; raise FileError or ConfigurationError."""
    tests = read(files)
    chosen = tuple(names)
    for name in chosen:
        if name not in tests.bundle.documents:
            raise ConfigurationError(f"'{name}' is not one of {', '.join(tests.bundle.documents)}")
        if name in tests.untested:
            raise ConfigurationError(f"'{name}' has no tests: there is no {name}{TESTS}")
    suites = [suite for suite in tests.suites if not chosen or suite.document in chosen]
    if not suites:
        raise ConfigurationError(f"no document has tests; they stand in NAME{TESTS} beside NAME.yaml")
    return Report(
        verdicts=tuple(judge(case, tests.bundle) for suite in suites for case in suite.cases),
        coverage=tuple(cover for suite in suites for cover in _coverage(suite, tests.bundle)),
        untested=() if chosen else tests.untested,
    )


def _coverage(suite: Suite, bundle: Bundle) -> Iterator[Coverage]:
    partaking = [(case, taking_part(case, bundle)) for case in suite.cases]
    for rule in bundle.documents[suite.document].rules:
        seen = {truth for case, rules in partaking for truth in _seen(rule, case, rules, bundle)}
        yield Coverage(rule, True in seen, False in seen)


def _seen(rule: Rule, case: Case, rules: tuple[Rule, ...], bundle: Bundle) -> Iterator[bool]:
    """Yield whether a rule matches, for each record that a case shows to it.

    A rule for all rows can be spared only by not taking part, in a case of the same act; one with a condition must be
    seen to fail on a record.
    """
    if rule.rows == TRUE:
        if rule.action is case.action and rule.resource == case.resource.name:
            yield rule in rules
    elif rule in rules:
        yield from (matches(rule, record, case, bundle) for record in case.given)
