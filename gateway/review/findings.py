"""Holds a week's activity against the risk rules: what stands out, in words, and the entries that it stands on."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.review import rules
from gateway.review.activity import Asked, Leaf
from gateway.review.fields import DISTRICTS, GIVEN_NAMES, SURNAMES, named
from gateway.review.rules import Rule
from gateway.review.terms import NAMED, persons, searched

_EXACT = ("eq", "in", "ne")
_DAY = 86_400
# Names and terms that a reason lists.
_LISTED = 12


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a client's week meets: why, and on which entries that stands."""

    rule: Rule
    client: str
    agency: str
    reason: str
    entries: tuple[str, ...]


@dataclass(slots=True)
class _Client:
    """What a client did, as far as leaves tell."""

    agency: str
    first: str
    persons: int = 0
    refusals: int = 0
    shown: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    night: list[str] = field(default_factory=list)
    origin: list[str] = field(default_factory=list)
    origin_fields: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A term that was searched for, when, and in which entry."""

    time: float
    term: str
    entry: str


class Tally:
    """Counts a week's leaves by client, as they come."""

    def __init__(self, zone: ZoneInfo, origin: frozenset[str]) -> None:
        self._zone = zone
        self._origin = origin
        self._clients: dict[str, _Client] = {}
        self.to_open: list[Leaf] = []

    @property
    def clients(self) -> Sequence[str]:
        """The clients that asked something."""
        return tuple(self._clients)

    def add(self, leaf: Leaf) -> None:
        """Count a leaf, and note those searches whose terms the rules ask about."""
        client = self._clients.setdefault(leaf.client, _Client(leaf.agency, leaf.id))
        if leaf.persons:
            client.persons += leaf.persons
            client.shown.append(leaf.id)
        if leaf.decision != "permit":
            # An entry with `further` stands for that many others.
            client.refusals += leaf.further or 1
            client.refused.append(leaf.id)
        if leaf.action == "read" and not _within_day(leaf, self._zone):
            client.night.append(leaf.id)
        of_origin = self._origin.intersection((*leaf.filtered, *leaf.sorted_by))
        if of_origin:
            client.origin.append(leaf.id)
            client.origin_fields |= of_origin
        if named(leaf.filtered, SURNAMES | DISTRICTS):
            self.to_open.append(leaf)

    def findings(self, first_seen: Mapping[str, float], begins: float) -> Iterator[Finding]:
        """Yield what the leaves alone show."""
        for name, client in self._clients.items():
            days = (begins - first_seen[name]) / _DAY
            if days < rules.NEW_DAYS:
                said = "began in this week" if days <= 0 else f"began {int(days)} days before this week"
                yield Finding(rules.NEW, name, client.agency, f"the client {said}", (client.first,))
            if client.origin:
                told = ", ".join(sorted(client.origin_fields))
                said = f"{len(client.origin)} searches filtered or sorted by {told}"
                yield Finding(rules.ORIGIN, name, client.agency, said, tuple(client.origin))
            if client.persons >= rules.MANY_PERSONS:
                said = f"{client.persons} persons shown in {len(client.shown)} answers"
                yield Finding(rules.PERSONS, name, client.agency, said, tuple(client.shown))
            if client.refusals >= rules.MANY_REFUSALS:
                said = f"{client.refusals} requests refused"
                yield Finding(rules.REFUSALS, name, client.agency, said, tuple(client.refused))
            if len(client.night) >= rules.NIGHT_READS:
                said = f"{len(client.night)} reads between {rules.NIGHT[0]}:00 and {rules.NIGHT[1]:02}:00"
                yield Finding(rules.NIGHTS, name, client.agency, said, tuple(client.night))


def _within_day(leaf: Leaf, zone: ZoneInfo) -> bool:
    evening, morning = rules.NIGHT
    return morning <= datetime.fromisoformat(leaf.time).astimezone(zone).hour < evening


def by_terms(searches: Iterable[Asked]) -> Iterator[Finding]:
    """Yield what the terms of opened searches show."""
    known = [each for each in searches if each.question is not None]
    by_client: dict[str, list[Asked]] = defaultdict(list)
    for each in known:
        by_client[each.leaf.client].append(each)
    for client, theirs in by_client.items():
        agency = theirs[0].leaf.agency
        for rule, found in ((rules.SURNAMES, _surnames(theirs)), (rules.DISTRICTS, _districts(theirs))):
            if found:
                terms = sorted({moment.term for moment in found})
                said = f"within {rules.SWEEP_MINUTES} minutes {len(terms)} of them: {_listed(terms)}"
                yield Finding(rule, client, agency, said, _entries(found))
    yield from _many_officers(known)


