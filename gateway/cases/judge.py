"""Judges one case: by the very bytes that a client would get, and by the record-side reading, which must agree."""

from collections.abc import Iterator

from gateway.cases.answer import Answer, answer
from gateway.cases.body import flat, present
from gateway.cases.document import Allowed, Case, Refused, Shown
from gateway.cases.reading import reading
from gateway.cases.record import NamedRecord
from gateway.cases.verdict import ROW, Difference, Mismatch, Verdict, about_decision, about_row, compare
from gateway.policy.bundle import Bundle
from gateway.policy.compose import Deny, Occasion, Permit, certified, concerned
from gateway.policy.days import on_day
from gateway.policy.decide import applicable, decide, local_day
from gateway.policy.document import Rule
from gateway.policy.evaluate import evaluate
from gateway.policy.view import visible


def judge(case: Case, bundle: Bundle) -> Verdict:
    """Judge a case under a bundle; raise FileError where its records can't stand together."""
    decision = decide(case.request(bundle.catalogue), bundle, case.proposed)
    match case.outcome, decision:
        case Refused(code), Deny() if decision.code is code:
            return Verdict(case, ())
        case Refused(code), _:
            return Verdict(case, (about_decision(f"deny: {code}", _told(decision)),))
        case _, Deny():
            return Verdict(case, (about_decision("permit", _told(decision)),))
        case Shown(), Permit():
            return Verdict(case, tuple(_judge_reading(case, case.outcome, decision, bundle)))
        case Allowed(), Permit():
            return Verdict(case, tuple(_judge_act(case, case.outcome, decision)))


def taking_part(case: Case, bundle: Bundle) -> tuple[Rule, ...]:
    """Return the rules that take part in a case's decision."""
    day = local_day(case.request(bundle.catalogue), bundle)
    documents = applicable(bundle.live(day, case.proposed), case.subject.attributes())
    texts = case.subject.agreement.certified(case.purpose, day)
    occasion = Occasion(case.action, case.resource.name, case.purpose, texts, day)
    return tuple(rule for rule in concerned(documents, occasion) if certified(rule, occasion))


def matches(rule: Rule, record: NamedRecord, case: Case, bundle: Bundle) -> bool:
    """Whether a rule matches a record: a permit where its condition is true, a deny where it is not false."""
    truth = evaluate(on_day(rule.rows, case.day, bundle.catalogue.time_zone), record.facts(case.instruments))
    return truth is True if rule.permits else truth is not False


def _told(decision: Permit | Deny) -> str:
    return f"deny: {decision.code}" if isinstance(decision, Deny) else "permit"


def _judge_act(case: Case, allowed: Allowed, permit: Permit) -> Iterator[Mismatch]:
    """Judge a notice or a hold, which no client asks for: there is no answer, but records that it is permitted for."""
    for record in case.given:
        got = visible(permit.view, record.facts(case.instruments))
        if got != (record in allowed.records):
            words = {True: f"{case.action} permitted", False: f"{case.action} not permitted"}
            yield about_row(record.name, words[not got], words[got])


def _judge_reading(case: Case, wanted: Shown, permit: Permit, bundle: Bundle) -> Iterator[Mismatch]:
    got = answer(case, permit, bundle)
    yield from _compare(case, wanted, got)
    yield from _disagreements(case, permit, got)
    yield from _obliged("the answer's notices", wanted.notices, got.notices)
    yield from _obliged("the entry's reports", wanted.reports, permit.reports)


def _obliged(about: str, wanted: tuple[str, ...], got: tuple[str, ...]) -> Iterator[Mismatch]:
    missing = tuple(Difference(text, "there", None) for text in wanted if text not in got)
    if missing:
        yield Mismatch(about, missing, tuple(text for text in wanted if text in got))


def _compare(case: Case, shown: Shown, got: Answer) -> Iterator[Mismatch]:
    wanted = {expected.record.name: expected for expected in shown.records}
    for record in case.given:
        name = record.name
        if name in wanted and name in got.bodies:
            differences, alike = compare(wanted[name].body, got.bodies[name])
            told = {difference.what for difference in differences}
            there = [p for p in wanted[name].withheld if p not in told and present(p, got.records[name])]
            differences += tuple(Difference(path, "withheld", "there, if only as null") for path in there)
            if differences:
                yield Mismatch(name, differences, alike)
        elif name in wanted:
            yield about_row(name, "shown", "hidden")
        elif name in got.bodies:
            leaked, _ = compare({}, got.bodies[name])
            yield Mismatch(name, (Difference(ROW, "hidden", "shown"), *leaked))


def _disagreements(case: Case, permit: Permit, got: Answer) -> Iterator[Mismatch]:
    """Hold the answer against the evaluator: if the two differ, one of them has a fault, whatever is expected."""
    for record in case.given:
        expected, times = visible(permit.view, record.facts(case.instruments)), got.times.get(record.name, 0)
        if times != int(expected):
            by_evaluator = f"{_times(int(expected))} by the evaluator"
            yield Mismatch(record.name, (Difference("(two readings)", by_evaluator, f"{_times(times)} by SQL"),))
        elif expected:
            differences, _ = compare(flat(reading(permit.view, record, case)), got.values[record.name])
            if differences:
                yield Mismatch(record.name, tuple(_of_two_readings(difference) for difference in differences))


def _of_two_readings(difference: Difference) -> Difference:
    expected, got = difference.expected or "absent", difference.got or "absent"
    return Difference(f"{difference.what} (two readings)", f"{expected} by the evaluator", f"{got} by SQL")


def _times(times: int) -> str:
    return {0: "hidden", 1: "shown"}.get(times, f"shown {times} times")
