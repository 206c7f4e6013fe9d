"""Judges one case: by the very bytes that a client would get, and by the record-side reading, which must agree."""

from collections.abc import Iterator

from gateway.access import Action
from gateway.cases.answer import Answer, answer
from gateway.cases.body import present
from gateway.cases.document import Allowed, Case, Refused, Shown
from gateway.cases.record import NamedRecord
from gateway.cases.verdict import ROW, Difference, Mismatch, Verdict, about_decision, about_row, compare
from gateway.errors import Code
from gateway.policy.bundle import Bundle
from gateway.policy.compose import Deny, Permit
from gateway.policy.condition import TRUE
from gateway.policy.days import on_day
from gateway.policy.decide import applicable, decide, local_day
from gateway.policy.document import Rule
from gateway.policy.evaluate import evaluate
from gateway.policy.view import visible


def judge(case: Case, bundle: Bundle) -> Verdict:
    """Judge a case under a bundle; raise FileError where its records can't stand together."""
    match case.outcome:
        case Refused(code):
            return Verdict(case, _judge_refusal(case, code, bundle))
        case Shown():
            return Verdict(case, _judge_reading(case, case.outcome, bundle))
        case Allowed():
            return Verdict(case, _judge_act(case, case.outcome, bundle))


def concerned(case: Case, bundle: Bundle) -> tuple[Rule, ...]:
    """Return the rules that take part in a case's decision."""
    day = local_day(case.request(bundle.catalogue), bundle)
    documents = applicable(bundle.live(day, case.proposed), case.subject.attributes())
    return tuple(
        rule
        for document in documents
        for rule in document.rules
        if rule.action is case.action
        and rule.resource == case.resource.name
        and (rule.purposes is None or case.purpose in rule.purposes)
    )


def matches(rule: Rule, record: NamedRecord, case: Case, bundle: Bundle) -> bool:
    """Whether a rule matches a record: a permit where its condition is true, a deny where it is not false."""
    truth = evaluate(on_day(rule.rows, case.day, bundle.catalogue.time_zone), record.facts(case.instruments))
    return truth is True if rule.permits else truth is not False


def _judge_refusal(case: Case, code: Code, bundle: Bundle) -> tuple[Mismatch, ...]:
    refused = _refusal(case, bundle)
    return () if refused == code else (about_decision(f"deny: {code}", _told(refused)),)


def _told(refused: Code | None) -> str:
    return "permit" if refused is None else f"deny: {refused}"


def _refusal(case: Case, bundle: Bundle) -> Code | None:
    """Return the code with which a case is refused whole."""
    if case.action is Action.READ:
        decision = decide(case.request(bundle.catalogue), bundle, case.proposed)
        return decision.code if isinstance(decision, Deny) else None
    rules = concerned(case, bundle)
    if any(_denies(rule) and rule.rows == TRUE for rule in rules):
        return Code.DENIED_BY_RULE
    return None if any(rule.permits for rule in rules) else Code.NO_RULE


def _denies(rule: Rule) -> bool:
    """Whether a rule denies rows; one that withholds fields says nothing of an act."""
    return not rule.permits and not rule.fields


# --- acts: notices and holds ------------------------------------------------------------------------------------


def _judge_act(case: Case, allowed: Allowed, bundle: Bundle) -> tuple[Mismatch, ...]:
    refused = _refusal(case, bundle)
    if refused is not None:
        return (about_decision("permit", _told(refused)),)
    rules = concerned(case, bundle)
    found = []
    for record in case.given:
        matching = [rule for rule in rules if matches(rule, record, case, bundle)]
        got = any(rule.permits for rule in matching) and not any(_denies(rule) for rule in matching)
        if got != (record in allowed.records):
            words = {True: f"{case.action} permitted", False: f"{case.action} not permitted"}
            found.append(about_row(record.name, words[not got], words[got]))
    return tuple(found)


# --- reading ----------------------------------------------------------------------------------------------------


def _judge_reading(case: Case, shown: Shown, bundle: Bundle) -> tuple[Mismatch, ...]:
    decision = decide(case.request(bundle.catalogue), bundle, case.proposed)
    if isinstance(decision, Deny):
        return (about_decision("permit", _told(decision.code)),)
    got = answer(case, decision, bundle)
    return (*_compare(case, shown, got), *_disagreements(case, decision, got))


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


def _times(times: int) -> str:
    return {0: "hidden", 1: "shown"}.get(times, f"shown {times} times")
