"""THE DOOR: the only way from a question to an answer, with a durable entry of the log on the way.

A `Disclosure` or a `LoggedRefusal` can't be built without the `LoggedEntry` that the log returns after its commit, and
they are built here alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial

from gateway import accounting, charging, limits, rendering
from gateway.access import (
    AccessRequest,
    Action,
    Circumstances,
    Describe,
    Instrument,
    Lookup,
    Question,
    Search,
    Specify,
    Subject,
)
from gateway.accounting import Found, Inquiry, Rehearsal
from gateway.activation.current import Current
from gateway.audit.aggregate import Aggregate
from gateway.audit.entry import Entry
from gateway.audit.log import Log, LoggedEntry
from gateway.audit.openings import Openings
from gateway.audit.publishing import Publishing
from gateway.audit.receipts import Receipts
from gateway.canonical import Json
from gateway.catalogue import Resource
from gateway.errors import Code, Denied, Malformed, NotFound, Reason, Refusal, Throttled, Unavailable
from gateway.instruments import Instruments
from gateway.notices import Told
from gateway.opaque import Cursors, Holder, Ids
from gateway.openapi.document import Addresses, specify
from gateway.paging import Paging
from gateway.plan.planner import Planner
from gateway.policy.bundle import Bundle
from gateway.policy.compose import Deny, Permit
from gateway.policy.decide import decide
from gateway.policy.tables import Dialect
from gateway.policy.view import View
from gateway.problem import problem
from gateway.records.query import Records
from gateway.records.schema import Fitting
from gateway.rendering import Page, Policy, Renderer
from gateway.sandbox import Marked
from gateway.telemetry import Telemetry

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """An answer that may be sent: its body, and the entry that tells of it."""

    body: bytes
    entry: LoggedEntry


@dataclass(frozen=True, slots=True)
class LoggedReceipt:
    """The proof of an earlier entry, which may be sent, and the entry that tells of this."""

    text: bytes
    entry: LoggedEntry


@dataclass(frozen=True, slots=True)
class LoggedRefusal:
    """A refusal that may be sent, its body, and the entry that tells of it."""

    refusal: Refusal
    body: bytes
    entry: LoggedEntry


@dataclass(frozen=True, slots=True)
class _Reading:
    """By what records are read for an inquiry, and on which policy the answer stands."""

    resource: Resource
    permit: Permit
    planner: Planner
    covering: tuple[Instrument, ...]
    policy: Policy


Answer = Disclosure | LoggedReceipt | LoggedRefusal


class Custodian:
    """Answers questions from the view that the policy gives, and writes down that it did."""

    def __init__(
        self,
        *,
        policy: Current,
        records: Records,
        fitting: Fitting,
        dialect: Dialect,
        log: Log,
        publishing: Publishing,
        receipts: Receipts,
        openings: Openings,
        aggregate: Aggregate,
        instruments: Instruments,
        ids: Ids,
        cursors: Cursors,
        rehearsal: Rehearsal,
        addresses: Addresses,
        marked: Marked,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._policy = policy
        self._records = records
        self._fitting = fitting
        self._dialect = dialect
        self._log = log
        self._publishing = publishing
        self._receipts = receipts
        self._openings = openings
        self._aggregate = aggregate
        self._instruments = instruments
        self._ids = ids
        self._cursors = cursors
        self._rehearsal = rehearsal
        self._addresses = addresses
        self._marked = marked
        self._clock = clock
        self._telemetry = telemetry

    def disclose(self, question: Question, subject: Subject, circumstances: Circumstances) -> Answer:
        """Answer a question; raise Unavailable only where no entry can be written."""
        now = self._clock()
        try:
            self._publishing.check()
            bundle = self._policy.bundle
        except Unavailable as refusal:
            action = accounting.action_of(question)
            return self.refuse(refusal, subject, circumstances, action=action, purpose=question.purpose)
        inquiry = Inquiry(question, subject, circumstances, bundle, now, self._moment(now, bundle), self._rehearsal)
        try:
            found = self._find(inquiry)
            found = replace(found, body=self._marked(found.body))
            self._report_defects(found)
            charge = charging.of_page(inquiry, found, self._openings)
            entry = accounting.disclosed(inquiry, found)
            # Charge and entry commit together. A crash after this line leaves both, and an answer not sent.
            logged = self._log.append(entry) if charge is None else self._log.charge(entry, charge)
        except Refusal as refusal:
            return self._refuse(inquiry, refusal)
        return Disclosure(found.body, logged)

    def receipt(self, entry_id: str, subject: Subject, circumstances: Circumstances) -> Answer:
        """Give a client the receipt of its own entry; no policy decides on it."""
        now = self._clock()
        try:
            self._publishing.check()
            text = self._receipts.of(entry_id, subject.client).encode()
        except Refusal as refusal:
            body = self._marked(problem(refusal))
            told = accounting.receipt(subject, circumstances, now, entry_id, body, refusal.code)
            return LoggedRefusal(refusal, body, self._log.append(told))
        return LoggedReceipt(text, self._log.append(accounting.receipt(subject, circumstances, now, entry_id, text)))

    def serve(self, action: str, ask: Callable[[str], Told], subject: Subject, circumstances: Circumstances) -> Answer:
        """Answer what concerns the client itself and discloses no record; no policy decides on it."""
        try:
            self._publishing.check()
            told = ask(subject.client)
            told = replace(told, body=self._marked(told.body))
            entry = accounting.served(action, subject, circumstances, self._clock(), told)
            return Disclosure(told.body, self._log.append(entry, told.also))
        except Refusal as refusal:
            return self.refuse(refusal, subject, circumstances, action=action, purpose=None)

    def refuse(
        self,
        refusal: Refusal,
        subject: Subject,
        circumstances: Circumstances,
        *,
        action: str,
        purpose: str | None,
    ) -> LoggedRefusal:
        """Refuse a known client before its question could be read, or while nobody knows the policy in force."""
        # A word outside the vocabulary is the client's own text, and has no place in the leaf.
        known = purpose if purpose in self._policy.last.catalogue.purposes else None
        facts: dict[str, Json] = {"purpose": known}
        openings = accounting.personal(subject, circumstances, len(body := self._marked(problem(refusal))))
        entry = Entry(action, "refuse", refusal.code, self._clock(), subject, facts, openings)
        return LoggedRefusal(refusal, body, self._log.append(entry))

    def refuse_unknown(self, refusal: Refusal, circumstances: Circumstances, *, action: str) -> LoggedRefusal:
        """Refuse whoever is not known, or comes too often."""
        body = self._marked(problem(refusal))
        return LoggedRefusal(refusal, body, self.count_unknown(refusal, circumstances, len(body), action=action))

    def refuse_counted(
        self, refusal: Refusal, subject: Subject, circumstances: Circumstances, *, action: str
    ) -> LoggedRefusal:
        """Refuse a known client that comes too often, or is suspended."""
        body = self._marked(problem(refusal))
        return LoggedRefusal(refusal, body, self.count(refusal, subject, circumstances, len(body), action=action))

    def count_unknown(
        self, refusal: Refusal, circumstances: Circumstances, bytes_out: int, *, action: str
    ) -> LoggedEntry:
        """Write down that whoever is not known was refused: counted with others of its kind and key."""
        openings = (accounting.how(circumstances, bytes_out),)
        entry = Entry(action, "refuse", refusal.code, self._clock(), None, {}, openings)
        return self._aggregate.add(entry, circumstances.source)

    def count(
        self, refusal: Refusal, subject: Subject, circumstances: Circumstances, bytes_out: int, *, action: str
    ) -> LoggedEntry:
        """Write down that a known client was refused: counted with what else of its kind its officer is refused."""
        openings = accounting.personal(subject, circumstances, bytes_out)
        entry = Entry(action, "refuse", refusal.code, self._clock(), subject, {}, openings)
        return self._aggregate.add(entry, f"{subject.client} {subject.officer or ''}")

    def note(self, action: str, subject: Subject, circumstances: Circumstances, bytes_out: int) -> LoggedEntry:
        """Write down what a client did that disclosed no record, such as getting a token."""
        openings = accounting.personal(subject, circumstances, bytes_out)
        return self._log.append(Entry(action, "permit", "done", self._clock(), subject, {}, openings))

    def close(self) -> None:
        """Let the connections to the arrest database go."""
        self._records.engine.dispose()

    def _moment(self, now: datetime, bundle: Bundle) -> datetime:
        """Return the moment that the policy is asked for: now, or noon of the rehearsed day."""
        day = self._rehearsal.day
        if day is None:
            return now
        return datetime(day.year, day.month, day.day, 12, tzinfo=bundle.catalogue.time_zone)

    # --- finding ------------------------------------------------------------------------------------------------

    def _find(self, inquiry: Inquiry) -> Found:
        question, bundle = inquiry.question, inquiry.bundle
        self._refuse_stopped(inquiry.subject.agreement.agency)
        if question.purpose not in bundle.catalogue.purposes:
            known = ", ".join(bundle.catalogue.purposes)
            raise Malformed(Code.PURPOSE_UNKNOWN, f"Access-Purpose must be one of {known}.")
        if isinstance(question, Describe | Specify):
            return self._describe(inquiry)
        resource = bundle.catalogue.resources.get(question.resource)
        if resource is None:
            raise NotFound(Code.RESOURCE_UNKNOWN, "See GET /v1/resources.")
        if resource.name in self._fitting.unfit:
            raise Unavailable
        permit = self._permit(inquiry, resource)
        if permit.budgets and inquiry.subject.over == charging.day_of(inquiry):
            # Before the arrest database is asked, so that not even time tells what it would have said.
            raise limits.spent()
        covering = self._covering(inquiry, permit)
        planner = _planner(bundle, resource.name, self._dialect)
        policy = self._stands_on(inquiry, permit.rules, permit.notices)
        reading = _Reading(resource, permit, planner, covering, policy)
        if isinstance(question, Search):
            return self._search(inquiry, question, reading)
        return self._lookup(inquiry, question, reading)

    def _refuse_stopped(self, agency: str) -> None:
        stop = self._policy.stops.get(agency)
        if stop is not None:
            reason = Reason(f"statement-{stop.sequence}", "emergency stop by the city", stop.because)
            raise Denied(Code.AGENCY_STOPPED, f"By statement {stop.sequence}: {stop.because}", (reason,))

    def _permit(self, inquiry: Inquiry, resource: Resource) -> Permit:
        decision = self._decide(inquiry, resource)
        if isinstance(decision, Deny):
            because = " ".join(reason.because for reason in decision.reasons)
            raise Denied(decision.code, because, decision.reasons)
        return decision

    def _decide(self, inquiry: Inquiry, resource: Resource) -> Permit | Deny:
        request = AccessRequest(inquiry.subject, Action.READ, resource.name, inquiry.question.purpose, inquiry.moment)
        return decide(request, inquiry.bundle, self._rehearsal.proposed)

    def _covering(self, inquiry: Inquiry, permit: Permit) -> tuple[Instrument, ...]:
        if not _needs_instruments(permit.view):
            return ()
        day = inquiry.moment.astimezone(inquiry.bundle.catalogue.time_zone).date()
        return self._instruments.in_force(inquiry.subject.agreement.agency, inquiry.question.purpose, day)

    def _describe(self, inquiry: Inquiry) -> Found:
        resources = inquiry.bundle.catalogue.resources
        decided = {name: (resource, self._decide(inquiry, resource)) for name, resource in resources.items()}
        permits = [decision for _, decision in decided.values() if isinstance(decision, Permit)]
        rules = {rule for permit in permits for rule in permit.rules}
        notices = dict.fromkeys(notice for permit in permits for notice in permit.notices)
        policy = self._stands_on(inquiry, tuple(sorted(rules)), tuple(notices))
        write = partial(specify, self._addresses) if isinstance(inquiry.question, Specify) else rendering.describe
        return Found(write(decided, inquiry.question.purpose, policy), (), (), None, None, None)

    def _search(self, inquiry: Inquiry, search: Search, reading: _Reading) -> Found:
        resource, permit = reading.resource, reading.permit
        digest, client = inquiry.bundle.digest, inquiry.subject.client
        paging = Paging(self._cursors, client, digest, resource, permit.view, search)
        plan = reading.planner.search(permit.view, search, reading.covering, paging.start())
        rows = self._records.query(plan)
        page = rows[: plan.limit]
        follows = len(rows) > plan.limit
        cursor = paging.after(page[-1]) if follows else None
        renderer = Renderer(self._ids, resource, client, search.purpose)
        body = renderer.search(Page(page, plan.fields, cursor), permit, reading.policy)
        return Found(body, page, rows, permit, plan, resource)

    def _lookup(self, inquiry: Inquiry, lookup: Lookup, reading: _Reading) -> Found:
        resource, permit = reading.resource, reading.permit
        holder = Holder(inquiry.subject.client, lookup.purpose, resource.name)
        # An id that was made for nobody is looked up all the same, so that it takes the road of a hidden one.
        key = self._ids.reveal(lookup.id, holder) or 0
        plan = reading.planner.lookup(permit.view, key, reading.covering)
        rows = self._records.query(plan)
        if not rows:
            raise NotFound(Code.RECORD_NOT_FOUND, "It does not exist, or is not part of your view.")
        renderer = Renderer(self._ids, resource, inquiry.subject.client, lookup.purpose)
        body = renderer.lookup(rows[0], plan.fields, permit, reading.policy)
        return Found(body, rows, rows, permit, plan, resource)

    def _stands_on(self, inquiry: Inquiry, rules: tuple[str, ...], notices: tuple[str, ...]) -> Policy:
        day, proposed = self._rehearsal.day, sorted(self._rehearsal.proposed)
        rehearsed = [f"as of {day.isoformat()}"] if day else []
        rehearsed += [f"with {', '.join(proposed)}"] if proposed else []
        as_of = " ".join(["rehearsal", *rehearsed]) if rehearsed else None
        return Policy(inquiry.bundle.digest, rules, notices, as_of)

    # --- writing down -------------------------------------------------------------------------------------------

    def _report_defects(self, found: Found) -> None:
        for row in found.rows:
            for path in row.defects:
                self._telemetry.defect(path)

    def _refuse(self, inquiry: Inquiry, refusal: Refusal) -> LoggedRefusal:
        body = self._marked(problem(refusal))
        decision = self._decided(inquiry)
        # A report may be owed for the request, whatever comes of it.
        reports = () if decision is None else decision.reports
        entry = accounting.refused(inquiry, refusal, reports, len(body))
        charge = charging.of_nobody(inquiry, decision)
        try:
            return LoggedRefusal(refusal, body, self._told(entry, refusal.code, charge))
        except Throttled as spent:
            return self._refuse(inquiry, spent)

    def _told(self, entry: Entry, code: Code, charge: limits.Charge | None) -> LoggedEntry:
        """Write a refusal down; count it where the budget refused, and raise Throttled where nothing may be told."""
        match charge, code:
            case limits.Charge(), Code.BUDGET_SPENT:
                return self._log.append(entry, charge.refuse)
            case limits.Charge(), Code.RECORD_NOT_FOUND:
                return self._log.charge(entry, charge)
            case _:
                return self._log.append(entry)

    def _decided(self, inquiry: Inquiry) -> Permit | Deny | None:
        """Return the decision on a question about records, if it can be decided on."""
        question, catalogue = inquiry.question, inquiry.bundle.catalogue
        if isinstance(question, Describe | Specify) or question.purpose not in catalogue.purposes:
            return None
        resource = catalogue.resources.get(question.resource)
        return None if resource is None else self._decide(inquiry, resource)


@lru_cache(maxsize=512)
def _needs_instruments(view: View) -> bool:
    return view.needs_instruments()


@lru_cache(maxsize=64)
def _planner(bundle: Bundle, resource: str, dialect: Dialect) -> Planner:
    return Planner(bundle.catalogue.resources[resource], dialect)