def _surnames(searches: Sequence[Asked]) -> tuple[_Moment, ...]:
    """Return the densest sweep of surnames that begin alike, or of short beginnings."""
    alike: dict[str, list[_Moment]] = defaultdict(list)
    short: list[_Moment] = []
    for operator, moment in _moments(searches, SURNAMES):
        if operator not in _EXACT and len(moment.term) <= rules.ALIKE:
            short.append(moment)
        else:
            alike[moment.term[: rules.ALIKE]].append(moment)
    sweeps = [_densest(each, rules.ADJACENT_SURNAMES) for each in alike.values()]
    return max((*sweeps, _densest(short, rules.SHORT_BEGINNINGS)), key=len)


def _districts(searches: Sequence[Asked]) -> tuple[_Moment, ...]:
    return _densest([moment for _, moment in _moments(searches, DISTRICTS)], rules.ADJACENT_DISTRICTS)


def _moments(searches: Sequence[Asked], names: frozenset[str]) -> Iterator[tuple[str, _Moment]]:
    for each in searches:
        when = datetime.fromisoformat(each.leaf.time).timestamp()
        for path in named(each.leaf.filtered, names):
            yield from ((op, _Moment(when, term, each.leaf.id)) for op, term in searched(each.question, path))


def _densest(moments: Sequence[_Moment], at_least: int) -> tuple[_Moment, ...]:
    """Return the stretch with the most different terms, if there are at least so many; else nothing."""
    window: deque[_Moment] = deque()
    terms: Counter[str] = Counter()
    best: tuple[_Moment, ...] = ()
    most = at_least - 1
    for moment in moments:
        window.append(moment)
        terms[moment.term] += 1
        while moment.time - window[0].time > rules.SWEEP_MINUTES * 60:
            gone = window.popleft().term
            terms[gone] -= 1
            if not terms[gone]:
                del terms[gone]
        if len(terms) > most:
            most, best = len(terms), tuple(window)
    return best


def _many_officers(searches: Sequence[Asked]) -> Iterator[Finding]:
    """Yield, for each client that took part, the names for which many officers asked, whosever officers they are."""
    askers: dict[str, set[tuple[str, str]]] = defaultdict(set)
    asked: dict[str, list[Asked]] = defaultdict(list)
    for each in searches:
        if each.officer is not None:
            for name in set(_names(each)):
                askers[name].add((each.leaf.client, each.officer))
                asked[name].append(each)
    many = {name: sorted(who) for name, who in askers.items() if len(who) >= rules.MANY_OFFICERS}
    agencies = {each.leaf.client: each.leaf.agency for each in searches}
    for client in sorted({client for who in many.values() for client, _ in who}):
        theirs = {name: who for name, who in many.items() if client in {each for each, _ in who}}
        told = [
            f"'{name}' by {', '.join(f'{officer} ({of})' for of, officer in theirs[name])}" for name in sorted(theirs)
        ]
        entries = dict.fromkeys(each.leaf.id for name in theirs for each in asked[name] if each.leaf.client == client)
        yield Finding(rules.OFFICERS, client, agencies[client], f"asked for: {_listed(told, '; ')}", tuple(entries))


def _names(search: Asked) -> Iterator[str]:
    """Yield the names that a search asks for: surnames, with the given names if it asks for these too."""
    filtered = search.leaf.filtered
    terms = (term for path in named(filtered, GIVEN_NAMES) for term in searched(search.question, path))
    given = sorted({name for operator, name in terms if operator != NAMED})
    for path in named(filtered, SURNAMES):
        for operator, surname in searched(search.question, path):
            if operator in ("eq", "in"):
                yield " ".join((*given, surname))
    yield from persons(search.question)


def _entries(moments: Sequence[_Moment]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(moment.entry for moment in moments))


def _listed(texts: Sequence[str], by: str = ", ") -> str:
    rest = len(texts) - _LISTED
    return by.join(texts[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
