"""Decisions: which rules concern a request, what a permit obliges to, and the code and the reasons of every no."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.access import AccessRequest, Action, AgreementState, Certification, Subject
from gateway.errors import Code, Reason
from gateway.policy.bundle import Bundle, load
from gateway.policy.compose import Deny, Permit, everything
from gateway.policy.decide import decide
from gateway.policy.masks import Form, Mask
from gateway.policy.view import Outcome, Standing
from tests.policy import small
from tests.policy.reference import facts
from tests.policy.samples import INSTRUMENTS, SAMPLES, closes, opens
from tests.world import agreement

# In the city it is still the evening of the day before.
MOMENT = datetime(2020, 3, 1, 3, tzinfo=UTC)
DAY = date(2020, 2, 29)
BASIS = "none (confidence: high)"


def bundle(root: Path, *documents: str) -> Bundle:
    """Load documents as a whole policy."""
    small.write(root, *documents)
    return load(root)


def ask(policy: Bundle, *, moment: datetime = MOMENT, action: Action = Action.READ, **changed: Any) -> Permit | Deny:
    """Decide a request for cases, for looking."""
    given: dict[str, Any] = {"mission": "looking", "purposes": frozenset({"looking"})} | changed
    subject = Subject("one", agreement("one", **given))
    return decide(AccessRequest(subject, action, "cases", "looking", moment), policy)


def denied(code: Code, *rules: str) -> Deny:
    """A no for rules of the document."""
    return Deny(code, tuple(Reason(f"doc/{rule}", BASIS, "So.") for rule in rules))


DEFAULT = Deny(Code.NO_RULE, (Reason("default", "deny is the default", "No rule shows it."),))


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"state": AgreementState.SUSPENDED}, "It is suspended."),
        ({"state": AgreementState.TERMINATED}, "It is terminated."),
        ({"starts": date(2020, 3, 1)}, "It does not cover this day or this purpose."),
        ({"until": DAY}, "It does not cover this day or this purpose."),
    ],
)
def test_without_an_agreement_in_force_nothing_is_read(tmp_path: Path, changed: dict[str, Any], state: str) -> None:
    """The day is the city's, and the reason names the agreement, its version and how it stands."""
    policy = bundle(tmp_path, small.document([small.EVERYTHING]))
    reason = Reason("agreement", "agreement one-agreement, version 1", state)
    assert ask(policy, **changed) == Deny(Code.AGREEMENT_NOT_IN_FORCE, (reason,))
    assert isinstance(ask(policy, starts=DAY, until=date(2020, 3, 1)), Permit)


def test_a_purpose_that_is_not_agreed_is_refused(tmp_path: Path) -> None:
    """Whatever the rules say of it."""
    policy = bundle(tmp_path, small.document([small.EVERYTHING]))
    reason = Reason("agreement", "agreement one-agreement, version 1", "It does not cover this day or this purpose.")
    assert ask(policy, purposes=frozenset({"counting"})) == Deny(Code.PURPOSE_NOT_AGREED, (reason,))


@pytest.mark.parametrize(
    "rule",
    [
        {"purposes": ["counting"]},
        {"permit": "release-notice", "show": []},
    ],
)
def test_a_rule_for_something_else_opens_nothing(tmp_path: Path, rule: dict[str, Any]) -> None:
    """Another purpose, another operation."""
    made = {k: v for k, v in (opens("a", show=["open"]) | rule).items() if v != []}
    assert ask(bundle(tmp_path, small.document([made]))) == DEFAULT


def test_an_operation_is_permitted_by_its_own_rule_alone(tmp_path: Path) -> None:
    """What permits reading does not permit a notice, which shows no field."""
    policy = bundle(tmp_path, small.document([opens("a", show=["open"]), opens("n") | {"permit": "release-notice"}]))
    permit = ask(policy, action=Action.RELEASE_NOTICE)
    assert isinstance(permit, Permit)
    assert (permit.rules, permit.view.cells) == (("doc/n",), {})
    assert ask(policy, action=Action.DETAINER_HOLD) == DEFAULT


def test_every_no_names_its_rules(tmp_path: Path) -> None:
    """All denials of everything; the permits whose text is not certified; where no field is left, the denials."""
    shown = opens("a", show=["open", "closed"])
    denials = [closes("d", "true"), closes("e", "true"), closes("f", "record.flag")]
    assert ask(bundle(tmp_path / "1", small.document([shown, *denials]))) == denied(Code.DENIED_BY_RULE, "d", "e")
    wanting = [opens("c", show=["open"], certification="text"), closes("f", "record.flag")]
    assert ask(bundle(tmp_path / "2", small.document(wanting))) == denied(Code.CERTIFICATION_MISSING, "c")
    nothing = [
        opens("a", show=["name", "born"]),
        closes("g", "true", fields=["name"]),
        closes("h", "true", fields=["born"]),
    ]
    answer = ask(bundle(tmp_path / "3", small.document(nothing)))
    assert isinstance(answer, Deny)
    assert answer.code is Code.DENIED_BY_RULE
    assert {reason.rule for reason in answer.reasons} == {"doc/g", "doc/h", "default"}


def test_a_certified_text_opens_its_rule(tmp_path: Path) -> None:
    """For its purpose, on its days, and no other text."""
    policy = bundle(tmp_path, small.document([opens("c", show=["open"], certification="text")]))

    def certified(text: str, purpose: str = "looking", until: date = date(2021, 1, 1)) -> Permit | Deny:
        return ask(policy, certifications=(Certification(purpose, text, "A", "0" * 64, date(2020, 1, 1), until),))

    assert isinstance(certified("text"), Permit)
    for answer in (certified("other"), certified("text", "counting"), certified("text", until=DAY)):
        assert answer == denied(Code.CERTIFICATION_MISSING, "c")


