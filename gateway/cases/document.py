"""A file of tests, `NAME_test.yaml` beside the document `NAME.yaml`: cases, each with what is given and expected."""

from dataclasses import dataclass
from datetime import date, datetime

from gateway.access import (
    INSTRUMENTS,
    SIGNERS,
    AccessRequest,
    Action,
    Agreement,
    AgreementState,
    Certification,
    Instrument,
    Subject,
)
from gateway.cases.body import Body, Expectations
from gateway.cases.record import NamedRecord, read_records, resource_of
from gateway.catalogue import Catalogue, Resource
from gateway.errors import Code
from gateway.policy.bundle import Bundle
from gateway.policy.document import Status
from gateway.strict_yaml import FileError, Mapping, Place, Sequence, Text, as_mapping, as_text, read

NOTHING = "nothing"
# What a decision can refuse with where the agreement is in force and covers the purpose, as a case's always does.
DENIALS = (Code.NO_RULE, Code.DENIED_BY_RULE, Code.CERTIFICATION_MISSING, Code.POLICY_CONFLICT)


@dataclass(frozen=True, slots=True)
class Expected:
    """A record that is to be shown, with exactly this; `withheld` must not be there, not even as null."""

    record: NamedRecord
    body: Body
    withheld: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """The records that an answer is to hold; all others given are to be hidden.

    `notices` are to be among those that the answer tells, `reports` among the tags of its entry.
    """

    records: tuple[Expected, ...]
    notices: tuple[str, ...]
    reports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Allowed:
    """The records for which the act (a hold, a notice) is to be permitted, and for no other of those given."""

    records: tuple[NamedRecord, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The refusal that is to come."""

    code: Code


@dataclass(frozen=True, slots=True)
class Case:
    """Who asks, for what, when, with which records there, and what is to come of it."""

    document: str
    name: str
    place: Place
    subject: Subject
    action: Action
    resource: Resource
    purpose: str
    day: date
    proposed: frozenset[str]
    instruments: tuple[Instrument, ...]
    given: tuple[NamedRecord, ...]
    outcome: Shown | Allowed | Refused

    def request(self, catalogue: Catalogue) -> AccessRequest:
        """Return the request, at noon of the day."""
        moment = datetime(self.day.year, self.day.month, self.day.day, 12, tzinfo=catalogue.time_zone)
        return AccessRequest(self.subject, self.action, self.resource.name, self.purpose, moment)


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one document."""

    document: str
    cases: tuple[Case, ...]


def read_suite(content: bytes, file: str, document: str, bundle: Bundle) -> Suite:
    """Read a file of tests; raise FileError."""
    top = read(content, file).closed(required=("tests", "cases"), optional=("subjects", "records"))
    if top.string("tests") != document:
        raise FileError(top.keys["tests"], f"the file must test the document of its name, '{document}'")
    for _, subject in top.mappings("subjects"):
        _subject(subject)
    records = read_records(top, bundle.catalogue)
    cases: dict[str, Case] = {}
    for item in top.sequence("cases"):
        for case in _CaseReader(as_mapping(item), document, top, records, bundle).cases():
            if case.name in cases:
                raise FileError(case.place, f"the case '{case.name}' stands here twice")
            cases[case.name] = case
    return Suite(document, tuple(cases.values()))


_REQUIRED = ("case", "subject", "purpose", "on")
_OPTIONAL = ("action", "resource", "with", "instruments", "given", "expect", "notices", "reports", "deny")


@dataclass(frozen=True, slots=True)
class _CaseReader:
    spec: Mapping
    document: str
    top: Mapping
    records: dict[str, NamedRecord]
    bundle: Bundle

    def cases(self) -> list[Case]:
        """Read a case: one for each of its days."""
        self.spec.closed(required=_REQUIRED, optional=_OPTIONAL)
        days = self._days()
        return [self._case(day.date(), f" ({day.value})" if len(days) > 1 else "") for day in days]

    def _days(self) -> tuple[Text, ...]:
        several = isinstance(self.spec.items["on"], Sequence)
        return self.spec.texts("on") if several else (self.spec.text("on"),)

    def _case(self, day: date, suffix: str) -> Case:
        spec, catalogue = self.spec, self.bundle.catalogue
        purpose = spec.text("purpose").one_of(tuple(catalogue.purposes))
        resource = resource_of(spec, catalogue)
        action = Action(spec.text("action").one_of(tuple(Action))) if "action" in spec.items else Action.READ
        given = self._given(resource)
        return Case(
            document=self.document,
            name=" ".join(spec.string("case").split()) + suffix,
            place=spec.place,
            subject=Subject("case", self._agreement(purpose)),
            action=action,
            resource=resource,
            purpose=purpose,
            day=day,
            proposed=self._proposed(),
            instruments=self._instruments(),
            given=given,
            outcome=self._outcome(action, resource, given),
        )

    def _proposed(self) -> frozenset[str]:
        known = tuple(d.name for d in self.bundle.documents.values() if d.status is Status.PROPOSED)
        return frozenset(_named(name, known, "proposed document") for name in self.spec.texts("with"))

    def _agreement(self, purpose: str) -> Agreement:
        """Invent an agreement that covers the case: agreements are the register's matter, not a document's."""
        subject = _subject(self._subject())
        return Agreement(
            id="case",
            version=1,
            agency=subject.string("agency"),
            component=subject.string("component"),
            ori=subject.string("ori"),
            mission=subject.text("mission").one_of(tuple(self.bundle.catalogue.missions)),
            criminal_justice_agency=subject.boolean("criminal_justice_agency"),
            purposes=frozenset({purpose}),
            starts=date.min,
            until=None,
            state=AgreementState.IN_FORCE,
            certifications=tuple(
                Certification(purpose, text.value, "case", "", date.min, date.max)
                for text in subject.texts("certified")
            ),
        )

    def _subject(self) -> Mapping:
        if not isinstance(self.spec.items["subject"], Text):
            return self.spec.mapping("subject")
        subjects = self.top.mapping("subjects")
        return subjects.mapping(_named(self.spec.text("subject"), tuple(subjects.items), "subject"))

    def _instruments(self) -> tuple[Instrument, ...]:
        found = []
        for number, item in enumerate(self.spec.sequence("instruments"), 1):
            body = as_mapping(item).closed(required=("person", "kind", "signer"))
            kind, signer = body.text("kind").one_of(INSTRUMENTS), body.text("signer").one_of(SIGNERS)
            found.append(Instrument(str(number), body.text("person").integer(), kind, signer))
        return tuple(found)

    def _given(self, resource: Resource) -> tuple[NamedRecord, ...]:
        if "given" not in self.spec.items:
            return tuple(record for record in self.records.values() if record.resource == resource.name)
        chosen: dict[str, NamedRecord] = {}
        for name in self.spec.texts("given"):
            record = self.records[_named(name, tuple(self.records), "record")]
            if record.resource != resource.name or name.value in chosen:
                raise FileError(name.place, f"'{name.value}' is not of {resource.name}, or stands here twice")
            chosen[name.value] = record
        return tuple(chosen.values())

    def _outcome(self, action: Action, resource: Resource, given: tuple[NamedRecord, ...]) -> Shown | Allowed | Refused:
        if ("expect" in self.spec.items) == ("deny" in self.spec.items):
            raise FileError(self.spec.place, "a case needs either 'expect' or 'deny'")
        reads = action is Action.READ and "expect" in self.spec.items
        for key in ("notices", "reports"):
            if key in self.spec.items and not reads:
                raise FileError(self.spec.keys[key], f"'{key}' belong to an answer that is expected")
        if "deny" in self.spec.items:
            return Refused(Code(self.spec.text("deny").one_of(DENIALS)))
        if not given:
            raise FileError(self.spec.keys["expect"], "a case that expects something needs a record that is given")
        records = {record.name: record for record in given}
        if not reads:
            names = [_named(as_text(item), tuple(records), "record given") for item in self._expectations()]
            return Allowed(tuple(records[name] for name in dict.fromkeys(names)))
        notices = tuple(" ".join(text.value.split()) for text in self.spec.texts("notices"))
        reports = tuple(text.value for text in self.spec.texts("reports"))
        return Shown(self._shown(resource, records), notices, reports)

    def _shown(self, resource: Resource, records: dict[str, NamedRecord]) -> tuple[Expected, ...]:
        rules = frozenset(rule.name for document in self.bundle.documents.values() for rule in document.rules)
        reader = Expectations(resource, rules)
        shown: dict[str, Expected] = {}
        for item in self._expectations():
            spec = as_mapping(item)
            required = ("record",) if "pointer" in spec.items else ("record", "body")
            spec.closed(required=required, optional=("body", "fillers", "withheld", "redacted", "pointer"))
            name = _named(spec.text("record"), tuple(records), "record given")
            if name in shown:
                raise FileError(spec.place, f"the record '{name}' is expected twice")
            shown[name] = Expected(
                records[name], reader.body(spec, records[name]), reader.withheld(spec.texts("withheld"))
            )
        return tuple(shown.values())

    def _expectations(self) -> Sequence:
        """Return what is expected: a list, or the word that says that there is to be none."""
        if isinstance(self.spec.items["expect"], Text):
            self.spec.text("expect").one_of((NOTHING,))
            return Sequence(self.spec.place, ())
        return self.spec.sequence("expect")


def _subject(spec: Mapping) -> Mapping:
    optional = ("component", "ori", "criminal_justice_agency", "certified")
    return spec.closed(required=("agency", "mission"), optional=optional)


def _named(text: Text, known: tuple[str, ...], what: str) -> str:
    if text.value not in known:
        raise FileError(text.place, f"there is no {what} '{text.value}' here; known are {', '.join(known) or 'none'}")
    return text.value