@pytest.mark.parametrize(
    "masks", [({"name": "first-letter"}, {"name": "last-four"}), ({"code": "last-four"}, {"name": "code"})]
)
def test_forms_that_cannot_be_joined_are_a_conflict_of_the_two(
    tmp_path: Path, masks: tuple[dict[str, str], ...]
) -> None:
    """Two forms of a field; a field in full in another's place, and itself masked."""
    rules = [opens("a", show=["flag"]), *(opens(f"m{n}", mask=mask) for n, mask in enumerate(masks))]
    assert ask(bundle(tmp_path, small.document(rules))) == denied(Code.POLICY_CONFLICT, "m0", "m1")


def test_a_permit_says_what_it_came_from_and_obliges_to(tmp_path: Path) -> None:
    """Its rules in order, its documents, and the obligations of all of them; a document on another agency has none."""
    obligations: list[dict[str, Any]] = [
        {"persons": {"at-most": 3, "per": "day"}},
        {"notice": "Be told."},
        {"report": "tag"},
    ]
    first = small.document([opens("b", show=["open"]), closes("a", "record.flag")], obligations)
    second = small.document([opens("z", show=["born"])], [{"notice": "Also."}], name="more")
    third = json.dumps(
        json.loads(small.document([opens("y", show=["at"])], name="rest")) | {"subjects": 'subject.agency == "X"'}
    )
    permit = ask(bundle(tmp_path, first, second, third))
    assert isinstance(permit, Permit)
    assert permit.rules == ("doc/a", "doc/b", "more/z")
    assert permit.documents == ("doc", "more")
    assert [(budget.at_most, budget.document) for budget in permit.budgets] == [(3, "doc")]
    assert (permit.notices, permit.reports) == (("Be told.", "Also."), ("tag",))
    assert "at" not in permit.view.cells


def test_a_view_names_the_standing_of_every_field(tmp_path: Path) -> None:
    """Shown, masked, varying by row, by pseudonym, or withheld and by which rule."""
    rules = [
        opens("a", show=["person", "code", "grade", "born"], mask={"name": "pseudonym", "verdict.born": "year"}),
        opens("b", "record.flag", show=["amount"]),
        closes("c", "true", fields=["grade"]),
        closes("d", "record.flag", mask={"born": "year"}),
    ]
    permit = ask(bundle(tmp_path, small.document(rules)))
    assert isinstance(permit, Permit)
    view = permit.view
    assert view.shown == {"person", "code"}
    assert view.masked == {"name", "verdict.born"}
    assert view.varying == {"amount", "born"}
    assert view.pseudonyms == {"name"}
    assert view.cells["verdict.born"].mask == Mask(Form.YEAR)
    assert view.withheld["grade"] == Reason("doc/c", BASIS, "So.")
    assert view.withheld["at"].rule == "default"
    assert set(view.withheld) | set(view.cells) == {path for path, _ in _paths(tmp_path)}
    assert not view.needs_instruments()


def _paths(root: Path) -> Any:
    return load(root).catalogue.resources["cases"].paths()


def test_a_view_of_one_class_of_subjects_is_made_once_a_day(tmp_path: Path) -> None:
    """What does not speak of the day is the same value every day, so that plans are kept; what does, is made anew."""
    lasting = bundle(tmp_path / "1", small.document([opens("a", show=["open"])]))
    passing = bundle(tmp_path / "2", small.document([opens("a", "record.born < today", show=["open"])]))
    later = datetime(2020, 4, 1, tzinfo=UTC)
    for policy, same in ((lasting, True), (passing, False)):
        first, second, third = ask(policy), ask(policy), ask(policy, moment=later)
        assert first is second
        assert (first is third) is same


@pytest.mark.parametrize(
    "rules",
    [
        [opens("a", "instruments.exists(i, i.person == record.person)", show=["open"])],
        [opens("a", "!(record.flag || instruments.exists(i, i.person == record.person))", show=["open"])],
        [opens("a", show=["open"]), closes("d", "instruments.exists(i, i.person == record.person)")],
        [
            opens("a", show=["open"]),
            closes("d", "instruments.exists(i, i.person == record.person)", fields=["name"]),
        ],
        [
            opens("a", "instruments.exists(i, i.person == record.person)", pointer="Ask"),
            opens("b", "record.flag", show=["open"]),
        ],
    ],
)
def test_a_view_says_that_it_needs_instruments(tmp_path: Path, rules: list[dict[str, Any]]) -> None:
    """Wherever a condition asks for them."""
    permit = ask(bundle(tmp_path, small.document(rules)))
    assert isinstance(permit, Permit)
    assert permit.view.needs_instruments()


def test_the_citys_own_view_holds_everything(tmp_path: Path) -> None:
    """Every field of every record, in full."""
    resource = bundle(tmp_path, small.document([small.EVERYTHING])).catalogue.resources["cases"]
    view, paths = everything(resource), {path for path, _ in resource.paths()}
    assert set(view.cells) == view.shown == paths
    assert not view.masked | view.varying | view.pseudonyms
    assert not view.denials
    assert not view.pointers
    assert view.withheld == {}
    given = facts(SAMPLES[0], INSTRUMENTS)
    reason = Reason("everything", "the city's own records", "It is asked by the city itself.")
    assert {cell.outcome(given) for cell in view.cells.values()} == {Outcome(Standing.SHOWN, reason)}
